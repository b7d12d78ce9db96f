"""A device's words are not trusted: what cannot be becomes an `invalid` attempt, and never an exception."""

from __future__ import annotations

import json
import math
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchharness.device.line import protocol
from benchharness.errors import ProtocolError
from benchharness.execute.received import attempt_from
from benchharness.results.export import to_json
from benchharness.results.result import Attempt, OutcomeKind
from benchharness.results.store import Store
from tests.unit.made_up import job

FACTS = {"device": "4f2d9c01ab3e", "os": "Linux 6.1"}
STARTED_NS = 1_772_600_767_000_000_000
ID = "0195a3c2-7b1e-7c44-9d0f-3f6f2f5e8a11"


def measurement(metric: str, value: Any, **changes: Any) -> dict[str, Any]:
    return {"metric": metric, "parameters": {}, "value": value, "samples": [], "row_length": 0, **changes}


def finished(*measurements: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {
        "type": "finished",
        "id": ID,
        "job": job().key,
        "round": 2,
        "outcome": {"kind": "ok", "reason": "", "evidence": ""},
        "task": "causal-lm",
        "measurements": list(measurements),
        "effective": {"threads": 2},
        "conditions": {"load_average": 0.1},
        "started_unix_ns": STARTED_NS,
        "duration_ns": 2_000_000_000,
        **changes,
    }


def taken_in(message: dict[str, Any], *, offset_ns: int = 0) -> Attempt:
    return attempt_from(message, device=FACTS, host="bench", clock_offset_ns=offset_ns)


def cold_start(whole: float, *phases: float) -> list[dict[str, Any]]:
    parts = [measurement("cold_start_phase", value, parameters={"phase": str(i)}) for i, value in enumerate(phases)]
    return [measurement("cold_start_ttft", whole), *parts]


def test_a_good_message_becomes_an_attempt() -> None:
    attempt = taken_in(finished(measurement("itl", 5e6, samples=[4e6, 5e6, 6e6], row_length=3)))

    assert (attempt.id, attempt.job, attempt.round) == (ID, job().key, 2)
    assert (attempt.device, attempt.host, attempt.duration_ns) == ("4f2d9c01ab3e", "bench", 2_000_000_000)
    assert attempt.outcome.ok
    (taken,) = attempt.measurements
    assert (taken.metric, taken.value, taken.samples, taken.row_length) == ("itl", 5e6, [4e6, 5e6, 6e6], 3)
    assert attempt.effective.to_json() == {"threads": 2, "task": "causal-lm"}
    assert attempt.conditions.to_json() == {"os": "Linux 6.1", "load_average": 0.1}


@pytest.mark.parametrize("skew_s", [0, 3600, -3600])
def test_the_devices_clock_is_set_right(skew_s: int) -> None:
    message = finished(started_unix_ns=STARTED_NS + skew_s * 10**9)
    attempt = taken_in(message, offset_ns=skew_s * 10**9)
    assert attempt.started == datetime.fromtimestamp(STARTED_NS / 1e9, UTC)


def test_a_devices_failure_keeps_its_evidence() -> None:
    attempt = taken_in(finished(outcome={"kind": "crashed", "reason": "SIGSEGV", "evidence": "last words"}))
    assert attempt.outcome.kind is OutcomeKind.CRASHED
    assert (attempt.outcome.reason, attempt.outcome.evidence) == ("SIGSEGV", "last words")


def test_keys_that_a_later_device_adds_are_ignored() -> None:
    assert taken_in(finished(measurement("itl", 1e6, colour="blue"), mood="fine")).outcome.ok


@pytest.mark.parametrize(
    "changes",
    [
        {"outcome": {"kind": "splendid"}},
        {"outcome": "ok"},
        {"round": -1},
        {"round": "two"},
        {"duration_ns": -1},
        {"duration_ns": 1.5},
        {"started_unix_ns": None},
        {"started_unix_ns": 10**40},
        {"measurements": {}},
        {"measurements": [{}]},
        {"measurements": [measurement("itl", math.nan)]},
        {"measurements": [measurement("itl", math.inf)]},
        {"measurements": [measurement("itl", "fast")]},
        {"measurements": [measurement("itl", "5")]},
        {"measurements": [measurement("itl", True)]},
        {"measurements": [measurement("itl", 1.0, samples=[1.0, math.nan])]},
        {"measurements": [measurement("itl", 1.0, parameters={"depth": [1]})]},
        {"measurements": [measurement("itl", 1.0, parameters={"depth": math.nan})]},
        {"measurements": [measurement("itl", 1.0, row_length=-1)]},
        {"effective": {"threads": math.nan}},
        {"conditions": {"load_average": math.inf}},
        {"effective": []},
        {"conditions": None},
        {"id": 7},
    ],
    ids=lambda changes: str(changes)[:60].encode("ascii", "backslashreplace").decode(),
)
def test_what_breaks_the_protocol_is_invalid_with_evidence(changes: dict[str, Any]) -> None:
    attempt = taken_in(finished(**changes))
    assert attempt.outcome.kind is OutcomeKind.INVALID
    assert attempt.outcome.reason == "the device's answer breaks the protocol"
    assert attempt.outcome.evidence
    assert attempt.measurements == ()


def test_an_invalid_attempt_still_belongs_to_its_job() -> None:
    attempt = taken_in(finished(measurements=None))
    assert (attempt.id, attempt.job, attempt.round, attempt.device) == (ID, job().key, 2, "4f2d9c01ab3e")


@pytest.mark.parametrize(
    ("measurements", "reason"),
    [
        ([measurement("speed", 1.0)], "the device reports 'speed', which is no metric of this version"),
        ([measurement("itl", -1.0)], "itl is not positive"),
        ([measurement("itl", 0)], "itl is not positive"),
        ([measurement("itl", 1.0, samples=[1.0, 0.0])], "itl is not positive"),
        (cold_start(100.0, 40.0, 50.0), "the phases of the cold start add up to 90 ns, and the whole is 100 ns"),
        (cold_start(3e9, 1e9, 2e9), "the cold start of 3000000000 ns is longer than the attempt of 2000000000 ns"),
    ],
)
def test_numbers_that_cannot_be_make_the_attempt_invalid(measurements: list[dict[str, Any]], reason: str) -> None:
    attempt = taken_in(finished(*measurements))
    assert attempt.outcome.kind is OutcomeKind.INVALID
    assert attempt.outcome.reason == reason


def test_phases_that_add_up_are_taken() -> None:
    assert taken_in(finished(*cold_start(100.0, 40.0, 60.0))).outcome.ok


def test_a_metric_told_twice_does_not_count_as_two_attempts() -> None:
    twice = [measurement("model_ttft", 5e7), measurement("model_ttft", 5e7)]
    assert taken_in(finished(*twice)).outcome.kind is OutcomeKind.INVALID


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@settings(deadline=None)  # a busy machine is no failure
@given(st.dictionaries(st.text(max_size=8), JSON, max_size=6), st.integers(-(10**18), 10**18))
def test_any_object_at_all_is_an_invalid_attempt(message: dict[str, Any], offset_ns: int) -> None:
    assert taken_in(message, offset_ns=offset_ns).outcome.kind is OutcomeKind.INVALID


@settings(deadline=None)  # a busy machine is no failure
@given(st.dictionaries(st.sampled_from(sorted(finished())), JSON, min_size=1, max_size=4))
def test_a_message_with_anything_in_any_place_never_raises(changes: dict[str, Any]) -> None:
    assert isinstance(taken_in(finished(measurement("itl", 1.0)) | changes), Attempt)


@settings(deadline=None)  # a busy machine is no failure
@given(st.dictionaries(st.sampled_from(sorted(measurement("", 0))), JSON, min_size=1, max_size=3))
def test_a_measurement_with_anything_in_any_place_never_raises(changes: dict[str, Any]) -> None:
    assert isinstance(taken_in(finished(measurement("itl", 1.0) | changes)), Attempt)


@pytest.mark.parametrize(
    "changes",
    [
        {"round": 10**30},
        {"duration_ns": 10**30},
        {"round": 10**30, "measurements": None},
        {"id": "\ud83d", "measurements": None},
        {"job": "\ud83d", "measurements": None},
        {"measurements": [measurement("itl", 1.0, row_length=10**30)]},
        {"effective": {"threads": math.nan}},
        {"measurements": [measurement("itl", 1.0, parameters={"depth": math.nan})]},
        {"started_unix_ns": -(6 * 10**19)},
    ],
    ids=lambda changes: str(changes)[:60].encode("ascii", "backslashreplace").decode(),
)
def test_whatever_is_taken_in_can_be_stored_and_exported(tmp_path: Path, changes: dict[str, Any]) -> None:
    from benchharness.judge.derive import derive

    store = Store(f"sqlite:///{tmp_path / 'store.db'}")
    run = store.create_run(suite="s", digest="d", suite_json="{}", hardware_json="{}", planned=[job()])
    try:
        store.save_attempt(run, taken_in(finished() | changes))
        results = derive(store.jobs(run), store.attempts(run))
        json.loads(to_json(store.run(run), results))
    finally:
        store.close()


def test_a_message_as_deep_as_the_protocol_allows_is_no_exception() -> None:
    for depth in range(800, 1000):
        line = protocol.encode(finished()).replace(b'{"threads":2}', b'{"a":' + b"[" * depth + b"]" * depth + b"}")
        with suppress(ProtocolError):
            taken_in(protocol.decode(line))


def test_what_the_protocol_carries_arrives_unchanged() -> None:
    message = finished(measurement("itl", 0.1 + 0.2, samples=[1 / 3, 1e15 + 0.5]))
    assert taken_in(protocol.decode(protocol.encode(message))) == taken_in(message)
