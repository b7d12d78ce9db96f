"""How much hangs on the calibration data: a recipe is made again from halves of it that are drawn by chance."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

from benchharness.compress.calibration import Sample, Text
from benchharness.compress.recipes import Recipe

T = TypeVar("T")


def drawn(recipe: Recipe, draws: int) -> list[Recipe]:
    """The recipe once for each draw, counted from 1."""
    return [
        replace(
            recipe,
            name=f"{recipe.name}-draw-{draw}",
            of=recipe.name,
            draw=draw,
            description=f"{recipe.description}; calibrated on half of the data, draw {draw} of {draws}",
            default=False,
        )
        for draw in range(1, draws + 1)
    ]


def half_of(data: Sequence[Sample] | Text, draw: int) -> Sequence[Sample] | Text:
    """Half of the samples or chunks of text, rounded up, in their order; each draw another, always the same again."""
    if isinstance(data, Text):
        return replace(data, chunks=_half(data.chunks, draw))
    return _half(data, draw)


def _half(items: Sequence[T], draw: int) -> list[T]:
    chosen = random.Random(draw).sample(range(len(items)), (len(items) + 1) // 2)
    return [items[position] for position in sorted(chosen)]
