"""onnxruntime-genai and OpenVINO through the whole harness: which figure is of what stands in the result."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

import benchharness
from benchharness.results.result import OutcomeKind, Result, WarningKind
from tests.conftest import ARTEFACTS, ROOT

pytest.importorskip("onnxruntime_genai", reason="NOT TESTED: onnxruntime-genai is not installed")
openvino = pytest.importorskip("openvino", reason="NOT TESTED: openvino is not installed")

PROMPT = [(7 * index + 3) % 1024 for index in range(16)]
CONFIGURATIONS: Mapping[str, Mapping[str, Any]] = {
    "logits": {"runtime": "onnxruntime-genai", "threads": 1},
    "loop": {"runtime": "onnxruntime-genai", "threads": 1, "options": {"loop": "runtime"}},
    "default": {"runtime": "openvino", "threads": 1},
    "f32": {"runtime": "openvino", "threads": 1, "options": {"INFERENCE_PRECISION_HINT": "f32"}},
    "npu": {"runtime": "openvino", "accelerator": "NPU"},
}

Results = Mapping[tuple[str, str], Result]


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    folder = tmp_path_factory.mktemp("further")
    suite = {
        "models": {
            "demo": {
                "variants": {"grouped": {"artefact": str(ARTEFACTS / "onnx-gqa-fp32")}},
                "evaluation": str(ROOT / "examples" / "demo_model" / "heldout.txt"),
            }
        },
        "configurations": [{"name": name, **told} for name, told in CONFIGURATIONS.items()],
        "workloads": [{"prompt": {"tokens": 16}, "output_tokens": 12, "continuation": "greedy"}],
        "scenarios": {
            "first-token": {"min_time": "1 ms"},
            "steady": {"min_time": "1 ms"},
            "quality": {"most_chunks": 1, "chunk_tokens": 32},
        },
        "attempts": {"at_least": 1, "at_most": 1, "timeout": "120 s"},
    }
    found = benchharness.run(suite, store=f"sqlite:///{folder}/store.db")
    return {(each.job.configuration.name or "", each.job.scenario): each for each in found.results}


def names(result: Result) -> set[str]:
    return {each.name for each in result.metrics if each.estimate.value is not None}


def test_both_figures_of_genai_say_which_they_are(results: Results) -> None:
    for name, loop in (("logits", "get_logits"), ("loop", "generate_next_token")):
        first, steady = results[name, "first-token"], results[name, "steady"]
        assert (first.outcome.kind, steady.outcome.kind) == (OutcomeKind.OK, OutcomeKind.OK)
        assert "model_ttft" in names(first)
        assert {"decode_rate", "tpot", "itl"} <= names(steady)
        assert loop in steady.effective.facts["loop"]
        assert steady.effective.threads is None
    assert results["logits", "steady"].effective.timed_by is None
    assert results["loop", "steady"].effective.timed_by == "time.perf_counter_ns"
    assert results["loop", "steady"].effective.tokens_per_stamp == 1


def test_its_own_loop_has_no_quality_and_its_logits_have(results: Results) -> None:
    assert results["loop", "quality"].outcome.kind is OutcomeKind.UNSUPPORTED
    assert "gives no logits" in results["loop", "quality"].outcome.reason
    (kld,) = (each.estimate.value for each in results["f32", "quality"].metrics if each.name == "kld")
    assert kld == pytest.approx(0, abs=1e-6), "the reference is the first configuration, genai's logits"


def test_less_precision_than_the_file_has_is_warned_of(results: Results) -> None:
    """Where the processor computes in bfloat16, OpenVINO does unless told; where not, there is nothing to warn of."""
    computes = "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    warned = {
        name: WarningKind.LOWER_PRECISION in {each.kind for each in results[name, "steady"].warnings}
        for name in ("default", "f32", "logits")
    }
    assert warned == {"default": computes, "f32": False, "logits": False}
    assert results["f32", "steady"].effective.precision == "float32"


def test_operators_are_placed_and_a_device_that_is_not_here_is_refused(results: Results) -> None:
    placed = results["f32", "steady"].effective.placement
    assert isinstance(placed, Mapping)
    assert set(placed) == {"CPU"}
    refused = results["npu", "steady"].outcome
    assert refused.kind is OutcomeKind.UNSUPPORTED
    assert "no device 'NPU' here" in refused.reason
    assert "it has CPU" in refused.reason


def test_one_artefact_has_one_digest_in_every_runtime(tmp_path: Path) -> None:
    from benchharness.device.questions import list_files

    model = ARTEFACTS / "onnx-gqa-fp32"
    told = [list_files.files_of(model, [name]) for name in ("onnxruntime", "onnxruntime-genai", "openvino")]
    assert told[0] is not None
    assert told[0] == told[1] == told[2]
