"""The measures of a task, and what a variant lost of them: rows by document -> metrics. Pure.

A loss is of pairs: the same document answered by the reference and by the variant, told apart by what it says. Where
the two were not asked the same documents there is no loss, and the reason says so.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from benchharness.judge import paired
from benchharness.judge.exact_shares import CLOPPER_PEARSON, clopper_pearson, exact_mcnemar
from benchharness.judge.means import mean_over, ratio_over
from benchharness.metrics import METRICS
from benchharness.records import TASK_DOCUMENTS, TASK_LIKELIHOODS, TASK_REPLICATES
from benchharness.results.result import Attempt, AttemptValue, Estimate, MetricResult, Parameters, Result
from benchharness.scenarios.task.sets import HIGHER, LOWER

Floats = NDArray[np.float64]

_UNIT = "documents"
_P_VALUE = "a p-value, and so no interval"
#: What a measure is told by; the others are facts of how.
_NAMED = ("task", "measure", "used")
#: Measures that add up what cannot be below 0 of any document: errors, and bits or nats of what was said. Of a task's
#: own nobody knows: lm-eval's bias scores of BBQ, of which less is better, have both signs.
_NEVER_BELOW_0 = frozenset(
    ("wer", "cer", "ter", "brier_score", "bits_per_byte", "perplexity", "word_perplexity", "byte_perplexity")
)


@dataclass(frozen=True)
class _Told:
    """A measure as an attempt tells it: by document, or of the whole."""

    parameters: Parameters
    totals: Floats
    weights: Floats
    documents: Floats
    value: float
    draws: Floats | None = None  # of the whole

    @property
    def name(self) -> tuple[str, str]:
        return str(self.parameters.get("task")), str(self.parameters.get("measure"))

    @property
    def better(self) -> str:
        return str(self.parameters.get("better"))

    @property
    def named(self) -> Parameters:
        return {key: value for key, value in self.parameters.items() if key in _NAMED}

    @property
    def is_share(self) -> bool:
        """Whether it is a mean of numbers between 0 and 1 of which more is better."""
        plain = self.draws is None and self.parameters.get("as") == "mean" and bool((self.weights == 1).all())
        return plain and self.better == HIGHER and bool(((self.totals >= 0) & (self.totals <= 1)).all())

    @property
    def is_binary(self) -> bool:
        return self.is_share and bool(np.isin(self.totals, (0.0, 1.0)).all())

    @property
    def never_below_0(self) -> bool:
        """Whether no document can add less than 0, by what the measure is; that none here does says nothing."""
        return self.better == LOWER and self.name[1].partition(" (")[0] in _NEVER_BELOW_0  # behind it: lm-eval's filter

    @property
    def metric(self) -> str:
        return "task_accuracy" if self.is_share else "task_error" if self.better == LOWER else "task_score"

    @property
    def count(self) -> int:
        return len(self.documents) if self.draws is None else int(self.parameters.get("count", 0))


def measures(attempt: Attempt) -> Iterator[MetricResult]:
    """Every measure that one attempt carries, and the rows that it stands on."""
    for measurement in attempt.measurements:
        if measurement.metric not in (TASK_DOCUMENTS.metric, TASK_REPLICATES.metric, TASK_LIKELIHOODS.metric):
            continue
        rows = AttemptValue(
            attempt=attempt.id,
            device=attempt.device,
            round=attempt.round,
            value=measurement.value,
            samples=measurement.samples,
            row_length=measurement.row_length,
        )
        told = _told(measurement.metric, measurement.parameters, rows)
        if told is not None:
            yield _metric(told.metric, told.named, _value(told), rows)
        raw = Estimate(value=measurement.value, count=1, statistic="of the raw rows")
        made = _metric(measurement.metric, measurement.parameters, raw, rows)
        yield replace(made, attempts=(rows,))


def _metric(name: str, parameters: Parameters, found: Estimate, rows: AttemptValue) -> MetricResult:
    value = AttemptValue(
        attempt=rows.attempt, device=rows.device, round=rows.round, value=0.0 if found.value is None else found.value
    )
    return MetricResult(name=name, parameters=parameters, unit=METRICS[name].unit, estimate=found, attempts=(value,))


def _told(metric: str, parameters: Parameters, rows: AttemptValue) -> _Told | None:
    nothing = np.zeros(0)
    if metric == TASK_REPLICATES.metric:
        draws = np.asarray(rows.samples, dtype=np.float64)
        return _Told(parameters, nothing, nothing, nothing, rows.value, draws)
    if metric != TASK_DOCUMENTS.metric:
        return None
    columns = TASK_DOCUMENTS.by_name(np.asarray(rows.samples, dtype=np.float64))
    return _Told(parameters, columns["total"], columns["weight"], columns["document"], rows.value)


def _of(result: Result) -> dict[tuple[str, str], _Told]:
    """A result's measures by task and name."""
    found = {}
    for metric in result.metrics:
        if metric.name in (TASK_DOCUMENTS.metric, TASK_REPLICATES.metric) and metric.attempts:
            told = _told(metric.name, metric.parameters, metric.attempts[-1])
            if told is not None:
                found[told.name] = told
    return found


