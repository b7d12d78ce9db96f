"""The parts of a model that can be compressed apart: layers, or blocks of them, told by the names of their weights."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum

from benchharness.errors import Unsupported

#: Up to its first number a name says which block it is of: `model.layers.0.mlp.up_proj.weight` is of `model.layers.0`.
_BLOCK = re.compile(r"^(.*?(?:^|[./_])\d+)(?=[./_])")
#: What exporters call weights that they have folded: such a name says nothing of the layer.
_MADE_UP = re.compile(r"^(onnx::\w+_\d+|\d+|(arith|tfl)\.\w+\d*)$")


class By(StrEnum):
    """How finely a model is taken apart."""

    BLOCK = "block"
    LAYER = "layer"


@dataclass(frozen=True)
class Weight:
    """A stored tensor of floats that a recipe can make smaller.

    `name` is the tensor's own, by which tools are told to leave it; `label` what people call it: the operator's name
    where the tensor's is made up.
    """

    name: str
    label: str
    bytes: int


@dataclass(frozen=True, kw_only=True)
class Part:
    """What is compressed, or left as it is, together."""

    name: str
    weights: tuple[str, ...]  # by their tensors' names
    bytes: int


def telling(tensor: str, operator: str) -> str:
    """The label of a weight: its own name, or that of the operator that takes it where its own is made up."""
    return operator if operator and (not tensor or _MADE_UP.match(tensor)) else tensor


def check_bytes_left(weights: Sequence[Weight], left: Collection[str], floats: int) -> None:
    """Raises `Unsupported` where fewer bytes of floats remain than a tool was told to leave: it has not left all."""
    wanted = sum(weight.bytes for weight in weights if weight.name in left)
    if floats < wanted:
        raise Unsupported(f"the tool did not leave as they are the {wanted} bytes of weights that it was told to leave")


def parts_of(weights: Sequence[Weight], by: By) -> list[Part]:
    """The parts of a model in the order of their first weights; a weight whose name has no number is a part alone."""
    found: dict[str, list[Weight]] = {}
    for weight in weights:
        found.setdefault(_part(weight.label, by), []).append(weight)
    return [
        Part(name=name, weights=tuple(each.name for each in held), bytes=sum(each.bytes for each in held))
        for name, held in found.items()
    ]


def _part(label: str, by: By) -> str:
    block = _BLOCK.match(label) if by is By.BLOCK else None
    return block[1] if block else label
