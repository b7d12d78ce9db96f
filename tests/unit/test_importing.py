"""Importing: runs of other stores come whole or not at all, nothing there is changed, and nothing in it is believed."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import sqlite3
import zlib
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from benchharness import api, stores
from benchharness.errors import StoreError, UsageError
from benchharness.results import migrations
from benchharness.results.importing import Imported
from benchharness.results.result import Attempt
from benchharness.results.samples import pack
from benchharness.results.store import Store
from benchharness.results.verify import key_of
from tests.unit.made_up import attempt, job, measured

GOLDEN = Path(__file__).parent.parent / "golden"
GOLDENS = [GOLDEN / f"{name}.sqlite" for name in ("earlier", "store-0001", "store-0002", "store-0003")]
SAMPLES = np.random.default_rng(5).lognormal(13, 0.3, 200).tolist()
PLANNED = [job(), job(variant="fp32")]
JOBS = [replace(each, key=key_of(each.to_json())) for each in PLANNED]
REQUEST = {"suite_json": '{"budgets": {}}', "hardware_json": '{"name": "this-machine"}'}


def made(round_: int, of: str, run: str) -> Attempt:
    latency = measured("steady_inference", float(np.median(SAMPLES)), SAMPLES, parameters={"text": "é"})
    memory = measured("memory_timeline", 2e6, [1.0, 1e6, 2.0, 2e6], row_length=2)
    return attempt(round_, latency, memory, measured("peak_memory", 2e6), job=of, id=f"{run[-12:]}-{of[:4]}-{round_}")


def add(store: Store, suite: str = "phones", rounds: int = 2) -> str:
    """A finished run with attempts of two jobs."""
    run = store.create_run(suite=suite, digest="5f", planned=JOBS, **REQUEST)
    for round_ in range(rounds):
        for each in JOBS:
            store.save_attempt(run, made(round_, each.key, run))
    store.set_state(run, "finished")
    return run


def url(path: Path) -> str:
    return f"sqlite:///{path}"


@pytest.fixture(scope="module")
def templates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Stores to copy, which is quicker than to make them: an empty one, and one with two runs."""
    folder = tmp_path_factory.mktemp("templates")
    Store(url(folder / "mine.db")).close()
    store = Store(url(folder / "nightly.db"))
    for suite in ("phones", "boards"):
        add(store, suite)
    store.close()
    return folder


@pytest.fixture
def theirs(tmp_path: Path, templates: Path) -> Path:
    """Another machine's store: two runs. Its folder holds nothing else."""
    folder = tmp_path / "theirs"
    folder.mkdir()
    return Path(shutil.copy(templates / "nightly.db", folder))


@pytest.fixture
def mine(tmp_path: Path, templates: Path) -> str:
    return url(Path(shutil.copy(templates / "mine.db", tmp_path)))


def bring(source: Path | str, into: str) -> Imported:
    (done,) = stores.import_stores([source], store=into)
    return done


def runs_of(store_url: str) -> list[str]:
    return [run.id for run in api.runs(store=store_url)]


def everything(store_url: str) -> dict[str, Any]:
    """All that a store says of its runs, samples included."""
    return {run: json.loads(api.load(run, store=store_url).to_json()) for run in runs_of(store_url)}


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def change(path: Path, *statements: str) -> None:
    connection = sqlite3.connect(path)
    with connection:
        for statement in statements:
            connection.execute(statement)
    connection.close()


@pytest.mark.parametrize("golden", GOLDENS, ids=lambda path: path.stem)
def test_runs_of_every_schema_come_whole_once_and_are_told_where_from(golden: Path, tmp_path: Path, mine: str) -> None:
    folder = tmp_path / "theirs"
    folder.mkdir()
    path = Path(shutil.copy(golden, folder / "a store, of 50 % ünïcode.db"))
    before = content(folder)
    first, again = bring(path, mine), bring(path, mine)
    assert content(folder) == before
    assert (len(first.added), first.here, dict(first.refused)) == (len(runs_of(mine)), (), {}) or first.here == []
    assert first.attempts > 0
    assert (list(again.added), sorted(again.here), again.attempts) == ([], sorted(first.added), 0)
    assert {run.origin for run in api.runs(store=mine)} == {str(path)}
    assert everything(url(path)) == everything(mine)  # their own is migrated by that


