"""How far something is that takes a while, such as files on their way to a device: a line that is drawn over."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from benchharness.terminal.values import one_line

_REDRAWS_PER_S = 2


@contextlib.contextmanager
def underway(console: Console) -> Iterator[Callable[[str, int, int], None]]:
    """Hears what is at work, how much of it is done, and of how much; draws it, on a terminal, while that takes."""
    columns = (TextColumn("{task.description}"), BarColumn(bar_width=20), MofNCompleteColumn(), TimeRemainingColumn())
    drawn = Progress(
        *columns,
        console=console,
        refresh_per_second=_REDRAWS_PER_S,
        transient=True,
        disable=not console.is_terminal,  # elsewhere it would leave an empty line
    )
    with drawn as progress:
        task = progress.add_task("", total=None, visible=False)

        def hears(what: str, done: int, total: int) -> None:
            shown = escape(one_line(what, 40))
            progress.update(task, description=shown, completed=done, total=total, visible=done < total)

        yield hears
