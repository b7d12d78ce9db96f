"""Reports: what compression lost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from benchharness.metrics import METRICS
from benchharness.results.requested import Configuration, Opened, Workload
from benchharness.results.result import AttemptValue, Estimate, MetricResult, Outcome, OutcomeKind, Result
from benchharness.results.told import Conditions, Effective
from benchharness.units import interval_text, quantity_text
from reports.sections.failures.section import Failures
from reports.sections.latency.section import Latency
from reports.sections.methods.section import Methods
from reports.sections.quality.chart import ClassBars, PositionCurves
from reports.sections.quality.one_text import of_one_text
from reports.sections.quality.section import Quality
from reports.sections.quality.series import divergence_by_position
from tests.unit.report_samples import Fake, page_of, result, sections_html

TOKENS: dict[str, Any] = {
    "evaluation": "prefill",
    "prefill_chunk": 64,
    "chunk_tokens": 8,
    "scored_from": 4,
    "scored": 4,
    "chunks": 2,
}


def metric(
    name: str, value: float | None, *ends: float, samples: Sequence[float] = (), **parameters: Any
) -> MetricResult:
    low, high = ends or (None, None)
    reason = "no mean, and so no interval" if low is None else ""
    return MetricResult(
        name=name,
        parameters=parameters,
        unit=METRICS[name].unit,
        estimate=Estimate(value=value, low=low, high=high, count=1, statistic="mean", reason=reason),
        attempts=[AttemptValue(attempt="a", device="d", round=0, value=value or 0.0, samples=samples, row_length=4)],
    )


def rows(scale: float = 1.0) -> list[float]:
    """Two chunks of four positions; the KLD of a position is its number, in the second chunk three times that."""
    return [each for chunk in (1, 3) for at in range(1, 5) for each in (2.0, 2.1, chunk * at * scale, 1.0)]


def language_model(scale: float = 1.0) -> list[MetricResult]:
    return [
        metric("kld", 0.0029, 0.0027, 0.0031, **TOKENS),
        metric("kld_percentile", 0.0001, percentile=50.0, **TOKENS),
        metric("kld_percentile", 0.0179, percentile=99.0, **TOKENS),
        metric("perplexity", 13.917, 12.41, 15.48, **TOKENS),
        metric("reference_perplexity", 13.855, 12.36, 15.41, **TOKENS),
        metric("log_perplexity_ratio", 0.00447, 0.00228, 0.00687, **TOKENS),
        metric("same_top_token", 0.9617, 0.9561, 0.967, **TOKENS),
        metric("probability_change", -0.000788, -0.0012, -0.000362, **TOKENS),
        metric("probability_change_rms", 0.0139, 0.013, 0.0149, **TOKENS),
        metric("greedy_prefix", 18.5, 9.25, 27.4),
        metric("token_divergence", 0.0029, samples=rows(scale), **TOKENS),
    ]


def lost(
    variant: str = "int8",
    metrics: Sequence[MetricResult] = (),
    effective: Mapping[str, Any] | None = None,
    outcome: Outcome | None = None,
) -> Result:
    """A quality result."""
    made = result(variant, metrics=metrics)
    job = replace(
        made.job,
        scenario="quality",
        workload=Workload.from_json({"name": "heldout.txt", "data": {"kind": "text", "shared_samples": 0}}),
        settings={"evaluation": "prefill"},
        against=Opened(variant="fp32", configuration=Configuration(name="cpu 1 thread", runtime="onnxruntime")),
        key=f"quality-{variant}",
    )
    return replace(
        made,
        job=job,
        effective=Effective.from_json(effective or {}),
        outcome=outcome or made.outcome,
        warnings=(),
        conditions=Conditions(),
    )


def quality(*results: Result) -> Quality:
    (found,) = page_of(list(results)).of(Quality)
    return found


def cells(found: Quality, row: int = 0) -> dict[str, tuple[str, str]]:
    table = found.tables[0]
    shown = zip(table.columns, table.rows[row].cells, strict=True)
    return {column.title: (cell.quantity.text, cell.quantity.interval) for column, cell in shown if cell.quantity}


def test_a_language_models_row_has_every_figure_with_its_unit() -> None:
    assert cells(quality(lost(metrics=language_model()))) == {
        "KLD": ("0.00290 nats", "0.00270 to 0.00310"),
        "KLD p99": ("0.0179 nats", ""),
        "PPL": ("13.9", "12.4 to 15.5"),
        "ln PPL ratio": ("0.0045 nats", "0.0023 to 0.0069"),
        "same top token": ("96.17 %", "95.61 to 96.70"),
        "mean Δp": ("−0.0788 %", "−0.1200 to −0.0362"),
        "RMS Δp": ("1.390 %", "1.300 to 1.490"),
        "greedy prefix": ("18.5 tokens", "9.2 to 27.4"),
    }


def test_it_is_said_how_it_was_evaluated_and_against_what() -> None:
    told = quality(lost(metrics=language_model())).tables[0].told
    assert told[0].startswith("Reference: fp32 on cpu 1 thread.")
    assert told[0].endswith("Reference's PPL 13.9 (12.4 to 15.4).")
    assert told[1] == "Evaluation: prefill(64), scored at positions 4 to 7 of 8 in each chunk, 2 chunks."


def test_what_the_reference_reached_has_a_column_where_rows_differ_in_it() -> None:
    other = [
        metric("reference_perplexity", 20.5, 19.5, 21.5, **TOKENS) if each.name == "reference_perplexity" else each
        for each in language_model()
    ]
    found = quality(lost("int8", language_model()), lost("int4", other))
    assert [cells(found, row)["reference's PPL"][0] for row in (0, 1)] == ["13.9", "20.5"]
    assert "PPL" not in found.tables[0].told[0]


def test_a_runtime_is_told_where_the_configuration_does_not() -> None:
    named = lost(metrics=language_model())
    theirs = Configuration(name="tflite 2 threads", runtime="tflite")
    plain = replace(named, job=replace(named.job, configuration=theirs))
    odd = replace(named, job=replace(named.job, configuration=Configuration(name="phone", runtime="tflite")))
    assert [quality(each).tables[0].rows[0].runtime for each in (plain, odd)] == ["", "tflite"]


def test_rows_that_were_evaluated_differently_say_so_each() -> None:
    decoded = [replace(each, parameters={**each.parameters, "evaluation": "decode"}) for each in language_model()]
    for each in decoded:
        dict(each.parameters).pop("prefill_chunk", None)
    decoded = [
        replace(each, parameters={k: v for k, v in each.parameters.items() if k != "prefill_chunk"}) for each in decoded
    ]
    table = quality(lost("int8", language_model()), lost("int4", decoded)).tables[0]
    assert "they do not compare" in table.told[1]
    assert [row.how.partition(",")[0] for row in table.rows] == ["prefill(64)", "decode"]


def guide(*results: Result) -> str:
    return " ".join(page_of(list(results)).of(Methods)[0].guide)


def test_the_guide_says_what_each_kind_of_interval_is_over() -> None:
    timed, lossy = result(metrics=Fake(1.0).first_token()), lost(metrics=language_model())
    both, only = guide(timed, lossy), guide(lossy)
    assert "over attempts" in both
    assert "shares of inputs" in both
    assert "over attempts" not in only
    assert "shares of inputs" not in guide(timed)


def test_quality_stands_apart_from_what_was_timed() -> None:
    timed = result(metrics=Fake(1.0).first_token())
    page = page_of([timed, lost(metrics=language_model())])
    assert [each.subject for each in page.of(Latency)] == ["smollm2-135m · chat 128"]
    assert len(page.of(Quality)) == 1
    assert page.jobs == 2


def test_divergence_along_the_context_is_the_mean_over_chunks() -> None:
    found = divergence_by_position(language_model()[-1])
    assert found
    assert (found.positions.tolist(), found.means.tolist()) == ([4, 5, 6, 7], [2.0, 4.0, 6.0, 8.0])
    (figure,) = quality(lost(metrics=language_model())).tables[0].figures
    assert isinstance(figure, PositionCurves)
    assert figure.panels[0].curves[0].position == (4.0, 5.0, 6.0, 7.0)
    assert figure.panels[0].curves[0].values == (2.0, 4.0, 6.0, 8.0)


def test_divergence_along_the_context_of_chunks_that_differ_in_length() -> None:
    # Positions 1 to 3, 2 to 3 and 1: a mean over the chunks that score each.
    raw = metric("token_divergence", 1.0, samples=[n for kld in (1, 2, 3, 4, 5, 6) for n in (1.0, 1.0, kld, 1.0)])
    chunks = metric("scored_chunks", 6.0, samples=[0, 1, 3, 1, 2, 2, 2, 1, 1])
    found = divergence_by_position(raw, chunks)
    assert found
    assert found.positions.tolist() == [1, 2, 3]
    assert found.means.tolist() == [(1 + 6) / 2, (2 + 4) / 2, (3 + 5) / 2]
    assert found.chunks.tolist() == [2, 2, 2]
    for wrong in ([0, 1, 3], [0, 1, 3, 1, 2, 4], [0, 1, 6.0, 1], [0, 1, float("nan")], [0, 1, 7, 0, 1, -1], []):
        told = replace(chunks, attempts=[replace(chunks.attempts[0], samples=wrong)])
        assert divergence_by_position(raw, told) is None, wrong


def test_how_much_of_the_data_was_used_is_told() -> None:
    parameters = {**TOKENS, "used": "32 of 130 chunks, 8192 of 33361 tokens", "leading_tokens": "1 <bos>"}
    text = [replace(each, parameters={**each.parameters, **parameters}) for each in language_model()]
    assert (
        quality(lost(metrics=text))
        .tables[0]
        .told[1]
        .endswith("in each chunk, 32 of 130 chunks, 8192 of 33361 tokens, leading token of each chunk: 1 <bos>.")
    )
    uneven = [
        replace(each, parameters={key: each.parameters[key] for key in each.parameters if "scored" not in key})
        for each in text
    ]
    assert "later positions of each chunk of up to 8 tokens" in quality(lost(metrics=uneven)).tables[0].told[1]
    inputs = [replace(each, parameters={**each.parameters, "used": "50 of 80 inputs"}) for each in classifier()]
    assert "Evaluation: 50 of 80 inputs." in quality(lost(metrics=inputs)).tables[0].told


@pytest.mark.parametrize("change", [{"scored": 3}, {"scored": 0}, {"scored": "4"}, {"scored_from": None}])
def test_rows_that_do_not_add_up_make_no_figure(change: dict[str, Any]) -> None:
    raw = language_model()[-1]
    assert divergence_by_position(replace(raw, parameters={**raw.parameters, **change})) is None
    assert divergence_by_position(replace(raw, attempts=())) is None


def test_what_does_not_diverge_is_named_and_not_drawn() -> None:
    (figure,) = quality(lost("int8", language_model()), lost("same", language_model(0.0))).tables[0].figures
    assert isinstance(figure, PositionCurves)
    assert [curve.label for panel in figure.panels for curve in panel.curves] == ["int8"]
    assert figure.note.endswith("millionth of the largest: same.")


def classifier() -> list[MetricResult]:
    return [
        metric("agreement", 0.99, 0.97, 0.999),
        metric("accuracy", 0.95, 0.92, 0.97),
        metric("reference_accuracy", 0.96, 0.93, 0.98),
        metric("accuracy_change", 0.0, -0.014, 0.004),
        metric("mcnemar_p", 0.375),
        metric("class_accuracy_change", 0.0, label=0),
        metric("class_accuracy_change", -0.05, label=1),
        metric("class_decisions", 0.99, samples=[0.0, 0, 0, 0] * 50),
    ]


def test_a_classifier_shows_accuracies_and_what_each_class_lost() -> None:
    found = quality(lost(metrics=classifier()))
    assert cells(found)["accuracy change"] == ("0 points", "−1.40 to 0.40")
    assert cells(found)["McNemar p"] == ("0.375", "")
    assert found.tables[0].told[1] == "Evaluation: 50 inputs."
    (figure,) = found.tables[0].figures
    assert isinstance(figure, ClassBars)
    assert (figure.panels[0].classes, figure.panels[0].changes) == (("0", "1"), (0.0, -5.0))
    assert "Accuracy change by class" in sections_html(page_of([lost(metrics=classifier())]), "quality")


def test_a_row_in_which_no_class_changed_is_named_and_not_drawn() -> None:
    same = [
        metric("class_accuracy_change", 0.0, label=each.parameters["label"])
        for each in classifier()
        if each.name == "class_accuracy_change"
    ]
    (figure,) = quality(lost("int8", classifier()), lost("fp16", same)).tables[0].figures
    assert isinstance(figure, ClassBars)
    assert len(figure.panels) == 1
    assert "Without a panel, no class changed: fp16" in figure.note
    assert not quality(lost("fp16", same)).tables[0].figures


def test_each_output_of_a_tensor_model_has_a_row() -> None:
    found = quality(
        lost(metrics=[metric("sqnr", value, output=name) for name, value in (("boxes", 41.2), ("scores", 30.0))])
    )
    assert [row.output for row in found.tables[0].rows] == ["boxes", "scores"]
    assert cells(found, 1) == {"SQNR": ("30.0 dB", "")}


def test_a_failed_job_is_told() -> None:
    failed = lost("int4", outcome=Outcome(kind=OutcomeKind.CRASHED, reason="signal 9"))
    results = [lost(metrics=language_model()), failed]
    page = page_of(results)
    (failures,) = page.of(Failures)
    assert [(each.who, each.kind) for each in failures.failures] == [("int4", "crashed")]
    assert "no value: crashed" in sections_html(page, "quality")
    assert "signal 9" in sections_html(page, "failures")


def test_the_finding_has_a_figure_a_row() -> None:
    assert quality(lost(metrics=language_model()), lost("int4", language_model())).finding == (
        "int8 KLD 0.00290 nats, same top token 96.17 %; int4 KLD 0.00290 nats, same top token 96.17 %"
    )
    many = [lost(f"variant {number}", language_model()) for number in range(9)]
    finding = quality(*many).finding
    assert finding.endswith("and 7 more")
    assert len(finding.split()) <= 25
    assert quality(lost()).finding == "no job has a value"


def test_examples_are_escaped_cut_and_may_be_anything() -> None:
    hostile = [
        {"chunk": 1, "position": 5, "kld": 0.0648, "context": "<script>x</script>\n\u202e", "target": "y" * 999},
        "no mapping",
        {"kld": float("nan"), "other": {"deep": [1]}, 7: None},
    ]
    continuations = [{"prompt": "p", "reference": "r", "variant": "v", "same": 2}]
    for examples in (hostile, None, 7, {"a": 1}, []):
        told = {"examples": examples, "continuations": continuations, "execution": "reference"}
        found = lost(metrics=language_model(), effective=told)
        html = sections_html(page_of([found]), "quality")
        assert "<script>" not in html
        assert "reference execution, weights only" in html
    table = quality(lost(metrics=language_model(), effective={"examples": hostile})).tables[0]
    line = table.examples[0].lines[0]
    assert "<script>x</script>\\n\\u202e" in line
    assert max(len(text) for text in line) < 300
    shown = quality(lost(effective=told)).tables[0].continuations[0]
    assert shown.columns == ("prompt", "reference", "variant", "tokens in common")


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.9617, "share", "96.2 %"),
        (0.99987, "share", "99.987 %"),
        (0.99996, "share", "99.9960 %"),
        (1.0, "share", "100 %"),
        (0.0, "share", "0 %"),
        (0.999871, "1", "0.99987"),
        (13.86, "1", "13.9"),
        (41.2, "dB", "41.2 dB"),
    ],
)
def test_units_of_quality(value: float, unit: str, text: str) -> None:
    assert quantity_text(value, unit) == text


def test_an_interval_around_nothing_is_not_rounded_away() -> None:
    assert interval_text(-0.003, 0.001, 0.0, "share") == "−0.300 to 0.100"


DIFFER = "two vocabularies: the reference's has 1024 tokens and 1024 logits, this variant's 512 and 512 <b>"
USED = "6 of 9 windows, 400 of 900 bytes scored"


def by_text(loss: float) -> list[MetricResult]:
    told: dict[str, Any] = {"evaluation": "decode", "chunk_tokens": 8, "used": USED}
    return [
        metric("bits_per_byte", 1.3 + loss, 1.2 + loss, 1.4 + loss, **told),
        metric("reference_bits_per_byte", 1.3, 1.2, 1.4, **told),
        metric("bits_per_byte_loss", loss, loss / 2, loss * 2, **told),
        metric("scored_texts", 1.0, samples=[0.0, 10.0, 5.0, 6.0, 3.0, 4.0], **told),
        metric("same_answer", 0.5, 0.1, 0.9, continuation_tokens=4, used="8 of 9 windows as prompts"),
    ]


def student() -> Result:
    unknown = [replace(metric(name, None), attempts=()) for name in ("kld", "perplexity", "greedy_prefix")]
    said = {"differ": DIFFER}
    parting = [{"prompt": "And", "reference": " he", "variant": " <i>she", "shared": 1}]
    return lost("half", [*by_text(0.2), *unknown], {"vocabularies": said, "continuations": parting})


def test_a_student_of_another_vocabulary_has_a_table_by_bytes_beside_every_row() -> None:
    losses = [metric("distillation_loss", 0.5 + alpha, 0.4, 1.9, alpha=alpha, temperature=2.0) for alpha in (0.0, 1.0)]
    section = quality(lost("int4", [*language_model(), *by_text(0.03), *losses]), student())
    tokens, texts = section.tables
    assert [row.variant for row in tokens.rows] == ["int4"]
    assert "bits per byte" not in {column.title for column in tokens.columns}
    assert [row.variant for row in texts.rows] == ["int4", "half"]
    titles = [column.title for column in texts.columns]
    assert titles == ["bits per byte", "reference's bits per byte", "bits per byte lost", "same answer"]
    shown = [cell.quantity.text for cell in texts.rows[1].cells if cell.quantity]
    assert shown == ["1.50 bits/byte", "1.30 bits/byte", "0.20 bits/byte", "50.0 %"]
    assert {row.how for row in texts.rows} == {USED}
    told = " ".join(texts.told)
    assert DIFFER in told
    assert "unknown: KLD, KLD percentile, PPL," in told
    assert "half bits per byte lost 0.20 bits/byte, same answer 50.0 %" in section.finding
    assert tokens.losses is not None
    assert (tokens.losses.alphas, tokens.losses.temperature) == (("0", "1"), "2")
    html = sections_html(page_of([lost("int4", [*language_model(), *losses]), student()]), "quality")
    assert "512 &lt;b&gt;" in html
    assert "512 <b>" not in html
    assert "&lt;i&gt;she" in html
    assert "both at temperature T = 2" in html


def test_where_all_share_a_vocabulary_nothing_is_told_by_bytes() -> None:
    (table,) = quality(lost("int4", [*language_model(), *by_text(0.03)])).tables
    assert not {column.title for column in table.columns} & {"bits per byte", "bits per byte lost", "same answer"}
    assert table.losses is None


def test_a_student_alone_has_no_empty_table_of_tokens() -> None:
    (table,) = quality(student()).tables
    assert table.continuations[0].columns == ("prompt", "reference", "variant", "characters in common")


def test_a_page_says_what_intervals_over_one_text_speak_of() -> None:
    def over(count: int, unit: str, low: float | None = 1.0) -> MetricResult:
        found = Estimate(value=2.0, low=low, high=low and 3.0, drawn=count, drawn_unit=unit)
        return MetricResult(name="kld", parameters={}, unit="nats", estimate=found, attempts=())

    (told,) = of_one_text([{"a": over(6, "chunks"), "b": over(9, "documents")}, {"a": over(7, "stretches of text")}])
    assert told.startswith("Intervals over 6 chunks and over 7 stretches of text in a row allow for neighbours")
    assert not list(of_one_text([{"a": over(9, "documents"), "b": over(4, "chunks", None)}]))
