"""How a command ends: what was found, the report, the exit code of a run with its reason, and how to go on."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import typer

from benchharness import errors
from benchharness.commands import signals
from benchharness.commands.options import Form, Shown
from benchharness.errors import Interrupted, NothingRan, UsageError

if TYPE_CHECKING:
    from rich.console import Console

    from benchharness.api import Findings, Watching
    from benchharness.builds import Found, Gates


#: Measures, and hears for each run how its progress is watched; a run for each hardware target.
Measure = Callable[[Callable[[], "Watching"]], "Sequence[Findings]"]


def conclude(
    measure: Measure,
    *,
    out: Path | None,
    store: str | None,
    shown: Shown,
    undecided_fails: bool = False,
    choosing: bool = False,
    last: Callable[[Sequence[Findings], Sequence[Path]], None] | None = None,
) -> None:
    """Measures, shows and reports what was found, and ends with the exit code that says it, and why.

    `out`: the report's folder; None for no report. `choosing`: what was asked is which variant to ship, so that budgets
    which others miss are no failure where one is found; without it every variant is held to them. `last` says the last
    words instead of where the report is. Every command that measures ends here.
    """
    from benchharness import api
    from benchharness.terminal.progress import watch

    if out is not None:
        _expect_room(out)
    try:
        found = measure(lambda: watch(stderr=shown.is_document))
    except (KeyboardInterrupt, BrokenPipeError) as error:
        say_how_to_resume(error, store)
    show_all(found, shown)
    paths = api.render(found, out) if out is not None else []
    if last is not None and not shown.is_document:
        last(found, paths)
    else:
        tell_paths(paths, stderr=shown.is_document)
    _exit(found, shown, undecided_fails=undecided_fails, choosing=choosing)


def _expect_room(out: Path) -> None:
    """Raises `UsageError` where no report can be written: before the measurement and not after it."""
    try:
        there = next(each for each in (out.absolute(), *out.absolute().parents) if each.exists())
        reason = "" if there.is_dir() else f"{there} is a file"
        if not reason and not os.access(there, os.W_OK | os.X_OK):
            reason = f"{there} may not be written into"
    except OSError as error:
        reason = str(error.strerror)
    if reason:
        raise UsageError(f"{out}: no report can be written there ({reason}); choose another --out")


def show_all(found: Sequence[Findings], shown: Shown) -> None:
    """Prints what runs on several hardware targets found, one after the other; as JSON they are a list."""
    if shown.form is Form.JSON and len(found) > 1:
        sys.stdout.write(f"[{','.join(_document(each, shown) for each in found)}]\n")
        return
    for each in found:
        show(each, shown)
    if not shown.is_document:
        show_shared(found)


def show_fleets(found: Sequence[Findings], *, details: bool = False, json_: bool = False) -> None:
    """Prints what the devices of several runs say together of each hardware target; or JSON, a list of targets."""
    import json

    from benchharness import api
    from benchharness.terminal.fleet import show_fleet

    if json_:
        sys.stdout.write(f"{json.dumps(api.fleets_told(found), indent=1)}\n")
        return
    for at, each in enumerate(api.fleets(found)):
        if at:
            terminal().print()
        show_fleet(each, terminal(), details=details)


def show_shared(found: Sequence[Findings]) -> None:
    """Prints what several devices of one hardware target say together; nothing of a target with one device."""
    from benchharness import api
    from benchharness.terminal.fleet import show_fleet

    for each in api.fleets(found) if len(found) > 1 else ():
        if len(each.units) > 1 and each.together:
            terminal().print()
            show_fleet(each, terminal())


def show(found: Findings, shown: Shown) -> None:
    """Prints what a run found: the verdicts, one table for each model and workload, the doubts; or a document."""
    from benchharness.suite.fields import THIS_MACHINE
    from benchharness.terminal.answer import of_one_device, run_line, show_answers
    from benchharness.terminal.console import tell

    if shown.is_document:
        sys.stdout.write(_document(found, shown))
        return
    console = terminal()
    answers = found.answers(shown.wish)
    show_answers(answers, found.results, console, hint=not shown.warnings, gated=found.since is not None)
    if shown.details:
        from benchharness.terminal.details import details

        tell(console, "")
        details(answers, found.results, _unmeasured(found), console)
    if shown.warnings:
        from benchharness.terminal.warning_list import show_warnings

        tell(console, "")
        show_warnings(found.results, console)
    if found.hardware != THIS_MACHINE and (alone := of_one_device(found.hardware, found.results)):
        tell(console, alone, "dim")
    tell(console, run_line(found.run), "dim")


def _document(found: Findings, shown: Shown) -> str:
    if shown.form is Form.JSON:
        return f"{found.to_json()}\n"
    from benchharness.terminal.markdown import markdown

    return markdown(found.run, found.answers(shown.wish), found.results)


def _unmeasured(found: Findings) -> list[str]:
    return [f"{budget.title} {budget.text}" for budget in found.unmeasured_budgets]


def _exit(found: Sequence[Findings], shown: Shown, *, undecided_fails: bool, choosing: bool) -> None:
    """The exit code, 4 before 1 before 3; but for 0 the last line says why."""
    from benchharness.terminal.budgets import why_failed, why_missed

    results = [result for each in found for result in each.results]
    failed = [result for result in results if not result.outcome.ok]
    if failed and len(failed) == len(results):
        several = f"not one of {len(failed)} jobs gave a result; the first: {failed[0].outcome}"
        raise NothingRan(several if len(failed) > 1 else f"the one job gave no result: {failed[0].outcome}")
    answers = [answer for each in found for answer in each.answers(shown.wish)]
    if choosing:
        open_fails = undecided_fails and any(answer.budgets or answer.unmeasured for answer in answers)
        answers = [answer for answer in answers if answer.none_passes or (open_fails and answer.is_open)]
    if answers if choosing else _is_missed(found, undecided_fails=undecided_fails):
        unmeasured = [told for each in found for told in _unmeasured(each)]
        last_line(why_missed(answers, unmeasured, undecided_fails=undecided_fails))
        raise typer.Exit(errors.GATE_FAILED)
    if failed:
        last_line(why_failed(results))
        raise typer.Exit(errors.SOME_FAILED)


def _is_missed(found: Sequence[Findings], *, undecided_fails: bool) -> bool:
    from benchharness.results.result import VerdictKind

    failing = (VerdictKind.MISS, *([VerdictKind.UNDECIDED] if undecided_fails else []))
    return any(each.verdicts(kind) for each in found for kind in failing)


def say_how_to_resume(error: BaseException, store: str | None, command: str = "run") -> NoReturn:
    """Ends an interrupted command, naming the one that goes on with its own run: a store may be many people's."""
    from benchharness import api

    if not isinstance(error, Interrupted):
        fail("interrupted before anything was measured", errors.INTERRUPTED)
    attempts = next((run.attempts for run in api.runs(store=store) if run.id == error.run), 0)
    kept = f"stopped; {attempts} attempts are kept"
    fail(f"{kept}. Go on with: benchharness {command} --resume {error.run}", errors.INTERRUPTED)


