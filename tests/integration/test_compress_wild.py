"""Recipes on models as people have them: what a variant computes is held against the original in the bare runtime."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from benchharness.compress import compress, onnx_tools
from benchharness.compress.recipes import RECIPES
from benchharness.errors import Unsupported
from tests.unit.test_compress_onnx_normal import NODE, VALUE, constant, model_of, tensor

RANDOM = np.random.default_rng(0)
SAMPLES = [{"x": RANDOM.normal(size=(1, 16)).astype(np.float32)} for _ in range(8)]


def matrix(*shape: int) -> Any:
    return RANDOM.normal(size=shape).astype(np.float32) / 4


def paddle_like() -> onnx.ModelProto:
    """Every weight in a Constant, operator set 11, a bias of two axes: PaddleOCR's, and magika's second layer."""
    nodes = [
        constant(matrix(16, 64), "w1"),
        constant(matrix(1, 64), "b1"),
        constant(matrix(64, 16), "w2"),
        NODE("Gemm", ["x", "w1", "b1"], ["h"], name="first"),
        NODE("Relu", ["h"], ["r"]),
        NODE("MatMul", ["r", "w2"], ["y"]),
    ]
    return model_of(nodes, opset=11, ir=6)


def silero_like() -> onnx.ModelProto:
    """Convolutions in the branches of an `If`, whose weights bear the same names."""

    def branch(name: str) -> Any:
        nodes = [
            constant(matrix(32, 1, 3), "w"),
            constant(matrix(32), "b"),
            constant(matrix(16, 32, 3), "v"),
            NODE("Unsqueeze", ["x", "axis"], [f"{name}_u"]),
            NODE("Conv", [f"{name}_u", "w", "b"], [f"{name}_c"], pads=[1, 1], name=f"{name}_first"),
            NODE("Relu", [f"{name}_c"], [f"{name}_r"]),
            NODE("Conv", [f"{name}_r", "v"], [f"{name}_d"], pads=[1, 1], name=f"{name}_second"),
            NODE("ReduceMean", [f"{name}_d"], [name], axes=[1], keepdims=0),
        ]
        return helper.make_graph(nodes, name, [], [VALUE(name, TensorProto.FLOAT, [1, 16])])

    nodes = [
        NODE("ReduceSum", ["x"], ["sum"], keepdims=0),
        NODE("Greater", ["sum", "zero"], ["positive"]),
        NODE("If", ["positive"], ["y"], then_branch=branch("t"), else_branch=branch("e")),
    ]
    return model_of(nodes, [tensor(np.float32(0), "zero"), tensor(np.array([1]), "axis")])


def a_matrix_in_the_open_and_one_in_a_loop() -> onnx.ModelProto:
    body = helper.make_graph(
        [NODE("MatMul", ["state", "v"], ["p"]), NODE("Tanh", ["p"], ["next"]), NODE("Identity", ["c"], ["d"])],
        "body",
        [
            VALUE("i", TensorProto.INT64, []),
            VALUE("c", TensorProto.BOOL, []),
            VALUE("state", TensorProto.FLOAT, [1, 16]),
        ],
        [VALUE("d", TensorProto.BOOL, []), VALUE("next", TensorProto.FLOAT, [1, 16])],
        [tensor(matrix(16, 16), "v")],
    )
    nodes = [NODE("MatMul", ["x", "w"], ["h"]), NODE("Loop", ["count", "", "h"], ["y"], body=body)]
    return model_of(nodes, [tensor(np.int64(2), "count"), tensor(matrix(16, 16), "w")])


def a_variance_beyond_half_precision() -> onnx.ModelProto:
    """PaddleOCR's detector has one: cut to 65504, all that follows is more than five times too large."""
    weights = [
        *(tensor(matrix(16), name) for name in ("scale", "bias", "mean")),
        tensor(np.full(16, 2e6, np.float32), "variance"),
        tensor(matrix(16, 16) * 1000, "w"),
    ]
    nodes = [
        NODE("MatMul", ["x", "w"], ["h"]),
        NODE("BatchNormalization", ["h", "scale", "bias", "mean", "variance"], ["y"]),
    ]
    return model_of(nodes, weights)


def computed(path: Path) -> Any:
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return np.stack([session.run(None, sample)[0] for sample in SAMPLES]).astype(np.float64)


def made(model: onnx.ModelProto, recipe: str, folder: Path) -> tuple[float, float, Sequence[str]]:
    """The signal-to-noise ratio in dB, the share of the original's size, and the notes."""
    source, target, scratch = folder / "source.onnx", folder / "model.onnx", folder / "scratch"
    onnx.save(model, source)
    scratch.mkdir()
    found = RECIPES[recipe]
    data = SAMPLES if found.needs_calibration else None
    notes = onnx_tools.compress(onnx_tools.look(source), found, target, scratch, data)
    before, after = computed(source), computed(target)
    ratio = 10 * np.log10((before**2).sum() / ((before - after) ** 2).sum())
    return float(ratio), target.stat().st_size / source.stat().st_size, notes


@pytest.mark.parametrize(
    ("recipe", "least"),
    [("onnx-int8-dynamic", 25), ("onnx-int8-dynamic-per-channel", 25), ("onnx-int8-static", 25), ("onnx-fp16", 50)],
)
def test_weights_in_constants_are_made_smaller(recipe: str, least: float, tmp_path: Path) -> None:
    ratio, _, _ = made(paddle_like(), recipe, tmp_path)
    assert ratio > least
    stored = onnx.load(tmp_path / "model.onnx").graph.initializer
    assert not [each for each in stored if each.data_type == TensorProto.FLOAT and np.prod(each.dims) > 64]


