"""What the database lets members do: leases, the fence, the reaper, and every refusal with its line in the log."""

from __future__ import annotations

import json
import subprocess
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.postgres import MISSING, missing

pytest.importorskip("procrastinate", reason=MISSING)

import psycopg
from psycopg import errors

from tests.farm import LEASE_S, Member, Testbed, lapse, parcel, submit, text, until

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing() or "-")
Members = Callable[[str], Member]


@pytest.fixture
def desk(member: Members) -> Member:
    line = member("desk")
    line.holds("pi-1", "pi-2")
    return line


@pytest.fixture
def ann(member: Members) -> Member:
    return member("ann")


def said(testbed: Testbed, words: str) -> None:
    """One line of the server's log, and one only."""
    assert len([line for line in testbed.log() if words in line and "LOG:  farm: refused" in line]) == 1, words


# Leases


def test_a_job_goes_to_one_device_and_its_result_is_taken_once(
    testbed: Testbed, desk: Member, ann: Member, tmp_path: Path
) -> None:
    assert submit(testbed, ann, text()) == 1
    token, job = desk.claims("pi-1")
    assert desk.claims("pi-1") is None
    assert desk.claims("pi-2") is None
    assert testbed.states() == ["doing"]
    result = parcel(tmp_path)
    assert desk.one("hand_in", token, result)
    assert testbed.states() == ["succeeded"]
    assert desk.one("hand_in", token, result)  # its answer may have got lost
    assert testbed.rows("SELECT job, host, device FROM farm.results") == [(job, "desk", "pi-1")]
    assert testbed.refused() == []


def test_urgent_jobs_go_first_and_those_whose_deadline_passed_go_nowhere(
    testbed: Testbed, desk: Member, ann: Member
) -> None:
    submit(testbed, ann, text(name="late", within_s=0))
    submit(testbed, ann, text(name="usual"))
    submit(testbed, ann, text(name="urgent", priority=5))
    names = []
    for _ in range(2):
        ((token, _, _, told, *_),) = desk.call("claim", "pi-1")
        names.append(json.loads(told)["name"])
        desk.one("give_back", token, "failed", "enough")
    assert names == ["urgent", "usual"]
    assert desk.claims("pi-1") is None
    assert testbed.states() == ["failed"] * 3
    assert ("its deadline passed",) in testbed.rows("SELECT why FROM farm.jobs")


def test_a_deadline_ends_what_no_device_ever_asks_for(testbed: Testbed, desk: Member, ann: Member) -> None:
    submit(testbed, ann, text(within_s=0))
    testbed.reap()
    assert testbed.states() == ["failed"]


def test_labels_choose_devices(testbed: Testbed, desk: Member, ann: Member) -> None:
    desk.holds("pixel", hardware="pixel-8", soc="sm8650")
    submit(testbed, ann, text(wanted=[{"soc": "sm8650", "hardware": "pixel-8"}]))
    assert desk.claims("pi-1") is None
    assert desk.claims("pixel") is not None
    with pytest.raises(errors.RaiseException, match="no device of this farm is"):
        submit(testbed, ann, text(wanted=[{"soc": "other"}]))


def test_a_number_of_devices_is_spread_over_as_many_different_ones(testbed: Testbed, desk: Member, ann: Member) -> None:
    desk.holds("pi-3")
    assert submit(testbed, ann, text(devices=2)) == 2
    assert sum(desk.claims(name) is not None for name in ("pi-1", "pi-2", "pi-3")) == 2
    with pytest.raises(errors.RaiseException, match="4 devices are wanted, and 3"):
        submit(testbed, ann, text(devices=4))


def test_a_second_agent_for_a_device_does_not_get_it_until_the_first_is_gone(
    testbed: Testbed, desk: Member, member: Members
) -> None:
    second = member("desk")
    second.call("present", '[{"name": "pi-1", "labels": {}}]')
    assert not second.one("hold", "pi-1")
    assert second.claims("pi-1") is None
    assert testbed.refused() == ["desk: a job for the device of pi-1: this agent does not hold it"]
    desk.line.close()
    until(lambda: bool(second.one("hold", "pi-1")))


