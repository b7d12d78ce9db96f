"""Raw tables: described once, written and read by name; no other module knows where in a row a number stands."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
import pytest

from benchharness.contract import STREAM_ENDS
from benchharness.device.measured import raw_rows
from benchharness.metrics import METRICS, ROWS
from benchharness.records import (
    CLASS_DECISIONS,
    CONSTRAINED_TRIALS,
    EARLIER,
    EARLIER_DECISIONS,
    EMBEDDING_SIMILARITY,
    SENSOR_READING,
    TABLES,
    TOKEN_DIVERGENCE,
    AnsweredBy,
    CloudEnd,
    Column,
    Table,
    TokenRow,
    TrialEnd,
    TrialRow,
    TurnEnd,
    table_of,
)
from benchharness.results.plausibility import contradictions
from benchharness.results.result import Measurement

ROOT = Path(__file__).parent.parent.parent
HOME = "benchharness/records.py"
READERS = ("benchharness", "reports", "benchmarks", "examples")
EVERY = [*TABLES.values(), *EARLIER.values()]
COLUMNS = [(table, name) for table in EVERY for name in table.columns]
NAMES = [f"{table.metric}-{table.row_length}-{name}" for table, name in COLUMNS]


# What a table says of itself


@pytest.mark.parametrize("table", EVERY, ids=lambda table: f"{table.metric}-{table.row_length}")
def test_a_table_writes_what_it_reads(table: Table[Any]) -> None:
    flat = list(map(float, range(3 * len(table.columns))))
    rows = table.rows(flat)
    assert table.flat(rows) == flat
    assert table.count(flat) == len(rows) == 3
    assert table.fits(flat, table.row_length)
    assert not table.fits([*flat, 0.0], table.row_length) or len(table.columns) == 1
    assert not table.fits(flat, table.row_length + 1)
    for name, numbers in table.by_name(np.array(flat)).items():
        assert numbers.tolist() == table.by_name(flat)[name] == [getattr(row, name) for row in rows]


def test_rows_are_stored_as_they_always_were() -> None:
    """Stores hold these widths and orders: a column added to a row needs a table of before in `EARLIER`."""
    assert {table.metric: (table.row_length, *table.columns) for table in TABLES.values()} == {
        "token_divergence": (4, "nll_reference", "nll_variant", "kld", "same_top"),
        "scored_chunks": (3, "document", "first", "scored"),
        "scored_texts": (6, "document", "size", "reference", "variant", "reference_tokens", "variant_tokens"),
        "answers_alike": (4, "exact", "normalised", "shared", "characters"),
        "tempered_divergence": (0, "kld"),
        "greedy_prefix": (0, "tokens"),
        "class_decisions": (3, "label", "reference", "variant"),
        "class_divergence": (3, "kld", "total_variation", "pooled"),
        "embedding_similarity": (0, "cosine"),
        "tensor_error": (4, "signal", "noise", "cosine", "largest_error"),
        "sustained_window": (
            13,
            *("start", "end", "inferences", "busy", "process_cpu"),
            *("least_wall", "p50_wall", "p90_wall", "p99_wall", "most_wall"),
            *("least_cpu", "requests", "ttft"),
        ),
        "sensor_reading": (2, "moment", "reading"),
        "process_limits": (0, "moment"),
        "constrained_trials": (6, "outcome", "time", "answer", "page_ins", "peak", "kills"),
        "fallback_tries": (3, "place", "outcome", "time"),
        "handovers": (
            16,
            *("prompt", "answered_by", "cloud", "first_token", "silence", "whole"),
            *("cloud_tokens", "device_tokens", "wasted_tokens", "sent", "received", "wasted"),
            *("energy", "agreement", "right", "late"),
        ),
        "conversation_turns": (
            9,
            *("turn", "end", "new", "read", "written", "context", "ttft", "rate", "resident"),
        ),
        "memory_timeline": (2, "moment", "resident"),
        "task_likelihoods": (4, "request", "log_likelihood", "greedy", "tokens"),
        "task_documents": (3, "document", "total", "weight"),
        "task_replicates": (0, "value"),
    }
    assert {key: tuple(table.columns) for key, table in EARLIER.items()} == {
        ("class_decisions", 4): ("label", "reference", "variant", "kld")
    }
    assert {end.name: int(end) for end in TrialEnd} == {
        "ANSWERED": 0,
        "LATE": 1,
        "ERROR": 2,
        "OUT_OF_MEMORY": 3,
        "HUNG": 4,
        "CRASHED": 5,
    }
    assert [end.name.lower().replace("_", " ") for end in CloudEnd][: len(STREAM_ENDS)] == list(STREAM_ENDS)
    assert [int(end) for end in CloudEnd] == list(range(17))
    assert {end.name: int(end) for end in AnsweredBy} == {"CLOUD": 0, "DEVICE": 1, "BOTH": 2, "NOBODY": 3}
    assert {end.name: int(end) for end in TurnEnd} == {"ANSWERED": 0, "ANSWERED_ANEW": 1, "CONTEXT_FULL": 2}


def test_rows_of_before_are_told_by_their_width() -> None:
    assert table_of("class_decisions", 3) is CLASS_DECISIONS
    assert table_of("class_decisions", 4) is EARLIER_DECISIONS
    assert table_of("class_decisions", 9) is CLASS_DECISIONS  # and refused, as 9 is none of its widths


def test_every_table_is_a_metric_of_the_registry() -> None:
    assert TABLES.keys() <= METRICS.keys()
    assert {metric.name for metric in ROWS} == {table.metric for table in TABLES.values() if not table.is_value}


def test_a_measurement_of_rows_goes_over_the_line() -> None:
    row = TrialRow(outcome=TrialEnd.LATE, time=5, answer=0, page_ins=2, peak=3.5, kills=0)
    told = raw_rows(CONSTRAINED_TRIALS, {"step": 1}, 5, CONSTRAINED_TRIALS.flat([row]))
    assert json.loads(json.dumps(told)) == {
        "metric": "constrained_trials",
        "parameters": {"step": 1},
        "value": 5.0,
        "samples": [1, 5, 0, 2, 3.5, 0],
        "row_length": 6,
    }


# What cannot be is refused, whatever the table


def sound(column: Column) -> float:
    """A number that a column may hold."""
    return float(max(column.low, min(1.0, column.high)))


def refusals(table: Table[Any], changes: dict[str, float]) -> list[str]:
    rows = [{name: sound(column) for name, column in table.columns.items()} for _ in range(3)]
    rows[1].update(changes)
    samples = table.flat(table.row(**row) for row in rows)
    made = Measurement(metric=table.metric, parameters={}, value=1.0, samples=samples, row_length=table.row_length)
    return list(contradictions([made], 10**18, None))


def outside(column: Column) -> Iterator[tuple[float, str]]:
    yield column.low * 2 - 1 if column.low < 0 else column.low - 1, "is "
    yield float("nan"), "not finite"
    yield float("inf"), "not finite"
    if column.high < 1e300:
        yield column.high * 2 + 1, "is "
    if column.whole or column.codes:
        yield column.low + 0.5, "no whole ones" if column.whole else "codes beside"


@pytest.mark.parametrize(("table", "name"), COLUMNS, ids=NAMES)
def test_a_number_out_of_bounds_is_refused_with_the_name_of_its_column(table: Table[Any], name: str) -> None:
    column = table.columns[name]
    said = f"{table.metric}: {column.told or name} "
    assert not any(each.startswith(said) for each in refusals(table, {}))
    for number, sentence in outside(column):
        found = [each for each in refusals(table, {name: number}) if each.startswith(said)]
        assert found, (number, sentence)
        assert sentence in found[0]


@pytest.mark.parametrize("table", EVERY, ids=lambda table: f"{table.metric}-{table.row_length}")
def test_rows_of_another_width_or_none_are_refused(table: Table[Any]) -> None:
    for samples, width in (([1.0] * 77, table.row_length + 7), ([], table.row_length)):
        made = Measurement(metric=table.metric, parameters={}, value=1.0, samples=samples, row_length=width)
        told = any("numbers in rows of" in each for each in contradictions([made], 10**18, None))
        assert told or (table_of(table.metric, width).may_be_empty and not samples)


def test_a_table_added_here_is_checked_and_registered(monkeypatch: pytest.MonkeyPatch) -> None:
    """All that a new raw metric needs beside what writes it: its row and its table."""

    class BeatRow(NamedTuple):
        at: Annotated[float, Column("ns")]
        share: Annotated[float, Column("share", 0, 1)]

    beats = Table("beats", BeatRow, title="beats", definition="rows of 2: when, and how much")
    tables = {**TABLES, "beats": beats}
    monkeypatch.setattr("benchharness.records.TABLES", tables)
    monkeypatch.setattr("benchharness.results.plausibility.TABLES", tables)
    registered = {**METRICS, "beats": METRICS["sensor_reading"]}
    monkeypatch.setattr("benchharness.results.plausibility.METRICS", registered)
    told = raw_rows(beats, {}, 0.5, beats.flat([BeatRow(at=1, share=0.5), BeatRow(at=2, share=1.5)]))
    assert list(contradictions([Measurement(**told)], 10, None)) == ["beats: share is 0.5 to 1.5"]


# Nobody else counts columns


def modules() -> Iterator[tuple[str, ast.Module]]:
    for package in READERS:
        for path in sorted((ROOT / package).rglob("*.py")):
            name = path.relative_to(ROOT).as_posix()
            if name != HOME:
                yield name, ast.parse(path.read_text(encoding="utf-8"))


def is_number(node: ast.expr | None, *but: int) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, int) and node.value not in but


def is_named_number(node: ast.expr | None) -> bool:
    return isinstance(node, ast.Name) and node.id.isupper()


def counts_columns(node: ast.AST) -> bool:
    if isinstance(node, ast.Slice):
        return is_number(node.step) or is_named_number(node.step)
    if isinstance(node, ast.keyword):
        return node.arg == "row_length" and is_number(node.value, 0)
    if isinstance(node, ast.Compare):
        widths = [each for each in node.comparators if is_number(each, 0) or is_named_number(each)]
        return "row_length" in ast.unparse(node.left) and bool(widths)
    if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("reshape"):
        shape = [*node.args, *(each for arg in node.args if isinstance(arg, ast.Tuple) for each in arg.elts)]
        return len(shape) > 1 and (is_number(shape[-1], 1) or is_named_number(shape[-1]))
    if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Tuple):
        private = ast.unparse(node.targets[0]).lstrip("(").startswith("_")
        return private and ast.unparse(node.value).startswith("range(")
    return False


def counted_columns(module: ast.AST) -> list[str]:
    """Where code takes rows of a flat list apart by a number of its own."""
    return [ast.unparse(node) for node in ast.walk(module) if counts_columns(node)]


@pytest.mark.parametrize(
    "code",
    [
        "samples[2::3]",
        "samples[_KLD::_ROW]",
        "np.asarray(samples).reshape(-1, 4)",
        "np.reshape(samples, (-1, 4))",
        "Measurement(row_length=6)",
        "value.row_length != 2",
        "_NLL, _KLD = range(2)",
    ],
)
def test_counting_columns_is_noticed(code: str) -> None:
    assert counted_columns(ast.parse(code))


def test_no_other_module_knows_the_number_of_a_column() -> None:
    found = {name: counted_columns(module) for name, module in modules()}
    assert {name: places for name, places in found.items() if places} == {}


def test_nothing_is_stored_but_numbers() -> None:
    assert TOKEN_DIVERGENCE.flat([TokenRow(1.0, 2.0, 0.5, 1.0)]) == [1.0, 2.0, 0.5, 1.0]
    assert SENSOR_READING.by_name([1.0, 5.0, 2.0, 6.0]) == {"moment": [1.0, 2.0], "reading": [5.0, 6.0]}
    assert EMBEDDING_SIMILARITY.row_length == 0
