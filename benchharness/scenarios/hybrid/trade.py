"""Local, cloud, or hybrid with these thresholds: rows -> figures -> a decision. Pure.

A budget on a percentile is one on a share: p95 is within a limit where at least 95 % of requests are. So a request that
got no answer counts as one beyond every limit, and the interval is that of a share (Clopper-Pearson).
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from benchharness.device.scenarios.hybrid.policy import CLOUD_ALONE, DEVICE_ALONE
from benchharness.judge.exact_shares import clopper_pearson
from benchharness.records import HANDOVERS, AnsweredBy, HandoverRow
from benchharness.results.result import Result
from benchharness.units import duration_text, quantity_text

#: Shares that a percentile leaves beyond it.
_BEYOND = {"p50": 0.5, "p95": 0.05}
_TIMES = {"first_token": "first token", "longest_silence": "longest silence"}


class Kept(StrEnum):
    """Whether a budget is kept."""

    YES = "kept"
    NO = "missed"
    UNDECIDED = "undecided"


@dataclass(frozen=True, kw_only=True)
class Judged:
    """One budget held against one way of answering over one network."""

    budget: str
    network: str
    kept: Kept
    share: float  # of requests on the wrong side, with its interval
    low: float
    high: float
    allowed: float

    @property
    def words(self) -> str:
        """`first token p95 ≤ 1 s over 3g: missed by 12 % [5, 24] of requests, 5 % may`."""
        ends = f"{100 * self.low:.0f}, {100 * self.high:.0f}"
        who = f"{100 * self.share:.0f} % [{ends}] of requests are beyond it, and {100 * self.allowed:.0f} % may be"
        return f"{self.budget} over {self.network}: {self.kept}, {who}"


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One way of answering over one network."""

    policy: str
    network: str
    rows: Sequence[HandoverRow]

    def times_ns(self, name: str) -> list[float]:
        """First tokens or longest silences of all requests, infinite where there was no answer."""
        return [_time(row, name) for row in self.rows]

    def quantile_ns(self, name: str, share: float) -> float:
        """The smallest time within which at least so large a share of requests is; may be infinite."""
        times = sorted(self.times_ns(name))
        return times[max(0, math.ceil(share * len(times)) - 1)]

    def share(self, *who: AnsweredBy) -> float:
        """The share of requests that these answered."""
        return sum(row.answered_by in who for row in self.rows) / len(self.rows)


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """One way of answering, over all networks."""

    policy: str
    cells: Sequence[Cell]
    judged: Sequence[Judged]

    @property
    def kept(self) -> Kept:
        """Whether all budgets are, over every network."""
        found = {each.kept for each in self.judged}
        return Kept.NO if Kept.NO in found else Kept.UNDECIDED if Kept.UNDECIDED in found else Kept.YES

    @property
    def locally(self) -> float:
        """The share of answers that the device wrote, in whole or in part; each network counts the same."""
        return sum(cell.share(AnsweredBy.DEVICE, AnsweredBy.BOTH) for cell in self.cells) / len(self.cells)

    @property
    def unanswered(self) -> float:
        """The share of requests without an answer; each network counts the same."""
        return sum(cell.share(AnsweredBy.NOBODY) for cell in self.cells) / len(self.cells)

    def quantile_ns(self, name: str, share: float) -> float:
        """Of the requests over all networks together; may be infinite."""
        rows = [row for cell in self.cells for row in cell.rows]
        return Cell(policy=self.policy, network="", rows=rows).quantile_ns(name, share)

    @property
    def words(self) -> str:
        """Its figures over all networks, in a line."""
        first, silence = (
            self.quantile_ns(name, share) for name, share in (("first_token", 0.5), ("longest_silence", 0.95))
        )
        return (
            f"{self.policy}: first token p50 {time_text(first)}, longest silence p95 {time_text(silence)}, "
            f"{100 * self.locally:.0f} % by the device, {100 * self.unanswered:.0f} % without an answer"
        )


@dataclass(frozen=True, kw_only=True)
class Trade:
    """Every way of answering, and which is to be taken."""

    candidates: Sequence[Candidate]
    chosen: Candidate | None
    budgets: Mapping[str, float]
    prefer: str

    @property
    def sentences(self) -> list[str]:
        """The decision in words, then each way's figures over all networks; one line each."""
        return [*self.decision, *(each.words for each in self.candidates)]

    @property
    def decision(self) -> list[str]:
        """The decision in words, and why; one line each."""
        if not self.budgets:
            return ["no budgets are set, so nothing is decided; see [scenarios.hybrid.budgets] (networks simulated)"]
        if self.chosen is not None:
            why = f"keeps all {len(self.budgets)} budgets over every simulated network"
            local = f"the device writes {100 * self.chosen.locally:.0f} % of the answers"
            return [f"take {self.chosen.policy}: it {why}; {local}"]
        undecided = [each.policy for each in self.candidates if each.kept is Kept.UNDECIDED]
        if undecided:
            return [f"undecided: {', '.join(undecided)} may keep every budget, more requests would tell", *self._whys()]
        return ["no way of answering keeps every budget over every simulated network", *self._whys()]

    def _whys(self) -> Iterator[str]:
        for each in self.candidates:
            worst = next((one for one in each.judged if one.kept is each.kept), None)
            if worst is not None:
                yield f"{each.policy}: {worst.words}"


