"""An external power meter, as a device's or a hardware target's profile declares it in its table `meter`.

Another program reads the meter and appends a line a reading to a file, or streams them over TCP. It is read where the
measurement runs: a path is the device's own, and a host is looked for from there.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from benchharness.suite.fields import Name, Table

_WATTS = {"mW": 1e-3, "W": 1.0, "kW": 1e3}
_POWER = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*(mW|W|kW)\s*")
_ADDRESS = re.compile(r"(\[[0-9A-Fa-f:.]{2,60}\]|[A-Za-z0-9._-]{1,253}):([0-9]{1,5})")
_MOST_WATTS = 1e5
#: As `benchharness.device.sensors.meters.lines.MOST_COLUMNS`.
_MOST_COLUMNS = 64
#: A unit that is wrong by a thousand then leads out of what is declared, whatever the device takes.
_WIDEST = 1000.0


def watts(text: str) -> float:
    """A power in W. Raises `ValueError`."""
    match = _POWER.fullmatch(text)
    if match is None or not float(match[1]) * _WATTS[match[2]] <= _MOST_WATTS:
        raise ValueError(f'{text[:40]!r} is no power: write a number and a unit (mW, W, kW), such as "2.5 W"')
    return float(match[1]) * _WATTS[match[2]]


def _ends(between: tuple[str, str]) -> tuple[str, str]:
    least, most = map(watts, between)
    if not 0 < least < most:
        raise ValueError("the first power is what the device takes at least, above zero, and the second what at most")
    if not most < _WIDEST * least:
        raise ValueError(
            f"the two powers lie {most / least:g} times apart: a meter in another unit could fit between them; say "
            f"more closely what the device takes, less than {_WIDEST:g} times apart"
        )
    return between


def _address(text: str) -> str:
    match = _ADDRESS.fullmatch(text)
    if match is None or not 0 < int(match[2]) < 1 << 16:
        raise ValueError('write it as host:port, such as "127.0.0.1:5555"')
    return text


Column = Annotated[int, Field(ge=1, le=_MOST_COLUMNS, strict=True)]


class Meter(Table):
    """Where its lines are, what their columns are, and what the device takes. Columns count from 1."""

    file: Annotated[str, Field(min_length=1, max_length=1000)] | None = None
    connect: Annotated[str, AfterValidator(_address)] | None = None
    of: Name  # what it measures: "wall plug"
    time: Column = 1
    time_unit: Literal["s", "ms", "us", "ns"] = "s"
    value: Column = 2
    unit: Literal["W", "mW", "uW", "kJ", "J", "mJ", "uJ", "kWh", "Wh", "mWh"]
    between: Annotated[tuple[str, str], AfterValidator(_ends)]

    @model_validator(mode="after")
    def _says_whence(self) -> Meter:
        if (self.file is None) == (self.connect is None):
            raise ValueError("a meter has either a 'file' that lines are appended to, or a 'connect' = host:port")
        if self.time == self.value:
            raise ValueError("'time' and 'value' are different columns")
        return self

    def told(self) -> dict[str, Any]:
        """As the device is told."""
        least, most = map(watts, self.between)
        if self.connect is None:
            where: dict[str, Any] = {"file": self.file}
        else:
            host, _, port = self.connect.rpartition(":")
            where = {"host": host.strip("[]"), "port": int(port)}
        columns = {"time": self.time, "time_unit": self.time_unit, "value": self.value, "unit": self.unit}
        return {**where, "of": self.of, **columns, "least_uw": least * 1e6, "most_uw": most * 1e6}
