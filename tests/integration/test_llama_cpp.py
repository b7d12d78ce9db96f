"""GGUF models through the whole program: a run, quality against another runtime, and a build that crashes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

import benchharness
from tests.conftest import ROOT
from tests.contract.gguf_models import float_model, smaller_model

ONNX = ROOT / "examples" / "demo_model" / "artefacts" / "onnx-fp32"
ONCE: dict[str, Any] = {"at_least": 1, "at_most": 1}

#: What a native build did on a processor with AMX, without the processor: it ends over weights that it may repack.
CRASHING = """
import os, signal
from contextlib import contextmanager
from targets import llama_cpp
from targets.llama_cpp.library import Library

class AmxLlama(llama_cpp.LlamaCpp):
    name = "amx-llama"

    @contextmanager
    def open(self, artefact, configuration):
        Library.system_info = property(lambda _: "CPU : AMX_INT8 = 1")
        functions = llama_cpp._library.functions
        load = functions.llama_model_load_from_file

        def load_or_crash(path, params):
            if params.use_extra_bufts:
                os.kill(os.getpid(), signal.SIGSEGV)
            return load(path, params)

        functions.llama_model_load_from_file = load_or_crash
        with super().open(artefact, configuration) as session:
            yield session
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return float_model(tmp_path_factory.mktemp("gguf"))


@pytest.fixture(scope="module")
def q8_0(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return smaller_model(model, "gguf-q8_0", tmp_path_factory.mktemp("gguf-q8_0"))


def test_a_model_runs_and_tells_how(model: Path, store_url: str) -> None:
    found = benchharness.run(model, store=store_url, scenarios=["steady"], attempts=1, threads=1)
    (result,) = found.results
    assert result.outcome.ok, result.outcome.reason
    assert {"decode_rate", "peak_memory"} <= {metric.name for metric in result.metrics}
    assert result.effective.threads == 1
    assert result.effective.cache == "in-place"
    facts = result.effective.facts
    assert facts["system_info"]
    assert facts["type_k"] == "f16"
    assert result.effective.placement == {"CPU": {"layer": 5}}


def test_quality_is_compared_with_another_runtime(model: Path, q8_0: Path, tmp_path: Path, store_url: str) -> None:
    (tmp_path / "held_out.txt").write_text((ROOT / "examples/demo_model/heldout.txt").read_text()[:6000])
    exact = {"type_k": "f32", "type_v": "f32", "flash_attn": False}
    suite = {
        "name": "two runtimes",
        "models": {
            "demo": {
                "reference": "onnx",
                "evaluation": str(tmp_path / "held_out.txt"),
                "variants": {
                    "onnx": {"artefact": str(ONNX)},
                    "f32": {"artefact": str(model)},
                    "q8_0": {"artefact": str(q8_0)},
                },
            }
        },
        "configurations": [{"runtime": "onnxruntime", "threads": 1}, {"runtime": "llama-cpp", "options": exact}],
        "scenarios": {"quality": {}},
        "attempts": ONCE,
    }
    found = benchharness.run(suite, store=store_url)
    divergence = {
        result.job.variant: metric.estimate.value or 0.0
        for result in found.results
        for metric in result.metrics
        if metric.name == "kld" and result.job.variant != "onnx"
    }
    assert divergence["f32"] == pytest.approx(0, abs=1e-6)
    assert 1e-5 < divergence["q8_0"] < 1e-2


def test_a_crash_over_repacked_weights_names_its_cure(
    q8_0: Path, tmp_path: Path, store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "amx_llama.py").write_text(CRASHING)
    about = tmp_path / "amx_llama-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: amx-llama\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[benchharness.targets]\namx-llama = amx_llama:AmxLlama\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]))
    suite = {
        "name": "amx",
        "models": {"demo": {"variants": {"q8_0": {"artefact": str(q8_0)}}}},
        "configurations": [
            {"name": "as it is", "runtime": "amx-llama"},
            {"name": "cured", "runtime": "amx-llama", "options": {"use_extra_bufts": False}},
        ],
        "scenarios": {"steady": {}},
        "attempts": ONCE,
    }
    crashed, cured = benchharness.run(suite, store=store_url).results
    assert crashed.outcome.kind == "crashed"
    assert "SIGSEGV" in crashed.outcome.reason
    assert "options = { use_extra_bufts = false }" in crashed.outcome.evidence
    assert cured.outcome.ok, cured.outcome.reason
