"""What inputs are filled with that nobody gave, by families of models from the wild, and what is promised of any."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchharness.contract import EffectiveConfiguration, TensorSpec
from benchharness.device.inputs.input_lengths import described_axis, plain
from benchharness.device.inputs.invented import Filling
from benchharness.device.inputs.requests import TensorRequest, tensor_request
from benchharness.device.line.orders import Workload

Shape = tuple[int | str | None, ...]


class Model:
    """A session that has a signature, and what an adapter tells of it."""

    outputs: Sequence[TensorSpec] = ()

    def __init__(self, inputs: dict[str, tuple[str, Shape]], facts: dict[str, Any] | None = None) -> None:
        self.inputs: Sequence[TensorSpec] = [TensorSpec(name, dtype, shape) for name, (dtype, shape) in inputs.items()]
        self.effective = EffectiveConfiguration(accelerators=("cpu",), threads=1, facts=facts or {})

    def run(self, inputs: Any) -> Any:
        return inputs


def ask(
    inputs: dict[str, tuple[str, Shape]],
    *,
    rows: dict[str, int] | None = None,
    facts: dict[str, Any] | None = None,
    **dimensions: int,
) -> TensorRequest:
    workload: Workload = {"dimensions": dimensions, "values": {}, "seed": 0}
    return tensor_request(Model(inputs, facts), workload, rows)


def only(name: str, dtype: str, shape: Shape = (1,), **more: Any) -> Filling:
    return ask({name: (dtype, shape)}, **more).invented[name]


NEMO: dict[str, tuple[str, Shape]] = {
    "audio_signal": ("float32", ("audio_signal_dynamic_axes_1", 80, "audio_signal_dynamic_axes_2")),
    "length": ("int64", ("length_dynamic_axes_1",)),
}


def test_a_length_is_that_of_the_time_axis_and_its_batch_the_signals() -> None:
    asked = ask(NEMO, audio_signal_dynamic_axes_2=3000, audio_signal_dynamic_axes_1=4)
    assert asked.inputs["audio_signal"].shape == (4, 80, 3000)
    assert asked.inputs["length"].tolist() == [3000] * 4
    assert asked.invented["length"].fact() == {
        "by": "length of axis 2 of audio_signal",
        "value": "3000",
        "explained": True,
    }


@pytest.mark.parametrize(
    ("inputs", "of", "axis"),
    [
        # icefall, sherpa-onnx: x [N, T, C], x_lens [N]
        ({"x": ("float32", ("N", "T", 80)), "x_lens": ("int64", ("N",))}, "x", 1),
        # wenet on a GPU: speech [B, T, 80], speech_lengths [B]
        ({"speech": ("float32", ("B", "T", 80)), "speech_lengths": ("int32", ("B",))}, "speech", 1),
        ({"xs": ("float32", (None, None, 80)), "xs_lens": ("int32", (None,))}, "xs", 1),
        # FunASR: frames of 560 features
        ({"speech": ("float32", (1, None, 560)), "speech_lengths": ("int32", (1,))}, "speech", 1),
        # piper: input [B, T], input_lengths [B]
        (
            {
                "input": ("int64", ("batch_size", "phonemes")),
                "input_lengths": ("int64", ("batch_size",)),
                "scales": ("float32", (3,)),
            },
            "input",
            1,
        ),
        # Matcha, MeloTTS: the length is called after x, and a tone is as long
        (
            {
                "x": ("int64", ("N", "L")),
                "x_lengths": ("int64", ("N",)),
                "tones": ("int64", ("N", "L")),
                "sid": ("int64", (1,)),
            },
            "x",
            1,
        ),
        # RNN-T's prediction network
        (
            {
                "encoder_outputs": ("float32", ("b", 512, 1)),
                "targets": ("int32", ("b", "u")),
                "target_length": ("int32", ("b",)),
                "input_states_1": ("float32", (1, "b", 640)),
            },
            "targets",
            1,
        ),
        # fixed shapes: of two axes the one that is no number of features
        ({"audio_signal": ("float32", (1, 65, 128)), "length": ("int64", (1,))}, "audio_signal", 1),
        ({"audio_signal": ("float32", (1, 80, 3000)), "length": ("int64", (1,))}, "audio_signal", 2),
        # a length before what it is of, a picture of sound, a signal without a batch, TensorFlow's names
        ({"feature_lens": ("int64", ("n",)), "features": ("float32", ("n", "frames", 80))}, "features", 1),
        ({"spec": ("float32", ("n", 1, "time", 64)), "n_frames": ("int64", ())}, "spec", 2),
        ({"wave": ("float32", ("samples",)), "num_samples": ("int32", ())}, "wave", 0),
        (
            {
                "serving_default_inputs:0": ("float32", (1, -1, 40)),
                "serving_default_input_length:0": ("int32", (1,)),
            },
            "serving_default_inputs:0",
            1,
        ),
    ],
)
def test_lengths_of_families(inputs: dict[str, tuple[str, Shape]], of: str, axis: int) -> None:
    asked = ask(inputs)
    name = next(name for name in inputs if plain(name) in ("length", "n_frames", "num_samples") or "_len" in name)
    assert asked.inputs[name].tolist() in (asked.inputs[of].shape[axis], [asked.inputs[of].shape[axis]])
    assert asked.invented[name].by == f"length of axis {axis} of {of}"
    assert asked.invented[name].explained


def test_time_may_come_before_the_batch() -> None:
    asked = ask({"x": ("float32", ("T", "N", 80)), "x_lens": ("int64", ("N",))}, T=30, N=2)
    assert asked.inputs["x_lens"].tolist() == [30, 30]
    assert asked.invented["x_lens"].by == "length of axis 0 of x"


def test_a_length_that_may_be_of_two_axes_is_not_claimed_and_goes_beyond_neither() -> None:
    asked = ask({"x": ("float32", (1, 300, 700)), "x_lens": ("int64", (1,))})
    assert asked.inputs["x_lens"].tolist() == [300]
    assert not asked.invented["x_lens"].explained


def test_a_length_that_may_be_of_two_inputs_is_not_claimed() -> None:
    asked = ask({"a": ("float32", (1, 9)), "b": ("float32", (1, 5)), "length": ("int64", (1,))})
    assert not asked.invented["length"].explained


def test_a_stream_starts_with_nothing_cached() -> None:
    asked = ask(
        {
            **NEMO,
            "cache_last_channel": ("float32", ("cache_last_channel_dynamic_axes_1", 17, 70, 512)),
            "cache_last_channel_len": ("int64", ("cache_last_channel_len_dynamic_axes_1",)),
        },
        audio_signal_dynamic_axes_2=121,
    )
    assert asked.inputs["length"].tolist() == [121]
    assert asked.inputs["cache_last_channel_len"].tolist() == [0]
    assert not asked.inputs["cache_last_channel"].any()


@pytest.mark.parametrize(
    ("name", "dtype", "value"),
    [
        ("attention_mask", "int64", 1),
        ("attention_mask", "float32", 1),
        ("pixel_mask", "bool", 1),
        ("input_mask", "int32", 1),
        ("serving_default_attention_mask:0", "int32", 1),
        ("src_key_padding_mask", "bool", 0),
        ("global_attention_mask", "int64", 0),
        ("bool_masked_pos", "bool", 0),
        ("token_type_ids", "int64", 0),
        ("input_type_ids", "int32", 0),
        ("use_cache_branch", "bool", 0),
        ("training", "bool", 0),
        ("has_mask_input", "float32", 0),
        ("sr", "int64", 16_000),
        ("sid", "int64", 0),
        ("speed", "float32", 1),
        ("num_logits_to_keep", "int64", 1),
        ("processed_lens", "int64", 0),
        ("offset", "int64", 0),
        ("past_seq_len", "int64", 0),
        ("num_beams", "int32", 1),
        ("scale_factor", "float32", 1),
        ("timestep", "int64", 1),
    ],
)
def test_a_name_with_a_documented_meaning(name: str, dtype: str, value: float) -> None:
    filling = only(name, dtype, (1, 4))
    assert (filling.array == value).all()
    assert filling.explained, filling.by


@pytest.mark.parametrize(
    ("name", "dtype"),
    [
        ("flag", "bool"),
        ("padding_mask", "bool"),
        ("language", "int32"),
        ("max_length", "int32"),
        ("foo", "int64"),
        ("grid_thw", "int64"),
        ("length", "int64"),
        ("lengths", "float32"),
        ("sr", "int8"),
    ],
)
def test_what_nothing_explains_is_marked(name: str, dtype: str) -> None:
    assert not only(name, dtype).explained


def test_floats_are_random_and_no_guess() -> None:
    filling = only("pixel_values", "float32", (1, 3, 8, 8))
    assert filling.fact() == {"by": "real numbers", "value": "random, [0, 1)", "explained": True}
    assert 0 <= filling.array.min() < filling.array.max() < 1


def test_ids_use_the_whole_vocabulary_whatever_the_input_is_called() -> None:
    for name in ("input_ids", "x", "foo"):
        filling = only(name, "int64", (1, 4000), rows={name: 30_522})
        assert filling.array.min() >= 0
        assert 30_000 < filling.array.max() < 30_522
        assert filling.explained
        assert "30522 rows" in filling.by
    assert only("input_ids", "int64", (1, 100)).array.max() == 9


def test_positions_are_in_order_and_in_the_table() -> None:
    assert only("position_ids", "int64", (2, 4)).array.tolist() == [[0, 1, 2, 3]] * 2
    few = only("position_ids", "int64", (1, 4), rows={"position_ids": 3})
    assert few.array.tolist() == [[0, 1, 2, 2]]
    assert not few.explained


def test_sizes_follow_the_picture() -> None:
    rt_detr = ask({"images": ("float32", ("N", 3, 480, 640)), "orig_target_sizes": ("int64", ("N", 2))})
    assert rt_detr.inputs["orig_target_sizes"].tolist() == [[640, 480]]  # width, height
    paddle = ask(
        {
            "image": ("float32", ("N", 3, "h", "w")),
            "im_shape": ("float32", ("N", 2)),
            "scale_factor": ("float32", ("N", 2)),
        },
        h=320,
        w=416,
    )
    assert paddle.inputs["im_shape"].tolist() == [[320, 416]]
    assert paddle.inputs["scale_factor"].tolist() == [[1, 1]]
    assert "height, width of image" in paddle.invented["im_shape"].by
    assert (
        not ask({"embeddings": ("float32", (1, 256, 64, 64)), "orig_im_size": ("float32", (2,))})
        .invented["orig_im_size"]
        .explained
    )


def test_pipers_scales_are_its_defaults() -> None:
    assert only("scales", "float32", (3,)).array.tolist() == pytest.approx([0.667, 1.0, 0.8])


def test_states_are_empty_and_what_a_model_is_about_is_not() -> None:
    silero = ask({"input": ("float32", (None, None)), "state": ("float32", (2, None, 128)), "sr": ("int64", ())})
    assert not silero.inputs["state"].any()
    assert silero.inputs["input"].any()
    assert only("state", "float32", (1, 8)).array.any()
    decoder = ask({"decoder_input_ids": ("int64", (1, 4)), "encoder_hidden_states": ("float32", (1, 4, 8))})
    assert decoder.inputs["encoder_hidden_states"].any()


def test_a_merged_decoder_starts_without_a_past() -> None:
    asked = ask(
        {
            "input_ids": ("int64", ("batch_size", "decoder_sequence_length")),
            "attention_mask": ("int64", ("batch_size", "past_decoder_sequence_length + decoder_sequence_length")),
            "encoder_hidden_states": ("float32", ("batch_size", "encoder_sequence_length", 8)),
            "past_key_values.0.decoder.key": ("float32", ("batch_size", 2, "past_decoder_sequence_length", 4)),
            "use_cache_branch": ("bool", (1,)),
        },
        decoder_sequence_length=5,
        batch_size=2,
    )
    assert asked.inputs["attention_mask"].shape == (2, 5)
    assert asked.inputs["past_key_values.0.decoder.key"].shape == (2, 2, 0, 4)
    assert asked.inputs["use_cache_branch"].tolist() == [False]


def test_a_past_that_is_asked_for_lengthens_the_mask() -> None:
    inputs: dict[str, tuple[str, Shape]] = {
        "input_ids": ("int64", (1, "sequence_length")),
        "attention_mask": ("int64", (1, "total_sequence_length")),
        "past": ("float32", (1, "past_sequence_length", 4)),
    }
    asked = ask(inputs, sequence_length=3, past_sequence_length=7)
    assert asked.inputs["attention_mask"].shape == (1, 10)
    assert ask(inputs, sequence_length=3).inputs["attention_mask"].shape == (1, 3)


def test_quantized_inputs_hold_the_real_numbers_that_a_float_variant_is_given() -> None:
    how = {"quantization": {"x": {"scale": [1 / 255], "zero_point": [-128]}}}
    filling = only("x", "int8", (1, 8, 8, 3), facts=how)
    real = only("x", "float32", (1, 8, 8, 3)).array
    assert np.abs((filling.array.astype(float) + 128) / 255 - real).max() <= 0.5 / 255 + 1e-9
    assert filling.explained


def test_bytes_of_a_picture_are_colours() -> None:
    filling = only("image", "uint8", (1, 32, 32, 3))
    assert (filling.array.min(), filling.array.max()) == (0, 255)
    assert filling.explained


def test_what_the_suite_gives_is_not_invented() -> None:
    workload: Workload = {"dimensions": {}, "values": {"length": 7}, "seed": 0}
    asked = tensor_request(Model(NEMO), workload)
    assert asked.inputs["length"].tolist() == [7]
    assert list(asked.invented) == ["audio_signal"]


NAMES = st.sampled_from(
    [
        "x",
        "x_lens",
        "length",
        "lengths",
        "input_lengths",
        "audio_signal",
        "n_frames",
        "attention_mask",
        "padding_mask",
        "position_ids",
        "input_ids",
        "sr",
        "token_type_ids",
        "sid",
        "state",
        "h",
        "past_key_values.0.key",
        "cache_len",
        "use_cache_branch",
        "scales",
        "orig_target_sizes",
        "image",
        "timestep",
        "top_k",
        "language",
        "tokens",
        "y",
        "speech_lengths",
        "speech",
        "num_logits_to_keep",
        "offset",
        "max_length",
        "seqlens_k",
    ]
)
DIMENSIONS = st.one_of(st.integers(1, 12), st.sampled_from((None, "N", "T", "batch", "time", "past_length", "?")))
SPECS = st.dictionaries(
    NAMES,
    st.tuples(
        st.sampled_from(("float32", "int64", "int32", "int8", "uint8", "bool", "float16")),
        # Two lengths of 200 at most: four of them are 13 GB.
        st.lists(DIMENSIONS, max_size=4).filter(lambda shape: shape.count("T") < 3).map(tuple),
    ),
    min_size=1,
    max_size=6,
)


@settings(max_examples=100, deadline=None)
@given(SPECS, st.dictionaries(NAMES, st.integers(1, 12)), st.integers(1, 200))
def test_whatever_the_signature_values_are_what_the_rules_promise(
    inputs: dict[str, tuple[str, Shape]], rows: dict[str, int], time: int
) -> None:
    asked = ask(inputs, rows=rows, T=time)
    specs = Model(inputs).inputs
    shapes = {name: array.shape for name, array in asked.inputs.items()}
    assert list(asked.inputs) == list(inputs)
    assert set(asked.invented) == set(inputs)
    for spec in specs:
        array, filling = asked.inputs[spec.name], asked.invented[spec.name]
        assert array.dtype == spec.dtype
        for given_length, length in zip(spec.shape, array.shape, strict=True):
            assert given_length == length or not isinstance(given_length, int)
            assert given_length != "T" or length == time
        if filling.by.startswith("length of axis"):
            axis = described_axis(spec, specs, shapes)
            assert axis is not None
            assert array.size == 0 or 0 <= array.max() <= shapes[axis.input][axis.position]
        if "rows of the table" in filling.by and array.size:
            assert 0 <= array.min() <= array.max() < rows[spec.name]
        if array.dtype.kind in "iu" and array.size and filling.value.startswith("random, 0 to "):
            assert int(array.max()) <= int(filling.value.rsplit(" ", 1)[1])
        if array.dtype.kind == "f":
            assert np.isfinite(array).all()
