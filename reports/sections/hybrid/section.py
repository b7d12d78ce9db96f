"""A cloud and a device that answer together -> a section: what is decided, the trade-off, each way over each network.

Every network is a simulation, and is called so wherever a figure stands.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchharness.records import AnsweredBy, CloudEnd
from benchharness.scenarios.hybrid.trade import Candidate, Cell, Kept, Trade, time_text, trade_of
from benchharness.units import quantity_text, scale_for
from reports.model.entries import Entry, by_comparison, subject_of
from reports.model.jobs import Missing, missing
from reports.model.numbers import known, rounded
from reports.model.section import Glossary, Material, Section, SectionKind, in_a_line
from reports.model.visible import name_text, value_text
from reports.sections.hybrid.chart import TradeChart, Way

SCENARIO = "hybrid"
_SIGNS = {Kept.YES: ("✓", "ok"), Kept.NO: ("✗", "bad"), Kept.UNDECIDED: ("?", "kind")}
_MOST_WHYS, _MOST_NETWORKS = 3, 30
_GLOSSARY: Glossary = (
    ("first token", "a request until the first token that its user sees, whoever wrote it"),
    ("longest silence", "the longest time of a request without a new token, the wait for the first included"),
    ("by the device", "share of requests whose answer the device wrote, in whole or in part"),
    ("wasted", "what came from the cloud and is not in the answer; bytes of answers of which nothing was kept"),
    (
        "agreement",
        "words in common with the cloud's undisturbed answer (Ratcliff and Obershelp's ratio), mean over the answers "
        "that changed hands; it does not say whether either is right",
    ),
    (
        "simulated network",
        "a relay on this device delays, slows, stalls and cuts a TCP connection, by a seed; packets, their "
        "retransmission and congestion control are not simulated, and no radio takes energy",
    ),
)


@dataclass(frozen=True, kw_only=True)
class CellRow:
    """One way over one network, in words."""

    policy: str
    network: str
    requests: str
    first: str
    silence: str
    locally: str
    unanswered: str
    wasted: str
    moved: str
    agreement: str
    right: str
    energy: str
    ends: str


@dataclass(frozen=True, kw_only=True)
class WayRow:
    """One way over all networks, and whether it keeps the budgets."""

    policy: str
    sign: str
    tone: str
    kept: str
    whys: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Traded:
    """One job: a variant and a configuration beside the cloud."""

    who: str
    decision: tuple[str, ...]
    ways: tuple[WayRow, ...]
    figure: TradeChart
    rows: tuple[CellRow, ...]
    networks: tuple[tuple[str, str], ...]
    energy_unknown: str
    cloud: str  # which model was asked, and where


@dataclass(frozen=True, kw_only=True)
class HybridSection(Section):
    """All jobs on one file of prompts."""

    traded: tuple[Traded, ...]
    missing: tuple[Missing, ...]
    glossary: Glossary


def make(material: Material) -> tuple[HybridSection, ...]:
    """A section for each model and file of prompts."""
    entries = [entry for entry in material.entries if entry.result.job.scenario == SCENARIO]
    return tuple(
        _section(f"hybrid-{number}", group) for number, group in enumerate(by_comparison(entries).values(), start=1)
    )


def _section(anchor: str, entries: Sequence[Entry]) -> HybridSection:
    trades = [(entry, trade) for entry in entries if (trade := trade_of(entry.result)) is not None]
    return HybridSection(
        anchor=anchor,
        subject=subject_of(entries[0]),
        finding=in_a_line((_finding(entry, trade) for entry, trade in trades), "no request was made"),
        traded=tuple(_traded(entry, trade) for entry, trade in trades),
        missing=tuple(missing(entries, lambda entry: trade_of(entry.result) is not None, "no request was made")),
        glossary=_GLOSSARY,
    )


def _finding(entry: Entry, trade: Trade) -> str:
    return f"{entry.who_and_how}: {value_text(trade.decision[0])}"


def _traded(entry: Entry, trade: Trade) -> Traded:
    facts = entry.result.effective.of_scenario(SCENARIO)
    unknown, cloud = facts.get("energy_unknown"), facts.get("cloud")
    asked = cloud if isinstance(cloud, Mapping) else {}
    return Traded(
        who=entry.who_and_how,
        decision=tuple(value_text(each) for each in trade.decision[:1]),
        ways=tuple(_way(each) for each in trade.candidates) if trade.budgets else (),
        figure=_figure(trade),
        rows=tuple(_cell(cell) for each in trade.candidates for cell in each.cells),
        networks=tuple(_networks(entry.result.job.settings.get("networks"))),
        energy_unknown=value_text(str(unknown)) if unknown else "",
        cloud=value_text(f"{asked.get('endpoint_model', 'unknown')} at {asked.get('endpoint', 'unknown')}"),
    )


def _way(candidate: Candidate) -> WayRow:
    sign, tone = _SIGNS[candidate.kept]
    telling = [each for each in candidate.judged if each.kept is candidate.kept and each.kept is not Kept.YES]
    more = len(telling) - _MOST_WHYS
    return WayRow(
        policy=name_text(candidate.policy),
        sign=sign,
        tone=tone,
        kept=str(candidate.kept),
        whys=(
            *(value_text(each.words) for each in telling[:_MOST_WHYS]),
            *([f"and {more} more"] if more > 0 else []),
        ),
    )


def _figure(trade: Trade) -> TradeChart:
    times = [[known(each.quantile_ns("longest_silence", share)) for share in (0.5, 0.95)] for each in trade.candidates]
    scale = scale_for("ns", max((time for pair in times for time in pair if time is not None), default=1e9))
    return TradeChart(
        title="How long a user sees nothing, against what the device writes",
        unit=scale.symbol,
        note="Over all simulated networks together, each with as many requests. Dot: the median request's longest "
        "silence; stroke: p95, near the longest where requests are few; never: no answer came. Better is below.",
        ways=tuple(
            Way(
                label=name_text(each.policy),
                number=number,
                locally=rounded(100 * each.locally),
                silence=(_scaled(pair[0], scale.divisor), _scaled(pair[1], scale.divisor)),
                chosen=trade.chosen is each,
            )
            for number, (each, pair) in enumerate(zip(trade.candidates, times, strict=True))
        ),
    )


def _scaled(time: float | None, divisor: float) -> float | None:
    return None if time is None else rounded(time / divisor)


def _cell(cell: Cell) -> CellRow:
    rows, count = cell.rows, len(cell.rows)
    changed = [row.agreement for row in rows if row.answered_by == AnsweredBy.BOTH and row.agreement >= 0]
    judged = [row.right for row in rows if row.right >= 0]
    spent = [row.energy for row in rows if row.energy >= 0]
    ends = Counter(CloudEnd(int(row.cloud)).name.lower().replace("_", " ") for row in rows)
    return CellRow(
        policy=name_text(cell.policy),
        network=name_text(cell.network),
        requests=str(count),
        first=_pair(cell, "first_token"),
        silence=_pair(cell, "longest_silence"),
        locally=_percent(cell.share(AnsweredBy.DEVICE, AnsweredBy.BOTH)),
        unanswered=_percent(cell.share(AnsweredBy.NOBODY)),
        wasted=f"{sum(row.wasted_tokens for row in rows) / count:.3g} tokens, {_bytes([row.wasted for row in rows])}",
        moved=_bytes([row.sent + row.received for row in rows]),
        agreement=f"{sum(changed) / len(changed):.2f} of {len(changed)}" if changed else "none changed hands",
        right=f"{sum(judged):.0f} of {len(judged)}" if judged else "not told",
        energy=quantity_text(sum(spent) / len(spent), "J") if len(spent) == count else "unknown",
        ends=", ".join(f"{number} {word}" for word, number in ends.most_common()),
    )


def _bytes(values: Sequence[float]) -> str:
    """The mean."""
    return quantity_text(sum(values) / len(values), "bytes") if any(values) else "0 B"


def _pair(cell: Cell, name: str) -> str:
    return " / ".join(time_text(cell.quantile_ns(name, share)) for share in (0.5, 0.95))


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _networks(told: Any) -> Iterator[tuple[str, str]]:
    """What each network was asked to do, without what it does not do."""
    for name, network in list(told.items() if isinstance(told, Mapping) else ())[:_MOST_NETWORKS]:
        parts = network.items() if isinstance(network, Mapping) else ()
        words = [
            f"{key.replace('_', ' ')} {'–'.join(map(str, value)) if isinstance(value, list | tuple) else value}"
            for key, value in parts
            if value not in (0, 0.0, None, False, [0.0, 0.0], (0.0, 0.0))
        ]
        yield name_text(name), value_text(", ".join(words) or "nothing added")


SECTION = SectionKind(name=SCENARIO, heading="Cloud and device", make=make, order=86, tells=(SCENARIO,))
