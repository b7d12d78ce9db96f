"""What a noise probe says about measuring on that machine: the smallest difference that could be told from noise.

Over the probe's 20 blocks the spread of two figures is taken, as logarithms like the statistics of attempts: of the
blocks' medians, which is how an attempt of many short requests behaves, and of their means, which is how one long
request behaves, since nothing that disturbs it is left out. With a standard deviation s and n attempts the 95 %
interval of one variant's mean is ± t s / √n wide, and that of the ratio of two variants √2 times as wide; a smaller
difference than that is not told from none.

It is for one thread of arithmetic and a lower bound for a model: neither memory bandwidth nor other threads, neither
fresh processes nor the drift of minutes are in it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np

from benchharness.judge import student
from benchharness.units import percent_text

ATTEMPTS = (5, 20)
#: "Equal within 2 %" can be said where 20 attempts tell 2 %.
QUIET_DIFFERENCE = 0.02
#: A slowdown of 5 % is what the gate is built to find with 20 attempts; above this it cannot.
NOISY_DIFFERENCE = 0.05
#: Courses are called contended from this share of waiting on: it told every hog and no quiet course.
NOISY_LOST_SHARE = 0.05
#: Chosen, not measured: a quarter of the time lost is no longer a disturbance but a second tenant.
VERY_NOISY_LOST_SHARE = 0.25
#: Fewer have no spread.
_FEWEST_BLOCKS = 2
LOWER_BOUND = "for one thread of arithmetic; a model is disturbed at least as much"


class Verdict(StrEnum):
    """How fit for measuring a machine is, in words."""

    QUIET = "quiet"
    NOISY = "noisy"
    VERY_NOISY = "very noisy"


_SEVERITY = tuple(Verdict)


@dataclass(frozen=True, kw_only=True)
class Expectation:
    """What so many attempts would show: shares of the value, 0.02 for 2 %."""

    of: str  # what an attempt is
    attempts: int
    half_width: float  # of one variant's 95 % interval
    smallest_difference: float  # between two variants


@dataclass(frozen=True, kw_only=True)
class Noise:
    """The verdict, why, and what can be done."""

    verdict: Verdict
    reason: str
    hint: str
    expectations: Sequence[Expectation]


def judge(probe: Mapping[str, Any]) -> Noise:
    """Interprets what `benchharness.device.noise.probe` returned.

    The verdict is the worse of two: the smallest difference that 20 attempts of one long request could tell (quiet up
    to 2 %, very noisy above 5 %), and the share of time that was waited or stolen (noisy from 5 %, very noisy from
    25 %).

    Raises `ValueError` for what no probe can have returned: a device far away may tell anything.
    """
    if trouble := _impossible(probe):
        raise ValueError(f"no noise probe can have returned that: {trouble}")
    short, long = _spread(probe["block_medians_ns"]), _spread(probe["block_means_ns"])
    blocks, median_ms = len(probe["block_means_ns"]), probe["median_ns"] / 1e6
    many = f"the median of {probe['iterations'] // blocks} requests of {median_ms:.2g} ms"
    one = f"one request of {probe['seconds'] / blocks * 1e3:.3g} ms"
    expectations = [
        _expectation(of, spread, attempts) for of, spread in ((many, short), (one, long)) for attempts in ATTEMPTS
    ]
    difference = expectations[-1].smallest_difference
    waiting, stolen = _share(probe["waiting_share"]), _share(probe["steal_share"])
    # Not their sum: where the kernel accounts for steal, a thread that was stolen from counts as waiting.
    lost = max(waiting, stolen)
    by_difference = _graded(difference, QUIET_DIFFERENCE, NOISY_DIFFERENCE)
    # The limits of loss belong to the noisier side: exactly 5 % is contended.
    by_loss = _graded(lost, math.nextafter(NOISY_LOST_SHARE, 0), math.nextafter(VERY_NOISY_LOST_SHARE, 0))
    verdict = max(by_difference, by_loss, key=_SEVERITY.index)
    return Noise(
        verdict=verdict,
        reason=f"20 attempts of {one} tell differences from {percent_text(difference, 1)} on; "
        f"{percent_text(waiting, 1)} of the time was spent waiting for a core, {_share_text(probe['steal_share'])}",
        hint="" if verdict is Verdict.QUIET else _hint(waiting, stolen),
        expectations=expectations,
    )


def _impossible(probe: Mapping[str, Any]) -> str:
    """Why it cannot be; empty where it can."""
    if not isinstance(probe, Mapping):
        return "it is no table"
    for name in ("block_medians_ns", "block_means_ns"):
        values = probe.get(name)
        if not isinstance(values, list) or len(values) < _FEWEST_BLOCKS or not all(map(_is_positive, values)):
            return f"{name} are no times"
    lacks = [name for name in ("median_ns", "seconds", "iterations") if not _is_positive(probe.get(name))]
    lacks += [name for name in ("waiting_share", "steal_share") if name not in probe]
    return f"{lacks[0]} is not told" if lacks else ""


def _is_positive(value: Any) -> bool:
    return isinstance(value, int | float) and 0 < value < math.inf


def _spread(values: Sequence[float]) -> float:
    """Standard deviation of the logarithms: of ratios, so that 0.02 is about 2 %."""
    return float(np.std(np.log(values), ddof=1))


def _expectation(of: str, spread: float, attempts: int) -> Expectation:
    half = student.quantile(attempts - 1) * spread / math.sqrt(attempts)
    return Expectation(
        of=of,
        attempts=attempts,
        half_width=math.expm1(half),
        smallest_difference=math.expm1(math.sqrt(2) * half),
    )


def _graded(value: float, quiet_up_to: float, noisy_up_to: float) -> Verdict:
    if value <= quiet_up_to:
        return Verdict.QUIET
    return Verdict.NOISY if value <= noisy_up_to else Verdict.VERY_NOISY


def _share(value: Any) -> float:
    """A share that is unknown speaks neither for nor against the machine; `_share_text` says so."""
    return float(value) if isinstance(value, int | float) else 0.0


def _share_text(value: Any) -> str:
    if isinstance(value, int | float):
        return f"{percent_text(value, 1)} was stolen by the hypervisor"
    reason = value.get("unknown", "not told") if isinstance(value, Mapping) else "not told"
    return f"what a hypervisor stole is unknown ({reason})"


def _hint(waiting: float, stolen: float) -> str:
    if stolen >= NOISY_LOST_SHARE:
        return "the hypervisor gives the cores to others: use a machine of its own, or more attempts and paired ratios"
    if waiting >= NOISY_LOST_SHARE:
        return "other programs use the cores, or a quota holds this one back: stop them, or leave a core free for them"
    return (
        "the core itself runs unevenly: fix its clock (governor 'performance', mains), let it cool, and stop what uses "
        "the memory or the same core's other thread"
    )
