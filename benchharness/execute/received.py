"""A device's `finished` message -> an attempt. Device output is not trusted: everything is checked and bounded."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from benchharness.contract import EXECUTION_DEVICE, EXECUTION_REFERENCE
from benchharness.metrics import METRICS, OF_DEVICE, ROWS
from benchharness.results.plausibility import contradictions, of_stamps
from benchharness.results.result import Attempt, Measurement, Outcome, OutcomeKind
from benchharness.results.told import Conditions, Effective

#: Bounds on what a device may say; the store's columns hold no more.
_MOST_ROUNDS = 1_000_000
_LONGEST_NS = 10**18  # thirty years
_MOST_SAMPLES = 10_000_000
_ROWS = {metric.name for metric in ROWS}


def _json(value: dict[str, Any]) -> dict[str, Any]:
    try:
        json.dumps(value, allow_nan=False)
    except RecursionError as error:
        raise ValueError("nested too deep") from error
    return value


_Finite = Annotated[float, Field(strict=True, allow_inf_nan=False)]
_ShortText = Annotated[str, Field(max_length=4000)]
_Json = Annotated[dict[str, Any], AfterValidator(_json)]


class _Received(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class _Outcome(_Received):
    kind: OutcomeKind
    reason: _ShortText = ""
    evidence: Annotated[str, Field(max_length=100_000)] = ""


class _Measurement(_Received):
    metric: Annotated[str, Field(max_length=60)]
    parameters: dict[str, Annotated[int, Field(strict=True)] | _Finite | str]
    value: _Finite
    samples: Annotated[list[_Finite], Field(max_length=_MOST_SAMPLES)] = []
    row_length: Annotated[int, Field(ge=0, le=_MOST_SAMPLES)] = 0


class _Finished(_Received):
    id: _ShortText
    job: _ShortText
    round: Annotated[int, Field(strict=True, ge=0, le=_MOST_ROUNDS)]
    outcome: _Outcome
    task: str | None = None
    measurements: Annotated[list[_Measurement], Field(max_length=10_000)]
    effective: _Json
    conditions: _Json
    started_unix_ns: int
    duration_ns: Annotated[int, Field(strict=True, ge=0, le=_LONGEST_NS)]


def attempt_from(message: Mapping[str, Any], *, device: Mapping[str, Any], host: str, clock_offset_ns: int) -> Attempt:
    """The attempt that a message tells of. What breaks the protocol becomes an `invalid` attempt, not an exception.

    `clock_offset_ns` is the device's wall clock minus the host's.
    """
    name = _printable(device.get("device", "unknown"))[:64]
    conditions = {key: value for key, value in device.items() if key != "device"}
    try:
        json.dumps(conditions, allow_nan=False).encode()
        finished = _Finished.model_validate(message)
        started = datetime.fromtimestamp((finished.started_unix_ns - clock_offset_ns) / 1e9, UTC)
    except (ValidationError, OverflowError, ValueError, TypeError, RecursionError, OSError) as error:
        return _invalid(message, name, host, str(error))
    return Attempt(
        id=finished.id,
        job=finished.job,
        round=finished.round,
        device=name,
        host=host,
        started=started,
        duration_ns=finished.duration_ns,
        outcome=_outcome(finished, device),
        measurements=[Measurement(**measurement.model_dump()) for measurement in finished.measurements],
        effective=Effective.from_json({**finished.effective, "task": finished.task}),
        conditions=Conditions.from_json({**conditions, **finished.conditions}),
    )


def _outcome(finished: _Finished, device: Mapping[str, Any]) -> Outcome:
    """The device's word, unless its numbers cannot be: then `invalid`, and the numbers are not used."""
    if finished.outcome.kind is OutcomeKind.OK:
        execution = finished.effective.get("execution", EXECUTION_DEVICE)
        if execution not in (EXECUTION_DEVICE, EXECUTION_REFERENCE):
            return Outcome(kind=OutcomeKind.INVALID, reason=f"there is no execution {_printable(execution)[:60]!r}")
        if execution == EXECUTION_REFERENCE:
            of_device = [each.metric for each in finished.measurements if _is_of_device(each.metric)]
            if of_device:
                return Outcome(kind=OutcomeKind.INVALID, reason=f"{of_device[0]} out of a reference execution")
        measured = [Measurement(**measurement.model_dump()) for measurement in finished.measurements]
        found = contradictions(measured, finished.duration_ns, device.get("memory_bytes"))
        nonsense = next(itertools.chain(found, of_stamps(measured, finished.effective)), "")
        if nonsense:
            return Outcome(kind=OutcomeKind.INVALID, reason=nonsense)
    return Outcome(**finished.outcome.model_dump())


def _is_of_device(metric: str) -> bool:
    """Whether a metric says what a device does in what time and memory, and so do the rows of courses and ladders."""
    return metric not in METRICS or METRICS[metric].unit in OF_DEVICE or metric in _ROWS


def _invalid(message: Mapping[str, Any], device: str, host: str, why: str) -> Attempt:
    round_ = message.get("round")
    return Attempt(
        id=_printable(message.get("id"))[:36],
        job=_printable(message.get("job"))[:16],
        round=round_ if isinstance(round_, int) and 0 <= round_ <= _MOST_ROUNDS else 0,
        device=device,
        host=host,
        started=datetime.now(UTC),
        duration_ns=0,
        outcome=Outcome(
            kind=OutcomeKind.INVALID, reason="the device's answer breaks the protocol", evidence=_printable(why)[:4000]
        ),
    )


def _printable(value: Any) -> str:
    """Text that a database takes: half surrogate pairs are spelled out."""
    return str(value).encode("utf-8", "backslashreplace").decode()
