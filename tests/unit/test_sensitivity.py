"""Parts of a model, their ranking, and the search for the fewest that have to stay as they are. No tool runs."""

from __future__ import annotations

import random
from math import log10

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchharness.compress import RECIPES
from benchharness.compress.calibration import Text
from benchharness.compress.draws import drawn, half_of
from benchharness.compress.parts import By, Part, Weight, parts_of, telling
from benchharness.results.result import Estimate
from benchharness.sensitivity.hurts import Hurt, harm, ranked
from benchharness.sensitivity.mixing import fewest, order_of_leaving
from benchharness.sensitivity.recipes import alone, leaving
from benchharness.sensitivity.relation import Relation, relation


def weights(*names: str) -> list[Weight]:
    return [Weight(name, name, 100) for name in names]


def part(name: str) -> Part:
    return Part(name=name, weights=(f"{name}.weight",), bytes=100)


def hurt(name: str, loss: float | None, half: float = 0.0, saved: int = 100) -> Hurt:
    low, high = (None, None) if loss is None else (loss - half, loss + half)
    estimate = Estimate(value=loss, low=low, high=high)
    return Hurt(part=part(name), variant=f"only-{name}", saved=saved, loss=estimate)


@pytest.mark.parametrize(
    ("names", "by", "parts"),
    [
        (
            ("model.layers.0.q.weight", "model.layers.0.up.weight", "model.layers.10.q.weight", "lm_head.weight"),
            By.BLOCK,
            ["model.layers.0", "model.layers.10", "lm_head.weight"],
        ),
        (("blk.0.attn_q.weight", "blk.0.ffn_up.weight", "token_embd.weight"), By.BLOCK, ["blk.0", "token_embd.weight"]),
        (("/encoder/layer.3/q/MatMul", "/encoder/layer.3/k/MatMul"), By.BLOCK, ["/encoder/layer.3"]),
        (("0.weight", "2.weight"), By.BLOCK, ["0", "2"]),
        (("conv1_weight", "fc2"), By.BLOCK, ["conv1_weight", "fc2"]),  # a number within a word cuts nothing
        (("model.layers.0.q", "model.layers.0.k"), By.LAYER, ["model.layers.0.q", "model.layers.0.k"]),
    ],
)
def test_a_name_up_to_its_first_number_is_its_block(names: tuple[str, ...], by: By, parts: list[str]) -> None:
    found = parts_of(weights(*names), by)
    assert [each.name for each in found] == parts
    assert sorted(name for each in found for name in each.weights) == sorted(names), "no weight is lost or twice"
    assert sum(each.bytes for each in found) == 100 * len(names)


@pytest.mark.parametrize(
    ("tensor", "operator", "label"),
    [
        ("onnx::MatMul_1234", "/layers.0/q/MatMul", "/layers.0/q/MatMul"),
        ("onnx::MatMul_1234", "", "onnx::MatMul_1234"),
        ("layers.0.q.weight", "node_7", "layers.0.q.weight"),
        ("arith.constant12", "layer_3/matmul", "layer_3/matmul"),
    ],
)
def test_a_weight_with_a_made_up_name_is_called_after_its_operator(tensor: str, operator: str, label: str) -> None:
    assert telling(tensor, operator) == label


def test_recipes_leave_all_other_parts_and_their_names_are_names_of_folders() -> None:
    parts = [part("a"), part("../../etc/passwd"), part("  \x1b[31m" + "x" * 300)]
    made = alone(RECIPES["onnx-int8-dynamic"], parts)
    assert [recipe.left for recipe in made] == [
        tuple(weight for other in parts if other is not each for weight in other.weights) for each in parts
    ]
    assert [recipe.name for recipe in made][:2] == ["onnx-int8-dynamic-only-1-a", "onnx-int8-dynamic-only-2-etc-passwd"]
    assert all(len(recipe.name) < 80 and "/" not in recipe.name and recipe.name.isprintable() for recipe in made)
    assert {recipe.of for recipe in made} == {"onnx-int8-dynamic"}
    assert leaving(RECIPES["onnx-int8-dynamic"], parts[:1], parts).told["left"] == ["a.weight"]
    assert "left" not in RECIPES["onnx-int8-dynamic"].told, "the record of a recipe of the table is as it was"


def test_the_worst_stands_first_and_what_overlaps_is_not_told_apart() -> None:
    found = ranked([hurt("a", 0.01, 0.002), hurt("none", None), hurt("b", 0.5, 0.1), hurt("c", 0.011, 0.002)], "kld")
    assert [each.part.name for each in found] == ["b", "c", "a", "none"]
    assert [each.alike for each in found] == [False, False, True, False]


