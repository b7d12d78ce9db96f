"""Nonsense is caught, and what a real attempt reports is not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from benchharness.results.plausibility import contradictions, of_stamps
from benchharness.results.result import Measurement
from tests.unit.made_up import measured

DURATION_NS = 2_000_000_000
MIB = 2.0**20


def sound() -> list[Measurement]:
    """What an attempt of two answers of five tokens reports."""
    gaps = [1e7, 1.1e7, 0.9e7, 1e7]
    decode = {"output_tokens": 5, "context_depth": 8}
    span = sum(gaps)
    return [
        measured("cold_start_ttft", 4e8),
        *(measured("cold_start_phase", 1e8, parameters={"phase": phase}) for phase in ("start", "import", "load", "x")),
        measured("itl", 1e7, gaps * 2, parameters=decode, row_length=4),
        measured("tpot", span / 4, [span / 4] * 2, parameters=decode),
        measured("decode_rate", 4e9 / span, [4e9 / span] * 2, parameters=decode),
        measured("model_ttft", 5e7, [5e7, 6e7]),
        measured("peak_memory", 200 * MIB),
        measured("phase_peak_memory", 200 * MIB, parameters={"phase": "load"}),
        measured("settled_memory", 150 * MIB, parameters={"phase": "load", "kind": "rss"}),
        measured("memory_timeline", 190 * MIB, [1e8, 50 * MIB, 2e8, 190 * MIB], row_length=2),
    ]


STAMPS: dict[str, Any] = {
    "timed_by": "the engine",
    "stamped_at": "device",
    "clock_resolution_ns": 1000,
    "tokens_per_stamp": 1,
}


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        ({}, ""),
        ({"timed_by": ""}, "tokens are stamped by ''"),
        ({"timed_by": 3}, "tokens are stamped by '3'"),
        ({"timed_by": "x" * 101}, f"tokens are stamped by '{'x' * 40}'"),
        ({"stamped_at": "somewhere"}, "tokens are stamped at 'somewhere'"),
        ({"clock_resolution_ns": 0}, "clock_resolution_ns is '0'"),
        ({"clock_resolution_ns": 0.5}, "clock_resolution_ns is '0.5'"),
        ({"tokens_per_stamp": None}, "tokens_per_stamp is 'None'"),
        ({"tokens_per_stamp": 4}, "gaps between single tokens are reported, and a stamp covers up to 4"),
    ],
)
def test_what_is_told_of_a_runtimes_own_stamps(facts: dict[str, Any], reason: str) -> None:
    assert next(of_stamps(sound(), {**STAMPS, **facts}), "") == reason


def test_gaps_between_chunks_need_a_clock_of_the_runtimes_own() -> None:
    chunks = [measured("chunk_gap", 1e7, [1e7, 2e7])]
    assert list(of_stamps(chunks, {**STAMPS, "tokens_per_stamp": 4})) == []
    assert list(of_stamps(chunks, {})) == ["gaps between chunks are reported, and not whose clock stamped them"]
    assert list(of_stamps(sound(), {})) == []
    long = [measured("chunk_gap", 1e9, [1e9, 1.1e9])]
    assert said(long) == [f"chunk_gap's samples add up to more than the attempt's {DURATION_NS} ns"]


def said(measurements: list[Measurement], duration_ns: int = DURATION_NS) -> list[str]:
    return list(contradictions(measurements, duration_ns, 2**34))


def changed(metric: str, /, **changes: Any) -> list[Measurement]:
    """The sound attempt with its first measurement of a metric changed."""
    found, done = [], False
    for each in sound():
        mine = each.metric == metric and not done
        done = done or mine
        found.append(replace(each, **changes) if mine else each)
    assert done
    return found


def test_a_sound_attempt_raises_no_doubt() -> None:
    assert said(sound()) == []


@pytest.mark.parametrize(
    ("measurements", "sentence"),
    [
        (changed("model_ttft", metric="speed"), "which is no metric of this version"),
        (changed("model_ttft", value=0.0), "model_ttft is not positive"),
        (changed("decode_rate", value=-5.0), "decode_rate is not positive"),
        (changed("model_ttft", samples=[1.0, -1.0]), "model_ttft is not positive"),
        ([*sound(), measured("model_ttft", 1.0)], "reported twice"),
        (changed("itl", samples=[1e7] * 7), "7 samples are no rows of 4"),
        (changed("cold_start_phase", value=2e8), "add up to 500000000 ns, and the whole is 400000000 ns"),
        (changed("itl", samples=[1e7] * 15, row_length=5), "has 4 gaps, and 5 are reported"),
        (changed("itl", samples=[1e9] * 8), "gaps between tokens add up to more"),
        (changed("decode_rate", samples=[1684.0, 52.0]), "contradict each other"),
        (changed("model_ttft", samples=[1.5e9, 1.5e9]), "model_ttft's samples add up to more"),
        (changed("peak_memory", value=2.0**35), "on a device that has 17179869184"),
        (changed("settled_memory", value=300 * MIB), "more than the whole attempt's peak"),
        (changed("phase_peak_memory", value=300 * MIB), "more than the whole attempt's peak"),
        (changed("memory_timeline", samples=[2e8, MIB, 1e8, MIB]), "does not go forward"),
        (changed("memory_timeline", samples=[1e8, MIB, 3e9, MIB]), "goes on after the attempt's end"),
    ],
)
def test_nonsense_is_caught_with_a_sentence(measurements: list[Measurement], sentence: str) -> None:
    assert any(sentence in each for each in said(measurements)), said(measurements)


def test_a_cold_start_longer_than_the_attempt_is_caught() -> None:
    assert any("is longer than the attempt" in each for each in said(sound(), duration_ns=300_000_000))


TWO_CHUNKS = [0.0, 4.0, 2.0, 1.0, 3.0, 1.0]  # document, first scored position, scored tokens


def scored(told_apart: list[float] | None = None, *, rows: int = 3, **parameters: Any) -> list[Measurement]:
    """Rows of tokens, and which chunks they are of."""
    told = {"chunks": 2, **parameters}
    tokens = measured("token_divergence", 0.1, [1.0, 1.1, 0.1, 1.0] * rows, parameters=told, row_length=4)
    return [tokens] if told_apart is None else [tokens, measured("scored_chunks", 3.0, told_apart, row_length=3)]


def test_rows_of_tokens_that_are_told_apart_raise_no_doubt() -> None:
    assert said(scored(TWO_CHUNKS)) == []
    assert said(scored(rows=4, scored=2)) == []  # as all were stored once
    assert said(scored([0.0, 2.0, 2.0] * 2, rows=4, scored=2)) == []


@pytest.mark.parametrize(
    ("measurements", "sentence"),
    [
        (scored(), "chunks that are not told apart"),
        (scored(TWO_CHUNKS, rows=4), "tells of 3 tokens, and there are rows of 4"),
        (scored(TWO_CHUNKS, chunks=3), "tells of 3 tokens"),
        (scored([0.0, 4.0, 1.5, 1.0, 3.0, 1.5]), "no whole ones"),
        (scored([0.0, 4.0, 3.0, 1.0, 3.0, 0.0]), "scored tokens is 0 to 3"),
        (scored([-1.0, 4.0, 2.0, 1.0, 3.0, 1.0]), "document is -1"),
        (scored(TWO_CHUNKS[:5]), "5 numbers in rows of 3"),
    ],
)
def test_rows_of_tokens_that_do_not_add_up_are_caught(measurements: list[Measurement], sentence: str) -> None:
    assert any(sentence in each for each in said(measurements)), said(measurements)
