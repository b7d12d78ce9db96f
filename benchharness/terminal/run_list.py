"""What `benchharness runs` shows: a line for each run, its id whole."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import PurePath

from rich.cells import cell_len

from benchharness.results.result import Run
from benchharness.terminal.values import one_line, shortened

_HEAD = ("run", "suite", "started", "state", "jobs", "attempts", "note")
_SUITE, _NOTE = 1, 6
#: The columns that go first where there is no room: an id is copied, and must stand whole.
_LEAST_NEEDED = (5, 4, 2, 3, 6)
_LONGEST_SUITE, _SHORTEST_SUITE = 40, 10
_LONGEST_ORIGIN = 24
_GAP = "  "


def run_lines(runs: Sequence[Run], width: int) -> Iterator[str]:
    """The head and a line for each run, no longer than `width` where an id and a suite have room.

    What was pruned or imported is noted where any was.
    """
    rows = [_HEAD, *(_row(run) for run in runs)]
    columns = list(range(len(_HEAD) if any(row[_NOTE] for row in rows[1:]) else _NOTE))
    widths = [max(cell_len(row[at]) for row in rows) for at in range(len(_HEAD))]
    for gone in _LEAST_NEEDED:
        if _width(columns, widths, min(widths[_SUITE], _SHORTEST_SUITE)) <= width:
            break
        if gone in columns:
            columns.remove(gone)
    room = width - _width(columns, widths, 0)
    widths[_SUITE] = min(widths[_SUITE], max(room, _SHORTEST_SUITE))
    for row in rows:
        cells = [shortened(row[at], widths[at]) if at == _SUITE else row[at] for at in columns]
        padded = [f"{cell}{' ' * (widths[at] - cell_len(cell))}" for at, cell in zip(columns, cells, strict=True)]
        yield _GAP.join(padded).rstrip()


def _row(run: Run) -> tuple[str, ...]:
    started = run.started.astimezone().strftime("%Y-%m-%d %H:%M")
    suite = shortened(one_line(run.suite), _LONGEST_SUITE)
    return run.id, suite, started, run.state, str(run.jobs), str(run.attempts), ", ".join(_notes(run))


def _notes(run: Run) -> Iterator[str]:
    if run.origin:
        yield f"from {shortened(one_line(PurePath(run.origin).name or run.origin), _LONGEST_ORIGIN)}"
    if run.pruned:
        yield f"pruned {run.pruned:%Y-%m-%d}"


def _width(columns: Sequence[int], widths: Sequence[int], suite: int) -> int:
    taken = sum(suite if at == _SUITE else widths[at] for at in columns)
    return taken + len(_GAP) * (len(columns) - 1)
