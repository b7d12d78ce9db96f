"""Pages over runs, over a whole store, and over what else can be told: written into folders. The reports draw them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchharness import reading
from benchharness.api.findings import Findings, findings_in, fleets, found_of, opened
from benchharness.errors import BenchharnessError
from benchharness.results.result import Result, Run
from benchharness.results.store import Store
from benchharness.results.trends import History

if TYPE_CHECKING:
    from reports.model.found import Found
    from reports.pages.index import Entry
    from reports.pages.site import Devices, Names

#: Runs of several devices that began within this time are of one night; and so many of them are read.
_ONE_NIGHT, _MOST_OF_A_NIGHT = timedelta(hours=18), 100


def render(findings: Sequence[Findings], folder: str | Path) -> list[Path]:
    """Writes HTML pages over one or several runs, one per hardware target and their jobs beside it; their paths.

    Several runs on one hardware target are compared on one page: as devices, where each is of another one.
    """
    from reports.pages.files import write
    from reports.pages.site import report_pages

    found = [found_of(each) for each in findings]
    together = fleets(findings) if len(findings) > 1 else []
    return write(report_pages(found, datetime.now(UTC), together), Path(folder))


def render_history(history: History, file: str | Path) -> Path:
    """Writes a history as one self-contained HTML page; its path. Raises `UsageError` where it cannot be written."""
    from reports.pages.files import write
    from reports.pages.history import render_history as rendered

    (path,) = write({Path(file).name: rendered(history, [], datetime.now(UTC))}, Path(file).parent)
    return path


def render_farm(status: Mapping[str, Any], file: str | Path) -> Path:
    """Writes how a farm stands, as `farm.asking.status` tells it, as one HTML page; its path. Raises `UsageError`."""
    from reports.pages.farm import render_farm as rendered
    from reports.pages.files import write

    (path,) = write({Path(file).name: rendered(status, datetime.now(UTC))}, Path(file).parent)
    return path


def render_field(told: Mapping[str, Any], file: str | Path) -> Path:
    """Writes the field's figures, as `telemetry.told` tells them, as one HTML page; its path. Raises `UsageError`."""
    from reports.pages.field import render_field as rendered
    from reports.pages.files import write

    (path,) = write({Path(file).name: rendered(told, datetime.now(UTC))}, Path(file).parent)
    return path


def site(folder: str | Path, *, store: str | None = None) -> list[Path]:
    """Writes linked pages over a whole store: an index, and for each suite all of its targets; the pages' paths.

    Of a suite on a hardware target the newest run is shown in full, earlier ones are listed, and what several say over
    time is a page of its own. A run that cannot be read stands in the index with the reason.
    """
    from reports.pages.files import write
    from reports.pages.site import index_pages, names_of, suite_pages

    now = datetime.now(UTC)
    entries: list[Entry] = []
    paths: list[Path] = []
    with opened(store) as kept:
        by_key = kept.runs_by_suite_and_hardware()
        told = reading.told_history(kept)
        names = names_of(list(by_key), history=told is not None)
        for suite in dict.fromkeys(suite for suite, _ in by_key):
            keys = {hardware: runs for (one, hardware), runs in by_key.items() if one == suite}
            shown, lines = _newest(kept, keys, names)
            entries += lines
            several = {hardware: one for hardware in keys if (one := _devices_of(kept, hardware, keys[hardware]))}
            paths += write(suite_pages(shown, names, now, several), Path(folder)) if shown else []
    return [*write(index_pages(entries, now, told), Path(folder)), *paths]


def _newest(store: Store, by_hardware: Mapping[str, Sequence[Run]], names: Names) -> tuple[list[Found], list[Entry]]:
    """The newest run of one suite on each hardware target, and what the index says of it."""
    from reports.model.found import by_hardware as each_target
    from reports.pages.index import Entry, entry_of

    shown: list[Found] = []
    told: list[Entry] = []
    read: dict[str, list[Found]] = {}
    for hardware, (newest, *earlier) in by_hardware.items():
        place = names.targets[newest.suite, hardware]
        try:
            if newest.id not in read:
                findings = findings_in(store, newest.id)
                _look_at_samples(findings.results)
                read[newest.id] = each_target(found_of(findings, store))
        except BenchharnessError as error:
            why = f"it cannot be read: {error}"
            told.append(Entry(suite=newest.suite, hardware=hardware, run=newest, earlier=tuple(earlier), trouble=why))
            continue
        # Names are cut where the store lists them.
        found = next(each for each in read[newest.id] if each.hardware[: len(hardware)] == hardware)
        shown.append(found)
        all_targets = names.suites[newest.suite] if len(by_hardware) > 1 else ""
        told.append(entry_of(found, place.page, all_targets, earlier))
    return shown, told


def _devices_of(store: Store, hardware: str, runs_: Sequence[Run]) -> Devices | None:
    """What several devices say of a hardware target, of runs of one night; None where one alone tells.

    One that cannot be read is left out: the index says so of the newest.
    """
    from reports.model.found import Found
    from reports.pages.site import Devices

    night = [each for each in runs_ if runs_[0].started - each.started < _ONE_NIGHT][:_MOST_OF_A_NIGHT]
    newest: dict[str, str] = {}
    for run_, device in store.devices_of([each.id for each in night]) if len(night) > 1 else ():
        newest.setdefault(device, run_)
    findings: list[Findings] = []
    for run_ in dict.fromkeys(newest.values()) if len(newest) > 1 else ():
        with suppress(BenchharnessError):
            read = findings_in(store, run_)
            findings.append(replace(read, results=[one for one in read.results if one.job.hardware == hardware]))
    told = next((each for each in fleets(findings) if len(each.units) > 1 and each.together), None)
    if told is None:
        return None
    found = [Found(run=each.run, hardware=hardware, results=each.shipping) for each in findings]
    return Devices(fleet=told, found=found)


def _look_at_samples(results: Sequence[Result]) -> None:
    """Raises `StoreError` for damaged samples while it is known whose they are: pages are drawn of several runs."""
    for value in (value for result in results for metric in result.metrics for value in metric.attempts):
        if not value.why_no_samples:
            value.samples[:0]
