"""What other intervals over the chunks of one text hold, beside those of `judge/means`: the tables of decision 0051.

Simulated chunks of `benchmarks.texts`. With `--text FILE` the demo model and its int4 variant on a long text, too, such
as the whole of its book: runs of neighbours from random places are put together as a held-out text is, and the truth is
the mean of all.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from scipy import special
from tokenizers import Tokenizer

from benchharness.judge.means import slow_cosines
from benchmarks.plain_logits import figures, logits_of, read_chunks
from benchmarks.quality_models import DEMO
from benchmarks.texts import ROWS, Floats

#: Half of an interval, of values (texts, chunks) that weigh the same.
Half = Callable[[Floats], Floats]
#: Of recorded chunks: tokens, the second half scored; how many are computed at once; at which distances they are alike.
_LENGTH, _AT_ONCE, _LAGS = 256, 32, (1, 2, 4, 16, 64)
#: Runs of so many neighbours, of which every so-manieth is used.
_PUT_TOGETHER = ((10, 13, 16), (10, 13, 4), (20, 2, 1), (10, 13, 1), (20, 10, 1), (1, 8, 1), (1, 32, 1), (1, 130, 1))


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
    """Prints the tables."""
    made = argparse.ArgumentParser(description=__doc__)
    made.add_argument("--text", type=Path, help="a long text")
    told = made.parse_args()
    _rivals(1, 4000, told.text)


if __name__ == "__main__":
    main()
