"""Results as a run could have left them, seeded, for the tests of reports.

Run as a program with a folder, it writes the page that they make: `python -m tests.unit.report_samples FOLDER`.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from benchharness.judge import budgets as budgets_of_suite
from benchharness.judge.builds import Since
from benchharness.metrics import limits
from benchharness.results.requested import Configuration, Workload
from benchharness.results.result import (
    AttemptValue,
    Estimate,
    Job,
    MetricResult,
    Outcome,
    OutcomeKind,
    Result,
    ResultWarning,
    Run,
    WarningKind,
)
from benchharness.results.told import Conditions, Effective
from reports.model.page import Page
from reports.pages import view
from reports.pages.environment import environment
from reports.pages.files import write
from reports.pages.html import render, targets_of

WRITTEN = datetime(2026, 3, 4, 5, 6, tzinfo=UTC)
RUN = Run(
    id="0195a3c2-7b1e-7c44-9d0f-3f6f2f5e8a11",
    suite="chat",
    suite_digest="5f0c" * 16,
    started=datetime(2026, 3, 4, 4, 0, tzinfo=UTC),
    finished=datetime(2026, 3, 4, 5, 0, tzinfo=UTC),
    state="finished",
    version="0.1.0",
    jobs=18,
    attempts=90,
)
#: Variant -> (speed against fp32, bytes)
VARIANTS = {"fp32": (1.0, 538_090_408), "int8": (0.42, 136_314_880), "int4": (0.47, 92_274_688)}
CONFIGURATIONS: dict[str, dict[str, Any]] = {
    "cpu 1 thread": {"threads": 1},
    "cpu 2 threads": {"threads": 2, "options": {"graph_optimization_level": "ORT_ENABLE_ALL", "spin": "0"}},
}
COLD = ("start", "import", "load", "first_request", "measure")
WARM = ("start", "import", "load", "measure")
CHAT = {"name": "chat 128", "prompt": {"length": 128, "seed": 0}, "output_tokens": 32, "context_depth": 0}
IMAGES = {"name": "one image", "dimensions": {"batch": 1}}
EVIDENCE = "Traceback (most recent call last):\n\x1b[31mRuntimeError\x1b[0m: weights\x00 of 1.2 GiB do not fit\ud83d\n"


def estimate_of(values: Sequence[float], statistic: str = "geometric mean of attempts' values") -> Estimate:
    logs = np.log(values)
    if len(values) < 2:
        return Estimate(value=values[0], count=1, statistic=statistic, reason="one attempt says nothing about spread")
    half = 2.8 * float(np.std(logs, ddof=1)) / len(values) ** 0.5
    middle = float(np.mean(logs))
    low, high = np.exp(middle - half), np.exp(middle + half)
    return Estimate(
        value=float(np.exp(middle)), low=float(low), high=float(high), count=len(values), statistic=statistic
    )


class Fake:
    """Metrics as a device could have measured them, seeded."""

    def __init__(self, speed: float, attempts: int = 5, seed: int = 1, ratio: bool = True) -> None:
        self.speed, self.attempts, self.ratio = speed, attempts, ratio
        self.random = np.random.default_rng(seed)

    def metric(
        self,
        name: str,
        unit: str,
        typical: float,
        *,
        samples: int = 0,
        row: int = 0,
        parameters: Mapping[str, Any] | None = None,
        rate: bool = False,
    ) -> MetricResult:
        factor = 1 / self.speed if rate else self.speed
        values = []
        for number in range(self.attempts):
            level = typical * factor * float(self.random.lognormal(0, 0.02))
            drawn = level * (1 + self.random.gamma(1.5, 0.02, samples))
            if row:
                drawn = drawn * np.tile(1 + 0.004 * np.arange(row), samples // row)
            values.append(
                AttemptValue(
                    attempt=f"a{number}",
                    device="4f2d9c01ab3e",
                    round=number,
                    value=level,
                    samples=[round(float(sample)) for sample in drawn],
                    row_length=row,
                )
            )
        ratio = Estimate(value=factor, low=factor * 0.97, high=factor * 1.03, count=self.attempts, statistic="paired")
        if self.attempts < 2:
            ratio = Estimate(value=factor, count=1, statistic="paired", reason="one attempt says nothing about spread")
        return MetricResult(
            name=name,
            parameters=parameters or {},
            unit=unit,
            estimate=estimate_of([value.value for value in values]),
            attempts=values,
            ratio=ratio if self.ratio else None,
        )

    def exactly(self, name: str, value: float, ratio: float | None = None) -> MetricResult:
        exact = Estimate(value=value, low=value, high=value, statistic="exact")
        compared = ratio and Estimate(value=ratio, low=ratio, high=ratio, statistic="exact")
        return MetricResult(name=name, parameters={}, unit="bytes", estimate=exact, attempts=(), ratio=compared or None)

    def memory(self, phases: Sequence[str], peak: float) -> list[MetricResult]:
        """Memory as the worker tells it; `peak` in bytes, before the runtime 15 MiB, with it 50 MiB."""
        held = {"start": 15 * 2**20, "import": 50 * 2**20}
        own = Fake(1.0, attempts=self.attempts, seed=len(phases), ratio=self.ratio)
        found = []
        for phase in phases:
            resident = held.get(phase, peak * 0.9)
            where = {"phase": phase}
            found.append(own.metric("phase_peak_memory", "bytes", held.get(phase, peak), parameters=where))
            for kind, share in {"rss": 1.0, "anonymous": 0.6, "file": 0.4, "pss": 0.8, "uss": 0.7}.items():
                found.append(
                    own.metric("settled_memory", "bytes", resident * share, parameters={**where, "kind": kind})
                )
        highest = own.metric("peak_memory", "bytes", peak)
        timeline = [
            replace(value, samples=[2e8, 15.0 * 2**20, 3e8, 50.0 * 2**20, 4e8, value.value], row_length=2)
            for value in highest.attempts
        ]
        found += [
            highest,
            own.metric("model_memory", "bytes", peak - 50 * 2**20),
            own.metric("runtime_memory", "bytes", 35 * 2**20),
            own.metric("runtime_libraries", "bytes", 44 * 2**20),
            replace(highest, name="memory_timeline", attempts=timeline),
        ]
        return found

    def first_token(self) -> list[MetricResult]:
        phases = {"start": 21e6, "import": 160e6, "load": 420e6, "first_request": 830e6}
        return [
            self.metric("cold_start_ttft", "ns", sum(phases.values())),
            *(
                self.metric("cold_start_phase", "ns", typical, parameters={"phase": phase})
                for phase, typical in phases.items()
            ),
            self.metric("model_ttft", "ns", 812e6, samples=12, parameters={"prompt_tokens": 128, "context_depth": 0}),
        ]

    def steady(self) -> list[MetricResult]:
        decode = {"output_tokens": 32, "context_depth": 128}
        p50 = self.metric("itl", "ns", 61e6, samples=31 * 4, row=31, parameters={**decode, "percentile": 50})
        p99 = replace(
            p50,
            parameters={**decode, "percentile": 99},
            attempts=(),
            ratio=None,
            estimate=Estimate(value=None, count=5, statistic="p99", reason="124 samples an attempt, and p99 needs 662"),
        )
        return [
            self.metric("prefill_rate", "tokens/s", 157.6, parameters={"prompt_tokens": 128}, rate=True),
            self.metric("decode_rate", "tokens/s", 16.4, parameters=decode, rate=True),
            p50,
            p99,
        ]

    def inference(self) -> list[MetricResult]:
        return [self.metric("steady_inference", "ns", 3.1e6, samples=400, parameters={"percentile": 50})]


def result(
    variant: str = "int8",
    configuration: str = "cpu 2 threads",
    scenario: str = "first-token",
    metrics: Sequence[MetricResult] = (),
    *,
    workload: Mapping[str, Any] = CHAT,
    model: str = "smollm2-135m",
    **changes: Any,
) -> Result:
    requested = {"name": configuration, "runtime": "onnxruntime", "accelerator": None, "threads": None}
    requested |= CONFIGURATIONS.get(configuration, {})
    job = Job(
        key=f"{model}{variant}{configuration}{scenario}",
        hardware="this-machine",
        model=model,
        task=None,
        variant=variant,
        reference="fp32",
        artefact=f"/home/someone/models/{variant}/model.onnx",
        digest="ab12" * 16,
        download_bytes=VARIANTS.get(variant, (1.0, 1_000_000))[1] * 3 // 4,
        artefact_bytes=VARIANTS.get(variant, (1.0, 1_000_000))[1],
        recipe="as exported" if variant == "fp32" else f"{variant} weights, per channel",
        tokenizer=None,
        configuration=Configuration.from_json(requested),
        workload=Workload.from_json(workload),
        scenario=scenario,
        settings={"warmup": 3, "repeats": 5} | ({"page_cache": "warm"} if scenario == "first-token" else {}),
        timeout_s=600.0,
    )
    whole = Result(
        job=job,
        outcome=Outcome(kind=OutcomeKind.OK),
        devices=["4f2d9c01ab3e"],
        outcomes={"ok": 5},
        stopped="5 attempts, as asked",
        metrics=metrics,
        effective=Effective.from_json(
            {
                "accelerators": ["CPUExecutionProvider"],
                "threads": requested.get("threads"),
                "cache": "in-place",
                "runtime_version": "1.31.1",
                "execution": "device",
                "facts": {"graph_optimization_level": "ORT_ENABLE_ALL", "opsets": {"": 21}},
                "placement": {"CPUExecutionProvider": {"MatMul": 31, "Add": 60, "Softmax": 4}},
                "task": "causal-lm",
            }
        ),
        conditions=Conditions.from_json(
            {
                "os": "Linux 6.1.0",
                "processor": "A processor @ 2.9 GHz",
                "cores": 2,
                "memory_bytes": 8_320_000_000,
                "governor": {"unknown": "no cpufreq on this system"},
                "power_source": {"unknown": "nothing in /sys/class/power_supply"},
                "battery_percent": {"unknown": "nothing in /sys/class/power_supply"},
                "load_average": 0.41,
                "memory_available_bytes": 6.2e9,
                "cpu_pressure": 1.5,
                "temperature_celsius": 51.5,
                "temperature_sensor": "x86_pkg_temp",
                "cgroup_cpu_quota_us": "none",
                "cores_allowed": 2,
                "python": "3.11.7",
                "memory_unknown": {},
                "watching_ns": 6_000_000 + 1000 * len(variant),
            }
        ),
    )
    for key, kind in (("effective", Effective), ("conditions", Conditions)):
        if key in changes:
            changes[key] = kind.from_json(changes[key])
    return replace(whole, **changes)


def realistic() -> list[Result]:
    """Three variants, two configurations, two scenarios; a failure, a lone attempt, an unknown, a classifier."""
    found: list[Result] = []
    for number, (variant, (speed, _)) in enumerate(VARIANTS.items()):
        for configuration in CONFIGURATIONS:
            here = speed * (1.7 if configuration == "cpu 1 thread" else 1.0)
            alone = variant == "int4" and configuration == "cpu 1 thread"
            fake = Fake(here, attempts=1 if alone else 5, seed=number, ratio=variant != "fp32")
            if variant != "fp32":
                fake.metric("model_ttft", "ns", 1.0)  # moves the random numbers on
            ended = {"ok": fake.attempts}
            size = VARIANTS[variant][1]
            first = [*fake.first_token(), *fake.memory(COLD, size * 1.4)]
            steady = [*fake.steady(), *fake.memory(WARM, size * 1.5)]
            for scenario, metrics in (("first-token", first), ("steady", steady)):
                metrics.append(fake.exactly("download_size", size * 0.75, None if number == 0 else 0.3))
                found.append(result(variant, configuration, scenario, metrics, outcomes=ended))
    found[1] = replace(
        found[1], conditions=Conditions.from_json({**found[1].conditions.to_json(), "governor": "powersave"})
    )
    found[4] = replace(
        found[4],
        warnings=[
            ResultWarning(
                kind=WarningKind.NOT_APPLIED,
                message="2 threads were requested and the runtime used 1",
                hint="request what it can give",
            ),
            ResultWarning(kind=WarningKind.UNSTABLE, message="model TTFT: attempts spread by 14 % of their mean"),
        ],
        effective=Effective.from_json({**found[4].effective.to_json(), "threads": 2}),
    )
    out_of_memory = Outcome(kind=OutcomeKind.OUT_OF_MEMORY, reason="the kernel ended the worker", evidence=EVIDENCE)
    found[11] = replace(
        found[11],
        outcome=out_of_memory,
        outcomes={"out-of-memory": 3},
        metrics=(),
        effective=Effective(),
        stopped="3 failures in a row",
    )
    for variant, (speed, _) in VARIANTS.items():
        fake = Fake(speed, ratio=variant != "fp32")
        found.append(
            result(variant, scenario="steady", metrics=fake.inference(), workload=IMAGES, model="mobilenet-v3")
        )
    return judged(found, peak_memory="300 MiB", model_ttft="2 s", download="200 MB", steady_inference={"p50": "10 ms"})


def judged(results: Sequence[Result], **budgets: str | Mapping[str, str]) -> list[Result]:
    """The results with the verdicts of a suite's `[budgets]`."""
    return budgets_of_suite.judged(results, limits.parse(budgets, "suite"))


