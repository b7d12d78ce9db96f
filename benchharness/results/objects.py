"""JSON objects with typed fields. One pair of reader and writer serves every class of them.

What a store or a device says is not trusted: a field holds only what is of its type. Everything else is kept beside
the fields, so that an object is written as it was read, byte for byte, whatever version wrote it.
"""

from __future__ import annotations

import types
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields
from functools import cache
from typing import Any, Self, Union, get_args, get_origin, get_type_hints


@dataclass(frozen=True, kw_only=True, eq=False)
class JsonObject:
    """A frozen JSON object. Every field of a subclass has a default, which it has too where its key is absent.

    Two are equal where they are written alike, whatever the order of their keys.
    """

    others: Mapping[str, Any] = field(default_factory=dict)  # keys that no field is for, and values of other types
    order: Sequence[str] = ()  # the keys as they were read: these are written, and what was set since

    @classmethod
    def from_json(cls, found: Mapping[str, Any] | Self) -> Self:
        """The object that was read; what is not as expected is kept among the `others`.

        Raises `TypeError` for what is no object at all.
        """
        if isinstance(found, cls):
            return found
        if not isinstance(found, Mapping):
            raise TypeError(f"an object was expected instead of {str(found)[:60]!r}")
        known = _fields(cls).kinds
        read = {
            name: made
            for name, value in found.items()
            if name in known and (made := _read(value, known[name])) is not _NOT
        }
        others = {key: value for key, value in found.items() if key not in read}
        return cls(**read, others=others, order=tuple(found))

    def to_json(self) -> dict[str, Any]:
        """What is stored and exported: the keys that were read, in their order, and fields that were set since."""
        said = [name for name, default in _fields(type(self)).defaults.items() if getattr(self, name) != default]
        others = {key: value for key, value in self.others.items() if key not in said}
        keys = dict.fromkeys((*self.order, *said, *others))
        return {key: others[key] if key in others else written(getattr(self, key)) for key in keys}

    def __bool__(self) -> bool:
        """Whether it says anything."""
        return bool(self.to_json())

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        assert isinstance(other, JsonObject)
        return self.to_json() == other.to_json()

    def __hash__(self) -> int:
        return hash(frozenset(self.to_json()))  # of its keys: what they hold may have no hash


_NOT = object()


def _read(value: Any, kinds: Sequence[Any]) -> Any:
    """The value of a field as its type has it; `_NOT` where it is of another type."""
    for kind in kinds:
        if isinstance(kind, type) and issubclass(kind, JsonObject):
            if isinstance(value, Mapping | kind):
                return kind.from_json(value)
        elif _is_of(value, kind):
            return value
    return _NOT


def _is_of(value: Any, kind: Any) -> bool:
    """Whether a value of JSON is of a type, as JSON tells them apart: true is no number, 1 is no fraction."""
    if kind is Any:
        return True
    origin, inside = _parts(kind)
    if origin is Mapping:
        return isinstance(value, Mapping) and all(_is_of(each, inside) for each in value.values())
    if origin is Sequence:
        return isinstance(value, list | tuple) and all(_is_of(each, inside) for each in value)
    return type(value) is origin


@cache
def _parts(kind: Any) -> tuple[Any, Any]:
    """What a type is of, and what it holds: `Mapping` and `Any` for `Mapping[str, Any]`; looked up once, it is slow."""
    return get_origin(kind) or kind, (get_args(kind) or (None,))[-1]


def written(value: Any) -> Any:
    """A field's value as JSON has it."""
    if isinstance(value, list | tuple):
        return [written(each) for each in value]
    return value.to_json() if isinstance(value, JsonObject) else value


@dataclass(frozen=True)
class _Fields:
    """The fields of a class: the types that each may have, and what it holds where nothing is said."""

    kinds: Mapping[str, Sequence[Any]]
    defaults: Mapping[str, Any]


#: By class: looking a type up costs more than reading an object.
_FIELDS: dict[Any, _Fields] = {}


def _fields(cls: type[JsonObject]) -> _Fields:
    if cls not in _FIELDS:
        own = [each for each in fields(cls) if each.name not in ("others", "order")]
        hints = get_type_hints(cls)
        _FIELDS[cls] = _Fields(
            kinds={each.name: _alternatives(hints[each.name]) for each in own},
            defaults={
                each.name: each.default if each.default_factory is MISSING else each.default_factory() for each in own
            },
        )
    return _FIELDS[cls]


def _alternatives(hint: Any) -> Sequence[Any]:
    return get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)
