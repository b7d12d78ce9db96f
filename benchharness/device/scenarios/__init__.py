"""What is measured: one module a scenario, each with a `measure` that the worker calls.

A scenario gets a `Stage` (the loaded session, the workload, the phases so far) and returns
measurements as plain JSON-ready mappings: metric, parameters, value, samples, row_length.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Callable

from benchharness.contract import Session
from benchharness.device.phases import Phases
from benchharness.device.requests import Tokenizer


@dataclass(frozen=True)
class Stage:
    """What a scenario works with. `phases` stands at the end of `load`; the scenario ends `first_request` itself."""

    session: Session
    workload: Mapping[str, Any]
    settings: Mapping[str, Any]
    tokenizer: Tokenizer | None
    phases: Phases
    progress: Callable[[str, int, int], None]  # phase, done, total


def timed_inference(session: Session, inputs: Mapping[str, Any]) -> int:
    """One inference in ns: inputs handed to the runtime until outputs on the host."""
    start = time.perf_counter_ns()
    session.run(inputs)
    return time.perf_counter_ns() - start
