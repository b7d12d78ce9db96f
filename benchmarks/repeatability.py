"""Whether a run made again finds the same: two stored runs of `repeatability.toml`, at least an hour apart.

Every cell (variant, configuration, workload, scenario) and headline metric is one comparison. It agrees where the 95 %
intervals of both runs overlap. The stricter count asks whether the 95 % interval of the difference (Welch's t on
logarithms) contains none at all: one in twenty does not by chance alone. Comparisons of one run share its hour, so they
are not independent, and the interval of the share (Clopper and Pearson) is a lower bound on the doubt.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from statistics import fmean, variance

from scipy import special  # scipy.stats takes half a second to import

import benchharness
from benchharness.judge.intervals import paired_ratio
from benchharness.judge.student import LEVEL
from benchharness.metrics import METRICS
from benchharness.results.result import Estimate, Job, MetricResult, Result, Run
from benchmarks.bars import Bar, Criterion, Finding, Verdict
from benchmarks.options import ROOT, Options, ending_in_words, parser, read
from benchmarks.processes import load_average

SUITE = "repeatability"
STORE = ROOT / "build" / "repeatability.db"
APART = timedelta(hours=1)
SHARE = 0.95
#: Fewer comparisons cannot say "95 of 100".
LEAST_COMPARISONS = 100
_CLAIM = "of 100 results measured again an hour later, at least 95 agree within their intervals"
_TO_DO = (
    "run twice, an hour apart: benchharness run benchmarks/repeatability.toml --store sqlite:///build/repeatability.db"
)


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """One metric of one cell in both runs."""

    cell: str
    metric: str
    first: Estimate
    second: Estimate
    first_values: Sequence[float]  # of its attempts
    second_values: Sequence[float]

    @property
    def overlap(self) -> bool:
        """Whether the two 95 % intervals have a point in common."""
        first, second = self.first, self.second
        assert first.low is not None
        assert first.high is not None
        assert second.low is not None
        assert second.high is not None
        return first.low <= second.high and second.low <= first.high

    @property
    def same(self) -> bool:
        """Whether the 95 % interval of the difference of logarithms contains zero."""
        low, high = _welch_interval(self.first_values, self.second_values)
        return low <= 0 <= high

    def __str__(self) -> str:
        return f"{self.cell}, {self.metric}: {_told(self.first)} and {_told(self.second)}"


def measure(options: Options) -> Bar:
    """The share of comparisons that agree, of the two newest fitting runs; undecided where there are none."""
    return _measure_newest(f"sqlite:///{STORE}") if STORE.is_file() else _undecided()


def _measure_newest(store: str) -> Bar:
    chosen = newest_apart(benchharness.runs(store=store))
    return _undecided() if chosen is None else measure_runs(*chosen, store=store)


def newest_apart(runs: Sequence[Run]) -> tuple[str, str] | None:
    """The ids of the newest finished run of the suite and of the newest that began an hour before it, older first."""
    finished = [run for run in runs if run.suite == SUITE and run.state == "finished"]
    newest = max(finished, key=lambda run: run.started, default=None)
    if newest is None:
        return None
    older = [run for run in finished if newest.started - run.started >= APART]
    return (max(older, key=lambda run: run.started).id, newest.id) if older else None


def measure_runs(first_id: str, second_id: str, *, store: str | None) -> Bar:
    """Compares two runs of one store, whenever they were made; under an hour apart they decide nothing."""
    before = load_average()
    first, second = (benchharness.load(name, store=store) for name in (first_id, second_id))
    apart = abs(second.run.started - first.run.started)
    compared = comparisons(first.results, second.results)
    if not compared:
        return _undecided(f"runs {first_id} and {second_id} have no result in common")
    apart_minutes = apart.total_seconds() / 60
    return Bar(
        name="repeatability",
        claim=_CLAIM,
        findings=[
            _share("intervals overlap", compared, [each.overlap for each in compared], _enough(apart)),
            _share("interval of the difference contains none", compared, [each.same for each in compared], None),
            *_moved(compared),
        ],
        conditions=[
            f"runs {first.run.id} and {second.run.id}, {apart_minutes:.0f} minutes apart",
            "in the shares a dot is a metric's own share, in the ratios a cell",
            *(f"disagree: {each}" for each in compared if not each.overlap),
        ],
        load=(before, load_average()),
    )


def comparisons(first: Sequence[Result], second: Sequence[Result]) -> list[Comparison]:
    """Every headline metric that both runs have with an interval, by cell; no exact figures, such as sizes."""
    theirs = {_cell(result.job): result for result in second}
    found = []
    for result in first:
        counterpart = theirs.get(_cell(result.job))
        again = {_identity(metric): metric for metric in counterpart.metrics} if counterpart else {}
        for metric in result.metrics:
            other = again.get(_identity(metric))
            if other is not None and _counts(metric) and _counts(other):
                found.append(_comparison(result, metric, other))
    return found


def _comparison(result: Result, first: MetricResult, second: MetricResult) -> Comparison:
    return Comparison(
        cell=result.job.title,
        metric=first.name,
        first=first.estimate,
        second=second.estimate,
        first_values=[each.value for each in first.attempts],
        second_values=[each.value for each in second.attempts],
    )


def _cell(job: Job) -> tuple[str, ...]:
    """What makes two jobs the same measurement; where the files lie does not, what is in them does."""
    parts = (job.configuration.to_json(), job.workload.to_json(), dict(job.settings))
    told = (json.dumps(part, sort_keys=True) for part in parts)
    return (job.hardware, job.model, job.variant, job.digest, job.scenario, *told)


def _identity(metric: MetricResult) -> tuple[str, str]:
    return metric.name, json.dumps(dict(metric.parameters), sort_keys=True)


def _counts(metric: MetricResult) -> bool:
    """Headline metrics, by their medians where they have percentiles, with an interval."""
    measured = metric.estimate.low is not None and len(metric.attempts) > 1
    return METRICS[metric.name].headline and metric.parameters.get("percentile", 50) == 50 and measured


def _welch_interval(first: Sequence[float], second: Sequence[float]) -> tuple[float, float]:
    """The 95 % interval of mean ln second - mean ln first: Welch's t with Welch and Satterthwaite's freedom."""
    logarithms = [[math.log(value) for value in values] for values in (first, second)]
    difference = fmean(logarithms[1]) - fmean(logarithms[0])
    parts = [variance(values) / len(values) for values in logarithms]
    if not sum(parts):
        return difference, difference
    freedom = sum(parts) ** 2 / sum(part**2 / (len(values) - 1) for part, values in zip(parts, logarithms, strict=True))
    half = float(special.stdtrit(freedom, (1 + LEVEL) / 2)) * math.sqrt(sum(parts))
    return difference - half, difference + half


def _share(
    label: str, compared: Sequence[Comparison], agreeing: Sequence[bool], criterion: Criterion | None
) -> Finding:
    """The share that agrees, with Clopper and Pearson's interval."""
    count, total = sum(agreeing), len(agreeing)
    by_metric = {name: _of(name, compared, agreeing) for name in _metrics(compared)}
    return Finding(
        label=f"{label}: share",
        ratio=Estimate(
            value=count / total,
            low=float(special.betaincinv(count, total - count + 1, (1 - LEVEL) / 2)) if count else 0.0,
            high=float(special.betaincinv(count + 1, total - count, (1 + LEVEL) / 2)) if count < total else 1.0,
            count=total,
            statistic="share with Clopper and Pearson's interval",
        ),
        per_round=[fmean(found) for found in by_metric.values()],
        absolute=f"{count} of {total} comparisons agree: "
        + ", ".join(f"{name} {sum(found)} of {len(found)}" for name, found in by_metric.items()),
        criterion=criterion,
    )


