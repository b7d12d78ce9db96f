"""Turns a program's rows into figures, as a reader says where they stand. Every number is looked at."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from benchharness.contract import OwnFigure
from benchharness.errors import InvalidOutput
from targets.program_output.reader import UNITS, UNTIL_TOLD, FigureRule, Reader
from targets.program_output.rows import Row

_MOST_SAMPLES = 1_000_000
#: A year, and less than any clock's step.
_LONGEST_NS, _SHORTEST_NS = 3.2e16, 1e-3
#: Of things in a time; all others are times of things.
_RATES = ("prefill_rate", "decode_rate", "inference_rate")
#: What a metric is told of, by the names of what is asked.
_PARAMETERS = {
    "prefill_rate": {"prompt_tokens": "prompt_tokens", "context_depth": "context_depth"},
    "decode_rate": {"output_tokens": "output_tokens", "context_depth": "decode_depth"},
    "tpot": {"output_tokens": "output_tokens", "context_depth": "decode_depth"},
    "model_ttft": {"prompt_tokens": "prompt_tokens", "context_depth": "context_depth"},
}


@dataclass(frozen=True)
class Output:
    """Where a program's rows are."""

    told: bytes
    heard: Sequence[tuple[int, int]]  # so many bytes were there so long after the program's start, in ns; a file's: all

    def text(self, count: int | None = None) -> str:
        """Its first so many bytes, or all."""
        return self.told[:count].decode("utf-8", "replace")


def read(
    reader: Reader, rules: Sequence[FigureRule], output: Output, asked: Mapping[str, str], program: str
) -> tuple[list[Row], list[OwnFigure]]:
    """The rows of an output, and a figure for each rule. Raises `InvalidOutput` where one is not there."""
    try:
        rows = _rows(reader, output.text())
    except Exception as error:  # what reads it may be another package's
        raise InvalidOutput(
            f"{program} prints what reader {reader.name!r} cannot read: {error}: {output.text()[-300:]}"
        ) from error
    if any(rule.times == UNTIL_TOLD for rule in rules):
        told_ns = _until_told(reader, rows, output)
        rows = [{**row, UNTIL_TOLD: told_ns} if row else row for row in rows]
    return rows, [_figure(rule, rows, asked, program) for rule in rules]


def _rows(reader: Reader, text: str) -> list[Row]:
    return [each for each in reader.rows(text) if isinstance(each, Mapping)]


def _until_told(reader: Reader, rows: Sequence[Row], output: Output) -> int:
    """From the program's start until as much was there as reads the same as all of it, in ns.

    What a program prints after its rows, or does then, is no part of what it told.
    """
    low, high = 0, len(output.heard) - 1
    while low < high:
        middle = (low + high) // 2
        if _reads_the_same(reader, rows, output.text(output.heard[middle][0])):
            high = middle
        else:
            low = middle + 1
    return output.heard[low][1] if output.heard else 0


def _reads_the_same(reader: Reader, rows: Sequence[Row], text: str) -> bool:
    try:
        return _rows(reader, text) == rows
    except Exception:  # it ends within a row
        return False


def _figure(rule: FigureRule, rows: Sequence[Row], asked: Mapping[str, str], program: str) -> OwnFigure:
    wanted = {name: _value(value, asked) for name, value in dict(rule.where).items()}
    found = [row for row in rows if all(_same(row.get(name), value) for name, value in wanted.items())]
    if len(found) != 1:
        of = ", ".join(f"{name} {value}" for name, value in wanted.items())
        raise InvalidOutput(f"{program} tells {len(found)} rows with {of or rule.times}, where one is wanted")
    if rule.times not in found[0]:
        missing = "tells nothing" if rule.times == UNTIL_TOLD else f"prints no {rule.times.replace('_', ' ')}"
        raise InvalidOutput(f"{program} {missing}; is it built without its log?")
    times_ns = [_number(each, rule.times, program) * UNITS[rule.unit] for each in _listed(found[0].get(rule.times))]
    if not 0 < len(times_ns) <= _MOST_SAMPLES or not all(_SHORTEST_NS < each < _LONGEST_NS for each in times_ns):
        raise InvalidOutput(f"{program}: {rule.times} holds {len(times_ns)} times, or one that none can be")
    things = _count(rule.count, found[0], program)
    repeats = _count(rule.mean if isinstance(rule.mean, str) else int(asked["repeats"]), found[0], program)
    samples = [things * 1e9 / each if rule.metric in _RATES else each / things for each in times_ns]
    parameters = {name: int(asked[of]) for name, of in _PARAMETERS.get(rule.metric, {}).items()}
    told = [] if rule.mean else samples
    return OwnFigure(rule.metric, parameters, median(samples), told, sum(times_ns) * (repeats if rule.mean else 1))


def _listed(value: Any) -> Iterator[Any]:
    yield from value if isinstance(value, list) else [] if value is None else [value]


def _count(said: Any, row: Row, program: str) -> float:
    """How many: a number, or what the field of that name holds."""
    count = _number(row.get(said) if isinstance(said, str) else said, str(said), program)
    if count <= 0:
        raise InvalidOutput(f"{program}: {said} is {count:g}")
    return count


def _number(value: Any, name: str, program: str) -> float:
    try:
        number = float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else math.nan
    except OverflowError:  # a whole number of hundreds of digits
        number = math.nan
    if not math.isfinite(number):
        raise InvalidOutput(f"{program}: {name} is {str(value)[:60]!r}, no number")
    return number


def _value(value: Any, asked: Mapping[str, str]) -> Any:
    """A value, or what was asked where it is a name between braces."""
    name = str(value)
    return asked.get(name[1:-1], value) if name.startswith("{") and name.endswith("}") else value


def _same(told: Any, wanted: Any) -> bool:
    return str(told) == str(wanted)
