"""Sessions of programs that load, repeat and time by themselves (`MeasuresItself`).

What such a program tells is held against the harness's own clock around its processes. Of their memory at most a peak
is known, which the kernel keeps when they have ended; what they held when, and how they waited for a core, is not.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from benchharness.contract import MeasuresItself, OwnFigure, OwnRequest, TensorSpec
from benchharness.device.measured import measurement
from benchharness.device.own_clock import outlasts
from benchharness.device.self_timed import SelfTimed
from benchharness.device.sensors.readings import unknown
from benchharness.errors import InvalidOutput, Unsupported

if TYPE_CHECKING:
    from collections.abc import Sequence

_WHY = "the program runs in processes of its own, of which a peak is known at most"
_WHY_WAITING = "the program runs in processes of its own, and nobody looks at how they wait"


#: The metric that is no figure of the program's.
PEAK = "peak_memory"
_MOST_BYTES = 1 << 48  # of one process's addresses


class OwnReporter:
    """Such a session, whose figures are looked at as they come."""

    takes_text = True  # no tokenizer is wanted: a prompt is asked for by its length

    def __init__(self, session: MeasuresItself) -> None:
        self.inputs: Sequence[TensorSpec] = ()
        self.outputs: Sequence[TensorSpec] = ()
        self.effective, self.language = session.effective, session.language  # before it has measured
        self._session = session
        self._unknown: dict[str, str] = {}

    @classmethod
    def of(cls, session: object) -> OwnReporter | None:
        """A session that measures itself; None for any other."""
        return cls(session) if isinstance(session, MeasuresItself) else None

    def run(self, inputs: Mapping[str, Any]) -> Mapping[str, Any]:
        """Refused."""
        raise Unsupported(
            "this program measures itself, and hands no answer out; measure courses and quality with another adapter"
        )

    def told(
        self, workload: Mapping[str, Any], repeats: int, metrics: Collection[str], paused: Collection[str] = ()
    ) -> list[dict[str, Any]]:
        """What it tells of these metrics, as measurements. Raises `Unsupported` where that is nothing.

        `paused` are metrics of pauses that were asked for, which it does not make.
        """
        report = self._session.measure(self._request(workload, repeats), metrics)
        missing = {name: str(why)[:200] for name, why in report.unknown.items() if name in {*metrics, PEAK}}
        if not report.figures:
            reasons = "; ".join(dict.fromkeys(why for name, why in missing.items() if name != PEAK))
            raise Unsupported(
                f"this program tells nothing that this scenario measures{f': {reasons}' if reasons else ''}"
            )
        for figure in report.figures:
            _check(figure, report.took_ns, metrics)
        found = [measurement(each.metric, each.parameters, each.value, samples=each.samples) for each in report.figures]
        if report.peak_bytes is not None:
            found.append(measurement(PEAK, {}, _checked_peak(report.peak_bytes)))
        told = {each["metric"] for each in found}
        self._unknown = {name: why for name, why in missing.items() if name not in told}
        self._unknown.update(dict.fromkeys(paused, "the program makes its repeats one right after the other"))
        return found

    def _request(self, workload: Mapping[str, Any], repeats: int) -> OwnRequest:
        if workload["asks"] == "tensor":
            raise Unsupported(
                "this program makes its inputs itself, so dimensions, values and data of a workload would not be what "
                "is measured; give it a workload without them, and its own options.arguments"
            )
        prompt = workload["prompt"]
        length = len(prompt["tokens"]) if prompt.get("tokens") is not None else prompt.get("length")
        if self.language and (prompt.get("text") is not None or not length):
            raise Unsupported("this program takes a prompt by its length only: prompt = { tokens = 128 }")
        if self.language and workload["output_tokens"] < 2:
            raise Unsupported(f"output_tokens = {workload['output_tokens']}: its decoding is measured; ask for 2")
        return OwnRequest(
            repeats=repeats,
            prompt_tokens=int(length or 0),
            output_tokens=int(workload["output_tokens"] or 0),
            context_depth=int(workload["context_depth"] or 0),
        )

    def facts(self) -> dict[str, Any]:
        """Which metrics it could have told and does not, and why."""
        return {"unknown_metrics": self._unknown} if self._unknown else {}

    def elsewhere(self) -> dict[str, Any]:
        """In the place of what the worker knows of itself, and would be taken for the program's."""
        return {"elsewhere": True, "memory_unknown": {"memory": _WHY}, "waiting_share": unknown(_WHY_WAITING)}


def by_itself(session: object) -> SelfTimed | OwnReporter | None:
    """A session that is not timed from outside call by call; None for any other."""
    return SelfTimed.of(session) or OwnReporter.of(session)


def _checked_peak(told: int) -> int:
    if type(told) is not int or not 0 < told < _MOST_BYTES:
        raise InvalidOutput(f"the program's processes held {told!r} bytes at most")
    return told


def _check(figure: OwnFigure, took_ns: int, metrics: Collection[str]) -> None:
    """Raises `InvalidOutput` for a figure that cannot be."""
    numbers = [figure.value, *figure.samples]
    if figure.metric not in metrics or not all(math.isfinite(each) and each > 0 for each in numbers):
        raise InvalidOutput(f"the program tells {figure.metric} as {figure.value!r}")
    if figure.samples and not min(figure.samples) <= figure.value <= max(figure.samples):
        raise InvalidOutput(f"the program tells {figure.metric} as {figure.value:g}, which is outside of its samples")
    told_ns = [figure.took_ns] if figure.metric.endswith("_rate") else [figure.took_ns, sum(numbers[1:] or numbers)]
    for each_ns in told_ns:
        if outlasts(each_ns, took_ns):
            raise InvalidOutput(
                f"the program says that {figure.metric} took {each_ns:.0f} ns, and it lived {took_ns} ns"
            )
