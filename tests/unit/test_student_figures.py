"""Bits per byte, answers and the loss of a student from raw rows, against sums written out and torch's own figures."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy import special

from benchharness.device.scenarios.quality.divergence import divergence_of, softened, tempered, token_row
from benchharness.judge.budgets import judged
from benchharness.judge.derive import derive_one
from benchharness.judge.exact_shares import clopper_pearson
from benchharness.metrics import METRICS, limits
from benchharness.records import ANSWERS_ALIKE, SCORED_TEXTS, TEMPERED_DIVERGENCE, TOKEN_DIVERGENCE, TextRow
from benchharness.results.plausibility import contradictions
from benchharness.results.result import Measurement, MetricResult, Parameters, Result, VerdictKind
from benchharness.scenarios.quality import SCENARIO, Quality
from benchharness.scenarios.quality.comparison import quality_metrics
from tests.unit.made_up import attempt, job, measured

RANDOM = np.random.default_rng(23)
TOLD: Parameters = {"evaluation": "decode", "chunk_tokens": 8, "used": "12 of 12 windows, 600 of 600 bytes scored"}
DIFFER = "two vocabularies: the reference's has 1024 tokens and 1024 logits, this variant's 512 and 512"


def texts(count: int = 12, *, documents: int = 1, worse: float = 0.3) -> list[TextRow]:
    """Stretches of which the variant needs more than the reference, and tokens of both that say nothing."""
    rows = []
    for at in range(count):
        size, nats = float(RANDOM.integers(20, 200)), float(RANDOM.uniform(20, 200))
        rows.append(
            TextRow(float(at * documents // count), size, nats, nats * (1 + worse * RANDOM.random()), 20.0, 60.0)
        )
    return rows


def scored(rows: Sequence[TextRow]) -> Measurement:
    return measured("scored_texts", 1.0, SCORED_TEXTS.flat(rows), parameters=TOLD, row_length=6)


def tokens(rows: np.ndarray, **more: Any) -> Measurement:
    told = {"evaluation": "decode", "scored": 8, "scored_from": 8, "chunks": len(rows) // 8, **more}
    return measured("token_divergence", 0.5, rows.reshape(-1).tolist(), parameters=told, row_length=4)


def metrics(*measurements: Measurement, **told: Any) -> list[MetricResult]:
    return list(quality_metrics(attempt(0, *measurements, effective=told)))


def one(found: Sequence[MetricResult], name: str, **parameters: Any) -> MetricResult:
    (metric,) = [
        each
        for each in found
        if each.name == name and all(each.parameters.get(key) == value for key, value in parameters.items())
    ]
    return metric


def ends(metric: MetricResult) -> tuple[float, float, float]:
    found = metric.estimate
    assert found.low is not None
    assert found.value is not None
    assert found.high is not None
    return found.low, found.value, found.high


def test_bits_that_no_number_holds_are_unknown_and_so_is_what_was_lost() -> None:
    rows = [TextRow(0.0, 10.0, 1.5e308, 1.6e308, 10.0, 3.0) for _ in range(8)]
    for name in ("bits_per_byte", "reference_bits_per_byte", "bits_per_byte_loss"):
        found = one(metrics(scored(rows)), name).estimate
        assert (found.value, found.low, found.high) == (None, None, None), name
        assert found.reason.startswith("larger than"), name


def test_bits_are_nats_over_ln_2_and_a_model_that_knows_nothing_needs_eight_a_byte() -> None:
    """EleutherAI/lm-evaluation-harness pull request 242: bits per byte were printed that were nats."""
    rows = [TextRow(0.0, 10.0, 10 * math.log(256), 10 * math.log(256) / 2, 10.0, 3.0) for _ in range(8)]
    found = metrics(scored(rows))
    assert one(found, "reference_bits_per_byte").estimate.value == pytest.approx(8.0, rel=1e-12)
    assert one(found, "bits_per_byte").estimate.value == pytest.approx(4.0, rel=1e-12)
    assert one(found, "bits_per_byte_loss").estimate.value == pytest.approx(-4.0, rel=1e-12)


def test_a_stretch_counts_by_its_bytes_and_tokens_count_for_nothing() -> None:
    rows = texts()
    sizes, reference, variant = (
        np.array([getattr(row, name) for row in rows]) for name in ("size", "reference", "variant")
    )
    found = metrics(scored(rows))
    expected = [each.sum() / math.log(2) / sizes.sum() for each in (reference, variant)]
    assert one(found, "reference_bits_per_byte").estimate.value == pytest.approx(expected[0], rel=1e-12)
    assert one(found, "bits_per_byte").estimate.value == pytest.approx(expected[1], rel=1e-12)
    loss = one(found, "bits_per_byte_loss")
    assert loss.estimate.value == pytest.approx(expected[1] - expected[0], rel=1e-9)
    more = metrics(scored([row._replace(variant_tokens=row.variant_tokens * 7) for row in rows]))
    assert ends(one(more, "bits_per_byte_loss")) == ends(loss)


def test_the_loss_is_paired_so_its_interval_is_narrower_than_that_of_either_side() -> None:
    found = metrics(scored(texts(40, worse=0.02)))
    (low, _, high), (least, _, most) = (ends(one(found, name)) for name in ("bits_per_byte_loss", "bits_per_byte"))
    assert 0 < low < high
    assert (high - low) * 5 < most - least


def test_of_several_documents_the_documents_are_drawn_again() -> None:
    found = one(metrics(scored(texts(30, documents=10))), "bits_per_byte_loss").estimate
    assert (found.drawn, found.drawn_unit) == (10, "documents")
    of_one = one(metrics(scored(texts(30))), "bits_per_byte_loss").estimate
    assert "interval over 30 stretches of text in a row, Student's t, " in of_one.statistic
    few = one(metrics(scored(texts(30, documents=3))), "bits_per_byte_loss").estimate
    assert (few.low, few.reason) == (None, "3 documents, and an interval needs 5")


def test_a_copy_of_the_reference_loses_nothing_and_claims_no_interval() -> None:
    rows = [row._replace(variant=row.reference) for row in texts()]
    found = one(metrics(scored(rows)), "bits_per_byte_loss").estimate
    assert (found.value, found.low) == (0.0, None)
    assert "none of the 12 stretches of text differs" in found.reason


def test_a_copy_whose_every_token_is_the_references_own_loses_exactly_nothing() -> None:
    rows = [row._replace(variant=row.reference) for row in texts()]
    made = token_rows()
    made[:, 1], made[:, 2], made[:, 3] = made[:, 0], 0.0, 1.0
    answers = measured("answers_alike", 1.0, [1.0, 1.0, 9.0, 9.0] * 8, row_length=4)
    found = metrics(scored(rows), tokens(made), answers)
    assert ends(one(found, "bits_per_byte_loss")) == (0.0, 0.0, 0.0)
    for name in ("same_answer", "same_answer_normalised", "shared_beginning"):
        assert ends(one(found, name)) == (1.0, 1.0, 1.0)
    made[0, 2] = 1e-12
    found = metrics(scored(rows), tokens(made), answers)
    assert one(found, "bits_per_byte_loss").estimate.low is None
    assert ends(one(found, "same_answer"))[0] == clopper_pearson(8, 8)[0]


def test_what_two_vocabularies_have_no_figure_of_is_unknown_and_names_both() -> None:
    found = metrics(scored(texts()), vocabularies={"differ": DIFFER})
    of_tokens = ("kld", "kld_largest", "perplexity", "log_perplexity_ratio", "same_top_token", "greedy_prefix")
    for name in (*of_tokens, "probability_change", "probability_change_rms"):
        estimate = one(found, name).estimate
        assert estimate.value is None
        assert estimate.reason == f"not comparable: {DIFFER}"
    assert one(found, "bits_per_byte_loss").estimate.value is not None


def test_bits_of_a_text_that_was_read_otherwise_are_unknown_and_answers_are_not() -> None:
    same = measured("answers_alike", 0.5, [1, 1, 5, 5, 0, 1, 2, 4], row_length=4)
    found = metrics(same, vocabularies={"differ": DIFFER, "unread": "it spells 'A' as 'a'"})
    for name in ("bits_per_byte", "bits_per_byte_loss"):
        assert (one(found, name).estimate.value, one(found, name).estimate.reason) == (None, "it spells 'A' as 'a'")
    assert one(found, "same_answer").estimate.value == 0.5


def test_answers_are_shares_of_prompts_with_their_exact_interval() -> None:
    rows = [[1, 1, 9, 9], [0, 1, 3, 6], [0, 0, 0, 5], [0, 0, 1, 4], [1, 1, 0, 0]]
    found = metrics(measured("answers_alike", 0.4, [float(each) for row in rows for each in row], row_length=4))
    assert ends(one(found, "same_answer"))[::2] == clopper_pearson(2, 5)
    assert one(found, "same_answer").estimate.drawn_unit == "prompts"
    assert one(found, "same_answer_normalised").estimate.value == pytest.approx(3 / 5)
    expected = np.mean([1, 3 / 6, 0, 1 / 4, 1])
    assert one(found, "shared_beginning").estimate.value == pytest.approx(expected)
    assert one(found, "shared_beginning").estimate.low is not None


@pytest.mark.parametrize(("shared", "share"), [(0.0, 0.0), (9.0, 1.0)])
def test_prompts_that_all_read_alike_leave_room_for_others(shared: float, share: float) -> None:
    """Eight prompts of which all or none go together would else have an interval without width, and keep a budget."""
    rows = [float(share == 1), float(share == 1), shared, 9.0] * 8
    found = one(metrics(measured("answers_alike", share, rows, row_length=4)), "shared_beginning").estimate
    assert (found.value, found.low, found.high) == (share, None, None)
    assert found.reason.startswith("none of the 8 prompts differs")


def token_rows(count: int = 64) -> np.ndarray:
    rows = np.abs(RANDOM.normal(size=(count, 4))) + 0.01
    rows[:, 3] = 1.0
    return rows


def test_the_loss_by_alpha_is_the_divergence_at_one_end_and_the_cross_entropy_at_the_other() -> None:
    rows = token_rows()
    found = metrics(tokens(rows))
    for alpha in (0.0, 0.25, 0.5, 0.75, 1.0):
        metric = one(found, "distillation_loss", alpha=alpha, temperature=1.0)
        assert metric.estimate.value == pytest.approx(np.mean(alpha * rows[:, 1] + (1 - alpha) * rows[:, 2]), rel=1e-12)
    for alpha, name in ((0.0, "kld"), (1.0, "perplexity")):
        low, value, high = ends(one(found, name))
        through = (lambda each: each) if alpha == 0 else math.log
        assert ends(one(found, "distillation_loss", alpha=alpha)) == pytest.approx(
            tuple(map(through, (low, value, high)))
        )


def test_alphas_and_a_temperature_are_those_that_were_declared() -> None:
    rows, warm = token_rows(), np.abs(RANDOM.normal(size=64))
    beside = measured("tempered_divergence", 0.1, warm.tolist(), parameters={"temperature": 4.0})
    found = metrics(tokens(rows), beside, distillation={"alpha": [0.3], "temperature": 4.0})
    (metric,) = [each for each in found if each.name == "distillation_loss"]
    assert metric.parameters["alpha"] == 0.3
    assert metric.estimate.value == pytest.approx(np.mean(0.3 * rows[:, 1] + 0.7 * 16 * warm), rel=1e-12)
    assert metric.estimate.statistic.startswith("0.3 cross-entropy + 0.7 T² KLD at T = 4, ")
    short = replace(beside, samples=warm[1:].tolist())
    assert (
        "not told for each token" in one(metrics(tokens(rows), short), "distillation_loss", alpha=0.5).estimate.reason
    )
    (told, *_) = contradictions([tokens(rows), short], 10**9, None)
    assert told == "tempered_divergence tells of 63 tokens, and token_divergence of 64"


#: torch 2.13.0, float64, on `teacher_and_student`: F.cross_entropy and T² F.kl_div(log_softmax(student / T),
#: softmax(teacher / T), reduction="batchmean"). Why T² is asked in issue 1 of philschmid's
#: knowledge-distillation-transformers-pytorch-sagemaker.
TORCH: Mapping[float, tuple[float, float]] = {
    1.0: (9.447739252821425, 0.4049237846259845),
    2.0: (9.447739252821425, 0.5054142439312994),
    4.0: (9.447739252821425, 0.5067663353308989),
    0.5: (9.447739252821425, 0.2472855288986997),
}


def teacher_and_student() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    drawn = np.random.default_rng(2015)
    teacher = drawn.normal(size=(40, 300)) * 3
    return teacher, teacher + drawn.normal(size=teacher.shape), drawn.integers(0, 300, 40)


@pytest.mark.parametrize("temperature", [1.0, 2.0, 4.0, 0.5])
def test_the_loss_is_torchs(temperature: float) -> None:
    teacher, student, targets = teacher_and_student()
    cross_entropy, soft = TORCH[temperature]
    rows = np.array(
        [
            token_row(softened(one_, "r"), softened(other, "v"), int(target))
            for one_, other, target in zip(teacher, student, targets, strict=True)
        ]
    )
    warm = [
        divergence_of(tempered(one_, temperature, "r"), tempered(other, temperature, "v"))
        for one_, other in zip(teacher, student, strict=True)
    ]
    p, q = (special.softmax(each / temperature, axis=-1) for each in (teacher, student))
    assert np.mean(warm) == pytest.approx(special.rel_entr(p, q).sum(axis=-1).mean(), rel=1e-12)
    beside = measured("tempered_divergence", 0.1, warm, parameters={"temperature": temperature})
    for alpha in (0.0, 0.3, 1.0):
        found = metrics(tokens(rows), beside, distillation={"alpha": [alpha], "temperature": temperature})
        value = one(found, "distillation_loss").estimate.value
        assert value == pytest.approx(alpha * cross_entropy + (1 - alpha) * soft, rel=1e-12)


def student(*measurements: Measurement, variant: str = "half", **told: Any) -> Result:
    against = {"variant": "fp32", "artefact": "/models/fp32.onnx", "digest": "cd" * 32, "configuration": {}}
    made = job(variant=variant, scenario="quality", against=against, settings={})
    return derive_one(made, [attempt(0, *measurements, effective=told)], "one attempt")


def test_budgets_on_what_students_are_told_by() -> None:
    result = student(scored(texts(40, worse=0.02)), tokens(token_rows()))
    table = {
        "bits_per_byte_loss": "1 bits/byte",
        "bits_per_byte": "0.001 bits/byte",
        "distillation_loss": {"0.5": "100 nats", "0.75": "0.001 nats"},
    }
    (found,) = judged([result], limits.parse(table, "suite"))
    kinds = {each.budget: each.kind for each in found.verdicts}
    assert kinds == {
        "bits_per_byte_loss 1 bits/byte": VerdictKind.PASS,
        "bits_per_byte 0.001 bits/byte": VerdictKind.MISS,
        "distillation_loss of 0.5 100 nats": VerdictKind.PASS,
        "distillation_loss of 0.75 0.001 nats": VerdictKind.MISS,
    }
    apart = student(scored(texts()), vocabularies={"differ": DIFFER})
    (found,) = judged([apart], limits.parse({"kld": "0.1 nats"}, "suite"))
    assert [(each.kind, each.reason) for each in found.verdicts] == [
        (VerdictKind.UNDECIDED, f"not comparable: {DIFFER}")
    ]


@pytest.mark.parametrize("asked", [{}, {"alpha": [0.1, 0.5], "temperature": 2.0}])
@pytest.mark.parametrize(
    "table",
    [
        {"distillation_loss": {"0.5": "100 nats"}},
        {"kld_largest": "9 nats"},
        {"probability_change": "0 %"},
        {"probability_change_rms": "90 %"},
    ],
)
def test_no_budget_on_tokens_is_silent_on_another_vocabulary(table: dict[str, Any], asked: dict[str, Any]) -> None:
    """Beside a variant that keeps it nobody would miss the verdict that is not there."""
    apart = student(scored(texts()), vocabularies={"differ": DIFFER}, distillation=asked)
    (found,) = judged([apart], limits.parse(table, "suite"))
    assert [(each.kind, each.reason) for each in found.verdicts] == [
        (VerdictKind.UNDECIDED, f"not comparable: {DIFFER}")
    ]


def test_two_builds_of_a_student_are_held_against_each_other_stretch_by_stretch() -> None:
    rows = texts(20)
    better = [row._replace(variant=row.variant * 0.9) for row in rows]
    made, mine = token_rows(), token_rows()
    base = student(scored(rows), tokens(made))
    candidate = student(scored(better), tokens(mine))
    found = {(name, parameters.get("alpha")): each for name, parameters, each in SCENARIO.changes(base, candidate)}
    bytes_ = sum(row.size for row in rows)
    expected = -sum(row.variant for row in rows) * 0.1 / math.log(2) / bytes_
    change = found["bits_per_byte", None]
    assert change.value == pytest.approx(expected)
    assert change.high is not None
    assert change.high < 0
    loss = found["distillation_loss", 0.25]
    assert loss.value == pytest.approx(np.mean(0.25 * (mine - made)[:, 1] + 0.75 * (mine - made)[:, 2]))
    other = student(scored([rows[0]._replace(size=rows[0].size + 1), *rows[1:]]))
    (none,) = [each for name, _, each in SCENARIO.changes(base, base) if name == "bits_per_byte"]
    assert (none.value, none.low, none.high, none.reason) == (0.0, 0.0, 0.0, ""), "a gate on it was undecided for ever"
    (apart,) = [each for name, _, each in SCENARIO.changes(base, other) if name == "bits_per_byte"]
    assert (apart.value, apart.reason) == (None, "the two read other stretches of the text: their tokens end elsewhere")


def test_bits_per_byte_are_named_where_a_row_has_no_divergence_and_only_there() -> None:
    loss = METRICS["bits_per_byte_loss"]
    both = {"kld", "bits_per_byte_loss"}
    assert loss.is_named([{"bits_per_byte_loss"}, both])
    assert not loss.is_named([both, {"peak_memory"}])
    assert METRICS["kld"].is_named([])
    assert not METRICS["distillation_loss"].is_named([{"distillation_loss"}])


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ([1, 0, 3, 3], "answer 1 is called the same, and 3 of 3 characters are"),
        ([0, 0, 4, 3], "answer 1 is called the same, and 4 of 3 characters are"),
        ([1, 1, 2, 3], "answer 1 is called the same, and 2 of 3 characters are"),
    ],
)
def test_answers_that_cannot_be_make_an_attempt_invalid(rows: list[float], told: str) -> None:
    lying = measured("answers_alike", 0.5, rows, row_length=ANSWERS_ALIKE.row_length)
    assert list(contradictions([lying], 10**9, None)) == [told]


def test_a_stretch_without_bytes_cannot_be() -> None:
    (told, *_) = contradictions([scored([TextRow(0.0, 0.0, 1.0, 1.0, 1.0, 1.0)])], 10**9, None)
    assert "bytes scored" in told


def test_settings_that_nobody_asked_for_change_no_job() -> None:
    assert "distillation" not in Quality().told()
    asked = Quality.model_validate({"distillation": {"alpha": 0.5, "temperature": 2}}).told()
    assert asked["distillation"] == {"alpha": [0.5], "temperature": 2.0}


@pytest.mark.parametrize(
    "asked", [{"alpha": [1.5]}, {"alpha": []}, {"alpha": [0.5, 0.5]}, {"temperature": 0}, {"t": 1}]
)
def test_what_is_no_loss_is_refused(asked: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="distillation"):
        Quality.model_validate({"distillation": asked})


def test_the_tables_are_written_as_they_are_read() -> None:
    assert SCORED_TEXTS.row_length == 6
    assert ANSWERS_ALIKE.row_length == TOKEN_DIVERGENCE.row_length == 4
    assert TEMPERED_DIVERGENCE.row_length == 0
