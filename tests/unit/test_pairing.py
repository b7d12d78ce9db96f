"""Which tensor is which: by name, by mapping, or not at all. Whatever is renamed or reordered, never a wrong pair."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchharness.contract import TensorSpec
from benchharness.device.inputs.pairing import (
    BY_MAPPING,
    BY_NAME,
    BY_SHAPE,
    INPUTS,
    ONLY_ONE,
    OUTPUTS,
    pair,
    pair_all,
    same_shape,
    says_nothing,
)
from benchharness.errors import Unsupported


def spec(name: str, *shape: int | str | None, dtype: str = "float32") -> TensorSpec:
    return TensorSpec(name, dtype, shape)


def pairs(wanted: Sequence[TensorSpec], given_: Sequence[TensorSpec], **mapping: str) -> dict[str, tuple[str, str]]:
    return {each.wanted: (each.given, each.how) for each in pair(wanted, given_, mapping).pairs}


@pytest.mark.parametrize(
    "name",
    [
        *("out_0", "output", "output_1", "outputs_0", "Identity", "Identity_1", "StatefulPartitionedCall:0", "495"),
        *("StatefulPartitionedCall_1:2", "PartitionedCall", "args_0", "arg0_1", "serving_default_args_0:0", "input.1"),
        *("serving_default_input_1:0", "arr_0", "onnx::Add_3", "keras_tensor_12", "input_layer_1", "var_123", "x#3"),
        "",
    ],
)
def test_names_that_programs_make_up_say_nothing(name: str) -> None:
    assert says_nothing(name)


@pytest.mark.parametrize(
    "name",
    [
        *(
            "x",
            "y",
            "image",
            "scores",
            "input_ids",
            "serving_default_x:0",
            "dense_3/Softmax",
            "logits:0",
            "in_features",
        ),
        *("TFLite_Detection_PostProcess:1", "output_scores", "identity_loss", "token_type_ids", "variance", "outer"),
    ],
)
def test_names_that_people_give_say_something(name: str) -> None:
    assert not says_nothing(name)


def test_equal_names_pair_in_whatever_order() -> None:
    found = pair([spec("a", 4), spec("b", 4)], [spec("b", 4), spec("a", 4), spec("more", 2)])
    assert [(each.wanted, each.given, each.how, each.certain) for each in found.pairs] == [
        ("a", "a", BY_NAME, True),
        ("b", "b", BY_NAME, True),
    ]
    assert found.spare == ["more"]


def test_what_tensorflow_puts_around_a_name_is_no_part_of_it() -> None:
    wanted = [spec("serving_default_ids:0", 8), spec("serving_default_mask:0", 8)]
    assert pairs(wanted, [spec("mask", 8), spec("ids", 8)]) == {
        "serving_default_ids:0": ("ids", BY_NAME),
        "serving_default_mask:0": ("mask", BY_NAME),
    }


def test_a_name_half_matched_is_no_reason_to_pair_the_rest() -> None:
    """An `.npz` with `attention_mask` and `ids` for a model of `input_ids` and `attention_mask`."""
    wanted = [spec("input_ids", "batch", "seq", dtype="int64"), spec("attention_mask", "batch", "seq", dtype="int64")]
    with pytest.raises(Unsupported) as told:
        pair_all(wanted, [spec("attention_mask", 16, dtype="int64"), spec("ids", 16, dtype="int64")], None, INPUTS)
    for words in (
        "input_ids (int64, batch × seq), attention_mask (int64, batch × seq)",
        "attention_mask (int64, 16), ids (int64, 16)",
        'inputs = { input_ids = "…" }',
        'where … is one of "ids"',
    ):
        assert words in str(told.value)


def test_a_converters_names_in_another_order_are_refused() -> None:
    """tensorflow#33303, #61065: `out_0` and `out_1` are `classes` and `scores`, of one size."""
    wanted = [spec("scores", 1, 6), spec("classes", 1, 6), spec("mask", 1, 2, 4, 4)]
    given_ = [spec("out_0", 1, 6), spec("out_1", 1, 6), spec("out_2", 1, 2, 4, 4)]
    with pytest.raises(Unsupported, match=r'outputs = { scores = "…", classes = "…", mask = "…" }'):
        pair_all(wanted, given_, None, OUTPUTS)
    mapping = {"scores": "out_1", "classes": "out_0", "mask": "out_2"}
    assert pairs(wanted, given_, **mapping) == {name: (of, BY_MAPPING) for name, of in mapping.items()}


def test_names_that_say_nothing_on_one_side_only_are_not_enough() -> None:
    assert not pairs([spec("boxes", 10, 4), spec("scores", 10)], [spec("Identity", 10, 4), spec("Identity_1", 10)])


def test_shapes_pair_where_no_name_says_anything_and_one_way_is_left() -> None:
    wanted = [spec("Identity", 1, 6), spec("Identity_1", 1, 4), spec("Identity_2", "n", 3)]
    given_ = [spec("out_0", 4), spec("out_1", 7, 3), spec("out_2", 1, 6, 1)]
    found = pairs(wanted, given_)
    assert found == {
        "Identity": ("out_2", BY_SHAPE),
        "Identity_1": ("out_0", BY_SHAPE),
        "Identity_2": ("out_1", BY_SHAPE),
    }
    assert not pairs(wanted, [*given_, spec("out_3", 9)])  # one too many: which is over?
    assert not pairs([spec("Identity", 6), spec("Identity_1", "n")], [spec("out_0", 6), spec("out_1", 6)])


