"""Results of sustained sessions, pauses and constrained devices as a run could have left them, seeded, for tests.

Run as a program with a folder, it writes the page that they make: `python -m tests.unit.report_course_samples FOLDER`.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchharness.results.courses import Chain, ChainLink, Course, Ladder, SessionState, Step, StepOutcome, Window
from benchharness.results.requested import Workload
from benchharness.results.result import AttemptValue, Estimate, MetricResult, Result
from benchharness.results.told import Conditions
from reports.pages.files import write
from reports.pages.html import render
from tests.unit.report_samples import IMAGES, RUN, WRITTEN, Fake, estimate_of, result

MIB = 2**20
State = SessionState
GATE = {"waited_s": 12.4, "by": "probe kernel", "settled": True, "reason": "the probe kernel took 1.02 ms"}
SUSTAINED = {"duration_ns": 120_000_000_000, "window_ns": 1_000_000_000, "warmup": 2, "entry_gate_s": 60.0}
NO_SENSORS = {
    "temperature": "no thermal zone and no hardware monitor gives a temperature",
    "clocks": "no cpufreq: the clock of the cores cannot be read",
    "energy counters": "no RAPL counters",
    "battery": "no battery",
    "thermal state": "read on macOS only",
    "speed limit": "read on macOS only",
}


def course(
    state: SessionState = State.STEADY,
    *,
    attempt: str = "a0",
    burst: float = 16.4,
    kept: float = 1.0,
    slow: Sequence[tuple[float, float]] = (),
    unit: str = "tokens/s",
    sensors: bool = False,
    seconds: int = 120,
    seed: int = 1,
    evidence: Sequence[str] = (),
    **changes: Any,
) -> Course:
    """A session of one-second windows; within the spans of `slow` it keeps `kept` of its burst rate."""
    random = np.random.default_rng(seed)
    windows = []
    for second in range(seconds):
        within = any(start <= second < end for start, end in slow)
        rate = burst * (kept if within else 1.0) * float(random.normal(1.0, 0.012))
        waits = 0.22 if within and state in {State.QUOTA, State.CONTENTION} else 0.01
        windows.append(
            Window(
                start_s=float(second),
                end_s=second + 0.98,
                inferences=round(rate),
                rate=rate,
                latency_ns={50: 1e9 / rate},
                ttft_ns=8e8,
                cpu_ns=1.9e9 / rate,
                least_cpu_ns=1.8e9 / rate,
                wait_share=waits + float(random.uniform(0, 0.01)),
                throttled=3.0 if within and state == State.QUOTA else 0.0,
                steal_share=0.18 if within and state == State.STEAL else 0.0,
                celsius=48.0 + 37.0 * (1 - 0.97**second) if sensors else None,
                clock_khz=(2.9e6 if not within else 2.9e6 * kept) if sensors else None,
                watts=6.1 if sensors else None,
                state=state if within else State.STEADY,
            )
        )
    settled = float(np.median([window.rate for window in windows[-20:]]))
    first = min((start for start, _ in slow), default=None)
    return replace(
        Course(
            attempt=attempt,
            device="4f2d9c01ab3e",
            unit=unit,
            windows=windows,
            baseline=(0, min(5, seconds)),
            settled=(max(0, seconds - 20), seconds),
            state=state,
            evidence=evidence or [f"what was seen of {state}"],
            burst_rate=burst,
            settled_rate=settled,
            retention=settled / burst,
            below_10_s=first if kept < 0.9 else None,
            below_25_s=first if kept < 0.75 else None,
            change_s=first,
            sensors_unknown={} if sensors else NO_SENSORS,
        ),
        **changes,
    )


def unknown_estimate(reason: str) -> Estimate:
    return Estimate(value=None, reason=reason)


def metric(
    name: str, unit: str, values: Sequence[float], parameters: Mapping[str, int | float | str] | None = None
) -> MetricResult:
    attempts = [
        AttemptValue(attempt=f"a{number}", device="4f2d9c01ab3e", round=number, value=value)
        for number, value in enumerate(values)
    ]
    found = estimate_of(values) if values else unknown_estimate("no attempt has it")
    return MetricResult(name=name, parameters=parameters or {}, unit=unit, estimate=found, attempts=attempts)


def session_metrics(courses: Sequence[Course]) -> list[MetricResult]:
    unit = courses[0].unit
    rate = {"tokens/s": "decode_rate", "inferences/s": "inference_rate"}[unit]
    lost = {10: [each.below_10_s for each in courses], 25: [each.below_25_s for each in courses]}
    return [
        metric(f"burst_{rate}", unit, [each.burst_rate for each in courses]),
        metric(f"settled_{rate}", unit, [each.settled_rate or 0.0 for each in courses]),
        metric("retention", "share", [each.retention or 0.0 for each in courses]),
        metric("retention_of_steady", "share", [(each.retention or 0.0) * 0.98 for each in courses]),
        *(
            metric("time_to_loss", "ns", [second * 1e9 for second in seconds if second], {"percent": percent})
            for percent, seconds in lost.items()
        ),
        replace(
            metric("energy_per_inference", "J", []), estimate=unknown_estimate("no sensor counts energy on this device")
        ),
    ]


def sustained(variant: str, courses: Sequence[Course], **changes: Any) -> Result:
    found = result(variant, scenario="sustained", metrics=session_metrics(courses) if courses else [])
    found = replace(
        found,
        job=replace(found.job, settings=SUSTAINED),
        courses=courses,
        outcomes={"ok": len(courses)},
        conditions=Conditions.from_json(
            {
                **found.conditions.to_json(),
                "entry_gate": GATE,
                "sensors": {
                    "steal": {"found": True, "cost_us": 8.1 + len(variant)},
                    "temperature": {"found": False, "reason": "no thermal zone"},
                },
            }
        ),
    )
    return replace(found, **changes)


def sessions() -> list[Result]:
    """One variant a verdict."""
    quota = [
        course(
            State.QUOTA,
            attempt=f"a{number}",
            burst=31.0 + number * 0.3,
            kept=0.7,
            slow=[(41, 66), (80, 120)] if number else [(30, 55), (70, 120)],
            seed=number,
            evidence=[
                "A quota stopped the process 75 times within 8 windows, first at 30 s; 3 times would have been enough.",
                "Waits for a core rose from 1.4 % to 22.3 % of the time.",
            ],
        )
        for number in range(3)
    ]
    quota[2] = course(attempt="a2", burst=31.2, seed=9, evidence=["The rate stayed within 1.9 % of the baseline."])
    heat = course(
        State.HEAT,
        burst=44.0,
        kept=0.58,
        slow=[(38, 120)],
        sensors=True,
        evidence=[
            "The clock fell from 2.90 to 1.68 GHz while x86_pkg_temp read 83 °C; its throttle counter grew by 412."
        ],
    )
    unsettled = {**GATE, "settled": False}
    return [
        sustained("fp32", [course(seed=number, attempt=f"a{number}") for number in range(2)]),
        sustained("int8", quota),
        sustained(
            "int4", [heat], conditions=Conditions.from_json({**result().conditions.to_json(), "entry_gate": unsettled})
        ),
        sustained("slow", [course(State.SLOW_CORE, kept=0.86, slow=[(60, 120)], change_s=60.2)]),
        sustained("steal", [course(State.STEAL, kept=0.9, slow=[(20, 50)])]),
        sustained("short", [course(State.UNKNOWN, seconds=1, evidence=["baseline unsettled: 1 window"])]),
    ]


def paused() -> list[Result]:
    found = []
    for variant, speed in {"fp32": 1.0, "int8": 0.45}.items():
        fake = Fake(speed, ratio=variant != "fp32")
        metrics = [
            made
            for pause, cost in {0.0: 1.0, 1.0: 1.06, 10.0: 1.31}.items()
            for made in (
                fake.metric("ttft_after_pause", "ns", 812e6 * cost, parameters={"pause_s": pause}),
                fake.metric(
                    "decode_rate_after_pause", "tokens/s", 16.4 / cost, parameters={"pause_s": pause}, rate=True
                ),
            )
        ]
        found.append(result(variant, scenario="steady", metrics=[*fake.steady(), *metrics]))
    return found


def step(
    mebibytes: float | None, outcome: StepOutcome, slower: float | None = None, constraint: str = "memory", **more: Any
) -> Step:
    answered = {StepOutcome.FINE: 4, StepOutcome.SLOWER: 4}.get(outcome, 1)
    return replace(
        Step(
            constraint=constraint,
            amount=mebibytes * MIB
            if mebibytes is not None and constraint in {"memory", "address space"}
            else mebibytes,
            trials=5 if answered == 1 else 4,
            answered=0 if slower is None else answered,
            outcome=outcome,
            slower=slower,
            time_ns=None if slower is None else slower * 2.1e9,
            page_ins=12_345.0 if outcome is StepOutcome.THRASHING else 210.0,
            peak_bytes=None if mebibytes is None else 300.0 * MIB,
            reason="" if outcome is StepOutcome.FINE else f"why it was {outcome}",
        ),
        **more,
    )


LESS_CPU = (
    step(0.75, StepOutcome.SLOWER, 1.36, "cpu quota"),
    step(0.5, StepOutcome.SLOWER, 2.05, "cpu quota"),
    step(0.25, StepOutcome.SLOWER, 4.4, "cpu quota"),
    step(1.0, StepOutcome.SLOWER, 1.8, "cores"),
    step(None, StepOutcome.SLOWER, 1.9, "busy core"),
    step(None, StepOutcome.FINE, 1.04, "memory bandwidth"),
)


def ladder(scale: float = 1.0, by: str = "cgroup version 1", **changes: Any) -> Ladder:
    """Every outcome, and a floor at 340 MiB times `scale`."""
    name = "address space" if "address" in by else "memory"
    steps = (
        step(None, StepOutcome.FINE, 1.0, "none"),
        step(520 * scale, StepOutcome.FINE, 1.0, name),
        step(25 * scale, StepOutcome.ERROR, None, name),
        step(115 * scale, StepOutcome.KILLED, None, name),
        step(240 * scale, StepOutcome.TIMEOUT, None, name),
        step(300 * scale, StepOutcome.THRASHING, 9.2, name),
        step(340 * scale, StepOutcome.SLOWER, 4.7, name),
        step(400 * scale, StepOutcome.SLOWER, 1.4, name),
    )
    chain = Chain(
        limit_bytes=300.0 * scale * MIB,
        links=[
            ChainLink(variant="fp32", outcome=StepOutcome.KILLED, time_ns=1.2e9, reason="killed at 300 MiB"),
            ChainLink(variant="int8", outcome=StepOutcome.FINE, time_ns=0.9e9, reason=""),
        ],
        answered_by="int8",
        time_ns=2.1e9,
        lost_ns=1.2e9,
    )
    nothing = replace(
        chain, limit_bytes=64.0 * MIB, links=chain.links[:1], answered_by=None, time_ns=1.2e9, lost_ns=1.2e9
    )
    return replace(
        Ladder(
            attempt="a0",
            device="4f2d9c01ab3e",
            by=by,
            unconstrained_ns=2.1e9,
            steps=(*steps, *LESS_CPU),
            floor_bytes=340 * scale * MIB,
            failing_bytes=300 * scale * MIB,
            floor_name=f"{name.replace(' ', '-')} floor",
            reason="",
            chains=(chain, nothing),
        ),
        **changes,
    )


def constrained(variant: str, ladders: Sequence[Ladder], **changes: Any) -> Result:
    floors = [each.floor_bytes for each in ladders if each.floor_bytes and each.floor_name == "memory floor"]
    found = result(variant, scenario="constrained", metrics=[metric("memory_floor", "bytes", floors)] if floors else [])
    job = replace(found.job, settings={"memory": True, "trials": 5, "needed": 4, "slowest": 10.0})
    return replace(found, job=job, ladders=ladders, outcomes={"ok": len(ladders)}, **changes)


def ladders() -> list[Result]:
    """Memory floors, an address-space floor, no floor at all, and a job whose limits could not be set."""
    refused = step(0.5, StepOutcome.NOT_APPLIED, None, "cpu quota")
    return [
        constrained("fp32", [ladder(1.0 + number / 40) for number in range(3)]),
        constrained("int8", [ladder(0.4, chains=())]),
        constrained(
            "int4", [ladder(2.2, by="address-space limit", steps=(*ladder(2.2, "address").steps[:8], refused))]
        ),
        constrained(
            "slow",
            [ladder(floor_bytes=None, failing_bytes=None, steps=LESS_CPU[:2], chains=(), reason="the time was over")],
        ),
    ]


def everything() -> list[Result]:
    """Three scenarios of one model, and sessions of another whose sensors all answer."""
    images = [
        course(unit="inferences/s", burst=320.0, attempt=f"a{number}", sensors=True, seed=number) for number in range(2)
    ]
    found = sustained("fp32", images)
    job = replace(found.job, model="mobilenet-v3", workload=Workload.from_json(IMAGES), key="images")
    return [*sessions(), *paused(), *ladders(), replace(found, job=job)]


if __name__ == "__main__":  # a page to look at
    print(write({"this-machine.html": render(RUN, everything(), written=WRITTEN)["this-machine"]}, Path(sys.argv[1])))