def test_a_figure_without_an_interval_is_told_apart_from_nothing() -> None:
    one = Hurt(part=part("a"), variant="a", saved=1, loss=Estimate(value=9.0))
    assert [each.alike for each in ranked([one, hurt("b", 0.1, 0.01)], "kld")] == [False, True]


def test_more_decibels_are_less_harm_and_noise_adds_up() -> None:
    assert [each.part.name for each in ranked([hurt("a", 60.0), hurt("b", 20.0)], "sqnr")] == ["b", "a"]
    assert harm("sqnr", -10 * log10(harm("sqnr", 30.0) + harm("sqnr", 30.0))) == pytest.approx(2e-3)
    assert [each.part.name for each in ranked([hurt("a", 0.99), hurt("b", 0.2)], "agreement")] == ["b", "a"]


def test_what_costs_most_a_byte_is_left_first_and_what_saves_nothing_before_all() -> None:
    dear, cheap, useless = hurt("dear", 0.2, saved=100), hurt("cheap", 0.3, saved=1000), hurt("useless", 0.01, saved=0)
    order = order_of_leaving([cheap, dear, useless, hurt("unknown", None)], "kld")
    assert [each.name for each in order] == ["useless", "dear", "cheap"]


@given(st.integers(0, 300), st.integers(0, 301))
def test_the_fewest_that_keep_are_found_by_halving_and_each_answer_was_tried(most: int, needed: int) -> None:
    tried: list[int] = []

    def keeps(count: int) -> bool:
        tried.append(count)
        return count >= needed

    found = fewest(most, keeps)
    expected = max(needed, 1) if most >= 1 and needed <= most else None
    assert found == expected
    assert found is None or found in tried
    assert len(tried) <= 11


def test_halving_where_quality_does_not_only_improve_returns_what_was_seen_to_keep() -> None:
    chance = random.Random(4)
    for _ in range(200):
        answers = [chance.random() < 0.5 for _ in range(20)]
        found = fewest(20, [False, *answers].__getitem__)
        assert found is None or answers[found - 1]


def test_halves_are_others_in_each_draw_and_the_same_again() -> None:
    samples = [{"x": np.full(1, number)} for number in range(9)]
    halves = [half_of(samples, draw) for draw in (1, 2, 1)]
    assert all(isinstance(half, list) for half in halves)
    numbers = [[int(each["x"][0]) for each in half] for half in halves if isinstance(half, list)]
    assert numbers[0] == numbers[2] != numbers[1]
    assert [len(each) for each in numbers] == [5, 5, 5]
    assert all(each == sorted(each) for each in numbers)


def test_text_is_halved_by_its_chunks() -> None:
    text = Text(chunks=[[number] for number in range(10)], lines=[], characters=10, of_characters=10)
    half = half_of(text, 3)
    assert isinstance(half, Text)
    assert len(half.chunks) == 5


def test_draws_are_recipes_of_their_own_with_a_record_that_says_so() -> None:
    made = drawn(RECIPES["onnx-int8-static"], 3)
    assert [each.name for each in made] == [f"onnx-int8-static-draw-{draw}" for draw in (1, 2, 3)]
    assert [each.told["draw"] for each in made] == [1, 2, 3]
    assert "draw" not in RECIPES["onnx-int8-static"].told


def test_the_relation_is_the_one_that_a_least_squares_solver_finds_and_covers_a_planted_slope() -> None:
    chance = np.random.default_rng(3)
    covered = 0
    for _ in range(400):
        x = chance.uniform(0.05, 0.1, 8)
        y = 0.5 * x + chance.normal(0, 0.004, 8)
        found = relation(list(x), list(y))
        assert isinstance(found, Relation)
        assert found.slope == pytest.approx(np.linalg.lstsq(x[:, None], y, rcond=None)[0][0])
        covered += found.low <= 0.5 <= found.high
    assert 0.92 <= covered / 400 <= 0.98


@pytest.mark.parametrize(
    ("divergences", "why"),
    [
        ([0.1, 0.2, 0.3], "it takes 4 variants, and there are 3"),
        ([0.0] * 5, "carry the line alone"),
        ([0.00003, 0.0001, 0.0002, 0.5], "carry the line alone"),
    ],
)
def test_where_no_relation_can_be_told_it_says_why(divergences: list[float], why: str) -> None:
    found = relation(divergences, [each / 2 for each in divergences])
    assert isinstance(found, str)
    assert why in found