def test_what_was_written_and_not_yet_moved_into_the_file_comes_too(theirs: Path, mine: str) -> None:
    """As a machine leaves it that lost its power: a log beside the file."""
    child = os.fork()
    if child == 0:
        store = Store(url(theirs))
        add(store, "cut short")
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    theirs.with_name("nightly.db-shm").unlink()
    before = content(theirs.parent)
    assert before["nightly.db-wal"]
    assert len(bring(theirs, mine).added) == 3
    assert content(theirs.parent) == before


def test_a_store_that_is_written_meanwhile_is_read_as_it_is(theirs: Path, mine: str) -> None:
    store = Store(url(theirs))
    add(store, "goes on")
    writer = sqlite3.connect(theirs)
    writer.execute("BEGIN IMMEDIATE")
    before = theirs.read_bytes(), theirs.with_name("nightly.db-wal").read_bytes()
    assert len(bring(theirs, mine).added) == 3
    assert (theirs.read_bytes(), theirs.with_name("nightly.db-wal").read_bytes()) == before
    writer.rollback()
    writer.close()
    store.close()


def test_a_store_is_named_by_its_url_too_and_several_are_brought_at_once(theirs: Path, mine: str) -> None:
    one, other = stores.import_stores([url(theirs), GOLDENS[1]], store=mine)
    assert (len(one.added), len(other.added), len(runs_of(mine))) == (2, 1, 3)


def damaged(path: Path) -> None:
    whole = bytearray(GOLDENS[3].read_bytes())
    whole[8192:90_000] = b"\xff" * (90_000 - 8192)
    path.write_bytes(whole)


def damaged_at_its_end(path: Path) -> None:
    whole = bytearray(GOLDENS[3].read_bytes())
    whole[-4096:-4000] = b"\xff" * 96
    path.write_bytes(whole)


def linked(path: Path) -> None:
    shutil.copy(GOLDENS[1], path.with_name("target.db"))
    path.symlink_to(path.with_name("target.db"))


def huge(path: Path) -> None:
    shutil.copy(GOLDENS[1], path)
    os.truncate(path, (16 << 30) + 4096)


def golden_but(statement: str) -> Callable[[Path], None]:
    """A store in which one thing is otherwise."""

    def make(path: Path) -> None:
        shutil.copy(GOLDENS[1], path)
        change(path, statement)

    return make