@pytest.mark.parametrize(("recipe", "least"), [("onnx-int8-dynamic", 25), ("onnx-fp16", 50)])
def test_weights_in_branches_are_made_smaller(recipe: str, least: float, tmp_path: Path) -> None:
    ratio, share, notes = made(silero_like(), recipe, tmp_path)
    assert ratio > least
    assert share < (1.0 if recipe == "onnx-fp16" else 0.9)
    assert not notes


def test_what_lies_in_branches_alone_is_refused_where_no_one_looks(tmp_path: Path) -> None:
    with pytest.raises(Unsupported, match=r"all that could be quantized \(4 Conv\) lies inside If, Loop or the like"):
        made(silero_like(), "onnx-int8-static", tmp_path)


def test_what_a_tool_leaves_in_a_loop_is_told(tmp_path: Path) -> None:
    ratio, _, notes = made(a_matrix_in_the_open_and_one_in_a_loop(), "onnx-int8-static", tmp_path)
    assert ratio > 25
    assert notes[0] == "1 of 2 MatMul are inside If, Loop or the like and stay as they are"
    (tmp_path / "blocks").mkdir()
    ratio, _, notes = made(a_matrix_in_the_open_and_one_in_a_loop(), "onnx-int8-block32", tmp_path / "blocks")
    assert ratio > 25
    assert not [note for note in notes if "inside" in note]


def test_weights_beyond_half_precision_stay_as_they_are(tmp_path: Path) -> None:
    ratio, _, notes = made(a_variance_beyond_half_precision(), "onnx-fp16", tmp_path)
    assert ratio > 40
    assert notes == ["1 operators stay float32: their weights are beyond float16's largest, 65504"]


def test_a_refusal_names_what_is_there(tmp_path: Path) -> None:
    model = model_of([NODE("Conv", ["u", "w"], ["c"]), NODE("Squeeze", ["c", "axis"], ["y"])], [])
    del model.graph.node[:]
    model.graph.node.extend(
        [
            NODE("Unsqueeze", ["x", "axis"], ["u"]),
            NODE("Conv", ["u", "w"], ["c"], pads=[1, 1]),
            NODE("Squeeze", ["c", "axis"], ["y"]),
        ]
    )
    model.graph.initializer.extend([tensor(matrix(1, 1, 3), "w"), tensor(np.array([1]), "axis")])
    with pytest.raises(Unsupported) as told:
        made(model, "onnx-int4-block32", tmp_path)
    assert "its weights are in 1 Conv, which this recipe leaves alone" in str(told.value)
    assert "quantized already" not in str(told.value)


def test_a_model_that_is_quantized_already_is_refused_as_such(tmp_path: Path) -> None:
    """ddddocr's: KeyError from quantize_static, and float16 that DynamicQuantizeLinear does not take."""
    made(paddle_like(), "onnx-int8-dynamic", tmp_path)
    quantized = onnx.load(tmp_path / "model.onnx")
    for recipe in ("onnx-int8-dynamic", "onnx-int8-static", "onnx-int4-block32", "onnx-fp16"):
        (tmp_path / recipe).mkdir()
        with pytest.raises(Unsupported, match="the model is quantized already"):
            made(quantized, recipe, tmp_path / recipe)


def test_it_works_in_the_models_own_folder_and_leaves_nothing_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """onnxruntime#12576: the tools write a file of the weights' name into the working folder."""
    here, out = tmp_path / "here", tmp_path / "out"
    here.mkdir()
    monkeypatch.chdir(here)
    onnx.save_model(
        model_of([NODE("MatMul", ["x", "w"], ["y"])], [tensor(matrix(16, 16), "w")]),
        "model.onnx",
        save_as_external_data=True,
        location="model.onnx.data",
        size_threshold=0,
    )
    before = {file.name: file.read_bytes() for file in here.iterdir()}
    (one,) = compress("model.onnx", ["int8"], out=out)
    assert one.failure == ""
    assert {file.name: file.read_bytes() for file in here.iterdir()} == before
    (inside,) = compress("model.onnx", ["int8"], out="variants")
    assert inside.failure == ""
    assert {file.name for file in here.iterdir()} == {*before, "variants"}


def test_a_scalar_input_calibrates(tmp_path: Path) -> None:
    """silero-vad's sampling rate: a number a sample, which numpy hands on as no array."""
    model = model_of(
        [
            NODE("MatMul", ["x", "w"], ["h"]),
            NODE("Cast", ["rate"], ["r"], to=TensorProto.FLOAT),
            NODE("Mul", ["h", "r"], ["y"]),
        ],
        [tensor(matrix(16, 16), "w")],
        inputs=[VALUE("rate", TensorProto.INT64, [])],
    )
    onnx.save(model, tmp_path / "model.onnx")
    np.savez(tmp_path / "data.npz", x=np.stack([each["x"] for each in SAMPLES]), rate=np.full(len(SAMPLES), 2))
    (one,) = compress(
        tmp_path / "model.onnx", ["onnx-int8-static"], out=tmp_path / "out", calibrate=tmp_path / "data.npz"
    )
    assert one.failure == ""
