"""Numbers that cannot be: what a device reports is checked against itself before it counts as a measurement.

Every rule compares two figures that were taken in different ways, or a figure with a bound that nothing can exceed. An
attempt that breaks one becomes `invalid` with the rule's sentence as its reason.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from benchharness.contract import STAMPED_AT
from benchharness.metrics import METRICS, OF_DEVICE
from benchharness.records import (
    ANSWERS_ALIKE,
    CONVERSATION_TURNS,
    HANDOVERS,
    MEMORY_TIMELINE,
    PROCESS_LIMITS,
    SCORED_CHUNKS,
    SENSOR_READING,
    SUSTAINED_WINDOW,
    TABLES,
    TEMPERED_DIVERGENCE,
    TOKEN_DIVERGENCE,
    Column,
    Table,
    table_of,
)
from benchharness.results.result import Measurement, Parameters

#: Two ways of computing one figure may differ by rounding only.
_ROUNDING = 1e-6
#: The kernel counts resident pages per core and adds them up now and then: readings moments apart differ by this much.
_PAGES_IN_FLIGHT_BYTES = 4 << 20
#: What a device may call a clock.
_LONGEST_NAME = 100
#: What the rates of a course count.
_SESSION_UNITS = ("tokens/s", "inferences/s")


def contradictions(measured: Sequence[Measurement], duration_ns: int, device_memory: Any) -> Iterator[str]:
    """Sentences about what cannot be, the first of which is reason enough. `duration_ns` is the whole attempt's."""
    yield from _each(measured)
    yield from _chunks(measured)
    yield from _tempered(measured)
    yield from _cold_start(measured, duration_ns)
    yield from _tokens(measured, duration_ns)
    yield from _memory(measured, duration_ns, device_memory)
    yield from _at_once(measured, duration_ns)
    for each in measured:
        if _is_of(SUSTAINED_WINDOW, each):
            yield from _session(each, duration_ns)
        elif _is_of(SENSOR_READING, each):
            yield from _sensor(each, duration_ns)
        elif _is_of(PROCESS_LIMITS, each):
            yield from _forward("the moments of limits", each.samples, duration_ns)
        elif _is_of(HANDOVERS, each):
            yield from _handed_over(each, duration_ns)
        elif _is_of(CONVERSATION_TURNS, each):
            yield from _talked(each, duration_ns)
        elif _is_of(ANSWERS_ALIKE, each):
            yield from _answered(each)


def _is_of(table: Table[Any], measurement: Measurement) -> bool:
    whole = bool(measurement.samples) and table.fits(measurement.samples, measurement.row_length)
    return whole and measurement.metric == table.metric


def _session(measurement: Measurement, duration_ns: int) -> Iterator[str]:
    """Windows follow each other within the attempt, and what each of them says of its inferences fits together."""
    if measurement.parameters.get("unit") not in _SESSION_UNITS:
        yield f"a session's unit is {str(measurement.parameters.get('unit'))[:40]!r}"
    last_end = 0.0
    for number, row in enumerate(SUSTAINED_WINDOW.rows(measurement.samples), 1):
        start, end, inferences, busy = row.start, row.end, row.inferences, row.busy
        walls = (row.least_wall, row.p50_wall, row.p90_wall, row.p99_wall, row.most_wall)
        window = f"window {number} of the session"
        if not last_end <= start < end <= duration_ns:
            yield f"{window} is from {start:.0f} to {end:.0f} ns, after one to {last_end:.0f} ns, of {duration_ns} ns"
        if any(later < sooner for sooner, later in itertools.pairwise(walls)):
            yield f"{window}: its percentiles are not in order"
        shortest, longest = inferences * walls[0] * (1 - _ROUNDING), inferences * walls[-1] * (1 + _ROUNDING)
        if not shortest <= busy <= min(longest, end - start):
            yield f"{window}: {inferences:g} inferences took {busy:.0f} ns together, in {end - start:.0f} ns"
        if row.ttft > end - start:
            yield f"{window}: a TTFT of {row.ttft:.0f} ns, longer than the window"
        last_end = end


