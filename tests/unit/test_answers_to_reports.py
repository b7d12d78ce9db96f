"""What the first screen says of models that people have reported trouble with.

onnxruntime issue 20052: a small convolutional net in int8 is slower than in float32. tensorflow issue 60903: a
converted classifier is smaller and loses half of its accuracy. tensorflow issue 44289: a model with several outputs.
prometheus/client_java pull request 2394: a report calls work slower that was not told apart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from benchharness.judge.answer import Answer, AnswerKind, answers
from benchharness.judge.budgets import judged
from benchharness.judge.derive import derive
from benchharness.metrics.limits import parse
from benchharness.results.result import Attempt, Measurement, Result, VerdictKind
from tests.unit.made_up import attempt, job, measured

INPUTS = 400
SIZES = {"fp32": 600_000, "small": 20_000}


def results_of(times_us: Mapping[str, Sequence[float]], *lost: Measurement) -> list[Result]:
    """Two variants by the medians of their attempts, and what was compared of them."""
    jobs, attempts = [], []
    for number, (variant, times) in enumerate(times_us.items()):
        key, size = f"{number:016x}", SIZES[variant]
        jobs.append((job(key, variant=variant, reference="fp32", task="classifier", artefact_bytes=size), ""))
        attempts += [attempt(at, timed(1e3 * each), job=key) for at, each in enumerate(times)]
    against = {"variant": "fp32", "configuration": job("0" * 16).configuration.to_json()}
    compared = job("f" * 16, variant="small", reference="fp32", task="classifier", scenario="quality", against=against)
    made: list[Attempt] = [*attempts, attempt(0, *lost, job=compared.key)]
    return derive([*jobs, (compared, "")] if lost else jobs, made if lost else attempts)


def timed(value_ns: float) -> Measurement:
    return measured("steady_inference", value_ns, [value_ns] * 9)


def decisions(reference_right: int, variant_right: int) -> Measurement:
    """Labelled inputs of which both classify so many right, the first ones."""
    rows = [number for at in range(INPUTS) for number in (1.0, float(at < reference_right), float(at < variant_right))]
    return measured("class_decisions", variant_right / INPUTS, rows, parameters={"classes": 2}, row_length=3)


def around(value: float) -> list[float]:
    return [value * (1 + share) for share in (-0.01, -0.005, 0, 0.005, 0.01)]


def answer_of(results: Sequence[Result], **budgets: Any) -> Answer:
    (answer,) = answers(judged(results, parse(budgets, "suite")))
    return answer


def test_a_smaller_variant_that_is_slower_says_so_beside_the_verdict() -> None:
    results = results_of({"fp32": around(34), "small": around(48)})
    answer = answer_of(results, size="100 kB")
    assert answer.headline == "Ship small"
    assert answer.sentences == (
        "It keeps the budget: size 20.0 kB.",
        "Worse than its reference, without a limit: steady inference 48.00 µs, 1.41×.",
    )
    assert "Clearly best: size: small, 19.5 KiB; steady inference: fp32, 34.00 µs." in answer_of(results).sentences


def test_a_faster_variant_that_lost_its_accuracy_says_so_beside_the_verdict() -> None:
    results = results_of({"fp32": around(17), "small": around(8)}, decisions(370, 106))
    answer = answer_of(results, size="100 kB")
    assert answer.headline == "Ship small"
    assert "No limit on quality: accuracy 26.5 %, the reference's 92.5 %." in answer.sentences
    assert not [each for each in answer.sentences if each.startswith("Worse")]
    assert "accuracy: fp32, 92.5 %" in answer_of(results).sentences[0]


def test_a_limit_on_accuracy_is_judged_of_the_reference_too() -> None:
    results = results_of({"fp32": around(17), "small": around(8)}, decisions(370, 106))
    answer = answer_of(results, accuracy="85 %")
    assert answer.headline == "Ship fp32"
    at = [column.metric for column in answer.columns].index("accuracy")
    assert [(row.name, row.cells[at].verdict) for row in answer.rows] == [
        ("fp32", VerdictKind.PASS),
        ("small", VerdictKind.MISS),
    ]
    assert not answer.rows[0].cells[at].is_bound
    close = answer_of(results, accuracy="92 %")
    assert close.headline == "Undecided: fp32 keeps 0 of 1, accuracy open"
    assert "inputs would decide it" in close.sentences[0]
    assert answer_of(results, accuracy="99 %").kind is AnswerKind.NONE


def test_the_worst_of_several_outputs_is_named_beside_the_verdict() -> None:
    outputs = [
        measured("tensor_error", 1.0, [1.0, power, 1 - power, 0.9] * 60, parameters={"output": name}, row_length=4)
        for name, power in (("scores", 1e-5), ("box", 0.8))
    ]
    results = results_of({"fp32": around(10), "small": around(10)}, *outputs)
    answer = answer_of(results, size="100 kB")
    (told,) = [each for each in answer.sentences if each.startswith("No limit on quality")]
    assert told.endswith(" of box.")


@pytest.mark.parametrize("other", [around(17), [17.0, 17.4, 16.8, 17.1, 17.0]])
def test_equal_work_is_never_told_apart_by_noise(other: Sequence[float]) -> None:
    answer = answer_of(results_of({"fp32": around(17), "small": other}))
    assert answer.sentences[0] == "Clearly best: size: small, 19.5 KiB."
    ratios = [cell.ratio for row in answer.rows for cell in row.cells[1:] if cell.ratio]
    assert [each.apart for each in ratios] == [0]


def test_only_an_undecided_budget_is_undecided_and_says_what_would_decide_it() -> None:
    answer = answer_of(results_of({"fp32": around(17)}), steady_inference={"p50": "17.05 us"})
    assert answer.headline == "Undecided: fp32 keeps 0 of 1, steady inference p50 open"
    assert "attempts would decide it" in answer.sentences[0]
