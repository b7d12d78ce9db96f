"""Turns a validation error into a sentence for whoever wrote the file: which key, what is wrong, what to write."""

from __future__ import annotations

import difflib
import types
import typing
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails


def explain(error: ValidationError, root: type[BaseModel], where: str) -> str:
    """Every problem of a file, a line each."""
    lines = [f"{where}: {_sentence(problem, root)}" for problem in error.errors(include_url=False)]
    return "\n".join(dict.fromkeys(lines))


def _sentence(problem: ErrorDetails, root: type[BaseModel]) -> str:
    location = problem["loc"]
    key = _key(location)
    if problem["type"] == "extra_forbidden":
        known = _keys_at(root, location[:-1])
        nearest = difflib.get_close_matches(str(location[-1]), known, n=1, cutoff=0.5)
        hint = f"did you mean {nearest[0]!r}?" if nearest else f"valid here: {', '.join(known)}"
        return f"unknown key {key!r}; {hint}"
    if problem["type"] == "missing":
        return f"{key!r} is missing"
    message = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "value_error":
        return f"{key}: {message}" if key else message
    return f"{key}: {message} (it is {problem['input']!r})"[:500]


def _key(location: Sequence[int | str]) -> str:
    """`workloads[0].prompt.tokens`; pydantic's own markers (`function-before[…]`, `tuple[…]`) are left out."""
    parts = ""
    for part in location:
        if isinstance(part, int):
            parts += f"[{part}]"
        elif not part.endswith("]"):
            parts += f".{part}" if parts else part
    return parts


def _keys_at(root: type[BaseModel], location: Sequence[int | str]) -> list[str]:
    """The keys that a table at this place may have."""
    table: Any = root
    for part in location:
        if not (isinstance(table, type) and issubclass(table, BaseModel)):
            return []
        for name, field in table.model_fields.items():
            if part in (name, field.alias):
                table = _table_in(field.annotation) or table
                break
    return [field.alias or name for name, field in table.model_fields.items()]


def _table_in(annotation: Any) -> type[BaseModel] | None:
    """The table type inside `X | None`, `tuple[X, ...]`, `dict[str, X]` or `Annotated[X, …]`."""
    if (
        isinstance(annotation, type)
        and not isinstance(annotation, types.GenericAlias)
        and issubclass(annotation, BaseModel)
    ):
        return annotation
    for argument in typing.get_args(annotation):
        found = _table_in(argument)
        if found is not None:
            return found
    return None
