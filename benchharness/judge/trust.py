"""Warnings grouped by kind: one line each, and the details behind it. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from benchharness.results.result import Result, ResultWarning, WarningKind

#: What makes a run noisy: its times and rates are less sure, its sizes and its quality are not.
NOISE = (
    WarningKind.CONTENDED,
    WarningKind.THROTTLED,
    WarningKind.NOT_STEADY,
    WarningKind.UNSETTLED,
    WarningKind.LEFT_RUNNING,
)
#: What each kind says of a job, after "12 of 17 jobs".
_SAID = {
    WarningKind.UNSTABLE: "have attempts that spread widely",
    WarningKind.SOME_FAILED: "have failed attempts beside good ones",
    WarningKind.THROTTLED: "were stopped by a CPU quota",
    WarningKind.CONTENDED: "waited for a core",
    WarningKind.LIMITS_CHANGED: "have limits that changed on the way",
    WarningKind.SLOW_FIRST_ITERATION: "were far slower at first than later",
    WarningKind.TOO_FEW_SAMPLES: "have too few attempts for narrow intervals",
    WarningKind.BELOW_TIMER_RESOLUTION: "time what is too short for the clock",
    WarningKind.BINDING_COPIES: "pay for copies that the language binding makes",
    WarningKind.NOT_APPLIED: "did not get what was requested",
    WarningKind.FALLBACK: "ran partly or wholly without their accelerator",
    WarningKind.SHARED_SAMPLES: "were evaluated on what a variant was fitted to",
    WarningKind.REFERENCE_EXECUTION: "were computed by another runtime: no times, no memory",
    WarningKind.ASSUMED_INPUT: "assume an input's length",
    WarningKind.UNEXPLAINED_INPUT: "fill an input that nothing explains",
    WarningKind.ASSUMED_STATE: "carry a state because the names say so",
    WarningKind.CARRIED_STATE: "answer with what they kept from earlier inputs",
    WarningKind.ONLY_ZEROS: "answered nothing but zeros",
    WarningKind.SATURATED: "were fed values beyond a quantized input's range",
    WarningKind.NOT_COMPARED: "have outputs that were not compared",
    WarningKind.UNSURE_PAIRING: "pair tensors by names that converters made up",
    WarningKind.LEADING_TOKEN: "read texts without the token that goes before them",
    WarningKind.NOT_CHARGED: "used memory that a limit did not count",
    WarningKind.NOT_STEADY: "slowed for a reason that is not known",
    WarningKind.UNSETTLED: "began before the device had settled",
    WarningKind.PART_OF_PIPELINE: "are one part of a pipeline",
    WarningKind.LEFT_RUNNING: "left processes running",
    WarningKind.NO_INTERVAL: "stopped before the interval asked for",
    WarningKind.UNEQUAL_WORK: "have attempts that did unequal work",
    WarningKind.LOWER_PRECISION: "computed in less precision than the file says",
    WarningKind.LATE_NETWORK: "had simulated networks that were later than asked",
    WarningKind.MEMORY_ELSEWHERE: "hold memory on an accelerator that was not counted",
    WarningKind.NOT_SHIPPED: "have in start and memory what products leave out",
    WarningKind.OTHER_DEVICE: "were computed on another device than is told",
    WarningKind.EARLIER_RULE: "were measured by a rule that has been mended since",
}
#: The same of one job.
_OF_ONE = {
    "have": "has",
    "were": "was",
    "are": "is",
    "time": "times",
    "pay": "pays",
    "assume": "assumes",
    "fill": "fills",
    "carry": "carries",
    "answer": "answers",
    "pair": "pairs",
    "hold": "holds",
}


@dataclass(frozen=True, kw_only=True)
class Trust:
    """One kind of warning over all results: how many jobs carry it, and each different message with its jobs."""

    kind: WarningKind
    jobs: int
    of: int
    details: tuple[tuple[ResultWarning, tuple[str, ...]], ...]  # a warning, and the titles of the jobs that carry it

    @property
    def finding(self) -> str:
        """ "12 of 17 jobs waited for a core"."""
        verb, _, rest = _SAID[self.kind].partition(" ")
        verb = _OF_ONE.get(verb, verb) if self.jobs == 1 else verb
        return f"{self.jobs} of {self.of} job{'s' if self.of > 1 else ''} {verb} {rest}"


def trust(results: Sequence[Result]) -> list[Trust]:
    """A group for each kind that some result carries: what makes a run noisy first, then the most frequent."""
    by_kind: dict[WarningKind, dict[ResultWarning, list[str]]] = {}
    carriers: dict[WarningKind, set[str]] = {}
    for at, result in enumerate(results):
        for warning in result.warnings:
            by_kind.setdefault(warning.kind, {}).setdefault(warning, []).append(result.job.title)
            carriers.setdefault(warning.kind, set()).add(f"{at} {result.job.key}")
    found = [
        Trust(
            kind=kind,
            jobs=len(carriers[kind]),
            of=len(results),
            details=tuple((warning, tuple(dict.fromkeys(titles))) for warning, titles in messages.items()),
        )
        for kind, messages in by_kind.items()
    ]
    return sorted(found, key=lambda each: (each.kind not in NOISE, -each.jobs))


def noisy(found: Sequence[Trust]) -> bool:
    """Whether something disturbed the run."""
    return any(each.kind in NOISE for each in found)
