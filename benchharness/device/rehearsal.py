"""Whether a prompt's tokenizer can be trusted with it: tried before a worker is started, where nothing is measured yet.

A file may keep the package computing for days, or end the process that reads it. In the worker that would be a crash or
a timeout; and a process more, started there, would be in the memory and the caches that are measured.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from benchharness.device.inputs.tokenizer_apart import refusal

if TYPE_CHECKING:
    from benchharness.device.inputs.tokenizer_apart import Answers
    from benchharness.device.line.orders import Order

_FAILED = "whether its tokenizer can read the prompt could not be tried in a process apart"
#: A tokenizer's path, a text, and the interpreter.
_Asked = tuple[str, str, "str | None"]


class Rehearsal:
    """One run's: `begin`, then `told` until it answers. What it has found it remembers: attempts repeat their order."""

    def __init__(self, bundle: str) -> None:
        self._bundle = bundle
        self._known: dict[_Asked, str] = {}
        self._asked: _Asked | None = None
        self._thread: threading.Thread | None = None
        self._cancel: Callable[[], None] | None = None

    def begin(self, order: Order) -> None:
        """Has the tokenizer read the order's prompt, where that is a text."""
        text = ((order.get("workload") or {}).get("prompt") or {}).get("text")
        path = order.get("tokenizer")
        self._asked = None if text is None or path is None else (path, text, order.get("python"))
        if self._asked is not None and self._asked not in self._known:
            before, asked = self._thread, self._asked
            answers: Answers = queue.SimpleQueue()
            cancelled = threading.Event()

            def find() -> None:
                if before is not None:
                    before.join()  # of an attempt that was cancelled meanwhile, and so about to end
                told = _FAILED
                try:
                    told = refusal(order, [asked[1]], self._bundle, answers=answers)
                finally:
                    if not cancelled.is_set():
                        self._known[asked] = told

            def cancel() -> None:
                cancelled.set()
                answers.put({"refused": "its attempt was cancelled"})  # in the tokenizer's place: it is heard no more

            self._cancel = cancel
            self._thread = threading.Thread(target=find, daemon=True)
            self._thread.start()

    def cancel(self) -> None:
        """Ends what is being tried, so that the next order does not wait for it."""
        if self._cancel is not None:
            self._cancel()

    def told(self) -> dict[str, str] | None:
        """What the worker is told: why the tokenizer cannot read the prompt, or ""; None while that is found out."""
        if self._thread is not None and self._thread.is_alive():
            return None
        return {} if self._asked is None else {"tried": self._known[self._asked]}