def test_a_drained_device_ends_what_it_runs_and_begins_nothing(testbed: Testbed, desk: Member, ann: Member) -> None:
    submit(testbed, ann, text())
    submit(testbed, ann, text())
    token, _ = desk.claims("pi-1")
    assert ann.one("set_state", "desk", "draining", "") == 2
    assert desk.call("renew", token) == [(LEASE_S, False)]
    desk.one("give_back", token, "failed", "enough")
    assert desk.claims("pi-1") is None
    assert ann.one("set_state", "pi-1", "ready", "") == 1
    assert desk.claims("pi-1") is not None


def test_a_cancelled_submission_leaves_the_queue_and_its_agents_hear_of_it(
    testbed: Testbed, desk: Member, ann: Member
) -> None:
    told = text(devices=2)
    submit(testbed, ann, told)
    token, _ = desk.claims("pi-1")
    assert ann.one("cancel", json.loads(told)["id"]) == 2
    assert desk.claims("pi-2") is None
    assert desk.call("renew", token) == [(LEASE_S, True)]
    assert desk.one("give_back", token, "aborted", "it was cancelled")
    assert sorted(testbed.states()) == ["aborted", "cancelled"]


# The reaper


def test_a_job_is_handed_on_after_its_lease_and_its_devices_time_and_not_before(
    testbed: Testbed, desk: Member, ann: Member
) -> None:
    submit(testbed, ann, text())
    token, job = desk.claims("pi-1")
    submit(testbed, ann, text(wanted=[{"device": "pi-1"}]))  # waits for this device
    assert desk.claims("pi-1") is None
    assert testbed.reap() == 0
    testbed.rows("UPDATE queue.procrastinate_workers SET last_heartbeat = now() - interval '1 hour'")
    testbed.rows("UPDATE farm.leases SET until = now() - interval '0.5 s'")  # lapsed, and the device not yet
    assert testbed.reap() == 0
    assert desk.claims("pi-1") is None  # its agent came back, and the device may still be at it
    lapse(testbed)
    assert testbed.reap() == 1
    assert desk.claims("pi-1")[1] != job  # another one is there for that
    again = desk.claims("pi-2")
    assert again is not None
    assert again[1] == job
    assert again[0] != token


def test_who_comes_back_late_is_shut_out_and_the_job_has_one_result(
    testbed: Testbed, desk: Member, ann: Member, tmp_path: Path
) -> None:
    submit(testbed, ann, text())
    late, job = desk.claims("pi-1")
    lapse(testbed)
    assert not desk.one("hand_in", late, parcel(tmp_path))
    testbed.reap()
    token, _ = desk.claims("pi-2")
    assert not desk.one("hand_in", late, parcel(tmp_path))
    assert desk.one("hand_in", token, parcel(tmp_path))
    assert not desk.one("hand_in", late, parcel(tmp_path))
    assert testbed.rows("SELECT job, device FROM farm.results") == [(job, "pi-2")]
    said(testbed, f"a result of job {job} on pi-1 to desk: the lease lapsed")
    assert [line.rpartition(": ")[2] for line in testbed.refused()] == ["the lease lapsed", *["its lease lapsed"] * 2]


def test_a_job_of_the_only_device_waits_for_it(testbed: Testbed, member: Members, ann: Member) -> None:
    desk = member("desk")
    desk.holds("pi-1")
    submit(testbed, ann, text())
    desk.claims("pi-1")
    lapse(testbed)
    testbed.reap()
    assert desk.claims("pi-1") is not None


def test_a_job_that_is_lost_again_and_again_fails_and_such_a_device_is_quarantined(
    testbed: Testbed, desk: Member, ann: Member
) -> None:
    submit(testbed, ann, text(wanted=[{"device": "pi-1"}]))
    for _ in range(3):
        token, _ = desk.claims("pi-1")
        desk.one("give_back", token, "lost", "the cable")
    assert testbed.states() == ["failed"]
    assert testbed.rows("SELECT why FROM farm.jobs") == [("lost 3 times, the last: the cable",)]
    (state, why) = testbed.rows("SELECT state, why FROM farm.devices WHERE name = 'pi-1'")[0]
    assert (state, why) == ("quarantined", "3 jobs in a row were lost on it, the last: the cable")


# The fence


def test_a_result_for_another_hosts_job_is_refused(
    testbed: Testbed, desk: Member, ann: Member, member: Members, tmp_path: Path
) -> None:
    submit(testbed, ann, text())
    token, job = desk.claims("pi-1")
    rack = member("rack")
    assert not rack.one("hand_in", token, parcel(tmp_path))
    assert rack.call("renew", token) == []
    assert not rack.one("give_back", token, "failed", "")
    said(testbed, f"a result of job {job} on pi-1 to rack: the token is desk's")
    assert testbed.states() == ["doing"]


