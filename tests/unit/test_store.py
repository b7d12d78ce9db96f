"""The store: attempts go in and come back as they were."""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pytest

from benchharness import __version__
from benchharness.api.findings import _day_of
from benchharness.errors import RunNotFound, StoreError, UsageError
from benchharness.reading import history_in
from benchharness.results.history import Part
from benchharness.results.result import Outcome, OutcomeKind, ResultWarning, Run, WarningKind
from benchharness.results.store import Store
from tests.postgres import change
from tests.unit.made_up import attempt, job, measured

JOBS = [job(), job("fedcba9876543210", variant="fp32")]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


@pytest.fixture
def store(database: str) -> Iterator[Store]:
    opened = Store(database)
    yield opened
    opened.close()


@pytest.fixture
def in_a_file(path: Path) -> Iterator[Store]:
    opened = Store(f"sqlite:///{path}")
    yield opened
    opened.close()


def new_run(store: Store, suite: str = "phones") -> str:
    return store.create_run(suite=suite, digest="5f0c" * 16, suite_json='{"a": 1}', hardware_json="{}", planned=JOBS)


FULL = attempt(
    0,
    measured(
        "itl", 0.1 + 0.2, [1 / 3, 5e-324, 1.7976931348623157e308, 1e15 + 0.5], parameters={"depth": 0}, row_length=2
    ),
    measured("model_ttft", 812e6, parameters={"prompt_tokens": 128, "text": "é\u2028"}),
    started=datetime(2026, 3, 4, 5, 6, 7, 123456, tzinfo=UTC),
    duration_ns=2**62,
    effective={"accelerators": ["cpu"], "facts": {"nested": [1, None, True, "é"]}},
    warnings=[ResultWarning(kind=WarningKind.BINDING_COPIES, message="copies", hint="use bindings")],
)
FAILED = attempt(1, outcome=Outcome(kind=OutcomeKind.CRASHED, reason="SIGSEGV", evidence="\x1b[31mlast\x00 words\n"))


def test_attempts_come_back_equal(store: Store) -> None:
    run = new_run(store)
    store.save_attempt(run, FULL)
    store.save_attempt(run, FAILED)
    full, failed = store.attempts(run)
    assert full == FULL
    if store.url.startswith("postgresql"):  # whose texts cannot hold the character NUL
        words = FAILED.outcome.evidence.replace("\0", "\u2400")
        assert failed == replace(FAILED, outcome=replace(FAILED.outcome, evidence=words))
    else:
        assert failed == FAILED


def test_what_a_device_told_comes_back_though_it_has_what_a_database_cannot_hold(store: Store) -> None:
    told = {"facts": {"nul": "a\0b", "escaped": "a\\u0000b", "both": "\\\0"}}
    run = new_run(store)
    store.save_attempt(run, attempt(0, effective=told))
    (found,) = store.attempts(run)
    instead = "\u2400" if store.url.startswith("postgresql") else "\0"
    assert found.effective.facts == {"nul": f"a{instead}b", "escaped": "a\\u0000b", "both": f"\\{instead}"}


def test_a_million_samples_come_back_exactly(store: Store) -> None:
    samples = np.random.default_rng(0).random(1_000_000).tolist()
    run = new_run(store)
    store.save_attempt(run, attempt(0, measured("itl", 0.5, samples)))
    assert store.attempts(run)[0].measurements[0].samples == samples


def test_attempts_outlive_the_store_object(database: str) -> None:
    first = Store(database)
    run = new_run(first)
    first.save_attempt(run, FULL)
    first.close()
    second = Store(database)
    assert second.attempts(run) == [FULL]
    second.close()


def test_the_same_attempt_is_stored_once(store: Store) -> None:
    run = new_run(store)
    store.save_attempt(run, FULL)
    store.save_attempt(run, replace(FULL, round=7, measurements=[]))
    assert store.attempts(run) == [FULL]
    assert store.run(run).attempts == 1


def test_attempts_come_back_in_the_order_they_were_made(store: Store) -> None:
    run = new_run(store)
    made = [attempt(round_, measured("itl", 1.0 + round_)) for round_ in range(12)]
    for each in reversed(made):
        store.save_attempt(run, each)
    assert store.attempts(run) == made


