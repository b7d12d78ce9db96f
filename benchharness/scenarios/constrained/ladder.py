"""How little a model can live with: the trials of a constrained attempt -> its ladder and metrics. Pure.

The device reports how each trial ended and no verdicts; what counts as slower, thrashing or enough is decided here and
can be derived again from what is stored.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from statistics import median
from typing import Any, TypeVar

from benchharness.metrics import METRICS
from benchharness.records import CONSTRAINED_TRIALS, FALLBACK_TRIES, Table, TrialEnd, TrialRow
from benchharness.results.courses import SLOWER_FROM, Chain, ChainLink, Ladder, Step, StepOutcome
from benchharness.results.result import Attempt, AttemptValue, Estimate, Measurement, MetricResult, Parameters
from benchharness.scenarios.raw import raw_result

_FAILED: Mapping[float, StepOutcome] = {
    TrialEnd.ERROR: StepOutcome.ERROR,
    TrialEnd.OUT_OF_MEMORY: StepOutcome.KILLED,
    TrialEnd.HUNG: StepOutcome.TIMEOUT,
    TrialEnd.CRASHED: StepOutcome.ERROR,
}
#: A late trial thrashes if it paged in more than this times the most that any unconstrained trial did.
_THRASHING = 2
MEMORY_FLOOR, ADDRESS_SPACE_FLOOR = "memory floor", "address-space floor"
_FLOORS = {MEMORY_FLOOR: ("memory", "memory_floor"), ADDRESS_SPACE_FLOOR: ("address space", "address_space_floor")}
Row = TypeVar("Row")
_RAW = (CONSTRAINED_TRIALS.metric, FALLBACK_TRIES.metric)


def ladder_of(attempt: Attempt) -> Ladder | None:
    """The steps of a constrained attempt and what they say together; None where it made no trials."""
    steps = sorted(
        _measured(attempt, CONSTRAINED_TRIALS.metric), key=lambda each: _number(each.parameters.get("step"), 0)
    )
    usual = next((_rows(each, CONSTRAINED_TRIALS) for each in steps if each.parameters.get("constraint") == "none"), [])
    if not usual or min(row.time for row in usual) <= 0:
        return None
    facts = _Facts(attempt)
    made = [_step(each, usual, facts) for each in steps]
    floor_bytes, failing_bytes = _floor(made, facts)
    return Ladder(
        attempt=attempt.id,
        device=attempt.device,
        by=facts.by,
        unconstrained_ns=median(row.time for row in usual),
        steps=made,
        floor_bytes=floor_bytes,
        failing_bytes=failing_bytes,
        floor_name=facts.floor_name,
        reason=facts.no_floor,
        chains=[_chain(each, facts) for each in _measured(attempt, FALLBACK_TRIES.metric)],
    )


def constrained_metrics(attempt: Attempt) -> Iterator[MetricResult]:
    """Every metric that a constrained attempt carries, and its raw rows. It makes its own trials: one says it all."""
    ladder = ladder_of(attempt)
    if ladder is None:
        return
    name = _FLOORS[ladder.floor_name][1]
    if ladder.floor_bytes is not None:
        floor = Estimate(
            value=ladder.floor_bytes,
            low=ladder.failing_bytes,
            high=ladder.floor_bytes,
            count=1,
            statistic=f"smallest limit that suffices, by {ladder.by}; the interval is the bracket of the search",
            reason=ladder.reason if ladder.failing_bytes is None else "",
        )
        yield _metric(attempt, name, {}, floor)
    for chain in ladder.chains:
        of: Parameters = {"limit_bytes": chain.limit_bytes}
        if chain.answered_by is not None:
            yield _metric(attempt, "fallback_time", of, _once(chain.time_ns, f"until {chain.answered_by} had answered"))
        yield _metric(attempt, "fallback_time_lost", of, _once(chain.lost_ns, "on variants that failed"))
    for measurement in attempt.measurements:
        if measurement.metric in _RAW:
            yield raw_result(attempt, measurement)


class _Facts:
    """What the attempt tells beside its rows. A device is not trusted to tell it in the right shape."""

    def __init__(self, attempt: Attempt) -> None:
        told = attempt.effective.of_scenario("constrained")
        self.by = str(told.get("by", "unknown"))
        self.floor_name = ADDRESS_SPACE_FLOOR if told.get("floor") == ADDRESS_SPACE_FLOOR else MEMORY_FLOOR
        self.needed = _number(told.get("needed"), 4)
        memory = told.get("memory")
        self.no_floor = "" if memory == "ok" else str(memory or "the device does not say why")
        chain = told.get("chain")
        self.chain = [str(each) for each in chain] if isinstance(chain, list) else []
        unheld = told.get("unheld")
        self._unheld = [each for each in unheld if isinstance(each, int)] if isinstance(unheld, list) else []
        self._reasons: dict[int, list[str]] = {}
        reasons = told.get("reasons")
        for entry in reasons if isinstance(reasons, list) else ():
            if isinstance(entry, list) and len(entry) == 2 and isinstance(entry[0], int):
                self._reasons.setdefault(entry[0], []).append(str(entry[1]))

    def was_held(self, measurement: Measurement) -> bool:
        """Whether what a step's trials ran beside was there to their end."""
        return _number(measurement.parameters.get("step"), -1) not in self._unheld

    def reasons(self, measurement: Measurement) -> list[str]:
        """Why trials of a step failed."""
        return self._reasons.get(int(_number(measurement.parameters.get("step"), -1)), [])


