"""What a request costs after a pause: a hot loop flatters a device whose clocks and caches go to sleep in between."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Callable

from benchharness.device.measured import measurement
from benchharness.device.scenarios.stage import Stage
from benchharness.device.timing import quiet_collector

#: What one request gives: metric -> its value.
Request = Callable[[], "dict[str, float]"]


def measure_pauses(stage: Stage, request: Request) -> list[dict[str, Any]]:
    """The request's figures after each of the settings' `pauses_ns`, parameter `pause_s`.

    The pauses take turns, in an order that rotates, so that a device which drifts drifts for all of them.
    """
    pauses: Sequence[int] = stage.settings.get("pauses_ns") or ()
    repeats = stage.settings.get("pause_repeats", 0)
    taken: dict[tuple[str, int], list[float]] = {}
    for turn in range(repeats if pauses else 0):
        for place in range(len(pauses)):
            stage.progress("pauses", turn * len(pauses) + place, repeats * len(pauses))
            pause_ns = pauses[(place + turn) % len(pauses)]
            with quiet_collector():  # it works before the pause: it would wake what the pause sends to sleep
                time.sleep(pause_ns / 1e9)
                figures = request()
            for metric, value in figures.items():
                taken.setdefault((metric, pause_ns), []).append(value)
    return [
        measurement(metric, {"pause_s": pause_ns / 1e9}, samples=samples)
        for (metric, pause_ns), samples in sorted(taken.items())
    ]
