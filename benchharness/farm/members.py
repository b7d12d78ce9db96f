"""A farm is made, members are enrolled and revoked, by who owns the farm's folder: on its own server or another's."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from benchharness.errors import UsageError
from benchharness.farm import enforced, existing, roles, signing
from benchharness.farm.certificates import Authority
from benchharness.farm.existing import Existing
from benchharness.farm.passes import Pass
from benchharness.farm.schema import drop_schema, make_schema
from benchharness.farm.server import DATABASE, OWNER, Server
from benchharness.suite.tables import read_toml

SCHEDULER = "scheduler"
#: On a server with other people's roles, where a shorter name is sooner somebody's.
_SCHEDULER_THERE = "farm-scheduler"
#: A name becomes a role's, a certificate's and a file's.
_NAME = re.compile(r"[a-z][a-z0-9-]{0,40}")
_TAKEN = {OWNER, *roles.GROUPS.values(), DATABASE}
#: What is said of a server that was there already, for who looks after it.
_FOR_ADMINISTRATOR = "for-the-administrator.txt"

#: What somebody submitted ends with his membership, nightly ones too.
_CANCEL_ALL = """
SELECT farm.cancel(id) FROM farm.submissions WHERE by = %s AND (nightly IS NOT NULL OR EXISTS (
    SELECT FROM farm.jobs JOIN queue.procrastinate_jobs USING (id)
    WHERE submission = submissions.id AND status IN ('todo', 'doing')
))
"""

_AGENT = """\
# What this host lets submissions do. Only what stands here: see docs/farm.md.
roots = []  # folders of models that need not come over the line; a file counts by its digest alone
cache = "20 GB"  # how much of what came over the line is kept
code = []  # files of submissions that are code, by their SHA-256

