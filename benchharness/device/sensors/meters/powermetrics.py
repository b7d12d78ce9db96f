"""What macOS estimates that its processor takes: `powermetrics`, which needs root, as a child that samples all along.

Its manual page (powermetrics(1)) says of these figures that they are estimated, may be inaccurate, and are not to be
compared between devices: so they have a channel, a metric and a name of their own, and are nowhere a measurement. Of
Apple's processors the sum of CPU, GPU and Neural Engine is taken, which is what later versions call "Combined Power":
the "Package Power" of earlier ones is no such sum, and was published below it. Intel's is of CPUs, GPU, system agent.
The text format is read, a line at a time. Never run on a Mac by hand; the outputs that tests read are published ones.
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import sys
import time
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any, BinaryIO, NamedTuple

from benchharness.device.processes.child import Child
from benchharness.device.sensors.meters.stretches import Stretch, named
from benchharness.device.sensors.readings import Unreadable, output_of

CHANNEL = "estimated_uj"
#: What the two kinds of processors' figures are of.
APPLE, INTEL = "CPU, GPU and Neural Engine", "CPUs, GPU and system agent"
PROGRAM = "/usr/bin/powermetrics"
_SUDO = "/usr/bin/sudo"
_INTERVAL_S = 0.5
_LONGEST_S = 60.0
#: It ends by itself so long after the attempt has to, whatever becomes of who started it.
_OUTLIVES_S = 60.0
_LONGEST_LINE_BYTES, _MOST_LINES_WAITING = 1 << 16, 100_000
_MOST_UW = 2e9
#: CPU, GPU and Neural Engine are rounded to a milliwatt each, and so is their sum.
_ROUNDED_MW = 2.5
#: So much more than the sampled time has passed: something was not sampled, such as a sleeping Mac.
_MOST_UNSAMPLED_NS = 2_000_000_000
_HEADER = re.compile(rb"^\*\*\* Sampled system activity \(.{1,80}\) \((\d{1,9}(?:\.\d{1,6})?)ms elapsed\) \*\*\*\s*$")
_POWER = re.compile(
    rb"^(CPU|GPU|ANE|Combined|Intel energy model derived package)"
    rb" [Pp]ower(?: \([A-Za-z +]{1,40}\))?: +(\d{1,9}(?:\.\d{1,6})?) ?(m?W)\s*$"
)
_COMBINED, _INTEL = "Combined", "Intel energy model derived package"
_PARTS = ("CPU", "GPU", "ANE")


class Sample(NamedTuple):
    """What one sample says: how long it lasted, what it took by the estimate, and of what that is."""

    elapsed_ns: int
    microjoules: float
    of: str
    arrived_ns: int  # its last figure


class Samples:
    """Lines in, whole samples out. A sample is whole when the next one begins, or nothing more comes."""

    def __init__(self) -> None:
        self._elapsed_ns = 0
        self._milliwatts: dict[str, float] = {}
        self._arrived_ns = 0

    def feed(self, line: bytes, now_ns: int) -> Sample | None:
        """The sample that this line ends, if it does. Raises `Unreadable` for one that cannot be."""
        if found := _HEADER.match(line):
            try:
                return self.end()
            finally:  # whatever is wrong with the one before
                self._begin(round(float(found[1]) * 1e6))
        if self._elapsed_ns and (found := _POWER.match(line)):
            # The GPU's stands in two sections; both are the same.
            self._milliwatts.setdefault(found[1].decode(), float(found[2]) * (1.0 if found[3] == b"mW" else 1e3))
            self._arrived_ns = now_ns
        return None

    def _begin(self, elapsed_ns: int) -> None:
        if not 0 < elapsed_ns <= _LONGEST_S * 1e9:
            raise Unreadable(f"a sample of {elapsed_ns / 1e9:g} s")
        self._elapsed_ns = elapsed_ns

    def end(self) -> Sample | None:
        """The sample so far; None before the first. Raises `Unreadable` for one without figures, or that is wrong."""
        elapsed_ns, told, arrived_ns = self._elapsed_ns, self._milliwatts, self._arrived_ns
        self._elapsed_ns, self._milliwatts = 0, {}
        if not elapsed_ns:
            return None
        milliwatts, of = _taken(told)
        if milliwatts * 1e3 > _MOST_UW:
            raise Unreadable(f"a power of {milliwatts / 1e3:g} W")
        return Sample(elapsed_ns, milliwatts * elapsed_ns / 1e6, of, arrived_ns)  # mW times ms are µJ


def _taken(milliwatts: Mapping[str, float]) -> tuple[float, str]:
    """The power, and of what it is. Raises `Unreadable` where nothing tells it: no figure is not zero."""
    if _INTEL in milliwatts:
        return milliwatts[_INTEL], INTEL
    missing = [part for part in _PARTS if part not in milliwatts]
    if missing:
        raise Unreadable(f"a sample without a power of {', '.join(missing)}")
    whole = sum(milliwatts[part] for part in _PARTS)
    combined = milliwatts.get(_COMBINED, whole)
    if abs(combined - whole) > _ROUNDED_MW:
        raise Unreadable(f"a combined power of {combined:g} mW, where its parts are {whole:g} mW")
    return whole, APPLE


class Estimates:
    """Samples -> stretches of a counter. The time that they sampled is their clock."""

    def __init__(self) -> None:
        self.stretches: list[Stretch] = []
        self.of = ""
        self._sampled_ns = 0
        self._count_uj = 0.0
        self._broke = True

    def take(self, sample: Sample) -> None:
        """One after the other; together they leave no time out, unless more has passed than they sampled."""
        began_ns = sample.arrived_ns - sample.elapsed_ns
        late_ns = sample.arrived_ns - (self._sampled_ns + sample.elapsed_ns)
        if self._broke or late_ns - self.stretches[-1].least_late_ns > _MOST_UNSAMPLED_NS:
            self._broke = False
            self.stretches.append(Stretch())
            self._sampled_ns, self._count_uj = 0, 0.0
            self.stretches[-1].add(0, 0.0, began_ns)
        self.of = sample.of
        self._sampled_ns += sample.elapsed_ns
        self._count_uj += sample.microjoules
        self.stretches[-1].add(self._sampled_ns, self._count_uj, sample.arrived_ns)

    def break_off(self) -> None:
        """A sample is missing."""
        self._broke = True


class PowerMetrics:
    """The program while an attempt runs. It is started as root only, or where `sudo` asks for no password."""

    def __init__(self, started_ns: int, timeout_s: float, command: Sequence[str] | None = None) -> None:
        """Raises `Unreadable` where there is none. `command`: another program that prints as it does."""
        self._started_ns = started_ns
        self._samples, self._estimates = Samples(), Estimates()
        self._waiting: deque[tuple[int, bytes]] = deque()
        self._why = ""
        asked = command or _command(timeout_s)
        self._told_by = " ".join(asked)
        self._child: Child | None = Child(asked, _line, self._hear)

    def _hear(self, line: Any) -> None:
        """In a thread of the child's: stamps a line as it comes."""
        if isinstance(line, bytes) and len(self._waiting) < _MOST_LINES_WAITING:
            if _HEADER.match(line) or _POWER.match(line):
                self._waiting.append((time.perf_counter_ns(), line))
        elif line is None:
            self._why = self._why or "the program ended"

    def look(self) -> None:
        """Takes in what it printed."""
        for _ in range(len(self._waiting)):
            now_ns, line = self._waiting.popleft()
            try:
                if (sample := self._samples.feed(line, now_ns)) is not None:
                    self._estimates.take(sample)
            except Unreadable as error:
                self._why = str(error)
                self._estimates.break_off()

    def channels(self) -> Mapping[str, Sequence[tuple[int, float]]]:
        """`estimated_uj.0` and so on."""
        known = [each for each in self._estimates.stretches if len(each.moments) > 1 and not each.doubt()]
        return named(CHANNEL, known, self._started_ns)

    def described(self) -> dict[str, Any]:
        """What it estimates, and of what."""
        if not self.channels():
            return {"found": False, "reason": f"{self._told_by}: {self._why or 'it told nothing'}"}
        return {
            "found": True,
            "source": f"{self._told_by}: {self._estimates.of}, estimated by macOS and not measured",
            "of": self._estimates.of,
            "unit": "µJ",
            "resolution": f"1 mW every {_INTERVAL_S:g} s",
            "permission": "root",
            "period_s": _INTERVAL_S,
            "left_out": {"a part of it": self._why} if self._why else {},
        }

    def close(self) -> None:
        """Ends the program, and takes in its last sample."""
        if self._child is None:
            return
        self.look()
        with contextlib.suppress(Unreadable):  # cut short
            if (last := self._samples.end()) is not None:
                self._estimates.take(last)
        told, self._child = self._child, None
        why = self._why
        told.end(0.0, orphans=False)
        self._why = why  # its end now is ours