def test_jobs_come_back_in_the_suites_order_with_why_they_stopped(store: Store) -> None:
    run = new_run(store)
    assert store.jobs(run) == [(JOBS[0], ""), (JOBS[1], "")]
    store.stop_job(run, JOBS[1].key, "5 attempts, as asked")
    assert store.jobs(run) == [(JOBS[0], ""), (JOBS[1], "5 attempts, as asked")]


def test_runs_are_kept_apart(store: Store) -> None:
    one, other = new_run(store), new_run(store)
    store.save_attempt(one, FULL)
    store.stop_job(one, JOBS[0].key, "enough")
    assert store.attempts(other) == []
    assert store.jobs(other)[0] == (JOBS[0], "")


def test_a_run_tells_how_it_stands(store: Store) -> None:
    before = datetime.now(UTC)
    run = new_run(store)
    store.save_attempt(run, FULL)
    found = store.run(run)
    assert (found.id, found.suite, found.suite_digest, found.version) == (run, "phones", "5f0c" * 16, __version__)
    assert (found.state, found.finished, found.jobs, found.attempts) == (
        "interrupted",
        None,
        2,
        1,
    )  # until it is walked
    assert before <= found.started <= datetime.now(UTC)
    assert store.suite_and_hardware(run) == ('{"a": 1}', "{}")

    store.set_state(run, "interrupted")
    assert (store.run(run).state, store.run(run).finished) == ("interrupted", None)
    store.set_state(run, "finished")
    finished = store.run(run).finished
    assert finished is not None
    assert found.started <= finished <= datetime.now(UTC)


def test_runs_are_listed_newest_first(store: Store) -> None:
    made = [new_run(store, f"suite {index}") for index in range(3)]
    assert [run.id for run in store.list_runs()] == made[::-1]


def test_a_run_is_found_by_id_prefix_and_as_latest(store: Store) -> None:
    new_run(store)
    run = new_run(store)
    (other,) = {each.id for each in store.list_runs()} - {run}
    change(store.url, "DELETE FROM jobs WHERE run_id = ? AND position = 0", other)
    change(store.url, "DELETE FROM jobs WHERE run_id = ?", other)
    change(store.url, "UPDATE runs SET id = 'ff-other' WHERE id <> ?", run)
    assert store.find(run) == run
    assert store.find(run[:4]) == run
    assert store.find("ff") == "ff-other"
    assert store.find("latest") == run


def test_a_prefix_of_several_runs_is_refused(store: Store) -> None:
    one, other = new_run(store), new_run(store)
    shared = one[: next(index for index, (a, b) in enumerate(zip(one, other, strict=True)) if a != b)]
    with pytest.raises(RunNotFound, match=f"2 runs begin with '{shared}'"):
        store.find(shared)


@pytest.mark.parametrize("name", ["zzz", "%", "_"])
def test_a_run_that_is_not_there_is_refused_with_the_store(store: Store, name: str) -> None:
    new_run(store)
    with pytest.raises(RunNotFound, match="no run begins with") as refused:
        store.find(name)
    assert store.url in str(refused.value)
    with pytest.raises(RunNotFound, match="nor is it a file or folder here"):
        store.find(f"models/{name}")


def test_history_of_a_suite_that_never_ran_names_those_that_did(store: Store) -> None:
    new_run(store)
    (name,) = {run.suite for run in store.list_runs()}
    with pytest.raises(UsageError, match=f"no run here is of a suite 'other'; there are: {name}"):
        history_in(store, Part(suite="other"))
    assert history_in(store, Part(suite=name)).nights


def test_an_empty_store_has_no_latest_run(store: Store) -> None:
    with pytest.raises(RunNotFound, match="holds no run yet"):
        store.find("latest")


def test_attempts_are_written_ahead_so_that_readers_never_wait(in_a_file: Store, path: Path) -> None:
    store = in_a_file
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    connection.close()
    run = new_run(store)
    writer = sqlite3.connect(path)
    writer.execute("BEGIN IMMEDIATE")
    assert store.jobs(run)
    writer.rollback()
    writer.close()


