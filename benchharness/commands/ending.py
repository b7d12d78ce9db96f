"""How a command ends: tables, report and exit code of a run, how to go on with a stopped one, and a last sentence."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import typer

from benchharness import errors
from benchharness.commands import signals
from benchharness.errors import NothingRan

if TYPE_CHECKING:
    from rich.console import Console

    from benchharness.api import Findings


def conclude(
    measure: Callable[[], Findings],
    *,
    out: Path | None,
    store: str | None,
    undecided_fails: bool = False,
    wish: str | None = None,
) -> None:
    """Measures, shows and reports what was found, and ends with the exit code that says it.

    `out`: the report's folder; None for no report. `wish`: which of the fit variants is recommended; None for no
    recommendation. Every command that measures ends here.
    """
    try:
        found = measure()
    except (KeyboardInterrupt, BrokenPipeError):
        _say_how_to_resume(store)
    _show(found, wish)
    if out is not None:
        tell_paths(found.render(out))
    _exit(found, undecided_fails=undecided_fails)


def _show(found: Findings, wish: str | None) -> None:
    from benchharness.terminal.choice import show_choices
    from benchharness.terminal.tables import summary

    console = terminal()
    if wish is not None:
        show_choices(found.choices(wish), console)
    summary(found.run, found.results, console)
    for budget in found.unmeasured_budgets:
        line = f"budget {budget.title} {budget.text} (set by the {budget.origin}) is undecided: nothing measured it"
        console.print(line, style="yellow", markup=False, highlight=False)


def _exit(found: Findings, *, undecided_fails: bool) -> None:
    """The exit code, 4 before 1 before 3."""
    from benchharness.results.result import VerdictKind

    failed = [result for result in found.results if not result.outcome.ok]
    if failed and len(failed) == len(found.results):
        raise NothingRan(f"not one of {len(failed)} jobs gave a result; the first: {failed[0].outcome}")
    open_question = undecided_fails and found.verdicts(VerdictKind.UNDECIDED) > 0
    if found.verdicts(VerdictKind.MISS) or open_question:
        raise typer.Exit(errors.GATE_FAILED)
    if failed:
        raise typer.Exit(errors.SOME_FAILED)


def _say_how_to_resume(store: str | None) -> NoReturn:
    """Ends an interrupted run, naming the command that goes on with it."""
    from benchharness import api

    latest = next(iter(api.runs(store=store)), None)
    if latest is None or latest.state == "finished":
        fail("interrupted before anything was measured", errors.INTERRUPTED)
    kept = f"stopped; {latest.attempts} attempts are kept"
    fail(f"{kept}. Go on with: benchharness run --resume {latest.id}", errors.INTERRUPTED)


def tell_paths(paths: Sequence[Path]) -> None:
    """Says where a report's pages are."""
    for path in paths:
        terminal().print(f"report: {path}", markup=False, highlight=False, soft_wrap=True)


def terminal() -> Console:
    """Where commands print."""
    from benchharness.terminal.tables import console

    return console()


def fail(message: str, code: int) -> NoReturn:
    """Ends the process with a sentence on standard error and an exit code."""
    from benchharness.terminal.tables import console
    from benchharness.terminal.values import visible

    line = visible(f"benchharness: {message}")
    console(stderr=True).print(line, style="red", markup=False, highlight=False, soft_wrap=True)
    if code == errors.INTERRUPTED:
        signals.ignore()  # a leaving interpreter forgets our own handler, and would die of the next
    sys.exit(code)
