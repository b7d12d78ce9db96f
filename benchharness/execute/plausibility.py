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
from benchharness.results.result import Measurement, Parameters

#: Two ways of computing one figure may differ by rounding only.
_ROUNDING = 1e-6
#: The kernel counts resident pages per core and adds them up now and then: readings moments apart differ by this much.
_PAGES_IN_FLIGHT_BYTES = 4 << 20


_ANY = math.inf
#: Thirty years.
_LONGEST_NS = 1e18
#: What a device may call a clock.
_LONGEST_NAME = 100
#: Sums of counters of 64 bits.
_LARGEST_READING = 1e24
#: What the rates of a course count.
_SESSION_UNITS = ("tokens/s", "inferences/s")
#: A sum of rounded terms of which each is tiny may end a little below zero.
_ROUNDED = -1e-9
_DECISIONS = (("label", -1, _ANY), ("reference's class", 0, _ANY), ("variant's class", 0, _ANY))
#: Metrics in rows: how wide a row is, and what its columns may hold.
ROWS: Mapping[str, tuple[int, Sequence[tuple[str, float, float]]]] = {
    "token_divergence": (
        4,
        (
            ("-ln p of the reference", _ROUNDED, _ANY),
            ("-ln p of the variant", _ROUNDED, _ANY),
            ("KLD", _ROUNDED, _ANY),
            ("same top token", 0, 1),
        ),
    ),
    "scored_chunks": (3, (("document", 0, _ANY), ("first scored position", 1, _ANY), ("scored tokens", 1, _ANY))),
    "class_decisions": (3, _DECISIONS),
    "class_divergence": (
        3,
        (("KLD", _ROUNDED, _ANY), ("total variation", 0, _ANY), ("classes pooled", 0, _ANY)),
    ),
    "tensor_error": (
        4,
        (
            ("signal power", 0, _ANY),
            ("noise power", 0, _ANY),
            ("cosine", -1 + _ROUNDED, 1 - _ROUNDED),
            ("largest error", 0, _ANY),
        ),
    ),
    "sustained_window": (
        13,
        (
            ("start", 0, _LONGEST_NS),
            ("end", 0, _LONGEST_NS),
            ("inferences", 1, _LONGEST_NS),
            ("busy", 1, _LONGEST_NS),
            ("process CPU", 0, _LONGEST_NS),
            ("least wall time", 0, _LONGEST_NS),
            ("p50 wall time", 0, _LONGEST_NS),
            ("p90 wall time", 0, _LONGEST_NS),
            ("p99 wall time", 0, _LONGEST_NS),
            ("longest wall time", 0, _LONGEST_NS),
            ("least CPU time", 0, _LONGEST_NS),
            ("requests", 0, _LONGEST_NS),
            ("TTFT", 0, _LONGEST_NS),
        ),
    ),
    "constrained_trials": (
        6,
        (
            ("outcome", 0, 5),
            ("time", 1, _LONGEST_NS),
            ("time of an answer", 0, _LONGEST_NS),
            ("page-ins", 0, _LONGEST_NS),
            ("peak", 0, _LARGEST_READING),
            ("kills", 0, _LONGEST_NS),
        ),
    ),
    "fallback_tries": (3, (("place in the chain", 0, 1000), ("outcome", 0, 5), ("time", 1, _LONGEST_NS))),
    "sensor_reading": (2, (("moment", 0, _LONGEST_NS), ("reading", -_LARGEST_READING, _LARGEST_READING))),
}

#: Rows of earlier versions, by metric and width.
EARLIER: Mapping[tuple[str, int], Sequence[tuple[str, float, float]]] = {
    ("class_decisions", 4): (*_DECISIONS, ("KLD", _ROUNDED, _ANY)),
}

#: A constraint that could not be set has no trials.
_MAY_BE_EMPTY = ("constrained_trials", "fallback_tries")


def contradictions(measured: Sequence[Measurement], duration_ns: int, device_memory: Any) -> Iterator[str]:
    """Sentences about what cannot be, the first of which is reason enough. `duration_ns` is the whole attempt's."""
    yield from _each(measured)
    yield from _chunks(measured)
    yield from _cold_start(measured, duration_ns)
    yield from _tokens(measured, duration_ns)
    yield from _memory(measured, duration_ns, device_memory)
    for each in measured:
        if each.metric == "sustained_window" and _is_table(each):
            yield from _session(each, duration_ns)
        elif each.metric == "sensor_reading" and _is_table(each):
            yield from _sensor(each, duration_ns)


def _is_table(measurement: Measurement) -> bool:
    width, _ = ROWS[measurement.metric]
    return bool(measurement.samples) and measurement.row_length == width and len(measurement.samples) % width == 0


