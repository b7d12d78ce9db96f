"""A LiteRT-LM bundle through the whole harness: its own loop, and quality by the other runtime that opens it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

import benchharness
from benchharness.results.result import OutcomeKind, Result
from tests.conftest import ARTEFACTS, DEMO
from tests.contract.runtime_models import bundle

pytest.importorskip("litert_lm", reason="NOT TESTED: litert-lm-api is not installed")

Results = Mapping[tuple[str, str], Result]


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    suite: dict[str, Any] = {
        "models": {
            "demo": {
                "variants": {"bundle": {"artefact": str(bundle("fp32").parent)}},
                "evaluation": str(DEMO / "heldout.txt"),
                "tokenizer": str(ARTEFACTS / "tflite-fp32" / "tokenizer.json"),
            }
        },
        "configurations": [
            {"name": "tflite", "runtime": "tflite", "threads": 1},
            {"name": "litert-lm", "runtime": "litert-lm", "threads": 1},
            {"name": "npu", "runtime": "litert-lm", "accelerator": "NPU"},
        ],
        "workloads": [
            {"prompt": {"text": "In the beginning God created"}, "output_tokens": 12, "continuation": "greedy"}
        ],
        "scenarios": {
            "first-token": {"min_time": "1 ms"},
            "steady": {"min_time": "1 ms"},
            "quality": {"most_chunks": 1, "chunk_tokens": 32},
        },
        "attempts": {"at_least": 1, "at_most": 1, "timeout": "120 s"},
    }
    folder = tmp_path_factory.mktemp("litert-lm")
    found = benchharness.run(suite, store=f"sqlite:///{folder}/store.db")
    return {(each.job.configuration.name or "", each.job.scenario): each for each in found.results}


def names(result: Result) -> set[str]:
    return {each.name for each in result.metrics if each.estimate.value is not None}


def test_its_figures_are_of_its_own_stamps(results: Results) -> None:
    first, steady = results["litert-lm", "first-token"], results["litert-lm", "steady"]
    assert {"request_ttft", "cold_start_ttft"} <= names(first)
    assert "model_ttft" not in names(first), "a text goes in, and its tokenisation with it"
    assert {"decode_rate", "itl", "tpot", "peak_memory"} <= names(steady)
    assert (steady.effective.timed_by, steady.effective.tokens_per_stamp) == ("time.perf_counter_ns", 1)
    assert "callback" in steady.effective.facts["loop"]
    assert steady.effective.threads is None


def test_quality_is_the_others_on_the_same_bundle(results: Results) -> None:
    refused = results["litert-lm", "quality"].outcome
    assert refused.kind is OutcomeKind.UNSUPPORTED
    assert "gives no logits" in refused.reason
    assert results["tflite", "steady"].outcome.ok
    digests = {each.job.digest for each in results.values()}
    assert len(digests) == 1


def test_an_npu_is_refused_and_no_cpu_is_measured_for_it(results: Results) -> None:
    for scenario in ("first-token", "steady"):
        refused = results["npu", scenario].outcome
        assert refused.kind is OutcomeKind.UNSUPPORTED
        assert "NPU that is not there" in refused.reason
