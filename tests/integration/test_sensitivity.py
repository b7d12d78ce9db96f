"""Which layers hurt: parts that tools leave are bit for bit as they were, and a layer that was damaged comes first."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

pytest.importorskip("ai_edge_quantizer")

from benchharness.compress import RECIPES
from benchharness.compress.making import open_workshop
from benchharness.compress.parts import By, parts_of
from benchharness.errors import UsageError
from benchharness.sensitivity import sensitivity
from benchharness.sensitivity.recipes import leaving
from tests.conftest import ROOT, CommandLine
from tests.contract.gguf_models import float_model

DIGITS = ROOT / "examples" / "digits"
ARTEFACTS = DIGITS / "artefacts"
WIDTH = 32


def stored_in(path: Path) -> dict[str, bytes]:
    """What a model stores, by its weights' names as `Weight` has them; read by the formats' own libraries."""
    if path.suffix == ".onnx":
        return {each.name: numpy_helper.to_array(each).tobytes() for each in onnx.load(path).graph.initializer}
    if path.suffix == ".gguf":
        import gguf

        return {each.name: np.asarray(each.data).tobytes() for each in gguf.GGUFReader(path).tensors}
    from ai_edge_litert.tools import flatbuffer_utils

    buffers = flatbuffer_utils.read_model(str(path)).buffers
    there = {f"buffer {number}": each.data for number, each in enumerate(buffers) if each.data is not None}
    return {name: np.asarray(data).tobytes() for name, data in there.items()}


def in_order(values: bytes) -> bytes:
    """The numbers sorted: onnxruntime turns the weights of a Gemm around."""
    return np.sort(np.frombuffer(values, np.float32)).tobytes() if len(values) % 4 == 0 else values


@pytest.mark.parametrize(
    ("model", "recipe"),
    [
        ("fp32.onnx", "onnx-int8-dynamic"),
        ("fp32.onnx", "onnx-fp16"),
        ("fp32.onnx", "onnx-int8-static"),
        ("fp32.tflite", "tflite-int8-dynamic"),
        ("fp32.tflite", "tflite-int8-static"),
        ("tiny.gguf", "gguf-q8_0"),
    ],
)
def test_what_a_recipe_leaves_is_bit_for_bit_as_it_was_and_the_rest_is_smaller(
    tmp_path: Path, model: str, recipe: str
) -> None:
    path = float_model(tmp_path) if model.endswith(".gguf") else ARTEFACTS / model
    path = next(path.glob("*.gguf")) if path.is_dir() and model.endswith(".gguf") else path
    wanted = RECIPES[recipe]
    workshop = open_workshop(path, tmp_path / "out", _calibration(tmp_path) if wanted.needs_calibration else None)
    parts = parts_of(workshop.weights, By.LAYER)
    assert len(parts) >= 3, [part.name for part in parts]
    largest = sorted(parts, key=lambda part: part.bytes)[-2:]
    whole, but = workshop.make_all([wanted, leaving(wanted, largest[:1], parts)])
    assert not whole.failure, whole.failure
    assert not but.failure, but.failure
    assert whole.path is not None and but.path is not None  # noqa: PT018
    before, there, gone = (stored_in(each) for each in (path, but.path, whole.path))
    kept = [in_order(before[name]) for name in largest[0].weights]
    assert set(kept) <= {in_order(each) for each in there.values()}
    assert not set(kept) & {in_order(each) for each in gone.values()}, "the whole recipe does change it"
    assert whole.bytes < but.bytes, "leaving a part costs its bytes"


def test_core_ml_leaves_a_constant_and_compresses_the_others(tmp_path: Path) -> None:
    workshop = open_workshop(ARTEFACTS / "fp16.mlpackage", tmp_path / "out")
    parts = parts_of(workshop.weights, By.LAYER)
    largest = max(parts, key=lambda part: part.bytes)
    whole, but = workshop.make_all([RECIPES["coreml-int8"], leaving(RECIPES["coreml-int8"], [largest], parts)])
    kinds = []
    for made in (whole, but):
        assert made.path is not None, made.failure
        kinds.append({op.outputs[0].name: op.type for op in _operations(made.path)})
    name = largest.weights[0].removeprefix("op_")  # outputs are called var_...
    assert {kind for output, kind in kinds[1].items() if output.endswith(name)} == {"const"}
    assert not {kind for output, kind in kinds[0].items() if output.endswith(name)}, "compressed, it has another name"
    assert any(kind.startswith("constexpr") for kind in kinds[1].values()), "another is compressed"


def _operations(package: Path) -> Any:
    from targets.core_ml.description import load_specification

    (function,) = load_specification(package).mlProgram.functions.values()
    (block,) = function.block_specializations.values()
    return block.operations


def _calibration(folder: Path) -> Path:
    with np.load(DIGITS / "heldout.npz") as held_out:
        np.savez(folder / "calibration.npz", image=held_out["images"][:20, None].astype(np.float32) / 16)
    return folder / "calibration.npz"


def damaged(path: Path, seed: int, layers: int = 4) -> tuple[str, Path]:
    """A network of equal layers of which one has a huge weight, so that its scale leaves the others no digits."""
    chance = np.random.default_rng(seed)
    bad = int(chance.integers(layers))
    nodes, stored = [], []
    for layer in range(layers):
        matrix = chance.normal(0, 1 / np.sqrt(WIDTH), (WIDTH, WIDTH)).astype(np.float32)
        if layer == bad:
            matrix[0, 0] = 40.0
        stored.append(numpy_helper.from_array(matrix, f"layer.{layer}.weight"))
        before = "x" if layer == 0 else f"y{layer - 1}"
        nodes.append(helper.make_node("MatMul", [before, f"layer.{layer}.weight"], [f"m{layer}"], f"layer.{layer}"))
        nodes.append(helper.make_node("Tanh", [f"m{layer}"], [f"y{layer}"], f"tanh.{layer}"))
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", WIDTH])
    out = helper.make_tensor_value_info(f"y{layers - 1}", TensorProto.FLOAT, ["n", WIDTH])
    graph = helper.make_graph(nodes, "damaged", [value], [out], stored)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path / "model.onnx")
    np.savez(path / "data.npz", x=chance.uniform(-1, 1, (200, WIDTH)).astype(np.float32))
    return f"layer.{bad}", path / "model.onnx"


def test_a_layer_that_was_damaged_is_ranked_first_and_the_mixed_variant_was_measured(tmp_path: Path) -> None:
    bad, model = damaged(tmp_path, seed=1)
    found = sensitivity(
        model,
        "int8",
        evaluate=tmp_path / "data.npz",
        out=tmp_path / "variants",
        store=f"sqlite:///{tmp_path / 'runs.db'}",
        budgets={"sqnr": "20 dB"},
    )
    assert found.ranking[0].part.name == bad
    assert not found.ranking[1].alike, "clearly worse than the next"
    assert found.metric == "sqnr"
    assert found.whole is not None
    assert not found.whole.keeps
    assert found.mixed is not None
    assert [part.name for part in found.mixed.left] == [bad], "it alone has to stay"
    assert found.whole.bytes < found.mixed.bytes < found.original_bytes
    reference, variant = (_answers(path, tmp_path / "data.npz") for path in (model, found.mixed.made.path))
    noise = np.sum((reference - variant) ** 2, dtype=np.float64)
    by_hand = 10 * np.log10(np.sum(reference**2, dtype=np.float64) / noise)
    assert found.mixed.loss.value == pytest.approx(by_hand, abs=0.5), "measured on the artefact itself"


def _answers(model: Path | None, data: Path) -> Any:
    import onnxruntime

    assert model is not None
    with np.load(data) as arrays:
        return onnxruntime.InferenceSession(model).run(None, {"x": arrays["x"]})[0].astype(np.float64)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--to", "int8", "--sensitivity", "layer"), "what quality is measured on (--evaluate)"),
        (("--to", "int8,fp16", "--sensitivity", "layer", "--evaluate", "data.npz"), "one --to"),
        (("--to", "int8", "--sensitivity", "rows", "--evaluate", "data.npz"), "rows"),
    ],
)
def test_what_cannot_be_ranked_is_said_before_anything_is_made(
    benchharness: CommandLine, tmp_path: Path, options: tuple[str, ...], told: str
) -> None:
    _, model = damaged(tmp_path, seed=2)
    places = [str(tmp_path / each) if each == "data.npz" else each for each in options]
    done = benchharness("sweep", model, *places, "--variants", tmp_path / "variants")
    assert done.returncode == 2
    assert told in " ".join((done.stdout + done.stderr).split())
    assert not (tmp_path / "variants").exists()


def test_a_model_of_one_layer_has_no_order(tmp_path: Path) -> None:
    _, model = damaged(tmp_path, seed=3, layers=1)
    with pytest.raises(UsageError, match="has 1 part that could be compressed alone"):
        sensitivity(model, "int8", evaluate=tmp_path / "data.npz", out=tmp_path / "variants")


def test_a_weight_that_is_not_there_cannot_be_left(tmp_path: Path) -> None:
    _, model = damaged(tmp_path, seed=2)
    workshop = open_workshop(model, tmp_path / "out")
    (made,) = workshop.make_all(
        [replace(RECIPES["onnx-int8-dynamic"], name="other", of="onnx-int8-dynamic", left=("no",))]
    )
    assert "no operator takes the weights no" in made.failure