def _sensor(measurement: Measurement, duration_ns: int) -> Iterator[str]:
    channel = str(measurement.parameters.get("channel"))[:60]
    moments = SENSOR_READING.by_name(measurement.samples)["moment"]
    yield from _forward(f"the readings of {channel!r}", moments, duration_ns)


def _handed_over(measurement: Measurement, duration_ns: int) -> Iterator[str]:
    """No part of a request lasts longer than all of it, and all requests together no longer than the attempt."""
    rows = HANDOVERS.rows(measurement.samples)
    for number, row in enumerate(rows, 1):
        if max(row.first_token, row.silence) > row.whole:
            yield f"request {number}: a first token or a silence of more than the {row.whole:.0f} ns that it took"
        if row.wasted > row.sent + row.received:
            yield f"request {number}: {row.wasted:.0f} bytes wasted of {row.sent + row.received:.0f}"
    if sum(row.whole for row in rows) > duration_ns:
        yield f"requests that took longer than the attempt, which took {duration_ns} ns"


def _talked(measurement: Measurement, duration_ns: int) -> Iterator[str]:
    """Turns are counted one by one, and their first tokens came within the attempt."""
    rows = CONVERSATION_TURNS.rows(measurement.samples)
    if [row.turn for row in rows] != list(range(len(rows))):
        yield "the turns of the conversation are not in order"
    if sum(row.ttft for row in rows) > duration_ns:
        yield f"first tokens of turns that took longer than the attempt, which took {duration_ns} ns"


def _answered(measurement: Measurement) -> Iterator[str]:
    """The same text is the same when normalised, and shares no more characters than there are."""
    for number, row in enumerate(ANSWERS_ALIKE.rows(measurement.samples), 1):
        if row.exact > row.normalised or row.shared > row.characters or (row.exact and row.shared < row.characters):
            yield f"answer {number} is called the same, and {row.shared:g} of {row.characters:g} characters are"


def _at_once(measured: Sequence[Measurement], duration_ns: int) -> Iterator[str]:
    """A round of requests lasts at least until the first token of each of them, and all rounds within the attempt."""
    rounds: dict[Any, list[float]] = {}
    for each in (each for each in measured if each.metric == "throughput"):
        at_once, count = (each.parameters.get(name) for name in ("at_once", "output_tokens"))
        if isinstance(at_once, int) and isinstance(count, int) and min(each.samples, default=0) > 0:
            rounds[at_once] = [at_once * count * 1e9 / rate for rate in each.samples]
    if sum(map(sum, rounds.values())) > duration_ns:
        yield f"rounds of requests that took longer than the attempt, which took {duration_ns} ns"
    for each in (each for each in measured if each.metric == "concurrent_ttft"):
        at_once = each.parameters.get("at_once")
        lasted = rounds.get(at_once, [])
        if len(lasted) != len(each.samples):
            yield f"{at_once!r} requests at once have first tokens of {len(each.samples)} rounds, of {len(lasted)}"
        elif any(first > whole * (1 + _ROUNDING) for first, whole in zip(each.samples, lasted, strict=True)):
            yield f"{at_once!r} requests at once: a first token came after all of them were answered"
    for each in (each for each in measured if each.metric == "full_throughput"):
        most = max(rounds, default=0)
        wholes = (other.samples for other in measured if other.metric == "throughput")
        if each.parameters.get("at_once") != most or list(each.samples) not in map(list, wholes):
            yield f"a throughput at the most requests at once that is none of {most} requests"


def _forward(name: str, moments: Sequence[float], duration_ns: int) -> Iterator[str]:
    if any(later <= sooner for sooner, later in itertools.pairwise(moments)):
        yield f"{name} do not go forward in time"
    if moments[-1] > duration_ns:
        yield f"{name} go on after the attempt's end"


