"""Whether 95 % intervals over chunks of one text, and over documents, hold what they promise.

Simulated texts of which the truth is known: chunks whose neighbours are alike by an autoregression, of losses that are
normal or, as divergences are, log-normal; and documents of unequal length. What else could have been taken stands
beside with `--rivals`. There `--text FILE` adds the demo model and its int4 variant on a long text, such as the whole
of its book: runs of neighbours from random places are put together as a held-out text is, and the truth is the mean of
all.
"""

from __future__ import annotations

import argparse
import itertools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import signal, special
from tokenizers import Tokenizer

from benchharness.judge.bootstrap import clopper_pearson
from benchharness.judge.means import ratio_over, slow_cosines
from benchharness.results.result import Estimate
from benchmarks.bars import Bar, Criterion, Finding, Verdict
from benchmarks.options import Options, run_alone
from benchmarks.plain_logits import figures, logits_of, read_chunks
from benchmarks.processes import load_average
from benchmarks.quality_models import DEMO

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
#: Of recorded chunks: tokens, the second half scored; how many are computed at once; at which distances they are alike.
_LENGTH, _AT_ONCE, _LAGS = 256, 32, (1, 2, 4, 16, 64)
#: Runs of so many neighbours, of which every so-manieth is used.
_PUT_TOGETHER = ((10, 13, 16), (10, 13, 4), (20, 2, 1), (10, 13, 1), (20, 10, 1), (1, 8, 1), (1, 32, 1), (1, 130, 1))


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


# What else could have been taken: half of an interval, of values (texts, chunks) that weigh the same

Half = Callable[[Floats], Floats]


def _t(freedom: Floats | float) -> Floats:
    found: Floats = np.asarray(special.stdtrit(np.maximum(freedom, 1.0), 0.975), dtype=np.float64)
    return found


def _percentile(values: Floats) -> Floats:
    """The percentile bootstrap of chunks one by one, as it is with endlessly many draws."""
    found: Floats = 1.96 * values.std(axis=1) / math.sqrt(values.shape[1])
    return found


def _student(values: Floats) -> Floats:
    found: Floats = _t(values.shape[1] - 1) * values.std(axis=1, ddof=1) / math.sqrt(values.shape[1])
    return found


def _blocks(values: Floats) -> Floats:
    """Circular blocks of the cube root of all, widened to Student's t of so many blocks."""
    count = values.shape[1]
    block = next(size for size in range(1, count + 2) if size**3 >= count)
    apart = values - values.mean(axis=1, keepdims=True)
    around = np.concatenate([np.zeros((len(values), 1)), apart, apart[:, : block - 1]], axis=1).cumsum(axis=1)
    sums = around[:, block:] - around[:, :-block]
    blocks = count / block
    variance = (sums**2).mean(axis=1) / block / count
    found: Floats = _t(blocks - 1) * np.sqrt(variance * blocks / (blocks - 1))
    return found


def _stretches(values: Floats) -> Floats:
    """Student's t over means of equal stretches, one more than there are slow cosines (batch means)."""
    count = values.shape[1]
    many = slow_cosines(count) + 1
    edges = np.round(np.linspace(0, count, many + 1)).astype(int)
    apart = values - values.mean(axis=1, keepdims=True)
    sums = np.add.reduceat(apart, edges[:-1], axis=1)
    found: Floats = _t(many - 1) * np.sqrt((sums**2).sum(axis=1) * many / (many - 1)) / count
    return found


def _autoregression(values: Floats) -> Floats:
    """Neighbours' correlation, its bias put right, and as many degrees of freedom as it leaves."""
    count = values.shape[1]
    apart = values - values.mean(axis=1, keepdims=True)
    alike = (apart[:, 1:] * apart[:, :-1]).sum(axis=1) / (apart**2).sum(axis=1)
    alike = np.clip((alike * count + 1) / (count - 3), 0.0, 0.97)
    lags = np.arange(1, count)
    more = 1 + 2 * ((1 - lags / count) * alike[:, None] ** lags).sum(axis=1)
    variance = values.var(axis=1, ddof=1) * (count - 1) / np.maximum(count - more, 0.5)
    found: Floats = _t(count / more - 1) * np.sqrt(variance * more / count)
    return found


