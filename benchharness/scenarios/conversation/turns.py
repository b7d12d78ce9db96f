"""The rows of a conversation -> its turns, and what they come to in words. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from benchharness.records import CONVERSATION_TURNS, TurnEnd, TurnRow
from benchharness.results.result import MetricResult, Result
from benchharness.units import quantity_text

#: Ends of turns in words.
ENDS = {
    TurnEnd.ANSWERED: "answered",
    TurnEnd.ANSWERED_ANEW: "answered after reading again",
    TurnEnd.CONTEXT_FULL: "context full",
}


def turns_of(result: Result) -> Sequence[TurnRow]:
    """The turns of the last attempt; none where it has none that can be read."""
    for metric in result.metrics:
        if metric.name == CONVERSATION_TURNS.metric and metric.attempts:
            value = metric.attempts[-1]
            if CONVERSATION_TURNS.fits(value.samples, value.row_length):
                return CONVERSATION_TURNS.rows(list(value.samples))
    return ()


def by_turn(result: Result, name: str) -> dict[int, MetricResult]:
    """A metric of turns, by turn."""
    return {
        int(turn): metric
        for metric in result.metrics
        if metric.name == name and isinstance(turn := metric.parameters.get("turn"), int | float)
    }


def sentences(result: Result) -> Iterator[str]:
    """What the turns come to."""
    turns = turns_of(result)
    if not turns:
        return
    first = by_turn(result, "turn_ttft")
    if len(first) > 1:
        begin, end = (first[each].estimate.value for each in (min(first), max(first)))
        if begin is not None and end is not None:
            told = [
                f"{quantity_text(time, 'ns')} in turn {turn}" for time, turn in ((begin, min(first)), (end, max(first)))
            ]
            yield f"TTFT {', '.join(told)} at {max(turn.context for turn in turns):g} tokens of context"
    full = next((turn for turn in turns if turn.end == TurnEnd.CONTEXT_FULL), None)
    anew = [turn for turn in turns if turn.end == TurnEnd.ANSWERED_ANEW]
    if full is not None:
        yield f"the context was full in turn {full.turn + 1:g} of {len(turns)}, after {full.context:g} tokens"
    if anew:
        read = sum(turn.read - turn.new for turn in anew)
        yield f"the context was full in {len(anew)} of {len(turns)} turns, which read {read:g} tokens again"
