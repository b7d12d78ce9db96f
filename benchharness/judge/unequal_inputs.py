"""Whether what went into two models was the same work: shapes, types, and what was made up. Pure."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from benchharness.results.told import Effective

#: Longer texts of a device are cut in a cell.
_LONGEST = 80
_MOST_INPUTS = 4


def shapes(this: Effective, other: Effective) -> Iterator[str]:
    """Shapes. Quantized variants may take other types, and runtimes other names and orders of axes."""
    ours, theirs = _shapes(this), _shapes(other)
    if ours is None or theirs is None:
        return
    if ours.keys() == theirs.keys():
        apart = [name for name in ours if not _alike(ours[name], theirs[name])]
        for name in apart[:_MOST_INPUTS]:
            yield f"input {shortened(name)} {_shape(ours[name])} against {_shape(theirs[name])}"
        return
    left, right = dict(ours), dict(theirs)
    for alike in (_same, _alike):
        for name in list(left):
            match = next((other for other in right if alike(ours[name], theirs[other])), None)
            if match is not None:
                del left[name], right[match]
    if left or right:
        yield f"inputs {_list_of(left)} against {_list_of(right)}"


def types(this: Effective, other: Effective) -> Iterator[str]:
    """One artefact takes one type, wherever it runs."""
    ours, theirs = (side.inputs or {} for side in (this, other))
    for name in ours.keys() & theirs.keys():
        kinds = [
            entry[0] if isinstance(entry, list | tuple) and entry else None for entry in (ours[name], theirs[name])
        ]
        if kinds[0] != kinds[1]:
            yield f"input {shortened(name)} of {shortened(kinds[0])} against {shortened(kinds[1])}"


def invented(this: Effective, other: Effective) -> Iterator[str]:
    """What the harness filled inputs with that nobody gave. Old results do not tell."""
    ours, theirs = (side.invented_inputs for side in (this, other))
    if ours is None or theirs is None:
        return
    if ours.keys() != theirs.keys() and not ours.keys() & theirs.keys():
        # Other names: what was made up has to be alike as a whole.
        if Counter(map(_made, ours.values())) != Counter(map(_made, theirs.values())):
            yield "inputs made up differently"
        return
    for name in dict.fromkeys((*ours, *theirs)):
        if _made(ours.get(name)) != _made(theirs.get(name)):
            yield f"input {shortened(name)} made up as {_made(ours.get(name))} against {_made(theirs.get(name))}"


def _made(value: Any) -> str:
    """What an input holds. By which rule it was made up is no part of the work: a quantized one is by another."""
    if value is None:
        return "nothing"
    return shortened(value.get("value", value)) if isinstance(value, Mapping) else shortened(value)


def _shapes(side: Effective) -> dict[str, tuple[Any, ...]] | None:
    """Lengths by input; None where the result does not tell, as those of language models."""
    told = side.inputs
    if told is None:
        return None
    return {
        str(name): tuple(entry[1:]) if isinstance(entry, list | tuple) else (str(entry),)
        for name, entry in told.items()
    }


def _same(one: tuple[Any, ...], other: tuple[Any, ...]) -> bool:
    return one == other


def _alike(one: tuple[Any, ...], other: tuple[Any, ...]) -> bool:
    """The same lengths, or the same behind the first axis in another order: channels stand first or last."""
    if len(one) != len(other) or len(one) < 3:
        return one == other
    return one[0] == other[0] and sorted(map(str, one[1:])) == sorted(map(str, other[1:]))


def _shape(lengths: Sequence[Any]) -> str:
    return "×".join(shortened(length) for length in lengths) or "scalar"


def _list_of(shapes: Mapping[str, Sequence[Any]]) -> str:
    more = f" and {len(shapes) - _MOST_INPUTS} more" if len(shapes) > _MOST_INPUTS else ""
    told = (f"{shortened(name)} {_shape(shape)}" for name, shape in list(shapes.items())[:_MOST_INPUTS])
    return (", ".join(told) or "none") + more


def shortened(value: Any) -> str:
    """A device's word or number as it stands in a cell."""
    told = value if isinstance(value, str) else json.dumps(value, sort_keys=True, default=str)
    return told if len(told) <= _LONGEST else f"{told[:_LONGEST]}…"
