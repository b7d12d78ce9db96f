"""A farm on a company's own PostgreSQL: what is there stays, and nobody is let in before others are kept out."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.postgres import MISSING, folder, missing

pytest.importorskip("procrastinate", reason=MISSING)

import psycopg
from psycopg import errors

from benchharness import api, stores
from benchharness.errors import UsageError
from benchharness.farm import enforced, signing
from benchharness.farm.certificates import Authority, write_secret
from benchharness.farm.existing import Facts, few_lines, for_the_administrator
from benchharness.farm.members import Farm
from benchharness.farm.passes import Pass
from benchharness.farm.roles import MEMBERS, PROBE
from tests.company import DATABASE, OWNER, PASSWORD, Company, company, with_people
from tests.conftest import CommandLine
from tests.farm import Member, parcel, text

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing() or "-")
PEOPLE = [("submitter", "ann"), ("agent", "desk")]


@pytest.fixture(scope="module")
def _server() -> Iterator[Company]:
    with company() as made:
        yield made


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of the farm, and the owner's password where libpq looks for it."""
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    with folder() as made:
        yield made / "farm"


@pytest.fixture
def theirs(_server: Company) -> Iterator[Company]:
    with with_people(_server, limited=False) as made:
        yield made


@pytest.fixture
def limited(_server: Company) -> Iterator[Company]:
    """Where the farm's owner may neither make roles nor schemas."""
    with with_people(_server, limited=True) as made:
        yield made


def made_on(theirs: Company, place: Path, **changes: Any) -> Farm:
    asked = {"server_authority": theirs.server_authority, "members": PEOPLE, **changes}
    return Farm.create_on(place, theirs.reached, **asked)


def opened(theirs: Company, place: Path) -> Farm:
    farm = made_on(theirs, place)
    theirs.do_as_told(farm.for_the_administrator)
    farm.open()
    return farm


def state(theirs: Company) -> list[Any]:
    """What is other people's there."""
    return [
        theirs.run(each)
        for each in (
            "SELECT * FROM sales.orders",
            "SELECT nspname, nspacl::text FROM pg_namespace WHERE nspname IN ('public', 'sales')",
            "SELECT datacl::text, datconnlimit FROM pg_database WHERE datname = current_database()",
            "SELECT setconfig FROM pg_db_role_setting WHERE setrole = 0",
            "SELECT rolname, rolcanlogin, rolconnlimit FROM pg_roles WHERE rolname IN ('bob', 'reporting', 'bench')",
            "SELECT count(*) FROM pg_auth_members WHERE member = 'bench'::regrole",
        )
    ]


def may_log_in(theirs: Company) -> list[str]:
    query = f"SELECT rolname FROM pg_roles WHERE pg_has_role(oid, '{MEMBERS}', 'MEMBER') AND rolcanlogin ORDER BY 1"
    return [name for (name,) in theirs.run(query) if name not in (PROBE, "postgres")]


