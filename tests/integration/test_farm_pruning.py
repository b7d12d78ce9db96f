"""What a farm drops after its time, and what it must not: anything that is under way, or that a figure needs."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.postgres import MISSING, missing

pytest.importorskip("procrastinate", reason=MISSING)

from psycopg import errors

from benchharness import api
from benchharness.farm import nights
from benchharness.farm.pruning import prune, prune_as_owner, words
from benchharness.farm.scheduler import application
from tests.conftest import CommandLine
from tests.farm import Member, Testbed, parcel, submit, text

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing() or "-")
Members = Callable[[str], Member]

NIGHTS = 10
#: By table, what tells how old a row of it is.
AGES = {
    "farm.submissions": "at",
    "farm.nights": "queued, reported",
    "farm.leases": "begun, until, ended",
    "farm.results": "handed_in, taken",
    "farm.files": "at",
    "farm.audit": "at",
}
TABLES = (
    *AGES,
    "farm.jobs",
    "farm.file_parts",
    "farm.queues",
    "queue.procrastinate_jobs",
    "queue.procrastinate_events",
)


def older(testbed: Testbed, days: int) -> None:
    """As if all of it had been so many days earlier."""
    changes = []
    for number, (table, columns) in enumerate(AGES.items()):
        sets = ", ".join(f"{column} = {column} - interval '{days} days'" for column in columns.split(", "))
        changes.append(f"t{number} AS (UPDATE {table} SET {sets})")
    testbed.rows(f"WITH {', '.join(changes)} SELECT")


def counts(testbed: Testbed) -> dict[str, int]:
    (found,) = testbed.rows(f"SELECT {', '.join(f'(SELECT count(*) FROM {table})' for table in TABLES)}")
    return dict(zip(TABLES, found, strict=True))


def as_scheduler(testbed: Testbed) -> Mapping[str, int]:
    async def once() -> Mapping[str, int]:
        app = application(testbed.member("scheduler"))
        async with app.open_async():
            await nights.report(app, testbed.member("scheduler").store, None, None)
            return await prune(app)

    return asyncio.run(once())


@pytest.fixture
def desk(member: Members) -> Member:
    line = member("desk")
    line.holds("pi-1", "pi-2")
    return line


@pytest.fixture
def ann(member: Members) -> Member:
    return member("ann")


def with_file(ann: Member, content: bytes, **changes: Any) -> str:
    """A submission's text with a file, which is sent."""
    digest = hashlib.sha256(content).hexdigest()
    assert ann.call("lacks", [digest]) == [(digest,)]
    assert ann.one("put_part", digest, 0, content, True)
    return text(files=[{"path": "files/0/model.onnx", "sha256": digest, "bytes": len(content)}], **changes)


def measured(testbed: Testbed, desk: Member, folder: Path, device: str = "pi-1") -> str:
    """The next job's result, in the store; its run."""
    token, job = desk.claims(device)
    assert desk.one("hand_in", token, parcel(folder))
    testbed.take_in()
    ((run,),) = testbed.rows("SELECT run FROM farm.results WHERE job = %s", job)
    return str(run)


def test_what_has_ended_goes_after_its_time_and_its_figures_stay(
    testbed: Testbed, desk: Member, ann: Member, tmp_path: Path
) -> None:
    submit(testbed, ann, with_file(ann, b"weights"))
    run = measured(testbed, desk, tmp_path)
    store = testbed.member("scheduler").store
    before = api.load(run, store=store).to_json()
    as_scheduler(testbed)
    older(testbed, 29)
    assert not any(as_scheduler(testbed).values())
    older(testbed, 2)
    gone = as_scheduler(testbed)
    kinds = ("jobs", "leases", "results", "nights", "submissions", "files")
    assert [gone[kind] for kind in kinds] == [1] * len(kinds)
    assert gone["file_bytes"] == 7
    left = counts(testbed)
    assert {table: count for table, count in left.items() if count} == {"farm.audit": left["farm.audit"]}
    assert api.load(run, store=store).to_json() == before
    assert [each.id for each in api.runs(store=store)] == [run]
    # What went is in the trail, and the farm works on.
    assert testbed.rows("SELECT about FROM farm.audit WHERE what = 'pruned' AND told LIKE %s", '%"jobs": 1%')
    submit(testbed, ann, with_file(ann, b"weights"))
    assert measured(testbed, desk, tmp_path) != run


