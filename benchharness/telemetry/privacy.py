"""What leaves a device and what leaves a fleet, byte for byte, and what each byte says."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from benchharness.device.tally import HISTOGRAMS, MOST_BYTES, MOST_COUNT, MOST_VARIANTS, NotATally, Tally, parse
from benchharness.errors import UsageError
from benchharness.telemetry.ledger import Ledger, shown
from benchharness.telemetry.received import content
from benchharness.units import quantity_text

_FIELDS = {
    "schema": "which bins these are; the same in every file",
    "device": "128 random bits, drawn on the device for this month alone: two months cannot be joined by it",
    "period": "the calendar month (UTC) that was counted; no day and no time of day is written",
    "hardware": "the kind of device, as the application calls it; how few have it is for the application to weigh",
    "model": "the model, as the application calls it",
    "counts": "by variant, as the application calls it, and by histogram",
}
_ALL_COUNTS = re.compile(r"\[[0-9,]+\]")
_OTHER_LAYOUT = (
    "another program laid this out: it holds the fields and counts of every tally and nothing else, and lines are "
    "explained where they are as the recorder writes them"
)


@dataclass(frozen=True, kw_only=True)
class Piece:
    """A stretch of a file: its bytes as they are, the first one's place, and what they say."""

    at: int
    content: bytes
    says: str

    @property
    def place(self) -> str:
        """Which bytes these are."""
        return f"{self.at}\N{EN DASH}{self.at + len(self.content) - 1}"


def pieces_of(path: Path) -> list[Piece]:
    """All of a tally's file, line by line: joined, the pieces are the file. Raises `UsageError` where it is none."""
    try:
        found = content(path)
        tally = parse(found)
    except NotATally as error:
        raise UsageError(f"{path}: is no tally: {error}") from error
    first, *more = _pieces(found)
    if found != tally.text().encode():
        first = replace(first, says=_OTHER_LAYOUT)
    return [first, *more]


def smallest() -> list[Piece]:
    """The file of a device that counted one session of one variant: every field and histogram there is."""
    tally = Tally("0" * 32, "2026-11", "pixel-8", "chat")
    tally.add("int4", "model_ttft", 123e6)
    tally.add("int4", "session_end", "ok")
    return list(_pieces(tally.text().encode("ascii")))


def bounds_text() -> str:
    """What no file exceeds, in a sentence."""
    return (
        f"A tally has at most {MOST_BYTES:,} bytes, {MOST_VARIANTS} variants, and {MOST_COUNT:,} in a bin. It is "
        "written only where the user opted in, and this program sends nothing: the application does, and whoever "
        "receives it also sees the address that it came from."
    )


def released_pieces(path: Path) -> list[Piece]:
    """Every document that left a fleet, as the ledger keeps it. Raises `UsageError`."""
    found = []
    ledger = Ledger.read(path)
    for entry in ledger.entries:
        left = (json.dumps(entry.answer, sort_keys=True, separators=(",", ":")) + "\n").encode()
        asked = entry.question
        says = (
            f"left on {entry.at}: {asked.period}, {', '.join(asked.hardware)}; {', '.join(asked.histograms)}; "
            f"epsilon {shown(asked.epsilon)}, delta 0"
        )
        found.append(Piece(at=0, content=left, says=says))
    return found


def _pieces(file: bytes) -> Iterator[Piece]:
    at = 0
    for line in file.splitlines(keepends=True):
        yield Piece(at=at, content=line, says=_says(line))
        at += len(line)


def _says(line: bytes) -> str:
    """What a line of a file says, where it is written as this version writes it."""
    key, _, value = line.decode("ascii").strip().rstrip(",").partition(":")
    name = key.strip('"')
    if name in HISTOGRAMS and _ALL_COUNTS.fullmatch(value):
        return _counts_text(name, json.loads(value))
    if value == "{" and name != "counts":
        return "the variant, as the application calls it"
    return _FIELDS.get(name, "")


def _counts_text(name: str, counts: list[int]) -> str:
    histogram = HISTOGRAMS[name]
    total = sum(counts)
    told = f"{histogram.title}: {total:,} counted; one is {histogram.event}"
    if not total:
        return told
    used = [at for at, count in enumerate(counts) if count]
    if histogram.kinds:
        return f"{told}; {', '.join(f'{histogram.kinds[at]} {counts[at]:,}' for at in used)}"
    first, last = used[0], used[-1]
    edges, unit = histogram.edges, histogram.unit
    low = f"above {quantity_text(edges[first - 1], unit)}" if first else "from 0"
    high = f"at most {quantity_text(edges[last], unit)}" if last < len(edges) else "no end"
    return f"{told}; {low}, {high}"
