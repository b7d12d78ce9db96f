"""Whether a prompt's tokenizer can be trusted with it: tried before a worker is started, where nothing is measured yet.

A file may keep the package computing for days, or end the process that reads it. In the worker that would be a crash or
a timeout; and a process more, started there, would be in the memory and the caches that are measured.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from benchharness.device.inputs.tokenizer_apart import refusal

if TYPE_CHECKING:
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

    def begin(self, order: Order) -> None:
        """Has the tokenizer read the order's prompt, where that is a text."""
        text = ((order.get("workload") or {}).get("prompt") or {}).get("text")
        path = order.get("tokenizer")
        self._asked = None if text is None or path is None else (path, text, order.get("python"))
        if self._asked is not None and self._asked not in self._known:
            before, asked = self._thread, self._asked

            def find() -> None:
                if before is not None:
                    before.join()  # of an attempt that was cancelled meanwhile
                self._known[asked] = _FAILED
                self._known[asked] = refusal(order, [asked[1]], self._bundle)

            self._thread = threading.Thread(target=find, daemon=True)
            self._thread.start()

    def told(self) -> dict[str, str] | None:
        """What the worker is told: why the tokenizer cannot read the prompt, or ""; None while that is found out."""
        if self._thread is not None and self._thread.is_alive():
            return None
        return {} if self._asked is None else {"tried": self._known[self._asked]}