[keys]  # whose submissions it makes, by who signed them
{keys}
[interpreters]  # by the names that suites call them: python = "NAME"
[libraries]  # the same for `library`, `accelerator` and custom_op_libraries
"""


@dataclass(frozen=True)
class Farm:
    """A farm's folder: its server, its authority, and a pass for each member."""

    folder: Path

    @property
    def server(self) -> Server:
        """The farm's own PostgreSQL. Raises `UsageError` where it has none."""
        if self.there is not None:
            raise UsageError(f"{self.folder}: the farm has no server of its own; it is on {self.there.reached}")
        return Server(self.folder / "server")

    @property
    def there(self) -> Existing | None:
        """The PostgreSQL of somebody's that the farm is on; None where it has its own."""
        reached = self._said.get("owner") if (self.folder / "farm.toml").exists() else None
        return None if reached is None else Existing(str(reached))

    @property
    def place(self) -> Server | Existing:
        """Where queue and store are."""
        return self.there or self.server

    @property
    def scheduler(self) -> str:
        """The scheduler's role."""
        return SCHEDULER if self.there is None else _SCHEDULER_THERE

    @property
    def _said(self) -> dict[str, Any]:
        return read_toml(self.folder / "farm.toml")

    @property
    def authority(self) -> Authority:
        """Who signs its certificates."""
        return Authority(self.folder / "server")

    def pass_of(self, role: str) -> Path:
        """Where a member's pass is made, to be carried to him."""
        return self.folder / "passes" / role

    @classmethod
    def create(
        cls,
        folder: Path,
        *,
        name: str,
        port: int = 5433,
        listen: str = "*",
        user: str | None = None,
        also: Sequence[str] = (),
        members: Sequence[tuple[str, str]] = (),
    ) -> Farm:
        """A new farm, its server running, with a scheduler and these members: (kind, role). Raises `UsageError`.

        `also`: other names and addresses by which the server is reached.
        """
        _expect_new(folder, members)
        with _or_nothing(folder):
            return cls._made(folder, name, port, listen, user, also, members)

    @classmethod
    def _made(
        cls,
        folder: Path,
        name: str,
        port: int,
        listen: str,
        user: str | None,
        also: Sequence[str],
        members: Sequence[tuple[str, str]],
    ) -> Farm:
        place, authority = _begun(folder, name)
        pair = authority.server(list(dict.fromkeys([name, *also, "localhost", "127.0.0.1"])))
        (place / "server.crt").write_bytes(pair.certificate)
        (place / "server.key").write_bytes(pair.key)
        (place / "server.key").chmod(0o600)
        _write(folder / "farm.toml", {"name": name, "port": port})
        server = Server(place, user)
        server.create(listen=listen, port=port)
        server.start()
        farm = cls(folder)
        with server.connect("postgres") as line:
            line.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(DATABASE)))
        with server.connect() as line:
            line.execute(sql.SQL("ALTER DATABASE {} SET search_path = store").format(sql.Identifier(DATABASE)))
            line.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(sql.Identifier(DATABASE)))
            line.execute("REVOKE ALL ON SCHEMA public FROM PUBLIC")
            roles.make(line, roles.groups_lacking(line))
            line.execute(
                sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(
                    sql.Identifier(DATABASE), sql.Identifier(roles.MEMBERS)
                )
            )
        make_schema(partial(server.connect, autocommit=False))
        for kind, role in (("scheduler", SCHEDULER), *members):
            farm.enrol(role, kind)
        return farm

    @classmethod
    def create_on(
        cls,
        folder: Path,
        reached: str,
        *,
        server_authority: Path,
        name: str | None = None,
        port: int | None = None,
        members: Sequence[tuple[str, str]] = (),
    ) -> Farm:
        """A new farm on a server that is there already, to whose database `reached` leads its owner.

        Nobody is let in before `open` has seen that the server keeps others out. `name`, `port`: how members reach it,
        where that is another way. `server_authority`: by which certificate they know it. Raises `UsageError`.
        """
        there = Existing(existing.checked(reached))
        members = [("scheduler", _SCHEDULER_THERE), *members]
        if not server_authority.is_file():
            raise UsageError(f"{server_authority}: no such file; name the certificate by which the server is known")
        _expect_new(folder, members)
        there.expect_room(members)
        with _or_nothing(folder):
            return cls._made_on(folder, there, server_authority, name, port, members)

    @classmethod
    def _made_on(
        cls,
        folder: Path,
        there: Existing,
        server_authority: Path,
        name: str | None,
        port: int | None,
        members: Sequence[tuple[str, str]],
    ) -> Farm:
        facts, (host, number) = there.facts(), there.way_in()
        place, authority = _begun(folder, name or host)
        shutil.copyfile(server_authority, place / "server-ca.crt")
        reached_as: dict[str, str | int] = {"name": name or host, "port": port or number, "database": facts.database}
        _write(folder / "farm.toml", {**reached_as, "owner": there.reached})
        told = existing.for_the_administrator(facts, authority.mark, place / "ca.crt", place / "revoked.crl")
        (folder / _FOR_ADMINISTRATOR).write_text(told, encoding="utf-8")
        with there.connect() as line:
            roles.make(line, roles.groups_lacking(line))
            roles.make(line, there.connect_rights())
        make_schema(partial(there.connect, autocommit=False))
        farm = cls(folder)
        try:
            for kind, role in members:
                farm.enrol(role, kind)
        except BaseException:
            with suppress(UsageError, psycopg.Error), there.connect() as line:
                drop_schema(line)  # it was made a moment ago, and nobody was in it
            raise
        return farm

    @property
    def for_the_administrator(self) -> Path:
        """What a server's administrator is to do, in words."""
        return self.folder / _FOR_ADMINISTRATOR

    def open(self) -> list[str]:
        """Lets members log in once the server was seen to keep all others out; what else is worth knowing.

        Else no member may log in. Of a server of the farm's own there is nothing to see. Raises `UsageError`.
        """
        if self.there is None:
            return []
        said = self._said
        way = enforced.Way(
            host=said["name"],
            port=said["port"],
            database=said["database"],
            server_authority=self.folder / "server" / "server-ca.crt",
        )
        seen = enforced.tried(self.authority, way)
        with self.there.connect() as line:
            members = line.execute("SELECT role::text, kind FROM farm.members WHERE revoked IS NULL").fetchall()
            wanted = [
                each
                for role, kind in members
                for each in (roles.shut(line, role) if seen.faults else roles.lacking(line, role, kind, login=True))
            ]
            roles.make(line, wanted)
        if seen.faults:
            raise UsageError(
                f"the server does not keep others out as a farm needs it: {'; '.join(seen.faults)}. No member may log "
                f"in until it does. Its administrator finds what to do in {self.for_the_administrator}; then: "
                f"benchharness farm check {self.folder}"
            )
        agents = sum(kind == "agent" for _, kind in members)
        return [*seen.told, *filter(None, [existing.few_lines(self.there.facts(), agents)])]

    @classmethod
    def load(cls, folder: Path) -> Farm:
        """The farm in a folder. Raises `UsageError`."""
        if not (folder / "farm.toml").is_file():
            raise UsageError(f"{folder}: there is no farm; make one with: benchharness farm init {folder}")
        return cls(folder.absolute())

    def enrol(self, role: str, kind: str) -> Pass:
        """A new member, or an old one's new pass. Raises `UsageError`."""
        _check_name(role)
        said = self._said
        pair = self.authority.member(role)
        with self.place.connect() as connection, connection.transaction():
            query = "SELECT kind, revoked IS NOT NULL FROM farm.members WHERE role = %s"
            known = connection.execute(query, [role]).fetchone()
            if known is not None and known[0] != kind:
                raise UsageError(f"{role} is a member already, and {known[0]}; give the {kind} another name")
            if known is not None and known[1] and self.there is not None:
                # Its list of revoked certificates is its administrator's: by the name alone the old one is kept out.
                raise UsageError(f"{role} was revoked, and its certificate would count again; give another name")
            roles.make(connection, roles.lacking(connection, role, kind, login=self.there is None))
            connection.execute(
                "INSERT INTO farm.members (role, kind, serial) VALUES (%s, %s, %s) ON CONFLICT (role)"
                " DO UPDATE SET serial = excluded.serial, enrolled = now(), revoked = NULL",
                [role, kind, pair.serial],
            )
            connection.execute("SELECT farm.note('enrolled', %s, %s)", [role, kind])
        place = self.pass_of(role)
        made = Pass.issue(
            place,
            role=role,
            host=said["name"],
            port=said["port"],
            database=said.get("database", DATABASE),
            authority=self._known_by,
            pair=pair,
        )
        if kind == "submitter":
            signing.create(place)
        if kind == "agent" and not (place / "agent.toml").exists():
            keys = "".join(f"{name} = {json.dumps(key)}\n" for name, key in self._keys().items())
            (place / "agent.toml").write_text(_AGENT.format(keys=keys), encoding="utf-8")
        return made

    def revoke(self, role: str) -> None:
        """Shuts a member out, now: his certificate, his role, and the lines that he has. Raises `UsageError`."""
        with self.place.connect() as connection, connection.transaction():
            changed = connection.execute("UPDATE farm.members SET revoked = now() WHERE role = %s", [role]).rowcount
            if not changed:
                raise UsageError(f"{role}: the farm has no such member")
            connection.execute(
                "UPDATE farm.devices SET state = 'quarantined', why = 'its host was revoked' WHERE host = %s", [role]
            )
            connection.execute(_CANCEL_ALL, [role])
            connection.execute("SELECT farm.note('revoked', %s)", [role])
            serials = connection.execute("SELECT serial FROM farm.members WHERE revoked IS NOT NULL").fetchall()
            self.authority.revoke(int(serial) for (serial,) in serials)
        self.place.reload()
        shutil.rmtree(self.pass_of(role), ignore_errors=True)
        with self.place.connect() as connection:
            roles.make(connection, roles.shut(connection, role))
            roles.end_lines(connection, role)

    @property
    def _known_by(self) -> bytes:
        """The certificate by which members know the server."""
        return self.authority.certificate if self.there is None else (self.folder / "server/server-ca.crt").read_bytes()

    def _keys(self) -> dict[str, str]:
        """By who submits, his public key."""
        found = sorted((self.folder / "passes").glob("*/signing.pub"))
        return {path.parent.name: path.read_text(encoding="utf-8").strip() for path in found}