def _each(measured: Sequence[Measurement]) -> Iterator[str]:
    told = set()
    for measurement in measured:
        if measurement.metric not in METRICS:
            yield f"the device reports {measurement.metric!r}, which is no metric of this version"
        elif measurement.metric in TABLES:
            yield from _raw(measurement)
        elif METRICS[measurement.metric].unit in OF_DEVICE and (
            measurement.value <= 0 or min(measurement.samples, default=1) <= 0
        ):
            yield f"{measurement.metric} is not positive"
        identity = (measurement.metric, json.dumps(dict(measurement.parameters), sort_keys=True))
        if identity in told:
            yield f"{measurement.metric} is reported twice with the same parameters"
        told.add(identity)
        if measurement.row_length and len(measurement.samples) % measurement.row_length:
            yield f"{measurement.metric}: {len(measurement.samples)} samples are no rows of {measurement.row_length}"


def _raw(measurement: Measurement) -> Iterator[str]:
    """Rows of a raw table as `benchharness.records` describes it: whole, of the number stated, with what can be."""
    table = table_of(measurement.metric, measurement.row_length)
    if not measurement.samples and table.may_be_empty:
        return
    if not measurement.samples or not table.fits(measurement.samples, measurement.row_length):
        yield f"{measurement.metric} has {len(measurement.samples)} numbers in rows of {measurement.row_length}"
        return
    rows = table.count(measurement.samples)
    if table is TOKEN_DIVERGENCE and not _chunks_fit(measurement.parameters, rows):
        yield f"{measurement.metric} has {rows} rows, which are not its scored positions times its chunks"
    for name, numbers in table.by_name(measurement.samples).items():
        column = table.columns[name]
        wrong = _out_of(column, numbers)
        if wrong:
            yield f"{measurement.metric}: {column.told or name} {wrong}"


def _out_of(column: Column, numbers: Sequence[float]) -> str:
    """What numbers are that cannot stand in a column; empty where they can."""
    low, high = min(numbers), max(numbers)
    # A sum is finite where all its terms are; where it is not, they are looked at one by one.
    if not math.isfinite(sum(numbers)) and not all(map(math.isfinite, numbers)):
        return "has numbers that are not finite"
    if low < column.low or high > column.high:
        return f"is {low:g} to {high:g}"
    if column.whole and any(number % 1 for number in numbers):
        return "has numbers that are no whole ones"
    if column.codes and not set(numbers) <= set(column.codes):
        return f"has codes beside {', '.join(f'{code:d}' for code in column.codes)}"
    return ""


def _tempered(measured: Sequence[Measurement]) -> Iterator[str]:
    """Divergences at a temperature are of the same tokens as those without."""
    tokens, warmed = (_only(measured, table.metric) for table in (TOKEN_DIVERGENCE, TEMPERED_DIVERGENCE))
    if warmed is None:
        return
    told, rows = len(warmed.samples), 0 if tokens is None else TOKEN_DIVERGENCE.count(tokens.samples)
    if told != rows:
        yield f"tempered_divergence tells of {told} tokens, and token_divergence of {rows}"


def _chunks_fit(parameters: Parameters, rows: int) -> bool:
    """Whether chunks that are all scored alike make so many rows; of others `scored_chunks` tells."""
    scored, chunks = parameters.get("scored"), parameters.get("chunks")
    if scored is None:
        return True
    return isinstance(scored, int) and isinstance(chunks, int) and scored > 0 and scored * chunks == rows


def _chunks(measured: Sequence[Measurement]) -> Iterator[str]:
    """Which rows of tokens belong to which chunk: told by the parameters, by `scored_chunks`, or by both."""
    tokens, chunks = (_only(measured, table.metric) for table in (TOKEN_DIVERGENCE, SCORED_CHUNKS))
    if tokens is None:
        return
    rows = TOKEN_DIVERGENCE.count(tokens.samples)
    if chunks is None:
        if "scored" not in tokens.parameters:
            yield "token_divergence has rows of chunks that are not told apart"
        return
    scored = sum(SCORED_CHUNKS.by_name(chunks.samples)["scored"])
    if scored != rows or SCORED_CHUNKS.count(chunks.samples) != tokens.parameters.get("chunks"):
        yield f"scored_chunks tells of {scored:.0f} tokens, and there are rows of {rows}"


