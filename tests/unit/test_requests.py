"""What is asked of a model, the same on every machine, and which answers cannot be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from benchharness.contract import EffectiveConfiguration, TensorSpec
from benchharness.device.inputs.requests import (
    check_logits,
    language_request,
    seeded_tokens,
    tensor_request,
)
from benchharness.device.inputs.shapes import input_shapes, tell_inputs
from benchharness.device.inputs.tokenizer import Tokenizer
from benchharness.device.line.orders import Workload
from benchharness.errors import InvalidOutput, Unsupported

Array = np.ndarray[Any, np.dtype[Any]]


class TensorModel:
    """A session that has a signature only."""

    outputs: Sequence[TensorSpec] = ()
    effective = EffectiveConfiguration(accelerators=("cpu",), threads=1)

    def __init__(self, *inputs: TensorSpec) -> None:
        self.inputs: Sequence[TensorSpec] = inputs

    def run(self, inputs: Mapping[str, Array]) -> Mapping[str, Array]:
        return inputs


class LanguageModel(TensorModel):
    vocabulary_size = 32_000
    context_length = 128

    def reset(self) -> None:
        return

    def extend(self, tokens: Sequence[int]) -> Array:
        return np.zeros(self.vocabulary_size)

    def decode(self, token: int) -> Array:
        return np.zeros(self.vocabulary_size)


class OneTokenPerWord(Tokenizer):
    def __init__(self) -> None:
        return

    def encode(self, prompt: str) -> list[int]:
        return [len(word) for word in prompt.split()]


def asked(prompt: Mapping[str, Any] | None = None, **changes: Any) -> Workload:
    plain = {
        "prompt": {"length": 4, "seed": 7, **(prompt or {})},
        "output_tokens": 3,
        "context_depth": 0,
        "continuation": "fixed",
        "dimensions": {},
        "values": {},
        "seed": 0,
    }
    return cast("Workload", {**plain, **changes})


def test_seeded_tokens_are_these_on_every_machine_and_interpreter() -> None:
    expected = [10611, 31059, 4943, 12937, 21329, 1582, 2373, 26911]
    assert seeded_tokens(32_000, 8, seed=7) == expected
    assert seeded_tokens(32_000, 3, seed=7) == expected[:3]
    assert seeded_tokens(32_000, 8, seed=8) != expected


def test_prompt_context_and_continuation_are_seeded_apart() -> None:
    request = language_request(LanguageModel(), asked(context_depth=5), None)
    assert request.prompt == seeded_tokens(32_000, 4, seed=7)
    assert request.prefix == seeded_tokens(32_000, 5, seed=8)
    assert request.continuation == seeded_tokens(32_000, 3, seed=9)


def test_tokens_and_continuation_are_fed_as_given() -> None:
    request = language_request(LanguageModel(), asked({"tokens": [5, 6], "continuation_tokens": [1, 2, 3, 4]}), None)
    assert (request.prompt, request.continuation) == ([5, 6], [1, 2, 3])
    assert language_request(LanguageModel(), asked(continuation="greedy"), None).continuation is None


def test_a_text_is_tokenised() -> None:
    request = language_request(LanguageModel(), asked({"text": "what is this"}), OneTokenPerWord())
    assert (request.prompt, request.text) == ([4, 2, 4], "what is this")


@pytest.mark.parametrize(
    ("workload", "said"),
    [
        (asked({"text": "hello"}), "there is no tokenizer.json"),
        (asked({"tokens": []}), "the prompt has no tokens"),
        (asked({"length": 126}), "= 129, more than the model's context of 128"),
        (asked(context_depth=122), "122 tokens of context .* = 129"),
        (asked({"tokens": [32_000]}), "has token 32000, and the vocabulary ends at 31999"),
        (asked({"tokens": [-1, 5]}), "has token -1"),
        (asked({"continuation_tokens": [1, 2]}), "the continuation has 2 tokens, and output_tokens asks for 3"),
    ],
)
def test_a_request_that_does_not_fit_the_model_is_unsupported(workload: Workload, said: str) -> None:
    with pytest.raises(Unsupported, match=said):
        language_request(LanguageModel(), workload, None)


@pytest.mark.parametrize("tokens", [[32_000, 1, 2], [-1, 1, 2]])
def test_a_continuation_outside_the_vocabulary_is_unsupported(tokens: list[int]) -> None:
    with pytest.raises(Unsupported, match="vocabulary"):
        language_request(LanguageModel(), asked({"continuation_tokens": tokens}), None)


def test_a_request_that_just_fits_is_made() -> None:
    request = language_request(LanguageModel(), asked({"length": 125}), None)
    assert len(request.prompt) == 125


@pytest.mark.parametrize("content", [None, "not JSON"])
def test_a_tokenizer_that_cannot_be_read_is_unsupported(tmp_path: Path, content: str | None) -> None:
    pytest.importorskip("tokenizers")
    if content is not None:
        (tmp_path / "tokenizer.json").write_text(content)
    with pytest.raises(Unsupported, match=r"tokenizer\.json: not a readable"):
        Tokenizer(tmp_path / "tokenizer.json")


@pytest.mark.parametrize(
    ("dimension", "length"),
    [
        (7, 7),
        ("batch_size", 1),
        ("N", 1),
        (None, 1),
        (0, 0),  # as the file says: an input may be empty for good
        (-1, 1),
        ("sequence_length", 64),
        ("num_tokens", 64),
        ("image_height", 224),
        ("WIDTH", 224),
        ("batch_sequence", 1),
    ],
)
def test_dynamic_dimensions_get_a_length_from_their_name(dimension: int | str | None, length: int) -> None:
    model = TensorModel(TensorSpec("x", "float32", (dimension, 3)))
    assert tensor_inputs(model, asked())["x"].shape == (length, 3)


def test_dimensions_of_the_workload_come_first() -> None:
    model = TensorModel(TensorSpec("x", "float32", ("batch_size", "channels", 3)))
    inputs = tensor_inputs(model, asked(dimensions={"batch_size": 8, "channels": 5, "3": 9}))
    assert inputs["x"].shape == (8, 5, 3)


def tensor_inputs(session: Any, workload: Any) -> Any:
    return tensor_request(session, workload).inputs


def shape(*dimensions: int | str | None, dtype: str = "float32", name: str = "x") -> tuple[int, ...]:
    return input_shapes([TensorSpec(name, dtype, dimensions)], {}).by_input[name]


@pytest.mark.parametrize(
    ("declared", "shaped"),
    [
        ((None, 3, "?", "?"), (1, 3, 224, 224)),  # PaddlePaddle
        (("p2o.DynamicDimension.0", None, "p2o.DynamicDimension.1", 64), (1, 3, 224, 64)),
        (("unk__12", None, None, 3), (1, 224, 224, 3)),  # tf2onnx, channels last
        ((None, None, None, None), (1, 3, 224, 224)),
        (("N", "channels", "H", "W"), (1, 3, 224, 224)),
        (("batch", 1, "mel", "time"), (1, 1, 224, 64)),
        ((None, None), (1, 512)),  # silero-vad: a signal
        (("batch", "sequence"), (1, 512)),
        (("batch", 1, "T"), (1, 1, 512)),
        (("batch", "num_samples"), (1, 512)),
        (("n_samples", 30), (1, 30)),  # rows of a table
        (("batch", 80, "frames"), (1, 80, 64)),
        ((None, None, 80), (1, 64, 80)),
        ((2, None, 128), (2, 1, 128)),  # two layers of state
        ((None,), (1,)),
        ((), ()),
        ((None, None, None, None, None), (1, 1, 1, 1, 1)),
    ],
)
def test_floats_get_lengths_from_names_and_positions(
    declared: tuple[int | str | None, ...], shaped: tuple[int, ...]
) -> None:
    assert shape(*declared) == shaped


def test_whole_numbers_are_tokens_and_states_have_one_sequence() -> None:
    assert shape(None, None, dtype="int64") == (1, 64)
    assert shape("batch", "sequence", dtype="int64") == (1, 64)
    assert shape(1, None, 128, name="initial_state") == (1, 1, 128)


def test_a_name_stands_for_one_length_in_every_input() -> None:
    specs = [TensorSpec("mask", "int64", ("batch", "sequence")), TensorSpec("wave", "float32", ("batch", "sequence"))]
    for order in (specs, specs[::-1]):
        found = input_shapes(order, {})
        assert found.by_input == {"mask": (1, 512), "wave": (1, 512)}
        assert found.assumed == {"batch": 1, "sequence": 512}


def test_what_was_assumed_and_what_was_asked_for_in_vain_is_told() -> None:
    specs = [TensorSpec("x", "float32", (None, 3, "height", "?")), TensorSpec("y", "float32", (None,))]
    found = input_shapes(specs, {"height": 48, "x[3]": 320, "hieght": 1, "x[1]": 5})
    assert found.by_input == {"x": (1, 3, 48, 320), "y": (1,)}
    assert found.assumed == {"x[0]": 1, "y[0]": 1}
    assert found.unused == ["hieght", "x[1]"]


def test_a_place_comes_before_a_name() -> None:
    specs = [TensorSpec("x", "float32", ("n", "n"))]
    assert input_shapes(specs, {"n": 5, "x[1]": 7}).by_input == {"x": (5, 7)}


def test_a_model_that_failed_on_its_inputs_is_told_how_to_get_others() -> None:
    specs = [TensorSpec("x", "float32", (None, 3, "?", "?")), TensorSpec("sr", "int64", ())]
    told = tell_inputs(specs, input_shapes(specs, {"x[3]": 320}))
    assert "x float32 1 × 3 × 224 × 320, sr int64 (one number)" in told
    assert "Assumed, because neither the file nor the workload says: x[0] = 1, x[2] = 224." in told
    assert 'dimensions = { "x[2]" = … } and contents with values = { x = … } or inputs = "real.npz"' in told
    fixed = [TensorSpec("x", "float32", (1, 3))]
    assert "Assumed" not in tell_inputs(fixed, input_shapes(fixed, {}))


@pytest.mark.parametrize(
    ("name", "dtype", "value"),
    [
        ("attention_mask", "int64", 1),
        ("token_type_ids", "int64", 0),
        ("sr", "int64", 16_000),
        ("sampling_rate", "int32", 16_000),
    ],
)
def test_a_name_tells_what_an_input_holds(name: str, dtype: str, value: int) -> None:
    inputs = tensor_inputs(TensorModel(TensorSpec(name, dtype, (1, 8))), asked())
    assert (inputs[name] == value).all()


def test_a_value_that_the_type_cannot_hold_is_not_taken_from_the_name() -> None:
    assert tensor_inputs(TensorModel(TensorSpec("sr", "int8", (8,))), asked())["sr"].max() < 10


def test_inputs_are_filled_by_type_and_seed() -> None:
    model = TensorModel(
        TensorSpec("real", "float16", (50,)),
        TensorSpec("whole", "int64", (50,)),
        TensorSpec("attention_mask", "int64", (50,)),
        TensorSpec("flag", "bool", (50,)),
        TensorSpec("word", "str", (50,)),
    )
    inputs = tensor_inputs(model, asked(seed=3))
    assert {name: str(array.dtype) for name, array in inputs.items()} == {
        "real": "float16",
        "whole": "int64",
        "attention_mask": "int64",
        "flag": "bool",
        "word": "object",
    }
    assert 0 <= inputs["real"].min() < inputs["real"].max() <= 1
    assert 0 <= inputs["whole"].min() < inputs["whole"].max() <= 9
    assert (inputs["attention_mask"] == 1).all()
    assert inputs["flag"].all()
    assert set(inputs["word"]) == {"a"}

    again = tensor_inputs(model, asked(seed=3))
    assert all((inputs[name] == again[name]).all() for name in inputs)
    other = tensor_inputs(model, asked(seed=4))
    assert (inputs["real"] != other["real"]).any()


def test_seeded_inputs_are_these_on_every_machine() -> None:
    model = TensorModel(TensorSpec("x", "float64", (3,)), TensorSpec("y", "int64", (3,)))
    inputs = tensor_inputs(model, asked(seed=3))
    assert inputs["x"].tolist() == [0.08564916714362436, 0.2368105065960997, 0.8012744652063969]
    assert inputs["y"].tolist() == [8, 5, 0]


def test_a_value_of_the_workload_fills_an_input() -> None:
    model = TensorModel(TensorSpec("scale", "float32", (2, "batch")), TensorSpec("word", "str", (1,)))
    inputs = tensor_inputs(model, asked(values={"scale": 2, "word": "hello"}))
    assert inputs["scale"].tolist() == [[2.0], [2.0]]
    assert inputs["scale"].dtype == np.float32
    assert inputs["word"].tolist() == ["hello"]


def test_a_value_for_no_input_is_unsupported_with_the_inputs() -> None:
    model = TensorModel(TensorSpec("scale", "float32", (1,)), TensorSpec("bias", "float32", (1,)))
    with pytest.raises(Unsupported, match="gives a value for 'scael'; the model's inputs are scale, bias"):
        tensor_inputs(model, asked(values={"scael": 1}))


@pytest.mark.parametrize(("dtype", "value"), [("float32", "fast"), ("int8", 300), ("int64", "x")])
def test_a_value_that_an_input_cannot_hold_is_unsupported(dtype: str, value: Any) -> None:
    with pytest.raises(Unsupported, match="'scale'"):
        tensor_inputs(TensorModel(TensorSpec("scale", dtype, (1,))), asked(values={"scale": value}))


def test_an_input_of_an_unknown_type_is_unsupported() -> None:
    with pytest.raises(Unsupported, match="input 'x' is of type sequence"):
        tensor_inputs(TensorModel(TensorSpec("x", "sequence", (1,))), asked())


@pytest.mark.parametrize(
    ("logits", "said"),
    [
        ([0.0, 1.0, np.nan], "1 of 3 logits are NaN or infinite"),
        ([0.0, -np.inf, np.inf], "2 of 3 logits are NaN or infinite"),
        ([0.0, 0.0, 0.0], "all 3 logits are 0"),
        ([2.5, 2.5, 2.5], "all 3 logits are 2.5"),
        ([1.0, 2.0], r"have the shape \(2,\), not \(3,\)"),
        ([[1.0, 2.0, 3.0]], r"have the shape \(1, 3\)"),
    ],
)
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_logits_that_cannot_be_are_invalid(logits: Any, said: str, dtype: str) -> None:
    with pytest.raises(InvalidOutput, match=said):
        check_logits(np.array(logits, dtype), 3)


def test_real_logits_are_valid() -> None:
    check_logits(np.array([0.0, 0.0, 1e-3], "float16"), 3)


@pytest.mark.parametrize(
    ("given_", "ids", "mask", "unused"),
    [
        ({"ids[1]": 48}, (1, 48), (1, 48), []),  # a name stands for one length, wherever it is given
        ({"ids[1]": 48, "tokens": 16}, (1, 48), (1, 16), []),
        ({"ids[1]": 48, "mask[1]": 16}, (1, 48), (1, 16), []),
        ({"ids[0]": 2, "mask[0]": 2}, (2, 64), (2, 64), []),
        ({"fixed[1]": 7}, (1, 64), (1, 64), []),  # as the file has it
        ({"fixed[1]": 8, "ids[2]": 4}, (1, 64), (1, 64), ["fixed[1]", "ids[2]"]),
    ],
)
def test_a_dimension_goes_by_its_name_or_by_input_and_axis(
    given_: dict[str, int], ids: tuple[int, ...], mask: tuple[int, ...], unused: list[str]
) -> None:
    inputs = [
        TensorSpec("ids", "int64", ("batch", "tokens")),
        TensorSpec("mask", "int64", ("batch", "tokens")),
        TensorSpec("fixed", "float32", (1, 7)),
    ]
    found = input_shapes(inputs, given_)
    assert (found.by_input["ids"], found.by_input["mask"], list(found.unused)) == (ids, mask, unused)
