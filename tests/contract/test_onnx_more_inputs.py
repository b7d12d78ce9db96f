"""Language models with inputs beside the usual ones: how many logits are wanted, and types of tokens."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from benchharness.contract import Configuration, LanguageSession
from targets.onnx_runtime import OnnxRuntime
from tests.contract.tiny_models import LanguageModel, Variant, build_language_model

TOKENS = [3, 1, 4, 1, 5, 9, 2]


def with_kept(folder: Path, cache: str, name: str, shape: list[int]) -> LanguageModel:
    """A model whose graph computes the last logits only, as many as its input says, and all for 0."""
    made = build_language_model(folder, Variant(cache=cache))
    model = onnx.load(made.file)
    for node in model.graph.node:
        node.output[:] = ["all_logits" if output == "logits" else output for output in node.output]
    model.graph.input.append(helper.make_tensor_value_info(name, TensorProto.INT64, shape))
    for constant, value in (("k0", [0]), ("k1", [1]), ("kend", [2**31]), ("kflat", [1])):
        model.graph.initializer.append(numpy_helper.from_array(np.array(value), constant))
    model.graph.node.extend(
        [
            helper.make_node("Reshape", [name, "kflat"], ["knumber"]),
            helper.make_node("Neg", ["knumber"], ["kstart"]),
            helper.make_node("Slice", ["all_logits", "kstart", "kend", "k1"], ["logits"]),
        ]
    )
    onnx.save(model, made.file)
    return made


@pytest.mark.parametrize("cache", ["concat", "none"])
@pytest.mark.parametrize(("name", "shape"), [("num_logits_to_keep", []), ("logits_to_keep", [1])])
def test_logits_are_the_same_however_many_are_kept(tmp_path: Path, cache: str, name: str, shape: list[int]) -> None:
    made = with_kept(tmp_path, cache, name, shape)
    expected = made.logits(TOKENS)
    with OnnxRuntime().open(made.file, Configuration(runtime="onnxruntime")) as session:
        assert isinstance(session, LanguageSession)
        assert name in session.effective.facts
        np.testing.assert_allclose(session.extend(TOKENS[:5]), expected[4], atol=1e-4)
        np.testing.assert_allclose(session.decode(TOKENS[5]), expected[5], atol=1e-4)
        scored = session.score(TOKENS)  # type: ignore[attr-defined]
        np.testing.assert_allclose(scored, expected, atol=1e-4)
        np.testing.assert_allclose(session.extend(TOKENS), expected[-1], atol=1e-4)
        assert session._append(session._checked([1])).shape[0] == 1  # type: ignore[attr-defined]


@pytest.mark.parametrize(("cache", "language"), [("concat", True), ("none", False)])
def test_types_of_tokens_are_zeros_and_an_encoders_without_a_cache(tmp_path: Path, cache: str, language: bool) -> None:
    made = build_language_model(tmp_path, Variant(cache=cache, config=""))
    model = onnx.load(made.file)
    for node in model.graph.node:
        node.output[:] = ["bare_logits" if output == "logits" else output for output in node.output]
    model.graph.input.append(helper.make_tensor_value_info("token_type_ids", TensorProto.INT64, ["b", "s"]))
    model.graph.node.extend(
        [
            helper.make_node("Cast", ["token_type_ids"], ["kinds"], to=TensorProto.FLOAT),
            helper.make_node("Unsqueeze", ["kinds", "kaxis"], ["column"]),
            helper.make_node("Add", ["bare_logits", "column"], ["logits"]),
        ]
    )
    model.graph.initializer.append(numpy_helper.from_array(np.array([2]), "kaxis"))
    onnx.save(model, made.file)
    with OnnxRuntime().open(made.file, Configuration(runtime="onnxruntime")) as session:
        assert isinstance(session, LanguageSession) is language
        if isinstance(session, LanguageSession):
            expected = made.logits(TOKENS)
            np.testing.assert_allclose(session.extend(TOKENS[:6]), expected[5], atol=1e-4)
            np.testing.assert_allclose(session.decode(TOKENS[6]), expected[6], atol=1e-4)
