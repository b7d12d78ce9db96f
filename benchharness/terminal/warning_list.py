"""`--warnings`: every warning whole, with the jobs that carry it and what helps."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console

from benchharness.judge.trust import trust
from benchharness.results.result import Result
from benchharness.terminal.console import tell
from benchharness.terminal.values import one_line


def show_warnings(results: Sequence[Result], console: Console) -> None:
    """Each kind, each message of it once, and below it what helps and who it is about."""
    groups = trust(results)
    if not groups:
        tell(console, "no warnings", "green")
    for group in groups:
        tell(console, f"{group.kind}: {group.finding}", "bold yellow")
        for warning, titles in group.details:
            tell(console, one_line(warning.message, 2000), indent=2)
            if warning.hint:
                tell(console, f"what helps: {one_line(warning.hint, 2000)}", "green", indent=2)
            for title in titles:
                tell(console, one_line(title), "dim", indent=4)
