"""Models of any task run without a suite; what they were fed is stored, and what they refuse is named."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from tests.conftest import ROOT

CommandLine = Callable[..., "CompletedProcess[str]"]


def write_model(path: Path, width: int) -> Path:
    """Takes pictures of any height and of exactly `width`, which the signature does not say."""
    weights = numpy_helper.from_array(np.ones((width, 2), np.float32), "w")
    values = [
        helper.make_tensor_value_info("picture", TensorProto.FLOAT, [None, 3, "height", None]),
        helper.make_tensor_value_info("scores", TensorProto.FLOAT, None),
    ]
    nodes = [helper.make_node("MatMul", ["picture", "w"], ["scores"])]
    graph = helper.make_graph(nodes, "g", values[:1], values[1:], [weights])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def exported(benchharness: CommandLine) -> dict[str, Any]:
    result: dict[str, Any] = json.loads(benchharness("export").stdout)["results"][0]
    return result


def test_the_shapes_that_were_fed_are_stored(tmp_path: Path, benchharness: CommandLine) -> None:
    model = write_model(tmp_path / "m.onnx", 224)
    done = benchharness("run", model, "--attempts", "1", "--max-time", "5 min", "--scenario", "first-token")
    assert done.returncode == 0, done.stderr
    effective = exported(benchharness)["effective"]
    assert effective["inputs"] == {"picture": ["float32", 1, 3, 224, 224]}
    assert effective["assumed_dimensions"] == {"picture[0]": 1, "height": 224, "picture[3]": 224}
    assert effective["unused_dimensions"] == []


def test_a_refused_shape_is_named_and_can_be_given(tmp_path: Path, benchharness: CommandLine) -> None:
    model = write_model(tmp_path / "m.onnx", 48)
    done = benchharness("run", model, "--attempts", "1", "--max-time", "5 min", "--scenario", "first-token")
    said = " ".join((done.stdout + done.stderr).split())
    assert "The inputs were picture float32 1 × 3 × 224 × 224" in said
    assert "dimensions = { height = … }" in said

    suite = tmp_path / "suite.toml"
    suite.write_text(
        'name = "s"\n[models.m.variants]\na = { artefact = "m.onnx" }\n[[configurations]]\nruntime = "onnxruntime"\n'
        '[[workloads]]\ndimensions = { "picture[3]" = 48, heihgt = 9 }\n[scenarios]\nfirst-token = {}\n'
    )
    done = benchharness("run", suite, "--attempts", "1", "--max-time", "5 min")
    assert done.returncode == 0, done.stderr
    effective = exported(benchharness)["effective"]
    assert effective["inputs"] == {"picture": ["float32", 1, 3, 224, 48]}
    assert effective["unused_dimensions"] == ["heihgt"]


def test_the_digits_suite_runs(benchharness: CommandLine) -> None:
    suite = ROOT / "examples" / "digits" / "suite.toml"
    done = benchharness("run", suite, "--attempts", "1", "--max-time", "5 min", "--scenario", "first-token")
    assert done.returncode == 0, done.stderr


def test_the_digits_artefacts_are_as_good_as_their_evaluation_says() -> None:
    import onnxruntime

    folder = ROOT / "examples" / "digits"
    held_out = np.load(folder / "heldout.npz", allow_pickle=False)
    pictures, labels = held_out["images"][:, None].astype(np.float32) / 16, held_out["labels"]
    evaluation = json.loads((folder / "evaluation.json").read_text())
    for name in ("fp32", "int8"):
        session = onnxruntime.InferenceSession(folder / "artefacts" / f"{name}.onnx")
        answers = session.run(None, {"image": pictures})[0].argmax(axis=1)
        # Another processor may round int8 sums differently, which changes an answer or two.
        assert abs(int((answers == labels).sum()) - evaluation["accuracy"][name]["correct"]) <= 2


def test_real_inputs_are_fed_and_told(tmp_path: Path, benchharness: CommandLine) -> None:
    write_model(tmp_path / "m.onnx", 48)
    np.savez(tmp_path / "real.npz", picture=np.ones((2, 3, 9, 48), np.float32))
    suite = tmp_path / "suite.toml"
    suite.write_text(
        'name = "s"\n[models.m.variants]\na = { artefact = "m.onnx" }\n[[configurations]]\nruntime = "onnxruntime"\n'
        '[[workloads]]\ninputs = "real.npz"\nsample = 1\n[scenarios]\nfirst-token = {}\n'
    )
    done = benchharness("run", suite, "--attempts", "1", "--max-time", "5 min")
    assert done.returncode == 0, done.stdout + done.stderr
    result = exported(benchharness)
    assert result["effective"]["inputs"] == {"picture": ["float32", 1, 3, 9, 48]}
    assert (result["effective"]["invented_inputs"], result["effective"]["assumed_dimensions"]) == ({}, {})
    assert (result["effective"]["real_inputs"]["sample"], result["effective"]["real_inputs"]["of"]) == (1, 2)
    assert result["workload"]["data"]["sha256"] == result["effective"]["real_inputs"]["sha256"]
