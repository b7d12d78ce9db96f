"""Results of three runtimes and their accelerators as a run could have left them, seeded, for the tests of reports.

Run as a program with a folder, it writes the page that they make: `python -m tests.unit.report_runtime_samples FOLDER`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

from benchharness.judge.derive import derive
from benchharness.results.requested import Configuration
from benchharness.results.result import Attempt, Job, Measurement, MetricResult, Outcome, OutcomeKind, Result
from benchharness.results.told import Effective
from reports.pages.files import write
from reports.pages.html import render
from tests.unit.report_samples import CHAT, COLD, RUN, WARM, WRITTEN, Fake, page_of, result, sections_html

ROUNDS = 5
REFERENCES = {"onnx": "onnx-fp32", "tflite": "tflite-fp32", "mlpackage": "mlpackage-fp16"}
CPU, DELEGATE = "CPUExecutionProvider", "XnnpackExecutionProvider"
#: 24 kinds: more than a cell shows at once.
OPERATORS = {"MatMul": 211, "Mul": 150, "Add": 121, "Transpose": 60, **{f"Kind{number}": 1 for number in range(20)}}
FALLBACK = {
    "summary": f"84 of 562 operators do not run on {DELEGATE}: 60 Transpose on {CPU}, 4 Gather on {CPU} and 20 more",
    "lost_ns": None,
    "operators": 562,
    "operators_elsewhere": 84,
}
REFUSED = {
    "summary": "GpuDelegate takes no part; dynamic-sized tensors are not supported by this delegate",
    "lost_ns": 181_000_000,
    "operators": 482,
    "operators_elsewhere": 482,
}


@dataclass(frozen=True)
class Ran:
    """A variant (format-precision) under a configuration: what the runtime did, how fast it was, or how it failed."""

    variant: str
    configuration: Mapping[str, Any]
    megabytes: int
    effective: Mapping[str, Any] = field(default_factory=dict)
    time: float = 1.0  # against onnx-fp32
    refused_ms: float = 0.0
    outcome: Outcome = field(default_factory=lambda: Outcome(kind=OutcomeKind.OK))

    @property
    def reference(self) -> str:
        return REFERENCES[self.variant.split("-")[0]]

    @property
    def precision(self) -> str:
        return self.variant.split("-")[1]


def configured(name: str, runtime: str, accelerator: str | None = None, fallback: str = "warn") -> dict[str, Any]:
    return {
        "name": name,
        "runtime": runtime,
        "accelerator": accelerator,
        "threads": 2,
        "options": {},
        "accelerator_options": {},
        "fallback": fallback,
        "python": None,
    }


ONNX = configured("onnxruntime 2 threads", "onnxruntime")
ONNX_DELEGATE = configured("onnxruntime xnnpack", "onnxruntime", DELEGATE)
LITERT = configured("litert 2 threads", "litert")
LITERT_GPU = configured("litert gpu", "litert", "GpuDelegate")
LITERT_HALF = {**LITERT_GPU, "name": "litert gpu, half precision", "options": {"precision_loss": True}}
CORE_ML = configured("core ml, neural engine", "coreml", "CPU_AND_NE")
ON_CPU = {"accelerators": [CPU], "placement": {CPU: OPERATORS}}
ON_LITERT = {"accelerators": ["XNNPACK"], "placement": {"XNNPACK": {"FULLY_CONNECTED": 211, "MUL": 150, "ADD": 121}}}
ON_GPU = {"accelerators": ["GpuDelegate"], "placement": {"GpuDelegate": {"DELEGATE": 1}}}
SPLIT = {
    "accelerators": [DELEGATE, CPU],
    "placement": {DELEGATE: {"MatMul": 211, "Mul": 150, "Add": 117}, CPU: {"Transpose": 60, "Gather": 4, "Cast": 20}},
    "fallback": FALLBACK,
}
ON_HOST = {
    "accelerators": ["numpy interpreter"],
    "placement_unknown": "placement is decided by Core ML when it compiles the model, on a Mac or phone",
    "execution": "reference",
}
NO_MEMORY = Outcome(kind=OutcomeKind.OUT_OF_MEMORY, reason="the kernel ended the worker in phase load")
NOT_THERE = Outcome(
    kind=OutcomeKind.UNSUPPORTED, reason='fallback = "fail": 84 of 562 operators do not run on XnnpackExecutionProvider'
)


def everything() -> list[Ran]:
    """What the suite asked for, in its order: by precision, not by runtime."""
    all_of_it = {**ONNX_DELEGATE, "name": "onnxruntime xnnpack, all of it", "fallback": "fail"}
    return [
        Ran("onnx-fp32", ONNX, 540, ON_CPU),
        Ran("tflite-fp32", LITERT, 541, ON_LITERT, time=0.99),
        Ran("tflite-fp32", LITERT_HALF, 541, ON_GPU, time=0.7),
        Ran("mlpackage-fp16", CORE_ML, 270, ON_HOST),
        Ran("onnx-int8", ONNX, 250, ON_CPU, time=0.42),
        Ran("onnx-int8", ONNX_DELEGATE, 250, SPLIT, time=0.41),
        Ran("tflite-int8", LITERT, 142, ON_LITERT, time=0.55),
        Ran("tflite-int8", LITERT_GPU, 142, {**ON_LITERT, "fallback": REFUSED}, time=0.56, refused_ms=181),
        Ran("mlpackage-int8", CORE_ML, 136, ON_HOST),
        Ran("onnx-int4", ONNX, 87, ON_CPU, time=0.4),
        Ran("onnx-int4", all_of_it, 87, outcome=NOT_THERE),
        Ran("tflite-int4", LITERT, 75, outcome=NO_MEMORY),
    ]


def derived(ran: Sequence[Ran], model: str = "smollm2-135m") -> list[Result]:
    """The results as `derive` makes them, ratios, contrasts and warnings included."""
    jobs: list[tuple[Job, str]] = []
    attempts: list[Attempt] = []
    for number, each in enumerate(ran):
        for scenario in ("first-token", "steady"):
            job = _job(each, scenario, model, f"{model}-{number}-{scenario}")
            jobs.append((job, "5 attempts, as asked"))
            attempts += _attempts(job, each, _metrics(each, scenario, number), number)
    return derive(jobs, attempts)


def _job(ran: Ran, scenario: str, model: str, key: str) -> Job:
    return replace(
        result(ran.variant, scenario=scenario, workload=CHAT, model=model).job,
        key=key,
        configuration=Configuration.from_json(ran.configuration),
        reference=ran.reference,
        precision=ran.precision,
        artefact_bytes=ran.megabytes * 10**6,
        download_bytes=ran.megabytes * 9 * 10**5,
        recipe=f"{ran.precision} weights",
    )


def _metrics(ran: Ran, scenario: str, seed: int) -> list[MetricResult]:
    fake = Fake(ran.time, attempts=ROUNDS, seed=seed, ratio=False)
    peak = ran.megabytes * 1.3e6 + 6e7
    if scenario == "steady":
        return [*fake.steady(), *fake.memory(WARM, peak)]
    first = fake.first_token()
    for at, metric in enumerate(first):
        if metric.parameters.get("phase") == "load":  # trying the accelerator is part of it
            slower = [replace(value, value=value.value + ran.refused_ms * 1e6) for value in metric.attempts]
            first[at] = replace(metric, attempts=slower)
    lost = [fake.metric("refused_load", "ns", ran.refused_ms * 1e6 / ran.time)] if ran.refused_ms else []
    return [*first, *lost, *fake.memory(COLD, peak)]


def _attempts(job: Job, ran: Ran, metrics: Sequence[MetricResult], seed: int) -> Iterator[Attempt]:
    like = result()
    measured = [metric for metric in metrics if metric.attempts] if ran.outcome.ok else []
    if ran.effective.get("execution") == "reference":
        measured = []
    for number in range(ROUNDS):
        yield Attempt(
            id=f"{job.key}-{number}",
            job=job.key,
            round=number,
            device="4f2d9c01ab3e",
            host="4f2d9c01ab3e",
            started=RUN.started,
            duration_ns=3_000_000_000,
            outcome=ran.outcome,
            measurements=[_measurement(metric, number, seed) for metric in measured],
            effective=Effective.from_json(
                {"threads": 2, "execution": "device", **ran.effective} if ran.outcome.ok else {}
            ),
            conditions=like.conditions,
        )


def _measurement(metric: MetricResult, number: int, seed: int) -> Measurement:
    value = metric.attempts[number]
    uneven = 1 + 0.004 * (seed * number % 5) if metric.unit == "bytes" else 1.0  # `Fake.memory` is the same every time
    return Measurement(
        metric=metric.name,
        parameters={name: told for name, told in metric.parameters.items() if name != "percentile"},
        value=value.value * uneven,
        samples=value.samples,
        row_length=value.row_length,
    )


def across_runtimes() -> list[Result]:
    return derived(everything())


@cache
def across_runtimes_sections() -> str:
    """The sections of those results' page, drawn once."""
    return sections_html(page_of(across_runtimes()))


if __name__ == "__main__":  # a page to look at
    print(write(render(RUN, across_runtimes(), written=WRITTEN), Path(sys.argv[1])))
