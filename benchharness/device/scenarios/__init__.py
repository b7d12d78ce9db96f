"""What is measured: one module a scenario, each with a `measure` that the worker calls.

A scenario gets a `Stage` (the loaded session, the workload, the stamps of the cold start so far) and returns
measurements as plain JSON-ready mappings: metric, parameters, value, samples, row_length.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Callable

from benchharness.contract import Session
from benchharness.device.requests import Tokenizer


@dataclass(frozen=True)
class Stage:
    """What a scenario works with. `marks` are (phase, end in ns) since the worker was spawned, in order."""

    session: Session
    workload: Mapping[str, Any]
    settings: Mapping[str, Any]
    tokenizer: Tokenizer | None
    spawned_ns: int
    marks: Sequence[tuple[str, int]]
    progress: Callable[[str, int, int], None]  # phase, done, total

    def cold_start(self, metric: str, end_ns: int) -> list[dict[str, Any]]:
        """The cold start as a whole and by phase; the phases are contiguous, so they add up to it exactly."""
        phases, previous = [], self.spawned_ns
        for phase, mark_ns in (*self.marks, ("first_request", end_ns)):
            phases.append(measurement("cold_start_phase", {"phase": phase}, mark_ns - previous))
            previous = mark_ns
        return [measurement(metric, {}, end_ns - self.spawned_ns), *phases]


def measurement(
    metric: str,
    parameters: Mapping[str, Any],
    value: float | None = None,
    *,
    samples: Sequence[float] = (),
    row_length: int = 0,
) -> dict[str, Any]:
    """One measurement; without a value it is the median of the samples."""
    return {
        "metric": metric,
        "parameters": dict(parameters),
        "value": float(median(samples) if value is None else value),
        "samples": list(samples),
        "row_length": row_length,
    }


def timed_inference(session: Session, inputs: Mapping[str, Any]) -> int:
    """One inference in ns: inputs handed to the runtime until outputs on the host."""
    start = time.perf_counter_ns()
    session.run(inputs)
    return time.perf_counter_ns() - start