def test_a_farm_is_made_there_and_works_and_nothing_else_changes(theirs: Company, place: Path, tmp_path: Path) -> None:
    before = state(theirs)
    farm = made_on(theirs, place)
    assert may_log_in(theirs) == []
    with pytest.raises(UsageError, match="a member with a certificate of the farm's is not let in") as refused:
        farm.open()
    assert str(farm.for_the_administrator) in str(refused.value)
    theirs.do_as_told(farm.for_the_administrator)
    assert "everybody may create in the schema public" not in farm.open()  # PostgreSQL 15 and later let nobody
    assert may_log_in(theirs) == ["ann", "desk", "farm-scheduler"]
    assert state(theirs) == before

    ann, desk = (Pass.load(farm.pass_of(name)) for name in ("ann", "desk"))
    line, agent = Member(ann), Member(desk)
    agent.holds("pi-1")
    told = text()
    assert line.one("submit", told, signing.sign(ann.folder, told), "ann") == 1
    token, _ = agent.claims("pi-1") or ("", 0)
    assert agent.one("hand_in", token, parcel(tmp_path))
    for each in (line, agent):
        with pytest.raises(errors.InsufficientPrivilege):
            each.line.execute("SELECT * FROM sales.orders")
        each.line.close()
    scheduler = Pass.load(farm.pass_of(farm.scheduler))
    with scheduler.connect() as taking:
        ((result,),) = taking.execute("SELECT parcel FROM farm.results").fetchall()
    ((run, trouble),) = stores.take_in([("farm: desk/pi-1", result)], store=scheduler.store)
    assert trouble == ""
    assert [each.id for each in api.runs(store=ann.store)] == [run]
    rights = theirs.run(
        "SELECT has_table_privilege('reporting', oid, 'SELECT, INSERT, UPDATE, DELETE') FROM pg_class"
        " WHERE relkind = 'r' AND relnamespace IN ('farm'::regnamespace, 'store'::regnamespace, 'queue'::regnamespace)"
    )
    assert {*rights} == {(False,)}, "what the company gives its reporting by default ends before the farm"
    assert theirs.run("SELECT DISTINCT collname FROM pg_attribute JOIN pg_collation c ON c.oid = attcollation"
                      " WHERE attrelid = 'store.runs'::regclass AND attnum > 0") == [("C",)]  # fmt: skip


def test_who_lacks_rights_is_told_the_statements_and_nothing_is_made(limited: Company, place: Path) -> None:
    before = state(limited)
    with pytest.raises(UsageError, match=r"lacks rights in the database company\. Nothing was made") as refused:
        made_on(limited, place)
    told = str(refused.value).partition("\n")[2]
    assert f'GRANT CREATE ON DATABASE "{DATABASE}" TO "{OWNER}";' in told
    assert 'CREATE ROLE "desk" NOLOGIN;' in told
    assert state(limited) == before
    assert not place.exists()
    limited.run(told)
    farm = made_on(limited, place)
    limited.do_as_told(farm.for_the_administrator)
    with pytest.raises(UsageError, match="may not make roles here") as refused:
        farm.open()
    told = str(refused.value).partition("\n")[2]
    assert told.splitlines() == [f'ALTER ROLE "{name}" LOGIN;' for name in ("farm-scheduler", "ann", "desk")]
    assert may_log_in(limited) == []
    limited.run(told)
    farm.open()
    Pass.load(farm.pass_of("desk")).connect().close()


@pytest.mark.parametrize(
    ("rule", "faults"),
    [
        (
            "host all all 127.0.0.1/32 trust",
            ["plain text", "TLS without a certificate", "another member's certificate"],
        ),
        ("host company all 127.0.0.1/32 scram-sha-256", ["a member with a certificate of the farm's is not let in"]),
        ("hostssl company +farm_members all trust clientcert=verify-ca", ["another member's certificate is let in"]),
        ("hostnossl company +farm_members all trust", ["plain text is let in"]),
    ],
    ids=["trust", "password", "any of ours", "plain"],
)
def test_a_rule_above_ours_that_lets_others_in_shuts_the_farm(
    theirs: Company, place: Path, rule: str, faults: list[str]
) -> None:
    farm = opened(theirs, place)
    assert may_log_in(theirs)
    rules = theirs.server.folder / "pg_hba.conf"
    rules.write_text(f"{rule}\n{rules.read_text()}")
    theirs.server.reload()
    with pytest.raises(UsageError, match="does not keep others out as a farm needs it") as refused:
        farm.open()
    for each in faults:
        assert each in str(refused.value)
    assert may_log_in(theirs) == []


def test_a_certificate_of_the_companys_own_authority_is_no_members(theirs: Company, place: Path) -> None:
    farm = opened(theirs, place)
    pair = theirs.authority.member("desk")
    (place / "desk.crt").write_bytes(pair.certificate)
    write_secret(place / "desk.key", pair.key)
    with pytest.raises(psycopg.OperationalError, match="authentication failed"):
        psycopg.connect(
            f"host=localhost port={theirs.port} dbname={DATABASE} user=desk sslmode=verify-full"
            f" sslrootcert={theirs.server_authority} sslcert={place}/desk.crt sslkey={place}/desk.key"
        )
    Pass.load(farm.pass_of("desk")).connect().close()


