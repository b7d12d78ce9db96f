"""`--warnings`: every warning whole, with the jobs that carry it and what helps."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console

from benchharness.judge.trust import trust
from benchharness.results.result import Result
from benchharness.terminal.console import tell
from benchharness.terminal.values import one_line


def show_warnings(results: Sequence[Result], console: Console) -> None:
    """Each kind, each message of it once, and below it who it is about; what helps with all of them is told once."""
    groups = trust(results)
    if not groups:
        tell(console, "no warnings", "green")
    for group in groups:
        tell(console, f"{group.kind}: {group.finding}", "bold yellow")
        hints = {warning.hint for warning, _ in group.details}
        if len(hints) == 1:
            _what_helps(hints.pop(), console)
            hints = set()
        for warning, titles in group.details:
            tell(console, one_line(warning.message, 2000), indent=2)
            if hints:
                _what_helps(warning.hint, console)
            for title in titles:
                tell(console, one_line(title), "dim", indent=4)


def _what_helps(hint: str, console: Console) -> None:
    if hint:
        tell(console, f"what helps: {one_line(hint, 2000)}", "green", indent=2)
