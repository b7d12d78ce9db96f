"""Whether 95 % intervals over chunks of one text, and over documents, hold what they promise.

Simulated texts of which the truth is known: chunks whose neighbours are alike by an autoregression, of losses that are
normal or, as divergences are, log-normal; and documents of unequal length. What else could have been taken:
`python -m benchmarks.texts_rivals`.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import signal

from benchharness.judge.exact_shares import clopper_pearson
from benchharness.judge.means import ratio_over
from benchharness.results.result import Estimate
from benchmarks.bars import Bar, Criterion, Finding, Verdict
from benchmarks.options import Options, run_alone
from benchmarks.processes import load_average

Floats = NDArray[np.float64]

CHUNKS, ALIKE = (5, 8, 30, 200), (0.0, 0.3, 0.6)
DOCUMENTS, LENGTHS = (5, 20), (0.0, 0.5, 1.0)
#: Log-normal losses of documents, and of chunks: those of the demo model's chunks spread by 0.15 to 0.35.
BETWEEN, WITHIN = 0.6, 0.3
#: Simulations of a kind: coverage is then known to 0.5 %.
TIMES = 8000
LEAST, LEAST_SKEWED = 0.93, 0.92
#: So alike are neighbours, of so few, that nothing told by them alone holds: shown as a control.
HARD_ALIKE, HARD_BELOW = 0.6, 100
_BURN_IN = 200


@dataclass(frozen=True, kw_only=True)
class Row:
    """Chunks of one text, neighbours of which have the correlation `alike`; `skewed`: losses are log-normal."""

    count: int
    alike: float
    skewed: bool = False

    @property
    def label(self) -> str:
        """In words."""
        return f"{self.count} chunks, neighbours alike by {self.alike:g}{', log-normal' if self.skewed else ''}"

    @property
    def in_a_row(self) -> bool:
        """Chunks are."""
        return True

    @property
    def claimed(self) -> bool:
        """Whether intervals are said to hold."""
        return self.alike < HARD_ALIKE or self.count >= HARD_BELOW

    @property
    def truth(self) -> float:
        """The mean over a text that never ends."""
        return math.exp(WITHIN**2 / 2) if self.skewed else 0.0

    @property
    def positive(self) -> bool:
        """Whether no loss is below 0."""
        return self.skewed

    @property
    def least(self) -> float:
        """The share of intervals that is to hold the truth."""
        return LEAST

    def drawn(self, random: np.random.Generator, times: int) -> tuple[Floats, Floats]:
        """Sums and weights, of the shape (times, chunks)."""
        noise = random.standard_normal((times, self.count + _BURN_IN)) * math.sqrt(1 - self.alike**2)
        values = signal.lfilter([1.0], [1.0, -self.alike], noise, axis=1)[:, _BURN_IN:]
        return np.exp(WITHIN * values) if self.skewed else values, np.ones_like(values)


@dataclass(frozen=True, kw_only=True)
class Documents:
    """Documents whose losses are log-normal, and so are their lengths, by `lengths`."""

    count: int
    lengths: float

    @property
    def label(self) -> str:
        """In words."""
        return f"{self.count} documents, lengths of sigma {self.lengths:g}"

    @property
    def in_a_row(self) -> bool:
        """Documents are not."""
        return False

    @property
    def claimed(self) -> bool:
        """Whether intervals are said to hold."""
        return True

    @property
    def truth(self) -> float:
        """The mean over all tokens of all documents that could have been drawn."""
        return math.exp(BETWEEN**2 / 2)

    @property
    def positive(self) -> bool:
        """No loss is below 0."""
        return True

    @property
    def least(self) -> float:
        """The share of intervals that is to hold the truth: losses of documents are very skewed here."""
        return LEAST_SKEWED

    def drawn(self, random: np.random.Generator, times: int) -> tuple[Floats, Floats]:
        """Sums and weights, of the shape (times, documents)."""
        shape = (times, self.count)
        lengths = np.exp(self.lengths * random.standard_normal(shape))
        return np.exp(BETWEEN * random.standard_normal(shape)) * lengths, lengths


World = Row | Documents
ROWS: tuple[World, ...] = tuple(
    Row(count=count, alike=alike, skewed=skewed)
    for skewed, count, alike in itertools.product((False, True), CHUNKS, ALIKE)
)
CLUSTERS: tuple[World, ...] = tuple(
    Documents(count=count, lengths=lengths) for count, lengths in itertools.product(DOCUMENTS, LENGTHS)
)


def measure(options: Options) -> Bar:
    """Coverage by how many chunks or documents there are, and how alike neighbours."""
    before = load_average()
    return Bar(
        name="texts",
        claim=f"95 % intervals hold the truth: {LEAST:.0%} of those over chunks, {LEAST_SKEWED:.0%} over documents",
        findings=[_covered(world, options.seed) for world in (*ROWS, *CLUSTERS)],
        conditions=[f"{TIMES} texts of a kind, documents of sigma {BETWEEN:g}, chunks of {WITHIN:g}, numpy's PCG64"],
        load=(before, load_average()),
    )


def held(world: World, *, seed: int, times: int = TIMES, in_a_row: bool | None = None) -> int:
    """Of so many texts how many intervals hold the truth; `in_a_row`: taken so, whatever they are."""
    return _held(world, seed, times, world.in_a_row if in_a_row is None else in_a_row)[0]


def _held(world: World, seed: int, times: int, in_a_row: bool) -> tuple[int, float]:
    """The same, and half their median width."""
    hits, widths = 0, []
    for sums, weights in zip(*world.drawn(np.random.default_rng([seed, world.count]), times), strict=True):
        found = ratio_over(sums, weights, statistic="", unit="chunks", in_a_row=in_a_row, positive=world.positive)
        assert found.low is not None, found.reason
        assert found.high is not None
        hits += found.low <= world.truth <= found.high
        widths.append(found.high - found.low)
    return hits, float(np.median(widths)) / 2


def _covered(world: World, seed: int) -> Finding:
    hits, half = _held(world, seed, TIMES, world.in_a_row)
    low, high = clopper_pearson(hits, TIMES)
    return Finding(
        label=world.label,
        ratio=Estimate(value=hits / TIMES, low=low, high=high, count=TIMES, statistic=f"{hits} of {TIMES}"),
        per_round=(),
        absolute=f"{hits} of {TIMES} hold the truth; half of an interval is {half:.2g}",
        criterion=_at_least(world.least) if world.claimed else None,
    )


def _at_least(least: float) -> Criterion:
    """Missed where coverage is surely below; passed where it reads above."""

    def judge(share: Estimate) -> Verdict:
        assert share.value is not None
        assert share.high is not None
        if share.high < least:
            return Verdict.MISS
        return Verdict.PASS if share.value >= least else Verdict.UNDECIDED

    return Criterion(says=f"at least {least:.0%}", low=least, high=1.0, judge=judge)


if __name__ == "__main__":
    run_alone(measure, description=__doc__ or "", example="python -m benchmarks.texts")
