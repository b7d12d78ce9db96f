"""Made-up jobs, attempts and suites that several unit tests share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from benchharness.device.rules import RULES
from benchharness.results.result import Attempt, Job, Measurement, Outcome, OutcomeKind, Parameters, Run
from benchharness.results.told import Conditions, Effective
from benchharness.suite.artefact import DigestCache, Listing, whole
from benchharness.suite.fields import THIS_MACHINE
from benchharness.suite.hardware import load_hardware
from benchharness.suite.materials import gather
from benchharness.suite.plan import plan
from benchharness.suite.tables import Suite, load_suite

STARTED = datetime(2026, 3, 4, 5, 6, 7, 89, tzinfo=UTC)
DEVICE = "4f2d9c01ab3e"

TWO_VARIANTS = """
[models.chat.variants.fp32]
artefact = "fp32.onnx"
[models.chat.variants.int8]
artefact = "int8.onnx"
"""


def write_suite(folder: Path, text: str, *, contents: Mapping[str, bytes] | None = None) -> Path:
    """A suite file with two artefacts beside it."""
    for name, content in (contents or {"fp32.onnx": b"as exported", "int8.onnx": b"smaller"}).items():
        (folder / name).write_bytes(content)
    path = folder / "phones.toml"
    path.write_text(text, encoding="utf-8")
    return path


def loaded(folder: Path, text: str) -> Suite:
    return load_suite(write_suite(folder, text))


def onnx_only(runtime: str) -> Sequence[str]:
    return (".onnx",) if runtime == "onnxruntime" else (".other",)


def as_they_are(asked: Mapping[Path, Sequence[str]]) -> dict[Path, Listing]:
    """Every artefact is all that is there: for files that are no models."""
    return {path: whole(path) for path in asked}


def jobs_of(suite: Suite) -> list[Job]:
    return plan(suite, load_hardware(THIS_MACHINE), gather(suite, DigestCache(None), lister=as_they_are), onnx_only)


def job(key: str = "0123456789abcdef", **changes: Any) -> Job:
    facts: dict[str, Any] = {
        "hardware": "this-machine",
        "model": "chat",
        "task": "causal-lm",
        "variant": "int8",
        "reference": "fp32",
        "artefact": "/models/int8.onnx",
        "digest": "ab12" * 16,
        "artefact_bytes": 1000,
        "recipe": "int8 weights",
        "tokenizer": None,
        "configuration": {"name": "onnxruntime", "runtime": "onnxruntime", "accelerator": None, "threads": None},
        "workload": {"name": "64-token prompt", "prompt": {"length": 64, "seed": 0}},
        "scenario": "steady",
        "settings": {"warmup": 2},
        "timeout_s": 600.0,
        "download_bytes": 700,
    }
    return Job.from_json({"key": key, **facts, **changes})


def measured(
    metric: str,
    value: float,
    samples: Sequence[float] = (),
    *,
    parameters: Parameters | None = None,
    row_length: int = 0,
) -> Measurement:
    return Measurement(
        metric=metric, parameters=parameters or {}, value=value, samples=list(samples), row_length=row_length
    )


def attempt(
    round_: int = 0,
    *measurements: Measurement,
    job: str = "0123456789abcdef",
    device: str = DEVICE,
    outcome: Outcome | OutcomeKind = OutcomeKind.OK,
    **changes: Any,
) -> Attempt:
    facts: dict[str, Any] = {
        "id": f"0195a3c2-0000-7000-8000-{job[:8]}{round_:04d}",
        "host": "bench",
        "started": STARTED + timedelta(seconds=round_),
        "duration_ns": 2_000_000_000,
        "effective": {"accelerators": ["cpu"], "threads": 2},
        "conditions": {"governor": {"unknown": "no cpufreq on this system"}},
        "warnings": [],
    }
    made = {**facts, **changes}
    effective = Effective.from_json(made["effective"])
    made["effective"] = Effective.from_json({"rules": RULES, **effective.to_json()})
    made["conditions"] = Conditions.from_json(made["conditions"])
    return Attempt(
        job=job,
        round=round_,
        device=device,
        outcome=outcome if isinstance(outcome, Outcome) else Outcome(kind=outcome),
        measurements=list(measurements),
        **made,
    )


def run(**changes: Any) -> Run:
    """A finished run of two jobs."""
    facts: dict[str, Any] = {
        "id": "0195a3c2-7b1e-7c44-9d0f-3f6f2f5e8a11",
        "suite": "phones",
        "suite_digest": "5f0c" * 16,
        "started": STARTED,
        "finished": STARTED,
        "state": "finished",
        "version": "0.1.0",
        "jobs": 2,
        "attempts": 10,
    }
    return Run(**{**facts, **changes})
