"""Verifying: every kind of damage is found, counted and named, and looking changes nothing."""

from __future__ import annotations

import shutil
import sqlite3
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from benchharness import stores
from benchharness.errors import StoreError
from benchharness.results.store import Store
from benchharness.results.verify import MOST_NAMED, Verified, key_of
from tests.unit.made_up import attempt, job, jobs_of, loaded, measured
from tests.unit.test_store_questions import SUITE

GOLDEN = Path(__file__).parent.parent / "golden"
SAMPLES = np.random.default_rng(5).lognormal(13, 0.3, 200).tolist()
JOB = replace(job(), key=key_of(job().to_json()))


def url(path: Path) -> str:
    return f"sqlite:///{path}"


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("template") / "store.db"
    store = Store(url(path))
    for number in range(2):
        run = store.create_run(
            suite="s", digest="", suite_json="{}", hardware_json='{"name": "this-machine"}', planned=[JOB]
        )
        now = datetime.now(UTC)
        for round_ in range(4):
            latency = measured("steady_inference", float(np.median(SAMPLES)), SAMPLES)
            made = attempt(round_, latency, measured("peak_memory", 2e6), job=JOB.key, started=now)
            store.save_attempt(run, replace(made, id=f"a{number}-{round_}"))
        store.set_state(run, "finished")
    store.close()
    return path


@pytest.fixture
def path(tmp_path: Path, template: Path) -> Path:
    folder = tmp_path / "store"
    folder.mkdir()
    return Path(shutil.copy(template, folder))


def change(path: Path, statement: str, *values: object) -> None:
    connection = sqlite3.connect(path)
    with connection:
        connection.execute(statement, values)
    connection.close()


def verified(path: Path) -> Verified:
    """Nothing in the store's folder may be otherwise afterwards."""
    before = {each.name: each.read_bytes() for each in path.parent.iterdir()}
    found = stores.verify(store=url(path))
    assert {each.name: each.read_bytes() for each in path.parent.iterdir()} == before
    return found


def test_a_sound_store_is_told_with_what_was_looked_at(path: Path) -> None:
    found = verified(path)
    assert found.sound
    assert not found.notes
    assert (found.runs, found.jobs, found.attempts, found.measurements, found.samples) == (2, 2, 8, 16, 8 * 200)


@pytest.mark.parametrize(
    ("statement", "kind", "count"),
    [
        ("DELETE FROM runs WHERE id = (SELECT min(id) FROM runs)", "jobs of no run", 1),
        ("DELETE FROM runs WHERE id = (SELECT min(id) FROM runs)", "attempts of no run", 4),
        ("DELETE FROM jobs WHERE run_id = (SELECT min(id) FROM runs)", "attempts of no job", 4),
        ("DELETE FROM attempts WHERE id = 'a0-0'", "measurements of no attempt", 2),
        ("UPDATE runs SET state = 'splendid'", "runs in no state", 2),
        ("UPDATE runs SET suite_json = '{'", "runs whose request cannot be read", 2),
        ("UPDATE jobs SET job_json = '{'", "jobs that cannot be read", 2),
        ("UPDATE jobs SET job_json = json_remove(job_json, '$.model')", "jobs that cannot be read", 2),
        ("UPDATE jobs SET key = 'x' WHERE run_id = (SELECT min(id) FROM runs)", "jobs under another key", 1),
        (
            "UPDATE jobs SET job_json = json_set(job_json, '$.recipe', 'another')",
            "jobs whose key does not follow from what they say",
            2,
        ),
        ("UPDATE jobs SET cell = 'another'", "jobs whose cell does not follow from what they say", 2),
        ("UPDATE jobs SET variant = 'another'", "jobs whose columns say something else", 2),
        ("UPDATE attempts SET outcome = 'splendid' WHERE round = 1", "attempts that cannot be read", 2),
        ("UPDATE attempts SET conditions = '[]' WHERE round = 1", "attempts that cannot be read", 2),
        ("UPDATE measurements SET value = 'much' WHERE position = 1", "values that are no numbers", 8),
        ("UPDATE measurements SET samples = x'00' WHERE position = 0", "samples that cannot be unpacked", 8),
        ("UPDATE measurements SET samples = x'' WHERE position = 0", "samples that cannot be unpacked", 8),
        ("UPDATE measurements SET samples = 'text' WHERE position = 0", "samples that cannot be unpacked", 8),
        (
            "UPDATE measurements SET samples_count = 3 WHERE position = 0",
            "samples that are not as many as were counted",
            8,
        ),
        *(
            (
                f"UPDATE measurements SET {name} = {name} * 1.001 WHERE position = 0",
                "samples that do not agree with what is kept beside them",
                8,
            )
            for name in ("first_sample", "least_sample", "middle_sample", "deviation", "mean_sample")
        ),
        (
            "UPDATE measurements SET percentiles = json_set(percentiles, '$.90', 1.0) WHERE position = 0",
            "samples that do not agree with what is kept beside them",
            8,
        ),
        (
            "UPDATE measurements SET percentiles = '[]' WHERE position = 0",
            "samples that do not agree with what is kept beside them",
            8,
        ),
    ],
)
def test_every_kind_of_trouble_is_counted_and_its_first_few_are_named(
    path: Path, statement: str, kind: str, count: int
) -> None:
    change(path, statement)
    found = verified(path)
    assert not found.sound
    assert found.trouble[kind].count == count
    assert len(found.trouble[kind].first) == min(count, MOST_NAMED)