def tell_paths(paths: Sequence[Path], *, stderr: bool = False) -> None:
    """Says where a report's pages are."""
    from benchharness.terminal.console import say

    for path in paths:
        say(terminal(stderr=stderr), f"report: {path}")


def terminal(*, stderr: bool = False) -> Console:
    """Where commands print."""
    from benchharness.terminal.console import console

    return console(stderr=stderr)


def fail(message: str, code: int) -> NoReturn:
    """Ends the process with a sentence on standard error and an exit code."""
    last_line(message)
    if code == errors.INTERRUPTED:
        signals.ignore()  # a leaving interpreter forgets our own handler, and would die of the next
    sys.exit(code)


def last_line(message: str) -> None:
    """Says, in red on standard error, why the exit code is not 0."""
    from benchharness.terminal.console import say
    from benchharness.terminal.values import visible

    say(terminal(stderr=True), visible(f"benchharness: {message}"), "red")


def show_comparison(found: Found) -> None:
    """Prints what a comparison of two builds found."""
    from benchharness.terminal import comparison

    told = (found.comparisons, found.gate.design())
    comparison.show_comparison(
        *told, base=found.base, candidate=found.candidate, paired=found.paired, console=terminal()
    )


def end(code: int, why: str) -> None:
    """Ends with an exit code; but for 0 the last line says why."""
    if code:
        last_line(why)
        raise typer.Exit(code)


def tell_github(found: Gates) -> None:
    """Annotations and the job's summary, where GitHub runs this."""
    from benchharness.terminal.console import say

    if os.environ.get("GITHUB_ACTIONS") != "true":
        return
    for line in found.annotations():
        say(terminal(), line)
    if summary := os.environ.get("GITHUB_STEP_SUMMARY"):
        with Path(summary).open("a", encoding="utf-8") as file:
            file.write(found.files()["summary.md"])
