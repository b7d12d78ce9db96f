"""Made-up devices in use, and noise that is seeded: OpenDP's own cannot be, and need not be."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from benchharness.device.tally import HISTOGRAMS, Tally
from benchharness.telemetry.noise import Noisy

PERIOD = "2026-10"


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
