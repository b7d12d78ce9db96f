"""The energy that the processor's packages took meanwhile, where it counts it. Never an estimate."""

from __future__ import annotations

from collections.abc import Mapping

from benchharness.device.sensors.energy import find_energy_counters
from benchharness.device.sensors.readings import Unreadable

_OF = "energy_uj.package-"


class Spent:
    """Reads the counters before and after."""

    def __init__(self) -> None:
        self.unknown = ""  # why nothing is told
        try:
            self._sensor = find_energy_counters(None)
            if not self._packages(self._sensor.read()):
                self.unknown = "no counter of a whole processor package"
        except Unreadable as error:
            self.unknown = str(error)

    def read(self) -> Mapping[str, float]:
        """The counters now, in µJ; none where they are not known."""
        if self.unknown:
            return {}
        try:
            return self._packages(self._sensor.read())
        except Unreadable:
            return {}

    def since(self, before: Mapping[str, float]) -> float:
        """Joules since an earlier reading, -1 where they are not known."""
        now = self.read()
        if not before or before.keys() != now.keys():
            return -1.0
        return sum(now[name] - before[name] for name in now) / 1e6

    @staticmethod
    def _packages(read: Mapping[str, float]) -> Mapping[str, float]:
        return {name: value for name, value in read.items() if name.startswith(_OF) and " " not in name[len(_OF) :]}
