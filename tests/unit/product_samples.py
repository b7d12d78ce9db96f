"""Results of scenarios `hybrid` and `conversation` as a run could have left them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from benchharness.device.measured import measurement, raw_rows
from benchharness.device.network.profiles import NETWORKS
from benchharness.judge import derive
from benchharness.records import (
    CONVERSATION_TURNS,
    HANDOVERS,
    AnsweredBy,
    CloudEnd,
    HandoverRow,
    TurnEnd,
    TurnRow,
)
from benchharness.results.requested import Configuration, Workload
from benchharness.results.result import Attempt, Job, Measurement, Outcome, OutcomeKind, Result
from benchharness.results.told import Effective
from tests.unit.report_samples import WRITTEN

MS = 1e6
BY = {"cloud": AnsweredBy.CLOUD, "device": AnsweredBy.DEVICE, "both": AnsweredBy.BOTH, "nobody": AnsweredBy.NOBODY}
#: (policy, network) -> requests as (who answered, first token in ms, longest silence in ms)
Requests = Mapping[tuple[str, str], Sequence[tuple[str, float, float]]]


def handover(by: str, first_ms: float, silence_ms: float, **more: Any) -> HandoverRow:
    """One request."""
    whole = max(first_ms, silence_ms, 1) * 3 * MS
    made = HandoverRow(
        prompt=0, answered_by=BY[by], cloud=CloudEnd.COMPLETE if by == "cloud" else CloudEnd.CUT,
        first_token=first_ms * MS, silence=silence_ms * MS, whole=whole, cloud_tokens=8, device_tokens=0,
        wasted_tokens=2 if by == "device" else 0, sent=300, received=2000, wasted=2300 if by == "device" else 0,
        energy=-1, agreement=0.5 if by != "nobody" else -1, right=-1, late=0,
    )  # fmt: skip
    return made._replace(**more)


def result_of(
    job: Job, measured: Sequence[Mapping[str, Any]], effective: Mapping[str, Any], attempts: int = 1
) -> Result:
    """The result of some attempts that all measured the same."""
    made = [
        Attempt(
            id=f"{number:036d}", job=job.key, round=number, device="board", host="host", started=WRITTEN,
            duration_ns=10**15, outcome=Outcome(kind=OutcomeKind.OK),
            measurements=[Measurement(**each) for each in measured],
            effective=Effective.from_json({"task": "causal-lm", **effective}),
        )
        for number in range(attempts)
    ]  # fmt: skip
    (found,) = derive.derive([(job, "as asked")], made)
    return found


def job_of(scenario: str, settings: Mapping[str, Any], workload: str, variant: str = "int8") -> Job:
    """A job of that scenario."""
    return Job(
        key=f"{scenario}-{variant}"[:16], hardware="this-machine", model="chat", task="causal-lm", variant=variant,
        reference="int8", artefact=f"/models/{variant}", digest=variant * 4, artefact_bytes=1000, recipe="",
        tokenizer=None, configuration=Configuration(name="cpu", runtime="onnxruntime"),
        workload=Workload(name=workload, asks="language"), scenario=scenario, settings=settings, timeout_s=60,
    )  # fmt: skip


def hybrid(requests: Requests, budgets: Mapping[str, float] | None = None, prefer: str = "cloud") -> Result:
    """A hybrid result of these requests."""
    names = dict.fromkeys(network for _, network in requests)
    networks = {name: NETWORKS.get(name, NETWORKS["good"]).to_json() for name in names}
    settings = {"budgets": budgets or {}, "prefer": prefer, "networks": networks}
    measured = [
        raw_rows(
            HANDOVERS, {"policy": policy, "network": network}, 1, HANDOVERS.flat(handover(*each) for each in asked)
        )
        for (policy, network), asked in requests.items()
    ]
    effective = {"hybrid": {"energy_unknown": "no RAPL counters"}}
    return result_of(job_of("hybrid", settings, "questions.jsonl"), measured, effective)


def conversation(variant: str = "int8", *, full: int | None = 5, turns: int = 6) -> Result:
    """A conversation whose context is full in turn `full`, counted from 0."""
    rows = []
    for turn in range(turns):
        if full is not None and turn >= full:
            rows.append(TurnRow(turn, TurnEnd.CONTEXT_FULL, 20, 0, 0, 50 * full, 0, 0, 0))
        else:
            rows.append(
                TurnRow(
                    turn,
                    TurnEnd.ANSWERED,
                    20,
                    21,
                    30,
                    50 * (turn + 1),
                    (turn + 1) * 10 * MS,
                    100 - turn,
                    1e8 + turn * 1e6,
                )
            )
    measured = [raw_rows(CONVERSATION_TURNS, {}, len(rows), CONVERSATION_TURNS.flat(rows))]
    for row in rows:
        if row.end == TurnEnd.ANSWERED:
            of = {"turn": int(row.turn) + 1}
            measured += [
                measurement("turn_ttft", of, row.ttft),
                measurement("turn_decode_rate", of, row.rate),
                measurement("turn_memory", of, row.resident),
            ]
    measured += [
        measurement("loaded_memory", {}, 2e8),
        measurement("unloaded_memory", {}, 1e8),
        *(measurement("return_load", {"beside": beside}, 5e7) for beside in ("nothing", "busy-core")),
        *(measurement("return_ttft", {"beside": beside}, 9e7) for beside in ("nothing", "busy-core")),
    ]
    return result_of(job_of("conversation", {}, "talk.jsonl", variant), measured, {"conversation": {}}, attempts=3)


EVEN = [("cloud", 100.0, 100.0)] * 100
SLOW = [("cloud", 100.0, 100.0)] * 80 + [("cloud", 3000.0, 3000.0)] * 20
LOCAL = [("device", 50.0, 60.0)] * 100
MIXED = [("cloud", 100.0, 100.0)] * 60 + [("device", 500.0, 550.0)] * 20 + [("both", 120.0, 600.0)] * 20
LOST = [("nobody", 0.0, 9000.0)] * 100
REQUESTS: Requests = {
    ("cloud alone", "good"): EVEN,
    ("cloud alone", "3g"): SLOW,
    ("cloud alone", "offline"): LOST,
    ("device alone", "no network"): LOCAL,
    ("eager", "good"): EVEN,
    ("eager", "3g"): MIXED,
    ("eager", "offline"): LOCAL,
}
BUDGETS = {"first_token_p95": 1.0, "longest_silence_p95": 1.0, "unanswered": 0.05}
