"""Readers: what a program is asked, in a few lines of TOML, and where in its answer each figure stands.

The bundled ones are the files beside this one. Another package's are modules under the entry-point group
`benchharness.readers`: `READER` is the TOML, and a function `rows(output: str) -> list of dicts` may read what none of
`ROWS` does. A suite's own is a file that `options.reader` names.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Callable

from benchharness.errors import Unsupported
from targets.program_output.rows import ROWS, Row

GROUP = "benchharness.readers"
_ENDING = ".toml"
#: Times by their unit, in ns.
UNITS = {"ns": 1, "us": 1_000, "ms": 1_000_000, "s": 1_000_000_000}
#: In the place of a field: what it took from the program's start until its rows were told, by the harness's clock.
UNTIL_TOLD = "{until_told}"
#: What that is a time of.
_COLD_STARTS = ("cold_start_ttft", "cold_start_inference")
_KEYS = {
    *("formats", "language", "rows", "columns", "patterns", "from", "accelerators", "threads"),
    *("version", "tells", "how", "ignored", "unknown", "commands"),
}
_LONGEST_BYTES = 1 << 16


@dataclass(frozen=True)
class FigureRule:
    """Where a figure stands: rows whose fields are so, the field with its times, and of how many things each is."""

    metric: str
    times: str  # a field, or `UNTIL_TOLD`
    unit: str = "ns"
    count: Any = 1  # a number, or the name of a field
    where: Mapping[str, Any] = ()  # type: ignore[assignment] # of fields: a value, or "{what was asked}"
    # The field is a mean, so that there are no samples: over all repeats, or over as many as the field named here says.
    mean: bool | str = False


@dataclass(frozen=True)
class CommandRule:
    """One start of the program, and what it tells."""

    arguments: Sequence[str]  # `{model}`, `{repeats}`, … stand for what is asked
    figures: Sequence[FigureRule]
    refused: str = ""  # what a build says (a pattern) that does not know these arguments: its metrics are unknown then


@dataclass(frozen=True)
class Reader:
    """How a program is asked and understood."""

    name: str
    formats: Sequence[str]
    language: bool
    commands: Sequence[CommandRule]
    rows: Callable[[str], list[Row]]
    output: str  # "stdout", "stderr" or "results": a file that `{results}` names
    accelerators: Mapping[str, Sequence[str]]  # arguments that ask for each
    threads: Sequence[str]  # arguments that ask for a number of them; none: it cannot be told
    version: Mapping[str, Any]  # `arguments`, and the `pattern` whose one group is it
    tells: Mapping[str, str]  # by what it is: the field of a row that says it
    how: str  # how what it does differs from what the harness does
    ignored: str  # what it says (a pattern whose one group is the argument) where it takes no notice of one
    unknown: Mapping[str, str]  # by metric: why it tells none


def reader(name: str) -> Reader:
    """A reader by its name, or of a file. Raises `Unsupported`."""
    if name.endswith(_ENDING):
        return _of_toml(Path(name).stem, _text(Path(name)), None)
    for path, text in _bundled():
        if path == f"{name}{_ENDING}":
            return _of_toml(name, text, None)
    others = _third_party()
    if name in others:
        try:
            module = import_module(others[name])
            return _of_toml(name, module.READER, getattr(module, "rows", None))
        except (ImportError, AttributeError) as error:
            raise Unsupported(f"the reader {name!r} cannot be loaded here: {error}") from error
    raise Unsupported(f"no reader is called {name[:80]!r} (there are: {', '.join(names())}); or name a .toml file")


def names() -> list[str]:
    """Of the bundled readers, and of other packages' here."""
    return [*(path[: -len(_ENDING)] for path, _ in _bundled()), *_third_party()]


def _bundled() -> Iterator[tuple[str, str]]:
    """Out of the bundle, which is a zip file, as well as out of a folder."""
    from importlib.resources import files

    for entry in sorted(files("targets.program_output").joinpath("readers").iterdir(), key=lambda each: each.name):
        if entry.name.endswith(_ENDING):
            yield entry.name, entry.read_text(encoding="utf-8")


def _third_party() -> dict[str, str]:
    from importlib.metadata import entry_points

    found = entry_points()
    group = found.select(group=GROUP) if hasattr(found, "select") else found.get(GROUP, ())
    return {point.name: point.value for point in group}


