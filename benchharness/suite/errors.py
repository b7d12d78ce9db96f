"""Turns a validation error into a sentence for whoever wrote the file: which key, what is wrong, what to write."""

from __future__ import annotations

import difflib
import types
import typing
from collections.abc import Iterator, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

#: Whoever has made more mistakes than this has made one of them often.
_MOST_PROBLEMS = 10


def explain(error: ValidationError, root: type[BaseModel], where: str) -> str:
    """Every problem of a file, a line each."""
    problems = error.errors(include_url=False)
    lines = list(dict.fromkeys(f"{where}: {_sentence(problem, root)}" for problem in problems[:_MOST_PROBLEMS]))
    if len(problems) > _MOST_PROBLEMS:
        lines.append(f"{where}: and {len(problems) - _MOST_PROBLEMS} more")
    return "\n".join(lines)


def _sentence(problem: ErrorDetails, root: type[BaseModel]) -> str:
    if problem["type"] == "extra_forbidden":
        *place, wrong = problem["loc"]
        key, annotation = _walk(root, place)
        known = _keys_of(annotation)
        nearest = difflib.get_close_matches(str(wrong), known, n=1, cutoff=0.5)
        hint = f"did you mean {nearest[0]!r}?" if nearest else f"valid here: {', '.join(known)}"
        return f"unknown key {_joined(key, wrong)!r}; {hint}"
    key, _ = _walk(root, problem["loc"])
    if problem["type"] == "missing":
        return f"{key!r} is missing"
    message = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "value_error":
        return f"{key}: {message}" if key else message
    return f"{key}: {message} (it is {problem['input']!r})"[:500]


def _walk(root: type[BaseModel], location: Sequence[int | str]) -> tuple[str, Any]:
    """A place as its reader would write it, `workloads[0].prompt.tokens`, and the type expected there.

    Pydantic mixes marks of its own into a location (`float`, `tuple[…]`); what is no key or index of the type so far is
    one of them.
    """
    key, annotation = "", typing.cast("Any", root)
    for part in location:
        inner = _inside(annotation, part)
        if inner is not None:
            key, annotation = _joined(key, part), inner
    return key, annotation


def _inside(annotation: Any, part: int | str) -> Any:
    """The type behind a key or an index; None where there is no such key."""
    for bare in _bare(annotation):
        origin, arguments = typing.get_origin(bare), typing.get_args(bare)
        if origin is dict and isinstance(part, str):
            return arguments[1]
        if origin in (list, tuple) and isinstance(part, int):
            return arguments[0]
        if isinstance(bare, type) and origin is None and issubclass(bare, BaseModel):
            for name, field in bare.model_fields.items():
                if part in (name, field.alias):
                    return field.annotation
    return None


def _bare(annotation: Any) -> Iterator[Any]:
    """The types inside `X | None` and `Annotated[X, …]`."""
    origin = typing.get_origin(annotation)
    if origin is typing.Annotated:
        yield from _bare(typing.get_args(annotation)[0])
    elif origin in (typing.Union, types.UnionType):
        for argument in typing.get_args(annotation):
            yield from _bare(argument)
    else:
        yield annotation


def _keys_of(annotation: Any) -> list[str]:
    for bare in _bare(annotation):
        if isinstance(bare, type) and issubclass(bare, BaseModel):
            return [field.alias or name for name, field in bare.model_fields.items()]
    return []


def _joined(key: str, part: int | str) -> str:
    if isinstance(part, int):
        return f"{key}[{part}]"
    return f"{key}.{part}" if key else part
