"""Which tensor is which: arrays of a data file with a model's inputs, a reference's outputs with a variant's.

Tensors go by name. A mapping in the suite comes first; then names that are equal, whole or without what TensorFlow's
converters put around a name (`serving_default_image:0` is `image`). What is left is paired without its name in two
cases only: where there is one tensor on each side and nothing else, so that one way is left; and where no name on
either side says anything and the shapes leave exactly one way. Everything else is refused with both lists and the line
to write. Pure: no file is read and no model is run here.

A name says nothing where a converter or a program made it up: a number, or one of the words below with or without
numbers behind it. A name that a person gave says something even where it is short (`x`), and so do a TFLite signature's
names unless they are made up themselves (`output_0`). Such names may be equal on both sides by chance: they are paired,
and `Pair.certain` is false where the shapes would allow another way.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchharness.contract import TensorSpec
from benchharness.errors import Unsupported

#: How a pair was found.
BY_MAPPING, BY_NAME, BY_SHAPE, ONLY_ONE = "mapping", "name", "shape", "only one"

#: Words that exporters number: numpy, torch, TensorFlow, Keras, Core ML tools, JAX.
_PLACEHOLDERS = (
    "args?|arr|array|in|input|inputs|input_layer|out|output|outputs|identity|keras_tensor|kwargs|"
    "partitionedcall|placeholder|result|results|statefulpartitionedcall|tensor|unknown|var|variable"
)
_SAYS_NOTHING = re.compile(rf"({_PLACEHOLDERS})?([._]?\d+)*|onnx::[A-Za-z]+(_\d+)*|.*#\d+", re.IGNORECASE)
_AROUND = re.compile(r"^(?:serving_default_)?(.*?)(?::0)?$", re.DOTALL)
_NUMBER = re.compile(r":\d+$")
_BARE = re.compile(r"[A-Za-z0-9_-]+")
#: No more ways than these are looked for: whether there is a second one is all that matters.
_TWO = 2
#: Tensors without a telling name, at most: more are told apart by nobody.
_MOST_NAMELESS = 64
_MOST_LISTED = 24


@dataclass(frozen=True)
class Pair:
    """A tensor that is wanted, and the one that is given for it."""

    wanted: str
    given: str
    how: str  # one of the words above
    certain: bool = True  # False: by names that say nothing, where shapes allow another way


@dataclass(frozen=True)
class Pairing:
    """Pairs in the order of what is wanted, and what has no partner on either side."""

    pairs: Sequence[Pair]
    missing: Sequence[str] = ()  # wanted, and nothing is given for it
    spare: Sequence[str] = ()  # given, and nobody wants it

    def facts(self) -> list[list[Any]]:
        """[wanted, given, how, certain] of each pair, JSON values."""
        return [[pair.wanted, pair.given, pair.how, pair.certain] for pair in self.pairs]


@dataclass(frozen=True)
class Sides:
    """What the two lists are called where they are refused, and which key of the suite pairs them by hand."""

    wanted: str
    given: str
    key: str  # "inputs" or "outputs"


INPUTS = Sides("the model's inputs", "the data's arrays (one sample)", "inputs")
OUTPUTS = Sides("the reference's outputs", "this variant's outputs", "outputs")


def says_nothing(name: str) -> bool:
    """Whether a name was made up by a program, and so tells nothing about a tensor."""
    return _SAYS_NOTHING.fullmatch(_NUMBER.sub("", _core(name))) is not None


def pair(
    wanted: Sequence[TensorSpec], given: Sequence[TensorSpec], mapping: Mapping[str, str] | None = None
) -> Pairing:
    """Pairs what can be paired for certain; the rest is told as missing and spare. `mapping` is wanted -> given.

    Raises `Unsupported` for a mapping that names what is not there.
    """
    there = {spec.name: spec for spec in given}
    found = {name: Pair(name, other, BY_MAPPING) for name, other in _checked(mapping or {}, wanted, there).items()}
    _by_name(found, wanted, given)
    left = [spec for spec in wanted if spec.name not in found]
    over = _unused(found, given)
    if left and over and len(left) == len(over):
        _without_names(found, left, over, alone=not found)
    return Pairing(
        pairs=[found[spec.name] for spec in wanted if spec.name in found],
        missing=[spec.name for spec in wanted if spec.name not in found],
        spare=[spec.name for spec in _unused(found, given)],
    )


def pair_all(
    wanted: Sequence[TensorSpec],
    given: Sequence[TensorSpec],
    mapping: Mapping[str, str] | None = None,
    sides: Sides = INPUTS,
) -> Pairing:
    """As `pair`, and nothing that is wanted may be missing. Raises `Unsupported` with both lists and the line to write.

    What is spare is in the answer: a data file may hold more than a model takes.
    """
    found = pair(wanted, given, mapping)
    if found.missing:
        raise Unsupported(refusal(wanted, given, found, sides))
    return found


def refusal(wanted: Sequence[TensorSpec], given: Sequence[TensorSpec], found: Pairing, sides: Sides) -> str:
    """Why two lists cannot be paired: both side by side, and the line to write in the suite."""
    missing = ", ".join(found.missing[:_MOST_LISTED])
    what = f"nothing is given for {missing}" if not found.spare else f"which is meant for {missing} is not known"
    line = {pair.wanted: pair.given for pair in found.pairs if pair.how != BY_NAME}
    return (
        f"{what}: {sides.wanted} are {listed(wanted)}; {sides.given} are {listed(given)}. Names that are equal are "
        f"paired; say the rest in the suite, under the model or the variant: "
        f"{toml_line(sides.key, {**line, **dict.fromkeys(found.missing, '…')})}, where … is one of "
        f"{', '.join(map(_quoted, found.spare[:_MOST_LISTED])) or 'those given'}"
    )


def listed(specs: Sequence[TensorSpec]) -> str:
    """`ids (int64, 1 × 16), mask (int64, 1 × ?)`."""
    shown = ", ".join(f"{spec.name} ({spec.dtype}, {shown_shape(spec.shape)})" for spec in specs[:_MOST_LISTED])
    more = len(specs) - _MOST_LISTED
    return (f"{shown} and {more} more" if more > 0 else shown) or "none"


def shown_shape(shape: Sequence[Any]) -> str:
    """`1 × 16`, with `?` for a length that is not known."""
    return " × ".join("?" if length is None else str(length) for length in shape) or "one number"


def toml_line(key: str, table: Mapping[str, str]) -> str:
    """`inputs = { ids = "tokens" }`, as a suite is written."""
    entries = (f"{name if _BARE.fullmatch(name) else _quoted(name)} = {_quoted(of)}" for name, of in table.items())
    return f"{key} = {{ {', '.join(entries)} }}"


def same_shape(one: Sequence[Any], other: Sequence[Any]) -> bool:
    """Whether two shapes may be of the same numbers in the same order: equal but for axes of length 1.

    A length that is not known may be any, 1 included.
    """
    return _alike([_length(each) for each in one], [_length(each) for each in other])


def _alike(one: list[int | None], other: list[int | None]) -> bool:
    """By the table of how much of both is used: an axis of 1 on one side stands for nothing on the other."""
    reached = {(0, 0)}
    for row in range(len(one) + 1):
        for column in range(len(other) + 1):
            if (row, column) not in reached:
                continue
            if row < len(one) and one[row] in (1, None):
                reached.add((row + 1, column))
            if column < len(other) and other[column] in (1, None):
                reached.add((row, column + 1))
            if row < len(one) and column < len(other) and _equal(one[row], other[column]):
                reached.add((row + 1, column + 1))
    return (len(one), len(other)) in reached


def _equal(one: int | None, other: int | None) -> bool:
    return one is None or other is None or one == other


def _length(given: Any) -> int | None:
    """A fixed length, or None for one that is named, unknown or below 1, as adapters tell free ones."""
    return given if isinstance(given, int) and not isinstance(given, bool) and given >= 0 else None


def _checked(
    mapping: Mapping[str, str], wanted: Sequence[TensorSpec], there: Mapping[str, TensorSpec]
) -> Mapping[str, str]:
    names = [spec.name for spec in wanted]
    for name, other in mapping.items():
        for each, known in ((name, names), (other, list(there))):
            if each not in known:
                raise Unsupported(
                    f"the suite pairs {name!r} with {other!r}, and there is no {each!r} "
                    f"(there are: {', '.join(known[:_MOST_LISTED])})"
                )
    return mapping


def _by_name(found: dict[str, Pair], wanted: Sequence[TensorSpec], given: Sequence[TensorSpec]) -> None:
    """Equal names, whole and then without their wrapping where only one on each side has that core."""
    for key in (_whole, _core):
        left = _once([spec for spec in wanted if spec.name not in found], key)
        over = _once(_unused(found, given), key)
        for name, spec in left.items():
            if name in over:
                sure = not says_nothing(spec.name) or _stands_out(spec, wanted, over[name], given)
                found[spec.name] = Pair(spec.name, over[name].name, BY_NAME, sure)


def _whole(name: str) -> str:
    return name


def _core(name: str) -> str:
    """A name without `serving_default_` before it and `:0` behind it."""
    matched = _AROUND.match(name)
    return (matched.group(1) if matched else "") or name


def _once(specs: Sequence[TensorSpec], key: Any) -> dict[str, TensorSpec]:
    keys = [key(spec.name) for spec in specs]
    return {name: spec for name, spec in zip(keys, specs) if keys.count(name) == 1}


def _unused(found: Mapping[str, Pair], given: Sequence[TensorSpec]) -> list[TensorSpec]:
    used = {each.given for each in found.values()}
    return [spec for spec in given if spec.name not in used]


def _stands_out(one: TensorSpec, wanted: Sequence[TensorSpec], other: TensorSpec, given: Sequence[TensorSpec]) -> bool:
    """Whether shapes alone would pair two tensors: nothing else without a telling name fits either of them."""
    rivals = [spec for spec in given if spec is not other and says_nothing(spec.name) and _fits(one, spec)]
    return not rivals and not any(spec is not one and says_nothing(spec.name) and _fits(spec, other) for spec in wanted)


def _without_names(
    found: dict[str, Pair], left: Sequence[TensorSpec], over: Sequence[TensorSpec], *, alone: bool
) -> None:
    if alone and len(left) == 1:
        found[left[0].name] = Pair(left[0].name, over[0].name, ONLY_ONE)
        return
    if len(left) > _MOST_NAMELESS or not all(says_nothing(spec.name) for spec in (*left, *over)):
        return
    if _ways(left, over) == 1:
        for one, other in zip(left, _way(left, over)):
            found[one.name] = Pair(one.name, other.name, BY_SHAPE)


def _fits(one: TensorSpec, other: TensorSpec) -> bool:
    """Whether two tensors may be the same. Types tell little (a class may be a float): only text is never a number."""
    return (one.dtype == "str") == (other.dtype == "str") and same_shape(one.shape, other.shape)


def _ways(left: Sequence[TensorSpec], over: Sequence[TensorSpec]) -> int:
    """How many ways there are to give each of `left` one of `over`: none, one, or two for more."""
    first = _way(left, over)
    if not first:
        return 0
    # A second way gives at least one tensor another partner: it is looked for without each pair of the first.
    second = any(_way(left, over, without=(position, over.index(other))) for position, other in enumerate(first))
    return _TWO if second else 1


def _way(
    left: Sequence[TensorSpec], over: Sequence[TensorSpec], without: tuple[int, int] | None = None
) -> list[TensorSpec]:
    """One way to give each of `left` one of `over`, by augmenting paths; empty where there is none."""
    taken: dict[int, int] = {}  # of `over`, by whom of `left`
    choices = [
        [column for column, other in enumerate(over) if (row, column) != without and _fits(one, other)]
        for row, one in enumerate(left)
    ]

    def give(row: int, seen: set[int]) -> bool:
        for column in choices[row]:
            if column not in seen:
                seen.add(column)
                if column not in taken or give(taken[column], seen):
                    taken[column] = row
                    return True
        return False

    if not all(give(row, set()) for row in range(len(left))):
        return []
    return [over[column] for column in _sorted_by_row(taken)]


def _sorted_by_row(taken: Mapping[int, int]) -> Iterator[int]:
    return iter(sorted(taken, key=lambda column: taken[column]))


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
