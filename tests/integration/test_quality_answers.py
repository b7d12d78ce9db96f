"""Classifiers that give one score, a map, a label or a sequence, through the whole harness, against ONNX Runtime."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto as T
from onnx import helper as h
from onnx import numpy_helper

from benchharness.results.result import Result, WarningKind
from tests.integration.test_quality_tensors import run, values

RANDOM = np.random.default_rng(1)
X = RANDOM.standard_normal((60, 16)).astype(np.float32)
W = RANDOM.standard_normal((16, 1)).astype(np.float32)
LABELS = (X @ W + RANDOM.standard_normal((60, 1)) > 0)[:, 0].astype(np.int64)


def model(path: Path, width: int, bias: float, *tail: onnx.NodeProto, outputs: Sequence[Any]) -> Path:
    """A linear layer whose result is `l`, and what follows it."""
    weights = np.tile(W, (1, width)) * np.linspace(1, -1, width, dtype=np.float32) if width > 1 else W
    constants = [node for node in tail if node.op_type == "Constant"]
    tail = tuple(node for node in tail if node.op_type != "Constant")
    graph = h.make_graph(
        [*constants, h.make_node("MatMul", ["x", "w"], ["a"]), h.make_node("Add", ["a", "b"], ["l"]), *tail],
        "g",
        [h.make_tensor_value_info("x", T.FLOAT, ["batch", 16])],
        list(outputs),
        [numpy_helper.from_array(weights, "w"), numpy_helper.from_array(np.float32(bias), "b")],
    )
    opsets = [h.make_opsetid("", 17), h.make_opsetid("ai.onnx.ml", 3)]
    onnx.save(h.make_model(graph, opset_imports=opsets, ir_version=9), str(path))
    return path


def sigmoid(path: Path, bias: float) -> Path:
    outputs = [h.make_tensor_value_info("p", T.FLOAT, ["batch", 1])]
    return model(path, 1, bias, h.make_node("Sigmoid", ["l"], ["p"]), outputs=outputs)


def logit(path: Path, bias: float) -> Path:
    made = h.make_node("Gemm", ["x", "w", "bias"], ["g"])
    constant = h.make_node("Constant", [], ["bias"], value=numpy_helper.from_array(np.array([bias], np.float32)))
    return model(path, 1, 0, made, constant, outputs=[h.make_tensor_value_info("g", T.FLOAT, ["batch", 1])])


def zipmap(path: Path, bias: float, scale: float, classes: Sequence[int]) -> Path:
    maps = h.make_map_type_proto(T.INT64, h.make_tensor_type_proto(T.FLOAT, []))
    return model(
        path,
        3,
        bias,
        h.make_node("Constant", [], ["scale"], value=numpy_helper.from_array(np.float32(scale))),
        h.make_node("Mul", ["l", "scale"], ["scaled"]),
        h.make_node("Softmax", ["scaled"], ["p"]),
        h.make_node("ArgMax", ["p"], ["place"], axis=1, keepdims=0),
        h.make_node("Gather", ["classes", "place"], ["output_label"]),
        h.make_node("ZipMap", ["p"], ["output_probability"], domain="ai.onnx.ml", classlabels_int64s=list(classes)),
        h.make_node("Constant", [], ["classes"], value=numpy_helper.from_array(np.array(classes))),
        outputs=[
            h.make_tensor_value_info("output_label", T.INT64, ["batch"]),
            h.make_value_info("output_probability", h.make_sequence_type_proto(maps)),
        ],
    )


def bare(path: Path) -> list[list[Any]]:
    session = onnxruntime.InferenceSession(str(path))
    return [session.run(None, {"x": row[None]}) for row in X]


def chance(path: Path) -> np.ndarray[Any, Any]:
    return np.array([each[0].item() for each in bare(path)], np.float64)


def check(result: Result, ours: np.ndarray[Any, Any], theirs: np.ndarray[Any, Any], kld: float | None) -> None:
    assert result.outcome.ok, result.outcome
    assert values(result, "accuracy") == {"": pytest.approx((ours == LABELS).mean())}
    assert values(result, "reference_accuracy") == {"": pytest.approx((theirs == LABELS).mean())}
    assert values(result, "agreement") == {"": pytest.approx((ours == theirs).mean())}
    assert values(result, "kld") == {"": None if kld is None else pytest.approx(kld, rel=1e-5)}


@pytest.mark.parametrize("threshold", [None, 0.3])
def test_one_sigmoid_and_its_logit_are_two_classes(tmp_path: Path, threshold: float | None) -> None:
    variants = {
        "fp32": sigmoid(tmp_path / "fp32.onnx", 0),
        "moved": sigmoid(tmp_path / "moved.onnx", 0.8),
        "logit": logit(tmp_path / "logit.onnx", -0.4),
    }
    p, q = chance(variants["fp32"]), chance(variants["moved"])
    r = 1 / (1 + np.exp(-chance(variants["logit"])))
    told: Mapping[str, Any] = {} if threshold is None else {"threshold": threshold}
    lines = {name: {"artefact": str(path)} for name, path in variants.items()}
    lines["logit"]["outputs"] = {"p": "g"}  # type: ignore[assignment]
    found = run(tmp_path, lines, {"x": X, "labels": LABELS}, task="classifier", **told)
    limit = threshold or 0.5
    for name, other in (("moved", q), ("logit", r)):
        kld = float(np.mean(p * np.log(p / other) + (1 - p) * np.log((1 - p) / (1 - other))))
        check(found[name], other > limit, p > limit, kld)


def test_a_linear_score_is_a_logit_only_where_somebody_says_so(tmp_path: Path) -> None:
    variants = {"a": logit(tmp_path / "a.onnx", 0), "b": logit(tmp_path / "b.onnx", 0.5)}
    arrays = {"x": X, "labels": LABELS}
    refused = run(tmp_path, variants, arrays)["b"]
    assert refused.outcome.kind == "unsupported"
    assert 'scores = "logits"' in refused.outcome.reason
    ours, theirs = chance(variants["b"]), chance(variants["a"])
    p, q = (1 / (1 + np.exp(-each)) for each in (theirs, ours))
    kld = float(np.mean(p * np.log(p / q) + (1 - p) * np.log((1 - p) / (1 - q))))
    check(run(tmp_path, variants, arrays, scores="logits")["b"], ours > 0, theirs > 0, kld)


def test_a_zipmap_is_compared_by_its_probabilities(tmp_path: Path) -> None:
    variants = {
        name: zipmap(tmp_path / f"{name}.onnx", 0, scale, (0, 1, 2)) for name, scale in (("a", 1.0), ("b", 0.8))
    }
    rows = {
        name: np.array([[each[1][0][key] for key in range(3)] for each in bare(path)])
        for name, path in variants.items()
    }
    kld = float(np.mean((rows["a"] * np.log(rows["a"] / rows["b"])).sum(1)))
    found = run(tmp_path, variants, {"x": X, "labels": LABELS})["b"]
    assert found.outcome.ok, found.outcome
    assert values(found, "kld")[""] == pytest.approx(kld, rel=1e-4, abs=1e-9)
    assert values(found, "accuracy")[""] == pytest.approx((rows["b"].argmax(1) == LABELS).mean())


def test_a_zipmap_of_other_classes_is_compared_by_its_label(tmp_path: Path) -> None:
    """The class at the first place is 1: the place of the largest probability would read another accuracy."""
    variants = {"a": zipmap(tmp_path / "a.onnx", 0, 1, (1, 7, 0)), "b": logit_label(tmp_path / "b.onnx", 0.6)}
    ours = np.array([each[0].item() for each in bare(variants["b"])])
    theirs = np.array([each[0].item() for each in bare(variants["a"])])
    found = run(tmp_path, variants, {"x": X, "labels": LABELS})["b"]
    check(found, ours, theirs, None)
    (warning,) = [each for each in found.warnings if each.kind is WarningKind.NOT_COMPARED]
    assert "output_probability: is a sequence of 1 maps of 3 values" in warning.message


def logit_label(path: Path, bias: float) -> Path:
    """A label and no scores."""
    return model(
        path,
        1,
        bias,
        h.make_node("Greater", ["l", "zero"], ["above"]),
        h.make_node("Cast", ["above"], ["n"], to=T.INT64),
        h.make_node("Squeeze", ["n", "axis"], ["output_label"]),
        h.make_node("Constant", [], ["zero"], value=numpy_helper.from_array(np.float32(0))),
        h.make_node("Constant", [], ["axis"], value=numpy_helper.from_array(np.array([1]))),
        outputs=[h.make_tensor_value_info("output_label", T.INT64, ["batch"])],
    )


def test_a_sequence_is_named_where_there_is_nothing_else_to_compare(tmp_path: Path) -> None:
    sequence = h.make_tensor_sequence_value_info("seq", T.FLOAT, None)
    split = h.make_node("SplitToSequence", ["l"], ["seq"], axis=1)
    variants = {
        name: model(tmp_path / f"{name}.onnx", 3, bias, split, outputs=[sequence])
        for name, bias in (("a", 0), ("b", 1))
    }
    found = run(tmp_path, variants, {"x": X})["b"]
    assert found.outcome.kind == "unsupported"
    assert "output 'seq' of this variant is a sequence of 3 arrays: no tensor to compare" in found.outcome.reason