def _check_name(role: str) -> None:
    if not _NAME.fullmatch(role) or role in _TAKEN or role.startswith("pg-"):
        raise UsageError(
            f"{role!r} is no member's name: write a small letter, then letters, digits and '-', 41 at most"
        )


def _expect_new(folder: Path, members: Sequence[tuple[str, str]]) -> None:
    for _, role in members:
        _check_name(role)
    if (folder / "server").exists():
        raise UsageError(f"{folder}: there is a farm already; 'farm enrol' makes members")


@contextmanager
def _or_nothing(folder: Path) -> Iterator[None]:
    """Takes away what was begun of a farm that could not be made, so that the command can be given again."""
    was_there = folder.exists()
    try:
        yield
    except BaseException:
        if (folder / "server" / "data").exists():  # one of its own
            begun = Server(folder / "server")
            if begun.runs:
                begun.stop("immediate")
        for name in ("server", "passes"):
            shutil.rmtree(folder / name, ignore_errors=True)
        for name in ("farm.toml", _FOR_ADMINISTRATOR):
            (folder / name).unlink(missing_ok=True)
        if not was_there:
            shutil.rmtree(folder, ignore_errors=True)
        raise


def _begun(folder: Path, name: str) -> tuple[Path, Authority]:
    """The folder of a new farm's server, and the farm's authority."""
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o711)  # the server's user passes through
    return folder / "server", Authority.create(folder / "server", name)


def _write(path: Path, said: Mapping[str, str | int]) -> None:
    path.write_text("".join(f"{key} = {json.dumps(value)}\n" for key, value in said.items()), encoding="utf-8")
