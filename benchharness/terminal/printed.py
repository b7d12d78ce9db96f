"""What `print` shows of a run in Python: the verdicts and a few rows, about ten lines."""

from __future__ import annotations

import io
from collections.abc import Sequence

from rich.console import Console

from benchharness.judge.answer import Answer, worst_first
from benchharness.results.result import Run
from benchharness.terminal.answer import SIGNS, counted, run_line, title_of, told
from benchharness.terminal.console import say, tell
from benchharness.terminal.grid import grid

_WIDTH, _ROWS, _ANSWERS = 100, 5, 4


def printed(run: Run, answers: Sequence[Answer]) -> str:
    """Plain text; the rows are those of the answer that must be known first."""
    console = Console(file=io.StringIO(), width=_WIDTH, color_system=None)
    found = worst_first(answers)
    for answer in found[:_ANSWERS]:
        sign, _ = SIGNS[answer.kind]
        tell(console, f"{sign} {title_of(answer)}: {told(answer, answer.headline)}")
    if len(found) > _ANSWERS:
        tell(console, f"… and {counted(len(found) - _ANSWERS, 'more answer')}")
    for answer in [each for each in found[:1] if each.columns]:
        for line in grid(answer, console, _ROWS).lines:
            console.print(line, soft_wrap=True, highlight=False)
        if len(answer.rows) > _ROWS:
            tell(console, f"… and {counted(len(answer.rows) - _ROWS, 'more row')}")
    say(console, run_line(run))
    text: str = console.file.getvalue()  # type: ignore[attr-defined]
    return text.rstrip("\n")