def test_a_token_that_was_used_or_made_up_is_refused(
    testbed: Testbed, desk: Member, ann: Member, tmp_path: Path
) -> None:
    submit(testbed, ann, text())
    token, job = desk.claims("pi-1")
    assert desk.one("hand_in", token, parcel(tmp_path))
    assert not desk.one("hand_in", token, parcel(tmp_path))  # another one
    said(testbed, f"a result of job {job} on pi-1 to desk: the token is used up: a result was handed in")
    assert not desk.one("hand_in", str(uuid.uuid4()), parcel(tmp_path))
    said(testbed, "a result of a job to desk: there is no such token")
    assert testbed.rows("SELECT count(*) FROM farm.results") == [(1,)]


def test_another_hosts_device_is_refused(testbed: Testbed, desk: Member, member: Members, ann: Member) -> None:
    rack = member("rack")
    assert rack.call("present", '[{"name": "pi-1", "labels": {"hardware": "phone"}}, {"name": "pi-9"}]') == [("pi-9",)]
    said(testbed, "the device of pi-1 to rack: it is desk's")
    assert not rack.one("hold", "pi-1")
    assert rack.claims("pi-1") is None
    assert rack.one("set_state", "pi-1", "quarantined", "") == 0
    assert rack.one("set_state", "pi-9", "ready", "") == 0
    assert [each.partition(": ")[2] for each in testbed.refused()] == [
        *["the device of pi-1: it is desk's"] * 2,
        "a job for the device of pi-1: this agent does not hold it",
        "quarantined of pi-1: it is not its host that asks",
        "ready of pi-9: it is not its host that asks",
    ]
    assert testbed.rows("SELECT labels ->> 'hardware' FROM farm.devices WHERE name = 'pi-1'") == [("board",)]


def test_a_device_that_is_called_as_a_host_takes_none_of_its_devices_out(
    testbed: Testbed, desk: Member, member: Members
) -> None:
    rack = member("rack")
    rack.call("present", '[{"name": "desk"}]')
    assert rack.one("set_state", "desk", "quarantined", "mine") == 1
    assert testbed.rows("SELECT name FROM farm.devices WHERE state = 'quarantined'") == [("desk",)]


def test_labels_do_not_make_a_device_another_ones(testbed: Testbed, member: Members) -> None:
    rack = member("rack")
    rack.call("present", '[{"name": "pi-9", "labels": {"device": "pi-1", "host": "desk"}}]')
    assert testbed.rows("SELECT labels FROM farm.devices") == [({"device": "pi-9", "host": "rack"},)]


def test_a_forged_result_is_not_taken_into_the_store(
    testbed: Testbed, desk: Member, ann: Member, tmp_path: Path
) -> None:
    forged = json.loads(parcel(tmp_path))
    forged["measurements"][0]["value"] = -5.0
    for told in (json.dumps(forged), "{}", "[", '{"format": 1, "runs": [{"id": 5}]}'):
        submit(testbed, ann, text())
        token, _ = desk.claims("pi-1")
        assert desk.one("hand_in", token, told)
    submit(testbed, ann, text())
    token, _ = desk.claims("pi-1")
    assert desk.one("hand_in", token, parcel(tmp_path))
    assert testbed.take_in() == 5
    assert testbed.rows("SELECT run <> '', trouble = '' FROM farm.results ORDER BY job") == [
        *[(False, False)] * 4,
        (True, True),
    ]
    assert testbed.rows("SELECT origin FROM store.runs") == [("farm: desk/pi-1",)]
    assert len([line for line in testbed.refused() if "scheduler: the result of job" in line]) == 4
    jobs = [job for (job,) in testbed.rows("SELECT job FROM farm.results WHERE trouble <> '' ORDER BY job")]
    for job in jobs:
        said(testbed, f"the result of job {job} from desk to scheduler: ")


def test_a_result_is_of_the_device_that_had_the_lease_whatever_its_host_calls_it(
    testbed: Testbed, desk: Member, ann: Member, tmp_path: Path
) -> None:
    for told in ({"device": "pixel-of-rack", "by": "ann"}, "pixel-of-rack"):
        submit(testbed, ann, text())
        token, _ = desk.claims("pi-1")
        said = json.loads(parcel(tmp_path))
        for each in said["attempts"]:
            each["conditions"]["farm"] = told
        assert desk.one("hand_in", token, json.dumps(said))
    assert testbed.take_in() == 2
    found = testbed.rows("SELECT conditions -> 'farm' FROM store.attempts")
    assert sorted(found, key=str) == [({"by": "ann", "device": "pi-1"},), ({"device": "pi-1"},)]


