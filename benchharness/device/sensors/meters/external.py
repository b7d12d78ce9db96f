"""An external meter: another program reads it and appends lines to a file, or streams them over TCP.

It is read where the supervisor runs. Nothing of what it says is believed unchecked, and where it does not add up it
says nothing from there on: a number that is wrong by a thousand looks as good as any.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from benchharness.device.sensors.meters.lines import Columns, Reading
from benchharness.device.sensors.meters.sources import FileSource, SocketSource, Source
from benchharness.device.sensors.meters.stretches import Intervals, Stretch, named
from benchharness.device.sensors.readings import Unreadable

CHANNEL = "meter_uj"
#: A meter that breaks off more often, or says so many things in a row that cannot be, is not listened to any more.
_MOST_STRETCHES, _MOST_IMPOSSIBLE = 200, 3
#: A counter that moved so often is known to a twentieth of what it counted.
_FEWEST_STEPS = 20
_LONGEST_NAME = 100


class ExternalMeter:
    """What a profile's table `meter` declares, as the host passes it on."""

    def __init__(self, declared: Mapping[str, Any], started_ns: int) -> None:
        """Raises `Unreadable` where it cannot be reached, `ValueError` and `KeyError` for a table that is none."""
        self._columns = Columns(declared)
        self._of = str(declared["of"])[:_LONGEST_NAME]
        self._source: Source | None = _source(declared)
        self._told_by = f"{self._source.name}, {self._columns.told}: {self._of}"
        self._started_ns = started_ns
        self._stretches: list[Stretch] = []
        self._goes_on = False  # whether the next reading may follow the last one
        self._last: Reading | None = None
        self._count_uj = 0.0
        self._intervals = Intervals()
        self._least_step = 0.0
        self._impossible = 0  # in a row
        self._lines = self._unread = self._still = self._gaps = 0
        self._why = ""  # nothing more is listened to, or was

    def look(self) -> None:
        """Takes in the lines that have come."""
        if self._source is None:
            return
        try:
            for arrived_ns, line in self._source.lines():
                reading = self._columns.reading(line)
                self._lines += bool(line.strip())
                if reading is None:
                    self._unread += bool(self._last) and bool(line.strip())  # a heading before the first is none
                elif self._source is not None:
                    self._take(reading, arrived_ns)
        except Unreadable as error:
            self._give_up(str(error))

    def _take(self, now: Reading, arrived_ns: int) -> None:
        last = self._last
        if last is not None and now.moment_ns < last.moment_ns:
            raise Unreadable(f"its clock went back by {(last.moment_ns - now.moment_ns) / 1e9:g} s")
        if last is not None and now.moment_ns == last.moment_ns:
            self._still += 1  # the clock is too coarse to tell them apart
            return
        if why := self._cannot_be(now):
            self._goes_on = False
            self._impossible += 1
            self._last = now
            if self._impossible >= _MOST_IMPOSSIBLE:
                raise Unreadable(f"{why}: is it in another unit?")
            return
        self._impossible = 0
        if last is not None and self._intervals.is_gap(now.moment_ns - last.moment_ns):
            self._gaps += 1
            self._goes_on = False
        self._last = now
        if last is None or not self._goes_on:
            self._begin(now, arrived_ns)
            return
        self._count_uj = self._counted(last, now)
        self._stretches[-1].add(now.moment_ns, self._count_uj, arrived_ns)
        step = abs(now.value - last.value)
        self._least_step = min(step, self._least_step or step) if step else self._least_step

    def _begin(self, now: Reading, arrived_ns: int) -> None:
        if len(self._stretches) >= _MOST_STRETCHES:
            raise Unreadable(f"it broke off {_MOST_STRETCHES} times")
        self._stretches.append(Stretch())
        self._count_uj = 0.0
        self._stretches[-1].add(now.moment_ns, 0.0, arrived_ns)
        self._goes_on = True

    def _cannot_be(self, now: Reading) -> str:
        """Why a reading is none of this device's. Of an energy one is known by the whole stretch only."""
        if not self._columns.energy:
            return self._columns.outside(now.value)
        if self._goes_on and self._last is not None and now.value < self._last.value:
            return "its counter went back"
        return ""

    def _counted(self, last: Reading, now: Reading) -> float:
        """µJ since the stretch began. Between two powers it is taken to change evenly."""
        if self._columns.energy:
            return self._count_uj + now.value - last.value
        return self._count_uj + (last.value + now.value) / 2 * (now.moment_ns - last.moment_ns) / 1e9

    def _give_up(self, why: str) -> None:
        self._why = why
        if self._source is not None:
            self._source.close()
            self._source = None

    def _known(self) -> tuple[list[Stretch], str]:
        """The stretches that tell something, and why the others do not."""
        known, why = [], ""
        for stretch in self._stretches:
            doubt = stretch.doubt() or self._of_energy(stretch)
            why = doubt or why
            if not doubt:
                known.append(stretch)
        return known, why

    def _of_energy(self, stretch: Stretch) -> str:
        """Why a stretch of a counter of energy cannot be this device's, or is too coarse."""
        if not self._columns.energy:
            return ""
        if stretch.steps < _FEWEST_STEPS:
            return f"its counter moved {stretch.steps} times, and has to {_FEWEST_STEPS} times: make the course longer"
        lasted_s = (stretch.moments[-1] - stretch.moments[0]) / 1e9
        return self._columns.outside(stretch.counts[-1] / lasted_s)

    def channels(self) -> Mapping[str, Sequence[tuple[int, float]]]:
        """`meter_uj.0` and so on."""
        return named(CHANNEL, self._known()[0], self._started_ns)

    def described(self) -> dict[str, Any]:
        """Its source, what of it is known, and what is not."""
        known, doubt = self._known()
        if not known:
            why = "; ".join(filter(None, (doubt or self._silence(), self._why)))
            return {"found": False, "reason": f"{self._told_by}: {why}"}
        step = self._least_step / 1e6
        counts = {
            "gaps": f"{self._gaps} gaps, in which nothing is known" if self._gaps else "",
            "lines": f"{self._unread} lines had no two numbers" if self._unread else "",
            "time": f"{self._still} lines had the time of the one before" if self._still else "",
            "from some moment on": self._why,
            "a part of it": doubt,
        }
        return {
            "found": True,
            "source": self._told_by,
            "of": self._of,
            "unit": "µJ",
            "counts": "energy" if self._columns.energy else "power",
            "resolution": f"{step:g} {'J' if self._columns.energy else 'W'} every {self._intervals.usual_s:g} s, as it "
            f"told them; its clock is set by when its lines came, up to 0.25 s and what its program held back late",
            "permission": "whoever may read it",
            "period_s": self._intervals.usual_s,
            "left_out": {name: told for name, told in counts.items() if told},
        }

    def _silence(self) -> str:
        """Why there is not one reading; empty where there was one, or it could not be heard."""
        if self._last is not None or (self._why and not self._lines):
            return ""
        if not self._lines:
            return "it said nothing"
        return f"none of its {self._lines} lines had a number in columns {self._columns.places}"

    def close(self) -> None:
        """Closes the file or connection."""
        if self._source is not None:
            self._source.close()
            self._source = None


def _source(declared: Mapping[str, Any]) -> Source:
    if "file" in declared:
        return FileSource(str(declared["file"]))
    return SocketSource(str(declared["host"]), int(declared["port"]))
