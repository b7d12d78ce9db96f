"""A job runner's polite end and a lost terminal are Ctrl-C to us; what `nohup` ignores stays ignored."""

from __future__ import annotations

import signal
from typing import Any

_POLITE_ENDS = ("SIGINT", "SIGTERM", "SIGHUP")


def prepare() -> None:
    """From now on the first polite end raises `KeyboardInterrupt`, and those after it do nothing."""
    for name in _POLITE_ENDS:
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _as_interrupt)


def ignore() -> None:
    """From now on no polite end does anything, not even while the interpreter leaves."""
    _answer_with(signal.SIG_IGN)


def _as_interrupt(_signal: int, _frame: Any) -> None:
    _answer_with(_take_no_notice)  # once is enough: what follows ends workers and keeps results
    raise KeyboardInterrupt


def _take_no_notice(_signal: int, _frame: Any) -> None:
    """Not SIG_IGN: a signal that was on its way while that is set makes Python complain of a race."""


def _answer_with(handler: Any) -> None:
    for name in _POLITE_ENDS:
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), handler)