@pytest.mark.parametrize(
    ("statement", "kind"),
    [
        ("UPDATE attempts SET duration_ns = -1 WHERE id = 'a0-0'", "attempts that ended before they began"),
        (
            "UPDATE attempts SET started = '2020-01-01 00:00:00.000000' WHERE id = 'a0-0'",
            "attempts before their run began",
        ),
        (
            "UPDATE runs SET started = '2020-01-01 00:00:00.000000' WHERE id = (SELECT max(id) FROM runs)",
            "runs out of order: a clock was set back",
        ),
        (
            "UPDATE runs SET finished = '2020-01-01 00:00:00.000000' WHERE id = (SELECT max(id) FROM runs)",
            "runs that ended before they began",
        ),
    ],
)
def test_a_clock_that_went_back_is_a_note(path: Path, statement: str, kind: str) -> None:
    change(path, statement)
    found = verified(path)
    assert found.sound
    assert {name: each.count for name, each in found.notes.items()} == {kind: 1}


def test_another_percentile_than_today_is_kept_is_no_trouble(path: Path) -> None:
    change(path, "UPDATE measurements SET percentiles = '{}', mean_sample = NULL")
    change(path, "DELETE FROM packed_nights")  # whoever kept no percentiles packed none
    assert verified(path).sound


def test_a_pruned_store_is_sound_and_one_that_says_so_without_it_is_not(path: Path) -> None:
    stores.prune(datetime.now(UTC) + timedelta(days=1), store=url(path))
    found = verified(path)
    assert (found.sound, found.samples) == (True, 0)
    change(path, "UPDATE measurements SET middle_sample = NULL WHERE position = 0")
    assert verified(path).trouble["pruned samples of which too little was kept"].count == 8
    change(path, "UPDATE measurements SET metric = 'sustained_window' WHERE position = 0")
    assert verified(path).trouble["rows of raw tables that are gone"].count == 8
    change(path, "UPDATE runs SET pruned = NULL")
    assert verified(path).trouble["samples that cannot be unpacked"].count == 8


def test_damage_of_the_file_itself_is_found(path: Path) -> None:
    whole = bytearray(path.read_bytes())
    for place in range(8192, len(whole), 4096):  # every page's header
        whole[place : place + 8] = b"\xff" * 8
    path.write_bytes(whole)
    found = verified(path)
    assert "SQLite finds damage" in found.trouble
    assert "it cannot be read further" in found.trouble


def test_an_index_that_lost_an_entry_is_found(path: Path) -> None:
    change(path, "PRAGMA writable_schema=ON")
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA writable_schema=ON")
    with connection:
        connection.execute(
            "UPDATE sqlite_master SET sql = replace(sql, '(cell)', '(model)') WHERE name = 'ix_jobs_cell'"
        )
    connection.close()
    assert "SQLite finds damage" in verified(path).trouble


@pytest.mark.parametrize("name", ["store-0001", "store-0002", "store-0003"])
def test_a_store_of_an_older_schema_is_looked_at_in_a_copy(name: str, tmp_path: Path) -> None:
    folder = tmp_path / "store"
    folder.mkdir()
    path = Path(shutil.copy(GOLDEN / f"{name}.sqlite", folder))
    found = verified(path)
    assert found.sound
    assert found.notes["of an older schema"].first == [f"{name[-4:]}; a copy was migrated and verified"]
    assert found.samples > 1000


def test_a_column_that_is_missing_is_named(path: Path) -> None:
    change(path, "ALTER TABLE measurements DROP COLUMN mean_sample")
    found = verified(path)
    assert found.trouble["the schema lacks a column"].first == ["measurements.mean_sample"]
    assert not found.sound


@pytest.mark.parametrize("kind", ["missing", "newer"])
def test_a_store_that_cannot_be_looked_at_is_an_error_and_nothing_is_made(path: Path, kind: str) -> None:
    if kind == "missing":
        path.unlink()
    else:
        change(path, "UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(StoreError, match="cannot be read" if kind == "missing" else "newer"):
        stores.verify(store=url(path))
    assert path.exists() == (kind == "newer")


def test_a_store_behind_a_link_is_verified(path: Path, tmp_path: Path) -> None:
    link = tmp_path / "link.db"
    link.symlink_to(path)
    store = Store(url(path))
    store.set_state(store.find("latest"), "splendid")  # in the log, which lies beside the file
    found = stores.verify(store=url(link))
    store.close()
    assert found.trouble["runs in no state"].count == 1


def test_the_keys_of_a_plan_follow_from_what_its_jobs_say(tmp_path: Path) -> None:
    planned = jobs_of(loaded(tmp_path, SUITE))
    assert len(planned) == 4
    assert [key_of(each.to_json()) for each in planned] == [each.key for each in planned]