def test_who_is_revoked_there_is_out_and_his_name_is_used_up(theirs: Company, place: Path) -> None:
    farm = opened(theirs, place)
    member = Pass.load(farm.pass_of("desk"))
    kept = {path.name: path.read_bytes() for path in member.folder.iterdir()}
    line = Member(member)
    farm.revoke("desk")
    with pytest.raises(psycopg.OperationalError):
        line.call("present", "[]")
    member.folder.mkdir()
    for name, each in kept.items():
        write_secret(member.folder / name, each)
    with pytest.raises(psycopg.OperationalError, match="not permitted to log in"):
        member.connect()
    with pytest.raises(UsageError, match="desk was revoked, and its certificate would count again"):
        farm.enrol("desk", "agent")
    farm.open()
    assert "desk" not in may_log_in(theirs)


@pytest.mark.parametrize(
    ("before", "changes", "told"),
    [
        ("CREATE SCHEMA store", {}, "there are schemas store already: give the farm a database of its own"),
        ("SELECT", {"members": [("agent", "bob")]}, "the server has a role bob that is not this farm's"),
        (
            f"CREATE ROLE {MEMBERS}; CREATE ROLE desk IN ROLE {MEMBERS};"
            " ALTER ROLE desk IN DATABASE postgres SET jit = off",
            {},
            "a role desk that is a member of a farm in another database",
        ),
        ("CREATE ROLE farm_agents LOGIN", {}, "a role farm_agents that may log in"),
        ("SELECT", {"server_authority": Path("/nowhere.pem")}, "/nowhere.pem: no such file"),
    ],
    ids=["schema", "member", "another farm's", "group", "authority"],
)
def test_what_is_in_the_way_is_told_and_nothing_is_made(
    theirs: Company, place: Path, before: str, changes: dict[str, Any], told: str
) -> None:
    theirs.run(before)
    roles = theirs.run("SELECT rolname FROM pg_roles ORDER BY 1")
    with pytest.raises(UsageError, match=told):
        made_on(theirs, place, **changes)
    assert theirs.run("SELECT rolname FROM pg_roles ORDER BY 1") == roles
    assert theirs.run("SELECT count(*) FROM pg_namespace WHERE nspname IN ('farm', 'queue')") == [(0,)]
    assert not place.exists()


def test_a_farm_that_could_not_be_made_there_leaves_nothing_in_the_way(
    theirs: Company, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: Any) -> None:
        raise UsageError("no room")

    for what in ("benchharness.farm.members.make_schema", "benchharness.farm.members.Pass.issue"):
        with monkeypatch.context() as broken:
            broken.setattr(what, lambda *_, **__: refused())
            with pytest.raises(UsageError, match="no room"):
                made_on(theirs, place)
        assert not place.exists()
        assert theirs.run("SELECT count(*) FROM pg_namespace WHERE nspname IN ('farm', 'queue', 'store')") == [(0,)]
        assert may_log_in(theirs) == []
    made_on(theirs, place)


def test_a_certificate_of_another_farm_on_the_same_server_is_no_members(theirs: Company, place: Path) -> None:
    """Roles are a whole server's: both farms have a `desk`."""
    farm = opened(theirs, place)
    other = Authority.create(place / "other", "other")
    told = farm.for_the_administrator.read_text()
    facts = replace(farm.place.facts(), database="second")  # type: ignore[union-attr] # not a server of its own
    also = for_the_administrator(facts, other.mark, place / "other/ca.crt", place / "other/revoked.crl")

    def step(number: int, text: str) -> str:
        found = re.search(rf"^{number}\..*?\n(.*?)\n\n", text, re.DOTALL | re.MULTILINE)
        assert found
        return f"{found[1]}\n"

    believed = farm.authority.certificate + other.certificate
    lines = (step(1, also) + step(1, told)).splitlines(keepends=True)
    lines.sort(key=lambda line: "reject" in line)  # as the words have it
    theirs.rules("".join(lines), step(2, also) + step(2, told), believed)
    pair = other.member("desk")
    (place / "desk.crt").write_bytes(pair.certificate)
    write_secret(place / "desk.key", pair.key)
    with pytest.raises(psycopg.OperationalError, match="authentication failed"):
        psycopg.connect(
            f"host=localhost port={theirs.port} dbname={DATABASE} user=desk sslmode=verify-full"
            f" sslrootcert={theirs.server_authority} sslcert={place}/desk.crt sslkey={place}/desk.key"
        )
    Pass.load(farm.pass_of("desk")).connect().close()