# Roles


@pytest.mark.parametrize("role", ["desk", "ann"])
@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM farm.leases",
        "SELECT * FROM farm.members",
        "INSERT INTO farm.results (job, token, host, device, digest) VALUES (1, gen_random_uuid(), 'desk', 'x', '')",
        "INSERT INTO store.runs DEFAULT VALUES",
        "DELETE FROM farm.audit",
        "SELECT * FROM queue.procrastinate_jobs",
        "SELECT farm.fence(gen_random_uuid(), '')",
        "SELECT farm.reap(1)",
        "SELECT farm.refuse('', '', '')",
        "SELECT queue.procrastinate_finish_job_v1(1, 'succeeded', true)",
        "CREATE TABLE public.mine ()",
        "SET ROLE postgres",
        "SET SESSION AUTHORIZATION postgres",
    ],
)
def test_members_call_their_functions_and_do_nothing_else(member: Members, role: str, statement: str) -> None:
    with pytest.raises(errors.InsufficientPrivilege):
        member(role).line.execute(statement.encode())


def test_an_agent_may_not_submit_nor_a_submitter_claim(member: Members) -> None:
    with pytest.raises(errors.InsufficientPrivilege):
        member("desk").call("submit", text(), "", "desk")
    with pytest.raises(errors.InsufficientPrivilege):
        member("ann").claims("pi-1")
    with pytest.raises(errors.InsufficientPrivilege):
        member("desk").line.execute(b"SELECT * FROM store.runs")


def test_nobody_submits_in_anothers_name(testbed: Testbed, desk: Member, ann: Member) -> None:
    assert ann.one("submit", text(by="bob"), "", "bob") == 0
    said(testbed, "a submission of phones to ann: it is written by bob")


def test_a_submission_says_of_each_file_which_it_is(testbed: Testbed, desk: Member, ann: Member) -> None:
    """One that did not kept every file of the farm from being pruned."""
    for file in ({}, {"sha256": None}, {"sha256": 5}, "x"):
        with pytest.raises(errors.RaiseException, match="a file of the submission has no digest"):
            submit(testbed, ann, text(files=[file]))


def test_a_file_that_is_another_is_refused(testbed: Testbed, ann: Member) -> None:
    digest = "ab" * 32
    assert not ann.one("put_part", digest, 0, b"something else", True)
    said(testbed, f"a file of {digest} to ann: its content has another digest")
    assert ann.call("lacks", [digest]) == [(digest,)]


# The way in


def psql(port: int, **said: str) -> str:
    """What libpq says that came with no certificate of ours."""
    told = " ".join(f"{key}={value}" for key, value in said.items())
    with pytest.raises(psycopg.OperationalError) as refused:
        psycopg.connect(f"host=localhost port={port} dbname=farm connect_timeout=60 {told}")
    return str(refused.value)


class Heard:
    """What the server's log says from now on."""

    def __init__(self, testbed: Testbed) -> None:
        self._testbed = testbed
        self._before = len(testbed.log())

    def once(self, words: str) -> None:
        """One line, and one only."""

        def lines() -> list[str]:
            return [line for line in self._testbed.log()[self._before :] if words in line]

        until(lambda: bool(lines()))
        assert len(lines()) == 1, lines()


def test_plain_text_is_refused(testbed: Testbed) -> None:
    heard = Heard(testbed)
    assert "no encryption" in psql(testbed.port, user="desk", sslmode="disable")
    heard.once('no pg_hba.conf entry for host "127.0.0.1", user "desk", database "farm", no encryption')


def test_a_certificate_is_needed_and_its_name_is_the_role(testbed: Testbed) -> None:
    place = testbed.farm.pass_of("desk")
    ca = str(place / "ca.crt")
    assert "valid client certificate" in psql(testbed.port, user="desk", sslmode="verify-full", sslrootcert=ca)
    mine = {"sslcert": str(place / "desk.crt"), "sslkey": str(place / "desk.key"), "sslrootcert": ca}
    heard = Heard(testbed)
    assert "authentication failed" in psql(testbed.port, user="ann", sslmode="verify-full", **mine)
    heard.once('no match in usermap "members" for user "ann" authenticated as "desk"')
    assert "rejects" in psql(testbed.port, user="postgres", sslmode="verify-full", **mine)


