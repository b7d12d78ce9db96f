"""A browser through the whole harness: whose clock, whose memory, and what is left when an attempt is cut short."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

import benchharness
from benchharness.results.result import OutcomeKind, Result, WarningKind
from tests.conftest import ARTEFACTS, ROOT
from tests.web_page import library, opened_browsers

pytest.importorskip("playwright", reason="NOT TESTED: playwright is not installed")

DEMO = {
    "variants": {"fp32": {"artefact": str(ARTEFACTS / "onnx-fp32")}},
    "evaluation": str(ROOT / "examples" / "demo_model" / "heldout.txt"),
}
DIGITS = {"variants": {"fp32": {"artefact": str(ROOT / "examples" / "digits" / "artefacts" / "fp32.onnx")}}}
BROWSER = {"name": "browser", "runtime": "onnxruntime-web", "threads": 1}

Results = Mapping[tuple[str, str], Result]


def run(folder: Path, **suite: Any) -> Results:
    library()
    found = benchharness.run(suite, store=f"sqlite:///{folder}/store.db")
    return {(each.job.model, each.job.scenario): each for each in found.results}


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    return run(
        tmp_path_factory.mktemp("web"),
        models={"demo": DEMO, "digits": DIGITS},
        configurations=[BROWSER],
        workloads=[
            {"models": ["demo"], "prompt": {"tokens": 16}, "output_tokens": 12, "continuation": "greedy"},
            {"models": ["digits"], "dimensions": {}},
        ],
        scenarios={
            "first-token": {"min_time": "1 ms"},
            "steady": {"min_time": "1 ms"},
        },
        attempts={"at_least": 1, "at_most": 1, "timeout": "120 s"},
    )


def named(result: Result, name: str, **parameters: str) -> list[float]:
    return [
        each.estimate.value
        for each in result.metrics
        if each.name == name and each.estimate.value is not None and parameters.items() <= each.parameters.items()
    ]


@pytest.mark.parametrize(
    ("model", "metrics"), [("demo", ("tpot", "itl", "decode_rate")), ("digits", ("steady_inference", "inference_rate"))]
)
def test_a_page_times_itself(results: Results, model: str, metrics: tuple[str, ...]) -> None:
    steady = results[model, "steady"]
    assert steady.outcome.kind is OutcomeKind.OK, steady.outcome
    assert all(named(steady, metric) for metric in metrics)
    effective = steady.effective
    assert (effective.timed_by, effective.stamped_at) == ("performance.now", "browser")
    assert effective.clock_resolution_ns is not None
    assert "in Chromium" in (effective.runtime_version or "")


def test_a_cold_start_is_of_the_browser_too(results: Results) -> None:
    first = results["demo", "first-token"]
    (whole,), (load,) = named(first, "cold_start_ttft"), named(first, "cold_start_phase", phase="load")
    parts = first.effective.facts["load_parts_ns"]
    assert 0 < parts["create"] < load < whole
    assert results["digits", "first-token"].outcome.ok


def test_memory_is_the_pages(results: Results) -> None:
    for model in ("demo", "digits"):
        steady = results[model, "steady"]
        assert steady.effective.facts["computed_in"].startswith("the page's process")
        assert named(steady, "peak_memory")[0] > 60 << 20
        assert named(steady, "settled_memory", phase="measure", kind="pss")[0] > 20 << 20
        assert not named(steady, "settled_memory", phase="import")
        assert not named(steady, "model_memory")


def test_quality_comes_of_the_same_pages_logits(tmp_path: Path) -> None:
    variants = {**DEMO["variants"], "int8": {"artefact": str(ARTEFACTS / "onnx-int8")}}  # type: ignore[dict-item]
    quality = run(
        tmp_path,
        models={"demo": {**DEMO, "variants": variants, "reference": "fp32"}},
        configurations=[BROWSER],
        workloads=[{"prompt": {"tokens": 16}}],
        scenarios={"quality": {"most_chunks": 1, "chunk_tokens": 16}},
    )["demo", "quality"]
    assert quality.outcome.kind is OutcomeKind.OK, quality.outcome
    assert named(quality, "kld")


def test_a_browser_ends_with_its_attempt_and_is_no_leftover(results: Results) -> None:
    for result in results.values():
        assert WarningKind.LEFT_RUNNING not in {each.kind for each in result.warnings}, result.warnings


def test_nothing_is_left_of_an_attempt_that_is_cut_short(tmp_path: Path) -> None:
    found = run(
        tmp_path,
        models={"demo": {"variants": DEMO["variants"]}},
        configurations=[BROWSER],
        workloads=[{"prompt": {"tokens": 16}, "output_tokens": 400, "continuation": "greedy"}],
        scenarios={"steady": {"min_time": "100 s"}},
        attempts={"at_least": 1, "at_most": 1, "timeout": "8 s"},
    )
    assert found["demo", "steady"].outcome.kind is OutcomeKind.TIMEOUT
    assert not opened_browsers(str(tmp_path))
    assert not list(tmp_path.rglob("browser-*"))
