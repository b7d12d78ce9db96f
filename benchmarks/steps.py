"""How often history finds a step that is none, and how often it finds one of 5 % and names its cause.

Seeded series, no device. Noise: a process is log-normal by 2.5 %, and one in twenty is slower by 10 % on average
(exponential), so that a night's ratio over 20 pairs has a standard deviation of about 1.3 %
(docs/decisions/0027 says why). The machine's own level moves from night to night as an autoregression: 4 % in all, 0.7
shared with the night before. A family is 30 figures.

False steps: families of A/A nights, looked at after every night from the sixth on, as a nightly job does. A step that
is ever shown counts once. Found: a family in which one figure has a 5 % step somewhere in nights 6 to 36 of 40, in the
night in which its artefact changed; it counts where a confirmed step stands at that night with that artefact as its one
cause. Nights in which nothing changed have the same artefact.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import numpy as np

from benchharness.judge.history import history_of
from benchharness.results.history import NightJob, Planned, Told
from benchharness.results.result import Estimate
from benchharness.results.trends import Certainty, Night
from benchmarks.bars import Bar, Criterion, Finding, Verdict
from benchmarks.options import Options, run_alone
from benchmarks.processes import load_average

NIGHTS, FIGURES, SIZE = 40, 30, 0.05
PAIRS = (20, 10, 5)
SERIES = 100
FAMILIES = 40
MOST_FALSE, LEAST_FOUND = 1e-3, 0.9
_FIRST = datetime(2026, 1, 1, tzinfo=UTC)
_FIRST_LOOK = 6


def measure(options: Options) -> Bar:
    """Shares of steps that are none, and of planted ones that are named."""
    before = load_average()
    findings = [*_false(options.seed), *_found(options.seed)]
    return Bar(
        name="steps",
        claim=f"at most {MOST_FALSE:g} false steps a series-night; a {SIZE:.0%} step is named in 90 % of {SERIES}",
        findings=findings,
        conditions=[f"{FIGURES} figures a family; {FAMILIES} A/A families; {SERIES} planted steps"],
        load=(before, load_average()),
    )


def _false(seed: int) -> list[Finding]:
    found = []
    for label, base in (("with a base, 20 pairs", True), ("absolute values alone", False)):
        kinds: dict[Certainty, int] = dict.fromkeys(Certainty, 0)
        for family in range(FAMILIES):
            drawn = np.random.default_rng((seed, family, base))
            whole = nights_of(drawn, pairs=20, base=base)
            shown = set()
            for count in range(_FIRST_LOOK, NIGHTS + 1):
                history = history_of(_until(whole, count), now=_FIRST + timedelta(days=count))
                shown |= {
                    (trend.metric, dict(trend.parameters)["n"], step.certainty) for trend, step in history.steps()
                }
            for *_, certainty in shown:
                kinds[certainty] += 1
        looked = FAMILIES * FIGURES * (NIGHTS - _FIRST_LOOK + 1)
        false = kinds[Certainty.CONFIRMED] + kinds[Certainty.LIKELY]
        told = ", ".join(f"{count} {kind}" for kind, count in kinds.items())
        found.append(_share(f"false steps a series-night, {label}", false, looked, MOST_FALSE, told, most=True))
    return found


def _found(seed: int) -> list[Finding]:
    found = []
    for pairs in PAIRS:
        named = sum(_is_named(np.random.default_rng((seed, 1000 + each, pairs)), pairs) for each in range(SERIES))
        criterion = LEAST_FOUND if pairs == PAIRS[0] else None
        found.append(_share(f"{SIZE:.0%} steps named, {pairs} pairs a night", named, SERIES, criterion, "", most=False))
    return found


def _is_named(drawn: np.random.Generator, pairs: int) -> bool:
    at = int(drawn.integers(5, NIGHTS - 4))
    history = history_of(nights_of(drawn, pairs=pairs, base=True, at=at), now=_FIRST + timedelta(days=NIGHTS))
    return any(
        trend.parameters["n"] == 0 and step.night == at and [cause.what for cause in step.causes] == ["artefact"]
        for trend, step in history.steps(Certainty.CONFIRMED)
    )


def _share(label: str, hits: int, of: int, limit: float | None, told: str, *, most: bool) -> Finding:
    from scipy import stats

    interval = stats.binomtest(hits, of).proportion_ci(0.95)
    share = Estimate(
        value=hits / of, low=float(interval.low), high=float(interval.high), count=of, statistic="Clopper-Pearson"
    )
    absolute = f"{hits} of {of:,}" + (f" ({told})" if told else "")
    criterion = None if limit is None else _criterion(limit, most=most)
    return Finding(label=label, ratio=share, per_round=[hits / of], absolute=absolute, criterion=criterion)


def _criterion(limit: float, *, most: bool) -> Criterion:
    def judge(share: Estimate) -> Verdict:
        assert share.value is not None
        return Verdict.PASS if (share.value <= limit if most else share.value >= limit) else Verdict.MISS

    says = f"at most {limit:g}" if most else f"at least {limit:g}"
    return Criterion(says=says, low=None if most else limit, high=limit if most else None, judge=judge)


# Nights


def nights_of(drawn: np.random.Generator, *, pairs: int, base: bool, at: int | None = None) -> Told:
    """Nights of one job; from night `at` on the first of its figures is 5 % slower, and its artefact another."""
    sides = ("base", "candidate") if base else ("",)
    planned = {(side, new): _planned(side, new=new) for side in sides for new in (False, True)}
    nights = [
        Night(run=f"{night:04d}", suite="s", suite_digest="5f", started=_FIRST + timedelta(days=night), version="1",
              state="finished")
        for night in range(NIGHTS)
    ]  # fmt: skip
    facts = ("1.20", "3.11", "Debian 12", "6.1")
    jobs = [
        NightJob(night=night, planned=planned[side, at is not None and night >= at and side != "base"], device="d",
                 host="h", facts=facts, attempts=pairs, good=pairs, ended="")
        for night in range(NIGHTS) for side in sides
    ]  # fmt: skip
    shape = (NIGHTS, len(sides), pairs, FIGURES)
    slow = (drawn.random(shape) < 0.05) * drawn.exponential(0.10, shape)
    values = drawn.normal(0, 0.025, shape) + slow + _wandering(drawn)[:, None, None, None]
    if at is not None:
        values[at:, -1, :, 0] += np.log1p(SIZE)
    places = np.indices(shape).reshape(4, -1)
    return Told(
        nights=nights,
        finished=[None] * NIGHTS,
        jobs=jobs,
        wanted=frozenset(("model_ttft",)),
        metrics=[("model_ttft", {"n": number}) for number in range(FIGURES)],
        job=places[0] * len(sides) + places[1],
        round=places[2],
        metric=places[3],
        value=1e7 * np.exp(values).ravel(),
    )


def _wandering(
    drawn: np.random.Generator, spread: float = 0.04, shared: float = 0.7
) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    moved = [drawn.normal(0, spread)]
    for _ in range(NIGHTS - 1):
        moved.append(shared * moved[-1] + drawn.normal(0, spread * np.sqrt(1 - shared**2)))
    return np.array(moved)


def _planned(side: str, *, new: bool) -> Planned:
    return Planned(cell="c", hardware="h", model="m", variant="v", configuration="k", workload="w", scenario="steady",
                   digest="cd34" if new else "ab12", side=side, pair="p", ships=True,
                   artefact_size=None, download_size=None)  # fmt: skip


def _until(told: Told, count: int) -> Told:
    """The first nights of it."""
    jobs: Sequence[NightJob] = [job for job in told.jobs if job.night < count]
    here = told.job < len(jobs)
    return Told(
        nights=told.nights[:count], finished=told.finished[:count], jobs=jobs, wanted=told.wanted,
        metrics=told.metrics,
        job=told.job[here], round=told.round[here], metric=told.metric[here], value=told.value[here],
    )  # fmt: skip


if __name__ == "__main__":
    run_alone(measure, description=__doc__ or "", example="python -m benchmarks.steps")