def page_of(results: Sequence[Result], **options: Any) -> Page:
    return pages_of(results, **options)["this-machine"]


def pages_of(
    results: Sequence[Result],
    *,
    run: Run = RUN,
    title: str | None = None,
    hardware: Sequence[str] = (),
    not_run: Mapping[str, str] | None = None,
    since: Since | None = None,
) -> dict[str, Page]:
    found = [replace(each, since=since) for each in targets_of(run, results, hardware=hardware, not_run=not_run or {})]
    return {each.hardware: view.page_of(each, written=WRITTEN, title=title) for each in found}


def sections_html(page: Page, *kinds: str) -> str:
    """The sections of these kinds, or of all, without a page around them: much quicker than whole pages."""
    engine = environment(page.kinds)
    found = []
    for kind in page.kinds:
        if kind.name in kinds or not kinds:
            template: Any = engine.get_template(kind.template).module
            for each in page.sections[kind.name]:
                found.append(f'<div id="{each.anchor}">{template.section(each, kind.title(each), page)}</div>')
    return "".join(found)


@cache
def realistic_sections() -> str:
    """The sections of those results' page, drawn once."""
    return sections_html(page_of(realistic()))


if __name__ == "__main__":  # a page to look at
    print(write({"this-machine.html": render(RUN, realistic(), written=WRITTEN)["this-machine"]}, Path(sys.argv[1])))