def test_what_is_under_way_stays_however_old_it_is(testbed: Testbed, desk: Member, ann: Member, tmp_path: Path) -> None:
    submit(testbed, ann, with_file(ann, b"queued", name="queued", wanted=[{"device": "pi-2"}]))
    submit(testbed, ann, with_file(ann, b"running", name="running"))
    token, _ = desk.claims("pi-1")
    testbed.rows("UPDATE farm.leases SET until = until + interval '100 days'")
    older(testbed, 60)
    before = counts(testbed)
    assert as_scheduler(testbed)["jobs"] == 0
    after = counts(testbed)
    assert {**before, "farm.audit": 0} == {**after, "farm.audit": 0}
    testbed.rows("UPDATE farm.leases SET until = now() + interval '10 s'")
    assert bytes(desk.one("part", token, hashlib.sha256(b"running").hexdigest(), 0)) == b"running"
    assert desk.one("hand_in", token, parcel(tmp_path))


def test_a_result_that_is_not_yet_in_the_store_stays(
    testbed: Testbed, desk: Member, ann: Member, tmp_path: Path
) -> None:
    submit(testbed, ann, text())
    token, _ = desk.claims("pi-1")
    assert desk.one("hand_in", token, parcel(tmp_path))
    testbed.rows("UPDATE farm.nights SET reported = now()")
    older(testbed, 60)
    assert as_scheduler(testbed)["results"] == 0
    testbed.take_in()
    older(testbed, 60)
    assert as_scheduler(testbed)["results"] == 1
    assert len(api.runs(store=testbed.member("scheduler").store)) == 1


def test_what_runs_again_keeps_its_text_its_files_and_its_newest_night(
    testbed: Testbed, desk: Member, ann: Member, tmp_path: Path
) -> None:
    """A night every five days, each pruned after: tables stay as large as a month, and the next begins as the first."""
    told = with_file(ann, b"weights", nightly="0 2 * * *")
    id_ = json.loads(told)["id"]
    submit(testbed, ann, told)
    most: dict[str, int] = {}
    for night in range(NIGHTS):
        if night:
            assert testbed.rows("SELECT farm.repeat(%s, %s)", id_, night) == [(1,)]
        token, _ = desk.claims("pi-1")
        assert desk.one("give_back", token, "failed", "no such runtime")
        as_owner = testbed.rows("UPDATE farm.nights SET reported = now() WHERE reported IS NULL RETURNING night")
        assert as_owner == [(night,)]
        older(testbed, 5)
        testbed.rows("SELECT farm.prune()")
        most = {table: max(most.get(table, 0), count) for table, count in counts(testbed).items()}
    assert most["farm.jobs"] == most["farm.leases"] == most["queue.procrastinate_jobs"] == 5
    assert most["queue.procrastinate_events"] <= 5 * 4
    assert (most["farm.submissions"], most["farm.files"], most["farm.file_parts"]) == (1, 1, 1)
    testbed.rows("UPDATE farm.nights SET reported = reported - interval '60 days'")
    testbed.rows("SELECT farm.prune()")
    assert testbed.rows("SELECT night FROM farm.nights") == [(NIGHTS - 1,)]
    assert testbed.rows("SELECT farm.repeat(%s, %s)", id_, NIGHTS - 1) == [(0,)]
    assert testbed.rows("SELECT farm.repeat(%s, %s)", id_, NIGHTS) == [(1,)]
    token, _ = desk.claims("pi-1")
    assert bytes(desk.one("part", token, hashlib.sha256(b"weights").hexdigest(), 0)) == b"weights"


def test_a_queue_of_thousands_that_have_ended_is_small_again(testbed: Testbed, desk: Member, ann: Member) -> None:
    """As procrastinate-org/procrastinate issue 1454 has it: 13 million jobs that had succeeded still stood in the
    table, each naming its worker, and a worker took minutes to begin. Here 3,000, by the owner's own hand.
    """
    told = text()
    submit(testbed, ann, told)
    testbed.rows(
        "WITH made AS (INSERT INTO queue.procrastinate_jobs (queue_name, task_name, status)"
        " SELECT 'old', 'job of a farm', 'succeeded' FROM generate_series(1, 3000) RETURNING id)"
        " INSERT INTO farm.jobs (id, submission, night, wanted) SELECT id, %s, 0, '{}' FROM made",
        json.loads(told)["id"],
    )
    testbed.rows("UPDATE farm.nights SET reported = now() - interval '31 days'")
    gone, kept, _ = prune_as_owner(testbed.farm.server)
    assert (gone["jobs"], kept.days) == (3000, 30)
    assert counts(testbed)["queue.procrastinate_jobs"] == 1  # the one that waits
    assert desk.claims("pi-1") is not None


