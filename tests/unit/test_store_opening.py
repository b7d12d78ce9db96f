"""Opening a store: a new one is made, an old one migrated, and everything else is refused in words."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import alembic.op
import pytest
from sqlalchemy import create_engine, inspect

from benchharness.errors import StoreError
from benchharness.results import migrations
from benchharness.results.schema import REVISION, metadata
from benchharness.results.store import Store
from tests.unit.made_up import job

OPEN_WHEN_TOLD = """
import sys
from benchharness.results import migrations
from benchharness.results.store import Store

migrations.known()  # Alembic is loaded by now
print("ready", flush=True)
sys.stdin.readline()
Store(sys.argv[1]).close()
"""


def schema(url: str) -> dict[str, Any]:
    engine = create_engine(url)
    found = inspect(engine)
    tables = {
        table: {
            "columns": [
                (column["name"], str(column["type"]), column["nullable"], column.get("primary_key"))
                for column in found.get_columns(table)
            ],
            "foreign keys": sorted(
                (key["constrained_columns"], key["referred_table"], key["referred_columns"])
                for key in found.get_foreign_keys(table)
            ),
            "indexes": sorted((index["name"], index["column_names"]) for index in found.get_indexes(table)),
        }
        for table in found.get_table_names()
        if table != "alembic_version"
    }
    engine.dispose()
    return tables


def test_migrating_an_empty_database_gives_the_schema_that_the_code_uses(tmp_path: Path) -> None:
    migrated, created = f"sqlite:///{tmp_path / 'migrated.db'}", f"sqlite:///{tmp_path / 'created.db'}"
    Store(migrated).close()
    engine = create_engine(created)
    metadata.create_all(engine)
    engine.dispose()
    assert schema(migrated) == schema(created)
    assert set(schema(migrated)) == {"runs", "jobs", "attempts", "measurements", "packed_nights"}


def test_the_revision_that_the_code_uses_is_the_newest_one(tmp_path: Path) -> None:
    Store(f"sqlite:///{tmp_path / 'store.db'}").close()
    engine = create_engine(f"sqlite:///{tmp_path / 'store.db'}")
    with engine.connect() as connection:
        assert migrations.revision_of(connection) == REVISION
    engine.dispose()
    assert REVISION in migrations.known()


def test_a_store_of_a_newer_version_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    Store(f"sqlite:///{path}").close()
    connection = sqlite3.connect(path)
    with connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(StoreError, match=r"written by a newer benchharness \(schema 9999\); upgrade") as refused:
        Store(f"sqlite:///{path}")
    assert str(path) in str(refused.value)
    assert connection.execute("SELECT version_num FROM alembic_version").fetchall() == [("9999",)]
    connection.close()


def test_a_migration_that_was_cut_short_can_be_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"sqlite:///{tmp_path / 'store.db'}"
    create = alembic.op.create_table

    def cut_short(name: str, *columns: Any, **options: Any) -> Any:
        if name == "attempts":
            raise KeyboardInterrupt
        return create(name, *columns, **options)

    with monkeypatch.context() as patched:
        patched.setattr(alembic.op, "create_table", cut_short)
        with pytest.raises(KeyboardInterrupt):
            Store(url)
    Store(url).close()


def test_processes_that_open_a_new_store_at_once_all_succeed(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'store.db'}"
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", OPEN_WHEN_TOLD, url],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(4)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    ended = [process.communicate(timeout=300) for process in processes]
    assert [words for _, words in ended] == [""] * 4


def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("not a database " * 100)
    with pytest.raises(StoreError, match="not a database") as refused:
        Store(f"sqlite:///{path}")
    assert str(path) in str(refused.value)
    assert path.read_text() == "not a database " * 100


def test_a_folder_that_is_not_there_is_refused_with_the_path(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="unable to open") as refused:
        Store(f"sqlite:///{tmp_path / 'nowhere' / 'store.db'}")
    assert str(tmp_path / "nowhere") in str(refused.value)


def test_a_folder_that_may_not_be_written_is_refused_with_the_path(tmp_path: Path) -> None:
    folder = tmp_path / "read-only"
    folder.mkdir()
    folder.chmod(0o500)
    if os.access(folder, os.W_OK):
        pytest.skip("this user, such as root, may write into any folder")
    with pytest.raises(StoreError) as refused:
        Store(f"sqlite:///{folder / 'store.db'}")
    folder.chmod(0o700)
    assert str(folder) in str(refused.value)


def test_a_database_that_may_not_be_written_is_refused_with_the_path(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    Store(f"sqlite:///{path}").close()
    store = Store(f"sqlite:///file:{path}?mode=ro&uri=true")
    with pytest.raises(StoreError, match="readonly") as refused:
        store.create_run(suite="s", digest="d", suite_json="{}", hardware_json="{}", planned=[job()])
    store.close()
    assert str(path) in str(refused.value)


@pytest.mark.parametrize("url", ["results.db", "", "nosuch://somewhere", "sqlite://host:port/store.db"])
def test_what_is_no_url_is_refused_with_an_example(url: str) -> None:
    with pytest.raises(StoreError, match=r"sqlite:///results\.db") as refused:
        Store(url)
    assert repr(url) in str(refused.value)


@pytest.mark.parametrize("table", ["runs", "invoices"])
def test_a_database_of_something_else_is_refused_and_left_alone(tmp_path: Path, table: str) -> None:
    path = tmp_path / "theirs.db"
    connection = sqlite3.connect(path)
    connection.execute(f"CREATE TABLE {table} (mine TEXT)")
    with pytest.raises(StoreError) as refused:
        Store(f"sqlite:///{path}")
    assert str(path) in str(refused.value)
    assert connection.execute("SELECT name FROM sqlite_master").fetchall() == [(table,)]
    connection.close()
