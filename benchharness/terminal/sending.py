"""How far files are on their way to a device: a line that is drawn over, on a terminal."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from benchharness.terminal.values import one_line

_REDRAWS_PER_S = 2


@contextlib.contextmanager
def sending(console: Console) -> Iterator[Callable[[str, int, int], None]]:
    """Hears what is sent, how much of it is there, and of how much; draws it while that takes."""
    columns = (TextColumn("{task.description}"), BarColumn(bar_width=20), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, refresh_per_second=_REDRAWS_PER_S, transient=True) as progress:
        task = progress.add_task("", total=None, visible=False)

        def hears(what: str, done: int, total: int) -> None:
            shown = escape(one_line(what, 40))
            progress.update(task, description=shown, completed=done, total=total, visible=done < total)

        yield hears
