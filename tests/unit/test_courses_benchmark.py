"""The benchmark of sustained sessions: its plan, its conditions over time, and how it counts verdicts."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest

from benchharness.errors import UsageError
from benchharness.records import WindowRow
from benchharness.results.result import Attempt, Measurement, Outcome, OutcomeKind
from benchharness.results.told import Conditions
from benchmarks.bars import Verdict
from benchmarks.course_matrix import descriptions, findings, rows, undisturbed_by_others
from benchmarks.course_plan import EXPECTED, ONE_CORE, QUOTA, QUOTA_KINDS, Planned, levels, plan
from benchmarks.course_records import FAILED, Judged, Records, Session, judged
from benchmarks.courses import _parser


def made(seed: int = 1, per_class: int = 60) -> list[Planned]:
    return plan(
        sessions_per_class=per_class,
        classes=list(EXPECTED),
        threads=(1, 2),
        cores=2,
        between_s=(2.3, 2.8),
        seed=seed,
    )


def test_its_help_names_every_class() -> None:
    told = " ".join(_parser().format_help().split())
    assert all(name in told for name in EXPECTED), "a per cent sign in a class's name is no format"


def test_every_class_has_as_many_sessions_half_on_each_number_of_threads() -> None:
    counted = Counter((each.name, each.threads) for each in made())
    apart = {(name, threads): 30 for name in EXPECTED if name != ONE_CORE for threads in (1, 2)}
    assert counted == {**apart, (ONE_CORE, 2): 60}, "one thread loses nothing with all cores but one"


def test_kinds_of_quota_are_pooled_equally_on_each_number_of_threads() -> None:
    counted = Counter((each.kind, each.threads) for each in made() if each.name == QUOTA)
    assert counted == {(kind, threads): 6 for kind in QUOTA_KINDS for threads in (1, 2)}


def test_five_sessions_have_every_kind_of_quota() -> None:
    assert {each.kind for each in made(per_class=5) if each.name == QUOTA} == set(QUOTA_KINDS)


def test_each_block_has_every_class_once_on_each_number_of_threads() -> None:
    planned = made()
    block = 2 * len(EXPECTED)
    parts = [[(each.name, each.threads) for each in planned[at : at + block]] for at in range(0, len(planned), block)]
    assert all(len(set(part)) == block - 1 for part in parts), "of one class both have as many threads"
    assert len({tuple(part) for part in parts}) > len(parts) / 2  # each in an order of its own


def test_the_seed_alone_decides_the_order_and_the_moments() -> None:
    assert made() == made()
    assert made(seed=2) != made()
    assert [each.index for each in made()] == list(range(60 * len(EXPECTED)))
    assert all(2.3 <= each.begins_s <= 2.8 for each in made())
    assert len({each.begins_s for each in made()}) > 100


def one(name: str, kind: str = "") -> Planned:
    return Planned(index=0, name=name, kind=kind, threads=1, core=0, begins_s=2.5)


@pytest.mark.parametrize(
    ("planned", "expected"),
    [
        (one("undisturbed"), []),
        (one("quota", "85 %"), [(0.0, 0.85)]),
        (one("contention"), [(0.0, 1.0)]),
        (one("one core"), [(0.0, 1.0)]),
        (one("moved to a quota", "50 %"), [(0.0, 0.5)]),
        (one("slow-core 5 %"), [(0.0, 0.05)]),
        (one("quota", "bursts"), [(0.0, 0.7), (0.5, 0.0), (1.0, 0.7), (1.5, 0.0)]),
    ],
)
def test_levels_of_a_condition(planned: Planned, expected: list[tuple[float, float]]) -> None:
    assert levels(planned, 1.9) == expected


def test_a_gradual_quota_falls_from_all_to_70_percent_over_what_is_left() -> None:
    steps = levels(one("quota", "gradual"), 3.5)
    assert [share for _, share in steps] == [1.0, 0.95, 0.9, 0.85, 0.8, 0.75, 0.7]
    assert [moment for moment, _ in steps] == pytest.approx([0, 0.5, 1, 1.5, 2, 2.5, 3])


def verdicts(name: str, state: str, count: int, kind: str = "", threads: int = 1) -> list[Judged]:
    session = Judged(
        name=name,
        kind=kind,
        threads=threads,
        state=state,
        retention=0.8,
        took_hold=True,
        begun_early=False,
        busy_cores=1.0,
        others_cores=0.05,
        why="",
    )
    return [session] * count


def test_the_matrix_counts_verdicts_by_class_kind_and_threads() -> None:
    found = rows(
        [
            *verdicts("quota", "throttled (quota)", 3, "85 %", 1),
            *verdicts("quota", "steady", 1, "gradual", 2),
            *verdicts("undisturbed", "steady", 2),
        ]
    )
    by_label = {row.label: row for row in found}
    assert list(by_label) == [
        "undisturbed",
        "undisturbed, 1 thread",
        "quota",
        "quota, 85 %",
        "quota, gradual",
        "quota, 1 thread",
        "quota, 2 threads",
    ]
    assert {state: count for state, count in by_label["quota"].counts.items() if count} == {
        "throttled (quota)": 3,
        "steady": 1,
    }
    assert by_label["quota, gradual"].counts["steady"] == 1
    assert by_label["quota"].right is not None
    assert by_label["quota"].right.value == 0.75


def bar(sessions: list[Judged]) -> tuple[float | None, Verdict | None]:
    (found,) = findings(rows(sessions))
    return found.ratio.value, found.verdict


@pytest.mark.parametrize(
    ("name", "right", "allowed"),
    [
        ("quota", "throttled (quota)", 3),
        ("moved to a quota", "throttled (quota)", 3),
        ("one core", "throttled (cores)", 3),
        ("contention", "disturbed (contention)", 3),
        ("slow-core 15 %", "slow-core", 6),
    ],
)
def test_bars_allow_so_many_wrong_verdicts_of_sixty(name: str, right: str, allowed: int) -> None:
    for wrong in ("steady", "unknown", FAILED):
        kept = [*verdicts(name, right, 60 - allowed), *verdicts(name, wrong, allowed)]
        assert bar(kept) == (1 - allowed / 60, Verdict.PASS)
        missed = [*verdicts(name, right, 59 - allowed), *verdicts(name, wrong, allowed + 1)]
        assert bar(missed)[1] is Verdict.MISS


@pytest.mark.parametrize("alarm", ["slow-core", "unknown", FAILED])
def test_whatever_is_not_steady_is_a_false_alarm_of_an_undisturbed_session(alarm: str) -> None:
    assert bar([*verdicts("undisturbed", "steady", 57), *verdicts("undisturbed", alarm, 3)]) == (0.05, Verdict.PASS)
    assert bar([*verdicts("undisturbed", "steady", 56), *verdicts("undisturbed", alarm, 4)])[1] is Verdict.MISS


def test_fewer_sessions_than_asked_for_decide_nothing() -> None:
    assert bar(verdicts("quota", "throttled (quota)", 19))[1] is Verdict.UNDECIDED


def test_sessions_that_others_disturbed_are_left_out_whatever_they_were_called() -> None:
    quiet, loud = verdicts("quota", "steady", 1)[0], verdicts("quota", "throttled (quota)", 1)[0]
    loud, failed = dataclasses.replace(loud, others_cores=0.5), dataclasses.replace(quiet, others_cores=math.nan)
    assert undisturbed_by_others([quiet, loud, failed], 0.2) == [quiet, failed]


def test_what_others_took_is_what_neither_session_nor_hog_did() -> None:
    window = WindowRow(**dict.fromkeys(WindowRow._fields, 1.0))
    table = [
        window._replace(start=1e9, end=3e9, process_cpu=1.8e9),
        window._replace(start=3e9, end=5e9, process_cpu=1e9),
    ]
    rows_ = [number for each in table for number in each]
    told = Measurement(metric="sustained_window", parameters={}, value=0.0, samples=rows_, row_length=len(window))
    made = session()
    injected = {"applied": [(2.0, 1.0)], "hog_share": 0.6, "busy_cores": 1.5}
    made = dataclasses.replace(made, injected=injected, attempt=dataclasses.replace(made.attempt, measurements=[told]))
    assert judged(made).others_cores == pytest.approx(1.5 - 0.7 - 0.3)


def test_shares_have_clopper_and_pearsons_interval() -> None:
    (row, _) = rows(verdicts("contention", "disturbed (contention)", 60))
    assert row.right is not None
    assert row.right.low == pytest.approx(0.025 ** (1 / 60))  # 60 of 60: solve p^60 = 2.5 %
    assert row.right.high == 1


def test_what_no_bar_asks_about_is_described_and_conditions_that_were_not_in_force_are_told() -> None:
    (lame,) = verdicts("quota", "steady", 1, "95 %")
    lame = dataclasses.replace(lame, took_hold=False)
    told = descriptions(rows([lame, *verdicts("memory-bandwidth", "slow-core", 2)]))
    assert any("memory-bandwidth: slow-core 2" in each for each in told)
    assert any("not in force in 1 of 1" in each for each in told)
    assert findings(rows(verdicts("memory-bandwidth", "slow-core", 2))) == []


def session(index: int = 0) -> Session:
    attempt = Attempt(
        id="a",
        job="",
        round=index,
        device="d",
        host="",
        started=datetime(2026, 1, 1, tzinfo=UTC),
        duration_ns=7,
        outcome=Outcome(kind=OutcomeKind.CRASHED, reason="it fell over"),
        measurements=[Measurement(metric="sensor_reading", parameters={"channel": "c"}, value=0.0, samples=(1.0, 2.5))],
        conditions=Conditions.from_json({"sensors": {"steal": {"found": False, "reason": "no"}}}),
    )
    planned = dataclasses.replace(one("contention"), index=index)
    return Session(planned=planned, injected={"took_hold": True, "applied": []}, attempt=attempt)


def test_sessions_are_kept_whole_and_a_line_cut_short_is_dropped(tmp_path: Path) -> None:
    records = Records(tmp_path / "sessions.jsonl")
    records.begin({"seed": 1})
    for index in range(2):
        records.append(session(index), judged(session(index)))
    with records.path.open("ab") as file:
        file.write(b'{"planned":{"ind')
    asked, sessions = records.read()
    assert asked == {"seed": 1}
    assert [each.planned for each in sessions] == [session(0).planned, session(1).planned]
    assert sessions[1].attempt.measurements[0].samples == [1, 2.5]
    assert judged(sessions[0]).state == FAILED
    records.cut()
    records.append(session(2), judged(session(2)))
    assert [each.planned.index for each in records.read()[1]] == [0, 1, 2]
    with pytest.raises(UsageError, match="--resume"):
        records.begin({})
