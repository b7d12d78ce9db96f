"""A tokenizer in a process of its own, within limits: what its file does to this process it does to no other.

Requests are JSON lines on standard input, answers are on a private duplicate of standard output: one line or, where
`more` follows, several. Private to one version: see `tokenizer_apart`, which speaks to it.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from benchharness.device.inputs.tokenizer import Tokenizer
from benchharness.device.line.protocol import claim_standard_output
from benchharness.errors import Unsupported

#: A vocabulary of 260,000 tokens has 35 MB; it takes about 12 times as much to load.
MOST_BYTES = 256 << 20
#: Beyond what the process has: one of 3 million tokens, in a file of 120 MB, takes 1.4 GB.
MOST_MEMORY_BYTES = 4 << 30
#: Of the memory that there is: beside a model on a small device.
_MOST_SHARE = 0.75
#: A timer of nothing would never ring.
_LEAST_S = 1e-3
#: Tokens, or words, in one line of an answer; and characters of a text.
_PIECE, _PIECE_CHARACTERS = 50_000, 1 << 16


def main() -> None:
    """Opens the tokenizer that the first request names, and answers until its input ends. Never raises."""
    answers = claim_standard_output()
    _limit_memory()
    tokenizer: Tokenizer | None = None
    for line in sys.stdin.buffer:
        request = json.loads(line)
        try:
            with _processor_time(request["cpu_s"]):
                if tokenizer is None:
                    tokenizer = _opened(Path(request["path"]))
                for answer in _answered(tokenizer, request):
                    _send(answers, answer)
        except Unsupported as error:
            _send(answers, {"refused": str(error)})
        except MemoryError:
            _send(answers, {"memory": "there is no more"})
    sys.stderr.flush()
    os._exit(0)


def _opened(path: Path) -> Tokenizer:
    try:
        size = path.stat().st_size
    except OSError as error:
        raise Unsupported(f"{path.name}: cannot be read: {error.strerror}") from error
    if size > MOST_BYTES:
        raise Unsupported(f"{path.name}: {size} bytes; {MOST_BYTES} at most are read as a tokenizer")
    return Tokenizer(path)


def _answered(tokenizer: Tokenizer, request: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """What is asked for, in pieces; the last has no `more`."""
    asked = request["ask"]
    if asked == "open":
        around = tokenizer.around
        yield {
            "around": [around.before, around.after],
            "specials": sorted(tokenizer.specials()),
            "facts": tokenizer.facts(),
        }
    elif asked == "spans":
        tokens, spans = tokenizer.spans(request["text"])
        for at in range(0, len(tokens), _PIECE):
            yield {"tokens": tokens[at : at + _PIECE], "spans": spans[at : at + _PIECE], "more": True}
        yield {}
    elif asked == "words":
        words = list(tokenizer.words().items())
        for at in range(0, len(words), _PIECE):
            yield {"words": words[at : at + _PIECE], "more": True}
        yield {}
    elif asked == "named":
        yield {"text": tokenizer.named(request["tokens"])}
    else:
        text = tokenizer.decode(request["tokens"])
        for at in range(0, len(text), _PIECE_CHARACTERS):
            yield {"text": text[at : at + _PIECE_CHARACTERS], "more": True}
        yield {}


@contextlib.contextmanager
def _processor_time(limit_s: float) -> Iterator[None]:
    """Ends this process by a signal where it has computed longer in all: native code hears of nothing else."""
    if not hasattr(signal, "setitimer"):  # whoever asked ends it by the clock
        yield
        return
    signal.setitimer(signal.ITIMER_PROF, max(_LEAST_S, limit_s - time.process_time()))
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


def _limit_memory() -> None:
    """Of what it takes from here on, where the system can; and no dump of it where it ends badly."""
    try:
        import resource
    except ImportError:  # Windows
        return
    most = MOST_MEMORY_BYTES
    with contextlib.suppress(ValueError, OSError):
        most = min(most, int(_MOST_SHARE * os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")))
    space, data = _held_bytes()
    limits = ((resource.RLIMIT_AS, space + most), (resource.RLIMIT_DATA, data + most), (resource.RLIMIT_CORE, 0))
    for kind, limit in limits:
        # A lower one is set already, the system has none, or it counts in 32 bits.
        with contextlib.suppress(ValueError, OSError, OverflowError):
            resource.setrlimit(kind, (limit, limit))


def _held_bytes() -> tuple[int, int]:
    """The address space that this process has, and of that what it may write; 0 where the system does not tell.

    An allocator may reserve more than any limit from the start, and write to little of it: Android's takes 8.25 GiB
    (llvm-project, issue 118735).
    """
    try:
        pages = Path("/proc/self/statm").read_text(encoding="ascii").split()
        return int(pages[0]) * os.sysconf("SC_PAGE_SIZE"), int(pages[5]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return 0, 0


def _send(descriptor: int, answer: Mapping[str, Any]) -> None:
    data = json.dumps(answer, separators=(",", ":")).encode() + b"\n"
    while data:
        data = data[os.write(descriptor, data) :]


if __name__ == "__main__":
    main()
