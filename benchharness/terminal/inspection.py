"""`benchharness inspect`: what a model file holds, without running it. As plain data, and as tables.

The file is not trusted: an adapter reads it in a process of its own, and what it says is shown as text only.
"""

from __future__ import annotations

import json
import re
import sys
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from benchharness.device import adapters
from benchharness.device.child import ask
from benchharness.errors import ModelFailure, Unsupported, UsageError
from benchharness.locations import digest_cache
from benchharness.metrics import Unit
from benchharness.suite.artefact import Manifest, manifest_of, whole
from benchharness.suite.listing import listing_from
from benchharness.suite.materials import notes
from benchharness.suite.plan import artefact_format
from benchharness.units import quantity_text

#: A model of 540 MB takes half a second, nearly all of it the import of its runtime.
_PATIENCE_S = 60
#: An honest description has some tens of kilobytes; a file made to say more is not believed.
_LONGEST_ANSWER_BYTES = 64 << 20
#: How hard a download is compressed: zip's own default.
_ZIP_LEVEL = 6
_CHUNK_BYTES = 1 << 20
#: Texts of a model that are shown: the rest is in the JSON form.
_LONGEST_SHOWN = 200
_MOST_ROWS = 60


def inspect_model(path: Path, *, compressed: bool = False) -> dict[str, Any]:
    """What an artefact holds, JSON values only: an adapter's `ModelDescription`, its size in bytes and its digest.

    `compressed` adds `compressed_bytes`, the size of a zip of it, which takes about 15 s for 500 MB. Raises
    `UsageError` for a path that no adapter opens, `Unsupported` where its adapter cannot inspect, `ModelFailure` for a
    file that is no model or ends the process that reads it.
    """
    path = path.expanduser().absolute()
    whole(path)  # raises where there is nothing
    cache = digest_cache()
    adapter = _adapter_for(path)
    description, files = _description(adapter, path)
    listing = listing_from(path, files)
    manifest = manifest_of(path, cache, listing)
    cache.save()
    found = {
        "artefact": str(path),
        "adapter": adapter,
        "digest": manifest.digest,
        "bytes": manifest.bytes,
        "model": listing.model,
        "files": [{"path": entry.path, "bytes": entry.bytes} for entry in manifest.entries],
        "part": listing.part,
        "pipeline": list(listing.pipeline),
        "siblings": list(listing.siblings),
        **description,
        "warnings": _warnings(path, description, manifest),
    }
    if compressed:
        found["compressed_bytes"] = _compressed_bytes(manifest)
    return found


def _adapter_for(path: Path) -> str:
    known = {name: adapters.formats(name) for name in adapters.usable()}
    for name, formats in known.items():
        if artefact_format(path, formats) is not None:
            return name
    endings = ", ".join(sorted({ending for formats in known.values() for ending in formats}))
    raise UsageError(f"{path}: no adapter opens it; models end in {endings}, or are folders that hold such a file")


def _description(adapter: str, path: Path) -> tuple[dict[str, Any], Any]:
    """What an adapter says of a model, and of its files."""
    # -P: the working folder may have come with the model, and its Python files are not for running.
    command = [sys.executable, "-P", "-m", "benchharness.device.inspect", adapter, str(path)]
    done = ask(command, _PATIENCE_S, most_bytes=_LONGEST_ANSWER_BYTES)
    if done.code is None:
        raise ModelFailure(f"{path}: reading it did not end within {_PATIENCE_S} s; is it really a model?")
    try:
        if len(done.out) > _LONGEST_ANSWER_BYTES:
            most = quantity_text(_LONGEST_ANSWER_BYTES, Unit.BYTES)
            raise ModelFailure(f"{path}: what it says of itself has over {most}; no real model says so much")
        answer = json.loads(done.out)
        if "failed" in answer:
            kind = Unsupported if answer["failed"] == "unsupported" else ModelFailure
            raise kind(str(answer["reason"]))
        description, files = answer["description"], answer["files"]
    except (ValueError, KeyError, TypeError) as error:
        words = done.words.strip().splitlines()[-1:]
        ended = f"signal {-done.code}" if done.code < 0 else f"exit code {done.code}"
        raise ModelFailure(f"{path}: the process that read it ended with {ended}: {' '.join(words)}") from error
    if not isinstance(description, dict):
        raise ModelFailure(f"{path}: the adapter {adapter!r} gave no description")
    return description, files


