"""A store of before goes through what followed as it was then, whatever today's code says, and keeps nobody waiting."""

from __future__ import annotations

import ast
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from benchharness import stores
from benchharness.results import cell, migrations, opening, packed_nights, samples, schema
from benchharness.results.history import Part
from benchharness.results.store import Store

GOLDEN = Path(__file__).parent.parent / "golden"
FOLDER = Path(migrations.__file__).parent


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            yield str(node.module)
        elif isinstance(node, ast.Import):
            yield from (each.name for each in node.names)


@pytest.mark.parametrize(
    "path", [*sorted((FOLDER / "versions").glob("*.py")), *FOLDER.glob("as_of_*.py")], ids=lambda path: str(path.stem)
)
def test_a_migration_knows_no_code_of_today(path: Path) -> None:
    ours = {each for each in imported(path) if each.startswith("benchharness")}
    assert {each for each in ours if not each.startswith("benchharness.results.migrations.as_of_")} == set()


@pytest.fixture(params=["store-0001", "store-0002", "store-0003"])
def old(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return Path(shutil.copy(GOLDEN / f"{request.param}.sqlite", tmp_path / "old.db"))


def opened(path: Path) -> Store:
    return Store(f"sqlite:///{path}")


def test_an_old_store_becomes_what_it_would_have_been(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def of_today(*_: Any) -> Any:
        raise AssertionError("a migration asked today's code")

    with monkeypatch.context() as patched:
        for module, name in (
            (samples, "unpack"),
            (schema, "unpack"),
            (schema, "percentiles_of"),
            (schema, "summary_columns"),
            (schema, "job_columns"),
            (schema, "cell_of"),
            (cell, "cell_of"),
            (packed_nights, "keep"),
        ):
            patched.setattr(module, name, (lambda *_: None) if name == "keep" else of_today)
        opened(old).close()
    with closing(opened(old)) as store:
        # What today's code makes of it, as long as that says what it said then.
        for run in store.list_runs():
            for job, _ in store.jobs(run.id):
                with store.reading() as connection:
                    (kept,) = connection.exec_driver_sql(
                        "SELECT cell FROM jobs WHERE run_id = ? AND key = ?", (run.id, job.key)
                    ).one()
                assert kept == cell.cell_of(job.to_json())
    assert stores.verify(store=f"sqlite:///{old}").sound


def test_nobody_waits_while_nights_are_packed(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before each transaction of whoever migrates, somebody else may write at once."""
    written: list[bool] = []
    writer = opening.writer

    def watched(engine: Engine) -> Engine:
        with closing(sqlite3.connect(old, timeout=0, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            other.execute("ROLLBACK")
        written.append(True)
        return writer(engine)

    monkeypatch.setattr(opening, "writer", watched)
    with closing(opened(old)) as store:
        finished = [run for run in store.list_runs() if run.state == "finished"]
    assert len(written) == 1 + len(finished)
    assert len(finished) >= 1


def test_packing_that_is_broken_off_costs_time_alone(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken_off(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(packed_nights, "keep", broken_off)
        with pytest.raises(KeyboardInterrupt):
            opened(old)
    whole = shutil.copy(old, old.with_name("whole.db"))
    with closing(opened(old)) as store, closing(opened(Path(whole))) as packed:
        with packed.writing() as connection:
            for run in packed.list_runs():
                packed_nights.keep(connection, run.id)
        told, expected = (each.history(Part()) for each in (store, packed))
    assert len(told.value) > 0
    assert told.value.tolist() == expected.value.tolist()