NO_STORES: dict[str, Callable[[Path], Any]] = {
    "missing": lambda _: None,
    "text": lambda path: path.write_text("no database " * 100),
    "empty": Path.touch,
    "a folder": Path.mkdir,
    "a pipe": os.mkfifo,
    "a link": linked,
    "a dangling link": lambda path: path.symlink_to(path.with_name("nowhere.db")),
    "cut off": lambda path: path.write_bytes(GOLDENS[3].read_bytes()[:70_000]),
    "damaged": damaged,
    "damaged at its end": damaged_at_its_end,
    "huge": huge,
    "something else's": lambda path: change(path, "CREATE TABLE invoices (mine TEXT)"),
    "a trigger": golden_but("CREATE TRIGGER t AFTER UPDATE ON jobs BEGIN DELETE FROM runs; END"),
    "a view": golden_but("CREATE VIEW v AS SELECT * FROM runs"),
    "a virtual table": golden_but("CREATE VIRTUAL TABLE v USING fts5(x)"),
    "newer": golden_but("UPDATE alembic_version SET version_num = '9999'"),
    "half migrated": golden_but("UPDATE alembic_version SET version_num = '0005'"),
    "older and damaged": golden_but("UPDATE jobs SET job_json = '[1'"),
}


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("missing", "cannot be read"),
        ("text", "no SQLite database"),
        ("empty", "no SQLite database"),
        ("a folder", "it is a folder"),
        ("a pipe", "it is no file"),
        ("a link", "it is a link; name the file itself, .*target.db"),
        ("a dangling link", "it is a link"),
        ("cut off", "damaged|malformed"),
        ("damaged", "damaged|malformed"),
        ("damaged at its end", "is damaged"),
        ("huge", "more than any store"),
        ("something else's", "holds no store"),
        ("a trigger", "it holds the trigger 't', which no store of ours has"),
        ("a view", "it holds the view 'v'"),
        ("a virtual table", "it holds the table 'v'"),
        ("newer", r"written by a newer benchharness \(schema 9999\); upgrade"),
        ("half migrated", "it lacks runs.pruned, "),
        ("older and damaged", "older schema and holds what cannot be read"),
    ],
)
def test_what_is_no_store_is_refused_in_words_and_nothing_is_changed(
    kind: str, words: str, theirs: Path, tmp_path: Path, mine: str
) -> None:
    folder = tmp_path / "others"
    folder.mkdir()
    path = folder / "other.db"
    NO_STORES[kind](path)
    with pytest.raises(StoreError, match=words) as refused:
        stores.import_stores([theirs, path], store=mine)
    assert str(path) in str(refused.value)
    assert "Traceback" not in str(refused.value)
    assert runs_of(mine) == []  # not even of the sound one beside it


def test_a_store_is_not_imported_into_itself(theirs: Path) -> None:
    for named in (str(theirs), url(theirs)):
        with pytest.raises(StoreError, match="it is this store itself"):
            stores.import_stores([named], store=url(theirs))


FORGED = {
    "an id that is a word": "UPDATE runs SET id = 'latest' WHERE suite = 'boards'",
    "an id that is a path": "UPDATE runs SET id = '../../x' WHERE suite = 'boards'",
    "an id that begins many": "UPDATE runs SET id = '0' WHERE suite = 'boards'",
    "no id": "UPDATE runs SET id = NULL WHERE suite = 'boards'",
    "no suite": "UPDATE runs SET suite_json = NULL",
    "half a suite": "UPDATE runs SET suite_json = '{\"a\": '",
    "a suite that is a list": "UPDATE runs SET suite_json = '[]'",
    "a budget of nothing": """UPDATE runs SET suite_json = '{"budgets": {"nosuch": "1 ms"}}'""",
    "no target": "UPDATE runs SET hardware_json = '{}'",
    "a date of no calendar": "UPDATE runs SET started = 'yesterday'",
    "a date before time": "UPDATE runs SET started = '0001-01-01 00:00:00.000000'",
    "no state": "UPDATE runs SET state = 'splendid'",
    "a version that is long": "UPDATE runs SET version = hex(zeroblob(100))",
    "a version of bytes": "UPDATE runs SET version = x'00ff'",
    "text that is none": "UPDATE runs SET suite = CAST(x'ff' AS TEXT)",
    "a job under another key": "UPDATE jobs SET key = '0000000000000000' WHERE position = 1",
    "a job that calls itself another": "UPDATE jobs SET job_json = json_set(job_json, '$.key', '0000000000000000')",
    "a job without settings": "UPDATE jobs SET job_json = json_remove(job_json, '$.settings')",
    "a job with a number for a name": "UPDATE jobs SET job_json = json_set(job_json, '$.model', 5)",
    "a job with more": "UPDATE jobs SET job_json = json_set(job_json, '$.more', 5)",
    "a job of infinite time": "UPDATE jobs SET job_json = replace(job_json, '600.0', '1e999')",
    "a pace of words": """UPDATE jobs SET job_json = json_set(job_json, '$.settings', json('{"every_ns": "x"}'))""",
    "an attempt of no job": "UPDATE attempts SET job_key = '1111111111111111' WHERE round = 1",
    "an attempt of no time": "UPDATE attempts SET duration_ns = -1",
    "an attempt of words": "UPDATE attempts SET round = 'first'",
    "an outcome of ours": "UPDATE attempts SET outcome = 'splendid'",
    "a warning of nobody": """UPDATE attempts SET warnings = '[{"kind": "x", "message": "y"}]'""",
    "half a warning": """UPDATE attempts SET warnings = '[{"kind": "unstable"}]'""",
    "conditions that are a list": "UPDATE attempts SET conditions = '[]'",
    "conditions without end": "UPDATE attempts SET conditions = replace(hex(zeroblob(40000)), '00', '{\"a\":')",
    "deep conditions": "UPDATE attempts SET conditions = "
    "replace(hex(zeroblob(60)), '00', '{\"a\":') || '1' || replace(hex(zeroblob(60)), '00', '}')",
    "half a letter": """UPDATE attempts SET conditions = '{"a": "\\ud800"}'""",
    "no number": """UPDATE attempts SET conditions = '{"a": NaN}'""",
    "a number beyond reason": """UPDATE attempts SET conditions = '{"a": 1' || hex(zeroblob(200)) || '}'""",
    "evidence without end": "UPDATE attempts SET evidence = hex(zeroblob(60000))",
    "a value of words": "UPDATE measurements SET value = 'much'",
    "an infinite value": "UPDATE measurements SET value = 9e999",
    "a latency below zero": "UPDATE measurements SET value = -1.0 WHERE metric = 'steady_inference'",
    "a true parameter": """UPDATE measurements SET parameters = '{"n": true}'""",
    "a nested parameter": """UPDATE measurements SET parameters = '{"n": {}}'""",
    "samples of text": "UPDATE measurements SET samples = 'text'",
    "samples that were never pruned": "UPDATE measurements SET samples = x'' WHERE metric = 'steady_inference'",
    "rows that are none": "UPDATE measurements SET row_length = 3 WHERE metric = 'memory_timeline'",
    "memory that goes back": "UPDATE measurements SET metric = 'sustained_window' WHERE metric = 'memory_timeline'",
    "a place beyond all": "UPDATE measurements SET position = position + 20000",
}


