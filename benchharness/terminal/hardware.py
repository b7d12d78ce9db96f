"""What `benchharness hardware` shows: a device's description (`execute.looks`) as tables or JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from rich.table import Table
from rich.text import Text

from benchharness.judge.noise import LOWER_BOUND, Verdict
from benchharness.metrics import Unit
from benchharness.units import percent_text, quantity_text

#: Conditions that hold for as long as nobody changes them.
_LIMITS = ("cores_allowed", "cgroup_memory_limit_bytes", "cgroup_cpu_quota_us", "cgroup_cpu_period_us")
_VERDICT_STYLES = {Verdict.QUIET: "green", Verdict.NOISY: "yellow", Verdict.VERY_NOISY: "red"}
#: Endings of names, and how their values are written.
_SCALED = {"bytes": Unit.BYTES, "ns": Unit.NANOSECONDS}
_SYMBOLS = {
    "percent": "%",
    "pressure": "%",
    "us": "µs",
    "celsius": "°C",
    "khz": "kHz",
    "joules": "J",
    "watts": "W",
}
_UNITS = {*_SCALED, *_SYMBOLS, "share"} - {"pressure"}
_PROBE_FIGURES = {
    "median_ns": "median time of an iteration",
    "p99_over_median": "99th percentile over median",
    "max_over_median": "longest over median",
    "waiting_share": "time waiting for a core",
    "steal_share": "time stolen by a hypervisor",
    "involuntary_switches": "times taken off its core",
    "timer_resolution_ns": "smallest step of the clock",
    "two_clock_reads_ns": "cost of reading the clock twice",
}


def to_json(description: Mapping[str, Any]) -> str:
    """The description as JSON text; times in ns, sizes in bytes, shares of one."""
    return json.dumps(description, indent=2, allow_nan=False, ensure_ascii=False) + "\n"


def hardware_tables(description: Mapping[str, Any]) -> Iterable[Table]:
    """Tables for the terminal: device, state, limits, sensors, accelerators, and the noise probe where there is one."""
    conditions = description["conditions"]
    state = {name: value for name, value in conditions.items() if name not in _LIMITS}
    yield _facts("device", {**description["facts"], "python": description["python"]})
    yield _facts("state now", state)
    yield _facts("limits on this process", {name: conditions[name] for name in _LIMITS if name in conditions})
    yield _sensors(description["sensors"])
    yield _accelerators(description["accelerators"])
    if "probe" in description:
        yield from _noise(description["probe"], description["noise"])


def _facts(title: str, facts: Mapping[str, Any]) -> Table:
    table = _table(title, "", "")
    for name, value in facts.items():
        table.add_row(_words(name), _value(name, value))
    return table


def _accelerators(found: Mapping[str, Iterable[str]]) -> Table:
    table = _table("accelerators", "runtime")
    table.add_column("accelerators and their units", overflow="fold")
    for adapter, lines in found.items():
        table.add_row(Text(_clean(adapter)), Text("\n".join(map(_clean, lines))))
    return table


def _sensors(sensors: Mapping[str, Mapping[str, Any]]) -> Table:
    table = _table("sensors", "sensor", "found", "reading, or why not")
    table.add_column("a look costs", justify="right")
    for name, sensor in sensors.items():
        if sensor["found"]:
            cost = quantity_text(sensor["cost_us"] * 1000, Unit.NANOSECONDS) if "cost_us" in sensor else ""
            table.add_row(Text(_clean(name)), Text("yes", "green"), _told(sensor), Text(cost))
        else:
            table.add_row(Text(_clean(name)), Text("no", "yellow"), Text(_clean(sensor["reason"]), "dim"))
    return table


def _told(sensor: Mapping[str, Any]) -> Text:
    """Where it reads, what it reads, and how much of what is there it leaves out."""
    reading = _listed(sensor["reading"])
    left_out = f"; {len(sensor['left_out'])} not read" if sensor.get("left_out") else ""
    return Text(f"{_clean(sensor['source'])}{': ' if reading else ''}{reading}{left_out}")


def _noise(probe: Mapping[str, Any], noise: Mapping[str, Any]) -> Iterator[Table]:
    title = f"noise probe: {probe['iterations']} times {_clean(probe['work'])}, {LOWER_BOUND}"
    figures = _table(title, "", "")
    verdict = Verdict(noise["verdict"])
    figures.add_row("verdict", Text(str(verdict), _VERDICT_STYLES[verdict]))
    figures.add_row("because", Text(_clean(noise["reason"])))
    if noise["hint"]:
        figures.add_row("what helps", Text(_clean(noise["hint"])))
    for name, words in _PROBE_FIGURES.items():
        figures.add_row(words, _value(name, probe[name]))
    yield figures
    expected = _table("what a measurement would show", "an attempt is", "attempts")
    expected.add_column("95 % interval", justify="right")
    expected.add_column("smallest difference told", justify="right")
    for each in noise["expectations"]:
        half, least = (percent_text(each[name], 1) for name in ("half_width", "smallest_difference"))
        expected.add_row(each["of"], str(each["attempts"]), f"± {half}", least)
    yield expected


def _table(title: str, *columns: str) -> Table:
    table = Table(title=Text(title), title_justify="left", show_header=any(columns))
    for column in columns:
        table.add_column(column)
    return table


def _value(name: str, value: Any) -> Text:
    if isinstance(value, Mapping) and set(value) == {"unknown"}:
        return Text(f"unknown ({_clean(value['unknown'])})", "dim")
    return Text(_number(name, value) if isinstance(value, int | float) else _clean(value))


def _number(name: str, value: float) -> str:
    """A number with the unit that its name ends in."""
    ending = name.rpartition("_")[2]
    if ending in _SCALED:
        return quantity_text(value, _SCALED[ending])
    if ending == "share":
        return percent_text(value, 1)
    number = f"{value:,}" if isinstance(value, int) else f"{value:.4g}"
    return f"{number} {_SYMBOLS[ending]}" if ending in _SYMBOLS else number


def _listed(reading: Mapping[str, Any]) -> str:
    """Readings with their names: `cpu 0.3 %, memory 0 %`. Where several share a unit, that is the name above them."""
    parts: list[str] = []
    for name, value in reading.items():
        if isinstance(value, Mapping) and set(value) != {"unknown"}:
            parts += [f"{_clean(key)} {_value(name, item)}" for key, item in value.items()]
        else:
            parts.append(f"{_words(name)} {_value(name, value)}")
    return ", ".join(parts)


def _words(name: str) -> str:
    """A key as words, without the unit that its value is written with."""
    stem, _, ending = name.rpartition("_")
    return _clean((stem if stem and ending in _UNITS else name).replace("_", " "))


def _clean(value: Any) -> str:
    """Names of sensors come from drivers: what a terminal would act on is shown as a mark."""
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in str(value))
