"""Rows of somebody else's store -> rows of ours. Nothing in them is believed: types, bounds and sizes are checked.

What can be computed is computed anew and not read: a job's columns, the summary of samples. Of samples that were pruned
there only the summary is left, which has to make sense.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, Self, TypeVar

import numpy as np
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from benchharness.results.result import Job, OutcomeKind, WarningKind
from benchharness.results.samples import unpack
from benchharness.results.schema import SUMMARIZED, is_summed_up, job_columns, percentiles_of, summary_columns, utc

#: As a device may say it (`execute.received`), and beyond what a store of ours holds.
MOST_JOBS, MOST_ATTEMPTS, MOST_MEASUREMENTS, MOST_RUN_BYTES = 100_000, 1_000_000, 10_000, 1 << 30
_MOST_SAMPLES = 10_000_000
_LONGEST_NS = 10**18  # thirty years
_LARGEST = 10**18
_DEEPEST, _LONGEST_JSON = 40, 16_000_000
#: Dates that every time zone knows.
_FIRST, _LAST = datetime(2000, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)

M = TypeVar("M", bound="_Row")


class NotOurs(Exception):
    """A row that cannot be one of ours; the message says why."""


def _moment(value: datetime) -> datetime:
    if not _FIRST <= utc(value) <= _LAST:
        raise ValueError(f"{value.year} is no year of a measurement")
    return utc(value)


def _sound(value: Any) -> Any:
    """What was read of JSON, where it can be written again and is not nested beyond reason. Raises `ValueError`."""
    json.dumps(value, allow_nan=False, ensure_ascii=False).encode()  # half surrogate pairs cannot be stored
    level: list[Any] = [value]
    for _ in range(_DEEPEST):
        level = [inner for each in level if isinstance(each, dict | list) for inner in _inside(each)]
        if any(isinstance(each, int) and abs(each) > _LARGEST for each in level):
            raise ValueError("it has numbers beyond reason")
        if not level:
            return value
    raise ValueError("it is nested too deep")


def _inside(value: dict[str, Any] | list[Any]) -> list[Any]:
    return list(value.values()) if isinstance(value, dict) else value


def _parsed(text: Any) -> Any:
    """JSON from its text. Raises `ValueError`."""
    if not isinstance(text, str) or len(text) > _LONGEST_JSON:
        raise ValueError("it is no text, or too long")  # pydantic takes a `TypeError` for a defect of ours
    try:
        return _sound(json.loads(text))
    except RecursionError as error:
        raise ValueError("it is nested too deep") from error


def _object_text(text: str) -> str:
    if not isinstance(_parsed(text), dict):
        raise ValueError("it is no JSON object")
    return text


_Id = Annotated[str, Field(pattern=r"^[0-9A-Za-z][0-9A-Za-z-]{0,35}$")]
#: As they are made here. A shorter one could begin many, and be a word of the command line.
_RunId = Annotated[str, Field(pattern=r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")]
_Key = Annotated[str, Field(pattern=r"^[0-9a-z]{1,16}$")]
_Moment = Annotated[datetime, AfterValidator(_moment)]
_Finite = Annotated[float, Field(allow_inf_nan=False)]
_Whole = Annotated[int, Field(ge=-_LARGEST, le=_LARGEST)]
_Json = Annotated[dict[str, Any], BeforeValidator(_parsed)]
_ObjectText = Annotated[str, Field(max_length=_LONGEST_JSON), AfterValidator(_object_text)]
_Sentence = Annotated[str, Field(max_length=4000)]
_Name = Annotated[str, Field(max_length=400)]
_Path = Annotated[str, Field(max_length=8192)]


class _Row(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class _Run(_Row):
    id: _RunId
    suite: Annotated[str, Field(max_length=100)]
    suite_digest: Annotated[str, Field(max_length=64)]
    suite_json: _ObjectText
    hardware_json: _ObjectText
    version: Annotated[str, Field(max_length=40)]
    started: _Moment
    finished: _Moment | None
    state: Literal["running", "interrupted", "finished"]
    pruned: _Moment | None


class _JobRow(_Row):
    key: _Key
    position: Annotated[int, Field(ge=0, lt=MOST_JOBS)]
    job_json: _ObjectText
    stopped: _Sentence


class _Job(_Row):
    """What a job's own text says: every field of `Job`, of its type."""

    key: _Key
    hardware: _Name
    model: _Name
    task: _Name | None
    variant: _Name
    reference: _Name
    artefact: _Path
    digest: Annotated[str, Field(max_length=64)]
    artefact_bytes: Annotated[int, Field(ge=0, le=_LARGEST)]
    recipe: _Sentence
    tokenizer: _Path | None
    configuration: dict[str, Any]
    workload: dict[str, Any]
    scenario: Annotated[str, Field(max_length=60)]
    settings: dict[str, Any]
    timeout_s: Annotated[float, Field(gt=0, le=1e9)]
    download_bytes: Annotated[int, Field(ge=0, le=_LARGEST)] | None = None
    ships: bool = True
    precision: _Name | None = None
    files: dict[str, Any] = {}
    against: dict[str, Any] | None = None
    tensors: dict[str, dict[str, str]] = {}
    chain: list[dict[str, Any]] = []
    tokenizer_digest: Annotated[str, Field(max_length=64)] | None = None
    key_from: _Name | None = None
    own_tokenizer: _Path | None = None
    own_tokenizer_digest: Annotated[str, Field(max_length=64)] | None = None
    vocabulary: _Name = ""
    side: _Name = ""
    pair: _Name = ""


