"""ONNX Runtime's adapter refuses what it cannot run, in words: requests, files, models for another runtime."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import onnx
import pytest
from onnx import TensorProto, helper

from benchharness.contract import Configuration
from benchharness.errors import AttemptError, ModelFailure, Unsupported
from targets.onnx_format.graph import read_graph
from targets.onnx_runtime import OnnxRuntime
from tests.contract.tiny_models import Variant, build_image_model, build_language_model


def open_model(path: Path, **fields: Any) -> Any:
    return OnnxRuntime().open(path, Configuration(runtime="onnxruntime", **fields))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"options": {"graph_optimisation_level": "x"}}, "did you mean 'graph_optimization_level'"),
        ({"options": {"graph_optimization_level": "ENABLE_ALL"}}, "did you mean 'ORT_ENABLE_ALL'"),
        ({"options": {"execution_mode": 1}}, "ORT_SEQUENTIAL"),
        ({"options": {"inter_op_num_threads": "2"}}, "whole number"),
        ({"options": {"cache_capacity": 0}}, "whole number"),
        ({"options": {"enable_mem_reuse": "no"}}, "neither true nor false"),
        ({"options": {"session_config": {"session.dynamic_block_base": 4}}}, "strings"),
        ({"options": {"custom_op_libraries": "lib.so"}}, "list of paths"),
        ({"options": {"custom_op_libraries": ["/nowhere/lib.so"]}}, r"/nowhere/lib\.so"),
        ({"threads": 0}, "threads"),
        ({"accelerator": "CPU"}, "did you mean 'CPUExecutionProvider'"),
        ({"accelerator_options": {"device_id": 1}}, r"accelerator_options\.device_id"),
    ],
)
def test_a_request_that_cannot_be_met_is_named(tmp_path: Path, fields: dict[str, Any], message: str) -> None:
    model = build_image_model(tmp_path / "image.onnx")
    with pytest.raises(Unsupported, match=message), open_model(model, **fields):
        pass


def write_model(path: Path, *, opset: int = 17, ir_version: int = 8, operator: str = "Relu") -> Path:
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [4]) for name in ("x", "y")]
    graph = helper.make_graph([helper.make_node(operator, ["x"], ["y"])], "g", values[:1], values[1:])
    opsets = [helper.make_opsetid("", opset)]
    path.write_bytes(helper.make_model(graph, opset_imports=opsets, ir_version=ir_version).SerializeToString())
    return path


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"opset": 99}, "newer opset"),
        ({"ir_version": 99}, "newer IR"),
        ({"operator": "Nope"}, "operator that onnxruntime does not know"),
    ],
)
def test_a_model_for_another_runtime_is_unsupported(tmp_path: Path, fields: dict[str, Any], message: str) -> None:
    path = write_model(tmp_path / "new.onnx", **fields)
    with pytest.raises(Unsupported, match=rf"new\.onnx.*{message}.*says: "), open_model(path):
        pass


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "empty"), (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"), (b"\0" * 99, "no ONNX model")],
)
def test_a_file_that_is_no_model_is_named(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "bad.onnx"
    path.write_bytes(content)
    with pytest.raises(ModelFailure, match=rf"bad\.onnx.*{message}"), open_model(path):
        pass


@pytest.mark.parametrize("kept", [0.1, 0.5, 0.9, 0.999])
def test_a_truncated_file_is_named(tmp_path: Path, kept: float) -> None:
    content = build_language_model(tmp_path / "whole", Variant()).file.read_bytes()
    path = tmp_path / "short.onnx"
    path.write_bytes(content[: int(kept * len(content))])
    with pytest.raises(ModelFailure, match=r"short\.onnx"), open_model(path):
        pass


@pytest.mark.parametrize(
    ("location", "said"),
    [
        ("gone.data", "missing .*copy the whole folder"),
        ("../../etc/passwd", "a path through"),
        ("/etc/passwd", "an absolute path"),
    ],
)
def test_weights_outside_the_folder_are_refused(tmp_path: Path, location: str, said: str) -> None:
    model = onnx.load(write_model(tmp_path / "outside.onnx", operator="Identity"))
    weights = TensorProto(name="x", dims=[4], data_type=TensorProto.FLOAT, data_location=TensorProto.EXTERNAL)
    weights.external_data.add(key="location", value=location)
    del model.graph.input[:]
    model.graph.initializer.append(weights)
    (tmp_path / "outside.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(ModelFailure, match=rf"outside\.onnx.*{said}"), open_model(tmp_path):
        pass


def test_a_folder_must_hold_one_model(tmp_path: Path) -> None:
    with pytest.raises(ModelFailure, match=r"no \.onnx or \.ort file"), open_model(tmp_path):
        pass
    write_model(tmp_path / "one.onnx")
    with open_model(tmp_path) as session:
        assert session.effective.facts["layout"] == "tensors"
    write_model(tmp_path / "two.onnx")
    with pytest.raises(ModelFailure, match=r"one\.onnx, two\.onnx"), open_model(tmp_path):
        pass
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(ModelFailure, match=r"config\.json: cannot be read as JSON"), open_model(tmp_path / "one.onnx"):
        pass


def test_nothing_is_printed(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(AttemptError), open_model(write_model(tmp_path / "new.onnx", opset=99)):
        pass
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("content", [b"\x0f", b"\x80" * 30, b"\x3a\xff\xff\xff\x7f", b"This is no model."])
def test_the_graph_reader_refuses_what_is_no_protobuf(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bad.onnx"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="byte"):
        read_graph(path)


def test_a_missing_runtime_is_a_reason_and_no_error() -> None:
    program = (
        "import sys; sys.modules['onnxruntime'] = None\n"
        "from targets.onnx_runtime import OnnxRuntime\n"
        "print(OnnxRuntime().availability().reason)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "benchharness[onnx]" in done.stdout
