"""ExecuTorch, in an environment of its own: the contract there, and attempts through the harness.

`make executorch-model` makes both the environment, of a gigabyte and a half, and the models.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

import benchharness
from benchharness.results.result import Result, WarningKind
from tests.conftest import DEMO, ROOT
from tests.contract.runtime_models import BUILT
from tests.contract.test_one_model_in_three_runtimes import GOLDEN, greedy

ENVIRONMENT = ROOT / ".venv-executorch"
PYTHON = ENVIRONMENT / "bin" / "python"
CONTRACT = Path(__file__).with_name("executorch_contract.py")
MODEL = BUILT / "executorch-fp32"

pytestmark = pytest.mark.skipif(
    not (PYTHON.exists() and (MODEL / "model.pte").is_file()),
    reason=f"EXECUTORCH IS NOT TESTED: no {ENVIRONMENT.name}, which `make executorch-model` makes with its models",
)


def run_there(*command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs that environment's Python, with this project's packages importable."""
    variables = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    return subprocess.run(
        [str(PYTHON), *command], capture_output=True, text=True, cwd=ROOT, env=variables, timeout=900, check=False
    )


def test_the_contract_holds() -> None:
    # The configuration and the fixtures of this suite need packages that are not there.
    options = ["-q", "-c", os.devnull, "--rootdir", str(ROOT), "--noconftest", "-p", "no:cacheprovider"]
    expected = " ".join(map(str, greedy("onnx-fp32", "onnxruntime", None)))
    named = {"EXECUTORCH_MODELS": str(BUILT), "GOLDEN_LOGITS": str(GOLDEN), "EXPECTED_TOKENS": expected}
    done = run_there("-m", "pytest", *options, str(CONTRACT), **named)
    assert done.returncode == 0, done.stdout[-4000:]
    assert " passed" in done.stdout


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Mapping[tuple[str, str], Result]:
    suite: dict[str, Any] = {
        "models": {
            "demo": {
                "variants": {
                    "onnx": {"artefact": str(DEMO / "artefacts" / "onnx-fp32")},
                    "pte": {"artefact": str(MODEL)},
                },
                "reference": ["onnx"],
                "evaluation": str(DEMO / "heldout.txt"),
            }
        },
        "configurations": [
            {"runtime": "onnxruntime", "threads": 1},
            {"runtime": "executorch", "threads": 1, "python": str(PYTHON)},
        ],
        "workloads": [{"prompt": {"tokens": 16}, "output_tokens": 12}],
        "scenarios": {
            "first-token": {"min_time": "1 ms"},
            "steady": {"min_time": "1 ms"},
            "quality": {"most_chunks": 1, "chunk_tokens": 32},
        },
        "attempts": {"at_least": 1, "at_most": 1, "timeout": "300 s"},
    }
    folder = tmp_path_factory.mktemp("executorch")
    found = benchharness.run(suite, store=f"sqlite:///{folder}/store.db")
    return {(each.job.variant, each.job.scenario): each for each in found.results}


def test_it_is_measured_like_the_others(results: Mapping[tuple[str, str], Result]) -> None:
    for scenario, metric in (("first-token", "cold_start_ttft"), ("steady", "decode_rate"), ("quality", "kld")):
        result = results["pte", scenario]
        assert result.outcome.ok, result.outcome.reason
        assert metric in {each.name for each in result.metrics}
    (kld,) = (each.estimate.value for each in results["pte", "quality"].metrics if each.name == "kld")
    assert kld == pytest.approx(0, abs=1e-6)


def test_what_its_python_adds_is_warned_of(results: Mapping[tuple[str, str], Result]) -> None:
    """Where it is in the figures: start and memory; not where they are rates."""
    warned = {
        scenario: [each.message for each in results["pte", scenario].warnings if each.kind is WarningKind.NOT_SHIPPED]
        for scenario in ("first-token", "steady", "quality")
    }
    assert all("ExecuTorch's Python runtime" in message for message in warned["first-token"])
    assert len(warned["first-token"]) == len(warned["steady"]) == 1
    assert warned["quality"] == []