def test_a_file_that_is_about_to_be_submitted_stays(testbed: Testbed, desk: Member, ann: Member) -> None:
    told = with_file(ann, b"weights")
    older(testbed, 3)
    assert ann.call("lacks", [hashlib.sha256(b"weights").hexdigest()]) == []  # who submits asks, and sends nothing
    assert as_scheduler(testbed)["files"] == 0
    assert submit(testbed, ann, told) == 1
    older(testbed, 3)
    assert as_scheduler(testbed)["files"] == 0
    assert counts(testbed)["farm.file_parts"] == 1


def test_a_token_past_its_time_is_refused_and_nothing_else(
    testbed: Testbed, desk: Member, ann: Member, tmp_path: Path
) -> None:
    submit(testbed, ann, text())
    token, _ = desk.claims("pi-1")
    assert desk.one("hand_in", token, parcel(tmp_path))
    testbed.take_in()
    as_scheduler(testbed)
    older(testbed, 31)
    as_scheduler(testbed)
    assert desk.call("part", token, "0" * 64, 0) == [(None,)]
    assert testbed.refused()[-1] == "desk: a file of a job: there is no such token"
    assert len(api.runs(store=testbed.member("scheduler").store)) == 1


def test_the_trail_is_kept_for_its_own_time(testbed: Testbed, desk: Member, ann: Member) -> None:
    submit(testbed, ann, text())
    assert testbed.rows("SELECT count(*) FROM farm.audit")[0][0] == 1
    older(testbed, 364)
    testbed.rows("SELECT farm.prune()")
    assert testbed.rows("SELECT count(*) FROM farm.audit WHERE what = 'submitted'") == [(1,)]
    older(testbed, 2)
    testbed.rows("SELECT farm.prune()")
    assert testbed.rows("SELECT count(*) FROM farm.audit WHERE what = 'submitted'") == [(0,)]


def test_who_may_prune_and_nobody_but_the_owner_says_how_much(testbed: Testbed, desk: Member, ann: Member) -> None:
    scheduler = testbed.member("scheduler").connect()
    for statement in (
        "SELECT farm.keep('1 day', '30 days')",
        "UPDATE farm.settings SET keep_audit = '30 days'",
        "DELETE FROM farm.audit",
    ):
        with pytest.raises(errors.InsufficientPrivilege):
            scheduler.execute(statement.encode())
    scheduler.close()
    for line in (desk, ann):
        with pytest.raises(errors.InsufficientPrivilege):
            line.call("prune")


def test_the_command_says_what_went_and_what_is_kept(
    testbed: Testbed, desk: Member, ann: Member, benchharness: CommandLine
) -> None:
    farm = testbed.farm.folder
    submit(testbed, ann, text())
    token, _ = desk.claims("pi-1")
    desk.one("give_back", token, "failed", "enough")
    as_scheduler(testbed)
    older(testbed, 10)
    done = benchharness("farm", "prune", farm)
    assert done.stdout.splitlines()[1] == "kept: jobs for 30 days after they were told of, the trail for 365 days"
    assert "jobs" not in done.stdout.splitlines()[0]
    done = benchharness("farm", "prune", farm, "--keep", "7 d", "--keep-audit", "90 d")
    assert (done.returncode, done.stderr) == (0, "")
    assert "1 jobs" in done.stdout.splitlines()[0]
    assert "jobs for 7 days after they were told of, the trail for 90 days" in done.stdout
    for words_, told in (
        (("--keep", "1 h"), "a day at least"),
        (("--keep-audit", "7 d"), "30 days"),
        (("--keep", "x"), "x"),
    ):
        done = benchharness("farm", "prune", farm, *words_)
        assert (done.returncode, done.stdout) == (2, ""), words_
        assert told in done.stderr
    testbed.rows("UPDATE farm.settings SET keep_jobs = '30 days', keep_audit = '365 days'")


def test_a_hosts_cache_is_pruned_by_hand(testbed: Testbed, benchharness: CommandLine, tmp_path: Path) -> None:
    cache = tmp_path / "work" / "cache"
    cache.mkdir(parents=True)
    for content in (b"a" * 1000, b"b" * 1000):
        (cache / hashlib.sha256(content).hexdigest()).write_bytes(content)
    (tmp_path / "in-use").hardlink_to(cache / hashlib.sha256(b"a" * 1000).hexdigest())
    desk = testbed.farm.pass_of("desk")
    done = benchharness("farm", "prune", "--farm", desk, "--work", tmp_path / "work", "--cache", "1 B")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == ["1 files, 0.0 MB, left the cache", "1 files, 0.0 MB, are in it"]
    assert (tmp_path / "in-use").read_bytes() == b"a" * 1000


def test_words() -> None:
    assert words({}) == "nothing"
    assert words({"jobs": 1200, "audit": 0, "file_bytes": 2_500_000}) == "1,200 jobs, 2.5 MB of files"
