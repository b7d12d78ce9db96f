"""Was it throttled, or was it disturbed? One verdict on a course, from what its windows show. Pure.

Throughput alone cannot decide: undisturbed courses drifted by up to 9 %. So the causes are asked for in turn, each by
what only it does: a quota by the kernel's count, contention and steal by the time spent waiting, a slower core by the
CPU time that the least disturbed inference of a window takes. Heat is a slower core with a sensor's word for it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from benchharness.results.courses import SessionState
from benchharness.units import percent_text

Series = NDArray[np.float64]

#: The baseline is the shorter of so many windows and so many seconds; as many windows are the end.
BASELINE_WINDOWS = 20
BASELINE_S = 5.0
#: With fewer windows in the baseline or after it there is nothing to compare.
FEWEST_WINDOWS = 3
#: Windows over which a quota's stops are added up.
QUOTA_SPAN = 8
QUOTA_STOPS = 3
#: Windows over which the share of time spent waiting for a core (or stolen) is taken; its rise above the baseline's.
#: Over 8 windows an undisturbed course rose by 0.075 once; over 20 that one is 0.03, and a hog's are 0.33 and more.
WAIT_SPAN = 20
WAIT_RISE = 0.05
STEAL_RISE = 0.05
#: A baseline that itself waited so much was disturbed from the start.
WAIT_AT_START = 0.10
#: ln of the CPU time of the least disturbed inferences, over the baseline's: their 20 % quantile over windows. On a
#: shared virtual machine courses without a slower core were at -0.06 to 0.06, with one slower by 15 % at 0.13 to 0.18.
SLOWER = 0.08
#: Where a sensor speaks of heat, less is enough.
SLOWER_WITH_HEAT = 0.03
_QUANTILE = 0.2
_HIDDEN = f"a core slower by less than {percent_text(math.expm1(SLOWER))} is not told from a machine's own drift"
#: A process that lost cores competes with itself where it fills this share of those that are left; else others do.
OWN_SHARE = 0.75
#: A change is seen at the next look, so windows this shortly before it may stand on either side.
_SEEN_LATE_S = 0.3
#: A rate that fell by more than this without any of the causes above is not called steady.
UNEXPLAINED_LOSS = 0.10
#: Of the windows, more must tell a figure than this for it to count as read.
_KNOWN_SHARE = 0.5
#: The change-point search takes 0.2 s for so many points, and grows with their square; beyond, windows are averaged.
_MOST_POINTS = 6000


@dataclass(frozen=True)
class Windows:
    """A course's windows as arrays of one length; NaN where a figure cannot be read. Rates are positive."""

    start_s: Series
    end_s: Series
    rate: Series
    busy_ns: Series  # the time that its inferences took
    least_ns: Series  # the least disturbed inference: CPU time where the host computes, wall time on an accelerator
    waited_ns: Series
    ran_ns: Series
    stops: Series  # times that a quota stopped it
    steal_share: Series
    by_cpu_time: bool = True  # what `least_ns` is

    def __len__(self) -> int:
        return len(self.rate)


@dataclass(frozen=True)
class Cut:
    """Cores that were taken from a process, or exchanged for others, by the clock of the windows."""

    since_s: float
    until_s: float
    cores: int  # that were left
    told: str


@dataclass(frozen=True)
class Judgement:
    """The verdict, why, and each window's own state. Slices of windows have an exclusive end."""

    state: SessionState
    evidence: Sequence[str]
    windows: Sequence[SessionState]
    baseline: tuple[int, int]
    settled: tuple[int, int]


def judge(windows: Windows, heat: Sequence[str] = (), cut: Cut | None = None) -> Judgement:
    """`heat`: what sensors say about heat, in sentences with figures; without one a slow core is no hot core.

    `cut`: cores that were taken from the process meanwhile; it is a cause only where something came of it.
    """
    first = _baseline_length(windows)
    baseline, settled = (0, first), (max(first, len(windows) - max(first, FEWEST_WINDOWS)), len(windows))
    if first < FEWEST_WINDOWS or settled[1] - settled[0] < FEWEST_WINDOWS:
        why = f"{len(windows)} windows: too few for a baseline and an end of {FEWEST_WINDOWS} each; measure for longer"
        states = [SessionState.UNKNOWN] * len(windows)
        return Judgement(SessionState.UNKNOWN, (why,), states, baseline, settled)
    slower = partial(_slower, limit=SLOWER_WITH_HEAT if heat else SLOWER)
    for find in (_quota, partial(_cut, cut=cut), _contention, _steal, slower):
        found = find(windows, first)
        if found is None:
            continue
        state, evidence, where = found
        if state is SessionState.SLOW_CORE:
            state, evidence = _slow_for_a_reason(windows, evidence, heat)
        states = [state if flagged else SessionState.STEADY for flagged in where]
        return Judgement(state, evidence, states, baseline, settled)
    state, evidence = _without_cause(windows, first, settled)
    return Judgement(state, evidence, [SessionState.STEADY] * len(windows), baseline, settled)


