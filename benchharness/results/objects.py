"""JSON objects with typed fields. One pair of reader and writer serves every class of them.

What a store or a device says is not trusted: a field holds only what is of its type. Everything else is kept beside
the fields, so that an object is written as it was read, byte for byte, whatever version wrote it.
"""

from __future__ import annotations

import types
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields
from functools import cache
from typing import Any, Self, Union, get_args, get_origin, get_type_hints


@dataclass(frozen=True, kw_only=True, eq=False)
class JsonObject(Mapping[str, Any]):
    """A frozen JSON object. Every field of a subclass has a default, which it has too where its key is absent.

    Two are equal where they are written alike, whatever the order of their keys.
    """

    others: Mapping[str, Any] = field(default_factory=dict)  # keys that no field is for, and values of other types
    order: Sequence[str] = ()  # the keys as they were read: these are written, and what was set since

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> Self:
        """The object that was read; what is not as expected is kept among the `others`.

        Raises `TypeError` for what is no object at all.
        """
        if isinstance(found, cls):
            return found
        if not isinstance(found, Mapping):
            raise TypeError(f"an object was expected instead of {str(found)[:60]!r}")
        read = {name: made for name, kinds in _kinds(cls).items() if (made := _read(found, name, kinds)) is not _NOT}
        others = {key: value for key, value in found.items() if key not in read}
        return cls(**read, others=others, order=tuple(found))

    def to_json(self) -> dict[str, Any]:
        """What is stored and exported: the keys that were read, in their order, and fields that were set since."""
        set_since = [name for name, default in _defaults(type(self)).items() if getattr(self, name) != default]
        keys = dict.fromkeys((*self.order, *set_since, *self.others))
        return {key: self.others[key] if key in self.others else written(getattr(self, key)) for key in keys}

    def __getitem__(self, key: str) -> Any:
        return self.to_json()[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self.to_json())

    def __len__(self) -> int:
        return len(self.to_json())

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        assert isinstance(other, JsonObject)
        return self.to_json() == other.to_json()

    __hash__ = None  # type: ignore[assignment]  # as the dictionaries in it have none


_NOT = object()


def _read(found: Mapping[str, Any], name: str, kinds: Sequence[Any]) -> Any:
    """The value of a field as its type has it; `_NOT` where there is none, or one of another type."""
    value = found.get(name, _NOT)
    if value is _NOT:
        return _NOT
    for kind in kinds:
        if isinstance(kind, type) and issubclass(kind, JsonObject):
            if isinstance(value, Mapping):
                return kind.from_json(value)
        elif _is_of(value, kind):
            return value
    return _NOT


def _is_of(value: Any, kind: Any) -> bool:
    """Whether a value of JSON is of a type, as JSON tells them apart: true is no number, 1 is no fraction."""
    if kind is Any:
        return True
    origin = get_origin(kind) or kind
    if origin is Mapping:
        inside = get_args(kind)[1]
        return isinstance(value, Mapping) and all(_is_of(each, inside) for each in value.values())
    if origin is Sequence:
        inside = get_args(kind)[0]
        return isinstance(value, list | tuple) and all(_is_of(each, inside) for each in value)
    return type(value) is origin


def written(value: Any) -> Any:
    """A field's value as JSON has it."""
    if isinstance(value, list | tuple):
        return [written(each) for each in value]
    return value.to_json() if isinstance(value, JsonObject) else value


@cache
def _kinds(cls: type[JsonObject]) -> Mapping[str, Sequence[Any]]:
    """The types that each field may have."""
    hints = get_type_hints(cls)
    return {
        name: get_args(hints[name]) if get_origin(hints[name]) in (Union, types.UnionType) else (hints[name],)
        for name in _defaults(cls)
    }


@cache
def _defaults(cls: type[JsonObject]) -> Mapping[str, Any]:
    """The fields of a class with what they hold where nothing is said."""
    own = [each for each in fields(cls) if each.name not in ("others", "order")]
    return {each.name: each.default if each.default_factory is MISSING else each.default_factory() for each in own}
