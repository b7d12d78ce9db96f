"""tflite-runtime, in an environment of its own: the contract there, and attempts through the harness.

`make test` makes the environment where a Python of 3.9 to 3.11 is at hand: the package has wheels for no later one, and
fails beside numpy 2.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from tests.conftest import ROOT, CommandLine
from tests.contract.test_tflite_refusals import _OPENS_DAMAGED_FILES
from tests.contract.tflite_models import (
    CONTEXT,
    VOCABULARY,
    Variant,
    build_chain,
    build_image_model,
    build_language_model,
    build_outsized_constant,
    build_quantized_image_model,
)

ENVIRONMENT = ROOT / ".venv-tflite-runtime"
PYTHON = ENVIRONMENT / "bin" / "python"
CONTRACT = Path(__file__).with_name("tflite_runtime_contract.py")

pytestmark = pytest.mark.skipif(
    not PYTHON.exists(),
    reason=f"TFLITE-RUNTIME IS NOT TESTED: no {ENVIRONMENT.name}, which `make test` makes with a Python of 3.9 to 3.11",
)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tflite_runtime")
    float_model = build_language_model(folder / "float.tflite", Variant())
    build_language_model(folder / "bool-mask.tflite", Variant(mask="bool"))
    build_language_model(folder / "int8.tflite", Variant(weights="int8"))
    build_language_model(folder / "int8-tensor.tflite", Variant(weights="int8-tensor"))
    build_language_model(folder / "scattered.tflite", Variant(scattered=True))
    build_outsized_constant(folder / "outsized.tflite")
    build_image_model(folder / "image.tflite")
    build_image_model(folder / "open-image.tflite", batch=None)
    build_quantized_image_model(folder / "int8-image.tflite")
    build_chain(folder / "newer.tflite", [schema.BuiltinOperator.STABLEHLO_COMPOSITE])
    tokens = [(5 * index + index * index) % VOCABULARY for index in range(CONTEXT)]
    np.savez(folder / "expected.npz", tokens=tokens, logits=float_model.logits(tokens))
    return folder


def run_there(*command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs that environment's Python, with this project's packages importable."""
    variables = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    return subprocess.run(
        [str(PYTHON), *command], capture_output=True, text=True, cwd=ROOT, env=variables, timeout=300, check=False
    )


def test_the_contract_holds(models: Path) -> None:
    if run_there("-c", "import pytest").returncode:
        pytest.skip(f"THE CONTRACT IS NOT TESTED ON TFLITE-RUNTIME: no pytest in {ENVIRONMENT.name}")
    # The configuration and the fixtures of this suite need packages that are not there.
    options = ["-q", "-c", os.devnull, "--rootdir", str(ROOT), "--noconftest", "-p", "no:cacheprovider"]
    done = run_there("-m", "pytest", *options, str(CONTRACT), TFLITE_MODELS=str(models))
    assert done.returncode == 0, done.stdout[-4000:]
    assert " passed" in done.stdout


@pytest.mark.parametrize("name", ["image", "float"])
def test_no_damaged_file_ends_the_process(models: Path, tmp_path: Path, name: str) -> None:
    """The package itself checks nothing: unchecked, half of these files end it."""
    done = run_there("-c", _OPENS_DAMAGED_FILES, str(models / f"{name}.tflite"), str(tmp_path), "0", "60")
    assert (done.returncode, done.stdout) == (0, ""), done.stderr[-2000:]


def run_suite(benchharness: CommandLine, folder: Path, artefact: Path, configuration: str = "") -> dict[str, Any]:
    """The exported result of an attempt that the harness made under that environment's Python."""
    prompt = "prompt = { tokens = 9 }\noutput_tokens = 4" if artefact.stem in LANGUAGE_MODELS else ""
    (folder / "suite.toml").write_text(
        f"""
        [models.m.variants]
        a = {{ artefact = "{artefact}" }}
        [[configurations]]
        runtime = "tflite"
        threads = 1
        python = "{PYTHON}"
        {configuration}
        [[workloads]]
        {prompt}
        [scenarios.first-token]
        """
    )
    done = benchharness("run", "suite.toml", "--attempts", "1", "--max-time", "5 min")
    assert "Traceback" not in done.stdout + done.stderr
    exported = benchharness("export")
    (result,) = json.loads(exported.stdout)["results"]
    found: dict[str, Any] = result
    return found


LANGUAGE_MODELS = ("float", "int8", "int8-tensor")


def test_a_language_model_runs_through_the_harness(benchharness: CommandLine, models: Path, tmp_path: Path) -> None:
    result = run_suite(benchharness, tmp_path, models / "float.tflite")
    assert result["outcome"] == "ok", result["reason"]
    effective = result["effective"]
    assert effective["runtime_version"] == "2.14.0"
    assert effective["cache"] == "copied-by-binding"
    assert effective["facts"]["binding_copy_ns_per_token"] > 0
    assert "binding-copies" in {warning["kind"] for warning in result["warnings"]}
    assert {metric["name"] for metric in result["metrics"]} >= {"model_ttft"}


@pytest.mark.parametrize("name", ["image", "int8-image"])
def test_any_network_runs_through_the_harness(
    benchharness: CommandLine, models: Path, tmp_path: Path, name: str
) -> None:
    result = run_suite(benchharness, tmp_path, models / f"{name}.tflite")
    assert result["outcome"] == "ok", result["reason"]
    assert result["effective"]["facts"]["package"] == "tflite-runtime"


def test_what_it_computes_wrongly_in_silence_is_unsupported(
    benchharness: CommandLine, models: Path, tmp_path: Path
) -> None:
    result = run_suite(benchharness, tmp_path, models / "int8.tflite")
    assert result["outcome"] == "unsupported"
    assert "gives zeros" in result["reason"]
    assert not result["metrics"]


def test_another_package_than_there_is_is_unsupported(benchharness: CommandLine, models: Path, tmp_path: Path) -> None:
    wanted = 'options = { package = "ai-edge-litert" }'
    result = run_suite(benchharness, tmp_path, models / "image.tflite", wanted)
    assert result["outcome"] == "unsupported"
    assert "ai-edge-litert cannot be imported" in result["reason"]