class _Warning(_Row):
    kind: Annotated[WarningKind, Field(strict=False)]
    message: _Sentence
    hint: _Sentence = ""


class _Attempt(_Row):
    id: _Id
    job_key: _Key
    round: Annotated[int, Field(ge=0, le=MOST_ATTEMPTS)]
    device: Annotated[str, Field(max_length=64)]
    host: Annotated[str, Field(max_length=64)]
    started: _Moment
    duration_ns: Annotated[int, Field(ge=0, le=_LONGEST_NS)]
    outcome: Annotated[OutcomeKind, Field(strict=False)]
    reason: _Sentence
    evidence: Annotated[str, Field(max_length=100_000)]
    effective: _Json
    conditions: _Json
    warnings: Annotated[list[_Warning], BeforeValidator(_parsed), Field(max_length=1000)]


class _Measurement(_Row):
    position: Annotated[int, Field(ge=0, lt=MOST_MEASUREMENTS)]
    metric: Annotated[str, Field(max_length=60)]
    parameters: Annotated[dict[str, _Whole | _Finite | str], BeforeValidator(_parsed), Field(max_length=100)]
    value: _Finite
    row_length: Annotated[int, Field(ge=0, le=_MOST_SAMPLES)]


class _Summary(_Row):
    """What is left of samples that were pruned."""

    samples_count: Annotated[int, Field(ge=1, le=_MOST_SAMPLES)]
    first_sample: _Finite
    least_sample: _Finite
    middle_sample: _Finite
    deviation: Annotated[_Finite, Field(ge=0)]
    mean_sample: _Finite
    percentiles: Annotated[dict[str, _Finite], BeforeValidator(_parsed), Field(max_length=100)]

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        ordered = [value for _, value in sorted((int(name), value) for name, value in self.percentiles.items())]
        if sorted([self.least_sample, *ordered]) != [self.least_sample, *ordered]:
            raise ValueError("its percentiles are not in order")
        if self.least_sample > min(self.first_sample, self.middle_sample, self.mean_sample * (1 + 1e-9)):
            raise ValueError("its least sample is not the least")
        return self


def run_row(row: Mapping[Any, Any]) -> dict[str, Any]:
    """The columns of a run, without where it is from. Raises `NotOurs`."""
    return _checked(_Run, row, "the run").model_dump()


def job_row(row: Mapping[Any, Any]) -> dict[str, Any]:
    """The columns of a job, made of what it says itself, without its run. Raises `NotOurs`."""
    found = _checked(_JobRow, row, f"job {_shown(row.get('key'))}")
    told = json.loads(found.job_json)
    if _checked(_Job, told, f"job {found.key}").key != found.key:
        raise NotOurs(f"job {found.key} calls itself {told['key']}")
    try:
        Job.from_json(told)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise NotOurs(f"job {found.key}: {error}") from error
    return {**found.model_dump(), **job_columns(told)}


def attempt_columns(row: Mapping[Any, Any]) -> dict[str, Any]:
    """The columns of an attempt, without its run. Raises `NotOurs`."""
    return _checked(_Attempt, row, f"attempt {_shown(row.get('id'))}").model_dump(mode="python") | {
        "outcome": str(row["outcome"])
    }


def measurement_columns(row: Mapping[Any, Any], where: str, pruned: bool) -> dict[str, Any]:
    """The columns of a measurement; `pruned`: its run says that samples of it were. Raises `NotOurs`."""
    told = dict(row)
    blob, summary = told.pop("samples"), {name: told.pop(name) for name in _OF_SAMPLES}
    found = _checked(_Measurement, told, where).model_dump()
    if blob == b"" and pruned and is_summed_up(found["metric"]):
        return {**found, "samples": b"", **_checked(_Summary, summary, f"{where}, {found['metric']}").model_dump()}
    try:
        samples = unpack(blob)
    except (ValueError, TypeError) as error:
        raise NotOurs(f"{where}, {found['metric']}: {error}") from error
    if len(samples) > _MOST_SAMPLES or not np.isfinite(samples).all():
        raise NotOurs(f"{where}, {found['metric']}: its samples are too many, or no numbers")
    percentiles = percentiles_of(found["metric"], samples)
    return {**found, "samples": blob, "percentiles": percentiles, **summary_columns(samples)}


_OF_SAMPLES = ("percentiles", "samples_count", *SUMMARIZED)


def _checked(kind: type[M], row: Mapping[Any, Any], where: str) -> M:
    try:
        return kind.model_validate(dict(row))
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"][:3])
        raise NotOurs(f"{where}: {place} {first['msg'][:200]}".replace("  ", " ")) from error
    except RecursionError as error:
        raise NotOurs(f"{where}: it is nested too deep") from error


def _shown(value: Any) -> str:
    return repr(value)[:60]
