"""Measures one artefact for a search: as any run does, but that it ends where budgets can no longer be kept, and that
what was measured before is not measured again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchharness import api, units
from benchharness import measure as making
from benchharness.errors import BenchharnessError, UsageError
from benchharness.execute.devices import reached
from benchharness.judge.budgets import judged
from benchharness.judge.hopeless import FALSE_STOPS, HOPELESS, Hopeless, exactly_missed
from benchharness.locations import state_folder
from benchharness.metrics.limits import BASE, Budget, parse
from benchharness.results.result import Job, Result
from benchharness.search.earlier import why_another_state, why_not_alike, why_other_jobs
from benchharness.search.measured import Measured, margins_of
from benchharness.suite.fields import THIS_MACHINE
from benchharness.suite.overrides import Overrides
from benchharness.suite.tables import Suite, restore_suite

if TYPE_CHECKING:
    from benchharness.api import Findings
    from benchharness.suite.asked import Asked

#: What the model is called where only paths are given: it says what is alike, and paths differ from trial to trial.
_SEARCHED = "searched"
#: Of a chance that is stated to be at most so large, more than this would be no statement.
_MOST_FALSE_STOPS = 0.2
#: Of earlier runs so many are looked at, the newest: a device that is in another state is asked about each.
_MOST_LOOKED_AT = 3
#: How old an answer may be without a word of the caller.
NO_OLDER_THAN = "30 d"


def measure(
    artefact: Suite | Mapping[str, Any] | str | Path,
    budgets: Mapping[str, Any] | None = None,
    *,
    reference: str | Path | None = None,
    on: str = THIS_MACHINE,
    task: str | None = None,
    asked: Asked | None = None,
    overrides: Overrides | None = None,
    store: str | None = None,
    watching: making.Watching | None = None,
    again: bool = False,
    no_older_than: str | timedelta = NO_OLDER_THAN,
    false_stops: float = FALSE_STOPS,
    **changes: Any,
) -> Measured:
    """What an artefact costs, and by how much it keeps each of the budgets (as a suite's `[budgets]`).

    `artefact` is a model's path, beside a `reference` where budgets are on quality or against it; or a suite (a
    `Suite`, a table, a path) in which one variant ships, whose own budgets count too. `changes` are those of
    `benchharness.run`: `scenarios`, `attempts`, `interval`, `max_time`, `threads`, `runtime`, `evaluate` …

    An earlier run in the same store answers, where it is no older than `no_older_than` and was of the same artefact,
    asked for the same, on the same device in the same state; `again` measures all the same. Measuring ends early where
    a budget can no longer be kept; of artefacts that keep every budget `false_stops` at most end so, on a
    machine up to 5 % slower than usual. Raises
    `BenchharnessError`; an artefact that fails is told in the answer.
    """
    suite = _limited(_suite_of(artefact, reference, task, asked, overrides, changes), budgets or {})
    path = _searched(suite)
    target = making.target_of(on)
    limits = [*parse(suite.budgets, "suite"), *parse(target.hardware.budgets, "hardware target")]
    _check(limits, false_stops)
    earliest = units.moment(no_older_than, now := datetime.now(UTC)) or now
    with closing(api.open_store(store)) as opened:
        planned = making.ready(opened, suite, target)
        planned = replace(planned, jobs=_needed(planned.jobs, limits))
        rules = suite.attempts
        most = rules.at_least if rules.interval is None else max(rules.at_most, rules.at_least)
        ending = Hopeless(budgets=limits, attempts=most, error=false_stops)
        asking = _Asking(path=path, budgets=limits, ending=ending, planned=planned, store=opened.url)
        known, hopeless = exactly_missed(planned.jobs, limits)
        if hopeless:
            return asking.told(known, hopeless, None)
        before = [] if again else opened.runs_of(planned.jobs, earliest)
        found, reason = asking.earlier(before)
        if found is not None:
            return asking.answer(found, cached=True)
        run = making.carry_out(opened, planned, watching, ending)
    return asking.answer(api.load(run, store=store), why_measured="it was asked for again" if again else reason)


@dataclass(frozen=True, kw_only=True)
class _Asking:
    """What was asked for, for whoever answers it."""

    path: Path
    budgets: Sequence[Budget]
    ending: Hopeless
    planned: making.Ready
    store: str

    def earlier(self, runs: Sequence[str]) -> tuple[Findings | None, str]:
        """The newest of these runs that answers; else why the newest does not."""
        why = "it was not measured before"
        for number, run in enumerate(runs[:_MOST_LOOKED_AT]):
            try:
                findings = api.load(run, store=self.store)
                trouble = self._why_not(findings)
            except BenchharnessError as error:  # the device is reached again, or not, when it is to measure
                trouble = f"the run {run} does not answer: {error}"
            if not trouble:
                return findings, ""
            why = why if number else trouble
        return None, why

    def _why_not(self, findings: Findings) -> str:
        if why := why_other_jobs([result.job for result in findings.results], self.planned.jobs):
            return why
        ours = [result for result in findings.results if result.job.ships]
        with closing(api.open_store(self.store)) as opened:
            then = restore_suite(opened.suite_and_hardware(findings.run.id)[0]).attempts
        if why := why_not_alike(findings.run, (then, self.planned.suite.attempts), ours, self.ending):
            return why
        with reached(self.planned.hardware, state_folder(self.store)) as launcher:
            return why_another_state(ours, launcher)

    def answer(self, findings: Findings, *, cached: bool = False, why_measured: str = "") -> Measured:
        """From a run's findings."""
        results = [result for result in judged(findings.results, self.budgets) if result.job.ships]
        stopped = next((each.stopped for each in results if each.stopped.startswith(HOPELESS)), "")
        return self.told(results, stopped, findings, cached=cached, why_measured=why_measured)

    def told(
        self,
        results: Sequence[Result],
        stopped: str,
        findings: Findings | None,
        *,
        cached: bool = False,
        why_measured: str = "",
    ) -> Measured:
        """The whole answer."""
        failed = next((str(each.outcome) for each in results if each.outcomes and not each.outcome.ok), "")
        return Measured(
            artefact=self.path,
            digest=next(job.digest for job in self.planned.jobs if job.ships),
            margins=margins_of(results, self.budgets),
            findings=findings,
            cached=cached,
            why_measured=why_measured,
            stopped=stopped,
            false_stops=self.ending.error,
            attempts=sum(sum(each.outcomes.values()) for each in results),
            failure=failed,
            results=results,
        )


