"""Outputs of a variant with its reference's, which one is meant, and layouts: declared, never guessed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchharness.contract import TensorSpec
from benchharness.device.inputs.layouts import aligned, arranged
from benchharness.device.scenarios.quality.matching import EMBEDDING, SCORES, Matched, meant
from benchharness.errors import Unsupported

RANDOM = np.random.default_rng(0)
SCORES_, CLASSES = RANDOM.random((1, 6)), RANDOM.random((1, 6))
MASK = RANDOM.random((1, 2, 4, 4))
REFERENCE = {"scores": SCORES_, "classes": CLASSES, "mask": MASK}


def specs(**shapes: Any) -> list[TensorSpec]:
    return [TensorSpec(name, "float32", shape) for name, shape in shapes.items()]


def test_a_converter_that_renames_and_reorders_is_refused_until_the_suite_says_which_is_which() -> None:
    variant = {"out_0": CLASSES, "out_1": SCORES_, "out_2": MASK}
    with pytest.raises(Unsupported, match="outputs = "):
        Matched({}, {})(REFERENCE, variant)
    matched = Matched({}, {"outputs": {"scores": "out_1", "classes": "out_0", "mask": "out_2"}})
    for each in matched(REFERENCE, variant):
        np.testing.assert_array_equal(each.reference, each.variant)
    assert matched.facts()["outputs"][0] == ["scores", "out_1", "mapping", True, "scores"]


def test_what_the_suite_calls_an_output_holds_on_both_sides() -> None:
    """A name of the reference's own choice, another for the variant's: both are known as `mask`."""
    matched = Matched({"outputs": {"mask": "495"}}, {"outputs": {"mask": "Identity_1"}})
    (found, other) = matched({"494": SCORES_, "495": MASK}, {"Identity": SCORES_, "Identity_1": MASK})
    assert {found.name, other.name} == {"494", "mask"}
    np.testing.assert_array_equal(other.reference, other.variant)


@pytest.mark.parametrize(
    ("theirs", "ours", "words"),
    [
        ({}, {"outputs": {"scores": "nothing"}}, "this variant has no output 'nothing'"),
        ({"outputs": {"scores": "nothing"}}, {}, "the reference has no output 'nothing'"),
        ({}, {"outputs": {"nothing": "scores"}}, "the reference has no output of that name"),
        ({"outputs": {"scores": "mask"}}, {}, "two outputs of the reference would be known as 'scores'"),
    ],
)
def test_lines_that_name_what_is_not_there_are_refused(theirs: Any, ours: Any, words: str) -> None:
    with pytest.raises(Unsupported, match=words):
        Matched(theirs, ours)(REFERENCE, REFERENCE)


def test_another_layout_is_refused_until_both_are_declared() -> None:
    variant = {**REFERENCE, "mask": MASK.transpose(0, 2, 3, 1)}
    with pytest.raises(Unsupported, match=r"output 'mask' .* declare both layouts"):
        Matched({}, {})(REFERENCE, variant)
    with pytest.raises(Unsupported, match="declared: declare both"):
        Matched({}, {"layouts": {"mask": "NHWC"}})(REFERENCE, variant)
    matched = Matched({"layouts": {"mask": "NCHW"}}, {"layouts": {"mask": "NHWC"}})
    found = {each.name: each for each in matched(REFERENCE, variant)}
    np.testing.assert_array_equal(found["mask"].reference, found["mask"].variant)


def test_outputs_that_only_one_side_has_are_told_and_the_rest_is_compared() -> None:
    matched = Matched({}, {})
    found = matched({"a": SCORES_, "b": MASK}, {"a": SCORES_})
    assert [each.name for each in found] == ["a"]
    assert set(matched.facts()["not_compared"]) == {"b"}
    matched = Matched({}, {})
    matched({"a": SCORES_}, {"a": SCORES_, "hidden": MASK, "words": np.array(["x"])})
    assert set(matched.facts()["not_compared"]) == {"hidden", "words"}


def test_the_output_that_is_meant_comes_first_and_the_others_after_it() -> None:
    """A classifier with a larger embedding: the largest output is not the scores."""
    reference = {"embedding": np.ones((1, 64)), "logits": SCORES_}
    matched = Matched({}, {}, SCORES)
    assert [each.name for each in matched(reference, {**reference, "logits": CLASSES})] == ["logits", "embedding"]
    assert matched.meant == "logits"
    # What is not meant does not stop the figures of what is.
    matched = Matched({}, {}, SCORES)
    assert [each.name for each in matched(reference, {"logits": SCORES_, "embedding": np.ones((1, 63))})] == ["logits"]
    assert "embedding" in matched.facts()["not_compared"]
    with pytest.raises(Unsupported, match="output 'logits' has the shape"):
        Matched({}, {}, SCORES)(reference, {**reference, "logits": np.ones((1, 7))})
    with pytest.raises(Unsupported, match="nothing is given for logits"):
        Matched({}, {}, SCORES)(reference, {"embedding": np.ones((1, 64))})


def test_so_many_outputs_beside_the_one_that_is_meant_are_enough() -> None:
    outputs = {"logits": SCORES_, **{f"hidden_{layer}": SCORES_ for layer in range(40)}}
    matched = Matched({}, {}, SCORES)
    assert len(matched(outputs, outputs)) == 33
    assert len(matched.facts()["not_compared"]) == 8


@pytest.mark.parametrize(
    ("outputs", "role", "most_label", "expected"),
    [
        (specs(logits=(1, 10), embedding=(1, 64)), SCORES, 9, "logits"),
        (specs(scores=(1, 10), logits=(1, 10)), SCORES, 9, "scores"),  # as the suite calls it
        (specs(out_0=(1, 10), out_1=(1, 8)), SCORES, 9, "out_0"),  # no other has a score for label 9
        (specs(out_0=(1, 10, 1, 1), out_1=(1, 12, 64)), SCORES, 9, "out_0"),  # no other is one row
        (specs(anything=(1, 10)), SCORES, -1, "anything"),
        (specs(token_embeddings=(1, 16, 384), sentence_embedding=(1, 384)), EMBEDDING, -1, "sentence_embedding"),
        (specs(last_hidden_state=(1, 16, 384)), EMBEDDING, -1, "last_hidden_state"),
        ([*specs(out_0=(1, 10)), TensorSpec("out_1", "str", (1,))], SCORES, -1, "out_0"),
        ([*specs(vector=(1, 10)), TensorSpec("ids", "int64", (1, 99))], EMBEDDING, -1, "vector"),
    ],
)
def test_the_output_that_is_meant_is_known(outputs: Any, role: str, most_label: int, expected: str) -> None:
    assert meant(outputs, role, most_label) == expected
    assert meant(list(reversed(outputs)), role, most_label) == expected


@pytest.mark.parametrize(
    ("outputs", "role", "words"),
    [
        (specs(out_0=(1, 10), out_1=(1, 64)), SCORES, 'write outputs = { scores = "…" }'),
        (specs(logits=(1, 10), probabilities=(1, 10)), SCORES, "logits (float32, 1 × 10), probabilities (float32"),
        # sentence-transformers#2245: which of two is the embedding?
        (specs(output_0=(1, 16, 384), output_1=(1, 384)), EMBEDDING, 'write outputs = { embedding = "…" }'),
        (specs(last_hidden_state=(1, 16, 384), pooler_output=(1, 384)), EMBEDDING, "is not known"),
        (specs(boxes=(1, 10, 4)), SCORES, "no output holds a score for each class"),
        (specs(one=(1, 1)), EMBEDDING, "no output is one vector"),
    ],
)
def test_else_it_is_refused_with_the_list(outputs: Any, role: str, words: str) -> None:
    with pytest.raises(Unsupported) as told:
        meant(outputs, role)
    assert words in str(told.value)


@given(st.permutations(list(REFERENCE)), st.data())
def test_an_exact_copy_is_never_noisy(order: list[str], data: st.DataObject) -> None:
    """Reordered, renamed, turned: either the same numbers are compared, or it is refused."""
    names = {name: data.draw(st.sampled_from((name, f"Identity_{place}"))) for place, name in enumerate(order)}
    turn = data.draw(st.permutations(range(4)))
    declared = data.draw(st.booleans())
    variant = {names[name]: REFERENCE[name].transpose(turn) if name == "mask" else REFERENCE[name] for name in order}
    letters = "".join("NCHW"[axis] for axis in turn)
    layouts = ({"layouts": {"mask": "NCHW"}}, {"layouts": {names["mask"]: letters}}) if declared else ({}, {})
    try:
        found = Matched(*layouts)(REFERENCE, variant)
    except Unsupported:
        assert [names[name] for name in order] != order or list(turn) != [0, 1, 2, 3]
        return
    same = {each.name: np.array_equal(each.reference, each.variant) for each in found}
    # H and W are both 4: nobody can see that they are turned, unless it is declared.
    unseen = not declared and [length for length in MASK.transpose(turn).shape if length > 1] == [2, 4, 4]
    assert all(same[name] for name in REFERENCE if name != "mask" or not unseen)


IMAGE = TensorSpec("image", "float32", ("batch", 4, 5, 3))


def test_a_sample_is_turned_where_both_layouts_are_declared_and_only_there() -> None:
    sample = RANDOM.random((3, 4, 5))
    with pytest.raises(Unsupported) as told:
        arranged(sample, IMAGE, array_name="pictures", given=None, wanted=None)
    assert 'data_layouts = { pictures = "…" } and layouts = { image = "…" }' in str(told.value)
    for given_, wanted in (("NCHW", None), (None, "NHWC")):
        with pytest.raises(Unsupported, match="declare both"):
            arranged(sample, IMAGE, array_name="pictures", given=given_, wanted=wanted)
    for given_ in ("NCHW", "CHW"):
        found = arranged(sample, IMAGE, array_name="pictures", given=given_, wanted="NHWC")
        np.testing.assert_array_equal(found, sample.transpose(1, 2, 0)[None])
    for given_ in ("NCHWD", "CH", "NCHV"):
        with pytest.raises(Unsupported, match="axes"):
            arranged(sample, IMAGE, array_name="pictures", given=given_, wanted="NHWC")


def test_axes_of_one_come_and_go() -> None:
    sample = RANDOM.random((1, 8, 8))
    channels_last = TensorSpec("image", "float32", (1, 8, 8, 1))
    found = arranged(sample, channels_last, array_name="image", given=None, wanted=None)
    np.testing.assert_array_equal(found, sample.reshape(1, 8, 8, 1))
    np.testing.assert_array_equal(
        aligned(np.arange(10)[:, None, None], np.zeros((1, 10)), name="y", given=None, wanted=None), [np.arange(10)]
    )
    with pytest.raises(Unsupported):
        aligned(np.zeros((2, 5)), np.zeros((1, 10)), name="y", given=None, wanted=None)