def _text(path: Path) -> str:
    try:
        return path.read_bytes()[:_LONGEST_BYTES].decode()
    except (OSError, UnicodeDecodeError) as error:
        raise Unsupported(f"options.reader: {path} cannot be read: {error}") from error


def _of_toml(name: str, text: str, rows: Callable[[str], list[Row]] | None) -> Reader:
    try:
        import tomllib
    except ImportError as error:
        raise Unsupported("readers are TOML, which Python 3.11 and later read: name such a one as 'python'") from error
    try:
        table = tomllib.loads(text)
        if unknown := set(table) - _KEYS:
            raise ValueError(f"it has a key {sorted(unknown)[0]!r}")
        return _made(name, table, rows)
    except (tomllib.TOMLDecodeError, KeyError, TypeError, ValueError, AttributeError, re.error) as error:
        raise Unsupported(f"the reader {name!r} is none: {type(error).__name__}: {error}") from error


def _made(name: str, table: Mapping[str, Any], rows: Callable[[str], list[Row]] | None) -> Reader:
    commands = [
        CommandRule(
            arguments=_texts("arguments", command),
            figures=[FigureRule(**figure) for figure in command.get("figures", ())],
            refused=re.compile(command.get("refused", "")).pattern,
        )
        for command in table["commands"]
    ]
    for command in commands:
        if len({figure.metric for figure in command.figures}) < len(command.figures):
            raise ValueError(f"one command tells a metric twice: {[figure.metric for figure in command.figures]}")
    for figure in (each for command in commands for each in command.figures):
        if not isinstance(figure.times, str) or not isinstance(figure.where or {}, Mapping):
            raise ValueError(f"{figure.metric} has no name of a field as times, or no table as where")
        if figure.unit not in UNITS:
            raise ValueError(f"{figure.metric} has the unit {figure.unit!r}, none of {', '.join(UNITS)}")
        if figure.times == UNTIL_TOLD and figure.metric not in _COLD_STARTS:
            raise ValueError(f"{figure.metric} is no time from the program's start, which {UNTIL_TOLD} is")
        if figure.times == UNTIL_TOLD and (figure.unit, figure.count, figure.mean) != ("ns", 1, False):
            raise ValueError(f"{UNTIL_TOLD} is one time in ns: {figure.metric} has no unit, count or mean")
    if "rows" in table:
        rows = ROWS[table["rows"]](table)
    if rows is None:
        raise ValueError(f"it does not say what its rows are: {', '.join(ROWS)}")
    if (output := table.get("from", "stdout")) not in ("stdout", "stderr", "results"):
        raise ValueError(f"its rows are from {output!r}")
    accelerators = table.get("accelerators", {})
    return Reader(
        name=name,
        formats=tuple(_texts("formats", table)),
        language=bool(table.get("language", False)),
        commands=commands,
        rows=rows,
        output=output,
        accelerators={name: _texts(name, accelerators) for name in accelerators},
        threads=_texts("threads", table) if "threads" in table else (),
        version=_version(table),
        tells=dict(table.get("tells", {})),
        how=str(table.get("how", "")),
        ignored=_catching("ignored", table) if "ignored" in table else "",
        unknown={str(key): str(value) for key, value in table.get("unknown", {}).items()},
    )


def _version(table: Mapping[str, Any]) -> Mapping[str, Any]:
    """How a version is asked for and found; nothing where a reader does not say."""
    said = table.get("version")
    return {} if said is None else {"arguments": _texts("arguments", said), "pattern": _catching("pattern", said)}


def _texts(name: str, table: Mapping[str, Any]) -> list[str]:
    """A list, whose numbers are texts, too. Raises `ValueError`: of a text each character would be one."""
    if not isinstance(table[name], list):
        raise ValueError(f"{name} is no list: {table[name]!r}")
    return [str(each) for each in table[name]]


def _catching(name: str, table: Mapping[str, Any]) -> str:
    """A pattern that catches one thing. Raises `ValueError`."""
    pattern = re.compile(table[name])
    if pattern.groups != 1:
        raise ValueError(f"{name} catches {pattern.groups} things, where one is wanted: {pattern.pattern!r}")
    return str(pattern.pattern)
