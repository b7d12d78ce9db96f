"""What a device in use counts about itself: a tally, one small file for each calendar month, for people who opted in.

Declared bins and counts, and nothing else: no text, no times of day, no ids that outlive the month. This one file needs
the standard library of Python 3.9 alone and may be copied into an application::

    recorder = Recorder("telemetry", hardware="pixel-8", model="chat", opted_in=settings.telemetry)
    recorder.count("int4", "model_ttft", 123_000_000)      # ns
    recorder.count("int4", "session_end", "ok")
    recorder.save()
    for path in recorder.finished():                       # months that are over: what the application may send
        ...                                                # and leave: a copy counts once, and they go by themselves

Nothing here sends anything. `parse` is how whoever receives such files reads them: it believes nothing.
"""

from __future__ import annotations

import json
import math
import os
import re
import secrets
import tempfile
import time
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

SCHEMA = "benchharness-tally-1"
#: A file is never larger, and holds no more variants than fit: a variant takes 4.6 kB where every count is at its most.
MOST_BYTES, MOST_VARIANTS = 65_536, 8
#: Where a bin has come so far, its histogram stands still: the shares stay what they were.
MOST_COUNT = 10**9
#: Files of months that are over wait no longer than this many months.
KEPT_MONTHS = 3
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,63}")
_DEVICE = re.compile(r"[0-9a-f]{32}")
PERIOD = re.compile(r"[0-9]{4}-(?:0[1-9]|1[0-2])")
#: Of a month and a model: an application may have several, and a recorder for each.
_FILE = "tally-{}-{}.json"
_MONTH_OF_FILE = re.compile(rf"tally-({PERIOD.pattern})-.*\.json")
#: What is beside a file until it is whole.
_UNFINISHED = ".tally-"
#: Four bins a doubling, in whole numbers so that every device has the same: powers of the fourth root of two.
_PER_DOUBLING = (1000, 1189, 1414, 1682)