def _slow_for_a_reason(
    windows: Windows, evidence: tuple[str, ...], heat: Sequence[str]
) -> tuple[SessionState, tuple[str, ...]]:
    """Heat where a sensor says so. Wall time that nobody saw waiting for a core may have waited all the same."""
    if heat:
        return SessionState.HEAT, (*evidence, *heat)
    if windows.by_cpu_time or _waits_are_known(windows):
        return SessionState.SLOW_CORE, evidence
    return SessionState.UNKNOWN, (*evidence, "whether they waited for a core cannot be read here")


#: A state, the evidence for it, and the windows that show it.
Found = tuple[SessionState, tuple[str, ...], Sequence[bool]]


def _baseline_length(windows: Windows) -> int:
    if not len(windows):
        return 0
    within = int(np.searchsorted(windows.end_s - windows.start_s[0], BASELINE_S, side="right"))
    return min(BASELINE_WINDOWS, max(within, min(FEWEST_WINDOWS, len(windows))))


def _spans(values: Series, length: int) -> Series:
    """Sums over spans of windows that follow each other, the first from the first window."""
    length = min(length, len(values))
    return np.convolve(values, np.ones(length), mode="valid")


def _in_spans(over: NDArray[np.bool_], count: int) -> list[bool]:
    """Which windows stand in a span that is over a limit."""
    length = count - len(over) + 1
    flagged = np.zeros(count, dtype=bool)
    for start in np.flatnonzero(over):
        flagged[start : start + length] = True
    return [bool(each) for each in flagged]


def _quota(windows: Windows, first: int) -> Found | None:
    if np.isnan(windows.stops).all():
        return None
    stops = np.nan_to_num(windows.stops)
    sums = _spans(stops, QUOTA_SPAN)
    over = sums >= QUOTA_STOPS
    if not over.any():
        return None
    evidence = (
        f"a CPU quota stopped the process {stops.sum():.0f} times, up to {sums.max():.0f} times within {QUOTA_SPAN} "
        f"windows (limit: {QUOTA_STOPS})"
    )
    inside = _in_spans(over, len(windows))
    return SessionState.QUOTA, (evidence,), [near and own > 0 for near, own in zip(inside, stops, strict=True)]


def _cut(windows: Windows, first: int, cut: Cut | None) -> Found | None:
    """Fewer cores, or others: the rate fell, or its own threads wait for one another. Not what others take of them."""
    if cut is None:
        return None
    middle = (windows.start_s + windows.end_s) / 2
    before, after = windows.end_s <= cut.since_s - _SEEN_LATE_S, (middle >= cut.since_s) & (middle <= cut.until_s)
    if min(before.sum(), after.sum()) < FEWEST_WINDOWS:
        return None
    lost = 1 - float(np.median(windows.rate[after])) / float(np.median(windows.rate[before]))
    waited, ran = np.nan_to_num(windows.waited_ns), np.nan_to_num(windows.ran_ns)
    waits_before, waits = (_share(waited[part].sum(), ran[part].sum()) for part in (before, after))
    filled = float(ran[after].sum()) / (cut.cores * float(windows.busy_ns[after].sum()))
    competes = waits >= waits_before + WAIT_RISE
    if (competes and filled < OWN_SHARE) or not (competes or lost > UNEXPLAINED_LOSS):
        return None
    told = "whether its threads waited for a core cannot be read here"
    if _waits_are_known(windows):
        told = (
            f"threads that were ready to run waited for a core {_percent(waits)} of the time, "
            f"{_percent(waits_before)} before"
        )
    evidence = (
        f"{cut.told} at {cut.since_s - windows.start_s[0]:.1f} s: the rate changed by {100 * -lost:+.1f} %, and {told}"
    )
    return SessionState.CORES, (evidence,), [bool(each) for each in after]


def _waits_are_known(windows: Windows) -> bool:
    """Whether most windows tell how long threads waited: looks may begin late and end early."""
    return bool(np.mean(np.isfinite(windows.waited_ns) & np.isfinite(windows.ran_ns)) > _KNOWN_SHARE)


