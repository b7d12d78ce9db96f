"""What a run answers: five kinds of headline, the figures below it, one table, and warnings by kind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from benchharness.judge.answer import Answer, AnswerKind, answers, worst_first
from benchharness.judge.budgets import judged
from benchharness.judge.derive import derive
from benchharness.judge.ranking import Wish
from benchharness.judge.trust import noisy, trust
from benchharness.metrics.limits import parse
from benchharness.results.courses import SessionState
from benchharness.results.result import (
    Estimate,
    MetricResult,
    Outcome,
    OutcomeKind,
    Result,
    ResultWarning,
    VerdictKind,
    WarningKind,
)
from tests.unit.made_up import attempt, job, measured
from tests.unit.report_course_samples import course

SIZES = {"fp32": 4_000_000, "fp16": 2_000_000, "int8": 1_000_000, "int4": 500_000}


def run(times_ms: Mapping[str, Sequence[float]], **budgets: Any) -> list[Result]:
    """Variants by the first inference of their attempts, in ms, judged by these budgets."""
    jobs = {
        name: job(f"{number:016x}", variant=name, reference="fp32", artefact_bytes=SIZES[name], scenario="first-token")
        for number, name in enumerate(times_ms)
    }
    attempts = [
        attempt(number, measured("first_inference", value * 1e6), job=jobs[name].key)
        for name, values in times_ms.items()
        for number, value in enumerate(values)
    ]
    return judged(derive([(each, "") for each in jobs.values()], attempts), parse(budgets, "suite"))


def around(value: float, spread: float = 0.01) -> list[float]:
    return [value * (1 + spread * step) for step in (-1, -0.5, 0, 0.5, 1)]


def only(results: Sequence[Result], **options: Any) -> Answer:
    (answer,) = answers(results, **options)
    return answer


TIMES = {"fp32": around(10), "int8": around(5), "int4": around(7)}


def test_the_smallest_that_keeps_every_budget_ships_and_why_not_the_smaller_one() -> None:
    answer = only(run(TIMES, first_inference="6 ms", size="2 MB"))
    assert answer.kind is AnswerKind.SHIP
    assert answer.headline == "Ship int8"
    kept, smaller = answer.sentences
    assert kept == "It keeps both budgets: first inference 5.000 ms, size 1.00 MB."
    assert smaller == "Smaller, but misses: int4, first inference 7.000 ms (limit ≤ 6 ms)."
    assert answer.named == "int8"
    assert [row.name for row in answer.rows] == ["int8", "int4", "fp32"]
    assert [row.count(VerdictKind.PASS) for row in answer.rows] == [2, 1, 0]


def test_what_none_keeps_is_named_with_its_span_and_the_closest() -> None:
    answer = only(run(TIMES, first_inference="4 ms", size="2 MB"))
    assert answer.kind is AnswerKind.NONE
    told = "None passes: all 3 variants over the limit in first inference, 5.00 to 10.0 ms; limit ≤ 4 ms"
    assert answer.headline == told
    assert answer.sentences[0] == "Closest: int8, misses first inference 5.000 ms (limit ≤ 4 ms); keeps size."
    assert answer.named == "int8"


def test_what_blocks_some_and_what_others_is_counted() -> None:
    answer = only(run(TIMES, first_inference="6 ms", size="0.8 MB"))
    assert answer.headline == "None passes: first inference (2 of 3), size (2 of 3) over the limit"


def test_an_open_budget_says_what_would_decide_it() -> None:
    answer = only(run({"fp32": around(10), "int8": around(5, 0.3)}, first_inference="5.5 ms"))
    assert answer.kind is AnswerKind.UNDECIDED
    assert answer.headline == "Undecided: int8 keeps 0 of 1, first inference open"
    (told,) = answer.sentences
    assert told.startswith("first inference: ")
    assert "limit ≤ 5.5 ms; about " in told
    assert "more attempts would decide it" in told


def test_a_budget_that_nothing_measured_is_open() -> None:
    answer = only(run(TIMES, first_inference="20 ms"), unmeasured=["download_size 3 MB"])
    assert answer.kind is AnswerKind.UNDECIDED
    assert answer.headline.endswith("download_size open")
    assert "Nothing measured download_size 3 MB." in answer.sentences


def test_a_limit_that_is_missed_is_named_once() -> None:
    answer = only(run(TIMES, first_inference="6 ms", size="0.8 MB"))
    assert not any(sentence.startswith("Also over") for sentence in answer.sentences)


CRASH = Outcome(kind=OutcomeKind.CRASHED, reason="signal 11")


def nightly(**budgets: Any) -> list[Result]:
    """A run of three variants, the smallest of which crashed, and a fourth that was not reached."""
    times = {"fp32": around(10), "fp16": [], "int8": around(5), "int4": []}
    found = run(times, **budgets)
    return [
        replace(each, outcome=CRASH, outcomes={OutcomeKind.CRASHED: 1}) if each.job.variant == "int4" else each
        for each in found
    ]


def test_what_failed_or_was_not_reached_is_said_beside_a_variant_that_ships() -> None:
    answer = only(nightly(first_inference="6 ms"))
    assert answer.headline == "Ship int8"
    assert "Smaller, but failed: int4, first-token: crashed (signal 11)." in answer.sentences
    assert answer.sentences[-1] == "Nothing measured of fp16 (not run)."


def test_what_was_not_measured_is_best_in_nothing_and_hides_nothing() -> None:
    answer = only(nightly())
    assert answer.sentences[0] == "Clearly best of 2 measured: size: int8, 977 KiB; first inference: int8, 5.000 ms."
    assert answer.sentences[-1] == "Nothing measured of fp16 (not run), int4 (crashed)."
    sizes = [column.metric for column in answer.columns].index("artefact_size")
    known = {row.name: row.cells[sizes].estimate for row in answer.rows}
    assert {name: each.value for name, each in known.items() if each} == SIZES, "a file's size is known all the same"


def test_only_sizes_are_not_a_measurement() -> None:
    answer = only(run({"fp32": [], "int8": []}, first_inference="6 ms"))
    assert answer.kind is AnswerKind.NOT_TRUSTWORTHY


def test_no_sentence_says_more_than_a_reader_takes_in() -> None:
    """At most 25 words; names and figures count, and a list stops after four."""
    for budgets in ({}, {"first_inference": "6 ms"}, {"first_inference": "4 ms", "size": "0.8 MB"}):
        for sentence in (*only(run(TIMES, **budgets)).sentences, *only(nightly(**budgets)).sentences):
            assert len(sentence.split()) <= 25, sentence


def test_without_budgets_the_best_are_named_where_they_clearly_are() -> None:
    answer = only(run(TIMES))
    assert answer.kind is AnswerKind.NO_BUDGETS
    assert answer.headline == "No budgets set: the trade-off"
    assert answer.sentences[0] == "Clearly best: size: int4, 488 KiB; first inference: int8, 5.000 ms."
    alone = only(run({"fp32": around(10)}))
    assert alone.headline == "No budgets set: what fp32 costs"


@pytest.mark.parametrize(
    ("programs_bytes", "told", "dominated"),
    [
        (50 << 20, "bench, 50.00 MiB (without Python, unlike others)", []),
        (90 << 20, "worker, 70.00 MiB", ["int8 · bench"]),
    ],
)
def test_a_program_that_needs_least_has_no_python_in_it(programs_bytes: int, told: str, dominated: list[str]) -> None:
    """By that it is not better than a worker; one that needs less all the same is."""
    jobs = [
        job(f"{number:016x}", configuration={"name": name, "runtime": name, "accelerator": None, "threads": None})
        for number, name in enumerate(("bench", "worker"))
    ]
    program: dict[str, Any] = {"effective": {"accelerators": ["cpu"], "threads": 2, "facts": {"program_sha256": "ab"}}}
    attempts = [
        attempt(number, measured("peak_memory", value * held), job=of.key, **facts)
        for of, held, facts in ((jobs[0], programs_bytes, program), (jobs[1], 70 << 20, {}))
        for number, value in enumerate(around(1))
    ]
    answer = only(derive([(each, "") for each in jobs], attempts))
    assert answer.sentences[0] == f"Clearly best: peak memory: int8 · {told}."
    assert [row.name for row in answer.rows if row.dominated_by] == dominated


def test_nothing_measured_is_not_trustworthy() -> None:
    outcome = Outcome(kind=OutcomeKind.CRASHED, reason="signal 11\n" + "x" * 500)
    found = [replace(each, metrics=(), outcome=outcome) for each in run(TIMES, first_inference="6 ms")]
    answer = only(found)
    assert answer.kind is AnswerKind.NOT_TRUSTWORTHY
    assert answer.headline == "Not trustworthy: nothing was measured"
    assert answer.sentences[0].startswith("First-token crashed: signal 11")
    assert max(len(each) for each in answer.sentences) < 200


def test_scenarios_that_failed_alike_are_told_together() -> None:
    failed = [replace(each, metrics=(), outcome=Outcome(kind=OutcomeKind.CRASHED, reason="so")) for each in run(TIMES)]
    again = [replace(each, job=replace(each.job, scenario="steady", key=f"s{each.job.key[1:]}")) for each in failed]
    answer = only([*failed, *again])
    assert answer.sentences == ("First-token, steady crashed: so.",)


def test_a_disturbed_course_decides_nothing_and_says_what_to_rerun() -> None:
    found = run({"fp32": around(10)}, first_inference="20 ms")
    disturbed = [replace(each, courses=[course(SessionState.CONTENTION)]) for each in found]
    answer = only(judged(disturbed, parse({"first_inference": "20 ms"}, "suite")))
    assert answer.kind is AnswerKind.NOT_TRUSTWORTHY
    assert answer.headline == "Not trustworthy: disturbed (contention) in 1 of 1 session"
    assert answer.sentences[0] == "Rerun first-token: those figures decide nothing."


def test_the_worst_of_several_answers_is_told_first() -> None:
    ship, none = only(run(TIMES, size="2 MB")), only(run(TIMES, size="1 kB"))
    assert [each.kind for each in worst_first([ship, none])] == [AnswerKind.NONE, AnswerKind.SHIP]


def test_limits_stand_as_they_were_written_and_their_columns_in_their_unit() -> None:
    answer = only(run(TIMES, first_inference="6000 us"))
    budget = answer.columns[0]
    assert (budget.title, budget.limit_text, budget.origin) == ("first inference", "≤ 6000 us", "suite")
    assert budget.scale is not None
    assert budget.scale.symbol == "us"
    assert [column.budget for column in answer.columns[1:]] == [""] * (len(answer.columns) - 1)


def test_every_cell_traces_to_the_attempts_behind_it() -> None:
    found = run(TIMES, first_inference="6 ms")
    answer = only(found)
    by_key = {each.job.key: each for each in found}
    traced = [cell for row in answer.rows for cell in row.cells if cell.attempts]
    assert traced
    for cell in traced:
        ids = {value.attempt for metric in by_key[cell.job].metrics for value in metric.attempts}
        assert set(cell.attempts) <= ids


def test_a_sentence_is_short() -> None:
    answer = only(run(TIMES, first_inference="6 ms", size="2 MB"))
    assert all(len(each.split()) <= 25 for each in (answer.headline, *answer.sentences))


@pytest.mark.parametrize("kind", WarningKind)
def test_every_kind_of_warning_has_its_line(kind: WarningKind) -> None:
    warned = [replace(each, warnings=[ResultWarning(kind=kind, message="so")]) for each in run(TIMES)]
    (group,) = trust(warned)
    assert (group.jobs, group.of) == (3, 3)
    assert group.finding.startswith("3 of 3 jobs ")
    ((warning, titles),) = group.details
    assert warning.message == "so"
    assert len(titles) == 3


def test_one_job_is_told_in_the_singular() -> None:
    first, *others = run(TIMES)
    few = ResultWarning(kind=WarningKind.TOO_FEW_SAMPLES, message="few")
    (group,) = trust([replace(first, warnings=[few]), *others])
    assert group.finding == "1 of 3 jobs has too few attempts for narrow intervals"


def test_what_makes_a_run_noisy_is_told_first() -> None:
    first, *others = run(TIMES)
    few = ResultWarning(kind=WarningKind.TOO_FEW_SAMPLES, message="few")
    waited = ResultWarning(kind=WarningKind.CONTENDED, message="waited")
    found = trust([replace(first, warnings=[few, waited]), *(replace(each, warnings=[few]) for each in others)])
    assert [each.kind for each in found] == [WarningKind.CONTENDED, WarningKind.TOO_FEW_SAMPLES]
    assert noisy(found)
    assert not noisy(found[1:])


def lost(kld: str, values: Mapping[str, float]) -> list[Result]:
    """Three variants that lost so much by one metric, judged by a budget on `kld`."""
    found = []
    for each in run(TIMES):
        value = values[each.job.variant]
        estimate = Estimate(value=value, low=value * 0.9, high=value * 1.1, statistic="mean", drawn=500)
        metric = MetricResult(name=kld, parameters={}, unit="nats", estimate=estimate, attempts=())
        found.append(replace(each, metrics=[*each.metrics, metric]))
    return judged(found, parse({"kld": "0.5 nats"}, "suite"))


def test_a_lower_bound_is_shown_as_one_and_is_the_best_of_nothing() -> None:
    values = {"fp32": 0.01, "int8": 0.1, "int4": 0.2}
    answer = only(lost("kld_pooled", values))
    assert (answer.columns[0].title, answer.columns[0].limit_text) == ("KLD", "≤ 0.5 nats")
    assert {row.cells[0].is_bound for row in answer.rows} == {True}
    assert answer.kind is AnswerKind.UNDECIDED
    assert answer.sentences[0].startswith("KLD: ≥ 0.0")
    without = only([replace(each, verdicts=()) for each in lost("kld_pooled", values)])
    assert not any("KLD" in each for each in without.sentences)
    exact = only([replace(each, verdicts=()) for each in lost("kld", values)])
    assert any("KLD: fp32" in each for each in exact.sentences)
    assert not any(cell.is_bound for row in exact.rows for cell in row.cells)


def test_what_is_shown_as_nothing_is_no_better_than_what_is_shown_as_about_nothing() -> None:
    """0 nats beside 3e-8: runtimes that add in another order."""
    for least, said in (
        ({"fp32": 0.0, "int8": 3e-8, "int4": 4e-8}, False),
        ({"fp32": 0.0, "int8": 3e-5, "int4": 1}, True),
    ):
        answer = only([replace(each, verdicts=()) for each in lost("kld", least)])
        assert any("KLD: fp32" in each for each in answer.sentences) is said


def test_best_is_said_as_far_apart_as_the_suite_wants_it() -> None:
    close = {"fp32": around(10, 0.001), "int8": around(9.5, 0.001)}
    assert "first inference: int8" in only(run(close)).sentences[0]
    assert "first inference" not in only(run(close), tells_apart=0.2).sentences[0]


def test_what_is_wished_for_and_was_not_shown_is_no_choice() -> None:
    """Both keep the budget; neither has a speed, so that nobody is the fastest."""
    answer = only(run(TIMES, size="8 MB"), wish=Wish.FASTEST)
    assert answer.kind is AnswerKind.SHIP
    assert "Others keep every budget too; which is the fastest was not shown." in answer.sentences


def test_a_cell_without_a_figure_says_what_that_figure_lacks() -> None:
    """A runtime with a loop of its own that takes a text: no TTFT of token ids, and no quality."""
    kinds = ("first-token", "steady", "quality")
    jobs = {
        (name, kind): job(f"{len(kinds) * at + number:016x}", variant=name, reference="fp32", scenario=kind)
        for at, name in enumerate(("fp32", "loop"))
        for number, kind in enumerate(kinds[: 2 + at])
    }
    first = {"fp32": "model_ttft", "loop": "request_ttft"}
    attempts = [
        attempt(number, measured(metric, value), job=jobs[name, kind].key)
        for name in ("fp32", "loop")
        for kind, metric, value in (("first-token", first[name], 1e6), ("steady", "decode_rate", 100.0))
        for number in range(5)
    ]
    memory = [measured("decode_rate", 100.0), measured("peak_memory", 1e8)]
    attempts += [attempt(number, *memory, job=jobs["fp32", "steady"].key) for number in range(5, 10)]
    attempts.append(attempt(0, outcome=OutcomeKind.UNSUPPORTED, job=jobs["loop", "quality"].key))
    answer = only(derive([(each, "") for each in jobs.values()], attempts))
    (row,) = [each for each in answer.rows if "loop" in each.name]
    told = {column.metric: cell.reason for column, cell in zip(answer.columns, row.cells, strict=True)}
    assert told["model_ttft"] == "takes a text: request TTFT alone"
    assert told["peak_memory"] == "not measured"
