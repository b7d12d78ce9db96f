"""The page of the field: what devices in use counted, beside the lab's figures. Names are devices': not trusted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from reports.figures.beside import Beside, Pair
from reports.figures.figure import Ends
from reports.model.foot import Foot, moment
from reports.model.numbers import known, rounded
from reports.model.visible import name_text, value_text
from reports.pages.environment import environment

#: The drawing's unit.
_NS_A_MS = 1e6


@dataclass(frozen=True, kw_only=True)
class LabValue:
    """What one job of the lab's run says."""

    whose: str
    value: str
    interval: str


@dataclass(frozen=True, kw_only=True)
class FieldRow:
    """A figure: of how many devices, what the field says, and what the lab says."""

    figure: str
    devices: str
    value: str
    interval: str
    unknown: bool
    lab: tuple[LabValue, ...]


@dataclass(frozen=True, kw_only=True)
class FieldGroup:
    """A variant on a hardware target."""

    anchor: str
    hardware: str
    variant: str
    rows: tuple[FieldRow, ...]
    chart: Beside | None  # of the times that have both ends


@dataclass(frozen=True, kw_only=True)
class FieldPage:
    """Everything on the page."""

    title: str
    finding: str
    remarks: tuple[str, ...]
    groups: tuple[FieldGroup, ...]
    foot: Foot


def render_field(told: Mapping[str, Any], now: datetime) -> str:
    """The page as HTML."""
    return environment().get_template("pages/field.html.j2").render(page=field_page(told, now), links=())


def field_page(told: Mapping[str, Any], now: datetime) -> FieldPage:
    """The page as plain data."""
    return FieldPage(
        title=value_text(told["title"]),
        finding=value_text(told["finding"]),
        remarks=tuple(value_text(remark) for remark in told["remarks"]),
        groups=tuple(_group(number, each) for number, each in enumerate(told["groups"], start=1)),
        foot=Foot(runs=(), written=moment(now)),
    )


def _group(number: int, told: Mapping[str, Any]) -> FieldGroup:
    hardware, variant = name_text(told["hardware"]), name_text(told["variant"])
    return FieldGroup(
        anchor=f"field-{number}",
        hardware=hardware,
        variant=variant,
        rows=tuple(_row(row) for row in told["rows"]),
        chart=_chart(f"{variant} on {hardware}: field and lab", told["rows"]),
    )


def _row(told: Mapping[str, Any]) -> FieldRow:
    return FieldRow(
        figure=name_text(told["figure"]),
        devices=name_text(told["devices"]),
        value=value_text(told["value"]),
        interval=value_text(told["interval"]),
        unknown=told["value"] == "unknown",
        lab=tuple(
            LabValue(
                whose=name_text(each["whose"]),
                value=value_text(each["value"]),
                interval=value_text(each["interval"]),
            )
            for each in told["lab"]
        ),
    )


def _chart(title: str, rows: Sequence[Mapping[str, Any]]) -> Beside | None:
    pairs = tuple(_pairs(rows))
    return Beside(title=title, unit="ms", note="", pairs=pairs) if pairs else None


def _pairs(rows: Sequence[Mapping[str, Any]]) -> Iterator[Pair]:
    for row in rows:
        field = _ends(row["drawn"])
        if field is not None:
            lab = tuple(ends for each in row["lab"] if (ends := _ends(each["drawn"])) is not None)
            yield Pair(label=name_text(row["figure"]), field=field, lab=lab)


def _ends(drawn: Sequence[float] | None) -> Ends | None:
    if drawn is None or any(known(end) is None or end <= 0 for end in drawn):
        return None
    value, low, high = (rounded(end / _NS_A_MS) for end in drawn)
    return value, min(low, value), max(high, value)
