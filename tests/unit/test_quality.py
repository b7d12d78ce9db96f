"""Raw rows -> quality metrics, against the definitions written out."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from benchharness.judge.exact_shares import clopper_pearson, exact_mcnemar
from benchharness.judge.means import mean_over
from benchharness.results.result import Estimate, Measurement, MetricResult
from benchharness.results.told import Effective
from benchharness.scenarios.quality.comparison import quality_metrics
from tests.unit.made_up import attempt

RANDOM = np.random.default_rng(11)
CHUNKS, SCORED = 12, 16


def tokens(*, same: bool = False) -> np.ndarray:
    rows = np.abs(RANDOM.normal(size=(CHUNKS * SCORED, 4))) + 0.01
    rows[:, 3] = RANDOM.integers(0, 2, len(rows))
    if same:
        rows[:, 1], rows[:, 2], rows[:, 3] = rows[:, 0], 0.0, 1.0
    return rows


def metrics_of(rows: np.ndarray, metric: str = "token_divergence", **parameters: float | str) -> list[MetricResult]:
    told = {"evaluation": "decode", "scored": SCORED, "scored_from": 16, "chunks": len(rows) // SCORED, **parameters}
    measurement = Measurement(
        metric=metric, parameters=told, value=0.5, samples=rows.reshape(-1).tolist(), row_length=rows.shape[1]
    )
    return list(quality_metrics(attempt(0, measurement)))


def one(metrics: list[MetricResult], name: str, **parameters: float | str) -> Estimate:
    (found,) = [
        metric.estimate
        for metric in metrics
        if metric.name == name and all(metric.parameters.get(key) == value for key, value in parameters.items())
    ]
    return found


def test_the_numbers_of_llama_perplexity() -> None:
    rows = tokens()
    reference, variant, divergence, same = rows.T
    change = np.exp(-variant) - np.exp(-reference)
    found = metrics_of(rows)
    expected = {
        "kld": divergence.mean(),
        "kld_largest": divergence.max(),
        "perplexity": math.exp(variant.mean()),
        "reference_perplexity": math.exp(reference.mean()),
        "log_perplexity_ratio": math.log(math.exp(variant.mean()) / math.exp(reference.mean())),
        "probability_change": change.mean(),
        "probability_change_rms": math.sqrt((change**2).mean()),
        "same_top_token": same.mean(),
    }
    for name, value in expected.items():
        assert one(found, name).value == pytest.approx(value, rel=1e-9), name
    for percentile in (50, 90, 95, 99, 99.9):
        value = one(found, "kld_percentile", percentile=percentile).value
        assert value == pytest.approx(np.percentile(divergence, percentile))
    assert one(found, "probability_change_percentile", percentile=5).value == pytest.approx(np.percentile(change, 5))


def test_a_variant_identical_to_its_reference_reads_zero() -> None:
    found = metrics_of(tokens(same=True))
    for name in ("kld", "log_perplexity_ratio", "probability_change", "probability_change_rms"):
        estimate = one(found, name)
        assert (estimate.value, estimate.low, estimate.high) == (0.0, 0.0, 0.0), name
    assert one(found, "same_top_token").value == 1.0
    assert one(found, "perplexity").value == one(found, "reference_perplexity").value
    rows = tokens(same=True)
    rows[5, 1] += 1e-12  # too little for a divergence: not the same numbers, all the same
    assert one(metrics_of(rows), "kld").low is None


def test_what_computes_the_same_goes_on_alike_after_any_prompt() -> None:
    """A budget on a copy of the reference was undecided for ever, as eight prompts that agree say little of others."""
    rows = tokens(same=True)

    def found(rows: np.ndarray, *prefixes: float) -> Estimate:
        told: dict[str, float | str] = {"scored": SCORED}
        of_tokens = Measurement(
            metric="token_divergence", parameters=told, value=0, samples=rows.reshape(-1).tolist(), row_length=4
        )
        prefix = Measurement(
            metric="greedy_prefix", parameters={"continuation_tokens": 32}, value=32, samples=list(prefixes)
        )
        return one(list(quality_metrics(attempt(0, of_tokens, prefix))), "greedy_prefix")

    copy = found(rows, *[32.0] * 8)
    assert (copy.low, copy.high, copy.reason) == (32.0, 32.0, "")
    ended = found(rows, *[32.0] * 7, 5.0)
    assert ended.low is not None
    assert ended.low < 28
    rows[3, 2] = 1e-12
    assert found(rows, *[32.0] * 8).low is None


def test_no_change_of_a_probability_is_larger_than_one() -> None:
    rows = tokens()[: 6 * SCORED]
    rows[:, 0] = 1.0
    rows[:, 1] = np.where(np.arange(len(rows)) < SCORED, 9.0, 1.0)  # of six chunks one has changed
    found = one(metrics_of(rows), "probability_change_rms")
    assert found.high == 1.0


def test_the_interval_is_over_chunks_and_not_over_tokens() -> None:
    # All tokens of a chunk alike: there are as many independent figures as chunks.
    rows = tokens()
    rows[:, 2] = np.repeat(np.abs(RANDOM.normal(size=CHUNKS)) + 1, SCORED)
    estimate = one(metrics_of(rows), "kld")
    assert estimate.low is not None
    assert estimate.high is not None
    by_chunk = mean_over(rows[::SCORED, 2], statistic="mean over tokens", unit="chunks", in_a_row=True, positive=True)
    assert (estimate.low, estimate.high) == pytest.approx((by_chunk.low, by_chunk.high), rel=1e-12)
    assert estimate.statistic == by_chunk.statistic
    half = (estimate.high - estimate.low) / 2
    assert half > 3 * 1.96 * rows[:, 2].std() / math.sqrt(len(rows)), "over tokens it would be far narrower"


def test_few_chunks_carry_no_interval() -> None:
    estimate = one(metrics_of(tokens()[: 3 * SCORED]), "kld")
    assert (estimate.low, estimate.high) == (None, None)
    assert estimate.reason == "3 chunks, and an interval needs 5"


LENGTHS = [3, 40, 1, 7, 7, 25, 2, 60, 11, 4]  # scored tokens of ten documents


def of_chunks(rows: np.ndarray, chunks: list[tuple[int, int, int]], **parameters: int) -> list[MetricResult]:
    """The metrics of rows that `scored_chunks` shares out: document, first scored position, scored tokens."""
    tokens = Measurement(
        metric="token_divergence",
        parameters={"evaluation": "decode", "chunks": len(chunks), **parameters},
        value=0.5,
        samples=rows.reshape(-1).tolist(),
        row_length=4,
    )
    samples = [float(number) for chunk in chunks for number in chunk]
    shared = Measurement(metric="scored_chunks", parameters={}, value=len(rows), samples=samples, row_length=3)
    return list(quality_metrics(attempt(0, tokens, shared)))


def random_rows(count: int) -> np.ndarray:
    rows = np.abs(RANDOM.normal(size=(count, 4))) + 0.01
    rows[:, 3] = RANDOM.integers(0, 2, count)
    return rows


def test_every_token_counts_alike_however_long_its_document() -> None:
    rows = random_rows(sum(LENGTHS))
    found = of_chunks(rows, [(number, length, length) for number, length in enumerate(LENGTHS)])
    reference, variant, divergence, same = rows.T
    assert one(found, "perplexity").value == pytest.approx(math.exp(variant.mean()), rel=1e-12)
    assert one(found, "reference_perplexity").value == pytest.approx(math.exp(reference.mean()), rel=1e-12)
    assert one(found, "kld").value == pytest.approx(divergence.mean(), rel=1e-12)
    assert one(found, "same_top_token").value == pytest.approx(same.mean(), rel=1e-12)
    assert one(found, "kld").statistic.startswith("mean over tokens, interval over 10 documents, Student's t of log")


def test_documents_are_taken_with_all_their_chunks_and_their_length() -> None:
    # Two chunks of each document: the interval is that of the jackknife of sums over lengths.
    rows = random_rows(sum(LENGTHS))
    rows[:, 2] += np.repeat(RANDOM.normal(size=len(LENGTHS)) ** 2, LENGTHS)  # alike within a document
    chunks = []
    for number, length in enumerate(LENGTHS):
        chunks += [(number, 9, part) for part in (length // 2, length - length // 2) if part]
    estimate = one(of_chunks(rows, chunks), "kld")
    ends = np.cumsum(LENGTHS)
    sums = np.array([part.sum() for part in np.split(rows[:, 2], ends[:-1])])
    lengths = np.array(LENGTHS)
    without = [np.delete(sums, at).sum() / np.delete(lengths, at).sum() for at in range(len(sums))]
    error = math.sqrt(0.9 * ((without - np.mean(without)) ** 2).sum())
    value = sums.sum() / lengths.sum()
    half = stats.t.ppf(0.975, lengths.sum() ** 2 / (lengths**2).sum() - 1) * error / value
    assert estimate.low == pytest.approx(value * math.exp(-half), rel=1e-9)
    assert estimate.high == pytest.approx(value * math.exp(half), rel=1e-9)


def test_chunks_of_one_text_are_drawn_and_read_as_they_did_before_they_were_told_apart() -> None:
    rows = tokens()

    def which(each: MetricResult) -> tuple[object, ...]:
        return each.name, each.parameters.get("percentile"), each.parameters.get("alpha")

    before = {which(each): each.estimate for each in metrics_of(rows)}
    alike = [(0, 16, SCORED)] * CHUNKS
    found = of_chunks(rows, alike, scored=SCORED, scored_from=16)
    assert {each.name for each in found} - {name for name, *_ in before} == {"scored_chunks"}
    for each in (each for each in found if each.name != "scored_chunks"):
        assert each.estimate == before[which(each)], each.name


def test_few_documents_carry_no_interval_however_many_chunks_they_have() -> None:
    estimate = one(of_chunks(tokens(), [(at % 3, 16, SCORED) for at in range(CHUNKS)]), "kld")
    assert (estimate.low, estimate.high) == (None, None)
    assert estimate.reason == "3 documents, and an interval needs 5"


def test_a_text_whose_chunks_differ_in_length_is_weighted_by_token() -> None:
    rows = random_rows(sum(LENGTHS))
    found = of_chunks(rows, [(0, 1, length) for length in LENGTHS])
    estimate = one(found, "kld")
    assert estimate.value == pytest.approx(rows[:, 2].mean(), rel=1e-12)
    assert "interval over 10 chunks in a row, Student's t of logarithms" in estimate.statistic
    assert estimate.low is not None


def test_where_no_top_token_differs_some_may_all_the_same() -> None:
    rows = tokens()
    rows[:, 3] = 1.0
    found = one(metrics_of(rows), "same_top_token")
    assert (found.value, found.high) == (1.0, 1.0)
    assert found.low is not None
    # Of tokens that have nothing to do with each other 3.7 in all may differ: 1 - 0.025^(1/n) of n.
    assert 1 - 3 * 3.7 / len(rows) < found.low < 1 - 3.7 / len(rows)
    assert found.statistic.endswith("as if one token differed")
    rows[len(rows) // 2, 3] = 0.0
    differs = one(metrics_of(rows), "same_top_token")
    assert differs.low is not None
    assert differs.low <= found.low
    assert differs.high is not None
    assert 1 - 1 / len(rows) < differs.high < 1.0


def test_shares_of_tokens_end_at_none_and_at_all() -> None:
    rows = tokens()[: 5 * SCORED]
    rows[:, 3] = np.arange(len(rows)) >= SCORED  # one chunk of five is other than the rest
    found = one(metrics_of(rows), "same_top_token")
    assert found.low == 0.0
    assert found.high is not None
    assert found.value == pytest.approx(0.8)
    assert found.high < 1.0


def greedy(prefixes: list[int], *documents: int) -> Estimate:
    told: dict[str, float | str] = {"evaluation": "decode", "continuation_tokens": 32}
    prefix = Measurement(metric="greedy_prefix", parameters=told, value=1.0, samples=[float(each) for each in prefixes])
    rows = [float(number) for document in documents for number in (document, 16, SCORED)]
    chunks = Measurement(metric="scored_chunks", parameters={}, value=1, samples=rows, row_length=3)
    return one(list(quality_metrics(attempt(0, prefix, chunks))), "greedy_prefix")


def test_prompts_of_one_text_stand_in_a_row_and_answers_end() -> None:
    prefixes = [3, 32, 12, 32, 9, 20, 32, 1]
    row, apart = greedy(prefixes, *[0] * 32), greedy(prefixes, *range(32))
    assert "8 prompts in a row" in row.statistic
    assert "8 prompts," in apart.statistic
    for shared in ([0] * 16 + [1] * 16, [*range(31), 30][::-1] + [0] * 200):
        assert "8 prompts in a row" in greedy(prefixes, *shared).statistic, "some are of one document"
    assert "8 prompts," in greedy(prefixes, *np.repeat(np.arange(40), 3)).statistic, "one of a document"
    for found in (row, apart):
        assert found.low is not None
        assert found.high is not None
        assert 0 < found.low < found.high <= 32
    assert row.high == 32
    alike = greedy([32] * 8, 0)
    assert (alike.value, alike.low, alike.high) == (32.0, None, None)
    assert alike.reason.startswith("none of the 8 prompts differs from the others")


def classes(rows: list[tuple[int, int, int]]) -> list[MetricResult]:
    return metrics_of(np.array([(*row, 0.1) for row in rows], dtype=float), "class_decisions", classes=3)


def test_a_classifier_gains_and_loses() -> None:
    # label, reference, variant: 6 both right, 3 lost, 1 gained, 2 both wrong and alike
    rows = [(0, 0, 0)] * 6 + [(1, 1, 2)] * 3 + [(2, 1, 2)] + [(2, 0, 0)] * 2
    found = classes(rows)
    assert one(found, "accuracy").value == pytest.approx(7 / 12)
    assert one(found, "reference_accuracy").value == pytest.approx(9 / 12)
    assert one(found, "agreement").value == pytest.approx(8 / 12)
    assert one(found, "accuracy_change").value == pytest.approx(-2 / 12)
    assert one(found, "mcnemar_p").value == pytest.approx(stats.binomtest(1, 4, 0.5).pvalue)
    assert one(found, "class_accuracy_change", label=1).value == -1.0
    low, high = stats.binomtest(7, 12).proportion_ci(0.95, "exact")
    accuracy = one(found, "accuracy")
    assert accuracy.low == pytest.approx(low)
    assert accuracy.high == pytest.approx(high)


def test_without_labels_there_is_agreement_and_no_accuracy() -> None:
    found = classes([(-1, 0, 0), (-1, 1, 2)])
    assert one(found, "agreement").value == 0.5
    assert not [metric for metric in found if metric.name == "accuracy"]


@pytest.mark.parametrize(("hits", "trials"), [(0, 20), (20, 20), (7, 20)])
def test_clopper_pearson_is_that_of_scipy(hits: int, trials: int) -> None:
    expected = stats.binomtest(hits, trials).proportion_ci(0.95, "exact")
    low, high = clopper_pearson(hits, trials)
    assert low == pytest.approx(expected.low)
    assert high == pytest.approx(expected.high)


def test_mcnemar_of_no_difference_is_one() -> None:
    assert exact_mcnemar(0, 0) == 1.0


def test_signal_to_noise_over_all_inputs() -> None:
    rows = np.array([[100.0, 1.0, 0.99, 0.5], [300.0, 3.0, 0.97, 0.25]])
    found = metrics_of(rows, "tensor_error", output="y")
    assert one(found, "sqnr").value == pytest.approx(20.0)
    assert one(found, "largest_error").value == 0.5
    assert one(found, "cosine").value == pytest.approx(0.98)


def test_identical_tensors_have_no_noise_to_compare_with() -> None:
    estimate = one(metrics_of(np.array([[100.0, 0.0, 1.0, 0.0]]), "tensor_error", output="y"), "sqnr")
    assert estimate.value is None
    assert "identical" in estimate.reason


def divergences(*rows: tuple[float, float, float]) -> list[MetricResult]:
    return metrics_of(np.array(rows * 15), "class_divergence", classes=10, scores="probabilities")


def test_one_pooled_input_makes_the_mean_a_lower_bound_by_name() -> None:
    found = divergences((0.1, 0.02, 0), (0.3, 0.04, 7))
    pooled = one(found, "kld_pooled")
    assert pooled.value == pytest.approx(0.2)
    assert "lower bound: up to 7 classes rounded to zero are pooled in 15 of 30 inputs" in pooled.statistic
    assert one(found, "total_variation").value == pytest.approx(0.03)
    assert not [metric for metric in found if metric.name == "kld"]
    whole = divergences((0.1, 0.02, 0), (0.3, 0.04, 0))
    assert one(whole, "kld").value == pytest.approx(0.2)
    assert not [metric for metric in whole if metric.name == "kld_pooled"]


def test_decisions_of_earlier_versions_still_hold_their_divergence() -> None:
    assert one(classes([(0, 0, 0), (1, 1, 2)]), "kld").value == pytest.approx(0.1)


def test_why_there_is_no_divergence_is_its_reason() -> None:
    measurement = Measurement(
        metric="class_decisions", parameters={"classes": 3}, value=1.0, samples=[-1.0, 0.0, 0.0], row_length=3
    )
    told = replace(
        attempt(0, measurement),
        effective=Effective.from_json({"scores": {"are": None, "why_not": "the graphs end apart"}}),
    )
    found = list(quality_metrics(told))
    assert one(found, "agreement").value == 1.0
    assert (one(found, "kld").value, one(found, "kld").reason) == (None, "the graphs end apart")


def test_sqnr_has_an_interval_from_twenty_inputs_on() -> None:
    rows = np.column_stack([np.full(20, 100.0), np.linspace(0.5, 1.5, 20), np.full(20, 0.99), np.full(20, 0.5)])
    found = one(metrics_of(rows, "tensor_error", output="y"), "sqnr")
    assert found.value == pytest.approx(20.0)
    assert found.low is not None
    assert found.high is not None
    assert 19 < found.low < 20 < found.high < 21
    few = one(metrics_of(rows[:19], "tensor_error", output="y"), "sqnr")
    assert (few.low, few.reason) == (None, "19 inputs, and an interval needs 20")


def test_a_vector_of_zeros_has_no_cosine() -> None:
    row = (100.0, 1.0, 0.99, 0.5)
    nothing_there, lost = (0.0, 4.0, 0.0, 2.0), (100.0, 100.0, 0.0, 9.0)
    kept = one(metrics_of(np.array([row, nothing_there]), "tensor_error", output="y"), "cosine")
    assert kept.value == pytest.approx(0.99)
    assert kept.statistic.startswith("over 1 of 2 inputs: in the others the reference is all zeros")
    gone = one(metrics_of(np.array([row, lost]), "tensor_error", output="y"), "cosine")
    assert (gone.value, gone.reason) == (
        None,
        "in 1 of 2 inputs the variant's output is all zeros, and has no direction",
    )


def test_a_perplexity_beyond_all_numbers_is_none() -> None:
    rows = tokens()
    rows[:, 1] = 800.0
    found = one(metrics_of(rows), "perplexity")
    assert (found.value, found.low) == (None, None)
    assert "larger than 2e+308" in found.reason


def test_what_has_no_interval_says_why_by_name() -> None:
    rows = np.array([[100.0, 1.0, 0.99, 0.5]] * 30)
    assert "other inputs can only show a larger one" in one(metrics_of(rows, "tensor_error"), "largest_error").reason
    assert "over tokens" in one(metrics_of(tokens()), "kld_percentile", percentile=99).reason


def test_where_no_input_differs_the_change_of_accuracy_still_has_an_interval() -> None:
    """Of 50 that agree some points either way are left, by Tango's interval (1998): z squared by n and z squared."""
    from benchharness.scenarios.quality.comparison import _paired_change

    found = _paired_change(0, 0, 50)
    assert found.value == 0.0
    assert found.high == pytest.approx(1.959964**2 / (50 + 1.959964**2), rel=1e-3)
    assert found.low == pytest.approx(-(found.high or 0.0), rel=1e-6)
