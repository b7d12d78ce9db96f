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
from scipy import special

from benchharness.judge.hopeless import DRIFT, Hopeless
from benchharness.judge.student import LEVEL
from benchmarks.designs import RECORDS, processes_of

_SEED = 20_261_129
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
    noise: str,
    *,
    attempts: int,
    figures: int,
    error: float | None,
    measurements: int,
    beyond: float = 0.0,
    slower: float = 0.0,
) -> Stops:
    """Measurements of as many figures, all exactly on their limits but the first, which is `beyond` its own by a share.

    The machine is `slower` than usual all the time. `error` is what looks may spend; None: each looks as if alone.
    """
    logarithms = NOISES[noise](np.random.default_rng(_SEED), (measurements, figures, attempts)) + math.log1p(slower)
    logarithms[:, 0] += math.log1p(beyond)
    return _told(ended_after(logarithms, error), attempts)


def _told(ended: NDArray[np.int64], attempts: int) -> Stops:
    return Stops(share=float(np.mean(ended < attempts)), attempts=float(np.mean(ended)))


def ended_after(logarithms: Logarithms, error: float | None) -> NDArray[np.int64]:
    """By measurement the attempts after which it is over: as `Hopeless` and `p_beyond` have it, of all at once."""
    measurements, figures, attempts = logarithms.shape
    ended = np.full(measurements, attempts)
    looks = Hopeless(budgets=(), attempts=attempts, error=error) if error else None
    for made in reversed(range(2, attempts)):
        so_far = logarithms[..., :made]
        errors = so_far.std(axis=-1, ddof=1) / math.sqrt(made)
        level = looks.level(made, figures) if looks else (1 - LEVEL) / 2
        beyond = special.stdtr(made - 1, (math.log1p(DRIFT if looks else 0.0) - so_far.mean(axis=-1)) / errors)
        ended[(beyond <= level).any(axis=1) & (level > 0)] = made
    return ended


def replayed(processes: Sequence[float], attempts: int, around: int, error: float | None) -> Stops:
    """Every stretch of recorded processes as a measurement whose limit is the geometric mean of those around it."""
    logarithms = np.log(processes)
    stretches = []
    for start in range(len(processes) - attempts + 1):
        middle = start + attempts // 2
        near = logarithms[max(0, middle - around // 2) : middle + around // 2]
        stretches.append(logarithms[start : start + attempts] - near.mean())
    return _told(ended_after(np.array(stretches)[:, None], error), attempts)


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
    print("on the limit: stopped, by noise, attempts and figures: each look alone; 1 % over all; the same, 5 % slower")
    for noise in NOISES:
        for attempts, figures in ((5, 1), (10, 1), (10, 3), (20, 3)):
            asked = {"attempts": attempts, "figures": figures, "measurements": many}
            shares = [
                stops(noise, slower=slower, error=error, **asked).share
                for slower, error in ((0.0, None), (0.0, 0.01), (DRIFT, 0.01))
            ]
            print(f"{noise:10} {attempts:3} {figures:2}  " + "  ".join(f"{100 * each:6.2f} %" for each in shares))
    print("beyond the limit, noise of 3 %, two figures: stopped, and attempts in the mean")
    for beyond in (0.05, 0.1, 0.2, 0.5, 1.0):
        for attempts in (6, 10, 20):
            found = stops("normal", beyond=beyond, attempts=attempts, figures=2, error=0.01, measurements=many // 4)
            print(f"{beyond:5.0%} {attempts:3}  {100 * found.share:6.1f} %  {found.attempts:5.1f}")


if __name__ == "__main__":
    main()
