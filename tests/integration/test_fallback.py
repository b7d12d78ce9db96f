"""What the harness says of accelerators that take part of a model, or none of it, and of sessions that are no evidence.

One run of every model in every configuration; the tests look at what it exports.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import onnxruntime
import pytest

from tests.conftest import command_line
from tests.contract.tiny_models import build_image_model
from tests.integration.awkward_run import python_path

SUITE = """
[[configurations]]
name = "without"
runtime = "awkward"
[[configurations]]
name = "warn"
runtime = "awkward"
accelerator = "npu"
[[configurations]]
name = "allow"
runtime = "awkward"
accelerator = "npu"
fallback = "allow"
[[configurations]]
name = "fail"
runtime = "awkward"
accelerator = "npu"
fallback = "fail"
[[workloads]]
prompt = { tokens = 8 }
output_tokens = 4
[attempts]
at_least = 1
[models.m.variants]
whole = { artefact = "whole.awkward" }
partial = { artefact = "partial.awkward" }
refused = { artefact = "refused.awkward" }
unplaced = { artefact = "unplaced.awkward" }
silent = { artefact = "fine.awkward" }
[scenarios.steady]
min_time = "1 ms"
"""
LOST_NS = 5_000_000

Result = dict[str, Any]
Results = Mapping[tuple[str, str], Result]


def run(folder: Path, suite: str, *models: str, report: bool = False) -> tuple[int, list[Result]]:
    """The exit code of a run of a suite, and the results that it exports."""
    for words in models:
        (folder / f"{words}.awkward").write_text(words if words == "fine" else f"run {words}")
    (folder / "suite.toml").write_text(suite)
    benchharness = command_line(folder, f"sqlite:///{folder / 'store.db'}", PYTHONPATH=python_path())
    done = benchharness("run", "suite.toml", report=report)
    assert "Traceback" not in done.stdout + done.stderr, done.stderr
    exported = benchharness("export")
    assert exported.returncode == 0, done.stderr + exported.stderr
    return done.returncode, json.loads(exported.stdout)["results"]


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    code, found = run(tmp_path_factory.mktemp("fallback"), SUITE, "whole", "partial", "refused", "unplaced", "fine")
    assert code == 3, "some attempts failed, as asked for"
    return {(result["variant"], result["configuration"]["name"]): result for result in found}


def warnings(result: Result, kind: str = "fallback") -> list[str]:
    return [warning["message"] for warning in result["warnings"] if warning["kind"] == kind]


def metrics(result: Result) -> dict[str, Any]:
    return {metric["name"]: metric["value"] for metric in result["metrics"]}


PARTIAL = "3 of 8 operators do not run on npu: 2 Gather on mood, 1 Cast on mood"
REFUSED = "8 of 8 operators do not run on npu: 5 MatMul on mood, 2 Gather on mood, 1 Cast on mood; npu is asleep"


@pytest.mark.parametrize(("variant", "summary", "elsewhere"), [("partial", PARTIAL, 3), ("refused", REFUSED, 8)])
@pytest.mark.parametrize("configuration", ["warn", "allow"])
def test_a_fallback_is_a_fact_and_where_it_was_not_allowed_a_warning(
    results: Results, variant: str, summary: str, elsewhere: int, configuration: str
) -> None:
    result = results[variant, configuration]
    assert (result["outcome"], result["outcomes"]) == ("ok", {"ok": 1})
    assert warnings(result) == ([summary] if configuration == "warn" else [])
    fallback = result["effective"]["fallback"]
    assert (fallback["summary"], fallback["operators"], fallback["operators_elsewhere"]) == (summary, 8, elsewhere)
    assert sum(result["effective"]["placement"]["mood"].values()) == elsewhere


@pytest.mark.parametrize("configuration", ["warn", "allow"])
def test_what_a_refused_try_took_is_a_metric(results: Results, configuration: str) -> None:
    result = results["refused", configuration]
    (refused,) = [metric for metric in result["metrics"] if metric["name"] == "refused_load"]
    assert refused["unit"] == "ns"
    assert [attempt["value"] for attempt in refused["attempts"]] == [LOST_NS]
    assert refused["value"] == pytest.approx(LOST_NS)
    assert result["effective"]["fallback"]["lost_ns"] == LOST_NS


def test_without_a_refusal_nothing_was_lost(results: Results) -> None:
    for (variant, configuration), result in results.items():
        if variant != "refused" or configuration in ("without", "fail"):
            assert "refused_load" not in metrics(result), (variant, configuration)


@pytest.mark.parametrize(("variant", "words"), [("partial", PARTIAL), ("refused", "npu is asleep")])
def test_a_fallback_that_must_fail_is_an_outcome_that_says_why(results: Results, variant: str, words: str) -> None:
    result = results[variant, "fail"]
    assert (result["outcome"], result["outcomes"]) == ("unsupported", {"unsupported": 1})
    assert words in result["reason"]
    assert result["metrics"] == []


@pytest.mark.parametrize("configuration", ["without", "warn", "allow", "fail"])
def test_an_accelerator_that_takes_all_gives_no_reason_for_doubt(results: Results, configuration: str) -> None:
    result = results["whole", configuration]
    assert result["outcome"] == "ok"
    assert "fallback" not in result["effective"]
    assert warnings(result) == []


@pytest.mark.parametrize(
    ("variant", "why"),
    [
        ("unplaced", "this release does not tell where operators run"),
        ("silent", "this adapter does not tell where operators run"),
    ],
)
def test_a_placement_that_is_not_told_is_unknown_and_no_proof(results: Results, variant: str, why: str) -> None:
    result = results[variant, "warn"]
    assert result["outcome"] == "ok"
    assert "placement" not in result["effective"]
    assert result["effective"]["placement_unknown"] == why
    assert warnings(result) == []
    refused = results[variant, "fail"]
    assert refused["outcome"] == "unsupported"
    assert f"whether all operators run on npu is unknown ({why})" in refused["reason"]


@pytest.mark.parametrize("variant", ["whole", "partial", "refused", "unplaced", "silent"])
@pytest.mark.parametrize("configuration", ["warn", "allow"])
def test_a_result_is_held_against_the_one_without_the_accelerator(
    results: Results, variant: str, configuration: str
) -> None:
    result, without = results[variant, configuration], results[variant, "without"]
    (contrast,) = result["contrasts"]
    assert contrast["basis"] == "accelerator"
    assert variant in contrast["other"]
    assert "without" in contrast["other"]
    ratios = {ratio["name"]: ratio for ratio in contrast["ratios"] if "percentile" not in ratio["parameters"]}
    assert {"prefill_rate", "decode_rate", "peak_memory"} <= ratios.keys()
    assert ratios["artefact_size"]["value"] == 1
    assert ratios["decode_rate"]["value"] == pytest.approx(
        metrics(result)["decode_rate"] / metrics(without)["decode_rate"]
    )


def test_a_result_without_an_accelerator_is_held_against_none(results: Results) -> None:
    for (_, configuration), result in results.items():
        if configuration == "without":
            assert result["contrasts"] == []


def test_a_warning_alone_is_no_failure(tmp_path: Path) -> None:
    suite = SUITE.partition("[models")[0].replace('fallback = "fail"', "")
    variants = "partial = { artefact = 'partial.awkward' }\nrefused = { artefact = 'refused.awkward' }"
    code, found = run(
        tmp_path,
        f"{suite}\n[scenarios.steady]\nmin_time = '1 ms'\n[models.m.variants]\n{variants}",
        "partial",
        "refused",
        report=True,
    )
    assert code == 0
    assert sum(bool(warnings(result)) for result in found) == 4
    page = (tmp_path / "report" / "this-machine.html").read_text()
    assert "npu is asleep" in page


# A session whose operators something else than the shipping runtime computes.


@pytest.fixture(scope="module")
def reference_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[int, list[Result], Path]:
    folder = tmp_path_factory.mktemp("reference")
    suite = """
    [[configurations]]
    runtime = "awkward"
    [[workloads]]
    prompt = { tokens = 8 }
    output_tokens = 4
    [attempts]
    at_least = 1
    [scenarios.first-token]
    [scenarios.steady]
    [models.m.variants]
    computed = { artefact = "reference.awkward" }
    """
    return (*run(folder, suite, "reference", report=True), folder)


def test_a_reference_execution_gives_sizes_and_no_figure_of_the_device(
    reference_run: tuple[int, list[Result], Path],
) -> None:
    code, found, _ = reference_run
    assert code == 0
    assert [result["scenario"] for result in found] == ["first-token", "steady"]
    for result in found:
        assert (result["outcome"], result["outcomes"]) == ("ok", {"ok": 1})
        assert result["effective"]["execution"] == "reference"
        assert metrics(result).keys() == {"artefact_size", "download_size"}
        (message,) = warnings(result, "reference-execution")
        assert "never latency or memory" in message


def test_a_reference_execution_is_called_one_in_the_report(reference_run: tuple[int, list[Result], Path]) -> None:
    assert "reference execution" in (reference_run[2] / "report" / "this-machine.html").read_text()


# A real runtime.


@pytest.mark.skipif("AzureExecutionProvider" not in onnxruntime.get_available_providers(), reason="no second provider")
def test_onnx_runtimes_provider_that_takes_no_operator_is_told(tmp_path: Path) -> None:
    build_image_model(tmp_path / "image.onnx")
    code, found = run(
        tmp_path,
        """
        [[configurations]]
        name = "warn"
        accelerator = "AzureExecutionProvider"
        [[configurations]]
        name = "fail"
        accelerator = "AzureExecutionProvider"
        fallback = "fail"
        [attempts]
        at_least = 1
        [scenarios.first-token]
        [models.m.variants]
        image = { artefact = "image.onnx" }
        """,
    )
    assert code == 3
    warned, failed = found
    summary = "4 of 4 operators do not run on AzureExecutionProvider: 1 Conv on CPUExecutionProvider"
    assert warnings(warned)[0].startswith(summary)
    assert warned["effective"]["accelerators"] == ["AzureExecutionProvider", "CPUExecutionProvider"]
    assert metrics(warned)["first_inference"] > 0
    assert "refused_load" not in metrics(warned)
    assert failed["outcome"] == "unsupported"
    assert failed["reason"].startswith(f'fallback = "fail": {summary}')