@pytest.mark.parametrize("what", FORGED)
def test_a_forged_run_is_refused_by_name_and_leaves_nothing(what: str, theirs: Path, mine: str) -> None:
    path = theirs
    change(path, "PRAGMA foreign_keys=OFF", "PRAGMA writable_schema=ON",
           "UPDATE sqlite_master SET sql = replace(sql, 'NOT NULL', '')", "PRAGMA writable_schema=OFF")  # fmt: skip
    change(path, FORGED[what])
    done = bring(path, mine)
    assert done.refused
    assert all(each.startswith("run ") or each.split()[0].isdigit() for each in done.refused)
    assert all(why and "\n" not in why for why in done.refused.values())
    assert len(done.added) < 2
    assert runs_of(mine) == list(done.added)
    everything(mine)
    assert stores.verify(store=mine).sound


def test_a_bomb_of_samples_is_not_unpacked(theirs: Path, mine: str) -> None:
    packer = zlib.compressobj(9)
    bomb = b"".join(packer.compress(bytes(8_000_000)) for _ in range(12)) + packer.flush()
    connection = sqlite3.connect(theirs)
    with connection:
        connection.execute("UPDATE measurements SET samples = ? WHERE position = 0", (bomb,))
    connection.close()
    done = bring(theirs, mine)
    assert len(done.refused) == 2
    assert all("far more than any attempt has" in why for why in done.refused.values())


def test_what_belongs_to_nobody_is_told_and_left(theirs: Path, mine: str) -> None:
    change(theirs, "DELETE FROM runs WHERE suite = 'boards'")
    done = bring(theirs, mine)
    assert len(done.added) == 1
    assert dict(done.refused) == {
        "2 jobs": "they are of no run there",
        "4 attempts": "they are of no run there",
    }