def time_text(time_ns: float) -> str:
    """A time, or that there was no answer."""
    return "never" if math.isinf(time_ns) else quantity_text(time_ns, "ns")


def trade_of(result: Result) -> Trade | None:
    """The trade-off of a result; None where it has no requests."""
    cells = list(_cells(result))
    settings = result.job.settings
    return decided(cells, _budgets(settings.get("budgets")), str(settings.get("prefer", "cloud"))) if cells else None


def decided(cells: Sequence[Cell], budgets: Mapping[str, float], prefer: str) -> Trade:
    """Of the ways that keep every budget over every network the one with the least, or the most, of the device."""
    candidates = []
    for policy in dict.fromkeys(cell.policy for cell in cells):
        own = [cell for cell in cells if cell.policy == policy]
        judged = [_judged(name, limit, cell) for name, limit in budgets.items() for cell in own]
        candidates.append(Candidate(policy=policy, cells=own, judged=judged))
    keeping = [each for each in candidates if budgets and each.kept is Kept.YES]
    sign = 1 if prefer == "cloud" else -1
    chosen = min(keeping, key=lambda each: sign * each.locally, default=None)
    return Trade(candidates=candidates, chosen=chosen, budgets=budgets, prefer=prefer)


def told_of_budget(name: str, limit: float) -> str:
    """A budget in words: `first token p95 ≤ 1.0 s`."""
    which, _, percentile = name.rpartition("_")
    if percentile in _BEYOND:
        return f"{_TIMES.get(which, which)} {percentile} ≤ {duration_text(limit)}"
    sign = "≥" if name == "right" else "≤"
    return f"{name.replace('_', ' ')} {sign} {100 * limit:g} %"


def _judged(name: str, limit: float, cell: Cell) -> Judged:
    which, _, percentile = name.rpartition("_")
    rows = cell.rows
    if percentile in _BEYOND:
        allowed = _BEYOND[percentile]
        beyond = sum(time > limit * 1e9 for time in cell.times_ns(which))
    elif name == "right":
        rows = [row for row in rows if row.right >= 0]
        allowed, beyond = 1 - limit, sum(row.right == 0 for row in rows)
    else:
        who = {"unanswered": (AnsweredBy.NOBODY,)}.get(name, (AnsweredBy.DEVICE, AnsweredBy.BOTH))
        allowed, beyond = limit, sum(row.answered_by in who for row in rows)
    share = beyond / len(rows) if rows else 0.0
    low, high = clopper_pearson(beyond, len(rows)) if rows else (0.0, 1.0)
    kept = Kept.YES if high <= allowed else Kept.NO if low > allowed else Kept.UNDECIDED
    if name == "answered_locally" and cell.policy in (CLOUD_ALONE, DEVICE_ALONE):  # by what they are, not by chance
        low = high = share
        kept = Kept.YES if share <= allowed else Kept.NO
    return Judged(
        budget=told_of_budget(name, limit), network=cell.network, kept=kept, share=share, low=low, high=high,
        allowed=allowed,
    )  # fmt: skip


def _time(row: HandoverRow, name: str) -> float:
    if row.answered_by == AnsweredBy.NOBODY and (name != "first_token" or not row.first_token):
        return math.inf
    return row.first_token if name == "first_token" else row.silence


def _cells(result: Result) -> Iterator[Cell]:
    """The rows of the last attempt, by policy and network. What a device says of both is shortened, not trusted."""
    seen: set[str] = set()
    for metric in result.metrics:
        if metric.name != HANDOVERS.metric or not metric.attempts:
            continue
        value = metric.attempts[-1]
        key = json.dumps(dict(metric.parameters), sort_keys=True)
        if key in seen or not HANDOVERS.fits(value.samples, value.row_length) or not len(value.samples):
            continue
        seen.add(key)
        policy, network = (str(metric.parameters.get(each, "unknown"))[:100] for each in ("policy", "network"))
        yield Cell(policy=policy, network=network, rows=HANDOVERS.rows(list(value.samples)))


def _budgets(told: Any) -> dict[str, float]:
    found = told if isinstance(told, Mapping) else {}
    return {str(name): float(limit) for name, limit in found.items() if isinstance(limit, int | float)}