def _cosines(values: Floats) -> Floats:
    """Slow ones of the row."""
    count = values.shape[1]
    most = slow_cosines(count)
    places = math.pi * (np.arange(count) + 0.5) / count
    slow = math.sqrt(2 / count) * values @ np.cos(np.outer(np.arange(1, most + 1), places)).T
    found: Floats = _t(most) * np.sqrt((slow**2).mean(axis=1) / count)
    return found


def _no_narrower(values: Floats) -> Floats:
    """As `judge/means` has it."""
    return np.maximum(_cosines(values), _student(values))


RIVALS: Mapping[str, Half] = {
    "percentile": _percentile,
    "Student's t": _student,
    "blocks": _blocks,
    "stretches": _stretches,
    "autoregression": _autoregression,
    "cosines": _cosines,
    "no narrower": _no_narrower,
}


def _told(label: str, values: Floats, truth: float) -> None:
    """Prints coverage of each method, and its mean width as a multiple of Student's t one by one."""
    apart, one_by_one = np.abs(values.mean(axis=1) - truth), _student(values)
    cells = []
    for rival in RIVALS.values():
        half = rival(values)
        cells.append(f"{100 * (apart <= half).mean():.1f} % ×{np.mean(half / one_by_one):.2f}")
    print(" | ".join((label, *cells)), flush=True)


def _rivals(seed: int, times: int, text: Path | None) -> None:
    print("text | " + " | ".join(RIVALS))
    random = np.random.default_rng(seed)
    for world in ROWS:
        _told(world.label, world.drawn(random, times)[0], world.truth)
    for name, recorded in by_chunk(text).items() if text else ():
        _of_recorded(name, recorded, random, times)


def by_chunk(text: Path) -> dict[str, Floats]:
    """The means of every chunk of a text, in one pass each: the int4 variant's divergence, and -ln p of both."""
    folders = [DEMO / name for name in ("onnx-fp32", "onnx-int4")]
    tokenizer = folders[0] / "tokenizer.json"
    count = len(Tokenizer.from_file(str(tokenizer)).encode(text.read_text(encoding="utf-8")).ids) // _LENGTH
    chunks = read_chunks(text, tokenizer, length=_LENGTH, count=count)
    found: dict[str, list[float]] = {"kld": [], "log_perplexity_ratio": [], "-ln p": []}
    for start in range(0, count, _AT_ONCE):
        some = chunks[start : start + _AT_ONCE]
        reference, variant = (logits_of(folder, some, _LENGTH // 2, "prefill") for folder in folders)
        for at, chunk in enumerate(some):
            told = figures(reference[at : at + 1], variant[at : at + 1], [chunk], _LENGTH // 2)
            found["kld"].append(told["kld", None])
            found["log_perplexity_ratio"].append(told["log_perplexity_ratio", None])
            found["-ln p"].append(math.log(told["reference_perplexity", None]))
    return {name: np.array(values) for name, values in found.items()}


def _of_recorded(name: str, recorded: Floats, random: np.random.Generator, times: int) -> None:
    """Prints how alike neighbours are, and coverage in texts that are put together of runs."""
    apart = recorded - recorded.mean()
    alike = [float((apart[lag:] * apart[:-lag]).mean() / apart.var()) for lag in _LAGS]
    told = ", ".join(f"{each:.2f} at {lag}" for lag, each in zip(_LAGS, alike, strict=True))
    print(f"{name}: {len(recorded)} chunks, correlation {told}")
    for runs, length, step in _PUT_TOGETHER:
        starts = np.sort(random.integers(0, len(recorded) - length, (times, runs)))
        places = (starts[:, :, None] + np.arange(length)).reshape(times, -1)
        count = places.shape[1] // step
        used = np.round(np.linspace(0, places.shape[1] - 1, count)).astype(int)
        label = f"{name}: {runs} run{'s' if runs > 1 else ''} of {length}, {count} of {places.shape[1]} chunks"
        _told(label, recorded[places[:, used]], float(recorded.mean()))


def main() -> None:
    """Prints the tables of docs/decisions/0051."""
    made = argparse.ArgumentParser(description=__doc__)
    made.add_argument("--rivals", action="store_true", help="print what other methods hold, too")
    made.add_argument("--text", type=Path, help="a long text")
    told = made.parse_args()
    _rivals(1, 4000, told.text)


if __name__ == "__main__":
    import sys

    if "--rivals" in sys.argv:
        main()
    else:
        run_alone(measure, description=__doc__ or "", example="python -m benchmarks.texts")
