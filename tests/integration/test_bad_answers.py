"""Models that answer nonsense: a recorded outcome, and the others go on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

from tests.conftest import CommandLine
from tests.contract.tiny_models import Variant, build_image_model, build_language_model

QUICK = ("--attempts", "1", "--timeout", "60 s", "--scenario", "steady")


def fill(file: Path, name: str, value: float) -> None:
    """Sets every number of one of a model's weights."""
    model = onnx.load(file)
    (weight,) = [tensor for tensor in model.graph.initializer if tensor.name == name]
    weight.CopyFrom(numpy_helper.from_array(np.full_like(numpy_helper.to_array(weight), value), name))
    onnx.save(model, file)


def by_variant(benchharness: CommandLine) -> dict[str, dict[str, Any]]:
    done = benchharness("export")
    assert done.returncode == 0, done.stderr
    return {result["variant"]: result for result in json.loads(done.stdout)["results"]}


def test_language_models_of_nan_and_of_zeros_are_invalid(benchharness: CommandLine, tmp_path: Path) -> None:
    for name in ("good", "nan", "zeros"):
        build_language_model(tmp_path / name, Variant())
    fill(tmp_path / "nan" / "model.onnx", "output", np.nan)
    fill(tmp_path / "zeros" / "model.onnx", "output", 0.0)
    done = benchharness("run", "good", "nan", "zeros", *QUICK, report=True)
    assert done.returncode == 3, done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    found = by_variant(benchharness)
    assert {name: result["outcome"] for name, result in found.items()} == {
        "good": "ok",
        "nan": "invalid",
        "zeros": "invalid",
    }
    assert "37 of 37 logits are NaN or infinite" in found["nan"]["reason"]
    assert "all 37 logits are 0" in found["zeros"]["reason"]
    assert not found["nan"]["metrics"]
    assert "37 of 37 logits are NaN" in (tmp_path / "report" / "this-machine.html").read_text()


def test_image_models_of_nan_and_of_zeros_are_invalid(benchharness: CommandLine, tmp_path: Path) -> None:
    for name in ("good", "nan", "zeros"):
        build_image_model(tmp_path / f"{name}.onnx")
    fill(tmp_path / "nan.onnx", "matrix", np.nan)
    fill(tmp_path / "zeros.onnx", "matrix", 0.0)
    done = benchharness("run", "good.onnx", "nan.onnx", "zeros.onnx", *QUICK)
    assert done.returncode == 3, done.stderr
    found = by_variant(benchharness)
    assert found["good"]["outcome"] == "ok"
    assert found["nan"]["outcome"] == found["zeros"]["outcome"] == "invalid"
    assert "output 'scores' is all NaN" in found["nan"]["reason"]
    assert "every output is all zeros" in found["zeros"]["reason"]
    assert "3 × 8 × 8" in found["zeros"]["reason"], "the input that made it is part of the reason"
