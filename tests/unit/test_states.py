"""States of recurrent models: found by name or said, fed back as a loop of one's own would, left where none fits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchharness.contract import EffectiveConfiguration, TensorSpec
from benchharness.device.inputs.requests import tensor_request
from benchharness.device.inputs.states import BY_NAMES, BY_SUITE, Carried, States
from benchharness.device.scenarios.quality.inputs import Inputs
from benchharness.errors import Unsupported
from benchharness.results.result import WarningKind
from tests.unit.made_up import attempt
from tests.unit.test_warnings import warnings_of

Array = np.ndarray[Any, np.dtype[Any]]
Given = dict[str, tuple[Any, ...]]


def specs(tensors: Given, dtype: str = "float32") -> list[TensorSpec]:
    return [TensorSpec(name, dtype, shape) for name, shape in tensors.items()]


class Model:
    """`state` becomes 0.5 state + x; `y` is the sum of the state before and x."""

    effective = EffectiveConfiguration(accelerators=("CPU",), threads=1)

    def __init__(self, inputs: Given, outputs: Given) -> None:
        self.inputs: Sequence[TensorSpec] = specs(inputs)
        self.outputs: Sequence[TensorSpec] = specs(outputs)

    def run(self, inputs: Mapping[str, Array]) -> Mapping[str, Array]:
        x, state = inputs["x"], inputs["state"]
        return {"y": x + state, "stateN": 0.5 * state + x}


RECURRENT = ({"x": (1, 4), "state": (1, 4)}, {"y": (1, 4), "stateN": (1, 4)})


def found(inputs: Given, outputs: Given) -> dict[str, str]:
    return States.of(Model(inputs, outputs), None).found


@pytest.mark.parametrize(
    ("inputs", "outputs", "pairs"),
    [
        # silero-vad 5 and 6, their sequence model, and silero-vad 4.
        (
            {"input": (None, None), "state": (2, None, 128), "sr": ()},
            {"output": (None, 1), "stateN": (None, None, None)},
            {"stateN": "state"},
        ),
        (
            {"input": ("n", 576), "h": (1, 1, 128), "c": (1, 1, 128)},
            {"speech_probs": ("n",), "hn": (1, 1, 128), "cn": (1, 1, 128)},
            {"hn": "h", "cn": "c"},
        ),
        (
            {"x": (1, 9), "h0": (2, 1, 8), "c0": (2, 1, 8)},
            {"y": (1, 2), "hn": (2, 1, 8), "cn": (2, 1, 8)},
            {"hn": "h0", "cn": "c0"},
        ),
        ({"x": (1, 9), "h_0": (2, 1, 8)}, {"y": (1, 2), "h_n": (2, 1, 8)}, {"h_n": "h_0"}),
        ({"x": (1, 9), "hidden_in": (1, 8)}, {"y": (1, 2), "hidden_out": (1, 8)}, {"hidden_out": "hidden_in"}),
        ({"x": (1, 9), "states": (1, 8)}, {"y": (1, 2), "next_states": (1, 8)}, {"next_states": "states"}),
        # icefall's streaming encoders, as sherpa-onnx runs them.
        (
            {"x": (1, 45, 80), "cached_len_0": (2, 1), "cached_key_0": (2, 64, 1, 192), "cached_len_1": (2, 1)},
            {"y": (1, 1), "new_cached_len_0": (2, 1), "new_cached_key_0": (2, 64, 1, 192), "new_cached_len_1": (2, 1)},
            {
                "new_cached_len_0": "cached_len_0",
                "new_cached_key_0": "cached_key_0",
                "new_cached_len_1": "cached_len_1",
            },
        ),
        # NeMo's cache-aware encoders.
        (
            {"audio_signal": (1, 80, 121), "cache_last_channel": (17, 1, 70, 512), "cache_last_channel_len": (1,)},
            {"outputs": (1, 512, 14), "cache_last_channel_next": (17, 1, 70, 512), "cache_last_channel_next_len": (1,)},
            {"cache_last_channel_next": "cache_last_channel", "cache_last_channel_next_len": "cache_last_channel_len"},
        ),
        # GTCRN, DeepFilterNet, and a decoder with a cache of fixed length.
        (
            {"mix": (1, 257), "conv_cache": (2, 1, 16)},
            {"enh": (1, 257), "conv_cache_out": (2, 1, 16)},
            {"conv_cache_out": "conv_cache"},
        ),
        (
            {"input_frame": (480,), "states": (45304,)},
            {"enhanced": (480,), "new_states": (45304,)},
            {"new_states": "states"},
        ),
        (
            {"x": (1, 1), "past_key_values.0.key": (1, 4, 9, 8), "past_key_values.0.value": (1, 4, 9, 8)},
            {"y": (1, 1), "present.0.key": (1, 4, 9, 8), "present_key_values.0.value": (1, 4, 9, 8)},
            {"present.0.key": "past_key_values.0.key", "present_key_values.0.value": "past_key_values.0.value"},
        ),
        (
            {"x": (1, 1), "past.0.key": (1, 4, 9, 8)},
            {"y": (1, 1), "present.0.key": (1, 4, 9, 8)},
            {"present.0.key": "past.0.key"},
        ),
        # What is no state: data that goes in and out, another shape, a model about nothing else, two that could be it.
        ({"audio_in": (1, 512), "sr": ()}, {"audio_out": (1, 512)}, {}),
        ({"x": (1, 9), "state": (1, 8)}, {"y": (1, 2), "stateN": (1, 9)}, {}),
        ({"state": (1, 8)}, {"next_state": (1, 8)}, {}),
        ({"x": (1, 9), "state": (1, 8)}, {"new_state": (1, 8), "next_state": (1, 8)}, {}),
        ({"x": (1, 9), "encoder_hidden_states": (1, 8)}, {"hidden_states": (1, 8)}, {}),
        ({"input_ids": (1, 9), "attention_mask": (1, 9)}, {"last_hidden_state": (1, 9, 8)}, {}),
    ],
)
def test_names_that_say_it(inputs: Given, outputs: Given, pairs: dict[str, str]) -> None:
    assert found(inputs, outputs) == pairs


def own_loop(xs: list[Array]) -> list[Array]:
    state, answers = np.zeros((1, 4)), []
    for x in xs:
        answers.append(x + state)
        state = 0.5 * state + x
    return answers


@pytest.mark.parametrize("said", [None, {"stateN": "state"}])
def test_what_is_fed_back_is_what_a_loop_of_ones_own_feeds_back(said: dict[str, str] | None) -> None:
    xs = list(np.random.default_rng(0).random((5, 1, 4)))
    session = Model(*RECURRENT)
    states = States.of(session, said)
    carried = Carried(session, states)
    answers = [carried.run({"x": x, "state": np.zeros((1, 4))})["y"] for x in xs]
    np.testing.assert_array_equal(answers, own_loop(xs))
    by = BY_NAMES if said is None else BY_SUITE
    assert states.facts() == {"carried": {"stateN": "state"}, "by": by, "not_carried": {}}


def test_an_empty_table_says_that_there_are_none() -> None:
    session = Model(*RECURRENT)
    carried = Carried(session, States.of(session, {}))
    given = {"x": np.ones((1, 4)), "state": np.full((1, 4), 3.0)}
    for _ in range(3):
        np.testing.assert_array_equal(carried.run(given)["y"], np.full((1, 4), 4.0))


class Growing(Model):
    def run(self, inputs: Mapping[str, Array]) -> Mapping[str, Array]:
        past = inputs["past"]
        return {"y": inputs["x"], "present": np.concatenate([past, np.ones((1, 1, 2), past.dtype)], axis=1)}


def test_a_cache_that_grows_is_left_as_it_is_and_told() -> None:
    session = Growing({"x": (1, 4), "past": (1, None, 2)}, {"y": (1, 4), "present": (1, None, 2)})
    states = States.of(session, None)
    carried = Carried(session, states)
    given = {"x": np.ones((1, 4)), "past": np.zeros((1, 0, 2))}
    for _ in range(3):
        assert carried.run(given)["present"].shape == (1, 1, 2)
    assert states.facts()["carried"] == {}
    assert "1 × 1 × 2, and input 'past' was float64 1 × 0 × 2" in states.facts()["not_carried"]["present"]
    told = Carried(session, States.of(session, {"present": "past"}))
    with pytest.raises(Unsupported, match=r'state = \{ present = "past" \}.*has to be alike'):
        told.run(given)


@pytest.mark.parametrize(
    ("said", "message"),
    [({"gone": "state"}, "no output 'gone'; it has y"), ({"stateN": "gone"}, "no input 'gone'; it has x")],
)
def test_a_line_that_names_what_is_not_there_is_refused(said: dict[str, str], message: str) -> None:
    with pytest.raises(Unsupported, match=message):
        States.of(Model(*RECURRENT), said)


def test_a_state_that_no_name_tells_begins_with_zeros() -> None:
    """DTLN calls its state `input_3`."""
    session = Model({"input_2": (1, 1, 257), "input_3": (1, 2, 128, 2)}, {"a": (1, 1, 257), "b": (1, 2, 128, 2)})
    states = States.of(session, {"b": "input_3"})
    asked = tensor_request(session, {"dimensions": {}, "values": {}, "seed": 0}, states=states.inputs)
    assert not asked.inputs["input_3"].any()
    assert asked.inputs["input_2"].any()
    given = tensor_request(session, {"dimensions": {}, "values": {"input_3": 2}, "seed": 0}, states=states.inputs)
    assert (given.inputs["input_3"] == 2).all()


def test_in_quality_every_sample_begins_with_zeros(tmp_path: Path) -> None:
    """Data has no array for a state; the second sample is not the sequel of the first."""
    xs = np.random.default_rng(0).random((3, 4)).astype(np.float32)
    np.savez(tmp_path / "data.npz", x=xs)
    inputs = Inputs(Model(*RECURRENT), {})
    for sample in range(3):
        np.testing.assert_array_equal(inputs.run(tmp_path / "data.npz", sample, {})["y"], xs[sample][None])
    assert inputs.facts()["states"] == ["state"]


def test_data_that_has_the_state_feeds_it(tmp_path: Path) -> None:
    np.savez(tmp_path / "data.npz", x=np.zeros((2, 4), np.float32), state=np.ones((2, 4), np.float32))
    inputs = Inputs(Model(*RECURRENT), {})
    np.testing.assert_array_equal(inputs.run(tmp_path / "data.npz", 1, {})["y"], np.ones((1, 4)))
    assert "states" not in inputs.facts()


def test_a_model_that_keeps_its_state_inside_is_told() -> None:
    class Keeper(Model):
        def keeps_state(self) -> bool:
            return True

    facts = Inputs(Keeper({"x": (1, 4)}, {"y": (1, 4)}), {}).facts()
    assert facts["keeps_state"] is True
    assert "keeps_state" not in Inputs(Model({"x": (1, 4)}, {"y": (1, 4)}), {}).facts()
    for effective in ({"tensors": facts}, {"reference": {"tensors": facts}}):
        (warning,) = [
            each for each in warnings_of([attempt(0, effective=effective)]) if each.kind is WarningKind.CARRIED_STATE
        ]
        assert "cannot reset" in warning.message


def test_what_names_say_is_told_with_the_line_to_write() -> None:
    def told(**state: object) -> list[str]:
        warnings = warnings_of([attempt(0, effective={"state": state})])
        return [f"{each.message}; {each.hint}" for each in warnings if each.kind is WarningKind.ASSUMED_STATE]

    (message,) = told(carried={"stateN": "state"}, by="names", not_carried={})
    assert "stateN → state" in message
    assert 'state = { stateN = "state" }' in message
    assert told(carried={"stateN": "state"}, by="suite", not_carried={}) == []
    (message,) = told(carried={}, by="names", not_carried={"present": "it grows"})
    assert "not fed back: it grows" in message
