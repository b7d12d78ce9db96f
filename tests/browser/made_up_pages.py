"""Every kind of page over made-up results, by file name, as a site and reports would have them: they link to each other.

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
from benchharness.results.result import Result, Run
from reports.model.found import Found
from reports.pages.files import write
from reports.pages.index import Entry, entry_of
from reports.pages.site import index_pages, names_of, report_pages, suite_pages
from tests.unit.report_course_samples import everything
from tests.unit.report_runtime_samples import across_runtimes
from tests.unit.report_samples import RUN, WRITTEN, hostile, realistic

HOSTILE_RUN, HOSTILE = hostile("\"><img src=x onerror=alert(1)>\u202e<script>document.title='HACKED'</script>")
LONG_RUN, LONG = hostile("x" * 3000)
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
    """The HTML of every page, by the name of its file."""
    chat = realistic()
    phone = replace(found_of(elsewhere(chat[:10], "pixel-6"), LATER), hardware="pixel-6")
    suites = {
        "chat": [found_of(chat), phone],
        "sessions": [found_of(everything(), replace(RUN, suite="sessions"))],
        "runtimes": [found_of(across_runtimes(), replace(RUN, suite="runtimes"))],
        HOSTILE_RUN.suite: [found_of(HOSTILE, HOSTILE_RUN)],
        LONG_RUN.suite: [found_of(LONG, LONG_RUN)],
    }
    keys = [(suite, each.hardware) for suite, several in suites.items() for each in several]
    names = names_of(keys)
    made: dict[str, str] = {}
    entries: list[Entry] = []
    for suite, several in suites.items():
        made |= suite_pages(several, names, WRITTEN)
        entries += [
            entry_of(each, names.targets[suite, each.hardware].page, names.suites[suite], [RUN, LATER])
            for each in several
        ]
    made |= index_pages(entries, WRITTEN + timedelta(days=8))
    two = [found_of(chat), found_of(rebuilt(chat), LATER)]
    odd = [found_of(HOSTILE, HOSTILE_RUN), found_of(rebuilt(HOSTILE), replace(HOSTILE_RUN, id="2"))]
    for name, runs in (("two", two), ("odd", odd)):
        made |= {f"{name}-{file}": _beside(page, name) for file, page in report_pages(runs, WRITTEN).items()}
    return made


def _beside(page: str, name: str) -> str:
    """Several reports in one folder: their links keep to their own."""
    return page.replace('href="this-machine', f'href="{name}-this-machine').replace('href="img-', f'href="{name}-img-')


if __name__ == "__main__":  # pages to look at
    print(*write(pages(), Path(sys.argv[1])), sep="\n")
