"""What a scenario works with: a loaded session, what to ask of it, and the repeats that several scenarios share."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Callable, TypeVar

from benchharness.contract import Session
from benchharness.device.inputs.tokenizer import Tokenizer
from benchharness.device.outputs import Outputs
from benchharness.device.phases import Phases
from benchharness.device.timed_inferences import TimedInferences
from benchharness.device.timing import goes_on, quiet_collector

if TYPE_CHECKING:
    from benchharness.device.line.orders import Workload

Measured = TypeVar("Measured")


@dataclass(frozen=True)
class Stage:
    """What a scenario works with. `phases` stands at the end of `load`; the scenario ends `first_request` itself."""

    session: Session
    workload: Workload
    settings: Mapping[str, Any]
    tokenizer: Tokenizer | None
    phases: Phases
    progress: Callable[[str, int, int], None]  # phase, done, total
    inputs: Mapping[str, Any] = field(default_factory=dict)  # of a model that is no language model: what it is fed
    outputs: Outputs = field(default_factory=Outputs)  # and what it answered
    plain: Session | None = None  # the session itself, which carries no state and times nothing
    tensors: Mapping[str, Any] = field(default_factory=dict)  # what the suite says of its inputs and outputs
    told: dict[str, Any] = field(default_factory=dict)  # what a scenario tells beside its measurements, JSON values

    def warm_up(self, once: Callable[[int], object]) -> None:
        """Runs `once`, told how many are left, as often as the settings' `warmup` says; nothing of it counts."""
        total = self.settings["warmup"]
        for done in range(total):
            self.progress("warm-up", done, total)
            once(total - done - 1)

    def wanted(self, metric: str) -> int:
        """Samples of a metric that a percentile of it needs, 0 where none is asked for."""
        return int(self.settings.get("samples", {}).get(metric, 0))

    def repeat(self, once: Callable[[], Measured], wanted: int = 0) -> list[Measured]:
        """What `once` gave each time: at least `repeats` times, for at least `min_time_ns`, at most `most_repeats`.

        And `wanted` times, if that takes no longer than `samples_time_ns`.
        """
        taken: list[Measured] = []
        started_ns = time.perf_counter_ns()
        while goes_on(
            len(taken),
            started_ns,
            at_least=self.settings["repeats"],
            at_most=self.settings["most_repeats"],
            min_time_ns=self.settings["min_time_ns"],
            wanted=wanted,
            longest_ns=self.settings.get("samples_time_ns", 0),
        ):
            self.progress("measure", len(taken), max(wanted, self.settings["repeats"]))
            with quiet_collector():
                taken.append(once())
        return taken


def inference_timer(session: Session, inputs: Mapping[str, Any], at_most: int) -> Callable[[], int]:
    """What gives one inference's time in ns after the other: by the harness's clock, or by the session's own.

    Of a session's own clock several may have been made at once, up to `at_most`, and are given one by one.
    """
    if not isinstance(session, TimedInferences):
        return lambda: timed_inference(session, inputs)
    made: list[int] = []

    def once() -> int:
        if not made:
            made.extend(reversed(session.several(inputs, at_most)))
        return made.pop()

    return once


def timed_inference(session: Session, inputs: Mapping[str, Any]) -> int:
    """One inference in ns: inputs handed to the runtime until outputs on the host; or as the session times itself."""
    if isinstance(session, TimedInferences):
        return session.one(inputs)[0]
    start = time.perf_counter_ns()
    session.run(inputs)
    return time.perf_counter_ns() - start