def test_a_foreign_certificate_is_refused(testbed: Testbed, tmp_path: Path) -> None:
    from benchharness.farm.certificates import Authority, write_secret

    pair = Authority.create(tmp_path / "other", "localhost").member("desk")
    (tmp_path / "desk.crt").write_bytes(pair.certificate)
    write_secret(tmp_path / "desk.key", pair.key)
    heard = Heard(testbed)
    told = psql(
        testbed.port,
        user="desk",
        sslmode="verify-full",
        sslrootcert=str(testbed.farm.pass_of("desk") / "ca.crt"),
        sslcert=str(tmp_path / "desk.crt"),
        sslkey=str(tmp_path / "desk.key"),
    )
    assert "unknown ca" in told.lower() or "SSL error" in told
    heard.once("could not accept SSL connection: certificate verify failed")


def test_a_server_with_another_certificate_is_not_believed(testbed: Testbed, tmp_path: Path) -> None:
    from benchharness.farm.certificates import Authority

    Authority.create(tmp_path / "other", "localhost")
    told = psql(testbed.port, user="desk", sslmode="verify-full", sslrootcert=str(tmp_path / "other" / "ca.crt"))
    assert "certificate verify failed" in told


def test_who_is_revoked_is_out_at_once_and_may_be_enrolled_anew(testbed: Testbed, member: Members, ann: Member) -> None:
    testbed.farm.enrol("guest", "agent")
    kept = testbed.member("guest")
    line = member("guest")
    line.holds("guest-1")
    submit(testbed, ann, text(wanted=[{"device": "guest-1"}]))
    assert line.claims("guest-1") is not None
    content = {path.name: path.read_bytes() for path in kept.folder.iterdir()}
    testbed.farm.revoke("guest")
    with pytest.raises(psycopg.OperationalError):
        line.claims("guest-1")
    kept.folder.mkdir()
    for name, each in content.items():
        (kept.folder / name).write_bytes(each)
        (kept.folder / name).chmod(0o600)
    before = len(testbed.log())
    until(lambda: _refused(kept))
    until(lambda: any("certificate verify failed" in line for line in testbed.log()[before:]))
    assert testbed.rows("SELECT state, why FROM farm.devices") == [("quarantined", "its host was revoked")]
    new = testbed.farm.enrol("guest", "agent")
    new.connect().close()
    # The old certificate stays on the list, whoever is shut out after that.
    testbed.farm.enrol("other", "agent")
    testbed.farm.revoke("other")
    for name, each in content.items():
        if name.startswith("guest."):
            (kept.folder / name).write_bytes(each)
    until(lambda: _refused(kept))


def test_what_somebody_submitted_ends_with_his_membership(testbed: Testbed, member: Members, desk: Member) -> None:
    testbed.farm.enrol("temp", "submitter")
    submit(testbed, member("temp"), text(by="temp", nightly="0 2 * * *"), "temp")
    submit(testbed, member("ann"), text())
    testbed.farm.revoke("temp")
    assert testbed.states() == ["cancelled", "todo"]
    assert testbed.rows("SELECT nightly FROM farm.submissions WHERE by = 'temp'") == [(None,)]


def _refused(member: object) -> bool:
    try:
        member.connect().close()  # type: ignore[attr-defined]
    except psycopg.OperationalError:
        return True
    return False


def test_keys_are_their_owners_alone_and_no_secret_stands_in_a_command(testbed: Testbed) -> None:
    for path in testbed.farm.folder.rglob("*.key"):
        assert path.stat().st_mode & 0o077 == 0, path
    lines = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    secrets = [path.read_text().split("\n")[1] for path in testbed.farm.folder.rglob("*.key")]
    assert secrets
    assert not any(each in lines or any(each in line for line in testbed.log()) for each in secrets)


def test_status_tells_all_of_it(testbed: Testbed, desk: Member, ann: Member) -> None:
    submit(testbed, ann, text())
    desk.claims("pi-1")
    time.sleep(0.01)
    found = ann.one("status")
    assert found["jobs"] == {"doing": 1}
    assert [(each["name"], each["job"] is not None) for each in found["devices"]] == [("pi-1", True), ("pi-2", False)]
    assert [each["name"] for each in found["submissions"]] == ["phones"]
