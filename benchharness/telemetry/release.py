"""What leaves the aggregator: votes of one month with noise, paid for in its ledger."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path
from typing import Any

from benchharness.device.tally import Tally
from benchharness.errors import UsageError
from benchharness.telemetry.ledger import Entry, Ledger, Question, ask, shown
from benchharness.telemetry.noise import Noisy, noisy
from benchharness.telemetry.votes import Counted, Noise, Place, counted

#: Counts, by how much a device moves them at most, and epsilon: the counts with noise.
Adds = Callable[[Sequence[int], int, Fraction], Noisy]


@dataclass(frozen=True, kw_only=True)
class Released:
    """What may be told to anybody."""

    counted: Counted
    entry: Entry
    anew: bool  # epsilon was spent on it now; else it is what was answered before
    ledger: Ledger  # as it stands now


def release(
    path: Path,
    tallies: Sequence[Tally],
    question: Question,
    *,
    again: bool = False,
    adds: Adds = noisy,
    now: datetime | None = None,
) -> Released:
    """Answers a question about tallies, from the ledger where it was answered before. Raises `UsageError`.

    A month that is not over is refused: its files still change, and an answer to it is final. Which places have a count
    is declared by the ledger and asked by the question, never found in the data: that there is a count at all would
    tell of a device.
    """
    if question.period >= (now or datetime.now(UTC)).strftime("%Y-%m"):
        raise UsageError(f"period {question.period} is not over; a release is of a month whose files change no more")
    entry, anew = ask(path, question, lambda ledger: _answer(ledger, tallies, question, adds), again=again)
    try:
        told = Counted.from_json(entry.answer)
        if told.noise is None:
            raise ValueError("no noise")
    except (KeyError, TypeError, ValueError) as error:
        raise UsageError(f"{path}: the answer of {entry.at} is none that this version gives") from error
    return Released(counted=told, entry=entry, anew=anew, ledger=Ledger.read(path))


def _answer(ledger: Ledger, tallies: Sequence[Tally], question: Question, adds: Adds) -> Mapping[str, Any]:
    places: list[Place] = [
        (hardware, variant, histogram)
        for hardware in question.hardware
        for variant in ledger.variants
        for histogram in question.histograms
    ]
    ours = [tally for tally in tallies if (tally.period, tally.model) == (question.period, ledger.model)]
    true = counted(ours, places)
    # A device has one vote in each histogram, whatever hardware target, variant and bin it is for.
    flat = adds([count for place in places for count in true[place]], len(question.histograms), question.epsilon)
    rest = iter(flat.counts)
    told = {place: [next(rest) for _ in true[place]] for place in places}
    noise = Noise(scale=flat.scale, epsilon=shown(question.epsilon), by=flat.by)
    return Counted(period=question.period, model=ledger.model, counts=told, noise=noise).to_json()
