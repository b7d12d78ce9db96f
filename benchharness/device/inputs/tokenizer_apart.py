"""Tokenizers of files that nobody vouches for: in a process of their own, which alone ends where one breaks it.

A pattern may take a step more for every way to cut a text, a normalizer may double it sixty times, and the package then
computes for days, or ends the process that it is in. So `TokenizerApart` asks another process, and `tried` has one read
the texts before a tokenizer is loaded where its time is measured. Each refusal names the file and what became of it.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from benchharness.device.inputs.tokenizer import Around, Tokenizer
from benchharness.device.line import protocol
from benchharness.errors import ProtocolError, Unsupported

if TYPE_CHECKING:
    from benchharness.device.line.orders import Order

_PROGRAM = "benchharness.device.inputs.tokenizer_program"
#: Processor time for loading a file, and for anything else: 35 MB take 1 s on a desktop, about 10 on a small board.
LIMIT_S = 30.0
#: Processor time more for each character: a text is read in a hundredth of it on a desktop, a tenth on a small board.
_A_CHARACTER_S = 30e-6
#: By the clock, where processes compete for the cores, or the system counts no processor time.
_BY_THE_CLOCK = 4
#: What the package would say and start: backtraces, a thread a core, an arena of memory for each of these.
_QUIET = {
    "RUST_BACKTRACE": "0",
    "TOKENIZERS_PARALLELISM": "false",
    "RAYON_NUM_THREADS": "1",
    "MALLOC_ARENA_MAX": "1",
    "PYTHONSAFEPATH": "1",
}
#: A process that has closed its output has so long to end by itself: how it ended is the reason.
_GRACE_S = 5.0
_BY_TIME = tuple(getattr(signal, name) for name in ("SIGPROF", "SIGXCPU") if hasattr(signal, name))


class TokenizerApart(Tokenizer):
    """A tokenizer in a process of its own. Every question raises `Unsupported` where that one has ended or is stuck."""

    def __init__(self, path: Path, *, limit_s: float = LIMIT_S) -> None:
        # With what a worker whose memory is measured does not load.
        from benchharness.device.processes.child import Child

        self._path, self._limit_s = path, limit_s
        self._gone = ""  # why it answers no more
        self._answers: queue.SimpleQueue[dict[str, Any] | ProtocolError | None] = queue.SimpleQueue()
        self._child = Child(_command(), _receive, self._answers.put, env=_environment())
        (told,) = self._asked("open")
        self.around = Around(*(tuple(each) for each in told["around"]))
        self._specials: frozenset[int] = frozenset(told["specials"])
        self._facts: dict[str, Any] = told["facts"]

    def encode(self, text: str) -> list[int]:
        """Token ids of a text, after whatever special tokens the tokenizer puts before it."""
        return [*self.around.before, *self.spans(text)[0]]

    def spans(self, text: str) -> tuple[list[int], list[tuple[int, int]]]:
        """The token ids of a text alone, and the characters that each stands for."""
        tokens: list[int] = []
        spans: list[tuple[int, int]] = []
        for answer in self._asked("spans", text=text, size=len(text)):
            tokens += answer.get("tokens", ())
            spans += [(first, last) for first, last in answer.get("spans", ())]
        return tokens, spans

    def decode(self, tokens: Sequence[int]) -> str:
        """The text of token ids, special tokens spelled out."""
        return self._text("decode", tokens)

    def words(self) -> Mapping[str, int]:
        """The vocabulary: the id of each token, by how the tokenizer spells it."""
        return {word: token for answer in self._asked("words") for word, token in answer.get("words", ())}

    def specials(self) -> frozenset[int]:
        """The tokens that stand for no text: beginnings, ends, and what else its file calls special."""
        return self._specials

    def named(self, tokens: Sequence[int]) -> str:
        """Special tokens as ids and names: `1 <s>`; `none`."""
        return self._text("named", tokens)

    def facts(self) -> dict[str, Any]:
        """What is told of it on a result."""
        return dict(self._facts)

    def end(self) -> None:
        """Ends its process."""
        self._gone = self._gone or "it was ended"
        self._child.end(orphans=False)

    def _text(self, asked: str, tokens: Sequence[int]) -> str:
        (told,) = self._asked(asked, tokens=[int(each) for each in tokens], size=len(tokens))
        return str(told["text"])

    def _asked(self, asked: str, *, size: int = 0, **more: Any) -> list[dict[str, Any]]:
        """All pieces of an answer. Raises `Unsupported`."""
        if self._gone:
            raise Unsupported(self._gone)
        request = _request(self._path, asked, self._limit_s + size * _A_CHARACTER_S, **more)
        self._child.write(_line(request))
        deadline_s = time.monotonic() + _BY_THE_CLOCK * request["cpu_s"]
        found: list[dict[str, Any]] = []
        while not found or found[-1].get("more"):
            try:
                answer = self._answers.get(timeout=max(0.0, deadline_s - time.monotonic()))
            except queue.Empty:
                raise self._lost(_by_the_clock(self._path, request["cpu_s"])) from None
            if answer is None or isinstance(answer, ProtocolError):
                self._child.end(_GRACE_S, orphans=False)
                raise self._lost(_ended(self._path, self._child.code or 0, request["cpu_s"]))
            _check(answer)
            found.append(answer)
        return found

    def _lost(self, reason: str) -> Unsupported:
        self._gone = reason
        self._child.end(orphans=False)
        return Unsupported(reason)


def refusal(order: Order, texts: Sequence[str], path: str | Path | None = None) -> str:
    """Why the tokenizer of an order, or another file, cannot read texts; "" where it can, and where there is none."""
    path = path or order.get("tokenizer")
    if path is None:
        return ""
    limit_s = min(LIMIT_S, order.get("timeout_s", LIMIT_S))
    try:
        tried(Path(path), texts, limit_s=limit_s, python=order.get("python"))
    except Unsupported as error:
        return str(error)
    return ""


def tried(path: Path, texts: Iterable[str], *, limit_s: float = LIMIT_S, python: str | None = None) -> None:
    """Has another process load a tokenizer, read some texts and spell their tokens. Raises `Unsupported`.

    No threads and nothing else of it stays in this process, whose memory may be what is measured.
    """
    requests = [_request(path, "open", limit_s)]
    requests += [_request(path, "try", limit_s + len(text) * _A_CHARACTER_S, text=text) for text in texts]
    most_s = sum(each["cpu_s"] for each in requests)
    import tempfile  # for this alone

    with tempfile.TemporaryFile() as asked, tempfile.TemporaryFile() as answers:
        asked.writelines(_line(each) for each in requests)
        asked.seek(0)
        process = subprocess.Popen(_command(python), stdin=asked, stdout=answers, env=_environment())
        try:
            code = process.wait(_BY_THE_CLOCK * most_s)
        except subprocess.TimeoutExpired:
            raise Unsupported(_by_the_clock(path, most_s)) from None
        finally:
            process.kill()
            process.wait()
        answers.seek(0)
        told = list(_told(answers))
    for answer in told:
        _check(answer)
    if code or len(told) < len(requests):
        raise Unsupported(_ended(path, code, requests[min(len(told), len(requests) - 1)]["cpu_s"]))


def _told(stream: IO[bytes]) -> Iterator[dict[str, Any]]:
    while isinstance(answer := _receive(stream), dict):
        yield answer


def _check(answer: Mapping[str, Any]) -> None:
    if "refused" in answer:
        raise Unsupported(protocol.text(answer["refused"]))


def _request(path: Path, asked: str, cpu_s: float, **more: Any) -> dict[str, Any]:
    return {"ask": asked, "path": str(path), "cpu_s": cpu_s, **more}


def _line(request: Mapping[str, Any]) -> bytes:
    return json.dumps(request, separators=(",", ":")).encode() + b"\n"


def _receive(stream: IO[bytes]) -> dict[str, Any] | None:
    """The next answer. Raises `ProtocolError` for what is none."""
    line = stream.readline(protocol.LONGEST_LINE_BYTES + 1)
    if not line.endswith(b"\n"):
        return None
    try:
        answer: dict[str, Any] = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ProtocolError(f"not JSON: {line[:80]!r}") from error
    return answer


def _by_the_clock(path: Path, limit_s: float) -> str:
    return f"{path.name}: refused: no answer of the tokenizer within {_BY_THE_CLOCK * limit_s:.3g} s"


def _ended(path: Path, code: int, limit_s: float) -> str:
    """Why a tokenizer answers no more, by how its process has ended."""
    if -code in _BY_TIME:
        return (
            f"{path.name}: refused: the tokenizer took more than {limit_s:.3g} s of processor time; a pattern in it "
            "may try every way to cut a text"
        )
    how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
    return f"{path.name}: refused: it ended the process that read it ({how}); it may take more memory than is allowed"


def _command(python: str | None = None) -> list[str]:
    return [python or sys.executable, "-m", _PROGRAM]


def _environment() -> dict[str, str]:
    """With the folder, or the zip file, that this package is in: it may be installed nowhere."""
    root = str(Path(__file__).parents[3])
    return {**os.environ, **_QUIET, "PYTHONPATH": os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))}
