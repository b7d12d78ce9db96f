"""A store can be asked: about many runs at once, without their samples; and stores of before can, too."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import Engine, event, select

from benchharness.judge.derive import derive
from benchharness.results import opening
from benchharness.results.result import Job, OutcomeKind
from benchharness.results.schema import REVISION, job_columns, jobs
from benchharness.results.store import Store
from tests.unit.made_up import attempt, job, jobs_of, loaded, measured

GOLDEN = Path(__file__).parent.parent / "golden"
#: `benchharness run one.null two.null --attempts 3 --scenario steady`, by the last version with schema 0001.
BEFORE = GOLDEN / "store-0001.sqlite"
SUITE = """
name = "phones"
[models.chat.variants.fp32]
artefact = "fp32.onnx"
[models.chat.variants.int8]
artefact = "int8.onnx"
[[configurations]]
runtime = "onnxruntime"
threads = [1, 2]
[[workloads]]
prompt = { tokens = [8] }
[scenarios.steady]
"""


@pytest.fixture
def store(database: str) -> Iterator[Store]:
    opened = Store(database)
    yield opened
    opened.close()


def new_run(store: Store, *jobs: Job) -> str:
    return store.create_run(suite="phones", digest="5f" * 32, suite_json="{}", hardware_json="{}", planned=jobs)


@contextmanager
def statements(store: Store) -> Iterator[list[str]]:
    """What is asked of the database meanwhile."""
    told: list[str] = []
    engine: Engine = store._engine

    def hear(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if not statement.startswith("BEGIN"):
            told.append(statement)

    event.listen(engine, "before_cursor_execute", hear)
    yield told
    event.remove(engine, "before_cursor_execute", hear)


def test_runs_are_listed_with_their_counts_in_one_query_however_many(store: Store) -> None:
    for number in range(12):
        run = new_run(store, job(), job("fedcba9876543210", variant="fp32"))
        for round_ in range(number):
            store.save_attempt(run, attempt(round_, id=f"{number:018d}{round_:018d}"))
    with statements(store) as told:
        found = store.list_runs()
    assert len(told) == 1
    assert sorted((run.jobs, run.attempts) for run in found) == [(2, number) for number in range(12)]
    assert store.run(found[0].id) == found[0]


def test_figures_of_a_cell_come_from_every_run_without_samples(store: Store) -> None:
    samples = [float(number) for number in range(1, 101)]
    here = job()
    for number in range(3):
        run = new_run(store, here, job("fedcba9876543210", model="another"))
        values = [measured("itl", 50.5, samples), measured("steady_inference", 7.0 + number, [7.0])]
        store.save_attempt(run, attempt(0, *values, id=f"a{number}"))
        store.save_attempt(run, attempt(1, outcome=OutcomeKind.CRASHED, id=f"b{number}"))
        store.save_attempt(run, attempt(0, *values, id=f"c{number}", job="fedcba9876543210"))
    with statements(store) as told:
        found = store.figures(cells=[here.cell], metric="itl")
    assert len(told) == 1
    assert "samples" not in told[0]
    assert [(each.model, each.variant, each.round, each.value) for each in found] == [("chat", "int8", 0, 50.5)] * 3
    assert len({each.run for each in found}) == 3
    assert found[0].percentiles == {50: 50.5, 90: float(np.percentile(samples, 90))}  # 100 samples carry no p95
    assert [each.value for each in store.figures(cells=[here.cell], metric="steady_inference")] == [7.0, 8.0, 9.0]
    assert store.figures(cells=[]) == []
    assert store.figures(since=datetime.now(UTC) + timedelta(days=1)) == []
    assert len(store.figures()) == 12


def test_the_same_suite_in_another_folder_has_the_same_cells(tmp_path: Path) -> None:
    cells = []
    for name in ("here", "there"):
        (tmp_path / name).mkdir()
        cells.append([each.cell for each in jobs_of(loaded(tmp_path / name, SUITE))])
    assert cells[0] == cells[1]
    fp32_1, fp32_2, int8_1, int8_2 = cells[0]
    assert (fp32_1, fp32_2) == (int8_1, int8_2)  # a variant is none of it
    assert fp32_1 != fp32_2  # threads are


PHONE = {"name": "cpu", "runtime": "onnxruntime", "python": "/opt/a/bin/python3.11", "threads": 2}
DATA = {"path": "/a/e.npz", "sha256": "ab" * 32, "kind": "npz", "calibration": "c.npz"}
WORKLOAD = {"name": "short", "prompt": {"text": "Hello", "file": "a.txt"}, "output_tokens": 8, "data": DATA}
BASE = job(configuration=PHONE, workload=WORKLOAD, tokenizer="/a/tokenizer.json", tokenizer_digest="ef" * 32)


@pytest.mark.parametrize(
    "changes",
    [
        {"key": "0" * 16, "variant": "int4", "digest": "cd" * 32, "artefact": "/elsewhere/m.onnx", "recipe": "other"},
        {"configuration": {**PHONE, "name": "renamed", "python": "/home/x/bin/python3.11", "accelerator": None}},
        {"workload": {**WORKLOAD, "name": "renamed", "prompt": {"text": "Hello", "file": "b.txt"}}},
        {"workload": {**WORKLOAD, "data": {**DATA, "path": "/b/e.npz", "calibration": None, "shared_samples": 3}}},
        {"tokenizer": "C:\\models\\renamed.json"},
        {"reference": "another", "ships": False, "download_bytes": 1},
    ],
)
def test_names_and_places_change_no_cell(changes: dict[str, Any]) -> None:
    assert Job.from_json({**BASE.to_json(), **changes}).cell == BASE.cell


@pytest.mark.parametrize(
    "changes",
    [
        {"hardware": "phone"},
        {"model": "other"},
        {"scenario": "first-token"},
        {"settings": {"warmup": 3}},
        {"timeout_s": 60.0},
        {"tokenizer_digest": "cd" * 32},
        {"configuration": {**PHONE, "threads": 4}},
        {"configuration": {**PHONE, "python": "/opt/a/bin/python3.12"}},
        {"configuration": {**PHONE, "accelerator": "/opt/lib/libdelegate.so"}},
        {"configuration": {**PHONE, "accelerator_options": {"load_config": '{"cache": "/a/b"}'}}},
        {"workload": {**WORKLOAD, "prompt": {"text": "Hello!"}}},
        {"workload": {**WORKLOAD, "data": {**DATA, "sha256": "cd" * 32}}},
        {"against": {"digest": "ef" * 32, "configuration": {}}},
    ],
)
def test_whatever_is_asked_for_does(changes: dict[str, Any]) -> None:
    assert Job.from_json({**BASE.to_json(), **changes}).cell != BASE.cell


def test_options_that_hold_a_slash_are_no_paths() -> None:
    told = ({**PHONE, "accelerator_options": {"load_config": f'{{"device": "{name}/x"}}'}} for name in ("a", "b"))
    one, other = (Job.from_json({**BASE.to_json(), "configuration": each}) for each in told)
    assert one.cell != other.cell


@pytest.mark.parametrize("before", [BEFORE, GOLDEN / "earlier.sqlite"], ids=lambda path: path.stem)
def test_a_store_of_before_is_asked_as_one_of_today(before: Path, tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    shutil.copy(before, path)
    assert revision(path) == "0001"
    store = Store(f"sqlite:///{path}")
    for run in store.list_runs():
        attempts = store.attempts(run.id)
        results = derive(store.jobs(run.id), attempts)
        assert results
        mine = [each for each in store.figures() if each.run == run.id]
        good = [each for each in attempts if each.outcome.ok]
        assert len(mine) == sum(len(each.measurements) for each in good)
        for found, _ in store.jobs(run.id):
            columns = job_columns(found.to_json())
            assert all(
                columns[name] == getattr(each, name) for each in mine if each.key == found.key for name in columns
            )
    assert any(each.percentiles for each in store.figures())
    for each in store.figures(metric="itl"):
        (same,) = [
            other
            for run in store.list_runs()
            if run.id == each.run
            for tried in store.attempts(run.id)
            if (tried.job, tried.round, tried.outcome.ok) == (each.key, each.round, True)
            for other in tried.measurements
            if other.metric == each.metric and other.parameters == each.parameters
        ]
        assert each.percentiles[50] == float(np.percentile(same.samples, 50))
    store.close()
    assert revision(path) == REVISION


def test_a_store_of_before_that_may_not_be_written_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "archive.db"
    shutil.copy(BEFORE, path)
    content = path.read_bytes()
    monkeypatch.setattr(opening, "_is_archive", lambda url: url.database == str(path))
    store = Store(f"sqlite:///{path}")
    (run,) = store.list_runs()
    assert (run.jobs, run.attempts) == (2, 6)
    assert len(store.attempts(run.id)) == 6
    assert store.figures(metric="itl")
    store.close()
    assert path.read_bytes() == content
    assert revision(path) == "0001"


def revision(path: Path) -> str:
    connection = sqlite3.connect(path)
    (found,) = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    connection.close()
    return str(found)


def test_cells_are_stored(store: Store) -> None:
    run = new_run(store, BASE)
    with store.reading() as connection:
        stored, told = connection.execute(select(jobs.c.cell, jobs.c.job_json).where(jobs.c.run_id == run)).one()
    assert stored == BASE.cell
    assert json.loads(told)["variant"] == "int8"
