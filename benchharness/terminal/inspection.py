"""What `benchharness inspect` shows of a model (`execute.looks`). The file is not trusted: it is shown as text only."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

from benchharness.metrics import Unit
from benchharness.units import quantity_text

#: Letters of a model's text that are shown: the rest is in the JSON form.
_LONGEST_SHOWN = 200
_LONGEST_CELL = 60 * _LONGEST_SHOWN
#: Of a list, this many are shown at first sight.
_FIRST = 12


def inspection_tables(found: Mapping[str, Any], *, whole: bool = False) -> list[Table]:
    """Tables of what `inspect_model` gave: the file, its signature, its stored numbers, quantization, operators.

    `whole`: long lists to their ends.
    """
    most = sys.maxsize if whole else _FIRST
    tables = [_overview(found, most), _signature(found, most), _parameters(found)]
    if found["quantization"]:
        tables.append(_quantization(found))
    return [*tables, _operators(found, most)]


def _overview(found: Mapping[str, Any], most: int) -> Table:
    facts = found["facts"]
    table = Table("", "", title=_shown(found["artefact"]), title_justify="left", show_header=False)
    rows: list[tuple[str, Any]] = [
        ("task", found["task"]),
        ("format", f"{found['format']}, opened by {found['adapter']}"),
        ("size", _bytes(found["bytes"])),
    ]
    if "compressed_bytes" in found:
        rows.append(("zipped", _bytes(found["compressed_bytes"])))
    rows.append(("digest", found["digest"]))
    if len(found["files"]) > 1:
        rows.append(("files", _lines((f"{file['path']} ({_bytes(file['bytes'])})" for file in found["files"]), most)))
    if found["part"]:
        rows += [("part", found["part"]), ("its pipeline", _lines(found["pipeline"], most))]
    if found["siblings"]:
        rows.append(("not counted", _lines(found["siblings"], most)))
    rows += [
        (name.replace("_", " "), _fact(value, most)) for name, value in facts.items() if value not in ("", 0, {}, None)
    ]
    rows += [("warning", warning) for warning in found["warnings"]]
    for name, value in rows:
        table.add_row(_shown(name), _shown(value, "yellow" if name == "warning" else ""))
    return table


def _signature(found: Mapping[str, Any], most: int) -> Table:
    table = _table("inputs and outputs", "", "name", "type", "shape")
    rows = _numbered_alike("in", found["inputs"]) + _numbered_alike("out", found["outputs"])
    for row in rows[:most]:
        table.add_row(*map(_shown, row))
    _tell_left_out(table, len(rows) - most)
    return table


def _numbered_alike(direction: str, specs: Sequence[Mapping[str, Any]]) -> list[tuple[str, str, str, str]]:
    """A row for each input or output; those that differ only by a number in their name share one."""
    groups: dict[tuple[str, str, str], list[str]] = {}
    for spec in specs:
        shape = " × ".join("?" if length is None else str(length) for length in spec["shape"]) or "one number"
        groups.setdefault((re.sub(r"\d+", "N", spec["name"]), spec["dtype"], shape), []).append(spec["name"])
    rows = []
    for (pattern, dtype, shape), names in groups.items():
        shown = names if len(names) <= 2 else [f"{pattern} ({len(names)} of them)"]
        rows += [(direction, name, dtype, shape) for name in shown]
    return rows


def _parameters(found: Mapping[str, Any]) -> Table:
    table = _table("stored numbers", "what", "type", "tensors", "numbers", "size", right=("tensors", "numbers", "size"))
    for stored in found["parameters"]:
        counts = (f"{stored['tensors']:,}", f"{stored['numbers']:,}", _bytes(stored["bytes"]))
        table.add_row(_shown(stored["role"]), _shown(stored["dtype"]), *counts)
    total = [sum(stored[name] for stored in found["parameters"]) for name in ("tensors", "numbers", "bytes")]
    table.add_section()
    table.add_row("all", "", f"{total[0]:,}", f"{total[1]:,}", _bytes(total[2]))
    return table


def _quantization(found: Mapping[str, Any]) -> Table:
    table = _table("quantization", "what", "type", "scales", "symmetric", "by")
    for scheme in found["quantization"]:
        symmetric = {True: "yes", False: "no"}.get(scheme["symmetric"], "unknown")
        by = ", ".join(f"{count} {name}" for name, count in scheme["operators"].items())
        if not by:  # half precision scales nothing
            symmetric = "–"
        cells = (scheme["method"], scheme["dtype"], scheme["granularity"], symmetric, by or "stored so")
        table.add_row(*map(_shown, cells))
    return table


def _operators(found: Mapping[str, Any], most: int) -> Table:
    counts = [
        (domain, name, count) for domain, operators in found["operators"].items() for name, count in operators.items()
    ]
    total = sum(count for _, _, count in counts)
    table = _table(f"operators: {total:,}", "domain", "operator", "count", right=("count",))
    for domain, name, count in sorted(counts, key=lambda row: -row[2])[:most]:
        table.add_row(_shown(domain), _shown(name), f"{count:,}")
    _tell_left_out(table, len(counts) - most)
    return table


def _table(title: str, *columns: str, right: Sequence[str] = ()) -> Table:
    table = Table(title=title, title_justify="left")
    for column in columns:
        table.add_column(column, justify="right" if column in right else "left")
    return table


def _tell_left_out(table: Table, rows: int) -> None:
    if rows > 0:
        table.caption, table.caption_justify = _more(rows), "left"


def _more(count: int) -> str:
    return f"… and {count} more; --details lists all"


def _fact(value: Any, most: int) -> str:
    if isinstance(value, Mapping):
        return _lines((f"{name}: {each}" for name, each in value.items()), most)
    return _line(value)


def _line(value: Any) -> str:
    """One line of at most `_LONGEST_SHOWN` letters: some models carry an alphabet of 6,000 lines in their metadata."""
    text = " ".join(str(value).split())
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}… ({len(text):,} letters)"


def _lines(texts: Iterable[str], most: int) -> str:
    lines = [_line(text) for text in texts]
    more = [_more(len(lines) - most)] if len(lines) > most else []
    return "\n".join(lines[:most] + more)


def _bytes(count: int) -> str:
    return quantity_text(count, Unit.BYTES)


def _shown(value: Any, style: str = "") -> Text:
    """A model's own words, as text that a terminal cannot take for a command."""
    text = "".join(letter if letter.isprintable() or letter == "\n" else "�" for letter in str(value))
    return Text(text if len(text) <= _LONGEST_CELL else f"{text[:_LONGEST_CELL]}…", style)