def _doublings(lowest: int, count: int) -> tuple[int, ...]:
    """Upper edges of bins from `lowest` on, four each time it doubles."""
    steps = [(lowest << doubling) * part // 1000 for doubling in range(count) for part in _PER_DOUBLING]
    return (*steps, lowest << count)


@dataclass(frozen=True)
class Histogram:
    """What is counted in which bins: by size, or by kind.

    Bin i holds what is above edge i - 1 and at most edge i; one more holds what is above the last. Or there is a bin
    for each kind.
    """

    name: str
    title: str
    unit: str  # of values and edges; "" for kinds
    edges: tuple[int, ...] = ()
    kinds: tuple[str, ...] = ()
    event: str = ""  # what one count stands for

    @property
    def bins(self) -> int:
        """How many counts it has."""
        return len(self.kinds) or len(self.edges) + 1

    def place(self, value: float | str) -> int | None:
        """The bin of a value or a kind; None for what is neither, such as a time below zero."""
        if self.kinds:
            return self.kinds.index(value) if isinstance(value, str) and value in self.kinds else None
        if isinstance(value, str) or not 0 <= value < math.inf:
            return None
        return bisect_left(self.edges, value)


_TIMES = _doublings(10_000, 20)  # 10 us to 10.5 s
#: All that is ever counted, in the order in which it stands in a file. To change one is another SCHEMA.
HISTOGRAMS = {
    each.name: each
    for each in (
        Histogram("model_ttft", "model TTFT", "ns", _doublings(100_000, 20), event="an answer"),  # to 105 s
        Histogram("itl", "ITL", "ns", _TIMES, event="a gap between two tokens"),
        Histogram("steady_inference", "steady inference", "ns", _TIMES, event="an inference"),
        Histogram("cold_start_ttft", "cold-start TTFT", "ns", _doublings(10_000_000, 14), event="a start"),  # to 164 s
        Histogram("peak_memory", "peak memory", "bytes", _doublings(1 << 20, 16), event="a session"),  # to 64 GiB
        Histogram("battery_drain", "battery drain", "%/h", (0, 1, 2, 3, 5, 7, 10, 15, 20, 30, 50), event="a session"),
        Histogram(
            "session_end",
            "how sessions end",
            "",
            kinds=(
                *("ok", "timeout", "out-of-memory", "killed", "crashed", "runtime-error", "unsupported", "invalid"),
            ),
            event="a session",
        ),
        Histogram(
            "memory_pressure",
            "memory pressure",
            "",
            kinds=("none", "some", "critical", "unknown"),
            event="a session, by the worst that the system told in it",
        ),
        Histogram(
            "fallback",
            "left to another processor",
            "",
            kinds=("none", "part", "all", "unknown"),
            event="a session, by how much of the model the accelerator did not take",
        ),
        Histogram("throttling", "throttled", "", kinds=("no", "yes", "unknown"), event="a session"),
    )
}
Counts = dict[str, dict[str, list[int]]]  # by variant and histogram


class NotATally(ValueError):
    """What was read is no tally of this version: what is wrong with it, and what to do."""


@dataclass(frozen=True)
class Tally:
    """One device's counts of one month."""

    device: str  # 128 random bits, others every month: files of two months cannot be told to be one device's
    period: str  # 2026-11, UTC
    hardware: str  # the hardware target, chosen by the application: a kind of device
    model: str
    counts: Counts = field(default_factory=dict)

    @classmethod
    def begin(cls, period: str, hardware: str, model: str) -> Tally:
        """An empty one, with an id of its own. Raises `ValueError` for names that would be refused where it is read."""
        _check_name(hardware)
        _check_name(model)
        return cls(secrets.token_hex(16), period, hardware, model)

    def add(self, variant: str, histogram: str, value: float | str) -> bool:
        """Counts one event; whether it was: a value may have no bin, and there may be no room.

        Raises `KeyError` for a histogram that there is not, `ValueError` for a variant's name that would be refused.
        """
        place = HISTOGRAMS[histogram].place(value)
        if place is None:
            return False
        if variant not in self.counts:
            _check_name(variant)
            if len(self.counts) == MOST_VARIANTS:
                return False
            self.counts[variant] = {name: [0] * each.bins for name, each in HISTOGRAMS.items()}
        bins = self.counts[variant][histogram]
        if max(bins) >= MOST_COUNT:
            return False
        bins[place] += 1
        return True

    @property
    def events(self) -> int:
        """How much was counted, over all histograms."""
        return sum(sum(bins) for histograms in self.counts.values() for bins in histograms.values())

    def text(self) -> str:
        """The whole file: a line for each field and histogram. Every histogram is there, used or not."""
        variants = [
            f"{json.dumps(variant)}:{{\n"
            + ",\n".join(f'"{name}":{json.dumps(bins, separators=(",", ":"))}' for name, bins in histograms.items())
            + "\n}"
            for variant, histograms in self.counts.items()
        ]
        heads = [
            f'"{key}":{json.dumps(value)}'
            for key, value in (
                ("schema", SCHEMA),
                ("device", self.device),
                ("period", self.period),
                ("hardware", self.hardware),
                ("model", self.model),
            )
        ]
        inside = ",\n".join(variants)
        return "{\n" + ",\n".join(heads) + ',\n"counts":{\n' + (f"{inside}\n" if inside else "") + "}}\n"


def parse(content: bytes) -> Tally:
    """The tally that a file holds. Raises `NotATally`, and nothing else, for whatever else is in it."""
    if len(content) > MOST_BYTES:
        raise NotATally(f"it is larger than {MOST_BYTES} bytes, which no tally is")
    try:
        found = json.loads(content.decode("ascii"), object_pairs_hook=_once)
    except NotATally:
        raise
    except (ValueError, RecursionError) as error:
        raise NotATally("it is no JSON in plain ASCII; a copy that was cut short reads so: send it again") from error
    if not isinstance(found, dict) or not isinstance(found.get("schema"), str):
        raise NotATally(f"it names no schema; a tally begins with {SCHEMA}")
    if found["schema"] != SCHEMA:
        raise NotATally(
            f"its schema is {found['schema'][:40]!r}, and this version reads {SCHEMA}: their bins differ, and counts "
            "of different bins are not added; read it with the benchharness of the version that wrote it"
        )
    if set(found) != {"schema", "device", "period", "hardware", "model", "counts"}:
        raise NotATally(f"it has other fields than {SCHEMA} has; nothing beside them is read")
    for key, pattern in (("device", _DEVICE), ("period", PERIOD), ("hardware", NAME), ("model", NAME)):
        if not isinstance(found[key], str) or not pattern.fullmatch(found[key]):
            raise NotATally(f"its {key} is none; it must match {pattern.pattern}")
    return Tally(found["device"], found["period"], found["hardware"], found["model"], _counts(found["counts"]))


def _once(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise NotATally("it says something twice")
    return found


def _counts(found: Any) -> Counts:
    if not isinstance(found, dict) or len(found) > MOST_VARIANTS:
        raise NotATally(f"its counts are none, or of more than {MOST_VARIANTS} variants")
    for variant, histograms in found.items():
        if not NAME.fullmatch(variant) or not isinstance(histograms, dict):
            raise NotATally(f"a variant's name must match {NAME.pattern}, and its histograms be an object")
        if list(histograms) != list(HISTOGRAMS):
            raise NotATally(f"it counts in other histograms than {SCHEMA} has: {', '.join(HISTOGRAMS)}, in this order")
        for name, bins in histograms.items():
            if not isinstance(bins, list) or len(bins) != HISTOGRAMS[name].bins:
                raise NotATally(f"{name} has other bins than the {HISTOGRAMS[name].bins} of {SCHEMA}")
            if not all(type(count) is int and 0 <= count <= MOST_COUNT for count in bins):
                raise NotATally(f"{name} holds what is no count of 0 to {MOST_COUNT}")
    return found


class Recorder:
    """Counts on the device, in a folder of its own. One process at a time counts for a model.

    Of two at once the last to save is believed, under the id of the first: a device has one vote whatever happens.
    Unless the user opted in nothing is counted or written, and what an earlier consent left in the folder is deleted;
    raises `OSError` where it cannot be. Raises `ValueError` for names that a tally cannot hold: they would be refused
    where it is read.
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        hardware: str,
        model: str,
        opted_in: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        for name in (hardware, model):
            _check_name(name)
        self._folder = Path(folder)
        self._hardware, self._model = hardware, model
        self._clock = clock
        self._tally: Tally | None = None
        self._opted_in = opted_in is True
        with suppress(OSError) if self._opted_in else nullcontext():
            for path in self._folder.glob(f"{_UNFINISHED}*"):  # a process was killed as it wrote
                path.unlink(missing_ok=True)
        if not self._opted_in:
            self._forget(lambda period: True)

    def count(self, variant: str, histogram: str, value: float | str) -> bool:
        """Counts one event, in memory; whether it was. Raises as `Tally.add` does.

        The first event of a new month writes the one before; where that fails, it stays as it was last saved.
        """
        return self._opted_in and self._current().add(variant, histogram, value)

    def save(self) -> Path | None:
        """Writes what was counted, whole or not at all; its file, or None where there is none.

        Raises `OSError` where it cannot be written; what was counted is then still there to be saved.
        """
        if self._tally is None:
            return None
        there = self._read(self._tally.period)
        if there is not None:  # of another process, if its id differs: with two ids a device would have two votes
            self._tally = replace(self._tally, device=there.device)
        path = self._write(self._tally)
        if self._tally.period != self.period:
            self._tally = None  # it changes no more, and is not written again where it was taken away
        oldest = _month(self.period) - KEPT_MONTHS
        self._forget(lambda period: _month(period) < oldest)
        return path if path.exists() else None

    def finished(self) -> list[Path]:
        """Files of months that are over, oldest first. They change no more, and one that is sent twice counts once."""
        self._turn()
        return [path for period, path in self._files() if period < self.period]

    @property
    def period(self) -> str:
        """The month of now, by UTC."""
        return time.strftime("%Y-%m", time.gmtime(self._clock()))

    def _current(self) -> Tally:
        """This month's: what is in memory, or was saved, or a new one."""
        self._turn()
        if self._tally is None:
            self._tally = self._read(self.period) or Tally.begin(self.period, self._hardware, self._model)
        return self._tally

    def _turn(self) -> None:
        """Writes a month that is over, and lets go of it either way: the application has other things to do."""
        if self._tally is not None and self._tally.period != self.period:
            with suppress(OSError):
                self.save()
            self._tally = None

    def _read(self, period: str) -> Tally | None:
        """What an earlier process counted this month; None where there is none that can be gone on with."""
        try:
            with self._path(period).open("rb") as file:
                found = parse(file.read(MOST_BYTES + 1))
        except (OSError, NotATally):
            return None
        same = (found.period, found.hardware, found.model) == (period, self._hardware, self._model)
        return found if same else None

    def _write(self, tally: Tally) -> Path:
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._path(tally.period)
        descriptor, beside = tempfile.mkstemp(dir=str(self._folder), prefix=_UNFINISHED)
        try:
            with os.fdopen(descriptor, "w", encoding="ascii", newline="\n") as file:
                file.write(tally.text())
                file.flush()
                os.fsync(file.fileno())
            Path(beside).replace(path)
        except BaseException:
            Path(beside).unlink(missing_ok=True)
            raise
        return path

    def _path(self, period: str) -> Path:
        return self._folder / _FILE.format(period, self._model)

    def _forget(self, which: Callable[[str], bool]) -> None:
        for period, path in self._files():
            if which(period):
                path.unlink(missing_ok=True)

    def _files(self) -> Iterator[tuple[str, Path]]:
        """Every model's, by month."""
        for path in sorted(self._folder.glob(_FILE.format("*", "*"))):
            found = _MONTH_OF_FILE.fullmatch(path.name)
            if found:
                yield found[1], path


def _check_name(name: str) -> None:
    if not NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no name for a tally: it must match {NAME.pattern}")


def _month(period: str) -> int:
    """Months since the year 0."""
    year, month = period.split("-")
    return 12 * int(year) + int(month) - 1