OTHER_CONTENT = {
    "suite": "UPDATE runs SET suite_json = '{}'",
    "began": "UPDATE runs SET started = '2026-01-01 00:00:00.000000'",
    "jobs": "DELETE FROM jobs WHERE position = 1 AND run_id NOT IN (SELECT run_id FROM attempts)",
    "job": "UPDATE jobs SET job_json = json_set(job_json, '$.recipe', 'another')",
    "attempt": "UPDATE attempts SET host = 'elsewhere'",
    "conditions": """UPDATE attempts SET conditions = '{"governor": "fast"}'""",
    "value": "UPDATE measurements SET value = value * 2 WHERE metric = 'steady_inference'",
    "fewer": "DELETE FROM measurements WHERE metric = 'peak_memory'",
}


@pytest.mark.parametrize("what", [*OTHER_CONTENT, "samples"])
def test_other_content_under_an_id_that_is_here_is_refused_and_neither_is_changed(
    what: str, theirs: Path, mine: str
) -> None:
    if what == "jobs":
        change(theirs, "DELETE FROM measurements", "DELETE FROM attempts")
    bring(theirs, mine)
    before = everything(mine)
    if what == "samples":
        connection = sqlite3.connect(theirs)
        with connection:
            blob = pack([*SAMPLES[:-1], SAMPLES[-1] + 1])
            connection.execute("UPDATE measurements SET samples = ? WHERE metric = 'steady_inference'", (blob,))
        connection.close()
    else:
        change(theirs, OTHER_CONTENT[what])
    kept = theirs.read_bytes()
    done = bring(theirs, mine)
    assert (list(done.added), list(done.here), done.attempts) == ([], [], 0)
    assert {each.removeprefix("run ") for each in done.refused} == set(before)
    assert all("is here, " in why and "neither was changed" in why for why in done.refused.values())
    assert everything(mine) == before
    assert theirs.read_bytes() == kept


def test_samples_that_were_packed_otherwise_are_the_same(theirs: Path, mine: str) -> None:
    bring(theirs, mine)
    connection = sqlite3.connect(theirs)
    with connection:
        other = zlib.compress(np.asarray(SAMPLES).tobytes(), 9)
        connection.execute("UPDATE measurements SET samples = ? WHERE metric = 'steady_inference'", (other,))
    connection.close()
    done = bring(theirs, mine)
    assert (len(done.here), dict(done.refused)) == (2, {})


def test_an_attempt_that_is_here_in_another_run_is_refused(theirs: Path, mine: str) -> None:
    store = Store(mine)
    run = store.create_run(suite="mine", digest="5f", planned=JOBS, **REQUEST)
    connection = sqlite3.connect(theirs)
    ((taken,),) = connection.execute("SELECT id FROM attempts LIMIT 1").fetchall()
    connection.close()
    store.save_attempt(run, replace(made(0, JOBS[0].key, run), id=taken))
    store.close()
    done = bring(theirs, mine)
    assert (len(done.added), len(done.refused)) == (1, 1)
    assert f"an attempt {taken} is here, with other content" in next(iter(done.refused.values()))


def test_a_run_of_this_store_comes_back_as_it_is_and_never_with_more(theirs: Path, mine: str, tmp_path: Path) -> None:
    """Another machine had a copy of it."""
    bring(theirs, mine)
    store = Store(url(theirs))
    done = bring(Path(mine.removeprefix("sqlite:///")), url(theirs))
    assert (len(done.here), done.attempts) == (2, 0)
    assert {run.origin for run in store.list_runs()} == {""}
    run = store.find("latest")
    theirs_more = Store(mine)
    theirs_more.save_attempt(run, made(7, JOBS[0].key, run))
    theirs_more.close()
    done = bring(Path(mine.removeprefix("sqlite:///")), url(theirs))
    assert dict(done.refused) == {f"run {run}": "it is a run of this store, and there it has 1 attempts more"}
    store.close()