def test_equal_names_that_say_nothing_pair_and_are_told_to_be_unsure() -> None:
    """flutter-tflite#176: two of four `StatefulPartitionedCall:N` are of one shape, numbered as a converter liked."""
    names = [f"StatefulPartitionedCall:{number}" for number in (1, 3, 0, 2)]
    shapes = [(1, 10), (1, 10, 4), (1,), (1, 10)]
    theirs = [spec(name, *shape) for name, shape in zip(names, shapes, strict=True)]
    found = pair(theirs, list(reversed(theirs)))
    assert {each.wanted: each.certain for each in found.pairs} == {
        "StatefulPartitionedCall:1": False,
        "StatefulPartitionedCall:3": True,
        "StatefulPartitionedCall:0": True,
        "StatefulPartitionedCall:2": False,
    }


def test_one_tensor_on_each_side_is_the_only_way() -> None:
    assert pairs([spec("image", 1, 8, 8)], [spec("arr_0", 8, 8)]) == {"image": ("arr_0", ONLY_ONE)}
    assert pairs([spec("scores", 10)], [spec("Identity", 10)]) == {"scores": ("Identity", ONLY_ONE)}
    assert not pairs([spec("image", 8)], [spec("x", 8), spec("y", 8)])
    assert not pairs([spec("image", 8), spec("mask", 8)], [spec("x", 8)])


def test_a_mapping_that_names_what_is_not_there_is_refused() -> None:
    for mapping in ({"image": "pictures"}, {"picture": "image"}):
        with pytest.raises(Unsupported, match=r"there is no 'picture.*\(there are: image\)"):
            pair([spec("image", 8)], [spec("image", 8)], mapping)


def test_the_line_to_write_is_toml() -> None:
    import tomllib

    with pytest.raises(Unsupported) as told:
        pair_all([spec('a:"b', 2), spec("c d", 2)], [spec("e", 2), spec("f", 2)], None, OUTPUTS)
    line = str(told.value).partition("the variant: ")[2].partition(", where …")[0]
    assert tomllib.loads(line) == {"outputs": {'a:"b': "…", "c d": "…"}}


SHAPES = st.lists(st.sampled_from((1, 1, 2, 3, 4)), max_size=4)


@given(SHAPES, st.data())
def test_axes_of_one_come_and_go_and_no_other(shape: list[int], data: st.DataObject) -> None:
    other = data.draw(st.permutations(shape))
    bare = [[length for length in each if length != 1] for each in (shape, other)]
    assert same_shape(shape, other) == (bare[0] == bare[1])
    free = [data.draw(st.sampled_from((length, None, "n"))) for length in shape]
    assert same_shape(free, shape)


MADE_UP = ("Identity", "out", "StatefulPartitionedCall:", "output_", "")
NAMES = ("scores", "classes", "mask", "boxes", "x", "ids")


@given(st.data())
def test_whatever_is_renamed_and_reordered_no_pair_is_wrong(data: st.DataObject) -> None:
    """Tensors keep their identity in a list beside them: a pair found for certain joins two of one identity."""
    count = data.draw(st.integers(1, 5))
    shapes = [tuple(data.draw(st.sampled_from(((1, 6), (6,), (4,), (2, 3), (3, 2), (1,))))) for _ in range(count)]
    style = data.draw(st.sampled_from(("said", "made up")))
    chosen = data.draw(st.permutations(NAMES))[:count]
    ours = list(chosen) if style == "said" else [f"out_{number}" for number in range(count)]
    order = data.draw(st.permutations(range(count)))
    renamed = data.draw(st.lists(st.booleans(), min_size=count, max_size=count))
    prefix = data.draw(st.sampled_from(MADE_UP))
    theirs = {
        index: f"{prefix}{place}" if renamed[index] or style == "made up" else ours[index]
        for place, index in enumerate(order)
    }
    if len(set(theirs.values())) < count or (style == "made up" and set(ours) & set(theirs.values())):
        return  # a clash of names: no file has two tensors of one; equal made-up names are tested above
    wanted = [spec(name, *shape) for name, shape in zip(ours, shapes, strict=True)]
    given_ = [spec(theirs[index], *shapes[index]) for index in order]
    identity = {theirs[index]: ours[index] for index in range(count)}
    found = pair(wanted, given_)
    for each in found.pairs:
        assert identity[each.given] == each.wanted or not each.certain
    told = [each.wanted for each in found.pairs]
    assert sorted([*told, *found.missing]) == sorted(ours)
    assert sorted([*(each.given for each in found.pairs), *found.spare]) == sorted(theirs.values())


@given(st.lists(SHAPES.map(tuple), min_size=2, max_size=4), st.data())
def test_shapes_pair_only_where_every_permutation_but_one_fails(
    shapes: list[tuple[int, ...]], data: st.DataObject
) -> None:
    """Against trying every permutation."""
    order = data.draw(st.permutations(range(len(shapes))))
    wanted = [spec(f"out_{number}", *shape) for number, shape in enumerate(shapes)]
    given_ = [spec(f"Identity_{place}", *shapes[index]) for place, index in enumerate(order)]
    ways = [
        way
        for way in itertools.permutations(range(len(shapes)))
        if all(same_shape(wanted[row].shape, given_[column].shape) for row, column in enumerate(way))
    ]
    found = pairs(wanted, given_)
    if len(ways) > 1:
        assert not found
    else:
        assert {name: of for name, (of, _) in found.items()} == {
            f"out_{row}": f"Identity_{column}" for row, column in enumerate(ways[0])
        }
