"""What a sensor is: readings taken together, and what has to be known to trust them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Callable, Union

#: One reading: counters and states are whole numbers, temperatures are not.
Reading = Union[int, float]


@dataclass(frozen=True)
class Sensor:
    """One family of readings, found on this device and kept open.

    `read` returns readings by channel and raises `Unreadable` where nothing can be had this time; a single reading that
    fails is left out. `constants` are told once. `left_out` says what was found and is not read, and why. `period_s` is
    how often it is worth asking; 0 is every look. What `may_come` is asked again where it has nothing to read at first.
    """

    source: str
    unit: str
    resolution: str
    permission: str
    read: Callable[[], Mapping[str, Reading]]
    period_s: float = 0.0
    constants: Mapping[str, Reading] = field(default_factory=dict)
    left_out: Mapping[str, str] = field(default_factory=dict)
    may_come: bool = False


#: Who may read: most of what the kernel tells, it tells everybody.
ANYONE = "any user"
