"""No ratio over unequal work: whatever differs beside the factor withholds it, and its place says what."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchharness.contract import Configuration, EffectiveConfiguration
from benchharness.device.session_facts import effective_facts
from benchharness.judge.derive import derive
from benchharness.judge.unequal import Factor, differences, unlike
from benchharness.judge.warnings import significand
from benchharness.results.export import to_json
from benchharness.results.requested import Data, Opened, Prompt, Workload
from benchharness.results.result import Attempt, Basis, Estimate, Job, Measurement, Result, WarningKind
from benchharness.results.told import Effective
from tests.contract.sound_adapter import Sound, Tensors, write_models
from tests.unit.made_up import attempt, job, measured
from tests.unit.test_contrasts import RUN
from tests.unit.test_terminal import printed

EFFECTIVE: Mapping[str, Any] = {
    "threads": 2,
    "inputs": {"x": ["float32", 1, 80, 3000], "length": ["int64", 1]},
    "invented_inputs": {"x": {"by": "noise", "value": "normal"}, "length": {"by": "axis", "value": "3000"}},
    "runtime_version": "1.22",
    "execution": "device",
    "precision": "float32",
    "cache": "in-place",
    "facts": {"cache_length": 1280, "package": "litert"},
}
CONDITIONS: Mapping[str, Any] = {"python": "3.12.1", "page_cache": "warm"}
RUNTIMES: dict[str, Any] = {"runtime": "onnxruntime", "accelerator": None, "threads": 2, "options": {}, "python": None}


def configuration(runtime: str = "onnxruntime", **changes: Any) -> dict[str, Any]:
    return {**RUNTIMES, "runtime": runtime, **changes, "name": f"{runtime} {changes}"}


REFERENCE = job("r" * 16, variant="fp32", configuration=configuration(), precision="fp32")
VARIANT = job("v" * 16, variant="int8", configuration=configuration(), precision="int8")
LITERT = job("l" * 16, variant="fp32.tflite", configuration=configuration("tflite"), precision="fp32")
NPU = job("n" * 16, variant="fp32", configuration=configuration(accelerator="npu"), precision="fp32")
PAIRS = {Factor.VARIANT: VARIANT, Factor.RUNTIME: LITERT, Factor.ACCELERATOR: NPU}


def rates(prompt: int = 64, depth: int = 64) -> list[Measurement]:
    return [
        measured("prefill_rate", 100.0, parameters={"prompt_tokens": prompt, "context_depth": 0}),
        measured("decode_rate", 50.0, parameters={"output_tokens": 32, "context_depth": depth}),
        measured("peak_memory", 1e8),
    ]


def ran(
    made: Job,
    effective: Mapping[str, Any] | None = None,
    conditions: Mapping[str, Any] | None = None,
    measurements: Sequence[Measurement] | None = None,
    rounds: int = 3,
) -> list[Attempt]:
    return [
        attempt(
            round_,
            *(rates() if measurements is None else measurements),
            job=made.key,
            effective={**EFFECTIVE, **(effective or {})},
            conditions={**CONDITIONS, **(conditions or {})},
        )
        for round_ in range(rounds)
    ]


def compared(factor: Factor, *changed: Any, **asked: Any) -> tuple[Result, list[Estimate]]:
    """The second result, and its ratios over the factor: attempts of the first are plain, of the second `changed`."""
    other = replace(PAIRS[factor], **asked)
    attempts = [*ran(REFERENCE), *ran(other, *changed)]
    _, result = derive([(REFERENCE, ""), (other, "")], attempts)
    if factor is Factor.VARIANT:
        return result, [metric.ratio for metric in result.metrics if metric.ratio]
    basis = Basis(str(factor))
    found = [ratio for each in result.contrasts if each.basis is basis for _, _, ratio in each.ratios]
    return result, found


@pytest.mark.parametrize("factor", PAIRS)
def test_equal_work_has_its_ratios(factor: Factor) -> None:
    _, ratios = compared(factor)
    assert [ratio.value for ratio in ratios] == [1] * 5  # three that were measured, two sizes


Difference = tuple[str, Mapping[str, Any], Mapping[str, Any], str]
#: What is told, effective facts, conditions, and in words.
EVERYWHERE: list[Difference] = [
    ("more threads", {"threads": 8}, {}, "8 threads against 2"),
    ("one thread", {"threads": 1}, {}, "1 thread against 2"),
    (
        "fewer frames",
        {"inputs": {"x": ["float32", 1, 80, 64], "length": ["int64", 1]}},
        {},
        "input x 1×80×64 against 1×80×3000",
    ),
    (
        "a larger batch",
        {"inputs": {"x": ["float32", 4, 80, 3000], "length": ["int64", 1]}},
        {},
        "input x 4×80×3000 against 1×80×3000",
    ),
    ("one input less", {"inputs": {"x": ["float32", 1, 80, 3000]}}, {}, "inputs none against length 1"),
    (
        "a made-up length",
        {"invented_inputs": {"x": {"by": "noise", "value": "normal"}, "length": {"by": "noise", "value": "7"}}},
        {},
        "input length made up as 7 against 3000",
    ),
    ("reference execution", {"execution": "reference"}, {}, "reference execution against device execution"),
    ("no cache", {"cache": "none"}, {}, "key/value cache none against in-place"),
    ("a cold page cache", {}, {"page_cache": "evicted"}, "page cache evicted against warm"),
]
IN_ONE_RUNTIME: list[Difference] = [
    ("a newer runtime", {"runtime_version": "1.23"}, {}, "onnxruntime 1.23 against 1.22"),
    ("another Python", {}, {"python": "3.9.2"}, "Python 3.9.2 against 3.12.1"),
    (
        "a cache that the graph copies",
        {"cache": "grown-by-graph"},
        {},
        "key/value cache grown-by-graph against in-place",
    ),
    ("a longer cache", {"facts": {"cache_length": 4096}}, {}, "cache length 4096 against 1280"),
    ("another package", {"facts": {"package": "tflite_runtime"}}, {}, "package tflite_runtime against litert"),
]
ACROSS: list[Difference] = [
    ("computed in less", {"precision": "bfloat16"}, {}, "computed in bfloat16 against float32"),
    ("computed in half", {"precision": "float16"}, {}, "computed in float16 against float32"),
    ("computed in part in less", {"precision": "float16+float32"}, {}, "computed in float16+float32 against float32"),
    ("threads that nobody knows", {"threads": None}, {}, "threads unknown against 2"),
]
CASES = [
    *((factor, case) for factor in PAIRS for case in EVERYWHERE),
    *((factor, case) for factor in (Factor.VARIANT, Factor.ACCELERATOR) for case in IN_ONE_RUNTIME),
    *((Factor.RUNTIME, case) for case in ACROSS),
]


@pytest.mark.parametrize(("factor", "case"), CASES, ids=[f"{factor}, {case[0]}" for factor, case in CASES])
def test_a_difference_beside_the_factor_withholds_the_ratio_and_is_said(factor: Factor, case: Difference) -> None:
    _, effective, conditions, told = case
    _, ratios = compared(factor, effective, conditions)
    assert [(ratio.value, ratio.reason) for ratio in ratios[:3]] == [(None, told)] * 3
    assert [ratio.value for ratio in ratios[3:]] == [1, 1]  # sizes are no work


FREE = [
    (Factor.VARIANT, {"precision": "bfloat16"}),
    (Factor.VARIANT, {"inputs": {"x": ["int8", 1, 80, 3000], "length": ["int64", 1]}}),
    (Factor.VARIANT, {"threads": None}),  # one runtime, asked for the same
    (Factor.RUNTIME, {"runtime_version": "2.1", "facts": {"package": "litert"}}),
    (Factor.RUNTIME, {"cache": "grown-by-graph"}),
    (Factor.RUNTIME, {"inputs": {"serving_default_x:0": ["float32", 1, 3000, 80], "args_1": ["int32", 1]}}),
    (Factor.RUNTIME, {"precision": None}),
    (Factor.ACCELERATOR, {"precision": "float16", "accelerators": ["npu"]}),
    (Factor.ACCELERATOR, {"threads": None}),
]


@pytest.mark.parametrize(("factor", "effective"), FREE)
def test_what_the_comparison_is_about_may_differ(factor: Factor, effective: Mapping[str, Any]) -> None:
    if "serving_default_x:0" in effective.get("inputs", {}):
        effective = {**effective, "invented_inputs": None}
    _, ratios = compared(factor, effective)
    assert [ratio.value for ratio in ratios] == [1] * 5


@pytest.mark.parametrize("factor", PAIRS)
def test_other_token_counts_withhold_every_ratio_and_are_said(factor: Factor) -> None:
    """As where a variant brings a tokenizer of its own, so that one text is not as many tokens."""
    _, ratios = compared(factor, None, None, rates(prompt=67, depth=67))
    told = {ratio.reason for ratio in ratios if ratio.value is None}
    assert told == {"67 prompt tokens against 64; 67 tokens of context against 64"}
    assert len([ratio for ratio in ratios if ratio.value is None]) == 3


def test_a_runtime_that_writes_what_the_model_chooses_did_not_what_was_asked() -> None:
    asked = [replace(each, workload=replace(each.workload, continuation="fixed")) for each in (REFERENCE, LITERT)]
    told = [{**EFFECTIVE, "continuation": "greedy"}, EFFECTIVE]
    own, fed = (
        derive([(made, "")], ran(made, did, CONDITIONS, rates()))[0] for made, did in zip(asked, told, strict=True)
    )
    assert differences(own, fed, Factor.RUNTIME) == ["greedy continuation against fixed continuation"]
    assert differences(fed, fed, Factor.RUNTIME) == []


def test_a_result_of_an_older_version_that_does_not_tell_is_not_said_to_differ() -> None:
    told_since = dict.fromkeys(("precision", "invented_inputs", "cache"))
    assert [ratio.value for ratio in compared(Factor.VARIANT, told_since)[1]] == [1] * 5


NUMBERS = st.integers(1, 9)
WORK: Mapping[str, st.SearchStrategy[Any]] = {
    "threads": NUMBERS,
    "inputs": st.dictionaries(
        st.sampled_from(["x", "mask"]), st.tuples(st.just("float32"), NUMBERS, NUMBERS).map(list), min_size=1
    ),
    "invented_inputs": st.dictionaries(st.sampled_from(["x", "mask"]), st.fixed_dictionaries({"value": NUMBERS})),
    "execution": st.sampled_from(["device", "reference"]),
    "cache": st.sampled_from(["in-place", "none"]),
    "prompt": NUMBERS,
    "page_cache": st.sampled_from(["warm", "evicted"]),
}
ANY = st.fixed_dictionaries(dict(WORK))


@given(
    factor=st.sampled_from(list(PAIRS)),
    ours=ANY,
    name=st.sampled_from(list(WORK)),
    theirs=ANY,
)
def test_any_single_difference_in_work_withholds_the_ratio(
    factor: Factor, ours: Mapping[str, Any], name: str, theirs: Mapping[str, Any]
) -> None:
    """And equal work, whatever it is, has one."""
    (before,), (after,) = (
        _results(REFERENCE, ours),
        _results(PAIRS[factor], {**ours, name: theirs[name]}),
    )
    told = differences(after, before, factor)
    if name == "inputs" and sorted(shape[1:] for shape in ours[name].values()) == sorted(
        shape[1:] for shape in theirs[name].values()
    ):
        return  # the same shapes under other names
    if name == "invented_inputs" and not ours[name].keys() & theirs[name].keys() and _values(ours) == _values(theirs):
        return
    assert bool(told) == (ours[name] != theirs[name])
    assert bool(told) == bool(differences(before, after, factor))


def _values(work: Mapping[str, Any]) -> list[str]:
    return sorted(map(str, work["invented_inputs"].values()))


def _results(made: Job, work: Mapping[str, Any]) -> list[Result]:
    effective = {name: work[name] for name in work if name not in ("prompt", "page_cache")}
    measurements = [measured("model_ttft", 1e6, parameters={"prompt_tokens": work["prompt"], "context_depth": 0})]
    return derive([(made, "")], ran(made, effective, {"page_cache": work["page_cache"]}, measurements, rounds=1))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (
            {"workload": Workload(name="w", prompt=Prompt.from_json({"length": 512, "seed": 0}))},
            'prompt {"length": 512, "seed": 0}',
        ),
        ({"settings": {"warmup": 9}}, "warmup 9 against 2"),
        ({"scenario": "first-token"}, "scenario first-token against steady"),
    ],
)
def test_results_of_two_runs_are_told_apart_by_what_was_asked(changes: dict[str, Any], told: str) -> None:
    """`derive` never pairs such; whoever compares results of any runs is told all the same."""
    (one,), (two,) = _runs(VARIANT), _runs(replace(VARIANT, **changes))
    assert told in "; ".join(differences(two, one, Factor.VARIANT))


def _runs(made: Job) -> list[Result]:
    return derive([(made, "")], ran(made))


@pytest.mark.parametrize(
    ("changes", "parameters", "told"),
    [
        ({"data": {"sha256": "f" * 64}}, {}, "data ffffffffffff against eeeeeeeeeeee"),
        ({}, {"evaluation": "prefill", "prefill_chunk": 32}, "evaluation prefill against decode"),
        ({}, {"chunk_tokens": 512}, "512 tokens in a chunk against 256"),
        ({"against": "b"}, {}, "reference of quality bbbbbbbbbbbb against aaaaaaaaaaaa"),
    ],
)
def test_quality_on_other_data_or_evaluated_otherwise_is_no_ratio(
    changes: dict[str, Any], parameters: dict[str, Any], told: str
) -> None:
    def quality(sha: str, against: str, given: Mapping[str, Any]) -> Result:
        made = replace(
            VARIANT,
            scenario="quality",
            workload=Workload(name="texts", data=Data(sha256=sha, path=f"/somewhere/{sha}")),
            against=Opened(digest=against * 64),
        )
        (found,) = derive([(made, "")], ran(made, measurements=[]))
        evaluated = {"evaluation": "decode", "chunk_tokens": 256, **given}
        estimate = Estimate(value=0.1)
        metrics = [replace(found.metrics[0], name="kld", parameters=evaluated, estimate=estimate)]
        return replace(found, metrics=metrics)

    plain = quality("e" * 64, "a", {})
    other = quality(changes.get("data", {}).get("sha256", "e" * 64), changes.get("against", "a"), parameters)
    assert differences(plain, quality("e" * 64, "a", {}), Factor.VARIANT) == []
    assert told in differences(other, plain, Factor.VARIANT)


MIXED: list[tuple[str, Callable[[int], tuple[dict[str, Any], dict[str, Any]]], str]] = [
    ("threads", lambda at: ({"threads": 1 + (at > 0)}, {}), "threads 1 in 1, 2 in 2"),
    ("version", lambda at: ({"runtime_version": f"1.{at > 1:d}"}, {}), "runtime version 1.0 in 2, 1.1 in 1"),
    ("page cache", lambda at: ({}, {"page_cache": "warm" if at else "evicted"}), "page cache evicted in 1, warm in 2"),
    ("precision", lambda at: ({"precision": "bfloat16" if at else "float32"}, {}), "precision float32 in 1"),
]


@pytest.mark.parametrize(("change", "told"), [case[1:] for case in MIXED], ids=[case[0] for case in MIXED])
def test_attempts_of_one_job_that_differ_are_a_warning_and_no_ratio(
    change: Callable[[int], tuple[dict[str, Any], dict[str, Any]]], told: str
) -> None:
    attempts = [ran(VARIANT, *change(round_))[round_] for round_ in range(3)]
    _, result = derive([(REFERENCE, ""), (VARIANT, "")], [*ran(REFERENCE), *attempts])
    (warning,) = [each for each in result.warnings if each.kind is WarningKind.UNEQUAL_WORK]
    assert told in warning.message
    ratios = [metric.ratio for metric in result.metrics if metric.ratio]
    assert [ratio.value for ratio in ratios] == [None] * 3 + [1] * 2
    assert all("attempts of this differ" in ratio.reason for ratio in ratios[:3])


def test_attempts_that_share_what_they_tell_are_counted_one_by_one() -> None:
    """As a store reads them: what many tell alike is one object."""
    one, two = (Effective.from_json({"threads": threads}) for threads in (1, 2))
    short, long = ([replace(each, parameters={"prompt_tokens": count}) for each in rates()[:1]] for count in (8, 16))
    told = [(one, short), (one, short), (two, short), (two, long), (two, long), (two, long)]
    attempts = [
        replace(attempt(number), effective=effective, measurements=measurements)
        for number, (effective, measurements) in enumerate(told)
    ]
    assert unlike(attempts, VARIANT) == [
        "threads 1 in 2, 2 in 4",
        'prompt tokens: {"prefill_rate": [8]} in 3, {"prefill_rate": [16]} in 3',
    ]
    assert unlike(attempts[3:], VARIANT) == []


def test_what_differs_stands_in_the_cell_of_every_view() -> None:
    attempts = [*ran(REFERENCE), *ran(LITERT, {"threads": 1})]
    results = derive([(REFERENCE, ""), (LITERT, "")], attempts)
    text = printed(results)
    assert "no ratio: 1 thread against 2" in text
    assert "×" not in text
    exported = json.loads(to_json(RUN, results))["results"][1]["contrasts"][0]["ratios"]
    told = {each["name"]: (each["value"], each["reason"]) for each in exported}
    assert told["prefill_rate"] == (None, "1 thread against 2")
    assert told["artefact_size"] == (1, "")


class InLess(Tensors):
    """Computes float32 in bfloat16, as OpenVINO does where the processor can: products of the upper 16 bits."""

    def scores(self, x: Any) -> Any:
        return _bfloat16(x) @ _bfloat16(self.matrix)


def _bfloat16(values: Any) -> Any:
    return (np.asarray(values, np.float32).view(np.uint32) & 0xFFFF0000).view(np.float32)


class LessThanSaid(Sound):
    name = "less"
    tensors = InLess

    def effective(self, configuration: Configuration) -> EffectiveConfiguration:
        return replace(super().effective(configuration), precision="bfloat16", model_precision="float32")


class AsSaid(Sound):
    def effective(self, configuration: Configuration) -> EffectiveConfiguration:
        return replace(super().effective(configuration), precision="float32", model_precision="float32")


def test_an_adapter_that_computes_float32_in_bfloat16_is_warned_of_and_has_no_ratio_at_equal_precision(
    tmp_path: Path,
) -> None:
    _, model, _ = write_models(tmp_path)
    attempts, answers = [], []
    for made, adapter in ((REFERENCE, AsSaid()), (LITERT, LessThanSaid())):
        with adapter.open(model, Configuration(runtime=adapter.name)) as session:
            answers.append(session.run({"x": np.full((1, 4), 1 / 3, np.float32)})["scores"])
            facts = {**effective_facts(session.effective), "cache": None, "runtime_version": "1"}
        attempts += ran(made, facts)
    assert 1e-4 < np.abs(answers[0] - answers[1]).max() < 0.1  # it does, and not by much
    plain, less = derive([(REFERENCE, ""), (LITERT, "")], attempts)
    assert [warning for warning in plain.warnings if warning.kind is WarningKind.LOWER_PRECISION] == []
    (warning,) = [warning for warning in less.warnings if warning.kind is WarningKind.LOWER_PRECISION]
    assert warning.message == "the model file says float32 and the runtime computed in bfloat16"
    reasons = {ratio.reason for each in less.contrasts for _, _, ratio in each.ratios if ratio.value is None}
    assert reasons == {"computed in bfloat16 against float32"}


@pytest.mark.parametrize(
    ("effective", "precision", "warned"),
    [
        ({"precision": "bfloat16"}, "fp32", "the suite says fp32 and the runtime computed in bfloat16"),
        ({"precision": "float16", "model_precision": "float32"}, None, "the model file says float32"),
        ({"precision": "bfloat16+float32", "model_precision": "float32"}, "int8", "the model file says float32"),
        ({"precision": "float32", "model_precision": "float16"}, "fp16", ""),  # more than asked for
        ({"precision": "float16"}, "fp16", ""),
        ({"precision": "float16"}, "int8", ""),
        ({"precision": None, "model_precision": "float32"}, "fp32", ""),
        ({"precision": 7, "model_precision": ["x"]}, "fp32", ""),
    ],
)
def test_less_than_was_said_is_a_warning(effective: dict[str, Any], precision: str | None, warned: str) -> None:
    made = replace(VARIANT, precision=precision)
    (result,) = derive([(made, "")], ran(made, effective))
    found = [warning.message for warning in result.warnings if warning.kind is WarningKind.LOWER_PRECISION]
    assert [message[: len(warned)] for message in found] == ([warned] if warned else [])


def test_significands() -> None:
    bits = {name: np.finfo(name).nmant + 1 for name in ("float64", "float32", "float16")}
    for name, expected in bits.items():
        assert significand(name) == expected
    assert (significand("BF16"), significand("float32+float16"), significand("int8")) == (8, 11, None)
