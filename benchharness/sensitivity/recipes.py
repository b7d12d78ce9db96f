"""Recipes that compress one part of a model alone, and recipes that leave some parts as they are."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import replace

from benchharness.compress import Recipe
from benchharness.compress.parts import Part

_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_.-]+")
#: Characters of a part's name that its variant's name takes: names come from the model's file.
_LONGEST = 40


def alone(recipe: Recipe, parts: Sequence[Part]) -> list[Recipe]:
    """For each part a recipe that compresses it and nothing else."""
    width = len(str(len(parts)))
    return [
        _leaving(
            recipe,
            f"{recipe.name}-only-{number:0{width}}-{_in_a_name(part.name)}",
            [other for other in parts if other is not part],
            f"{recipe.description}; of {part.name} alone",
        )
        for number, part in enumerate(parts, 1)
    ]


def leaving(recipe: Recipe, left: Sequence[Part], parts: Collection[Part]) -> Recipe:
    """The recipe without what it does to some parts; named after how many these are, out of how many."""
    told = ", ".join(part.name for part in left)
    return _leaving(
        recipe, f"{recipe.name}-but-{len(left)}-of-{len(parts)}", left, f"{recipe.description}; but not of {told}"
    )


def _leaving(recipe: Recipe, name: str, left: Sequence[Part], description: str) -> Recipe:
    weights = tuple(weight for part in left for weight in part.weights)
    return replace(recipe, name=name, of=recipe.name, left=weights, description=description, default=False)


def _in_a_name(part: str) -> str:
    return _NOT_IN_NAMES.sub("-", part).strip("-.")[-_LONGEST:].lstrip("-.") or "part"
