"""How often an artefact that keeps its budgets is given up before its time, and how soon one that cannot keep them is.

`python -m benchmarks.stops` draws measurements attempt by attempt and looks after each, as `benchharness.search` does,
and as whoever stops at the first 95 % interval beyond the limit would. Values are shares of the limit.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchharness.judge.hopeless import Hopeless, p_beyond
from benchharness.judge.intervals import estimate
from benchmarks.designs import RECORDS, processes_of

Logarithms = NDArray[np.float64]
#: Noise of logarithms by name: (measurements, figures, attempts), each of mean zero.
Noise = Callable[[np.random.Generator, tuple[int, int, int]], Logarithms]


def _disturbed(drawn: np.random.Generator, shape: tuple[int, int, int]) -> Logarithms:
    """One process in ten is slower, by a third in the mean: other work on the same cores."""
    hit = (drawn.random(shape) < 0.1) * drawn.exponential(0.3, shape)
    return np.asarray(drawn.normal(0, 0.02, shape) + hit - 0.03)


def _growing(drawn: np.random.Generator, shape: tuple[int, int, int]) -> Logarithms:
    return np.asarray(drawn.normal(0, 0.02, shape) * np.linspace(1, 3, shape[-1]))


def _alike(drawn: np.random.Generator, shape: tuple[int, int, int]) -> Logarithms:
    """All figures of one attempt move together, as those of one slow process do."""
    return np.asarray(drawn.normal(0, 0.03, (shape[0], 1, shape[2])) + np.zeros(shape))


NOISES: dict[str, Noise] = {
    "normal": lambda drawn, shape: np.asarray(drawn.normal(0, 0.03, shape)),
    "heavy": lambda drawn, shape: np.asarray(drawn.standard_t(2, shape) * 0.02),
    "disturbed": _disturbed,
    "growing": _growing,
    "alike": _alike,
    # What no look can know of: all of a measurement on a machine that is slower, or faster, than it usually is.
    "drift": lambda drawn, shape: np.asarray(drawn.normal(0, 0.01, shape) + drawn.normal(0, 0.03, (shape[0], 1, 1))),
}


@dataclass(frozen=True, kw_only=True)
class Stops:
    """Of many measurements: which share was stopped before the last attempt, and the attempts made in the mean."""

    share: float
    attempts: float


def stops(
    noise: str, *, beyond: float, attempts: int, figures: int, error: float | None, measurements: int, seed: int = 0
) -> Stops:
    """Measurements of as many figures, the first of which is `beyond` its limit by that share; 0.0: exactly on it.

    The others lie on theirs. `error` is what looks may spend; None: each looks as if it were the only one.
    """
    drawn = np.random.default_rng(seed)
    logarithms = NOISES[noise](drawn, (measurements, figures, attempts))
    logarithms[:, 0] += math.log1p(beyond)
    ended = [_ended(np.exp(each), error) for each in logarithms]
    return Stops(
        share=sum(each < attempts for each in ended) / measurements,
        attempts=sum(ended) / measurements,
    )


def _ended(values: NDArray[np.float64], error: float | None) -> int:
    """After how many attempts it is over."""
    figures, attempts = (int(each) for each in values.shape)
    looks = Hopeless(budgets=(), attempts=attempts, error=error) if error else None
    for made in range(2, attempts):
        if any(_beyond(each[:made].tolist(), looks, figures) for each in values):
            return made
    return attempts


def _beyond(values: Sequence[float], looks: Hopeless | None, figures: int) -> bool:
    if math.prod(values) <= 1:
        return False
    found = estimate(values, statistic="")
    if looks is None:
        return found.low is not None and found.low > 1
    return p_beyond(found, 1.0, higher_is_better=False) <= looks.level(len(values), figures) > 0


def replayed(processes: Sequence[float], attempts: int, around: int, error: float | None) -> Stops:
    """Every stretch of recorded processes as a measurement whose limit is the geometric mean of those around it."""
    logarithms = np.log(processes)
    ended = []
    for start in range(len(processes) - attempts + 1):
        middle = start + attempts // 2
        near = logarithms[max(0, middle - around // 2) : middle + around // 2]
        ended.append(_ended(np.exp(logarithms[None, start : start + attempts] - near.mean()), error))
    return Stops(share=sum(each < attempts for each in ended) / len(ended), attempts=sum(ended) / len(ended))


def main() -> None:
    """Prints the tables of docs/decisions/0043."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--measurements", type=int, default=20_000)
    many = parser.parse_args().measurements
    processes = processes_of(RECORDS)
    print(f"{len(processes)} real processes of one build: stopped, by attempts and how many around are the limit")
    for attempts in (5, 10, 20):
        for around in (40, 200, 2 * len(processes)):
            shares = [replayed(processes, attempts, around, error).share for error in (None, 0.01, 0.05)]
            print(f"{attempts:3} {around:5}  " + "  ".join(f"{100 * each:6.2f} %" for each in shares))
    print("on the limit: stopped, by noise, attempts and figures; each look alone, then 1 % and 5 % over all")
    for noise in NOISES:
        for attempts, figures in ((5, 1), (10, 1), (10, 3), (20, 3)):
            shares = [
                stops(noise, beyond=0.0, attempts=attempts, figures=figures, error=error, measurements=many).share
                for error in (None, 0.01, 0.05)
            ]
            print(f"{noise:10} {attempts:3} {figures:2}  " + "  ".join(f"{100 * each:6.2f} %" for each in shares))
    print("beyond the limit, noise of 3 %, two figures: stopped, and attempts in the mean")
    for beyond in (0.05, 0.1, 0.2, 0.5, 1.0):
        for attempts in (6, 10, 20):
            found = stops("normal", beyond=beyond, attempts=attempts, figures=2, error=0.01, measurements=many // 4)
            print(f"{beyond:5.0%} {attempts:3}  {100 * found.share:6.1f} %  {found.attempts:5.1f}")


if __name__ == "__main__":
    main()
