"""How recurrent and streaming models call what goes from one call to the next. Names only: no numpy, no runtime."""

from __future__ import annotations

import re

from benchharness.device.inputs.input_lengths import plain

#: Encoder-decoder models' `encoder_hidden_states` are data.
STATE_NAMES = (
    r"(?:.*_)?(?:past|cache|cached)(?:_.*)?|(?:[hc][0nx]?|mems?)(?:_(?:\d+|in|prev|init))?"
    r"|(?!.*_hidden_states?$|hidden_states$)(?:.*_)?(?:states?|hidden|cell)(?:_.*)?"
    r"|(?:.*_)?(?:lstm|gru|rnn|memory|mem|buffer|buf|context|ctx)(?:_.*)?_in(?:_\d+)?"
)
#: How they call how much of it there is.
CACHED_LENGTHS = (
    r"(?:.*_)?(?:cache|cached|past|kv)(?:_.*)?_(?:len|lens|length|lengths|seqlen|seqlens)(?:_\d+)?"
    r"|processed_(?:len|lens|length|lengths|frames)|offset|num_processed_frames|cached_.*"
)


def called_a_state(name: str) -> bool:
    """Whether an input's name is that of what goes from one call to the next, or of how much of it there is."""
    return re.fullmatch(f"{STATE_NAMES}|{CACHED_LENGTHS}", plain(name)) is not None
