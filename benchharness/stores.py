"""Looking after stores: old samples are dropped, other machines' runs brought in, and all of it verified."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import delete

from benchharness import api, reading
from benchharness.judge.answer import answers
from benchharness.judge.ranking import Wish
from benchharness.locations import default_store
from benchharness.results import importing, parcels
from benchharness.results import prune as pruning
from benchharness.results import verify as verifying
from benchharness.results.export import to_json
from benchharness.results.importing import Imported
from benchharness.results.prune import Prunable, Pruned
from benchharness.results.result import Attempt, Job, Run
from benchharness.results.schema import metadata
from benchharness.results.store import Store
from benchharness.results.untrusted import NotOurs
from benchharness.results.verify import Verified
from benchharness.scenarios import SCENARIOS
from benchharness.suite.judging import stored_rules

#: Hears how much is done, and of how much.
Watching = Callable[[int, int], None]


def prunable(before: datetime, *, store: str | None = None) -> Prunable:
    """What `prune` would drop: samples of runs that were finished before a moment."""
    with closing(api.open_store(store)) as opened:
        return pruning.prunable(opened, before, _summed_up())


def prune(before: datetime, *, store: str | None = None, watching: Watching | None = None) -> Pruned:
    """Drops samples of runs that were finished before a moment; every value, interval and percentile is kept.

    `watching` hears how many measurements are done, and of how many. Raises `StoreError`.
    """
    with closing(api.open_store(store)) as opened:
        return pruning.prune(opened, before, _summed_up(), watching)


def import_stores(
    sources: Sequence[str | Path], *, store: str | None = None, watching: Callable[[str, int, int], None] | None = None
) -> list[Imported]:
    """Brings the runs of other stores, named by file or URL, into this one: what became of those of each.

    They are never executed again, and no source is changed. `watching` hears the source, how many of its attempts are
    done, and of how many. Raises `StoreError` before anything is brought where one cannot be opened.
    """
    with ExitStack() as stack:
        into = stack.enter_context(closing(api.open_store(store)))
        others = [(str(each), Store(importing.named(each, into.url), read_only=True)) for each in sources]
        for _, other in others:
            stack.callback(other.close)
            importing.check(other)
        return [
            importing.import_from(other, into, origin, _try, partial(watching, origin) if watching else None)
            for origin, other in others
        ]


def parcel_of(*runs: str, store: str | None = None, conditions: Mapping[str, Any] | None = None) -> str:
    """Runs as one JSON text, for another store. `conditions` are told with every attempt. Raises `StoreError`."""
    with closing(api.open_store(store)) as opened:
        return parcels.parcel_of(opened, [opened.find(run) for run in runs], conditions)


def take_in(
    given: Sequence[tuple[str, str]], *, devices: Sequence[str] = (), store: str | None = None
) -> list[tuple[str, str]]:
    """Brings parcels, each with where it is from, into a store, believing nothing: of each its last run, and why not.

    One of the two is empty. `devices`: what a farm calls the device of each. Raises `StoreError`.
    """
    with closing(api.open_store(store)) as into, closing(Store("sqlite://")) as table:
        names = devices or [""] * len(given)
        return [
            _taken(parcel, origin, device, table, into) for (origin, parcel), device in zip(given, names, strict=True)
        ]


def _taken(parcel: str, origin: str, device: str, table: Store, into: Store) -> tuple[str, str]:
    """Unpacks a parcel on a table of its own, imports from there, and clears the table."""
    try:
        with table.writing() as connection:
            run = parcels.unpack_into(connection, parcel, device)
        done = importing.import_from(table, into, origin, _try)
    except NotOurs as error:
        return "", str(error)
    finally:
        with table.writing() as connection:
            for each in reversed(metadata.sorted_tables):
                connection.execute(delete(each))
    return ("", "; ".join(done.refused.values())) if done.refused else (run, "")


def verify(*, store: str | None = None, watching: Watching | None = None) -> Verified:
    """What is wrong with a store and what is odd. It is only read; one of an older schema is looked at in a copy.

    `watching` hears how many measurements are done, and of how many. Raises `StoreError` where there is no store.
    """
    with closing(Store(store or default_store(), read_only=True)) as opened:
        return verifying.verify(opened, watching)


def _try(suite_json: str, hardware_json: str, planned: Sequence[tuple[Job, str]], made: Sequence[Attempt]) -> None:
    """Whether a run of somebody else's can be shown. Raises whatever showing it raises."""
    rules = stored_rules(suite_json, hardware_json)
    found = reading.judged_by(rules, planned, made)
    now = datetime.now(UTC)
    run_ = Run(id="", suite="", suite_digest="", started=now, finished=now, state="", version="", jobs=0, attempts=0)
    to_json(run_, found, samples=False)
    assert all(job.title for job, _ in planned)
    answers(found, Wish.SMALLEST, (), rules.tells_apart)


def _summed_up() -> list[str]:
    """The scenarios whose samples nobody asks for more than what is kept of them."""
    return [scenario.name for scenario in SCENARIOS.usable() if scenario.summed_up]
