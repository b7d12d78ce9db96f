"""A store in PostgreSQL is the same store: made, migrated, asked, pruned, brought and verified as one in a file."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import inspect

from benchharness import api, stores
from benchharness.errors import StoreError
from benchharness.results.opening import open_to_write
from benchharness.results.schema import REVISION, metadata
from benchharness.results.store import Store
from tests.postgres import Postgres, change
from tests.unit.history_samples import changed_nights, told, write
from tests.unit.made_up import attempt, job, measured

GOLDEN = Path(__file__).parent.parent / "golden"
SOON = datetime.now(UTC) + timedelta(days=1)


@pytest.fixture
def url(postgres: Postgres) -> str:
    return postgres.store()


@pytest.fixture
def golden(tmp_path: Path) -> str:
    """Runs of every scenario, in a file."""
    path = shutil.copy(GOLDEN / "earlier.sqlite", tmp_path)
    Store(f"sqlite:///{path}").close()
    return f"sqlite:///{path}"


@pytest.fixture
def brought(url: str, golden: str) -> str:
    """The same runs on the server."""
    (done,) = stores.import_stores([golden], store=url)
    assert (len(done.added), dict(done.refused)) == (4, {})
    return url


def said(store_url: str, *, samples: bool = True) -> dict[str, Any]:
    return {run.id: api.load(run.id, store=store_url).to_json(samples=samples) for run in api.runs(store=store_url)}


def test_its_tables_are_what_the_code_says(url: str) -> None:
    store = Store(url)
    assert store.lacks() == []
    store.close()
    engine = open_to_write(url)
    found = inspect(engine)
    for table in metadata.sorted_tables:
        there = {column["name"]: bool(column["nullable"]) for column in found.get_columns(table.name)}
        assert there == {column.name: bool(column.nullable) for column in table.columns}, table.name
        indexes = {each["name"] for each in found.get_indexes(table.name)}
        assert indexes == {index.name for index in table.indexes}, table.name
    engine.dispose()


def test_two_who_open_a_new_database_at_once_make_one_store(postgres: Postgres) -> None:
    new = postgres.database()
    troubles: list[Exception] = []

    def opens() -> None:
        try:
            Store(new).close()
        except Exception as error:
            troubles.append(error)

    threads = [threading.Thread(target=opens) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert troubles == []
    store = Store(new, read_only=True)
    assert store.list_runs() == []
    store.close()


def test_a_database_of_something_else_is_refused(postgres: Postgres) -> None:
    new = postgres.database()
    engine = open_to_write(new)
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP TABLE alembic_version")
    engine.dispose()
    with pytest.raises(StoreError, match="a database of something else"):
        Store(new)


def test_one_of_an_older_schema_is_only_read_after_it_was_migrated(url: str) -> None:
    change(url, "UPDATE alembic_version SET version_num = ?", "0003")
    try:
        with pytest.raises(StoreError, match="its schema is 0003"):
            Store(url, read_only=True)
    finally:
        change(url, "UPDATE alembic_version SET version_num = ?", REVISION)


def test_every_figure_of_every_scenario_is_the_same_from_both(brought: str, golden: str) -> None:
    assert said(brought) == said(golden)


def test_what_was_brought_is_brought_once_and_back_again(brought: str, golden: str, tmp_path: Path) -> None:
    (again,) = stores.import_stores([golden], store=brought)
    assert (list(again.added), len(again.here), again.attempts) == ([], 4, 0)
    back = f"sqlite:///{tmp_path / 'back.db'}"
    (done,) = stores.import_stores([brought], store=back)
    assert (len(done.added), dict(done.refused)) == (4, {})
    assert said(back) == said(golden)


def test_pruning_keeps_every_figure(brought: str, golden: str) -> None:
    before = said(brought, samples=False)
    assert stores.prunable(SOON, store=brought).measurements == 34
    done = stores.prune(SOON, store=brought)
    assert (done.runs, done.measurements, done.damaged) == (4, 34, 0)
    after = said(brought, samples=False)
    stores.prune(SOON, store=golden)
    assert after.keys() == before.keys()
    assert said(golden, samples=False) == after


def test_a_sound_one_is_sound_and_a_damaged_one_is_not(brought: str, golden: str) -> None:
    found, same = stores.verify(store=brought), stores.verify(store=golden)
    assert replace(found, url="") == replace(same, url="")
    assert found.samples > 0
    (run, *_) = [run.id for run in api.runs(store=brought)]
    change(brought, "UPDATE jobs SET cell = 'other' WHERE run_id = ? AND position = 0", run)
    assert stores.verify(store=brought).trouble != found.trouble


def test_history_and_pages_are_the_same_from_both(url: str, tmp_path: Path) -> None:
    file = f"sqlite:///{tmp_path / 'nights.db'}"
    here, there = Store(file), Store(url)
    nights = changed_nights()
    write(here, nights)
    write(there, nights)
    assert told(there).steps() == told(here).steps()
    assert [replace(each) for each in told(there).trends] == [replace(each) for each in told(here).trends]
    here.close()
    there.close()


def test_a_site_over_a_store_on_a_server(brought: str, golden: str, tmp_path: Path) -> None:
    there = {path.name for path in api.site(tmp_path / "there", store=brought)}
    assert there == {path.name for path in api.site(tmp_path / "here", store=golden)}


def test_a_reader_sees_one_moment(url: str) -> None:
    store, other = Store(url), Store(url)
    run = store.create_run(suite="s", digest="", suite_json="{}", hardware_json="{}", planned=[job()])
    with store.reading() as connection:
        count = connection.exec_driver_sql("SELECT count(*) FROM attempts").scalar_one()
        other.save_attempt(run, attempt(0, measured("itl", 1.0)))
        assert connection.exec_driver_sql("SELECT count(*) FROM attempts").scalar_one() == count == 0
    assert len(store.attempts(run)) == 1
    store.close()
    other.close()


@pytest.fixture(autouse=True)
def _no_sleepers(postgres: Postgres) -> Iterator[None]:
    """What a test leaves open would hold the next one's tables."""
    yield
    with postgres.server.connect("postgres") as connection:
        query = "SELECT count(*) FROM pg_stat_activity WHERE datname = 'store' AND state LIKE 'idle in %'"
        assert connection.execute(query).fetchone() == (0,)
