"""Several requests at once: what the device side asks and believes, and what is told of it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import pytest

from benchharness.contract import TokenStream
from benchharness.device.measured import measurement
from benchharness.device.phases import Phases
from benchharness.device.scenarios import concurrent
from benchharness.device.scenarios.stage import Stage
from benchharness.errors import InvalidOutput, ModelFailure, SuiteError, Unsupported
from benchharness.results.plausibility import contradictions
from benchharness.results.result import Measurement
from benchharness.scenarios.concurrent import SCENARIO
from benchharness.suite.tables import suite_from_table
from reports.sections.concurrent.section import ConcurrentSection
from targets.null import NullSession
from targets.several import greedy, in_threads
from tests.unit.product_samples import job_of, result_of
from tests.unit.report_samples import page_of, sections_html
from tests.unit.test_report_safety import ATTACKS, Elements

MS = 1_000_000


class Together(NullSession):
    """Request k has its first token k ms after the call, and a further one each ms from when all have been read."""

    most_at_once = 4
    answers_by = "turns"

    def __init__(self) -> None:
        self.asked: list[list[list[int]]] = []

    def answer_several(self, prompts: Sequence[Any], count: int) -> Sequence[TokenStream]:
        self.asked.append([list(prompt) for prompt in prompts])
        began = time.perf_counter_ns()
        time.sleep(0.02)
        read = len(prompts) * MS
        made = []
        for place, prompt in enumerate(prompts):
            stamps = [began + (place + 1) * MS, *(began + read + at * MS for at in range(1, count))]
            made.append(TokenStream(len(prompt), began, stamps, [1] * count, tokens=[place] * count))
        return list(reversed(made)) if len(prompts) > 3 else made


def stage_of(session: Any, workload: dict[str, Any] | None = None, **settings: Any) -> Stage:
    asked = {
        "prompt": {"length": 5, "seed": 7},
        "output_tokens": 3,
        "context_depth": 0,
        "continuation": "fixed",
        **(workload or {}),
    }
    return Stage(
        session=session,
        plain=session,
        workload=asked,  # type: ignore[arg-type]
        settings={"at_once": [1, 4], "warmup": 1, "repeats": 2, **settings},
        tokenizer=None,
        phases=Phases(time.perf_counter_ns()),
        progress=lambda *_: None,
    )


def test_each_request_and_all_of_them_have_their_figures() -> None:
    session = Together()
    stage = stage_of(session)
    found = {
        (each["metric"], *(each["parameters"].get(name, 0) for name in ("at_once", "place"))): each
        for each in concurrent.measure(stage)
    }
    assert [found["concurrent_ttft", 4, place]["value"] / MS for place in (1, 2, 3, 4)] == [1, 2, 3, 4]
    assert [found["concurrent_decode_rate", 4, place]["value"] for place in (1, 4)] == pytest.approx([400, 1000])
    assert found["throughput", 1, 0]["value"] == pytest.approx(3 / 3e-3)
    assert found["throughput", 4, 0]["value"] == found["full_throughput", 4, 0]["value"] == pytest.approx(12 / 6e-3)
    assert {len(each["samples"]) for each in found.values()} == {2}
    assert [len(each) for each in session.asked] == [1, 4, 1, 1, 4, 1, 4]
    assert len({tuple(prompt) for prompt in session.asked[-1]}) == 4, "each has a prompt of its own"
    assert stage.told["continuation"] == "greedy", "which was asked for otherwise"
    assert stage.told["concurrent"] == {"answers_by": "turns", "prompts": "one of its own in each"}


def test_a_session_that_answers_one_at_a_time_is_unsupported() -> None:
    with pytest.raises(Unsupported, match="answer one request at a time"):
        concurrent.measure(stage_of(NullSession()))


def test_more_than_it_takes_are_unsupported() -> None:
    with pytest.raises(Unsupported, match="5 requests at once: this adapter takes 4 at most"):
        concurrent.measure(stage_of(Together(), at_once=[1, 5]))


@pytest.mark.parametrize(
    ("workload", "why"),
    [
        ({"output_tokens": 1}, "ask for 2"),
        ({"context_depth": 64}, "an empty context"),
        ({"prompt": {"text": "hello", "seed": 0}}, "no tokenizer.json"),
    ],
)
def test_a_workload_that_does_not_fit_is_unsupported(workload: dict[str, Any], why: str) -> None:
    with pytest.raises(Unsupported, match=why):
        concurrent.measure(stage_of(Together(), workload))


def test_an_endpoint_is_given_the_text() -> None:
    class Endpoint:
        """Takes text, and counts no vocabulary."""

        most_at_once, answers_by, takes_text, vocabulary_size = 4, "connections", True, None

        def __init__(self) -> None:
            self.asked: list[Any] = []

        def answer_several(self, prompts: Sequence[Any], count: int) -> Sequence[TokenStream]:
            self.asked.append(prompts)
            return Together().answer_several(prompts, count)

    endpoint = Endpoint()
    text = {"prompt": {"text": "hello", "seed": 0}}
    concurrent.measure(stage_of(endpoint, text))
    assert endpoint.asked[-1] == ["hello"] * 4
    given = stage_of(Together(), {"prompt": {"tokens": [1, 2, 3], "seed": 0}})
    concurrent.measure(given)
    assert given.told["concurrent"]["prompts"] == "the same in each"
    with pytest.raises(Unsupported, match="takes a prompt as text only"):
        concurrent.measure(stage_of(endpoint))


@pytest.mark.parametrize(
    ("wrong", "error", "why"),
    [
        ({"began_ns": 0}, InvalidOutput, "outside the call"),
        ({"tokens_per_stamp": [1, 1]}, InvalidOutput, "each stamp has to cover a token"),
        ({"tokens": [10**9] * 3}, InvalidOutput, "the vocabulary has"),
        ({"stamps_ns": "back"}, InvalidOutput, "before the one that goes before it"),
        ({"stamps_ns": "at once"}, Unsupported, "came at one moment"),
    ],
)
def test_stamps_that_cannot_be_are_believed_of_nobody(wrong: dict[str, Any], error: type[Exception], why: str) -> None:
    class Lies(Together):
        def answer_several(self, prompts: Sequence[Any], count: int) -> Sequence[TokenStream]:
            first, *others = super().answer_several(prompts, count)
            stamps = first.stamps_ns
            said = {"back": stamps[::-1], "at once": [stamps[0]] * count}
            changed = {**vars(first), **wrong}
            if "stamps_ns" in wrong:
                changed["stamps_ns"] = said[wrong["stamps_ns"]]
            return [TokenStream(**changed), *others]

    with pytest.raises(error, match=why):
        concurrent.measure(stage_of(Lies()))


def test_an_answer_too_few_is_none() -> None:
    class Forgets(Together):
        def answer_several(self, prompts: Sequence[Any], count: int) -> Sequence[TokenStream]:
            return super().answer_several(prompts, count)[1:]

    with pytest.raises(InvalidOutput, match="1 requests were made, and there are 0 answers"):
        concurrent.measure(stage_of(Forgets()))


# Threads of adapters


def test_threads_begin_together_and_a_failure_of_one_is_raised() -> None:
    def fails() -> TokenStream:
        raise ModelFailure("no room")

    session = NullSession()
    with pytest.raises(ModelFailure, match="no room"):
        in_threads([lambda: greedy(session, [1, 2], 3), fails])
    (answer,) = in_threads([lambda: greedy(session, [1, 2], 3)])
    assert (answer.prompt_tokens, len(answer.stamps_ns), len(answer.tokens or ())) == (2, 3, 3)


# The suite's word


def suite(**settings: Any) -> Any:
    return suite_from_table(
        {"models": {"m": {"variants": {"a": {"artefact": "/a.gguf"}}}}, "scenarios": {"concurrent": settings}}
    )


def test_the_settings_are_checked() -> None:
    assert suite().scenarios.concurrent.at_once == (1, 2, 4)
    assert suite(at_once=3).scenarios.concurrent.at_once == (3,)
    for wrong in ([0], [17], [], [2, 2], "many"):
        with pytest.raises(SuiteError):
            suite(at_once=wrong)


# What is told


def made(variant: str = "int8", attempts: int = 3, answers_by: str = "turns") -> Any:
    measured = [measurement("full_throughput", {"at_once": 4, "output_tokens": 8}, 90.0)]
    for number, rate in ((1, 40.0), (2, 70.0), (4, 90.0)):
        of = {"at_once": number, "output_tokens": 8}
        measured.append(measurement("throughput", of, rate))
        for place in range(1, number + 1):
            measured.append(measurement("concurrent_ttft", {**of, "place": place}, place * 10.0 * MS))
            measured.append(measurement("concurrent_decode_rate", {**of, "place": place}, rate / number))
    effective = {"concurrent": {"answers_by": answers_by, "prompts": "one of its own in each"}}
    return result_of(job_of("concurrent", {}, "default", variant), measured, effective, attempts)


def test_what_more_at_once_are_worth_is_told() -> None:
    told = "4 requests at once get 2.25 {} times the tokens a second of one alone"
    assert list(SCENARIO.told(made())) == [told.format("[2.25, 2.25]")]
    assert list(SCENARIO.told(made(attempts=1))) == [told.format("in one attempt")]


def test_the_section_has_a_table_and_a_curve_for_each_row() -> None:
    (found,) = page_of([made("int8"), made("int4")]).of(ConcurrentSection)
    assert found.finding.startswith("int8: 40.0 tokens/s at 1, 70.0 tokens/s at 2, 90.0 tokens/s at 4")
    who, way, table = found.tables[0]
    assert (who, way) == ("int8", "turns; prompts: one of its own in each")
    assert [row.who for row in table.rows] == ["1 alone", "2 at once", "4 at once"]
    cells = zip(table.columns, table.rows[-1].cells, strict=True)
    last = {column: cell.quantity.text for column, cell in cells if cell.quantity is not None}
    assert last["TTFT", "of the first"] == "10.0 ms"
    assert last["TTFT", "of the last"] == "40.0 ms"
    assert last["decode rate", "of the last"] == "22.5 tokens/s"
    assert found.figure is not None
    assert [point[0] for point in found.figure.curves[0].points] == [1, 2, 4]
    assert found.figure.draw() is not None
    assert "int4: 40 at 1, 70 at 2, 90 at 4" in found.figure.description


@pytest.mark.parametrize("attack", ATTACKS)
def test_what_a_device_says_is_only_shown(attack: str) -> None:
    html = sections_html(page_of([made(answers_by=attack)]))
    assert attack not in html
    assert {tag for tag, _ in Elements(html).found}.isdisjoint({"script", "img"})


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({}, ""),
        ({"throughput": [4e9]}, "a first token came after all of them were answered"),
        ({"throughput": [1e-3]}, "rounds of requests that took longer than the attempt"),
        ({"concurrent_ttft": [1e6, 1e6]}, "have first tokens of 2 rounds, of 1"),
        ({"concurrent_ttft": [-1.0]}, "concurrent_ttft is not positive"),
        ({"full_throughput": [1001.0]}, "a throughput at the most requests at once that is none of 2 requests"),
    ],
)
def test_rounds_that_cannot_be_are_caught(changes: dict[str, list[float]], why: str) -> None:
    of = {"at_once": 2, "output_tokens": 8}
    sound = [
        measurement("throughput", of, samples=[1000.0]),
        measurement("full_throughput", of, samples=[changes.get("throughput", [1000.0])[0]]),
        *(measurement("concurrent_ttft", {**of, "place": place}, samples=[place * 5e6]) for place in (1, 2)),
    ]
    told = [
        measurement(each["metric"], each["parameters"], samples=changes.get(each["metric"], each["samples"]))
        for each in sound
    ]
    found = list(contradictions([Measurement(**each) for each in told], 10**9, None))
    assert [why in each for each in found[:1]] == ([True] if why else [])
