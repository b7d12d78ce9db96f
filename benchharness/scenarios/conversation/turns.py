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
            ends = ((begin, min(first)), (end, max(first)))
            told = ", ".join(f"{quantity_text(time, 'ns')} in turn {turn}" for time, turn in ends)
            context = next((turn.context for turn in turns if turn.turn + 1 == max(first)), 0)
            yield f"TTFT {told} at {context:g} tokens of context"
    full = next((turn for turn in turns if turn.end == TurnEnd.CONTEXT_FULL), None)
    if full is not None:
        yield f"the context was full in turn {full.turn + 1:g} of {len(turns)}, after {full.context:g} tokens"
    dropped = [turn for turn in turns if turn.end == TurnEnd.ANSWERED_ANEW]
    if dropped:
        yield f"the context was full in {len(dropped)} of {len(turns)} turns, which left the oldest out"
    again = sum(max(0.0, turn.read - turn.new - 1) for turn in turns)
    if again:
        yield f"{again:g} tokens were read again that could not stay in the cache"
