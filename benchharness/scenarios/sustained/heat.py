"""What a device's own sensors say about heat: the only ground on which a slower course may be called throttled.

A core can be slow for many reasons, and a temperature alone says nothing: many devices are built to run hot. So heat is
said only where something says that it slows the processor down, or where a clock falls while its zone stands at the
temperature from which on the kernel slows it down. Takes what was recorded, wherever it was recorded.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from statistics import median

from benchharness.device.sensors.android import STATUSES
from benchharness.device.sensors.macos_thermal import PRESSURE_LEVELS
from benchharness.device.sensors.throttling import meaning_of
from benchharness.units import percent_text

#: Readings of one channel in order of time: (ns, value).
Series = Sequence[tuple[int, float]]

#: A clock has fallen when it is slower than before by more than this. Governors move it by less while a core is busy.
_CLOCK_FALL = 0.1
#: The kernel holds a zone at its trip point, a little above and below it.
_AT_TRIP_CELSIUS = 1.0
#: Fewer clock readings than this, before or at the trip point, could have been taken between two requests.
_FEWEST_CLOCKS = 3


def heat_evidence(recorded: Mapping[str, Series]) -> list[str]:
    """Sentences, with figures, that say that heat slowed this device down between the first reading and the last.

    Channels are the panel's (`benchharness.device.sensors.panel`), and `android_thermal_status` where a phone was
    asked. None means that no sensor says so; where `sources_of_heat` is empty too, none could have.
    """
    filled = {channel: series for channel, series in recorded.items() if series}
    return [
        *_throttle_counters(filled),
        *_firmware(filled),
        *_cooling(filled),
        *_clocks_at_trip(filled),
        *_macos(filled),
        *_android(filled),
    ]


def sources_of_heat(recorded: Mapping[str, Series]) -> list[str]:
    """The channels that could have told of throttling by heat; none means that heat cannot be ruled out."""
    whole = {"throttle_count", "get_throttled", "thermal_state", "cpu_speed_limit", "android_thermal_status"}
    found = [name for name, series in recorded.items() if series and (name in whole or name.startswith("cooling."))]
    if any(_trips(recorded)) and any(name.startswith("khz.cpu") for name in recorded):
        found.append("clocks at trip points")
    return sorted(found)


def _throttle_counters(recorded: Mapping[str, Series]) -> Iterator[str]:
    series = recorded.get("throttle_count", ())
    if series and (rise := series[-1][1] - series[0][1]) > 0:
        yield (
            f"the processor throttled itself for heat {rise:.0f} times: its thermal_throttle counters rose "
            f"from {series[0][1]:.0f} to {series[-1][1]:.0f}"
        )


def _firmware(recorded: Mapping[str, Series]) -> Iterator[str]:
    """Bits that hold now, or that came between two looks and only left their trace."""
    series = recorded.get("get_throttled", ())
    for _, value in series:
        if heat := meaning_of(int(value)).heat:
            yield f"the board's firmware reported {' and '.join(heat)} (get_throttled {int(value):#x})"
            return
    if not series:
        return
    first, last = int(series[0][1]), int(series[-1][1])
    before, after = meaning_of(first, since_start=True), meaning_of(last, since_start=True)
    if came := [word for word in after.heat if word not in before.heat]:
        yield f"the board's firmware noted {' and '.join(came)} (get_throttled went from {first:#x} to {last:#x})"


def _cooling(recorded: Mapping[str, Series]) -> Iterator[str]:
    for channel, series in recorded.items():
        name = channel.removeprefix("cooling.")
        most = max(value for _, value in series)
        if name == channel or most <= 0:
            continue
        highest = recorded.get(f"most_cooling.{name}")
        of = f" of {highest[0][1]:.0f}" if highest else ""
        yield f"the kernel's cooling device {name} held back by up to {most:.0f}{of} steps, {_share_above_zero(series)}"


def _clocks_at_trip(recorded: Mapping[str, Series]) -> Iterator[str]:
    for zone, trip in _trips(recorded):
        temperatures = recorded.get(f"celsius.{zone}", ())
        hot = [(t_ns, celsius) for t_ns, celsius in temperatures if celsius >= trip - _AT_TRIP_CELSIUS]
        if not hot:
            continue
        times = [t_ns for t_ns, _ in temperatures]
        is_hot = [celsius >= trip - _AT_TRIP_CELSIUS for _, celsius in temperatures]
        for channel, clocks in recorded.items():
            if not channel.startswith("khz.cpu"):
                continue
            before = [khz for t_ns, khz in clocks if t_ns < hot[0][0]]
            during = [khz for t_ns, khz in clocks if t_ns >= hot[0][0] and is_hot[bisect_right(times, t_ns) - 1]]
            if min(len(before), len(during)) < _FEWEST_CLOCKS:
                continue
            cool_khz, hot_khz = median(before), median(during)
            if hot_khz < (1 - _CLOCK_FALL) * cool_khz:
                yield (
                    f"{channel.removeprefix('khz.')} fell from {cool_khz / 1000:.0f} to {hot_khz / 1000:.0f} MHz while "
                    f"{zone} stood at up to {max(celsius for _, celsius in hot):.1f} °C, "
                    f"where the kernel slows it down from {trip:g} °C on"
                )


def _trips(recorded: Mapping[str, Series]) -> Iterator[tuple[str, float]]:
    for channel, series in recorded.items():
        if channel.startswith("passive_trip_celsius.") and series:
            yield channel.removeprefix("passive_trip_celsius."), series[0][1]


def _macos(recorded: Mapping[str, Series]) -> Iterator[str]:
    """Pressure above nominal; and a speed limit that fell, for one that stands also tells of a missing battery."""
    if (pressure := recorded.get("thermal_state")) and (most := int(max(value for _, value in pressure))) > 0:
        word = PRESSURE_LEVELS[min(most, len(PRESSURE_LEVELS) - 1)]
        yield f"macOS reported thermal pressure up to {word} (level {most}), {_share_above_zero(pressure)}"
    if limits := recorded.get("cpu_speed_limit"):
        lowest = min(value for _, value in limits)
        if lowest < limits[0][1]:
            yield f"macOS lowered the processor's speed limit from {limits[0][1]:.0f} to {lowest:.0f} %"


def _android(recorded: Mapping[str, Series]) -> Iterator[str]:
    statuses = recorded.get("android_thermal_status")
    if statuses and (most := int(max(value for _, value in statuses))) > 0:
        word = STATUSES[min(most, len(STATUSES) - 1)]
        yield f"Android reported thermal status up to {word} (status {most}), {_share_above_zero(statuses)}"


def _share_above_zero(series: Series) -> str:
    return f"above 0 in {percent_text(sum(value > 0 for _, value in series) / len(series))} of the readings"
