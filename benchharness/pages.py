"""Linked pages over a whole store: what of it is shown, and what of it only listed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from benchharness.api import findings_of, found_of, opened
from benchharness.errors import BenchharnessError
from benchharness.results.result import Run
from benchharness.results.store import Store

if TYPE_CHECKING:
    from reports.model.found import Found
    from reports.pages.index import Entry
    from reports.pages.site import Names


def site(folder: str | Path, *, store: str | None = None) -> list[Path]:
    """Writes linked pages over a whole store: an index, and for each suite all of its targets; the pages' paths.

    Of a suite on a hardware target the newest run is shown in full, earlier ones are listed. A run that cannot be read
    stands in the index with the reason.
    """
    from reports.pages.files import write
    from reports.pages.site import index_pages, names_of, suite_pages

    now = datetime.now(UTC)
    entries: list[Entry] = []
    paths: list[Path] = []
    with opened(store) as kept:
        by_key = _runs_by_key(kept)
        names = names_of(list(by_key))
        for suite in dict.fromkeys(suite for suite, _ in by_key):
            keys = {hardware: runs for (one, hardware), runs in by_key.items() if one == suite}
            shown, told = _newest(kept, keys, names)
            entries += told
            paths += write(suite_pages(shown, names, now), Path(folder)) if shown else []
    return [*write(index_pages(entries, now), Path(folder)), *paths]


def _runs_by_key(store: Store) -> dict[tuple[str, str], list[Run]]:
    """By suite and hardware target, the runs, newest first."""
    hardware = store.hardware_of_runs()
    found: dict[tuple[str, str], list[Run]] = {}
    for each in store.list_runs():
        for name in hardware.get(each.id, ()):
            found.setdefault((each.suite, name), []).append(each)
    return found


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
                read[newest.id] = each_target(found_of(findings_of(store, newest.id)))
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
