"""The field in words: what a terminal and a page show, as plain data. Names in it come from devices.

    {"title", "finding", "remarks": [], "groups": [{"hardware", "variant", "rows": [row]}]}
    row: {"figure", "devices", "value", "interval", "drawn", "lab": [{"whose", "value", "interval", "drawn"}]}

`drawn` is (value, low, high) in ns for times, and None for what is no time, has an open end, or ends too far apart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from benchharness.device.tally import HISTOGRAMS
from benchharness.results.result import Estimate
from benchharness.telemetry.figures import Devices, FieldFigure, devices_of, figures_of
from benchharness.telemetry.lab import LabFigure
from benchharness.telemetry.ledger import shown
from benchharness.telemetry.release import Released
from benchharness.telemetry.shares import Range
from benchharness.telemetry.votes import Counted, Place
from benchharness.units import interval_text, quantity_text

_FIELD = (
    "field: a device drawn at random, and an event of it; 95 % intervals hold which devices happened to send, and the "
    "noise where there is some; a range of devices holds the noise alone",
    "field: events are counted in bins; a quantile is the middle of one and its interval ends at edges, while the "
    "lab's are exact",
    "lab: 95 % intervals over fresh processes on the lab's own devices; they say nothing of other devices",
    "nothing here speaks for devices whose users did not opt in, or shows that a device was forged",
)
#: Ends of an interval that are this many times apart.
_FAR = 50
Lab = Mapping[tuple[Place, str], Sequence[LabFigure]]


def told_of(counted: Counted, lab: Lab, *, repeated: int = 0) -> dict[str, Any]:
    """Counts as they are, for the aggregator alone."""
    remarks = ["no noise was added: these are the aggregator's own; 'telemetry release' prints what may be told"]
    if repeated:
        remarks.append(f"files that tell again of a device and month that is counted, and were not: {repeated}")
    return _told(counted, lab, f"Field: {counted.model}, {counted.period}, exact", remarks)


def told_of_release(released: Released, lab: Lab) -> dict[str, Any]:
    """What may be told to anybody: nothing in it was made of counts without noise."""
    counted, entry, ledger = released.counted, released.entry, released.ledger
    assert counted.noise is not None
    histograms = len({name for _, _, name in counted.counts})
    cost = f"epsilon {shown(entry.question.epsilon)}, delta 0"
    remarks = [
        f"each device is hidden with {cost}, for all figures of this release together: a device has one vote in each "
        f"of {histograms} histograms, and each bin has discrete Laplace noise of scale {counted.noise.scale:g} "
        f"({counted.noise.by})",
        f"the ledger: a device may have lost epsilon {shown(ledger.spent)} of {shown(ledger.budget)}",
    ]
    if not released.anew:
        told_again = "told again for nothing; with --again it is asked anew, and paid for"
        remarks.append(f"answered on {entry.at} and {told_again}")
    return _told(counted, lab, f"Field: {counted.model}, {counted.period}, {cost}", remarks)


def _told(counted: Counted, lab: Lab, title: str, remarks: Sequence[str]) -> dict[str, Any]:
    devices = {each.place: each for each in devices_of(counted)}
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for figure in figures_of(counted):
        rows = groups.setdefault(figure.place[:2], [])
        rows.append(_row(figure, devices[figure.place], lab.get((figure.place, figure.what), ())))
    beside = sum(bool(row["lab"]) for rows in groups.values() for row in rows)
    return {
        "title": title,
        "finding": f"Variants by hardware target: {len(groups)}. Figures that stand beside the lab's: {beside}.",
        "remarks": [*remarks, *_FIELD],
        "groups": [
            {"hardware": hardware, "variant": variant, "rows": rows} for (hardware, variant), rows in groups.items()
        ],
    }


def _row(figure: FieldFigure, devices: Devices, lab: Sequence[LabFigure]) -> dict[str, Any]:
    histogram = HISTOGRAMS[figure.place[2]]
    value, interval = field_text(figure.field, figure.unit)
    if value == "unknown":
        interval = _why(devices)
    return {
        "figure": f"{histogram.title} {figure.what}" if not histogram.kinds else f"{histogram.title}: {figure.what}",
        "devices": devices_text(devices),
        "value": value,
        "interval": interval,
        "drawn": _drawn(figure.unit, figure.field.value, figure.field.low, figure.field.high),
        "lab": [_lab(each, figure.unit) for each in lab],
    }


def _why(devices: Devices) -> str:
    if devices.noise and (devices.count.value or 0) < 4 * devices.noise:
        return f"too few devices for this much noise: their number is known to within {devices.noise}"
    return "too few devices" if devices.count.value else "no device has its vote here"


def devices_text(devices: Devices) -> str:
    """How many voted: exactly, or as noise leaves it."""
    count = devices.count
    if not devices.noise:
        return f"{count.value or 0:,.0f}"
    return f"{count.low:,.0f} to {count.high:,.0f}"


def field_text(found: Range, unit: str) -> tuple[str, str]:
    """A value and its interval in words; an end that nothing bounds is left open."""
    low, high = found.low, found.high
    if (low is None and high is None) or (unit == "share" and (low, high) == (0.0, 1.0)):
        return "unknown", ""
    if low is None or high is None:
        bound = f"at most {quantity_text(high, unit)}" if high is not None else f"above {quantity_text(low or 0, unit)}"
        return bound, ""
    apart = f"{quantity_text(low, unit)} to {quantity_text(high, unit)}"
    if found.value is None:
        return apart, ""
    if high > _FAR * low > 0:  # one multiple would not serve both ends
        return quantity_text(found.value, unit), apart
    return quantity_text(found.value, unit, half=(high - low) / 2), interval_text(low, high, found.value, unit)


def _lab(each: LabFigure, unit: str) -> dict[str, Any]:
    estimate = each.estimate
    value, interval = lab_text(estimate, unit)
    drawn = _drawn(unit, estimate.value, estimate.low, estimate.high)
    return {"whose": each.whose, "value": value, "interval": interval, "drawn": drawn}


def lab_text(estimate: Estimate, unit: str) -> tuple[str, str]:
    """A run's value and interval in words, or why there is none."""
    if estimate.value is None:
        return "unknown", estimate.reason
    if estimate.low is None or estimate.high is None:
        return quantity_text(estimate.value, unit), f"no interval: {estimate.reason}"
    half = (estimate.high - estimate.low) / 2
    ends = interval_text(estimate.low, estimate.high, estimate.value, unit)
    return quantity_text(estimate.value, unit, half=half), ends


def _drawn(unit: str, *ends: float | None) -> list[float] | None:
    known = [float(end) for end in ends if end is not None and end > 0]
    return known if unit == "ns" and len(known) == len(ends) and max(known) <= _FAR * min(known) else None