def test_a_server_that_is_full_has_refused_nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    way = enforced.Way(host="localhost", port=1, database=DATABASE, server_authority=tmp_path)

    def full(told: str) -> Any:
        def connect(*_: Any, **__: Any) -> None:
            raise psycopg.OperationalError(told)

        return connect

    for told in ("FATAL:  sorry, too many clients already", "FATAL:  the database system is starting up"):
        monkeypatch.setattr(psycopg, "connect", full(told))
        assert (
            enforced._let_in(way, "plain text", {})
            == f"whether plain text is refused is not known: {' '.join(told.split())}"
        )
    monkeypatch.setattr(psycopg, "connect", full("FATAL:  pg_hba.conf rejects connection"))
    assert enforced._let_in(way, "plain text", {}) == ""


def test_the_commands_say_what_to_do_next(theirs: Company, place: Path, benchharness: CommandLine) -> None:
    init = ["farm", "init", place, "--server-ca", theirs.server_authority, "--agent", "desk"]
    for reached, told in (
        (f"{theirs.reached} password=x", "a password stands in no command line"),
        ("host=localhost", "say host, dbname and user"),
        ("postgres at home", "is not how libpq writes it"),
        (f"{theirs.reached} connect_timeout=2".replace(DATABASE, "nowhere"), 'database "nowhere" does not exist'),
    ):
        done = benchharness(*init, "--on-server", reached)
        assert (done.returncode, told in done.stderr) == (2, True), done.stderr
        assert not place.exists()
    done = benchharness(*init, "--on-server", theirs.reached)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"next: benchharness farm check {place}" in done.stdout
    done = benchharness("farm", "serve", place)
    assert done.returncode == 2
    assert "No member may log in until it does" in " ".join(done.stderr.split())
    theirs.do_as_told(place / "for-the-administrator.txt")
    done = benchharness("farm", "check", place)
    assert (done.returncode, done.stderr) == (0, "")
    assert "members may log in" in done.stdout
    done = benchharness("farm", "status", "--json", "--farm", place / "passes" / "desk")
    assert done.returncode == 2
    assert "desk may not do that with this pass" in done.stderr
    assert benchharness("farm", "enrol", place, "ann", "--as", "submitter").returncode == 0
    assert json.loads(benchharness("farm", "status", "--json", "--farm", place / "passes" / "ann").stdout)["jobs"] == {}


def test_where_whoever_made_a_role_is_a_member_of_it_his_own_lines_come_first(tmp_path: Path) -> None:
    facts = Facts(
        version=18, owner=OWNER, database=DATABASE, encoding="UTF8", in_recovery=False, ssl=True,
        ca_file="/etc/ca.crt", revocation="/etc/crl", free=50,
    )  # fmt: skip
    told = for_the_administrator(facts, "farm-1a2b", tmp_path / "ca.crt", tmp_path / "revoked.crl")
    assert told.index(f"host     all  {OWNER}  all  METHOD") < told.index("+farm_members")
    assert f"append {tmp_path / 'revoked.crl'}" in told
    assert "METHOD" not in for_the_administrator(replace(facts, version=15), "farm-1a2b", tmp_path, tmp_path)
    odd = for_the_administrator(replace(facts, database="all", owner='my "x'), "farm-1a2b", tmp_path, tmp_path)
    assert 'hostssl  "all"  +farm_members' in odd
    assert 'local    all  "my ""x"  ' in odd
    assert few_lines(facts, 5) == ""
    assert few_lines(facts, 40) == "the server has 50 connections to spare, and a farm of 40 agents takes up to 100"
