"""What a store's runs say, judged as their suites ask: one run's results, and of all the history and the self-tests."""

from __future__ import annotations

import gc
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from benchharness.errors import BenchharnessError, UsageError
from benchharness.judge.budgets import judged
from benchharness.judge.derive import derive
from benchharness.judge.evidence import told_apart
from benchharness.results.history import Part
from benchharness.results.result import Attempt, Job, Result
from benchharness.results.store import Store
from benchharness.results.trends import History
from benchharness.suite.judging import Rules, stored_bridges, stored_budgets, stored_rules

if TYPE_CHECKING:
    from benchharness.judge.bridges import Bridge
    from benchharness.judge.selftest import SelfTested

#: Of the suites in a store so many are named where one is not found.
_MOST_NAMED = 12


def results_in(store: Store, run: str) -> list[Result]:
    """A run's results, as its suite judges them."""
    return judged_by(stored_rules(*store.suite_and_hardware(run)), store.jobs(run), store.attempts(run))


def judged_by(rules: Rules, planned: Sequence[tuple[Job, str]], made: Sequence[Attempt]) -> list[Result]:
    """The results of a run's jobs (with why each stopped) and attempts."""
    return judged(told_apart(derive(planned, made), rules.tells_apart), rules.budgets)


def history_in(store: Store, part: Part, pinned: Sequence[str] = (), named: Sequence[str] = ()) -> History:
    """A history with its bridges, budgets and self-tests; `pinned` and `named` as `api.history` has base and bridge."""
    with _uncollected():
        return _history_of(store, part, pinned, named)


@contextmanager
def _uncollected() -> Iterator[None]:
    """Without looking for circular garbage: a million rows make none, and looking takes as long as reading them."""
    collected = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collected:
            gc.enable()


def _history_of(store: Store, part: Part, pinned: Sequence[str], named: Sequence[str]) -> History:
    from benchharness.judge.history import history_of  # scipy, which few commands need

    told = store.history(part)
    if part.suite is not None and not told.nights:
        _check_suite(store, part.suite)
    stored = {key: store.suite_and_hardware(run) for key, run in told.newest.items()}
    budgets, unread = stored_budgets(stored)
    bridges = [each for run in dict.fromkeys(map(store.find, named)) for each in _bridges(store, run)]
    for name in sorted({name for suite_json, _ in stored.values() for name in stored_bridges(suite_json)}):
        try:
            bridges += _bridges(store, store.find(_named(name)))
        except BenchharnessError as error:
            unread.append(f"bridge of [gate] is not used: {error}")
    found = history_of(told, now=datetime.now(UTC), pinned=pinned, bridges=bridges, budgets=budgets)
    devices = list(dict.fromkeys(trend.device for trend in found.trends if trend.device))
    return replace(found, told=[*found.told, *unread], machines=machines_in(store, devices))


def _check_suite(store: Store, name: str) -> None:
    """Raises `UsageError` where a store that holds runs holds none of a suite of this name."""
    known = sorted({run.suite for run in store.list_runs()})
    if known and name not in known:
        listed = ", ".join(known[:_MOST_NAMED]) + (f" and {len(known) - _MOST_NAMED} more" * (len(known) > _MOST_NAMED))
        raise UsageError(f"no run here is of a suite {name!r}; there are: {listed}")


def _named(bridge: str) -> str:
    """The name of a stored suite's bridge run. Raises `UsageError` for one that is another run every night."""
    if bridge == "latest":
        raise UsageError("'latest' is another run every night; name the bridge run by its id (see: benchharness runs)")
    return bridge


def machines_in(store: Store, devices: Sequence[str]) -> dict[str, str]:
    """By device what its newest self-test says, and how old it is."""
    from benchharness.judge.selftest import told

    tests, now = selftests_in(store, devices), datetime.now(UTC)
    return {device: told(tests.get(device), now) for device in devices}


def _bridges(store: Store, run: str) -> list[Bridge]:
    """What a run joins. Raises `UsageError` where it compared no builds, or neither ran."""
    from benchharness.judge.bridges import bridges_of

    rules = stored_rules(*store.suite_and_hardware(run))
    most = rules.design.looks[-1] if rules.design else None
    if bridges := list(bridges_of(store.run(run), judged_by(rules, store.jobs(run), store.attempts(run)), most)):
        return bridges
    raise UsageError(
        f"run {run} bridges no bases: it has no pair of an old and a new build that both ran; "
        "make one with: benchharness compare OLD NEW"
    )


def told_history(store: Store) -> History | None:
    """The history that a site shows; None where there is none to tell. One that cannot be read says why."""
    try:
        found = history_in(store, Part())
    except BenchharnessError as error:
        return History(nights=(), trends=(), told=[f"the history cannot be read: {error}"], tested=0, alpha=0.0)
    return found if found.trends and len(found.nights) > 1 else None


def selftests_in(store: Store, devices: Iterable[str]) -> dict[str, SelfTested]:
    """By device its newest self-test that was made with this store, is not of the future, and can be read."""
    from benchharness.judge.selftest import NAME, tested_in

    now = datetime.now(UTC)
    found: dict[str, SelfTested] = {}
    for run, device in store.finished_on(NAME, [*devices]):
        if device not in found and not run.origin and run.started <= now:
            with suppress(BenchharnessError, ValueError):
                tested = tested_in(run, results_in(store, run.id))
                if tested.device == device:  # and of no other, too
                    found[device] = tested
    return found
