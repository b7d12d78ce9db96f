"""Tokenizers of files that nobody vouches for: in a process of their own, which alone ends where one breaks it.

A pattern may take a step more for every way to cut a text, a normalizer may double it sixty times, and the package then
computes for days, or ends the process that it is in. So `TokenizerApart` asks another process, and `refusal` has one
read the texts before a tokenizer is loaded where its time and memory are measured. Each refusal says what became of it.
"""

from __future__ import annotations

import json
import math
import os
import queue
import signal
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from benchharness.device.inputs.tokenizer import Around, Tokenizer
from benchharness.device.line import protocol
from benchharness.device.processes.child import Child
from benchharness.device.processes.device_program import device_program
from benchharness.errors import ProtocolError, Unsupported

if TYPE_CHECKING:
    from benchharness.device.line.orders import Order

    #: What a tokenizer's process says: messages, what is none, and None at its end.
    Answers = queue.SimpleQueue[dict[str, Any] | ProtocolError | None]

_PROGRAM = "benchharness.device.inputs.tokenizer_program"
#: Processor time in all, before anything is asked: 35 MB are loaded in 1 s on a desktop, in about 10 on a small board.
LIMIT_S = 30.0
#: Processor time more for each question, and each of its characters or tokens: a desktop takes a hundredth of it.
_A_QUESTION_S, _A_CHARACTER_S = 0.01, 100e-6
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
#: A text of so many characters takes 150 MB and more, which may be what is not there; a shorter one is not spoken of.
_LONG_TEXT = 1_000_000
_BYTES_A_CHARACTER = 150
_BY_TIME = tuple(getattr(signal, name) for name in ("SIGPROF", "SIGXCPU") if hasattr(signal, name))


class TokenizerApart(Tokenizer):
    """A tokenizer in a process of its own. Every question raises `Unsupported` where that one has ended or is stuck.

    `limit_s`: the processor time that it has for all that was asked so far. `answers`: where its answers arrive, and
    where another thread may put one in their place.
    """

    def __init__(
        self,
        path: Path,
        *,
        limit_s: float = LIMIT_S,
        python: str | None = None,
        bundle: str | None = None,
        answers: Answers | None = None,
    ) -> None:
        self._path = path
        self.limit_s = limit_s
        self._patience_s = limit_s
        self._gone = ""  # why it answers no more
        self._answers: Answers = queue.SimpleQueue() if answers is None else answers
        command = device_program(_PROGRAM, python, bundle)
        self._child = Child(command, _receive, self._answers.put, env={**os.environ, **_QUIET})
        try:
            (told,) = self._asked("open")
        except Unsupported:
            self.end()
            raise
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
        told = self._asked(asked, tokens=[int(each) for each in tokens], size=len(tokens))
        return "".join(str(each.get("text", "")) for each in told)

    def _asked(self, asked: str, *, size: int = 0, **more: Any) -> list[dict[str, Any]]:
        """All pieces of an answer. Raises `Unsupported`."""
        if self._gone:
            raise Unsupported(self._gone)
        more_s = _A_QUESTION_S + size * _A_CHARACTER_S
        self.limit_s += more_s
        request = {"ask": asked, "path": str(self._path), "cpu_s": self.limit_s, **more}
        self._child.write(json.dumps(request, separators=(",", ":")).encode() + b"\n")
        wait_s = _BY_THE_CLOCK * (self._patience_s + more_s)
        deadline_s = time.monotonic() + wait_s
        found: list[dict[str, Any]] = []
        while not found or found[-1].get("more"):
            try:
                answer = self._answers.get(timeout=max(0.0, deadline_s - time.monotonic()))
            except queue.Empty:
                raise self._lost(
                    f"{self._path.name}: refused: no answer of the tokenizer within {wait_s:.3g} s"
                ) from None
            if answer is None or isinstance(answer, ProtocolError):
                self._child.end(_GRACE_S, orphans=False)
                raise self._lost(self._ended(_if_long(asked, size)))
            if "refused" in answer:
                raise Unsupported(protocol.text(answer["refused"]))
            if "memory" in answer:
                raise Unsupported(
                    f"{self._path.name}: refused: it takes more memory than is allowed{_if_long(asked, size)}"
                )
            found.append(answer)
        return found

    def _ended(self, long: str) -> str:
        """Why it answers no more, by how its process has ended. `long`: told of its text where memory did it."""
        code = self._child.code or 0
        if -code in _BY_TIME:
            return (
                f"{self._path.name}: refused: the tokenizer took more than {self.limit_s:.3g} s of processor time; a "
                "pattern in it may try every way to cut a text"
            )
        how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        return (
            f"{self._path.name}: refused: it ended the process that read it ({how}); it may take more memory than is "
            f"allowed{long}"
        )

    def _lost(self, reason: str) -> Unsupported:
        self._gone = reason
        self._child.end(orphans=False)
        return Unsupported(reason)


def refusal(
    order: Order,
    texts: Iterable[str],
    bundle: str | None,
    *,
    spells: bool = False,
    answers: Answers | None = None,
) -> str:
    """Why the tokenizer of an order cannot read texts, under its interpreter; "" where it can, or there is none.

    `spells`: their tokens are to be spelled, too. It is tried in a process apart, with `answers` as there.
    """
    if order.get("tokenizer") is None:
        return ""
    try:
        path = str(order["tokenizer"])
        tokenizer = opened_apart(order, path, bundle, python=order.get("python"), answers=answers)
    except Unsupported as error:
        return str(error)
    except OSError as error:  # the interpreter: the worker will not start either
        return f"the tokenizer cannot be tried: {error}"
    try:
        for text in texts:
            tokens, _ = tokenizer.spans(text)
            if spells:
                tokenizer.decode(tokens)
    except Unsupported as error:
        return str(error)
    finally:
        tokenizer.end()
    return ""


def opened_apart(
    order: Order,
    path: str,
    bundle: str | None,
    *,
    python: str | None = None,
    models: int = 1,
    answers: Answers | None = None,
) -> TokenizerApart:
    """A tokenizer of an order, stopped before its model's part of the time is over. Raises `Unsupported`.

    `models` is how many share that time; `answers` as for `TokenizerApart`.
    """
    limit_s = min(LIMIT_S, order.get("timeout_s", math.inf) / models / _BY_THE_CLOCK)
    return TokenizerApart(Path(path), limit_s=limit_s, python=python, bundle=bundle, answers=answers)


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


def _if_long(asked: str, size: int) -> str:
    """What to do about a text that may be too long to be read at once; "" for any other question."""
    if asked != "spans" or size < _LONG_TEXT:
        return ""
    taken = size * _BYTES_A_CHARACTER / 1e9
    return (
        f": the text has {size / 1e6:.3g} million characters, and takes some {taken:.2g} GB to be read at once. "
        "Evaluation data may be several documents (.jsonl), which are read one by one"
    )