def _suite_of(
    artefact: Suite | Mapping[str, Any] | str | Path,
    reference: str | Path | None,
    task: str | None,
    asked: Asked | None,
    overrides: Overrides | None,
    changes: dict[str, Any],
) -> Suite:
    """What is to be run. Raises `BenchharnessError`."""
    if isinstance(artefact, Suite | Mapping) or Path(artefact).suffix == ".toml":
        return making.requested(artefact, reference, task, asked, overrides, changes)
    if reference is None:
        return _renamed(making.requested([artefact], None, task, asked, overrides, changes))
    if Path(reference).expanduser().absolute() == Path(artefact).expanduser().absolute():
        raise UsageError(f"{artefact}: is the reference itself; measure it without one, or name another artefact")
    suite = making.requested([reference, artefact], reference, task, asked, overrides, changes)
    return _renamed(suite)


def _renamed(suite: Suite) -> Suite:
    """The suite of paths, its model called the same in every trial, its reference held against no budget."""
    ((_, model),) = suite.models.items()
    variants = {
        name: variant.model_copy(update={"ships": name not in model.reference})
        for name, variant in model.variants.items()
    }
    return suite.model_copy(
        update={"name": _SEARCHED, "models": {_SEARCHED: model.model_copy(update={"variants": variants})}}
    )


def _limited(suite: Suite, budgets: Mapping[str, Any]) -> Suite:
    """The suite with these budgets beside its own. Raises `UsageError` for one that both set, or that is none."""
    if not isinstance(budgets, Mapping):
        raise UsageError(f'budgets: {budgets!r} is no table; write {{"tpot": "2 ms", "size": "100 MB"}}')
    twice = sorted(suite.budgets.keys() & budgets.keys())
    if twice:
        raise UsageError(f"{twice[0]}: the suite has a budget for it already; leave one of the two out")
    parse(budgets, "suite")
    return suite.model_copy(update={"budgets": {**suite.budgets, **budgets}})


def _searched(suite: Suite) -> Path:
    """The artefact that is asked about: the one that ships. Raises `UsageError` where there is another number."""
    shipping = [each.artefact for model in suite.models.values() for each in model.variants.values() if each.ships]
    if len(shipping) != 1:
        raise UsageError(
            f"one artefact is measured at a time, and {len(shipping)} variants of the suite ship; "
            "write ships = false beside what others are compared with"
        )
    return shipping[0]


def _check(budgets: Sequence[Budget], false_stops: float) -> None:
    against_a_base = next((each for each in budgets if each.against == BASE), None)
    if against_a_base is not None:
        raise UsageError(f"{against_a_base.metric}: no base runs beside one artefact; write against = 'reference'")
    if not 0 < false_stops <= _MOST_FALSE_STOPS:
        raise UsageError(f"false_stops: {false_stops!r} is no chance above 0 and up to {_MOST_FALSE_STOPS:g}")


def _needed(jobs: Sequence[Job], budgets: Sequence[Budget]) -> list[Job]:
    """Without the reference's own time and memory, where no budget asks for a ratio to them."""
    if any(budget.against for budget in budgets):
        return list(jobs)
    return [job for job in jobs if job.ships or job.of_answers]
