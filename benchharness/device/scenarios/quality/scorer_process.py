"""A scorer's process as its conductor sees it: commands to it, answers from it, and how it ended."""

from __future__ import annotations

import contextlib
import queue
import signal
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchharness.device.line import protocol
from benchharness.device.processes.child import Child, signal_name
from benchharness.device.processes.device_program import device_program
from benchharness.device.scenarios.quality import frames
from benchharness.errors import AttemptError, InvalidOutput, ModelFailure, ProtocolError, Unsupported

if TYPE_CHECKING:
    from benchharness.device.line.orders import Opened

    Array = np.ndarray[Any, np.dtype[Any]]

_SCORER = "benchharness.device.scenarios.quality.scorer"
#: Frames that may wait to be compared: all scorers work at once, and none runs far ahead.
_MOST_WAITING = 8
_GRACE_S = 5.0
_POLL_S = 0.05
#: After so long without an answer the user is told who is waited for: it may be what ends the pass.
_LONG_S = 5.0


class ScorerFailed(AttemptError):
    """A scorer gave up, died or broke the protocol: `outcome` and `reason` as an attempt's."""

    def __init__(self, outcome: str, reason: str) -> None:
        super().__init__(reason)
        self.outcome = outcome
        self.reason = reason


class ScorerProcess:
    """One scorer. `opened` tells of its model; `waits` hears the model's name when an answer takes long.

    Where no answer has come `limit_s` after its start it has failed. Raises `Unsupported` where it cannot be started.
    """

    def __init__(
        self,
        order: Opened,
        bundle: str | None,
        waits: Callable[[str], None] = lambda _: None,
        *,
        limit_s: float,
    ) -> None:
        self._name = f"{Path(order['artefact']).name} ({order['adapter']})"
        self._waits = waits
        self._limit_s = limit_s
        command = device_program(_SCORER, order.get("python"), bundle)  # takes its time once
        self._deadline_s = time.monotonic() + limit_s
        self._wanted = True
        self._idle = False  # it has answered, and waits for a command
        self._of_interpreter = f" (python = {order['python']})" if order.get("python") else ""
        self._answers: queue.Queue[tuple[bytes, bytes] | ProtocolError | None] = queue.Queue(_MOST_WAITING)
        self._child = Child(command, frames.receive, self._hear)
        self.opened: Mapping[str, Any] = {}
        self.tensors: Mapping[str, Any] = order.get("tensors") or {}  # what the suite says of its inputs and outputs
        self.told: Mapping[str, Any] = {}  # the end of its last answer
        self.tell(
            {
                "type": "open",
                "adapter": order["adapter"],
                "configuration": order["configuration"],
                "artefact": order["artefact"],
                "key_from": order.get("key_from"),
                "tensors": self.tensors,
                "task": order.get("task"),
            }
        )

    def _hear(self, frame: tuple[bytes, bytes] | ProtocolError | None) -> None:
        while self._wanted:
            with contextlib.suppress(queue.Full):
                self._answers.put(frame, timeout=_POLL_S)
                return

    def tell(self, command: Mapping[str, Any]) -> None:
        """Sends a command. Where the scorer has died nobody reads it; the next answer says how."""
        self._idle = False
        self._child.write(protocol.encode(dict(command)))

    def json(self) -> dict[str, Any]:
        """The next answer, a JSON object. Raises `ScorerFailed`."""
        kind, content = self._next()
        if kind != frames.JSON:
            raise ScorerFailed("crashed", f"a frame of kind {kind!r} where an answer was due")
        answer: dict[str, Any] = protocol.decode(content)
        if answer.get("type") == "failed":
            raise ScorerFailed(str(answer.get("outcome")), protocol.text(answer.get("reason")))
        self._idle = True
        return answer

    def row(self, vocabulary_size: int) -> Array:
        """The next row of logits. Raises `ScorerFailed`, also where the scorer says why there is none."""
        kind, content = self._next()
        if kind == frames.ROW:
            dtype = {4: np.float32, 8: np.float64}.get(len(content) // max(1, vocabulary_size))
            if dtype is None or len(content) % vocabulary_size:
                raise ScorerFailed("invalid", f"a row of {len(content)} bytes for {vocabulary_size} tokens")
            return np.frombuffer(content, dtype)
        answer = protocol.decode(content) if kind == frames.JSON else {}
        raise ScorerFailed(
            str(answer.get("outcome", "crashed")), protocol.text(answer.get("reason", "no row of logits"))
        )

    def arrays(self) -> dict[str, Array]:
        """The arrays up to the end of an answer, by name. Raises `ScorerFailed`."""
        found = {}
        while True:
            kind, content = self._next()
            if kind == frames.ARRAY:
                name, array = frames.array_of(content)
                found[name] = array
                continue
            answer = protocol.decode(content) if kind == frames.JSON else {"type": "failed", "reason": "a row"}
            if answer.get("type") == "done":
                self._idle, self.told = True, answer
                return found
            raise ScorerFailed(str(answer.get("outcome", "crashed")), protocol.text(answer.get("reason")))

    def _next(self) -> tuple[bytes, bytes]:
        frame = self._answer()
        if isinstance(frame, ProtocolError):
            raise ScorerFailed("crashed", f"{frame}{self._of_interpreter}")
        if frame is None:
            outcome, reason = self._how_it_ended()
            raise ScorerFailed(outcome, f"{reason}{self._of_interpreter}")
        return frame

    def _answer(self) -> tuple[bytes, bytes] | ProtocolError | None:
        while True:
            try:
                return self._answers.get(timeout=max(_POLL_S, min(_LONG_S, self._deadline_s - time.monotonic())))
            except queue.Empty:
                if time.monotonic() > self._deadline_s:
                    self.end()
                    raise ScorerFailed("timeout", f"no answer within {self._limit_s:g} s") from None
                self._waits(self._name)

    def _how_it_ended(self) -> tuple[str, str]:
        ended = self._child.ends_within(_GRACE_S)
        self.end()
        code = self._child.code
        if not ended or code is None:
            return "crashed", "closed its output without an answer"
        if code >= 0:
            return "crashed", f"ended with exit code {code}"
        return ("killed" if -code == signal.SIGKILL else "crashed"), f"ended by {signal_name(code)}"

    def end(self) -> None:
        """Ends the process and its group; what left that is ended with the pass, for it may be another scorer's.

        One that waits for a command closes its session first.
        """
        if self._idle:
            self.tell({"type": "close"})
            self._child.ends_within(_GRACE_S)  # before its input is closed, which ends it at once
        self._wanted = False
        self._child.end(orphans=False)


def as_failure(error: Exception) -> ScorerFailed:
    """Another error in the same words."""
    if isinstance(error, ScorerFailed):
        return error
    kinds = {Unsupported: "unsupported", InvalidOutput: "invalid", ModelFailure: "runtime-error"}
    kind = next((name for of, name in kinds.items() if isinstance(error, of)), "runtime-error")
    return ScorerFailed(kind, protocol.text(error))