def _moved(compared: Sequence[Comparison]) -> list[Finding]:
    """How far each metric moved from run to run, over its cells."""
    findings = []
    for name in _metrics(compared):
        pairs = [
            (each.second.value, each.first.value)
            for each in compared
            if each.metric == name and each.first.value and each.second.value
        ]
        ratios = [second / first for second, first in pairs]
        findings.append(
            Finding(
                label=f"{name}: second run / first",
                ratio=paired_ratio(pairs, statistic="geometric mean over cells"),
                per_round=ratios,
                absolute=f"{len(ratios)} cells, from {min(ratios):.3f} to {max(ratios):.3f}",
                criterion=None,
            )
        )
    return findings


def _metrics(compared: Sequence[Comparison]) -> list[str]:
    return list(dict.fromkeys(each.metric for each in compared))


def _of(metric: str, compared: Sequence[Comparison], agreeing: Sequence[bool]) -> list[bool]:
    return [agrees for each, agrees in zip(compared, agreeing, strict=True) if each.metric == metric]


def _enough(apart: timedelta) -> Criterion:
    """The bar is a count, not an estimate: 95 of 100 agree or they do not. Too few, or too soon, is undecided."""

    def judge(share: Estimate) -> Verdict:
        if share.value is None or share.count < LEAST_COMPARISONS or apart < APART:
            return Verdict.UNDECIDED
        return Verdict.PASS if share.value >= SHARE else Verdict.MISS

    return Criterion(says=f"at least {SHARE:g}, an hour apart", low=SHARE, high=None, judge=judge)


def _undecided(reason: str = _TO_DO) -> Bar:
    unknown = Finding(
        label="intervals overlap: share",
        ratio=Estimate(value=None, reason=reason),
        per_round=[],
        absolute="no two runs at least an hour apart" if reason is _TO_DO else "",
        criterion=_enough(timedelta()),
    )
    load = load_average()
    return Bar(name="repeatability", claim=_CLAIM, findings=[unknown], conditions=[reason], load=(load, load))


def _told(found: Estimate) -> str:
    return f"{found.value:.5g} [{found.low:.5g}, {found.high:.5g}]"


def main() -> None:
    """Runs this benchmark alone, on runs of the user's choice."""
    from benchmarks.page import write_page
    from benchmarks.table import print_bars

    made = parser(__doc__ or "", "python -m benchmarks.repeatability --runs 01a2 01b7 --store sqlite:///results.db")
    made.add_argument("--runs", nargs=2, metavar="ID", help="two runs (default: the newest two at least an hour apart)")
    made.add_argument("--store", help="their store's URL (default: build/repeatability.db)")
    found = made.parse_args()
    with ending_in_words():
        options = read(found)
        if found.runs:
            bar = measure_runs(*found.runs, store=found.store or f"sqlite:///{STORE}")
        else:
            bar = _measure_newest(found.store) if found.store else measure(options)
        print_bars([bar])
        print(f"page: {write_page([bar], options.out / f'{bar.name}.html')}")


if __name__ == "__main__":
    main()