def _warnings(path: Path, description: Mapping[str, Any], manifest: Manifest) -> list[str]:
    files: Mapping[str, int | None] = description.get("external_files", {})
    missing = [name for name, size in files.items() if size is None]
    warnings = []
    if manifest.listing.unknown:
        told = manifest.listing.unknown
        warnings.append(f"it will not run, and size and digest are of {path.name} alone: {told}")
    elif missing:
        warnings.append(f"weights are missing: {', '.join(missing)}; copy the whole folder")
    return warnings + notes(path, manifest)


def _compressed_bytes(manifest: Manifest) -> int:
    """What a zip archive of it would take, names and headers not counted."""
    total = 0
    for file in manifest.files:
        squeezer = zlib.compressobj(_ZIP_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
        with file.open("rb") as stream:
            while chunk := stream.read(_CHUNK_BYTES):
                total += len(squeezer.compress(chunk))
        total += len(squeezer.flush())
    return total


def inspection_tables(found: Mapping[str, Any]) -> list[Table]:
    """Tables of what `inspect_model` gave: the file, its signature, its stored numbers, quantization, operators."""
    tables = [_overview(found), _signature(found), _parameters(found)]
    if found["quantization"]:
        tables.append(_quantization(found))
    return [*tables, _operators(found)]


def _overview(found: Mapping[str, Any]) -> Table:
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
        rows.append(("files", _lines(f"{file['path']} ({_bytes(file['bytes'])})" for file in found["files"])))
    if found["part"]:
        rows += [("part", found["part"]), ("its pipeline", _lines(found["pipeline"]))]
    if found["siblings"]:
        rows.append(("not counted", _lines(found["siblings"])))
    rows += [(name.replace("_", " "), _fact(value)) for name, value in facts.items() if value not in ("", 0, {}, None)]
    rows += [("warning", warning) for warning in found["warnings"]]
    for name, value in rows:
        table.add_row(_shown(name), _shown(value, "yellow" if name == "warning" else ""))
    return table


def _signature(found: Mapping[str, Any]) -> Table:
    table = _table("inputs and outputs", "", "name", "type", "shape")
    rows = _numbered_alike("in", found["inputs"]) + _numbered_alike("out", found["outputs"])
    for row in rows[:_MOST_ROWS]:
        table.add_row(*map(_shown, row))
    _tell_left_out(table, len(rows))
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


def _operators(found: Mapping[str, Any]) -> Table:
    counts = [
        (domain, name, count) for domain, operators in found["operators"].items() for name, count in operators.items()
    ]
    total = sum(count for _, _, count in counts)
    table = _table(f"operators: {total:,}", "domain", "operator", "count", right=("count",))
    for domain, name, count in sorted(counts, key=lambda row: -row[2])[:_MOST_ROWS]:
        table.add_row(_shown(domain), _shown(name), f"{count:,}")
    _tell_left_out(table, len(counts))
    return table


def _table(title: str, *columns: str, right: Sequence[str] = ()) -> Table:
    table = Table(title=title, title_justify="left")
    for column in columns:
        table.add_column(column, justify="right" if column in right else "left")
    return table


def _tell_left_out(table: Table, rows: int) -> None:
    if rows > _MOST_ROWS:
        table.caption = f"… and {rows - _MOST_ROWS} more, in the JSON form"


def _fact(value: Any) -> str:
    if isinstance(value, Mapping):
        return _lines(f"{name}: {each}" for name, each in value.items())
    return _line(value)


def _line(value: Any) -> str:
    """One line of at most `_LONGEST_SHOWN` letters: some models carry an alphabet of 6,000 lines in their metadata."""
    text = " ".join(str(value).split())
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}… ({len(text):,} letters)"


def _lines(texts: Any) -> str:
    lines = [_line(text) for text in texts]
    more = [f"… and {len(lines) - _MOST_ROWS} more"] if len(lines) > _MOST_ROWS else []
    return "\n".join(lines[:_MOST_ROWS] + more)


def _bytes(count: int) -> str:
    return quantity_text(count, Unit.BYTES)


def _shown(value: Any, style: str = "") -> Text:
    """A model's own words, as text that a terminal cannot take for a command."""
    text = "".join(letter if letter.isprintable() or letter == "\n" else "�" for letter in str(value))
    most = _LONGEST_SHOWN * _MOST_ROWS
    return Text(text if len(text) <= most else f"{text[:most]}…", style)