def _contention(windows: Windows, first: int) -> Found | None:
    if not _waits_are_known(windows):
        return None
    known = np.isfinite(windows.waited_ns) & np.isfinite(windows.ran_ns)
    waited, ran = np.where(known, windows.waited_ns, 0.0), np.where(known, windows.ran_ns, 0.0)
    at_start = _share(waited[:first].sum(), ran[:first].sum())
    pairs = zip(_spans(waited, WAIT_SPAN), _spans(ran, WAIT_SPAN), strict=True)
    shares = np.array([_share(waits, runs) for waits, runs in pairs])
    from_the_start = at_start >= WAIT_AT_START
    limit = WAIT_AT_START if from_the_start else at_start + WAIT_RISE
    over = shares >= limit
    if not over.any() and not from_the_start:
        return None
    evidence = (
        f"threads that were ready to run waited for a core up to {_percent(max(shares.max(), at_start))} of the time "
        f"over {WAIT_SPAN} windows, and {_percent(at_start)} at the start (limit: {_percent(limit)})"
    )
    inside = _in_spans(over, len(windows))
    own = [_share(waits, runs) >= limit for waits, runs in zip(waited, ran, strict=True)]
    near = [each or (from_the_start and at < first) for at, each in enumerate(inside)]
    return SessionState.CONTENTION, (evidence,), [both and each for both, each in zip(near, own, strict=True)]


def _share(part: float, rest: float) -> float:
    return part / (part + rest) if part + rest > 0 else 0.0


def _steal(windows: Windows, first: int) -> Found | None:
    known = np.isfinite(windows.steal_share)
    if known.mean() <= _KNOWN_SHARE:
        return None
    at_start = float(windows.steal_share[:first][known[:first]].mean()) if known[:first].any() else 0.0
    counts = _spans(known.astype(np.float64), WAIT_SPAN)
    means = _spans(np.where(known, windows.steal_share, 0.0), WAIT_SPAN) / np.maximum(counts, 1.0)
    over = means >= at_start + STEAL_RISE
    if not over.any():
        return None
    evidence = (
        f"the hypervisor took up to {_percent(means.max())} of the time that cores were wanted, and "
        f"{_percent(at_start)} at the start (limit: {_percent(at_start + STEAL_RISE)})"
    )
    own = np.nan_to_num(windows.steal_share) >= at_start + STEAL_RISE
    inside = _in_spans(over, len(windows))
    return SessionState.STEAL, (evidence,), [near and bool(each) for near, each in zip(inside, own, strict=True)]


def _slower(windows: Windows, first: int, limit: float) -> Found | None:
    """A core that was slower at the end, or so slow on the way that the rate fell with it."""
    at_start = _quantile(windows.least_ns[:first])
    if at_start <= 0:
        return None  # the clock is too coarse for this model
    length = min(BASELINE_WINDOWS, len(windows) - first)
    starts = range(first, len(windows) - length + 1)
    rises = [_ln(_quantile(windows.least_ns[start : start + length]) / at_start) for start in starts]
    slowest = int(np.argmax(rises))
    burst = float(np.median(windows.rate[:first]))
    lost = 1 - float(np.median(windows.rate[starts[slowest] : starts[slowest] + length])) / burst
    if rises[-1] > limit:
        rise, when = rises[-1], f"in the last {length} windows"
    elif rises[slowest] > limit and lost > UNEXPLAINED_LOSS:
        rise, when = (
            rises[slowest],
            f"over {length} windows from {_second(windows, starts[slowest])} on, and recovered,",
        )
    else:
        return None
    by = "CPU time" if windows.by_cpu_time else "wall time"
    evidence = (
        f"the least disturbed inferences took {_percent(math.expm1(rise))} longer {when} than in the first {first}, by "
        f"their own {by} (limit: {_percent(math.expm1(limit))})"
    )
    flagged = windows.least_ns > at_start * math.exp(limit)
    return SessionState.SLOW_CORE, (evidence,), [bool(each) for each in flagged]


def _quantile(values: Series) -> float:
    return float(np.quantile(values, _QUANTILE))


def _ln(ratio: float) -> float:
    return math.log(ratio) if ratio > 0 else -math.inf


def _percent(share: float) -> str:
    return percent_text(share, 1)


def _second(windows: Windows, at: int) -> str:
    return f"{windows.start_s[at] - windows.start_s[0]:.1f} s"