def _line(stream: BinaryIO) -> bytes | None:
    """One line, however long it is; None at the end."""
    return stream.readline(_LONGEST_LINE_BYTES) or None


def _command(timeout_s: float) -> list[str]:
    if sys.platform != "darwin":
        raise Unreadable("told by macOS only")
    count = round((timeout_s + _OUTLIVES_S) / _INTERVAL_S)
    asked = [PROGRAM, "--samplers", "cpu_power", "-i", f"{_INTERVAL_S * 1000:g}", "-n", str(count), "-b", "1"]
    if os.geteuid() == 0:
        return asked
    _check_sudo()
    # Root's program cannot be killed from here. What hands its words on can, and then it ends over its next ones.
    return ["/bin/sh", "-c", f"{shlex.join([_SUDO, '-n', *asked])} | /bin/cat"]


def available() -> dict[str, Any]:
    """Whether it can be started here, as the panel describes a sensor; nothing is started."""
    try:
        _command(0.0)
    except (Unreadable, OSError) as error:
        return {"found": False, "reason": str(error)}
    told = {"unit": "µJ", "resolution": f"1 mW every {_INTERVAL_S:g} s", "permission": "root"}
    return {"found": True, "source": f"{PROGRAM}, an estimate of macOS'", "reading": {}, **told}


def _check_sudo() -> None:
    """Raises `Unreadable` where the program cannot be started as root without a password."""
    try:
        output_of([_SUDO, "-n", "-l", PROGRAM])
    except Unreadable as error:
        told = "powermetrics needs root: run as root, or let sudo start it without a password"
        raise Unreadable(told) from error