def test_an_imported_run_that_went_on_where_it_is_made_goes_on_here(theirs: Path, mine: str) -> None:
    store = Store(url(theirs))
    run = store.create_run(suite="going on", digest="5f", planned=JOBS, **REQUEST)
    store.save_attempt(run, made(0, JOBS[0].key, run))
    store.set_state(run, "running")
    assert run in bring(theirs, mine).added
    assert api.load(run, store=mine).run.state == "interrupted"  # nobody is at work on it here
    store.save_attempt(run, made(1, JOBS[0].key, run))
    store.stop_job(run, JOBS[0].key, "2 attempts, as asked")
    store.set_state(run, "finished")
    done = bring(theirs, mine)
    assert (list(done.went_on), done.attempts, len(done.here)) == ([run], 1, 2)
    assert everything(mine)[run] == everything(url(theirs))[run]
    store.close()


def test_an_imported_run_is_never_executed(theirs: Path, mine: str) -> None:
    bring(theirs, mine)
    with pytest.raises(UsageError, match=f"was imported from {theirs}: .* never executed here"):
        api.resume("latest", store=mine)


def test_a_pruned_run_comes_with_what_is_left_and_says_so(theirs: Path, mine: str) -> None:
    before = {run: api.load(run, store=url(theirs)).to_json(samples=False) for run in runs_of(url(theirs))}
    bring(theirs, mine)
    stores.prune(datetime.now(UTC) + timedelta(days=1), store=url(theirs))
    done = bring(theirs, mine)
    assert (len(done.here), done.attempts) == (2, 0)  # what is here has its samples
    assert {run.pruned for run in api.runs(store=mine)} == {None}
    late = url(theirs.parent.parent / "late.db")
    assert len(bring(theirs, late).added) == 2
    for run in api.runs(store=late):
        assert run.pruned is not None
        assert api.load(run.id, store=late).to_json(samples=False) == before[run.id]
    assert stores.verify(store=late).sound
    done = bring(Path(mine.removeprefix("sqlite:///")), late)
    assert (len(done.here), dict(done.refused)) == (2, {})


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE measurements SET samples_count = NULL",
        "UPDATE measurements SET mean_sample = 'x'",
        "UPDATE measurements SET least_sample = 1e300",
        """UPDATE measurements SET percentiles = '{"50": 2.0, "90": 1.0}'""",
        """UPDATE measurements SET percentiles = '{"x": 1.0}'""",
        "UPDATE measurements SET metric = 'sustained_window'",
    ],
)
def test_a_summary_that_makes_no_sense_is_refused(statement: str, theirs: Path, mine: str) -> None:
    stores.prune(datetime.now(UTC) + timedelta(days=1), store=url(theirs))
    change(theirs, f"{statement} WHERE metric = 'steady_inference'")
    done = bring(theirs, mine)
    assert (list(done.added), len(done.refused)) == ([], 2)


def test_what_is_kept_beside_samples_is_made_anew(theirs: Path, mine: str) -> None:
    good = everything(url(theirs))
    change(theirs, "UPDATE measurements SET first_sample = 1, least_sample = 1, middle_sample = 1, deviation = 0",
           """UPDATE measurements SET percentiles = '{"50": 1, "90": 1}' WHERE metric = 'steady_inference'""",
           "UPDATE jobs SET cell = 'of another', model = 'of another'")  # fmt: skip
    assert len(bring(theirs, mine).added) == 2
    assert everything(mine) == good
    assert not stores.verify(store=url(theirs)).sound


def killed_at(moment: int, source: Path, into: str) -> None:
    """Imports in a process that is ended as `kill -9` does, after so many runs."""
    child = os.fork()
    if child == 0:
        left = iter(range(moment, -1, -1))

        def may_end(*_: object) -> None:
            if next(left) == 1:
                os.kill(os.getpid(), signal.SIGKILL)

        try:
            stores.import_stores([source], store=into, watching=may_end)
        finally:
            os._exit(0)
    os.waitpid(child, 0)


def test_killed_after_any_run_the_rest_comes_the_next_time(theirs: Path, tmp_path: Path) -> None:
    store = Store(url(theirs))
    add(store, "laptops")
    store.close()
    for moment in (1, 2, 3):
        into = url(tmp_path / f"{moment}.db")
        killed_at(moment, theirs, into)
        there = runs_of(into)
        done = bring(theirs, into)
        assert len(there) == moment
        assert (sorted(done.here), len(done.added)) == (sorted(there), 3 - moment)
        assert everything(into) == everything(url(theirs))