def _step(measurement: Measurement, usual: Sequence[TrialRow], facts: _Facts) -> Step:
    rows, parameters = _rows(measurement, CONSTRAINED_TRIALS), measurement.parameters
    constraint = str(parameters.get("constraint", "unknown"))
    amount = parameters.get("amount")
    answered = [row for row in rows if row.outcome == TrialEnd.ANSWERED]
    usual_ns = median(row.time for row in usual)
    peaks = [row.peak for row in rows if row.peak]
    times = [row.time for row in rows]
    held = facts.was_held(measurement)
    slower = median(row.time for row in answered) / usual_ns if answered and held else None
    return Step(
        constraint=constraint,
        amount=float(amount) if isinstance(amount, int | float) else None,
        trials=len(rows),
        answered=len(answered),
        outcome=_outcome(constraint, rows, usual, facts.needed, slower) if held else StepOutcome.UNKNOWN,
        slower=slower,
        time_ns=median(times) if times else None,
        page_ins=median(row.page_ins for row in rows) if rows else None,
        peak_bytes=max(peaks) if peaks else None,
        reason="; ".join(facts.reasons(measurement)),
    )


def _outcome(
    constraint: str, rows: Sequence[TrialRow], usual: Sequence[TrialRow], needed: float, slower: float | None
) -> StepOutcome:
    """What a step's trials come to. `slower` is printed beside it, and so fine and slower are read off it alone."""
    if not rows:
        return StepOutcome.NOT_APPLIED
    answered = sum(row.outcome == TrialEnd.ANSWERED for row in rows)
    by_ratio = StepOutcome.SLOWER if slower is None or round(slower, 2) >= SLOWER_FROM else StepOutcome.FINE
    if answered >= min(needed, len(usual)):
        return by_ratio
    failed = Counter(int(row.outcome) for row in rows if row.outcome != TrialEnd.ANSWERED)
    if not failed:
        return StepOutcome.UNKNOWN  # fewer trials than decide it
    commonest = max(failed, key=lambda code: (failed[code], code))
    if commonest != TrialEnd.LATE:
        return _FAILED.get(commonest, StepOutcome.ERROR)
    paged_in = median(row.page_ins for row in rows if row.outcome == TrialEnd.LATE)
    if paged_in > _THRASHING * max(1.0, *(row.page_ins for row in usual)):
        return StepOutcome.THRASHING
    crawls = constraint in ("memory", "address space") or by_ratio is StepOutcome.FINE
    return StepOutcome.TIMEOUT if crawls else StepOutcome.SLOWER


def _floor(steps: Sequence[Step], facts: _Facts) -> tuple[float | None, float | None]:
    """(smallest limit above all that failed in which enough trials answered, largest that failed)."""
    constraint = _FLOORS[facts.floor_name][0]
    tried = [step for step in steps if step.constraint == constraint and step.amount is not None and step.trials]
    failed = [step.amount for step in tried if step.amount is not None and step.answered < facts.needed]
    failing = max(failed, default=None)
    enough = [
        step.amount
        for step in tried
        if step.amount is not None and step.answered >= facts.needed and step.amount > (failing or 0.0)
    ]
    return min(enough, default=None), failing


def _chain(measurement: Measurement, facts: _Facts) -> Chain:
    rows, reasons = _rows(measurement, FALLBACK_TRIES), facts.reasons(measurement)
    links: list[ChainLink] = []
    for row in rows:
        place, is_answered = int(row.place), row.outcome == TrialEnd.ANSWERED
        outcome = StepOutcome.FINE if is_answered else _FAILED.get(row.outcome, StepOutcome.TIMEOUT)
        variant = facts.chain[place] if 0 <= place < len(facts.chain) else f"variant {place + 1}"
        reason = "" if is_answered or len(links) >= len(reasons) else reasons[len(links)]
        links.append(ChainLink(variant=variant, outcome=outcome, time_ns=row.time, reason=reason))
    answered = next((link.variant for link in links if link.outcome is StepOutcome.FINE), None)
    return Chain(
        limit_bytes=_number(measurement.parameters.get("limit_bytes"), 0),
        links=links,
        answered_by=answered,
        time_ns=sum(link.time_ns for link in links),
        lost_ns=sum(link.time_ns for link in links if link.outcome is not StepOutcome.FINE),
    )


def _measured(attempt: Attempt, metric: str) -> list[Measurement]:
    return [each for each in attempt.measurements if each.metric == metric]


def _rows(measurement: Measurement, table: Table[Row]) -> list[Row]:
    """A measurement's rows; none where they are not of the width that they should be."""
    return table.rows(measurement.samples) if table.fits(measurement.samples, measurement.row_length) else []


def _number(value: Any, otherwise: float) -> float:
    return float(value) if isinstance(value, int | float) else otherwise


def _once(value: float, statistic: str) -> Estimate:
    return Estimate(value=value, count=1, statistic=statistic, reason="tried once, and so no interval")


def _metric(attempt: Attempt, name: str, parameters: Parameters, found: Estimate) -> MetricResult:
    value = AttemptValue(
        attempt=attempt.id, device=attempt.device, round=attempt.round, value=found.value if found.value else 0.0
    )
    return MetricResult(name=name, parameters=parameters, unit=METRICS[name].unit, estimate=found, attempts=(value,))