def test_two_stores_on_one_file_write_in_turn(store: Store) -> None:
    other = Store(store.url)
    run = new_run(store)
    made = [attempt(round_, measured("itl", 1.0 + round_)) for round_ in range(20)]
    for index, each in enumerate(made):
        (store, other)[index % 2].save_attempt(run, each)
    other.stop_job(run, JOBS[0].key, "enough")
    assert store.attempts(run) == other.attempts(run) == made
    assert store.jobs(run)[0][1] == "enough"
    other.close()


@pytest.mark.parametrize(
    "blob",
    [b"not zlib", zlib.compress(b"12345"), zlib.compress(bytes(8000))[:12], zlib.compress(bytes(8))],
    ids=["garbage", "not whole numbers", "cut off", "fewer than were counted"],
)
def test_damaged_samples_are_a_store_error_with_the_path_where_somebody_looks(store: Store, blob: bytes) -> None:
    run = new_run(store)
    store.save_attempt(run, FULL)
    change(store.url, "UPDATE measurements SET samples = ? WHERE position = 0", blob)
    samples = store.attempts(run)[0].measurements[0].samples
    assert len(samples) == 4
    with pytest.raises(StoreError) as refused:
        list(samples)
    assert store.url in str(refused.value)
    assert "damaged or not ours" in str(refused.value)


def test_damaged_samples_without_a_count_are_a_store_error(store: Store) -> None:
    run = new_run(store)
    store.save_attempt(run, FULL)
    change(store.url, "UPDATE measurements SET samples = ?, samples_count = NULL WHERE position = 0", b"not zlib")
    with pytest.raises(StoreError, match="samples cannot be unpacked"):
        store.attempts(run)


@pytest.mark.parametrize(
    ("statement", "value"),
    [
        ("UPDATE measurements SET parameters = ? WHERE position = 0", "{"),
        ("UPDATE measurements SET percentiles = ? WHERE position = 0", '{"50": "many"}'),
        ("UPDATE measurements SET percentiles = ? WHERE position = 0", "[50]"),
        ("UPDATE attempts SET outcome = ?", "splendid"),
        ("UPDATE attempts SET warnings = ?", '[{"kind": "unstable"}]'),
        ("UPDATE attempts SET conditions = ?", "[]"),
    ],
    ids=["half JSON", "words", "no percentiles", "unknown outcome", "half a warning", "no object"],
)
def test_a_damaged_attempt_is_a_store_error_with_the_path(store: Store, statement: str, value: str) -> None:
    run = new_run(store)
    store.save_attempt(run, FULL)
    if value == "{" and store.url.startswith("postgresql"):
        return  # its columns of JSON hold JSON
    change(store.url, statement, value)
    with pytest.raises(StoreError) as refused:
        store.attempts(run)
    assert store.url in str(refused.value)


def test_a_damaged_job_is_a_store_error_with_the_path(store: Store) -> None:
    run = new_run(store)
    change(store.url, "UPDATE jobs SET job_json = '{}' WHERE position = ?", 0)
    with pytest.raises(StoreError) as refused:
        store.jobs(run)
    assert store.url in str(refused.value)


def test_a_blob_that_unpacks_to_gigabytes_is_not_unpacked(store: Store) -> None:
    run = new_run(store)
    store.save_attempt(run, FULL)
    packer = zlib.compressobj(9)
    bomb = b"".join(packer.compress(bytes(8_000_000)) for _ in range(12)) + packer.flush()
    change(store.url, "UPDATE measurements SET samples = ? WHERE position = 0", bomb)
    with pytest.raises(StoreError, match="far more than any attempt has"):
        list(store.attempts(run)[0].measurements[0].samples)


def test_what_was_accepted_is_asked_of_the_day_of_the_run() -> None:
    """A gate that was green by an acceptance turned red on pages when the acceptance ended."""
    then = datetime(2026, 3, 4, 12, tzinfo=UTC)
    made = Run(
        id="r",
        suite="s",
        suite_digest="d",
        started=then,
        finished=then,
        state="finished",
        version="1",
        jobs=1,
        attempts=1,
    )
    assert _day_of(made) == date(2026, 3, 4)
    assert _day_of(replace(made, finished=None)) >= date(2026, 11, 29)
