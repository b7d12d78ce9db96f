"""Results in which everything that has a name or a text is the same attack, and some figures are no numbers."""

from __future__ import annotations

import math
from dataclasses import replace

from benchharness.results.requested import Configuration
from benchharness.results.result import (
    Job,
    MetricResult,
    Outcome,
    OutcomeKind,
    Result,
    ResultWarning,
    Run,
    Verdict,
    VerdictKind,
    WarningKind,
)
from tests.unit.report_samples import CHAT, COLD, RUN, Fake, result


def hostile(attack: str) -> tuple[Run, list[Result]]:
    """A run of two variants, one of which failed after it had measured, and what it left behind."""
    run = replace(RUN, id=attack, suite=attack, suite_digest=attack, state=attack, version=attack)
    return run, [_result("fp32", attack, OutcomeKind.OK), _result(attack, attack, OutcomeKind.CRASHED)]


def _result(variant: str, attack: str, ended: OutcomeKind) -> Result:
    made = result(
        variant,
        scenario=attack,
        metrics=_metrics(attack, variant),
        workload={**CHAT, "name": attack, "prompt": {"text": attack}},
        model=attack,
        outcome=Outcome(kind=ended, reason=attack, evidence=attack),
        outcomes={attack: 1},
        stopped=attack,
        devices=[attack],
        effective={
            "accelerators": [attack],
            attack: attack,
            "runtime_version": attack,
            "facts": {attack: attack},
            "placement": {attack: {attack: 1}},
        },
        conditions={
            attack: attack,
            "governor": {"unknown": attack},
            "memory_unknown": {attack: attack},
            "other": variant,
        },
        verdicts=verdicts_of(attack),
        warnings=[ResultWarning(kind=WarningKind.UNSTABLE, message=attack, hint=attack)],
    )
    configuration = Configuration.from_json({"name": attack, "runtime": attack, "options": {attack: attack}})
    job = replace(made.job, hardware=attack, recipe=attack, configuration=configuration, key=f"{attack}{variant}"[:16])
    return replace(made, job=Job.from_json(job.to_json()))


def _metrics(attack: str, variant: str) -> list[MetricResult]:
    fake = Fake(0.5, ratio=variant != "fp32")
    metrics = [*fake.first_token(), *fake.steady(), *fake.memory(COLD, 3e8)]
    metrics += [replace(metric, parameters={**metric.parameters, attack: attack}) for metric in metrics]
    unsaid = replace(metrics[0].estimate, value=math.nan, low=math.nan, high=math.inf)
    metrics.append(replace(metrics[0], name="prefill_rate", estimate=unsaid))
    return [*metrics, replace(metrics[0], name=attack, unit=attack)]


def verdicts_of(attack: str) -> list[Verdict]:
    return [
        Verdict(
            budget=attack,
            origin=attack,
            metric=name,
            parameters={attack: attack},
            limit=1.0,
            kind=kind,
            reason=attack,
        )
        for name in ("model_ttft", attack)
        for kind in VerdictKind
    ]
