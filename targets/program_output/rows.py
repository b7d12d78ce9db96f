"""What programs print, as rows of named fields: the ways that a reader can name. None of it is trusted."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Callable

Row = Mapping[str, Any]
Rows = Callable[[str], "list[Row]"]
_MOST_ROWS = 1_000_000
#: What no text of JSON has in it as it is, as against other ends of lines.
_LINE_END = re.compile("[\r\n]+")


def _json_lines(table: Mapping[str, Any]) -> Rows:
    """An object a line; other lines are not looked at."""

    def rows(output: str) -> list[Row]:
        lines = _LINE_END.split(output)[:_MOST_ROWS]
        return [json.loads(line) for line in lines if line.lstrip().startswith("{")]

    return rows


def _json(table: Mapping[str, Any]) -> Rows:
    """One object, or a list of them."""

    def rows(output: str) -> list[Row]:
        found = json.loads(output)
        return found if isinstance(found, list) else [found]

    return rows


def _csv(table: Mapping[str, Any]) -> Rows:
    """Values between commas under the reader's own `columns`, the last ones of a line; a column a row of numbers."""
    columns = [str(each) for each in table["columns"]]

    def rows(output: str) -> list[Row]:
        found: dict[str, list[float]] = {column: [] for column in columns}
        for line in filter(None, output.splitlines()[:_MOST_ROWS]):
            cells = line.split(",")[-len(columns) :]
            if len(cells) < len(columns):
                raise ValueError(f"a line has {len(cells)} values: {line[:80]!r}")
            for column, cell in zip(columns, cells):
                found[column].append(float(cell))
        return [found]

    return rows


def _text(table: Mapping[str, Any]) -> Rows:
    """One row: what each pattern's one group caught last, and all that it caught where it is named `each`."""
    patterns = {str(name): re.compile(pattern, re.MULTILINE) for name, pattern in table["patterns"].items()}
    for name, pattern in patterns.items():
        if pattern.groups > 1:
            raise ValueError(f"the pattern {name} catches {pattern.groups} things; group others by (?:…)")
    listed = {name for name, pattern in patterns.items() if "each" in pattern.groupindex}

    def rows(output: str) -> list[Row]:
        caught = {name: [_value(text) for text in pattern.findall(output)] for name, pattern in patterns.items()}
        return [{name: found if name in listed else found[-1] for name, found in caught.items() if found}]

    return rows


def _value(text: str) -> Any:
    try:
        return int(text) if text.isdecimal() else float(text)
    except ValueError:
        return text


ROWS: Mapping[str, Callable[[Mapping[str, Any]], Rows]] = {
    "json-lines": _json_lines,
    "json": _json,
    "csv": _csv,
    "text": _text,
}