def _without_cause(windows: Windows, first: int, settled: tuple[int, int]) -> tuple[SessionState, tuple[str, ...]]:
    """Steady, unless the baseline was still moving, or the rate fell or rose and nothing says why."""
    half = first // 2
    sooner, later = _quantile(windows.least_ns[:half]) if half else 0.0, _quantile(windows.least_ns[half:first])
    if half >= FEWEST_WINDOWS and sooner > 0 and abs(_ln(later / sooner)) > SLOWER:
        changed = 100 * (later / sooner - 1)
        return SessionState.UNKNOWN, (
            f"baseline unsettled: the least disturbed inferences changed by {changed:+.1f} % within it; "
            "start from a settled device, or warm up for longer",
        )
    unread = "".join(f"; {each} cannot be read here" for each in _unread(windows))
    burst = float(np.median(windows.rate[:first]))
    retained = float(np.median(windows.rate[slice(*settled)])) / burst
    if retained < 1 - UNEXPLAINED_LOSS:
        return SessionState.UNKNOWN, (f"the rate fell by {_percent(1 - retained)}, and no cause was seen{unread}",)
    if retained > 1 / (1 - UNEXPLAINED_LOSS):
        return SessionState.UNKNOWN, (
            f"the rate rose by {_percent(retained - 1)}: the session began slower than the device can be, so that its "
            f"start is no burst{unread}; warm up for longer",
        )
    length = settled[1] - settled[0]
    lowest, at = min(
        (float(np.median(windows.rate[start : start + length])) / burst, start)
        for start in range(first, len(windows) - length + 1)
    )
    if lowest < 1 - UNEXPLAINED_LOSS:
        return SessionState.UNKNOWN, (
            f"the rate fell by {_percent(1 - lowest)} over {length} windows from {_second(windows, at)} on and "
            f"recovered, and no cause was seen{unread}",
        )
    hidden = "" if retained >= math.exp(-SLOWER_WITH_HEAT) else f"; {_HIDDEN}"
    return SessionState.STEADY, (
        f"the rate at the end is {_percent(retained)} of that at the start, with no cause for less{hidden}{unread}",
    )


def _unread(windows: Windows) -> list[str]:
    """Which of the causes could not have been seen."""
    causes = {
        "a quota": not np.isnan(windows.stops).all(),
        "waiting for a core": _waits_are_known(windows),
        "steal": bool(np.isfinite(windows.steal_share).mean() > _KNOWN_SHARE),
        "the time of a single inference": _quantile(windows.least_ns) > 0,
    }
    return [cause for cause, readable in causes.items() if not readable]


def fell_for_good(windows: Windows, burst_rate: float, loss: float) -> float | None:
    """Seconds until the rate, once up, was below the burst rate by `loss` for 5 windows in a row; None where never."""
    below = windows.rate < (1 - loss) * burst_rate
    below[: int(np.argmin(below))] = False  # a slow start is no fall
    length = min(5, len(below))
    runs = np.flatnonzero(np.convolve(below, np.ones(length), mode="valid") == length)
    return float(windows.start_s[runs[0]] - windows.start_s[0]) if len(runs) else None


def change_point(rate: Series, moments: Series) -> float | None:
    """When the rate changed most, by PELT on its logarithm; None where it did not. For the eye: it decides nothing.

    An average undisturbed course has several change points.
    """
    if len(rate) < 2 * QUOTA_SPAN:
        return None
    from ruptures import KernelCPD  # takes a while to import; compiled: `Pelt` takes half a minute for 2000 windows

    block = -(-len(rate) // _MOST_POINTS)
    logs = np.log(rate[: len(rate) // block * block]).reshape(-1, block).mean(axis=1)
    noise = float(np.median(np.abs(np.diff(logs)))) / 0.954  # of differences: a step moves it little
    if not noise:
        return None
    penalty = 3 * math.log(len(logs)) * noise**2
    ends = KernelCPD(kernel="linear", min_size=FEWEST_WINDOWS, jump=1).fit(logs).predict(pen=penalty)
    inner = [int(end) for end in ends[:-1]]
    if not inner:
        return None
    largest = max(inner, key=lambda end: _gain(logs, end))
    return float(moments[largest * block] - moments[0])


def _gain(logs: Series, at: int) -> float:
    """How much of the scatter a split accounts for; a few windows at an end differ much and account for little."""
    count = len(logs)
    return at * (count - at) / count * float(logs[:at].mean() - logs[at:].mean()) ** 2
