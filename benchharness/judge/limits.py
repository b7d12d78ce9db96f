"""What limited a process over time, as its device saw it, and what changed meanwhile. Pure.

Groups, quota, cores and memory, each from the moment on at which it was seen. What a look could not read is unknown,
and compared with nothing: the next that could is held against the last that could.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from benchharness.metrics import Unit
from benchharness.records import PROCESS_LIMITS
from benchharness.results.result import Attempt, Parameters
from benchharness.units import quantity_text

GROUP, QUOTA, CPUSET, AFFINITY, MEMORY = "group", "quota", "cpuset", "affinity", "memory"
_CONTROLLERS = ("cpu", "cpuset", "memory")
_NONE = "none"
#: A device is not trusted: longer paths are cut, and longer lists of cores are none.
_LONGEST_PATH = 120
_MOST_CORES = 4096
_MOST_STATES = 1000
_RANGE = re.compile(r"(\d{1,5})(?:-(\d{1,5}))?")


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What held from a moment on, in ns since the worker was spawned. None is unknown, infinite is no limit."""

    from_ns: float
    groups: Mapping[str, str]  # controller -> path
    quota_cores: float | None
    cores: frozenset[int] | None
    cpuset: frozenset[int] | None
    memory_bytes: float | None


@dataclass(frozen=True, kw_only=True)
class Change:
    """What became different at one moment: its kinds, a sentence without its end, and what held before and after."""

    moment_ns: float
    kinds: tuple[str, ...]
    told: str
    cores_told: str  # the part of the sentence about cores
    before: Limits
    after: Limits


def limits_of(attempt: Attempt) -> list[Limits]:
    """What held, in order of time; where a look could not read something, what was read of it last."""
    found = [
        _limits(moment, each.parameters)
        for each in attempt.measurements[:_MOST_STATES]
        if each.metric == PROCESS_LIMITS.metric and PROCESS_LIMITS.fits(each.samples, each.row_length)
        for moment in each.samples[:_MOST_STATES]
    ]
    held: list[Limits] = []
    for limits in sorted(found, key=lambda each: each.from_ns):
        held.append(_with_what_was_known(limits, held[-1]) if held else limits)
    return held


def _limits(moment_ns: float, told: Parameters) -> Limits:
    return Limits(
        from_ns=moment_ns,
        groups={name: _path(path) for name in _CONTROLLERS if isinstance(path := told.get(f"{name}_group"), str)},
        quota_cores=_amount(told.get("quota_cores")),
        cores=cores_in(told.get("cores")),
        cpuset=cores_in(told.get("cpuset_cores")),
        memory_bytes=_amount(told.get("memory_bytes")),
    )


def _with_what_was_known(limits: Limits, before: Limits) -> Limits:
    return replace(
        limits,
        groups={**before.groups, **limits.groups},
        quota_cores=before.quota_cores if limits.quota_cores is None else limits.quota_cores,
        cores=limits.cores or before.cores,
        cpuset=limits.cpuset or before.cpuset,
        memory_bytes=before.memory_bytes if limits.memory_bytes is None else limits.memory_bytes,
    )


def _path(path: str) -> str:
    return path if len(path) <= _LONGEST_PATH else f"…{path[1 - _LONGEST_PATH :]}"


def _amount(value: object) -> float | None:
    if value == _NONE:
        return math.inf
    known = isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < math.inf
    return float(value) if known and isinstance(value, int | float) else None


def cores_in(text: object) -> frozenset[int] | None:
    """The cores that a list such as `0-3,7` names; None where it is none."""
    found: set[int] = set()
    for part in text.split(",") if isinstance(text, str) else [""]:
        ends = _RANGE.fullmatch(part.strip())
        if ends is None or len(found) > _MOST_CORES:
            return None
        first, last = int(ends[1]), int(ends[2] or ends[1])
        if not first <= last < first + _MOST_CORES:
            return None
        found.update(range(first, last + 1))
    return frozenset(found)


