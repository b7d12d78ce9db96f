"""Every kind of page over made-up results: a site, and reports on several runs, each in a folder of its own.

Run as a program with a folder, it writes them there: `python -m tests.browser.made_up_pages FOLDER`.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from functools import cache
from pathlib import Path

from benchharness.judge.answer import answers
from benchharness.judge.fleet import Measured, fleets
from benchharness.metrics.limits import parse
from benchharness.results.result import Result, Run
from benchharness.results.store import Store
from benchharness.results.trends import History
from benchharness.telemetry.lab import lab_figures
from benchharness.telemetry.told import told_of
from reports.model.found import Found
from reports.pages.field import render_field
from reports.pages.files import write as write_pages
from reports.pages.fleet import render_fleet
from reports.pages.history import render_history
from reports.pages.index import Entry, entry_of
from reports.pages.site import index_pages, names_of, report_pages, suite_pages
from tests.unit.field_samples import merged
from tests.unit.field_samples import results as field_results
from tests.unit.history_samples import Made, changed_nights, hostile_history, told, wandering, write
from tests.unit.hostile_samples import hostile
from tests.unit.report_course_samples import everything
from tests.unit.report_runtime_samples import across_runtimes
from tests.unit.report_samples import RUN, WRITTEN, realistic, result

ATTACK = "\"><img src=x onerror=document.title='HACKED'>\u202e<script>document.title='HACKED'</script>"
HOSTILE_RUN, HOSTILE = hostile(ATTACK)
LONG_RUN, LONG = hostile("long" * 750)
NAMELESS_RUN, NAMELESS = hostile("")
LATER = replace(
    RUN, id="0195a3fa-7b1e-7c44-9d0f-3f6f2f5e8a11", version="0.2.0", started=RUN.started + timedelta(hours=1)
)


def found_of(results: Sequence[Result], run: Run = RUN) -> Found:
    """As the program puts it together."""
    return Found(run=run, hardware=results[0].job.hardware, results=results, answers=answers(results))


def elsewhere(results: Sequence[Result], hardware: str) -> list[Result]:
    """The same results as another hardware target would have left them."""
    return [replace(each, job=replace(each.job, hardware=hardware)) for each in results]


def rebuilt(results: Sequence[Result]) -> list[Result]:
    """The same results with another artefact of one variant."""
    return [
        replace(each, job=replace(each.job, digest="cd34" * 16)) if each.job.variant == "int8" else each
        for each in results
    ]


@cache
def pages() -> dict[str, str]:
    """The HTML of every page, by its path."""
    chat = realistic()
    several = {
        "two": [found_of(chat), found_of(rebuilt(chat), LATER)],
        "odd": [found_of(HOSTILE, HOSTILE_RUN), found_of(rebuilt(HOSTILE), replace(HOSTILE_RUN, id="2"))],
    }
    reports = {f"{name}/{file}": page for name, runs in several.items() for file, page in _report(runs).items()}
    reports["odd/history.html"] = render_history(hostile_history(ATTACK), [], WRITTEN)
    reports |= {f"{name}/devices.html": _devices(results) for name, results in (("two", chat), ("odd", HOSTILE))}
    reports["odd/field.html"] = render_field(told_of(merged(), lab_figures(field_results())), WRITTEN)
    return {**{f"site/{file}": page for file, page in _site(chat).items()}, **reports}


def _devices(results: Sequence[Result]) -> str:
    """Several devices, each of which found the same; one is called as no device should be."""
    measured = [
        Measured(run=replace(RUN, id=device), results=[replace(each, devices=[device]) for each in results])
        for device in ("phone-1", "phone-2", ATTACK)
    ]
    (fleet,) = fleets(measured)
    found = [found_of(each.results, each.run) for each in measured]
    return render_fleet(fleet, found, [""] * 3, [], WRITTEN)


def _report(runs: Sequence[Found]) -> dict[str, str]:
    return report_pages(runs, WRITTEN)


def _site(chat: Sequence[Result]) -> dict[str, str]:
    """Of every suite the pages that a site has of it, and the index."""
    suites = {
        "chat": [found_of(chat), found_of(elsewhere(chat[:10], "pixel-6"), LATER)],
        "sessions": [found_of(everything(), replace(RUN, suite="sessions"))],
        "runtimes": [found_of(across_runtimes(), replace(RUN, suite="runtimes"))],
        "one": [found_of([result()], replace(RUN, suite="one"))],
        **{
            run.suite: [found_of(made, run)]
            for run, made in ((HOSTILE_RUN, HOSTILE), (LONG_RUN, LONG), (NAMELESS_RUN, NAMELESS))
        },
    }
    keys = [(suite, each.hardware) for suite, several in suites.items() for each in several]
    names = names_of(keys, history=True)
    made: dict[str, str] = {}
    entries: list[Entry] = []
    for suite, several in suites.items():
        made |= suite_pages(several, names, WRITTEN)
        for each in several:
            place = names.targets[suite, each.hardware]
            all_targets = names.suites[suite] if len(several) > 1 else ""
            entries.append(entry_of(each, place.page, all_targets, [RUN, LATER]))
    return made | index_pages(entries, WRITTEN + timedelta(days=8), _history())


def _history() -> History:
    """A change with its cause, a variant that fails, and a year of nights."""
    budgets = {("phones", "this-machine"): parse({"model_ttft": "12 ms"}, "suite")}
    moved = wandering(200)
    year = [Made(drift=each, suite="a year", device="000000000002", metrics=("tpot",)) for each in moved]
    return told(write(Store("sqlite://"), [*changed_nights(), *year]), budgets=budgets)


def written(folder: Path) -> dict[str, Path]:
    """Every page as a file below the folder, by its path."""
    for name in ("site", "two", "odd"):
        write_pages(
            {path.partition("/")[2]: page for path, page in pages().items() if path.startswith(f"{name}/")},
            folder / name,
        )
    return {path: folder / path for path in pages()}


if __name__ == "__main__":  # pages to look at
    print(*written(Path(sys.argv[1])).values(), sep="\n")
