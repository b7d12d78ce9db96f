"""The kinds of values that a suite's keys take, each checked with a sentence for whoever wrote it wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo

from benchharness import units as quantity
from benchharness.errors import UsageError

#: The validation context of a suite whose units are base units already.
CHECKED_BEFORE = "checked before"
_DEEPEST_OPTIONS = 50
LONGEST_NAME = 100
#: The hardware target that needs no profile.
THIS_MACHINE = "this-machine"


def _name(value: str) -> str:
    if not value.isprintable() or not 1 <= len(value) <= LONGEST_NAME:
        raise ValueError(f"a name is 1 to {LONGEST_NAME} characters on one line")
    return value


def as_list(value: Any) -> Any:
    """One value where a list may stand."""
    return value if isinstance(value, list | tuple) else [value]


def all_different(values: tuple[Any, ...]) -> tuple[Any, ...]:
    """Refuses a list that names something twice."""
    if len(set(values)) < len(values):
        raise ValueError("names one twice")
    return values


def storable(value: dict[str, Any]) -> dict[str, Any]:
    """Options travel to the device and into the store as JSON."""
    if _depth(value) > _DEEPEST_OPTIONS:
        raise ValueError(f"is nested too deep: {_DEEPEST_OPTIONS} levels at most")
    try:
        json.dumps(value, allow_nan=False)
    except (ValueError, TypeError) as error:
        raise ValueError(f"holds what JSON cannot: {error}; write text, finite numbers, true, false, lists") from error
    return value


def _depth(value: Any) -> int:
    """Levels of tables and lists; counts no further than matters."""
    level, depth = [value], 0
    while level and depth <= _DEEPEST_OPTIONS:
        depth += 1
        inner = [
            list(each.values()) if isinstance(each, dict) else each for each in level if isinstance(each, dict | list)
        ]
        level = [each for container in inner for each in container]
    return depth


def _seconds(value: Any, info: ValidationInfo) -> Any:
    return _with_unit(quantity.seconds, value, info)


def _share(value: Any, info: ValidationInfo) -> Any:
    return _with_unit(quantity.share, value, info)


def _fraction(value: Any, info: ValidationInfo) -> Any:
    return _share(value, info) if isinstance(value, str) else value


def _with_unit(parse: Callable[[str], float], value: Any, info: ValidationInfo) -> Any:
    """Text through `parse`. A bare number has no unit, and is taken only from a suite that was checked before."""
    if not isinstance(value, str):
        if value is None or info.context == CHECKED_BEFORE:
            return value
        raise ValueError(f'{value!r} has no unit: write it as text, such as "{value} {_UNITS[parse]}"')
    try:
        return parse(value)
    except UsageError as error:
        raise ValueError(str(error)) from error


def _bytes(value: Any, info: ValidationInfo) -> Any:
    return _with_unit(quantity.size, value, info)


#: A unit of each kind, for an example.
_UNITS: dict[Callable[[str], float], str] = {quantity.seconds: "s", quantity.share: "%", quantity.size: "MiB"}


def _words(value: Any) -> Any:
    if isinstance(value, str):
        example = json.dumps(value.split(), ensure_ascii=False)
        raise ValueError(f"a command is a list of its words, as no shell is there to part them: {example}")
    return value


def _tellable(words: tuple[str, ...]) -> tuple[str, ...]:
    if any("\0" in word or not _in_utf8(word) for word in words):
        raise ValueError("a word of a command holds a zero byte, or is no UTF-8")
    if words and not words[0]:
        raise ValueError("its first word, the program, is empty")
    return words


def _in_utf8(word: str) -> bool:
    try:
        word.encode()
    except UnicodeEncodeError:
        return False
    return True


Name = Annotated[str, AfterValidator(_name)]
#: A program and its arguments, each arriving as it is.
Command = Annotated[
    tuple[Annotated[str, Field(max_length=1000)], ...],
    BeforeValidator(_words),
    AfterValidator(_tellable),
    Field(max_length=50),
]
Seconds = Annotated[float, BeforeValidator(_seconds), Field(gt=0)]
#: A time that may be none at all.
Pause = Annotated[float, BeforeValidator(_seconds), Field(ge=0)]
Bytes = Annotated[float, BeforeValidator(_bytes), Field(ge=1, le=2**50)]
Share = Annotated[float, BeforeValidator(_share), Field(gt=0, lt=1)]
#: A share that may be written as a plain fraction, too: 0.5 for 50 %.
Fraction = Annotated[float, BeforeValidator(_fraction), Field(gt=0, lt=1)]
Count = Annotated[int, Field(ge=1, le=1_000_000, strict=True)]
Depth = Annotated[int, Field(ge=0, le=1_000_000, strict=True)]
#: More than any machine has cores for. Runtimes start as many as they are told to, and then a machine stands still.
Threads = Annotated[int, Field(ge=1, le=4096, strict=True)]


class Table(BaseModel):
    """A table of the suite: unknown keys are refused, objects are frozen."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
