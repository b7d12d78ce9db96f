"""Which sustained sessions are made under which conditions, in which order, and when a condition sets in. Pure."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchharness.results.courses import SessionState

UNDISTURBED = "undisturbed"
QUOTA = "quota"
MOVED = "moved to a quota"
ONE_CORE = "one core"
CONTENTION = "contention"
MEMORY_BANDWIDTH = "memory-bandwidth"
SLOW_5, SLOW_15 = "slow-core 5 %", "slow-core 15 %"

#: The classes, and what a session of each is to be called; None: it depends on the machine, and is described only.
EXPECTED: Mapping[str, SessionState | None] = {
    UNDISTURBED: SessionState.STEADY,
    QUOTA: SessionState.QUOTA,
    MOVED: SessionState.QUOTA,
    ONE_CORE: SessionState.CORES,
    CONTENTION: SessionState.CONTENTION,
    MEMORY_BANDWIDTH: None,
    SLOW_5: SessionState.SLOW_CORE,
    SLOW_15: SessionState.SLOW_CORE,
}
GRADUAL, BURSTS = "gradual", "bursts"
#: Kinds of quota, pooled equally; the steps are shares of the time of the cores that the session's threads can use.
_STEPS = {"70 %": 0.70, "85 %": 0.85, "95 %": 0.95}
QUOTA_KINDS = (*_STEPS, GRADUAL, BURSTS)
#: Quotas of the group that a session is moved to.
_MOVED_TO = {"50 %": 0.50, "70 %": 0.70, "85 %": 0.85}
_GRADUALLY = (1.0, 0.95, 0.90, 0.85, 0.80, 0.75, 0.70)
_BURST_SHARE = 0.70
_BURST_S = 0.5
_SLOWER = {SLOW_5: 0.05, SLOW_15: 0.15}
#: Levels of a condition: a share of time (quota), how much longer a step takes (slow core), on (hogs), and this.
OFF = 0.0
_ON = 1.0


@dataclass(frozen=True, kw_only=True)
class Planned:
    """One session. `core` is where a hog runs; `begins_s` counts from the session's first measured request."""

    index: int
    name: str  # the class
    kind: str  # of quota; empty for classes without one
    threads: int
    core: int
    begins_s: float

    @property
    def title(self) -> str:
        """For a line of progress."""
        return f"{self.name}{f' {self.kind}' if self.kind else ''}, {self.threads} thread{'s'[: self.threads - 1]}"


def plan(
    *,
    sessions_per_class: int,
    classes: Sequence[str],
    threads: Sequence[int],
    cores: int,
    between_s: tuple[float, float],
    seed: int,
) -> list[Planned]:
    """All sessions in their order: in each block one session for every class and thread count, shuffled.

    A machine that drifts so drifts for all classes alike. One thread loses nothing with all cores but one: a session
    that loses them has as many threads as there are.
    """
    order = random.Random(seed)
    kinds = {name: _kinds(name, sessions_per_class, order) for name in classes}
    planned: list[Planned] = []
    for first in range(0, sessions_per_class, len(threads)):
        numbers = range(first, min(first + len(threads), sessions_per_class))
        block = [(name, number) for name in classes for number in numbers]
        order.shuffle(block)
        for name, number in block:
            planned.append(
                Planned(
                    index=len(planned),
                    name=name,
                    kind=kinds[name][number],
                    threads=max(threads) if name == ONE_CORE else threads[number % len(threads)],
                    core=order.randrange(cores),
                    begins_s=round(order.uniform(*between_s), 3),
                )
            )
    return planned


def _kinds(name: str, count: int, order: random.Random) -> list[str]:
    """The kind of each session of a class. Two thread counts take turns, so that ten sessions have every pair once."""
    if name not in (QUOTA, MOVED):
        return [""] * count
    chosen = tuple(_MOVED_TO) if name == MOVED else QUOTA_KINDS
    kinds: list[str] = []
    while len(kinds) < count:
        turn = order.sample(chosen, len(chosen))
        kinds += turn + turn
    return kinds[:count]


def levels(planned: Planned, lasts_s: float) -> list[tuple[float, float]]:
    """(seconds after the condition sets in, level from then on) for the `lasts_s` until the session ends."""
    if planned.name == UNDISTURBED:
        return []
    if planned.name != QUOTA:
        return [(0.0, _SLOWER.get(planned.name) or _MOVED_TO.get(planned.kind, _ON))]
    if planned.kind == GRADUAL:
        return [(lasts_s * step / len(_GRADUALLY), share) for step, share in enumerate(_GRADUALLY)]
    if planned.kind == BURSTS:
        return [(turn * _BURST_S, OFF if turn % 2 else _BURST_SHARE) for turn in range(int(lasts_s / _BURST_S) + 1)]
    return [(0.0, _STEPS[planned.kind])]
