"""Made-up devices in use, and noise that is seeded: OpenDP's own cannot be, and need not be."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime
from fractions import Fraction
from functools import cache
from pathlib import Path

import numpy as np

from benchharness.device.tally import HISTOGRAMS, Tally
from benchharness.judge.derive import derive
from benchharness.results.result import OutcomeKind, Result
from benchharness.telemetry.ledger import Ledger, Question
from benchharness.telemetry.noise import Noisy
from benchharness.telemetry.release import Released, release
from benchharness.telemetry.votes import Counted, counted, places_of
from tests.unit.made_up import attempt, job, measured

PERIOD, NOW = "2026-10", datetime(2026, 11, 29, tzinfo=UTC)


def device(number: int, *, period: str = PERIOD, hardware: str = "pixel-8", model: str = "chat") -> Tally:
    """One that has counted nothing yet, with an id by its number."""
    return Tally(f"{number:032x}", period, hardware, model)


def with_times(number: int, times: Sequence[float], *, variant: str = "int4", hardware: str = "pixel-8") -> Tally:
    """One that waited so for first tokens, in ns, and whose sessions all ended well."""
    made = device(number, hardware=hardware)
    for each in times:
        assert made.add(variant, "model_ttft", each)
        assert made.add(variant, "session_end", "ok")
    return made


@cache
def fleet(count: int, seed: int = 0, *, hardware: str = "pixel-8") -> list[Tally]:
    """Devices whose first tokens take 100 ms in the median; between devices and within one they spread by 1.4."""
    drawn = np.random.default_rng(seed)
    offset = 1_000_000 * seed
    return [
        with_times(
            offset + number,
            np.exp(math.log(1e8) + 0.35 * drawn.standard_normal() + 0.35 * drawn.standard_normal(3)).tolist(),
            hardware=hardware,
        )
        for number in range(count)
    ]


def discrete_laplace(drawn: np.random.Generator, scale: float, count: int) -> list[int]:
    """Whole numbers with probability in proportion to exp(-|k| / scale)."""
    left, right = (drawn.geometric(1 - math.exp(-1 / scale), count) for _ in range(2))
    found: list[int] = (left - right).tolist()
    return found


class SeededNoise:
    """What stands in for OpenDP; it counts how often it is asked, and for how much."""

    def __init__(self, seed: int = 0) -> None:
        self._drawn = np.random.default_rng(seed)
        self.asked: list[Fraction] = []

    def __call__(self, counts: Sequence[int], moved: int, epsilon: Fraction) -> Noisy:
        self.asked.append(epsilon)
        scale = float(moved / epsilon)
        noise = discrete_laplace(self._drawn, scale, len(counts))
        return Noisy(counts=[count + each for count, each in zip(counts, noise, strict=True)], scale=scale, by="seeded")


EMPTY = {name: [0] * each.bins for name, each in HISTOGRAMS.items()}


def results(variant: str = "int4", hardware: str = "pixel-8") -> list[Result]:
    """Of a job: three attempts of 200 first tokens around 90 ms, and one that was killed."""
    made = [
        attempt(
            number,
            measured("model_ttft", 90e6, [9e7 + 1e5 * (at % 20) + 1e5 * number for at in range(200)]),
            measured("itl", 5e6, [5e6 + 1e4 * at for at in range(100)]),
            measured("peak_memory", 5e8 + number),
        )
        for number in range(3)
    ]
    killed = attempt(3, outcome=OutcomeKind.KILLED)
    return derive([(job(variant=variant, hardware=hardware, reference=variant), "")], [*made, killed])


def merged(count: int = 300) -> Counted:
    found = fleet(count)
    return Counted(period=PERIOD, model="chat", counts=counted(found, places_of(found)))


def released(folder: Path, count: int = 2000) -> Released:
    path = folder / "fleet.ledger"
    if not path.exists():
        Ledger.create(path, budget="4", model="chat", hardware=["pixel-8", "pi"], variants=["int4"])
    asked = Question.of(
        period=PERIOD, hardware=["pixel-8", "pi"], histograms=["model_ttft", "session_end"], epsilon="1"
    )
    return release(path, fleet(count), asked, adds=SeededNoise(3), now=NOW)
