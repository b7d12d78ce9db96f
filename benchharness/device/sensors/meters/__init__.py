"""Energy that another program counts, by a clock of its own: an external meter, and macOS' `powermetrics`.

A sensor of the panel is read at a look and has the look's moment. What stands here comes when it comes, with moments of
its own: `stretches` brings them to the harness's clock and keeps apart what lies before and after a gap. `lines` is how
an external meter's lines are read, `sources` whence they come, `external` the meter; `powermetrics` reads that program.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Callable, Protocol

from benchharness.device.sensors.meters.external import ExternalMeter
from benchharness.device.sensors.meters.powermetrics import PowerMetrics
from benchharness.device.sensors.readings import Unreadable


class Meter(Protocol):
    """What counts energy by a clock of its own while an attempt runs. Only `look` is called beside a measurement."""

    def look(self) -> None:
        """Takes in what has come. Never raises."""
        ...

    def channels(self) -> Mapping[str, Sequence[tuple[int, float]]]:
        """By channel, a counter in µJ at moments in ns since the worker was spawned; each without a gap."""
        ...

    def described(self) -> dict[str, Any]:
        """What it is, or why it told nothing; as the panel describes a sensor."""
        ...

    def close(self) -> None:
        """Ends it; channels and description can still be asked for."""
        ...


class Meters:
    """All of one attempt. `declared` is what the device's profile says of an external one; None: it has none."""

    def __init__(self, declared: Mapping[str, Any] | None, started_ns: int, timeout_s: float) -> None:
        self._meters: dict[str, Meter] = {}
        self._reasons: dict[str, str] = {}
        if declared is not None:
            self._open("external meter", lambda: ExternalMeter(declared, started_ns))
        self._open("powermetrics", lambda: PowerMetrics(started_ns, timeout_s))

    def _open(self, name: str, make: Callable[[], Meter]) -> None:
        try:
            self._meters[name] = make()
        except (Unreadable, OSError, ValueError, TypeError, LookupError) as error:
            self._reasons[name] = str(error) or type(error).__name__

    def look(self) -> None:
        """A look at each."""
        for meter in self._meters.values():
            meter.look()

    def channels(self) -> dict[str, Sequence[tuple[int, float]]]:
        """Of all of them; two have no channel in common."""
        return {name: rows for meter in self._meters.values() for name, rows in meter.channels().items()}

    def described(self) -> dict[str, dict[str, Any]]:
        """By name."""
        reasons = {name: {"found": False, "reason": reason} for name, reason in self._reasons.items()}
        return {**reasons, **{name: meter.described() for name, meter in self._meters.items()}}

    def close(self) -> None:
        """Ends all of them."""
        for meter in self._meters.values():
            meter.close()
