"""A run and what it found, read from a store; and what several of them say of their devices together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchharness import reading
from benchharness.errors import BenchharnessError
from benchharness.judge.answer import Answer, answers
from benchharness.judge.budgets import unmeasured
from benchharness.judge.choice import Choice, choices
from benchharness.judge.ranking import Wish
from benchharness.locations import default_store
from benchharness.metrics.limits import Budget
from benchharness.results.export import to_csv, to_json
from benchharness.results.result import BASE, TELLS_APART, Result, Run, VerdictKind
from benchharness.results.store import Store
from benchharness.suite.fields import THIS_MACHINE
from benchharness.suite.judging import Rules, stored_rules

if TYPE_CHECKING:
    import pandas as pd

    from benchharness.judge.builds import Since
    from benchharness.judge.fleet import Fleet
    from reports.model.found import Found


@dataclass(frozen=True, kw_only=True)
class Findings:
    """A run and what it found. Shown as a table in a notebook; `print` says the verdict and a few rows."""

    run: Run
    results: Sequence[Result]
    hardware: str = THIS_MACHINE  # the target that it was started for
    unmeasured_budgets: Sequence[Budget] = ()
    tells_apart: float = TELLS_APART  # as the suite sets it
    since: Since | None = None  # where the run compares two builds: what became of the candidate
    store: str | None = None  # where it was read from

    def verdicts(self, kind: VerdictKind) -> int:
        """How many budgets were passed, missed or left undecided, over all results; unmeasured ones are undecided."""
        told = sum(verdict.kind is kind for result in self.results for verdict in result.verdicts)
        return told + (len(self.unmeasured_budgets) if kind is VerdictKind.UNDECIDED else 0)

    def frame(self) -> pd.DataFrame:
        """A row per result and metric: what was measured, value, 95 % interval, ratio to the reference, outcome."""
        from benchharness.results import frames

        return frames.results_frame(self.results)

    def attempts_frame(self) -> pd.DataFrame:
        """A row per attempt and metric, with the raw samples."""
        from benchharness.results import frames

        return frames.attempts_frame(self.results)

    def compare(self) -> pd.DataFrame:
        """Ratios to the reference variant: a row per metric, a column per variant."""
        from benchharness.results import frames

        return frames.comparison_frame(self.results)

    def render(self, folder: str | Path) -> list[Path]:
        """Writes one HTML page per hardware target; their paths."""
        from reports.pages.files import write
        from reports.pages.site import report_pages

        return write(report_pages([found_of(self)], datetime.now(UTC), []), Path(folder))

    def choices(self, wish: Wish | str = Wish.SMALLEST) -> list[Choice]:
        """The Pareto front and the recommendation for each model, hardware target and workload.

        `wish` is "smallest" or "fastest". Raises `UsageError` for any other.
        """
        told = [f"{budget.title} {budget.text}" for budget in self.unmeasured_budgets]
        return choices(self.shipping, Wish(wish), told, self.tells_apart)

    def answers(self, wish: Wish | str = Wish.SMALLEST) -> list[Answer]:
        """What may ship: for each hardware target, model and workload a headline, what decided it, and one table.

        `wish` is as for `choices`. Raises `UsageError` for any other.
        """
        told = [f"{budget.title} {budget.text}" for budget in self.unmeasured_budgets]
        return answers(self.shipping, Wish(wish), told, self.tells_apart)

    @property
    def shipping(self) -> Sequence[Result]:
        """All but what a comparison holds the candidate against."""
        return [result for result in self.results if result.job.side != BASE]

    def __str__(self) -> str:
        from benchharness.terminal.printed import printed

        return printed(self.run, self.answers())

    def __repr__(self) -> str:
        return f"<Findings of run {self.run.id}: {len(self.results)} results>"

    def to_json(self, *, samples: bool = True) -> str:
        """Schema 1, see `benchharness.results.export`; without samples it is a hundredth as long."""
        return to_json(self.run, self.results, self.choices(), samples=samples)

    def to_csv(self) -> str:
        """A row per result and metric."""
        return to_csv(self.run, self.results)

    def _repr_html_(self) -> str:
        from benchharness.results import frames

        return frames.summary_html(self.run, self.results)


def fleets(findings: Iterable[Findings]) -> list[Fleet]:
    """What several devices say of each hardware target: the device as a random level, the newest run of each."""
    from benchharness.judge.fleet import Measured
    from benchharness.judge.fleet import fleets as taken_together

    return taken_together(
        Measured(run=each.run, results=each.results, primary=each.since.design.primary if each.since else ())
        for each in findings
    )


def fleets_told(findings: Iterable[Findings], *, headlines: bool = False) -> list[dict[str, Any]]:
    """The same for programs, schema 1; or of figures only those that are looked at first."""
    from benchharness.judge.fleet_json import to_json

    return [to_json(each, headlines=headlines) for each in fleets(findings)]


def found_of(findings: Findings, kept: Store | None = None) -> Found:
    """What pages take of a run. `kept`: its store, where that is open: to open one on a server takes a page's time."""
    from reports.model.found import Exports, Found

    devices = sorted({device for result in findings.results for device in result.devices})
    machines: dict[str, str] = {}
    if kept is not None:
        machines = reading.machines_in(kept, devices)
    elif findings.store is not None:
        with opened(findings.store) as store:
            machines = reading.machines_in(store, devices)
    return Found(
        run=findings.run,
        hardware=findings.hardware,
        results=findings.shipping,
        answers=findings.answers(),
        since=findings.since,
        exports=Exports(csv=findings.to_csv(), json=findings.to_json(samples=False)),
        machines=machines,
    )


@contextmanager
def opened(url: str | None) -> Iterator[Store]:
    """A store for as long as it is wanted. Raises `StoreError`."""
    store = open_store(url)
    try:
        yield store
    finally:
        store.close()


def open_store(url: str | None = None) -> Store:
    """The store at a URL, or the user's own. Raises `StoreError`."""
    return Store(url or default_store())


def findings_in(store: Store, run_: str) -> Findings:
    """What a run of an open store found."""
    rules = stored_rules(*store.suite_and_hardware(run_))
    results = reading.judged_by(rules, store.jobs(run_), store.attempts(run_))
    told = store.run(run_)
    return Findings(
        run=told,
        results=results,
        hardware=rules.hardware,
        unmeasured_budgets=unmeasured(results, rules.budgets),
        tells_apart=rules.tells_apart,
        since=_since(store, rules, results, _day_of(told)),
        store=store.url,
    )


def _day_of(run_: Run) -> date:
    """When it was judged, which decides what was accepted then: a verdict does not change when its day is over."""
    return (run_.finished or datetime.now(UTC)).astimezone().date()


def _since(store: Store, rules: Rules, results: Sequence[Result], day: date) -> Since | None:
    if rules.builds is None or rules.design is None:
        return None
    from benchharness.judge.builds import Since, compared, twins
    from benchharness.judge.gate import gated

    base, candidate = rules.builds
    design = rules.design
    found = compared(twins(results), design)
    verdict = gated(found, None, results, design=design, today=day)
    if rules.repeats is not None:
        with suppress(BenchharnessError):  # the run that it repeats may be of another store
            first = reading.results_in(store, rules.repeats)
            verdict = gated(compared(twins(first), design), found, first, design=design, today=day)
    return Since(base=base, candidate=candidate, design=design, comparisons=found, gated=verdict)
