"""What a model with token ids and logits is: by the user's word where it can be, else by what its graph shows."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from benchharness.contract import Configuration, LanguageSession
from targets.onnx_format.causality import read_evidence
from targets.onnx_runtime import OnnxRuntime

ROWS, WIDTH = 40, 4
Attend = Callable[[list[onnx.NodeProto], list[onnx.TensorProto]], str]


def stored(kept: list[onnx.TensorProto], name: str, value: Any, dtype: Any = np.float32) -> str:
    kept.append(numpy_helper.from_array(np.asarray(value, dtype), name))
    return name


def write(folder: Path, attend: Attend, classes: int = ROWS) -> Path:
    """Embedding, a mixing over the tokens, and logits of so many classes."""
    random = np.random.default_rng(0)
    nodes, kept = [helper.make_node("Gather", ["table", "input_ids"], ["x"])], list[onnx.TensorProto]()
    stored(kept, "table", random.normal(size=(ROWS, WIDTH)))
    stored(kept, "head", random.normal(size=(WIDTH, classes)))
    nodes.append(helper.make_node("MatMul", [attend(nodes, kept), "head"], ["logits"]))
    shape = ["batch", "tokens"]
    inputs = [helper.make_tensor_value_info(name, TensorProto.INT64, shape) for name in ("input_ids", "attention_mask")]
    outputs = [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [*shape, classes])]
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(helper.make_graph(nodes, "g", inputs, outputs, kept), opset_imports=opsets, ir_version=9)
    onnx.save(model, folder / "model.onnx")
    return folder / "model.onnx"


def both_ways(nodes: list[onnx.NodeProto], kept: list[onnx.TensorProto]) -> str:
    """A mean over all tokens that the attention mask keeps, as an encoder sees them."""
    stored(kept, "axis", [2], np.int64)
    nodes += [
        helper.make_node("Cast", ["attention_mask"], ["kept"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["kept", "axis"], ["wide"]),
        helper.make_node("Mul", ["x", "wide"], ["masked"]),
        helper.make_node("ReduceMean", ["masked"], ["mean"], keepdims=1),
        helper.make_node("Add", ["masked", "mean"], ["both"]),
    ]
    return "both"


def by_padding(nodes: list[onnx.NodeProto], kept: list[onnx.TensorProto]) -> str:
    """Positions compared with a length, as padding masks are made; and nothing else is masked."""
    positions(nodes, kept)
    stored(kept, "length", 5, np.int64)
    nodes += [
        helper.make_node("Less", ["range", "length"], ["short"]),
        helper.make_node("Cast", ["short"], ["weights"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["weights", "one"], ["column"]),
        helper.make_node("Mul", ["x", "column"], ["padded"]),
    ]
    return "padded"


def positions(nodes: list[onnx.NodeProto], kept: list[onnx.TensorProto]) -> None:
    for name, value in {"zero": 0, "step": 1, "one": [1], "at": 1, "none": [0]}.items():
        stored(kept, name, value, np.int64)
    nodes += [
        helper.make_node("Shape", ["input_ids"], ["shape"]),
        helper.make_node("Gather", ["shape", "at"], ["count"]),
        helper.make_node("Range", ["zero", "count", "step"], ["range"]),
    ]


def mixed(nodes: list[onnx.NodeProto], visible: str) -> str:
    """The sum over the tokens that each token sees."""
    nodes += [
        helper.make_node("Cast", [visible], ["seen"], to=TensorProto.FLOAT),
        helper.make_node("MatMul", ["seen", "x"], ["sum"]),
    ]
    return "sum"


def by_comparing(nodes: list[onnx.NodeProto], kept: list[onnx.TensorProto]) -> str:
    positions(nodes, kept)
    nodes += [
        helper.make_node("Unsqueeze", ["range", "one"], ["queries"]),
        helper.make_node("Unsqueeze", ["range", "none"], ["keys"]),
        helper.make_node("LessOrEqual", ["keys", "queries"], ["visible"]),
    ]
    return mixed(nodes, "visible")


def by_trilu(nodes: list[onnx.NodeProto], kept: list[onnx.TensorProto]) -> str:
    positions(nodes, kept)
    nodes += [
        helper.make_node("Concat", ["counts", "counts"], ["square"], axis=0),
        helper.make_node("ConstantOfShape", ["square"], ["ones"], value=helper.make_tensor("v", 1, [1], [1.0])),
        helper.make_node("Trilu", ["ones"], ["visible"], upper=0),
    ]
    nodes.insert(-3, helper.make_node("Unsqueeze", ["count", "none"], ["counts"]))
    return mixed(nodes, "visible")


def by_stored_triangle(dtype: Any) -> Attend:
    def attend(nodes: list[onnx.NodeProto], kept: list[onnx.TensorProto]) -> str:
        positions(nodes, kept)
        stored(kept, "triangle", np.tril(np.ones((16, 16))), dtype)
        stored(kept, "axes", [0, 1], np.int64)
        stored(kept, "from", [0, 0], np.int64)
        nodes += [
            helper.make_node("Unsqueeze", ["count", "none"], ["counts"]),
            helper.make_node("Concat", ["counts", "counts"], ["to"], axis=0),
            helper.make_node("Slice", ["triangle", "from", "to", "axes"], ["visible"]),
        ]
        return mixed(nodes, "visible")

    return attend


def by_recurrence(directions: int) -> Attend:
    def attend(nodes: list[onnx.NodeProto], kept: list[onnx.TensorProto]) -> str:
        random = np.random.default_rng(1)
        for name, shape in {"w": (3 * WIDTH, WIDTH), "r": (3 * WIDTH, WIDTH)}.items():
            stored(kept, name, random.normal(size=(directions, *shape)))
        stored(kept, "back", [1], np.int64)
        way = "bidirectional" if directions == 2 else "forward"
        nodes += [
            helper.make_node("Transpose", ["x"], ["steps"], perm=[1, 0, 2]),
            helper.make_node("GRU", ["steps", "w", "r"], ["y"], hidden_size=WIDTH, direction=way),
            helper.make_node("ReduceSum", ["y", "back"], ["summed"], keepdims=0),
            helper.make_node("Transpose", ["summed"], ["out"], perm=[1, 0, 2]),
        ]
        return "out"

    return attend


def opened(model: Path, task: str | None = None) -> tuple[bool, str]:
    """Whether it is a language model, and why it is none."""
    with OnnxRuntime().open(model, Configuration(runtime="onnxruntime", task=task)) as session:
        return isinstance(session, LanguageSession), str(session.effective.facts.get("no_language_model", ""))


def looks_ahead(model: Path) -> bool:
    """The reference: whether another last token changes what the first one gets."""
    with OnnxRuntime().open(model, Configuration(runtime="onnxruntime", task="tensor")) as session:
        mask = np.ones((1, 6), np.int64)
        two = [np.array([[1, 2, 3, 4, 5, last]], np.int64) for last in (6, 7)]
        one, other = (session.run({"input_ids": ids, "attention_mask": mask})["logits"][0, 0] for ids in two)
        return not np.allclose(one, other)


@pytest.mark.parametrize("classes", [2, 9, ROWS // 2, 100])
def test_a_classifier_of_tokens_is_no_language_model_whatever_is_said(tmp_path: Path, classes: int) -> None:
    model = write(tmp_path, both_ways, classes)
    for task in (None, "causal-lm"):
        assert opened(model, task) == (
            False,
            f"logits are over {classes} classes, and input_ids pick from a table of {ROWS} rows: no next token",
        )


@pytest.mark.parametrize("attend", [both_ways, by_padding, by_recurrence(2)])
def test_a_masked_language_model_is_told_by_its_graph_and_overruled_by_the_user(tmp_path: Path, attend: Attend) -> None:
    model = write(tmp_path, attend)
    language, reason = opened(model)
    assert not language
    assert reason.endswith('may look ahead as a masked language model\'s do; task = "causal-lm" overrules this')
    assert opened(model, "causal-lm") == (True, "")


@pytest.mark.parametrize(
    "attend",
    [by_comparing, by_trilu, by_stored_triangle(np.float32), by_stored_triangle(np.bool_), by_recurrence(1)],
)
def test_a_causal_model_without_a_configuration_is_one(tmp_path: Path, attend: Attend) -> None:
    model = write(tmp_path, attend)
    assert not looks_ahead(model)
    assert opened(model) == (True, "")


@pytest.mark.parametrize("attend", [both_ways, by_recurrence(2)])
def test_what_is_taken_for_looking_ahead_does(tmp_path: Path, attend: Attend) -> None:
    assert looks_ahead(write(tmp_path, attend))


@pytest.mark.parametrize("task", ["tensor", "classifier", "embedding"])
def test_the_user_may_call_a_language_model_something_else(tmp_path: Path, task: str) -> None:
    assert opened(write(tmp_path, by_comparing), task) == (False, f'task = "{task}" is asked for')


@pytest.mark.parametrize(("named", "language"), [("TinyForCausalLM", True), ("BertForMaskedLM", False)])
def test_a_configurations_word_stands_before_the_graphs(tmp_path: Path, named: str, language: bool) -> None:
    model = write(tmp_path, both_ways if language else by_comparing)
    (tmp_path / "config.json").write_text(json.dumps({"architectures": [named]}))
    assert opened(model)[0] is language
    assert opened(model, "causal-lm")[0]


@pytest.mark.parametrize("attend", [by_comparing, both_ways])
def test_inspecting_says_what_opening_does(tmp_path: Path, attend: Attend) -> None:
    model = write(tmp_path, attend)
    assert (OnnxRuntime().inspect(model).task == "causal-lm") is opened(model)[0]


@settings(max_examples=30, deadline=None)
@given(st.integers(4, 12), st.booleans(), st.data())
def test_only_a_whole_triangle_is_a_causal_mask(side: int, spoiled: bool, data: st.DataObject) -> None:
    mask = np.tril(np.ones((side, side), np.float32))
    if spoiled:
        at = data.draw(st.tuples(st.integers(0, side - 1), st.integers(0, side - 1)))
        mask[at] = 1 - mask[at]
    node = helper.make_node("Add", ["a", "mask"], ["b"])
    value = helper.make_tensor_value_info
    ends = [[value(name, TensorProto.FLOAT, [side, side])] for name in "ab"]
    graph = helper.make_graph([node], "g", *ends, [numpy_helper.from_array(mask, "mask")])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        onnx.save(helper.make_model(graph, ir_version=9), path)
        assert read_evidence(path).causal is not spoiled