def _session(measurement: Measurement, duration_ns: int) -> Iterator[str]:
    """Windows follow each other within the attempt, and what each of them says of its inferences fits together."""
    width, _ = ROWS["sustained_window"]
    if measurement.parameters.get("unit") not in _SESSION_UNITS:
        yield f"a session's unit is {str(measurement.parameters.get('unit'))[:40]!r}"
    last_end = 0.0
    for at in range(0, len(measurement.samples), width):
        start, end, inferences, busy, _, *walls, _, requests, first_token = measurement.samples[at : at + width]
        window = f"window {at // width + 1} of the session"
        if not last_end <= start < end <= duration_ns:
            yield f"{window} is from {start:.0f} to {end:.0f} ns, after one to {last_end:.0f} ns, of {duration_ns} ns"
        if inferences % 1 or requests % 1:
            yield f"{window} has {inferences:g} inferences in {requests:g} requests, which are no whole numbers"
        if any(later < sooner for sooner, later in itertools.pairwise(walls)):
            yield f"{window}: its percentiles are not in order"
        shortest, longest = inferences * walls[0] * (1 - _ROUNDING), inferences * walls[-1] * (1 + _ROUNDING)
        if not shortest <= busy <= min(longest, end - start):
            yield f"{window}: {inferences:g} inferences took {busy:.0f} ns together, in {end - start:.0f} ns"
        if first_token > end - start:
            yield f"{window}: a TTFT of {first_token:.0f} ns, longer than the window"
        last_end = end


def _sensor(measurement: Measurement, duration_ns: int) -> Iterator[str]:
    channel, moments = str(measurement.parameters.get("channel"))[:60], measurement.samples[::2]
    if any(later <= sooner for sooner, later in itertools.pairwise(moments)):
        yield f"the readings of {channel!r} do not go forward in time"
    if moments[-1] > duration_ns:
        yield f"the readings of {channel!r} go on after the attempt's end"


def _each(measured: Sequence[Measurement]) -> Iterator[str]:
    told = set()
    for measurement in measured:
        if measurement.metric not in METRICS:
            yield f"the device reports {measurement.metric!r}, which is no metric of this version"
        elif METRICS[measurement.metric].unit not in OF_DEVICE:
            yield from _quality(measurement)
        elif measurement.value <= 0 or min(measurement.samples, default=1) <= 0:
            yield f"{measurement.metric} is not positive"
        identity = (measurement.metric, json.dumps(dict(measurement.parameters), sort_keys=True))
        if identity in told:
            yield f"{measurement.metric} is reported twice with the same parameters"
        told.add(identity)
        if measurement.row_length and len(measurement.samples) % measurement.row_length:
            yield f"{measurement.metric}: {len(measurement.samples)} samples are no rows of {measurement.row_length}"


def _quality(measurement: Measurement) -> Iterator[str]:
    """Rows that `benchharness.scenarios.quality` can read: whole, of the number stated, with columns that can be."""
    if measurement.metric not in ROWS:
        return
    width, columns = ROWS[measurement.metric]
    earlier = EARLIER.get((measurement.metric, measurement.row_length))
    if earlier is not None:
        width, columns = measurement.row_length, earlier
    rows = len(measurement.samples) // width
    if not measurement.samples and measurement.metric in _MAY_BE_EMPTY:
        return
    if not rows or measurement.row_length != width or len(measurement.samples) % width:
        yield f"{measurement.metric} has {len(measurement.samples)} numbers in rows of {measurement.row_length}"
        return
    if measurement.metric == "token_divergence" and not _chunks_fit(measurement.parameters, rows):
        yield f"{measurement.metric} has {rows} rows, which are not its scored positions times its chunks"
    for column, (name, low, high) in enumerate(columns):
        found = measurement.samples[column::width]
        if min(found) < low or max(found) > high:
            yield f"{measurement.metric}: {name} is {min(found):g} to {max(found):g}"


def _chunks_fit(parameters: Parameters, rows: int) -> bool:
    """Whether chunks that are all scored alike make so many rows; of others `scored_chunks` tells."""
    scored, chunks = parameters.get("scored"), parameters.get("chunks")
    if scored is None:
        return True
    return isinstance(scored, int) and isinstance(chunks, int) and scored > 0 and scored * chunks == rows


def _chunks(measured: Sequence[Measurement]) -> Iterator[str]:
    """Which rows of tokens belong to which chunk: told by the parameters, by `scored_chunks`, or by both."""
    tokens, chunks = (_only(measured, name) for name in ("token_divergence", "scored_chunks"))
    if tokens is None:
        return
    rows = len(tokens.samples) // ROWS[tokens.metric][0]
    if chunks is None:
        if "scored" not in tokens.parameters:
            yield "token_divergence has rows of chunks that are not told apart"
        return
    if any(number % 1 for number in chunks.samples):
        yield "scored_chunks has numbers that are no whole ones"
    elif sum(chunks.samples[2::3]) != rows or len(chunks.samples) // 3 != tokens.parameters.get("chunks"):
        yield f"scored_chunks tells of {sum(chunks.samples[2::3]):.0f} tokens, and there are rows of {rows}"


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
    timeline = _only(measured, "memory_timeline")
    if timeline is not None:
        moments = timeline.samples[::2]
        if any(later <= sooner for sooner, later in itertools.pairwise(moments)):
            yield "the memory timeline does not go forward in time"
        if moments and moments[-1] > duration_ns:
            yield "the memory timeline goes on after the attempt's end"


def _only(measured: Sequence[Measurement], metric: str) -> Measurement | None:
    return next((each for each in measured if each.metric == metric), None)
