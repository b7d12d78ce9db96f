"""Nights packed whole: history says the same as of their rows, and whatever changes a run changes its packing."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Table, delete, select, update

from benchharness import stores
from benchharness.errors import StoreError
from benchharness.judge.history import history_of
from benchharness.metrics import METRICS
from benchharness.results import packed_nights
from benchharness.results.history import Part
from benchharness.results.schema import attempts, jobs, measurements, runs
from benchharness.results.schema import packed_nights as table
from benchharness.results.store import Store
from tests.unit.history_samples import Made, changed_nights, told, write
from tests.unit.made_up import attempt, job, measured

GOLDEN = Path(__file__).parent.parent / "golden"
NOW = datetime(2027, 1, 1, tzinfo=UTC)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store(f"sqlite:///{tmp_path / 'store.db'}")
    yield opened
    opened.close()


def pack(store: Store, every: int = 1) -> None:
    with store.writing() as connection:
        for run in connection.execute(select(runs.c.id).order_by(runs.c.id)).scalars().all()[::every]:
            packed_nights.keep(connection, run)


def unpack(store: Store) -> None:
    with store.writing() as connection:
        connection.execute(delete(table))


def packed(store: Store) -> list[str]:
    with store.reading() as connection:
        return sorted(connection.execute(select(table.c.run_id)).scalars())


def said(store: Store, part: Part | None = None) -> str:
    return history_of(store.history(part or Part()), now=NOW).to_json()


def nights() -> list[Made]:
    """A step with its artefact, crashes, a night that goes on, one that nothing ran on, and percentiles."""
    made = [replace(each, metrics=("model_ttft", "itl", "decode_rate", "peak_memory")) for each in changed_nights()]
    made[20] = replace(made[20], state="interrupted")
    made[21] = replace(made[21], scale={"base": None, "candidate": None, "fp32": None})
    return made


@pytest.mark.parametrize("every", [1, 2])
def test_history_says_the_same_of_rows_and_of_packed_nights(store: Store, every: int) -> None:
    write(store, nights(), rounds=3)
    parts = [Part(), Part(metric="itl"), Part(hardware="this-machine"), Part(hardware="none"), Part(suite="phones"),
             Part(since=datetime(2026, 3, 12, tzinfo=UTC))]  # fmt: skip
    from_rows = [said(store, part) for part in parts]
    assert "confirmed" in from_rows[0]
    assert len(set(from_rows)) >= 4
    pack(store, every)
    assert len(packed(store)) == (27 if every == 1 else 13), "the one that may go on is not packed"
    with store.writing() as connection:  # what is packed is not read from rows
        of = select(attempts.c.id).where(attempts.c.run_id.in_(select(table.c.run_id)))
        connection.execute(delete(measurements).where(measurements.c.attempt_id.in_(of)))
    assert [said(store, part) for part in parts] == from_rows


def finished(store: Store) -> str:
    run = store.create_run(suite="s", digest="", suite_json="{}", hardware_json='{"name": "m"}', planned=[job()])
    store.save_attempt(run, attempt(0, measured("model_ttft", 2e6), id=f"{run[:-1]}a"))
    store.set_state(run, "finished")
    return run


def test_a_run_is_packed_when_it_is_finished_and_no_longer_when_it_goes_on(store: Store) -> None:
    run = finished(store)
    assert packed(store) == [run]
    store.set_state(run, "running")
    assert packed(store) == []
    store.set_state(run, "finished")
    store.save_attempt(run, attempt(1, measured("model_ttft", 9e6), id=f"{run[:-1]}b"))
    assert packed(store) == []
    assert 9e6 in store.history(Part()).value


def test_what_only_another_package_knows_is_left_to_its_rows(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    run = store.create_run(suite="s", digest="", suite_json="{}", hardware_json='{"name": "m"}', planned=[job()])
    odd = replace(METRICS["model_ttft"], name="splendour")
    monkeypatch.setitem(METRICS, "splendour", odd)
    store.save_attempt(run, attempt(0, measured("splendour", 2e6)))
    monkeypatch.delitem(METRICS, "splendour")
    store.set_state(run, "finished")
    assert packed(store) == []


def test_another_form_is_not_read(store: Store) -> None:
    write(store, nights(), rounds=2)
    from_rows = said(store)
    pack(store)
    with store.writing() as connection:
        connection.execute(update(table).values(form=packed_nights.FORM + 1, figures=b"of another kind"))
    assert said(store) == from_rows


@pytest.mark.parametrize(
    "damage",
    [
        {"figures": b"\x01" * 20},
        {"figures": b"\x00" * 19},
        {"figures": b"\xff" * 20},
        {"jobs": "[[1, 2, 3, [], 4, 5, 6]]"},
        {"jobs": '{"not": "a list"}'},
        {"metrics": '[["model_ttft"]]'},
        {"metrics": "[[7, {}, null]]"},
        {"metrics": "[1"},
        {"metrics": "[" * 100_000},
        {"jobs": "[" * 100_000},
        {"jobs": '[["k", "d", "h", [null, null, null, null], Infinity, 1, ""]]'},
        {"jobs": '[["k", "d", "h", [null, null, null, null], 1, -1, ""]]'},
        {"jobs": '[["k", "d", "h", [null, null, null, null], 1, 2, ""]]'},
    ],
)
def test_damage_is_told_and_never_shown(store: Store, tmp_path: Path, damage: dict[str, object]) -> None:
    run = finished(store)
    with store.writing() as connection:
        connection.execute(update(table).where(table.c.run_id == run).values(**damage))
    with pytest.raises(StoreError, match="holds what cannot be read"):
        store.history(Part())
    found = stores.verify(store=f"sqlite:///{tmp_path / 'store.db'}")
    assert found.trouble["packed nights that do not agree with their attempts"].count == 1


@pytest.mark.parametrize(
    ("changed", "values"),
    [
        (attempts, {"round": 1e300}),
        (attempts, {"round": "first"}),
        (attempts, {"round": 2**62}),
        (attempts, {"round": -1}),
        (measurements, {"percentiles": f'{{"50": {10**400}}}'}),
        (measurements, {"percentiles": "[" * 100_000}),
        (jobs, {"job_json": "[" * 100_000}),
        (jobs, {"job_json": json.dumps({**job().to_json(), "configuration": "none"})}),
        (jobs, {"job_json": "[]"}),
    ],
)
def test_damaged_rows_are_told_and_packed_by_nobody(tmp_path: Path, changed: Table, values: dict[str, object]) -> None:
    """A store of before nights were packed, of whoever: it is opened, and says that it cannot be read."""
    shutil.copy(GOLDEN / "store-0003.sqlite", tmp_path / "old.db")
    with closing(sqlite3.connect(tmp_path / "old.db")) as connection, connection:
        ((column, value),) = values.items()
        where = " WHERE metric = 'itl'" if changed is measurements else ""
        connection.execute(f"UPDATE {changed.name} SET {column} = ?{where}", (value,))
        assert connection.total_changes
    opened = Store(f"sqlite:///{tmp_path / 'old.db'}")
    with pytest.raises(StoreError, match="cannot be read"):
        opened.history(Part())
    opened.close()


def test_a_fact_is_no_longer_than_where_rows_are_read(store: Store) -> None:
    run = finished(store)
    told = json.dumps([[job().key, "d", "h", ["x" * 10_000, None, None, None], 1, 1, ""]])
    with store.writing() as connection:
        connection.execute(update(table).where(table.c.run_id == run).values(jobs=told))
    (found,) = store.history(Part()).jobs
    assert found.facts == ("x" * 200, None, None, None)


def test_a_forged_figure_is_found_by_who_verifies(store: Store, tmp_path: Path) -> None:
    run = finished(store)
    with store.writing() as connection:
        connection.execute(update(measurements).values(value=1e6))
    found = stores.verify(store=f"sqlite:///{tmp_path / 'store.db'}")
    assert found.trouble["packed nights that do not agree with their attempts"].first == [run]


def test_pruning_keeps_what_is_packed(store: Store, tmp_path: Path) -> None:
    run = store.create_run(suite="s", digest="", suite_json="{}", hardware_json='{"name": "m"}', planned=[job()])
    gaps = [float(each) for each in range(1_000_000, 1_000_700)]
    store.save_attempt(run, attempt(0, measured("itl", 1e6, gaps)))
    store.set_state(run, "finished")
    before = said(store)
    assert "percentile" in before
    stores.prune(NOW + timedelta(days=400), store=f"sqlite:///{tmp_path / 'store.db'}")
    assert packed(store) == [run]
    assert said(store) == before
    found = stores.verify(store=f"sqlite:///{tmp_path / 'store.db'}")
    assert (found.samples, "packed nights that do not agree with their attempts" in found.trouble) == (0, False)


def test_what_is_imported_is_packed_here_and_not_taken_from_there(tmp_path: Path) -> None:
    theirs, mine = (f"sqlite:///{tmp_path / name}.db" for name in ("theirs", "mine"))
    (tmp_path / "theirs.db").write_bytes((GOLDEN / "store-0003.sqlite").read_bytes())
    source = Store(theirs)
    honest = packed(source)
    assert honest, "migrating packs what was finished"
    with source.writing() as connection:
        connection.execute(update(table).values(figures=b"\x07" * 20, metrics='[["model_ttft", "{}", null]]'))
    source.close()
    stores.import_stores([theirs], store=mine)
    assert packed(Store(mine)) == honest
    assert stores.verify(store=mine).sound


def test_an_old_store_is_packed_once_and_says_what_it_said(tmp_path: Path) -> None:
    shutil.copy(GOLDEN / "store-0003.sqlite", tmp_path / "old.db")
    old = Store(f"sqlite:///{tmp_path / 'old.db'}")
    assert packed(old)
    from_packed = said(old)
    unpack(old)
    assert said(old) == from_packed
    old.close()


def test_history_of_a_store_without_runs_is_empty(store: Store) -> None:
    assert told(store).trends == []