def _exp(values: Floats) -> Floats:
    with np.errstate(over="ignore"):  # infinite then, which an interval says
        found: Floats = np.exp(values)
    return found


def _through(told: _Told) -> Callable[[Floats], Floats]:
    return _exp if told.parameters.get("as") == "exp" else np.asarray


def _value(told: _Told) -> Estimate:
    if told.draws is not None:
        statistic = "of the whole task, interval by bootstrap over documents"
        return paired.interval_of_draws(told.draws, told.value, statistic=statistic, count=told.count, unit=_UNIT)
    if told.is_binary:
        hits, trials = int(told.totals.sum()), len(told.totals)
        low, high = clopper_pearson(hits, trials)
        statistic = f"{hits} of {trials}, {CLOPPER_PEARSON}"
        return Estimate(
            value=hits / trials, low=low, high=high, count=1, statistic=statistic, drawn=trials, drawn_unit=_UNIT
        )
    if told.is_share:
        return mean_over(
            told.totals,
            statistic="mean over documents",
            unit=_UNIT,
            positive=True,
            through=lambda share: min(share, 1.0),
        )
    if not told.weights.sum():
        return Estimate(value=None, statistic="over documents", reason="its documents have no weight")
    is_exp = told.parameters.get("as") == "exp"
    statistic = "e to the sum over documents over their weights" if is_exp else "sum over weights"
    through = _through(told)
    return ratio_over(
        told.totals,
        told.weights,
        statistic=statistic,
        unit=_UNIT,
        positive=told.never_below_0,
        through=lambda each: float(through(np.array(each))),
    )


def losses(result: Result, others: Sequence[Result]) -> Iterator[MetricResult]:
    """What a result lost against its reference, measure by measure."""
    reference = _reference_of(result, others)
    if reference is None or reference.job.key == result.job.key:
        return
    theirs = _of(reference)
    for name, ours in _of(result).items():
        rows = next(metric.attempts[-1] for metric in result.metrics if metric.attempts)
        other = theirs.get(name)
        if other is None:
            kind = "accuracy_loss" if ours.is_share else "score_loss"
            yield _metric(kind, ours.named, Estimate(value=None, statistic="paired", reason=_why_none(reference)), rows)
            continue
        kind = "accuracy_loss" if ours.is_share and other.is_share else "score_loss"
        found = _loss(ours, other)
        yield _metric(kind, ours.named, found, rows)
        if ours.is_binary and other.is_binary and found.value is not None:
            gained, lost = _flips(ours, other)
            statistic = f"exact McNemar: {gained} gained, {lost} lost"
            p = Estimate(value=exact_mcnemar(gained, lost), count=1, statistic=statistic, reason=_P_VALUE)
            yield _metric("mcnemar_p", ours.named, p, rows)


def changes(base: Result, candidate: Result) -> Iterator[tuple[str, Parameters, Estimate]]:
    """By measure candidate less base, paired by document; nothing where they were not asked the same."""
    theirs = _of(base)
    for name, ours in _of(candidate).items():
        found = _loss(ours, theirs[name]) if name in theirs else None
        if found is not None and found.value is not None:
            yield ours.metric, ours.named, found if ours.better == LOWER else _negated(found)


