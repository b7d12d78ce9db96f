"""What a device told beside its measurements: what the runtime did, and the state that the device was in.

A device is not trusted: what stands within these fields is as it said it, and whoever reads it looks at its form.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from benchharness.contract import EXECUTION_DEVICE
from benchharness.results.objects import JsonObject


@dataclass(frozen=True, kw_only=True, eq=False)
class Effective(JsonObject):
    """What was really run, read back from the runtime and never copied from the request. None: it was not told."""

    task: str | None = None  # what the model turned out to be
    rules: int | None = None  # the number of the device's rules; see `judge.earlier`
    # The runtime's session: see the contract's `EffectiveConfiguration`.
    accelerators: Sequence[str] | None = None
    threads: int | None = None
    cache: str | None = None
    runtime_version: str | None = None
    execution: str | None = None
    precision: str | None = None
    model_precision: str | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)  # an adapter's own
    # Of a runtime that writes and stamps answers itself.
    continuation: str | None = None
    timed_by: str | None = None
    stamped_at: str | None = None
    clock_resolution_ns: int | None = None
    tokens_per_stamp: int | None = None
    itl_unknown: str | None = None  # why its stamps give no gaps between tokens
    unknown_metrics: Mapping[str, Any] = field(default_factory=dict)  # of a program that measures itself: why not
    # Where operators ran.
    placement: Any = None  # operators by place and kind
    placement_unknown: Any = None  # why that is not told
    fallback: Any = None  # what an accelerator left to others
    # What went in and came out.
    inputs: Mapping[str, Any] | None = None
    invented_inputs: Mapping[str, Any] | None = None
    assumed_dimensions: Mapping[str, Any] = field(default_factory=dict)
    unused_dimensions: Sequence[Any] = ()
    state: Mapping[str, Any] = field(default_factory=dict)
    only_zeros: Mapping[str, Any] | None = None
    tensors: Mapping[str, Any] = field(default_factory=dict)
    # Scenario quality.
    reference: Effective | None = None
    tokenizer: Mapping[str, Any] = field(default_factory=dict)
    evaluated: Mapping[str, Any] = field(default_factory=dict)
    scores: Mapping[str, Any] = field(default_factory=dict)
    metric_cost: Mapping[str, Any] = field(default_factory=dict)
    examples: Any = None
    continuations: Any = None

    @property
    def on_device(self) -> bool:
        """Whether the runtime that ships ran it, so that times and memory mean something."""
        return self.execution in (None, EXECUTION_DEVICE) and "execution" not in self.others

    def of_scenario(self, key: str) -> Mapping[str, Any]:
        """An object that one scenario alone tells, and no field here is for; empty where there is none."""
        found = self.others.get(key)
        return found if isinstance(found, Mapping) else {}


@dataclass(frozen=True, kw_only=True, eq=False)
class Conditions(JsonObject):
    """The state that the device was in. What is only shown, and never judged by, is among the `others`."""

    python: str | None = None
    page_cache: str | Mapping[str, Any] | None = None  # as asked for; an object: why that is unknown
    page_cache_resident: float | int | None = None
    waiting_share: float | None = None  # of the time, waiting for a core
    times_throttled: int | None = None  # by a CPU quota
    watching_ns: int | None = None
    measured_from_ns: float | None = None  # since the worker was spawned: its model was loaded
    measured_until_ns: float | None = None
    memory_unknown: Mapping[str, Any] = field(default_factory=dict)  # why, by kind of memory
    sensors: Mapping[str, Any] = field(default_factory=dict)
    entry_gate: Mapping[str, Any] | None = None
    left_running: Mapping[str, Any] | None = None  # processes by command; or why that is unknown
