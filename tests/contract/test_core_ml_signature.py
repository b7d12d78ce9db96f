"""Which Core ML models are causal language models, and what is said of those that may be or are none."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from targets.core_ml.description import Description, Feature
from targets.core_ml.signature import (
    FLEXIBLE,
    NO_CACHE,
    POSITIONS,
    UNKNOWN_CONTEXT_TOKENS,
    NoLanguageModel,
    StepLengths,
    read_signature,
)

Length = int | tuple[int, int | None]
ANY = (1, 64)


def feature(name: str, dtype: str, *lengths: Length, **fields: Any) -> Feature:
    """A feature whose dimensions are a length or (lowest, highest)."""
    bounds = tuple((length, length) if isinstance(length, int) else length for length in lengths)
    shape = tuple(low if low == high else None for low, high in bounds)
    return Feature(name, dtype, shape, bounds=bounds, **fields)


def describe(inputs: list[Feature], outputs: list[Feature], states: list[Feature]) -> Description:
    return Description("mlProgram", 9, inputs, outputs, states)


def listed(name: str, dtype: str, *shapes: tuple[int, ...]) -> Feature:
    bounds = [(min(lengths), max(lengths)) for lengths in zip(*shapes, strict=True)]
    return replace(feature(name, dtype, *bounds), shapes=shapes)


TOKENS = feature("inputIds", "int32", 1, ANY)
GROWING = feature("causalMask", "float16", 1, 1, ANY, ANY)
POSITION = feature("position_ids", "int32", ANY)
WHOLE = feature("attention_mask", "float16", 1, 1, ANY, 64)
CACHE = [feature(name, "float16", 2, 1, 3, 64, 8) for name in ("keyCache", "valueCache")]
LOGITS = feature("logits", "float16", 1, (1, None), 100)

FLEXIBLE_MODEL = describe([TOKENS, GROWING], [LOGITS], CACHE)
POSITIONS_MODEL = describe([TOKENS, POSITION, WHOLE], [LOGITS], CACHE)


def test_apples_stateful_models() -> None:
    found = read_signature(FLEXIBLE_MODEL)
    assert found.layout == FLEXIBLE
    assert (found.tokens, found.mask, found.positions, found.logits) == ("inputIds", "causalMask", None, "logits")
    assert (found.vocabulary_size, found.context_length, found.context_length_source) == (100, 64, "mask")
    assert found.mask_grows
    assert found.all_logits
    assert found.lengths == StepLengths(1, 64)


def test_models_that_are_told_positions() -> None:
    found = read_signature(POSITIONS_MODEL)
    assert (found.layout, found.positions, found.positions_rank) == (POSITIONS, "position_ids", 1)
    assert not found.mask_grows


@pytest.mark.parametrize("positions", [1, (1, 1)], ids=["rank-1", "rank-2"])
def test_one_token_at_a_time(positions: Any) -> None:
    tokens, mask = feature("ids", "int32", 1, 1), feature("mask", "float32", 1, 1, 1, 64)
    where = feature("pos", "int32", *([positions] if isinstance(positions, int) else positions))
    found = read_signature(describe([tokens, where, mask], [feature("logits", "float32", 1, 1, 100)], CACHE))
    assert found.lengths.only == 1
    assert found.all_logits
    assert found.positions_rank == len(where.shape)


def test_models_without_a_cache() -> None:
    found = read_signature(describe([feature("input_ids", "int32", 1, (1, None))], [LOGITS], []))
    assert (found.layout, found.states) == (NO_CACHE, ())
    assert (found.context_length, found.context_length_source) == (UNKNOWN_CONTEXT_TOKENS, "assumed")
    bounded = read_signature(describe([TOKENS], [LOGITS], []))
    assert (bounded.context_length, bounded.context_length_source) == (64, "tokens")


def test_the_context_is_the_cache_s_where_the_mask_has_no_limit() -> None:
    endless = feature("causalMask", "float16", 1, 1, ANY, (1, None))
    found = read_signature(describe([TOKENS, endless], [LOGITS], CACHE))
    assert (found.context_length, found.context_length_source) == (64, "cache")
    shorter = feature("causalMask", "float16", 1, 1, ANY, (1, 48))
    assert read_signature(describe([TOKENS, shorter], [LOGITS], CACHE)).context_length == 48


def test_a_transposed_key_cache_is_as_long_as_the_mask_says() -> None:
    states = [feature("keyCache", "float16", 2, 3, 8, 64), feature("valueCache", "float16", 2, 3, 64, 8)]
    assert read_signature(describe([TOKENS, GROWING], [LOGITS], states)).context_length == 64


def test_lengths_that_are_listed() -> None:
    tokens = listed("input_ids", "int32", (1, 1), (1, 16), (1, 4))
    mask = listed("mask", "float16", *((1, 1, length, 64) for length in (1, 16, 4)))
    where = listed("position_ids", "int32", (1,), (16,), (4,))
    found = read_signature(describe([tokens, where, mask], [LOGITS], CACHE))
    assert found.lengths == StepLengths(1, 16, (1, 4, 16))
    assert found.pads


LAST = feature("logits", "float16", 1, 1, 100)


@pytest.mark.parametrize(
    ("inputs", "outputs", "states", "reason"),
    [
        ([feature("image", "float32", 1, 3, 8, 8)], [LOGITS], [], "no token ids"),
        ([TOKENS, GROWING], [feature("y", "float16", 1, ANY, 100)], CACHE, "no logits"),
        ([TOKENS, replace(TOKENS, name="token_ids"), GROWING], [LOGITS], CACHE, "several .* token ids: inputIds, tok"),
        ([TOKENS, GROWING, replace(GROWING, name="mask")], [LOGITS], CACHE, "several .* masks: causalMask, mask"),
        ([TOKENS, GROWING, feature("temperature", "float16", 1)], [LOGITS], CACHE, "convention here has: temperature"),
        ([replace(TOKENS, dtype="float32"), GROWING], [LOGITS], CACHE, "not int32 token ids"),
        ([feature("inputIds", "int32", 4, ANY), GROWING], [LOGITS], CACHE, "not int32 token ids"),
        ([TOKENS], [LOGITS], CACHE, "neither positions nor a mask"),
        ([TOKENS, WHOLE], [LOGITS], CACHE, "fixed length"),
        ([TOKENS, feature("mask", "int32", 1, ANY)], [LOGITS], CACHE, "not an additive mask"),
        ([TOKENS, POSITION, feature("mask", "int32", 1, 1, ANY, 64)], [LOGITS], CACHE, "not an additive mask"),
        ([TOKENS, feature("position", "int32", 1), WHOLE], [LOGITS], CACHE, "different lengths"),
        ([TOKENS, replace(POSITION, dtype="float32"), WHOLE], [LOGITS], CACHE, "not int32 positions"),
        ([TOKENS, POSITION, feature("mask", "float16", 1, 1, 1, 64)], [LOGITS], CACHE, "different numbers of tokens"),
        ([TOKENS, feature("mask", "float16", 1, 1, ANY, (16, 64))], [LOGITS], CACHE, "as long as the tokens so far"),
        ([TOKENS, GROWING], [feature("logits", "float16", ANY, 100)], CACHE, "not of shape"),
        ([TOKENS, GROWING], [feature("logits", "float16", 1, ANY, (1, None))], CACHE, "how long the vocabulary"),
        ([TOKENS, GROWING], [feature("logits", "float16", 1, 8, 100)], CACHE, "those of 8 tokens"),
        ([TOKENS, GROWING], [LOGITS], [feature("keyCache", "int32", 2, 1, 3, 64, 8)], "no key/value cache"),
        ([TOKENS, POSITION, WHOLE], [LOGITS], [feature("keyCache", "float16", 1, 48, 8)], "spans 64 .* hold 48"),
        ([TOKENS, POSITION], [LOGITS], [feature("conv", "float16", 1, 64, 8)], "may be no key/value cache: conv"),
        ([TOKENS, POSITION], [LOGITS], [*CACHE, feature("keys", "float16", 1, 48, 8)], "lengths differ"),
        ([TOKENS], [LAST], [], "of the last token only"),
        ([feature("input_ids", "int32", 1, 64)], [feature("logits", "float16", 1, 64, 100)], [], "any length"),
        ([listed("input_ids", "int32", (1, 8), (1, 16))], [LOGITS], [], "any length"),
        ([TOKENS, WHOLE], [LOGITS], [], "no cache, and attention_mask of a fixed length"),
        ([TOKENS, feature("mask", "float16", ANY)], [LOGITS], [], "neither a mask"),
    ],
)
def test_what_is_no_language_model_says_why(
    inputs: list[Feature], outputs: list[Feature], states: list[Feature], reason: str
) -> None:
    with pytest.raises(NoLanguageModel, match=reason):
        read_signature(describe(inputs, outputs, states))


def test_inputs_that_may_be_left_out_are_no_hindrance() -> None:
    inputs = [*FLEXIBLE_MODEL.inputs, feature("temperature", "float16", 1, optional=True)]
    assert read_signature(replace(FLEXIBLE_MODEL, inputs=inputs)).layout == FLEXIBLE


@pytest.mark.parametrize(
    ("lengths", "left", "room", "pads", "chosen"),
    [
        (StepLengths(1, None), 500, 500, False, 500),
        (StepLengths(1, 64), 500, 500, False, 64),
        (StepLengths(1, 1), 500, 500, True, 1),
        (StepLengths(4, 64), 3, 60, True, 4),
        (StepLengths(4, 64), 3, 3, True, None),
        (StepLengths(4, 64), 3, 60, False, None),
        (StepLengths(1, 64, (1, 16, 64)), 40, 100, True, 64),
        (StepLengths(1, 64, (1, 16, 64)), 40, 50, True, 16),
        (StepLengths(1, 64, (1, 16, 64)), 40, 100, False, 16),
        (StepLengths(1, 64, (1, 16, 64)), 64, 64, False, 64),
        (StepLengths(16, 64, (16, 64)), 4, 10, True, None),
    ],
)
def test_the_length_of_a_step(lengths: StepLengths, left: int, room: int, pads: bool, chosen: int | None) -> None:
    assert lengths.choose(left, room, pads=pads) == chosen