def changes(held: Sequence[Limits], from_ns: float, until_ns: float) -> list[Change]:
    """What changed between two moments, in order."""
    pairs = itertools.pairwise(held)
    found = (_change(before, after) for before, after in pairs if from_ns < after.from_ns <= until_ns)
    return [change for change in found if change.told]


def _change(before: Limits, after: Limits) -> Change:
    cores = _cores_part(before, after)
    by_cpuset = None not in (before.cpuset, after.cpuset) and before.cpuset != after.cpuset
    parts = {
        GROUP: "; ".join(_moves(before.groups, after.groups)),
        CPUSET if by_cpuset else AFFINITY: cores + (" by its group's cpuset" if cores and by_cpuset else ""),
        QUOTA: _limit_part("CPU quota", before.quota_cores, after.quota_cores, quota_text),
        MEMORY: _limit_part("memory limit", before.memory_bytes, after.memory_bytes, _bytes_text),
    }
    return Change(
        moment_ns=after.from_ns,
        kinds=tuple(kind for kind, part in parts.items() if part),
        told=", ".join(filter(None, parts.values())),
        cores_told=cores,
        before=before,
        after=after,
    )


def _moves(before: Mapping[str, str], after: Mapping[str, str]) -> Iterator[str]:
    """Of controllers in hierarchies of their own, those that moved alike together."""
    moves: dict[tuple[str, str], list[str]] = {}
    for name in _CONTROLLERS:
        pair = before.get(name), after.get(name)
        if pair[0] is not None and pair[1] is not None and pair[0] != pair[1]:
            moves.setdefault((pair[0], pair[1]), []).append(name)
    for (left, came), names in moves.items():
        which = f" of {' and '.join(names)}" if len(moves) > 1 else ""
        yield f"moved from group {left}{which} to {came}"


def _limit_part(name: str, before: float | None, after: float | None, text: object) -> str:
    if before is None or after is None or before == after or not callable(text):
        return ""
    if math.isinf(before):
        return f"given a {name} of {text(after)}"
    if math.isinf(after):
        return f"freed of its {name} of {text(before)}"
    return f"its {name} changed from {text(before)} to {text(after)}"


def quota_text(cores: float) -> str:
    """How much a quota leaves, over all cores."""
    return f"{cores:.3g} cores" if cores > 1 else f"{cores * 100:.3g} % of a core"


def _bytes_text(size: float) -> str:
    return quantity_text(size, Unit.BYTES)


def _cores_part(before: Limits, after: Limits) -> str:
    old, new = before.cores, after.cores
    if not old or not new or old == new:
        return ""
    if new < old:
        return f"cut to {len(new)} of {len(old)} cores ({core_list(new)})"
    if new > old:
        return f"given {len(new)} cores instead of {len(old)}"
    return f"moved from cores {core_list(old)} to {core_list(new)}"


def core_list(cores: frozenset[int]) -> str:
    """As the kernel writes it: 0-3,7."""
    runs: list[list[int]] = []
    for core in sorted(cores):
        if runs and core == runs[-1][1] + 1:
            runs[-1][1] = core
        else:
            runs.append([core, core])
    told = [str(first) if first == last else f"{first}-{last}" for first, last in runs]
    return ",".join(told[:8]) + (",…" if len(told) > 8 else "")


def while_measured(attempt: Attempt) -> list[Change]:
    """What changed while the attempt was measured: from the start where its cold start is, else once it had loaded.

    Which cores a runtime chooses for itself while it loads is no change from outside.
    """
    loaded_ns = attempt.conditions.measured_from_ns
    until_ns = attempt.conditions.measured_until_ns
    if loaded_ns is None:
        return []
    cold = any(each.metric.startswith("cold_start_") for each in attempt.measurements)
    found = changes(
        limits_of(attempt), 0.0 if cold else loaded_ns, attempt.duration_ns if until_ns is None else until_ns
    )
    return [each for each in found if each.moment_ns > loaded_ns or each.kinds != (AFFINITY,)]
