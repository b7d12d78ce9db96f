"""A runtime that stamps its own tokens, through the whole harness: what it simulates comes out.

Its clock is exact and its sleeps only hold up the caller, so the figures are the simulation's to the clock's step.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

import benchharness
from benchharness.results.result import MetricResult, OutcomeKind, Result, WarningKind
from tests.conftest import ROOT

TTFT_NS, GAP_NS, COUNT = 20_000_000, 4_000_000, 9
PROMPT = 8
TEXT = "a list of five animals"
SIMULATION = {"ttft_ns": TTFT_NS, "gap_ns": GAP_NS}
MODELS: Mapping[str, Mapping[str, Any]] = {
    "one": SIMULATION,
    "four": {**SIMULATION, "chunk": 4},
    "coarse": {**SIMULATION, "step_ns": 10_000_000},
    "text": {**SIMULATION, "text": True},
}
#: By what is wrong with the stamps, what the attempt says of it. Warm-up answers have eight tokens.
LIES = {
    "backwards": "before the one that goes before it",
    "too long": "and the whole call took",
    "one fewer": "8 tokens were asked for, and there are 7",
    "another clock": "lie outside the call",
}

Results = Mapping[tuple[str, str], Result]


def run(folder: Path, models: Mapping[str, Mapping[str, Any]], **tables: Any) -> Results:
    variants = {}
    for name, model in models.items():
        (folder / f"{name}.loop").write_text(json.dumps(model))
        variants[name] = {"artefact": str(folder / f"{name}.loop")}
    evaluation = tables.pop("evaluation", {})
    suite = {
        "configurations": [{"runtime": "own-loop"}],
        "models": {"m": {"variants": variants, **evaluation}},
        "attempts": {"at_least": 1, "at_most": 1, "timeout": "60 s"},
        **tables,
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "tests" / "own_loop"))
        patch.setenv("PYTHONPATH", f"{ROOT / 'tests' / 'own_loop'}:{ROOT}")
        found = benchharness.run(suite, store=f"sqlite:///{folder}/store.db")
    return {(result.job.variant, result.job.scenario): result for result in found.results}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("own_loop")


@pytest.fixture(scope="module")
def results(folder: Path) -> Results:
    (folder / "text.tokens").write_text(" ".join(["1 2 3 4 5"] * 20))
    return run(
        folder,
        {name: MODELS[name] for name in ("one", "four", "coarse")},
        evaluation={"evaluation": str(folder / "text.tokens")},
        workloads=[{"prompt": {"tokens": PROMPT}, "output_tokens": COUNT, "continuation": "greedy"}],
        scenarios={
            "first-token": {"min_time": "1 ms"},
            "steady": {"min_time": "1 ms", "think_time": ["10 ms"]},
            "sustained": {"duration": "1.5 s", "window": "300 ms", "entry_gate": "0 s"},
            "quality": {},
        },
    )


def only(result: Result, metric: str, percentile: int | None = None) -> MetricResult:
    found = [each for each in result.metrics if each.name == metric and each.parameters.get("percentile") == percentile]
    assert len(found) == 1, (metric, [each.name for each in result.metrics])
    return found[0]


def value(result: Result, metric: str, percentile: int | None = None) -> float | None:
    return only(result, metric, percentile).estimate.value


def kinds(result: Result) -> set[WarningKind]:
    return {warning.kind for warning in result.warnings}


@pytest.mark.parametrize("variant", ["one", "four"])
def test_the_first_token_is_there_when_the_simulation_says(results: Results, variant: str) -> None:
    result = results[variant, "first-token"]
    assert result.outcome.kind is OutcomeKind.OK, result.outcome
    ttft = only(result, "model_ttft")
    assert ttft.estimate.value == pytest.approx(TTFT_NS)
    assert ttft.parameters == {"prompt_tokens": PROMPT, "context_depth": 0}
    cold = value(result, "cold_start_ttft")
    assert cold is not None
    assert cold > TTFT_NS
    told = {
        name: getattr(result.effective, name)
        for name in ("timed_by", "stamped_at", "clock_resolution_ns", "tokens_per_stamp")
    }
    assert told == {
        "timed_by": "the engine's clock",
        "stamped_at": "device",
        "clock_resolution_ns": 1,
        "tokens_per_stamp": 1,
    }
    assert result.effective.task == "causal-lm"


def test_a_stamp_a_token_gives_gaps_between_tokens(results: Results) -> None:
    result = results["one", "steady"]
    assert result.outcome.kind is OutcomeKind.OK, result.outcome
    assert value(result, "itl", 50) == pytest.approx(GAP_NS)
    assert value(result, "tpot") == pytest.approx(GAP_NS)
    assert value(result, "decode_rate") == pytest.approx(1e9 / GAP_NS)
    assert value(result, "prefill_rate") == pytest.approx(PROMPT * 1e9 / TTFT_NS)
    assert value(result, "ttft_after_pause") == pytest.approx(TTFT_NS)
    assert only(result, "itl", 50).attempts[0].row_length == COUNT - 1
    assert result.effective.tokens_per_stamp == 1
    assert "chunk_gap" not in {each.name for each in result.metrics}
    assert WarningKind.BELOW_TIMER_RESOLUTION not in kinds(result)
    assert WarningKind.NOT_APPLIED not in kinds(result)


def test_chunks_give_no_gaps_between_tokens_and_say_so(results: Results) -> None:
    result = results["four", "steady"]
    assert result.outcome.kind is OutcomeKind.OK, result.outcome
    itl = only(result, "itl", 50)
    assert itl.estimate.value is None
    assert itl.estimate.reason == "a stamp covers up to 4 tokens"
    assert result.effective.tokens_per_stamp == 4
    # Nine tokens in chunks of 4, 4 and 1: the first chunk is there with its fourth token.
    assert value(result, "tpot") == pytest.approx(GAP_NS)
    assert value(result, "decode_rate") == pytest.approx(1e9 / GAP_NS)
    chunks = next(each for each in result.metrics if each.name == "chunk_gap" and each.attempts)
    assert set(chunks.attempts[0].samples) == {4 * GAP_NS, GAP_NS}
    assert "prefill_rate" not in {each.name for each in result.metrics}, "the first stamp covers decoded tokens too"


def test_a_coarse_clock_is_warned_of(results: Results) -> None:
    first, steady = results["coarse", "first-token"], results["coarse", "steady"]
    assert value(first, "model_ttft") == pytest.approx(TTFT_NS)
    (told,) = [each for each in first.warnings if each.kind is WarningKind.BELOW_TIMER_RESOLUTION]
    assert told.message == f"model TTFT: {TTFT_NS} ns by the engine's clock, in steps of 10000000"
    assert value(steady, "tpot") == pytest.approx(30_000_000 / (COUNT - 1)), "20 to 52 ms, in steps of 10"
    assert only(steady, "itl", 50).estimate.reason == (
        "gaps between tokens are below the stamps' resolution of 10000000 ns"
    )
    assert WarningKind.BELOW_TIMER_RESOLUTION in kinds(steady)


@pytest.mark.parametrize("variant", ["one", "four", "coarse"])
def test_a_course_has_the_simulations_rate(results: Results, variant: str) -> None:
    result = results[variant, "sustained"]
    assert result.outcome.kind is OutcomeKind.OK, result.outcome
    (course,) = result.courses
    rate = 1e9 * 8 / 30_000_000 if variant == "coarse" else 1e9 / GAP_NS
    assert [window.rate for window in course.windows] == pytest.approx([rate] * len(course.windows))
    assert result.effective.timed_by == "the engine's clock"


@pytest.mark.parametrize("variant", ["four", "coarse"])
def test_there_is_no_quality_without_logits(results: Results, variant: str) -> None:
    outcome = results[variant, "quality"].outcome
    assert outcome.kind is OutcomeKind.UNSUPPORTED
    assert "gives no logits, so its quality cannot be measured" in outcome.reason


def test_the_report_says_what_is_not_known(results: Results, folder: Path) -> None:
    assert results
    page, _ = benchharness.load(store=f"sqlite:///{folder}/store.db").render(folder)
    assert "a stamp covers up to 4 tokens" in page.read_text(encoding="utf-8")


def test_a_text_is_handed_over_as_it_is(tmp_path: Path) -> None:
    found = run(
        tmp_path,
        {name: MODELS[name] for name in ("text", "one")},
        workloads=[{"prompt": {"text": TEXT}, "output_tokens": COUNT}],
        scenarios={"first-token": {"min_time": "1 ms"}},
    )
    result = found["text", "first-token"]
    ttft = only(result, "request_ttft")
    assert ttft.estimate.value == pytest.approx(TTFT_NS)
    assert ttft.parameters == {"prompt_tokens": len(TEXT.split()), "context_depth": 0}
    assert "model_ttft" not in {each.name for each in result.metrics}
    (told,) = [each.message for each in result.warnings if each.kind is WarningKind.NOT_APPLIED]
    assert told == "a fixed continuation was asked for, and answers are what the model chooses"
    other = found["one", "first-token"].outcome
    assert (other.kind, "no tokenizer.json" in other.reason) == (OutcomeKind.UNSUPPORTED, True)


def test_stamps_that_cannot_be_are_no_measurement(tmp_path: Path) -> None:
    found = run(
        tmp_path,
        {lie: {**SIMULATION, "lie": lie} for lie in LIES},
        workloads=[{"prompt": {"tokens": PROMPT}, "output_tokens": COUNT, "continuation": "greedy"}],
        scenarios={"steady": {"min_time": "1 ms"}},
    )
    for lie, told in LIES.items():
        outcome = found[lie, "steady"].outcome
        assert (outcome.kind, told in outcome.reason) == (OutcomeKind.INVALID, True), outcome