def _reference_of(result: Result, others: Sequence[Result]) -> Result | None:
    """The reference in the first configuration that opens it: as in quality, runtimes are compared, too."""
    job = result.job
    return next(
        (
            other
            for other in others
            if other.job.scenario == job.scenario
            and other.job.variant == job.reference
            and (other.job.side, other.job.hardware, other.job.model) == (job.side, job.hardware, job.model)
            and other.job.workload == job.workload
        ),
        None,
    )


def _why_none(reference: Result) -> str:
    if not reference.outcome.ok:
        return f"the reference has no answers: {reference.outcome.kind}"
    return "the reference was not measured so"


def _loss(ours: _Told, theirs: _Told) -> Estimate:
    """How much worse ours is: theirs less ours, or the other way round where less is better."""
    if ours.better not in (HIGHER, LOWER) or ours.better != theirs.better:
        return Estimate(value=None, statistic="paired", reason="the task does not say whether more of it is better")
    if ours.draws is not None or theirs.draws is not None:
        return _loss_of_wholes(ours, theirs)
    unequal = _unequal(ours, theirs)
    if unequal:
        return Estimate(value=None, statistic="paired by document", reason=unequal)
    ours, theirs = _in_order(ours), _in_order(theirs)
    if ours.is_binary and theirs.is_binary:
        gained, lost = _flips(ours, theirs)
        pairs = len(ours.totals)
        low, high = paired.difference_of_shares(lost, gained, pairs)
        statistic = f"paired by document: {lost} lost, {gained} gained of {pairs}, {paired.OF_SHARES}"
        value = (lost - gained) / pairs
        return Estimate(value=value, low=low, high=high, count=1, statistic=statistic, drawn=pairs, drawn_unit=_UNIT)
    pair = ((ours.totals, ours.weights), (theirs.totals, theirs.weights))
    worse, better = pair if ours.better == LOWER else pair[::-1]
    statistic = "paired by document"
    return paired.difference_of_quotients(worse, better, statistic=statistic, unit=_UNIT, through=_through(ours))


def _loss_of_wholes(ours: _Told, theirs: _Told) -> Estimate:
    statistic = "of the whole task, paired by draws of the same documents"
    if (
        ours.draws is None
        or theirs.draws is None
        or ours.parameters.get("documents") != theirs.parameters.get("documents")
    ):
        return Estimate(value=None, statistic=statistic, reason="the reference was not asked the same documents")
    worse, better = (ours, theirs) if ours.better == LOWER else (theirs, ours)
    assert worse.draws is not None
    assert better.draws is not None
    value = worse.value - better.value
    return paired.difference_of_draws(
        worse.draws, better.draws, value, statistic=statistic, count=ours.count, unit=_UNIT
    )


def _unequal(ours: _Told, theirs: _Told) -> str:
    mine, other = set(ours.documents.tolist()), set(theirs.documents.tolist())
    if mine == other and len(ours.documents) == len(theirs.documents):
        return ""
    return (
        f"not the same documents: {len(mine - other)} of {len(mine)} here are not the reference's, and "
        f"{len(other - mine)} of its {len(other)} are not here"
    )


def _in_order(told: _Told) -> _Told:
    order = np.argsort(told.documents)
    return replace(told, totals=told.totals[order], weights=told.weights[order], documents=told.documents[order])


def _flips(ours: _Told, theirs: _Told) -> tuple[int, int]:
    """Documents that only ours has right, and that only theirs has."""
    mine, other = _in_order(ours).totals, _in_order(theirs).totals
    return int(((mine == 1) & (other == 0)).sum()), int(((mine == 0) & (other == 1)).sum())


def _negated(found: Estimate) -> Estimate:
    def less(number: float | None) -> float | None:
        return None if number is None else -number

    return replace(found, value=less(found.value), low=less(found.high), high=less(found.low))


def differing(ours: Mapping[float, float], theirs: Mapping[float, float]) -> list[float]:
    """The documents, by number, whose scores differ most, those that lost most first."""
    shared = [number for number in ours if number in theirs and not math.isclose(ours[number], theirs[number])]
    return sorted(shared, key=lambda number: ours[number] - theirs[number])
