"""Tallies as they came from devices: read within bounds, refused by name, and each device's month counted once."""

from __future__ import annotations

import hashlib
import stat
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from benchharness.device.tally import MOST_BYTES, NotATally, Tally, parse
from benchharness.errors import UsageError

#: More files than this are not read at once: their tallies are held in memory, 6 kB each and more.
MOST_FILES = 1_000_000


@dataclass(frozen=True, kw_only=True)
class Refused:
    """A file that was not counted, and why."""

    name: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Received:
    """What was read: one tally for each device and month, and what was not taken."""

    tallies: Sequence[Tally]
    refused: Sequence[Refused] = ()
    #: By month and model: files that say again, byte for byte or not, what a device's other file of that month says.
    repeats: Mapping[tuple[str, str], int] = field(default_factory=dict)

    @property
    def repeated(self) -> int:
        """How many files were not counted, since another of the same device and month was."""
        return sum(self.repeats.values())

    def of(self, period: str | None = None, model: str | None = None) -> Received:
        """Those of one month and one model. Raises `UsageError` where there is a choice and none was made."""
        kept = self._one("period", period, self.tallies)
        kept = self._one("model", model, kept)
        asked = (kept[0].period, kept[0].model)
        return Received(tallies=kept, refused=self.refused, repeats={asked: self.repeats.get(asked, 0)})

    def about(self, period: str, model: str) -> Sequence[Tally]:
        """Those of one month and one model, be there any or none."""
        return [tally for tally in self.tallies if (tally.period, tally.model) == (period, model)]

    def _one(self, field: str, asked: str | None, tallies: Sequence[Tally]) -> Sequence[Tally]:
        there = sorted({getattr(tally, field) for tally in tallies})
        if asked is None and len(there) > 1:
            named = ", ".join(there[:12])
            raise UsageError(f"the files are of {len(there)} {field}s ({named}); name one: --{field} {there[-1]}")
        chosen = asked if asked is not None else there[0] if there else ""
        kept = [tally for tally in tallies if getattr(tally, field) == chosen]
        if not kept:
            named = ", ".join(there[:12]) or "none at all"
            raise UsageError(f"no tally is of {field} {chosen}; there are: {named}")
        return kept


def read(paths: Iterable[Path], now: datetime | None = None) -> Received:
    """Every tally of files, and of `*.json` in folders. Raises `UsageError` for a path that is not there.

    A device that is named twice in one month counts once, with the file in which it counted most; which of two is not
    by their order.
    """
    this_month = (now or datetime.now(UTC)).strftime("%Y-%m")
    refused: list[Refused] = []
    repeats: Counter[tuple[str, str]] = Counter()
    by_device: dict[tuple[str, str], Tally] = {}
    read_files = 0
    for path in _files(paths):
        read_files += 1
        if read_files > MOST_FILES:
            raise UsageError(f"there are more than {MOST_FILES:,} files, and no more are read; give a month's alone")
        try:
            tally = parse(content(path))
            if tally.period > this_month:
                raise NotATally(f"it is of {tally.period}, which has not begun; check the clock that wrote it")
        except NotATally as error:
            refused.append(Refused(name=path.name, reason=str(error)))
            continue
        key = (tally.device, tally.period)
        if key in by_device:
            less, tally = sorted((by_device[key], tally), key=_fuller)
            repeats[less.period, less.model] += 1
        by_device[key] = tally
    kept = [by_device[key] for key in sorted(by_device)]
    return Received(tallies=kept, refused=refused, repeats=repeats)


def _fuller(tally: Tally) -> tuple[int, bytes]:
    return tally.events, hashlib.sha256(tally.text().encode()).digest()


def _files(paths: Iterable[Path]) -> Iterator[Path]:
    for path in paths:
        if path.is_dir():
            yield from sorted(path.glob("*.json"))
        elif path.exists():
            yield path
        else:
            raise UsageError(f"{path}: no such file or folder")


def content(path: Path) -> bytes:
    """The file's bytes, one more at most than a tally has. Raises `NotATally`."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise NotATally("it is no file")
        with path.open("rb") as file:
            return file.read(MOST_BYTES + 1)
    except OSError as error:
        raise NotATally(f"it cannot be read ({error.strerror})") from error