def _cold_start(measured: Sequence[Measurement], duration_ns: int) -> Iterator[str]:
    whole = [each.value for each in measured if each.metric in ("cold_start_ttft", "cold_start_inference")]
    phases = [each.value for each in measured if each.metric == "cold_start_phase"]
    if whole and phases and not math.isclose(sum(phases), whole[0], rel_tol=_ROUNDING):
        yield f"the phases of the cold start add up to {sum(phases):.0f} ns, and the whole is {whole[0]:.0f} ns"
    if whole and whole[0] > duration_ns:
        yield f"the cold start of {whole[0]:.0f} ns is longer than the attempt of {duration_ns} ns"


def _tokens(measured: Sequence[Measurement], duration_ns: int) -> Iterator[str]:
    gaps, rates, tpots = (_only(measured, name) for name in ("itl", "decode_rate", "tpot"))
    if gaps is not None:
        expected = gaps.parameters.get("output_tokens")
        if isinstance(expected, int) and gaps.row_length != expected - 1:
            yield f"an answer of {expected} tokens has {expected - 1} gaps, and {gaps.row_length} are reported"
        if sum(gaps.samples) > duration_ns:
            yield f"the gaps between tokens add up to more than the attempt's {duration_ns} ns"
    if rates is not None and tpots is not None:
        pairs = zip(rates.samples, tpots.samples, strict=False)
        if any(not math.isclose(rate * tpot, 1e9, rel_tol=_ROUNDING) for rate, tpot in pairs):
            yield "decode rate and TPOT of the same answers contradict each other"
    for latency in (_only(measured, name) for name in ("model_ttft", "request_ttft", "steady_inference", "chunk_gap")):
        if latency is not None and sum(latency.samples) > duration_ns:
            yield f"{latency.metric}'s samples add up to more than the attempt's {duration_ns} ns"


def of_stamps(measured: Sequence[Measurement], effective: Mapping[str, Any]) -> Iterator[str]:
    """Sentences about a runtime's own stamps that cannot be; of attempts that the harness timed there are none."""
    gaps, chunks = _only(measured, "itl"), _only(measured, "chunk_gap")
    if "timed_by" not in effective:
        if chunks is not None:
            yield "gaps between chunks are reported, and not whose clock stamped them"
        return
    if not isinstance(effective["timed_by"], str) or not 0 < len(effective["timed_by"]) <= _LONGEST_NAME:
        yield f"tokens are stamped by {str(effective['timed_by'])[:40]!r}"
    if effective.get("stamped_at") not in STAMPED_AT:
        yield f"tokens are stamped at {str(effective.get('stamped_at'))[:40]!r}"
    for name in ("clock_resolution_ns", "tokens_per_stamp"):
        value = effective.get(name)
        if type(value) is not int or value < 1:
            yield f"{name} is {str(value)[:40]!r}"
            return
    if gaps is not None and effective["tokens_per_stamp"] > 1:
        yield f"gaps between single tokens are reported, and a stamp covers up to {effective['tokens_per_stamp']}"


def _memory(measured: Sequence[Measurement], duration_ns: int, device_memory: Any) -> Iterator[str]:
    whole = _only(measured, "peak_memory")
    if whole is None:
        return
    if isinstance(device_memory, int) and whole.value > device_memory:
        yield f"a peak of {whole.value:.0f} bytes on a device that has {device_memory}"
    for each in measured:
        resident = each.metric == "settled_memory" and each.parameters.get("kind") == "rss"
        if (resident or each.metric == "phase_peak_memory") and each.value > whole.value + _PAGES_IN_FLIGHT_BYTES:
            phase = each.parameters.get("phase")
            yield f"phase {phase} held {each.value:.0f} bytes, more than the whole attempt's peak of {whole.value:.0f}"
    timeline = _only(measured, MEMORY_TIMELINE.metric)
    if timeline is not None:
        moments = MEMORY_TIMELINE.by_name(timeline.samples)["moment"]
        if any(later <= sooner for sooner, later in itertools.pairwise(moments)):
            yield "the memory timeline does not go forward in time"
        if moments and moments[-1] > duration_ns:
            yield "the memory timeline goes on after the attempt's end"


def _only(measured: Sequence[Measurement], metric: str) -> Measurement | None:
    return next((each for each in measured if each.metric == metric), None)
