"""The file of a conversation: JSON lines, a turn each, oldest first.

`{"text": "…", "answer": "…", "answer_tokens": 32, "think_s": 4.5}`: what the user says, or `"tokens": 40` for as many
seeded ones; the answer that is fed back, or as many seeded tokens as `answer_tokens`; the pause before the turn. The
file is not trusted and is read within bounds. Nothing of its texts goes into any message.
"""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchharness.device.inputs.tokenizer import Tokenizer
from benchharness.errors import Unsupported

_MOST_BYTES = 16 << 20
_MOST_TURNS = 1000
_MOST_TOKENS = 1_000_000
_LONGEST_S = 3600.0
_ANSWER_TOKENS = 32
_KEYS = {"text", "tokens", "answer", "answer_tokens", "think_s"}
_EXAMPLE = '{"text": "…", "answer_tokens": 32, "think_s": 4.5}'


@dataclass(frozen=True)
class Turn:
    """What a user says, and what is answered. `text` is None where `tokens` seeded ones stand for it."""

    text: str | None
    tokens: int
    answer: str | None
    answer_tokens: int
    think_s: float


@dataclass(frozen=True)
class TurnTokens:
    """A turn as a model reads it, and the answer that is fed back whatever the model chose."""

    said: Sequence[int]
    answer: Sequence[int]

    def __len__(self) -> int:
        return len(self.said) + len(self.answer)


def read_turns(file: Path) -> Sequence[Turn]:
    """The turns. Raises `Unsupported` that names the line and quotes nothing."""
    if file.stat().st_size > _MOST_BYTES:
        raise Unsupported(f"a conversation has {_MOST_BYTES} bytes at most")
    try:
        lines = file.read_text(encoding="utf-8").split("\n")
    except UnicodeDecodeError:
        raise Unsupported("the conversation is no text in UTF-8") from None
    found = [_turn(line, number) for number, line in enumerate(lines, start=1) if line.strip()]
    if not 1 <= len(found) <= _MOST_TURNS:
        raise Unsupported(f"the conversation has {len(found)} turns; 1 to {_MOST_TURNS} are replayed")
    return found


def _turn(line: str, number: int) -> Turn:
    try:
        told = json.loads(line)
    except (ValueError, RecursionError):
        told = None
    if not isinstance(told, dict) or set(told) - _KEYS or ("text" in told) == ("tokens" in told):
        raise Unsupported(f"line {number} of the conversation is not such as {_EXAMPLE}, with 'text' or 'tokens'")
    text, answer = told.get("text"), told.get("answer")
    if not all(each is None or (isinstance(each, str) and each.strip()) for each in (text, answer)):
        raise Unsupported(f"line {number} of the conversation: 'text' and 'answer' are texts that say something")
    tokens = _whole(told.get("tokens", 1), f"line {number} of the conversation: 'tokens'", 1)
    count = _whole(told.get("answer_tokens", _ANSWER_TOKENS), f"line {number} of the conversation: 'answer_tokens'", 2)
    think = told.get("think_s", 0)
    if not isinstance(think, (int, float)) or isinstance(think, bool) or not 0 <= think <= _LONGEST_S:
        raise Unsupported(
            f"line {number} of the conversation: 'think_s' is a number of seconds, {_LONGEST_S:g} at most"
        )
    return Turn(_plain(text), 0 if text is not None else tokens, _plain(answer), count, float(think))


def _plain(text: str | None) -> str | None:
    """Half a surrogate pair is no text."""
    return None if text is None else text.encode("utf-8", "replace").decode()


def _whole(value: Any, what: str, least: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= _MOST_TOKENS:
        raise Unsupported(f"{what} is a whole number from {least} to {_MOST_TOKENS}")
    return value


def tokens_of(turns: Sequence[Turn], vocabulary_size: int, tokenizer: Tokenizer | None) -> list[TurnTokens]:
    """All turns in token ids. What a tokenizer puts before a text stands before the first turn only.

    An answer has `answer_tokens` tokens: a text that has more is cut, one that has fewer is all there is. Raises
    `Unsupported` for texts without a tokenizer.
    """
    if tokenizer is None and any(turn.text is not None or turn.answer is not None for turn in turns):
        raise Unsupported(
            "the conversation has texts, and there is no tokenizer.json beside the model; name one with 'tokenizer', "
            "or say how many tokens a turn has"
        )
    return [
        TurnTokens(
            said=_ids(turn.text, turn.tokens, vocabulary_size, tokenizer, seed=2 * number, leads=number == 0),
            answer=_ids(turn.answer, turn.answer_tokens, vocabulary_size, tokenizer, seed=2 * number + 1)[
                : turn.answer_tokens
            ],
        )
        for number, turn in enumerate(turns)
    ]


def _ids(
    text: str | None, count: int, vocabulary_size: int, tokenizer: Tokenizer | None, *, seed: int, leads: bool = False
) -> list[int]:
    if text is None:
        generator = random.Random(seed)
        return [generator.randrange(vocabulary_size) for _ in range(count)]
    assert tokenizer is not None
    ids = tokenizer.encode(text)
    return ids if leads else ids[len(tokenizer.leading) :]