def test_killed_within_a_run_nothing_of_it_is_there(theirs: Path, mine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    child = os.fork()
    if child == 0:
        from benchharness.results import importing

        stored: Callable[..., None] = importing._insert

        def cut_short(*arguments: Any) -> None:
            stored(*arguments)
            os.kill(os.getpid(), signal.SIGKILL)

        try:
            monkeypatch.setattr(importing, "_insert", cut_short)
            stores.import_stores([theirs], store=mine)
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    assert runs_of(mine) == []
    assert len(bring(theirs, mine).added) == 2


VALUES = st.one_of(
    st.none(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(),
    st.text(max_size=30),
    st.binary(max_size=30),
    st.sampled_from(
        ["{}", "[]", "null", '{"a": [{}]}', '{"name": 1}', "1e999", "NaN", '{"50": 1}', "[" * 5000, "-0.0"]
    ),
)
COLUMNS = [
    *(("runs", name) for name in ("id", "suite", "suite_json", "hardware_json", "started", "finished", "pruned")),
    *(("jobs", name) for name in ("run_id", "key", "position", "job_json", "stopped", "cell")),
    *(("attempts", name) for name in ("id", "run_id", "started", "duration_ns", "reason", "effective", "conditions")),
    *(("measurements", name) for name in ("position", "metric", "parameters", "value", "row_length", "samples")),
    *(("measurements", name) for name in ("samples_count", "percentiles", "mean_sample")),
]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.sampled_from(COLUMNS), VALUES), min_size=1, max_size=2), st.integers(0, 2))
def test_whatever_stands_in_a_column_what_comes_is_sound(
    tmp_path_factory: pytest.TempPathFactory, templates: Path, forged: list[tuple[tuple[str, str], Any]], skipped: int
) -> None:
    folder = tmp_path_factory.mktemp("forged")
    shutil.copy(templates / "nightly.db", folder / "theirs.db")
    connection = sqlite3.connect(folder / "theirs.db")
    for (table, column), value in forged:
        try:
            with connection:
                some = f"SELECT rowid FROM {table} LIMIT 1 OFFSET {skipped}"
                connection.execute(f"UPDATE {table} SET {column} = ? WHERE rowid = ({some})", (value,))
        except (sqlite3.Error, UnicodeEncodeError):  # the schema itself forbids that
            continue
    connection.close()
    done = bring(folder / "theirs.db", url(folder / "mine.db"))
    assert len(done.added) + len(done.refused) >= 1
    everything(url(folder / "mine.db"))
    verified = stores.verify(store=url(folder / "mine.db"))
    assert verified.sound or set(verified.trouble) == {"jobs whose key does not follow from what they say"}


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(100, 140_000), st.binary(min_size=1, max_size=40)), min_size=1, max_size=4))
@example(wrong=[(8200, b"\x00")])  # in the row that tells the schema
@example(wrong=[(66238, b"\x00")])  # in the JSON of an attempt, which the migration reads
def test_whatever_bytes_of_a_file_are_wrong_it_is_refused_or_what_comes_is_sound(
    tmp_path_factory: pytest.TempPathFactory, wrong: list[tuple[int, bytes]]
) -> None:
    folder = tmp_path_factory.mktemp("damaged")
    whole = bytearray(GOLDENS[3].read_bytes())
    for place, some in wrong:
        whole[place : place + len(some)] = some
    (folder / "theirs.db").write_bytes(whole)
    with contextlib.suppress(StoreError):
        bring(folder / "theirs.db", url(folder / "mine.db"))
    everything(url(folder / "mine.db"))


def test_the_schema_that_is_read_is_todays(theirs: Path) -> None:
    assert max(migrations.known()) == "0005", "what a new schema adds has to be checked on the way in, too"
