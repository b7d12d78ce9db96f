"""Which base ran beside a figure on each night, and by what ratios to one base become ratios to another. Pure.

Bases are builds that can no longer be run one day. A run of an old and a new one side by side (`judge.bridges`) says
what the new is to the old; so its nights can be told against the old one, and never without it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from benchharness.judge import student
from benchharness.judge.bridges import Base, Bridge
from benchharness.judge.compare import spelled
from benchharness.results.history import NightJob
from benchharness.results.result import Estimate, Parameters

NO_BRIDGE = "no bridge joins them"


@dataclass(frozen=True, kw_only=True)
class Ran:
    """A base as it ran beside an owner: on which nights, and what it is made of (all but the harness)."""

    base: Base
    nights: Sequence[int]
    made_of: tuple[str | None, ...]
    names: Sequence[str]  # by whose beginnings `--base` names it


@dataclass(frozen=True, kw_only=True)
class Edge:
    """What `new` is to `old`, as a logarithm with its variance; exactly 0 where they are taken for one."""

    old: Base
    new: Base
    log: float = 0.0
    variance: float = 0.0
    freedom: float = 1.0
    run: str = ""  # "": by the word of who asked


@dataclass(frozen=True, kw_only=True)
class Offset:
    """What a base is to the one that ratios are told against: the edges between them, each with its direction."""

    edges: Sequence[tuple[Edge, int]] = ()

    @property
    def log(self) -> float:
        """The logarithm of base / told against."""
        return sum(sign * edge.log for edge, sign in self.edges)

    @property
    def variance(self) -> float:
        """Of that logarithm."""
        return sum(edge.variance for edge, _ in self.edges)

    @property
    def freedom(self) -> float:
        """Degrees of freedom of the variance (Welch and Satterthwaite); 1 where there is none."""
        squares = sum(edge.variance**2 / edge.freedom for edge, _ in self.edges)
        return self.variance**2 / squares if squares else 1.0

    @property
    def runs(self) -> list[str]:
        """The runs that say so."""
        return [edge.run for edge, _ in self.edges if edge.run]


@dataclass(frozen=True, kw_only=True)
class Against:
    """What the ratios of one figure are told against, the offset of each base that can be, and why others cannot."""

    build: str
    offsets: Mapping[Base, Offset] = field(default_factory=dict)
    why: str = ""


def ran_beside(bases: Mapping[int, Base], jobs: Mapping[int, NightJob]) -> list[Ran]:
    """Each base of some nights' jobs, with its nights in order."""
    nights: dict[Base, list[int]] = {}
    for night in sorted(bases):
        nights.setdefault(bases[night], []).append(night)
    found = []
    for base, theirs in nights.items():
        job = jobs[theirs[-1]]
        made_of = (job.planned.digest, *job.facts[:2])
        names = (base.build, job.planned.digest, job.facts[0] or "")
        found.append(Ran(base=base, nights=theirs, made_of=made_of, names=names))
    return found


def against(
    ran: Sequence[Ran],
    device: str,
    metric: tuple[str, Parameters],
    pinned: Sequence[str],
    bridges: Sequence[Bridge],
) -> Against:
    """Begins with the newest base, or the newest of the pinned, and goes as far back as bridges lead."""
    ordered = sorted(ran, key=lambda each: each.nights[-1])
    wanted = [each for each in ordered if not pinned or _named(each, pinned)]
    newest = (wanted or ordered)[-1]
    if not wanted:
        why = f"no base build with this figure begins with {' or '.join(pinned)}; the newest is {newest.base.build}"
        return Against(build=newest.base.build, why=why)
    here = [each for each in bridges if each.device == device]
    edges = [*_edges(here, metric), *(_taken_for_one(wanted) if pinned else ())]
    reached = _paths(newest.base, edges)
    named = wanted if pinned else ordered
    oldest = min((each for each in named if each.base in reached), key=lambda each: each.nights[0])
    offsets = _paths(oldest.base, edges)
    left = [each for each in ordered if each.base not in offsets]
    why = _why_left(ordered, left, here, metric) if left else ""
    return Against(
        build=oldest.base.build,
        offsets={each.base: offsets[each.base] for each in ran if each.base in offsets},
        why=why,
    )


def _named(ran: Ran, pinned: Sequence[str]) -> bool:
    """Whether a base is meant: by its id, or by what it is made of."""
    return any(name.startswith(wanted) for wanted in pinned for name in ran.names)


def _edges(bridges: Sequence[Bridge], metric: tuple[str, Parameters]) -> Iterator[Edge]:
    """What bridges know of a metric; of several between the same two bases the newest, whichever was old."""
    newest: dict[frozenset[Base], Edge] = {}
    for bridge in sorted(bridges, key=lambda each: each.run):
        known = bridge.ratios.get(spelled(*metric))
        if known is not None and (edge := _edge(bridge, known)) is not None:
            newest[frozenset((edge.old, edge.new))] = edge
    yield from newest.values()


def _edge(bridge: Bridge, known: Estimate) -> Edge | None:
    if known.value is None or known.low is None or known.high is None:
        return None
    freedom = max(known.count - 1, 1)
    error = math.log(known.high / known.low) / 2 / student.quantile(freedom)
    log = math.log(known.value)
    return Edge(old=bridge.old, new=bridge.new, log=log, variance=error**2, freedom=freedom, run=bridge.run)


def _taken_for_one(pinned: Sequence[Ran]) -> Iterator[Edge]:
    """Bases that somebody named together, and that differ in nothing but the harness."""
    for at, one in enumerate(pinned):
        for other in pinned[at + 1 :]:
            if one.made_of == other.made_of and one.base.cell == other.base.cell:
                yield Edge(old=one.base, new=other.base)


def _paths(start: Base, edges: Sequence[Edge]) -> dict[Base, Offset]:
    """By base that can be reached what it is to `start`, by the fewest edges."""
    found, waiting = {start: Offset()}, [start]
    while waiting:
        here = waiting.pop(0)
        for edge in edges:
            for sign, this, that in ((1, edge.old, edge.new), (-1, edge.new, edge.old)):
                if this == here and that not in found:
                    found[that] = Offset(edges=(*found[here].edges, (edge, sign)))
                    waiting.append(that)
    return found


def _why_left(
    ran: Sequence[Ran], left: Sequence[Ran], bridges: Sequence[Bridge], metric: tuple[str, Parameters]
) -> str:
    """How many nights have no ratio, which bases ran there, and what their bridge lacks."""
    nights, all_nights = (sum(len(each.nights) for each in some) for some in (left, ran))
    builds = ", ".join(sorted({each.base.build for each in left}))
    told = f"{nights} of {all_nights} nights ran beside another base build: {builds}"
    theirs = {each.base for each in left}
    lacking = [_lacks(each, metric) for each in bridges if theirs & {each.old, each.new}]
    return f"{told}; {lacking[-1] if lacking else NO_BRIDGE}"


def _lacks(bridge: Bridge, metric: tuple[str, Parameters]) -> str:
    known = bridge.ratios.get(spelled(*metric))
    if known is None:
        return f"bridge run {bridge.run} did not measure this figure of both"
    if known.value is None or known.low is None:
        return f"bridge run {bridge.run} gives no ratio with an interval: {known.reason}"
    return f"bridge run {bridge.run} leads to neither"
