"""A farm is made, members are enrolled and revoked: on the server's machine, by who owns the farm's folder."""

from __future__ import annotations

import importlib.resources
import json
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from psycopg import Connection, sql

from benchharness import api
from benchharness.errors import UsageError
from benchharness.farm import signing
from benchharness.farm.certificates import Authority
from benchharness.farm.passes import Pass
from benchharness.farm.server import DATABASE, OWNER, Server
from benchharness.suite.tables import read_toml

#: What each kind of member may call: see `sql/roles.sql`.
GROUPS = {
    "agent": "farm_agents",
    "submitter": "farm_submitters",
    "reader": "farm_readers",
    "scheduler": "farm_schedulers",
}
SCHEDULER = "scheduler"
#: Tables first, and who may call what last.
_SCHEMA = ("tables", "devices", "lease", "fence", "reaper", "submit", "prune", "status", "roles")
#: A name becomes a role's, a certificate's and a file's.
_NAME = re.compile(r"[a-z][a-z0-9-]{0,40}")
_TAKEN = {OWNER, *GROUPS.values(), DATABASE}
#: An agent holds a line for calls and one for news, and may come back before the server noticed that it left.
_LINES = {"agent": 8, "submitter": 20, "reader": 20, "scheduler": 20}

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
        """The farm's PostgreSQL."""
        return Server(self.folder / "server")

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
        for _, role in members:
            _check_name(role)
        if (folder / "server").exists():
            raise UsageError(f"{folder}: there is a farm already; 'farm enrol' makes members")
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o711)  # the server's user passes through
        place = folder / "server"
        authority = Authority.create(place, name)
        pair = authority.server(list(dict.fromkeys([name, *also, "localhost", "127.0.0.1"])))
        (place / "server.crt").write_bytes(pair.certificate)
        (place / "server.key").write_bytes(pair.key)
        (place / "server.key").chmod(0o600)
        (folder / "farm.toml").write_text(f"name = {json.dumps(name)}\nport = {port}\n", encoding="utf-8")
        server = Server(place, user)
        server.create(listen=listen, port=port)
        server.start()
        _make_schema(server, port)
        farm = cls(folder)
        for kind, role in (("scheduler", SCHEDULER), *members):
            farm.enrol(role, kind)
        return farm

    @classmethod
    def load(cls, folder: Path) -> Farm:
        """The farm in a folder. Raises `UsageError`."""
        if not (folder / "farm.toml").is_file():
            raise UsageError(f"{folder}: there is no farm; make one with: benchharness farm init {folder}")
        return cls(folder.absolute())

    def enrol(self, role: str, kind: str) -> Pass:
        """A new member, or an old one's new pass. Raises `UsageError`."""
        _check_name(role)
        said = read_toml(self.folder / "farm.toml")
        authority = self.authority
        pair = authority.member(role)
        with self.server.connect() as connection, connection.transaction():
            known = connection.execute("SELECT kind FROM farm.members WHERE role = %s", [role]).fetchone()
            if known is not None and known[0] != kind:
                raise UsageError(f"{role} is a member already, and {known[0]}; give the {kind} another name")
            _make_role(connection, role, kind, new=known is None)
            connection.execute(
                "INSERT INTO farm.members (role, kind, serial) VALUES (%s, %s, %s) ON CONFLICT (role)"
                " DO UPDATE SET serial = excluded.serial, enrolled = now(), revoked = NULL",
                [role, kind, pair.serial],
            )
            connection.execute("SELECT farm.note('enrolled', %s, %s)", [role, kind])
        place = self.pass_of(role)
        made = Pass.issue(
            place, role=role, host=said["name"], port=said["port"], authority=authority.certificate, pair=pair
        )
        if kind == "submitter":
            signing.create(place)
        if kind == "agent" and not (place / "agent.toml").exists():
            keys = "".join(f"{name} = {json.dumps(key)}\n" for name, key in self._keys().items())
            (place / "agent.toml").write_text(_AGENT.format(keys=keys), encoding="utf-8")
        return made

    def revoke(self, role: str) -> None:
        """Shuts a member out, now: his certificate, his role, and the lines that he has. Raises `UsageError`."""
        with self.server.connect() as connection, connection.transaction():
            changed = connection.execute("UPDATE farm.members SET revoked = now() WHERE role = %s", [role]).rowcount
            if not changed:
                raise UsageError(f"{role}: the farm has no such member")
            connection.execute(sql.SQL("ALTER ROLE {} NOLOGIN").format(sql.Identifier(role)))
            connection.execute(
                "UPDATE farm.devices SET state = 'quarantined', why = 'its host was revoked' WHERE host = %s", [role]
            )
            connection.execute(_CANCEL_ALL, [role])
            connection.execute("SELECT farm.note('revoked', %s)", [role])
            serials = connection.execute("SELECT serial FROM farm.members WHERE revoked IS NOT NULL").fetchall()
            self.authority.revoke(int(serial) for (serial,) in serials)
        self.server.reload()
        with self.server.connect() as connection:
            connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s", [role])
        shutil.rmtree(self.pass_of(role), ignore_errors=True)

    def _keys(self) -> dict[str, str]:
        """By who submits, his public key."""
        found = sorted((self.folder / "passes").glob("*/signing.pub"))
        return {path.parent.name: path.read_text(encoding="utf-8").strip() for path in found}


def _check_name(role: str) -> None:
    if not _NAME.fullmatch(role) or role in _TAKEN or role.startswith("pg-"):
        raise UsageError(
            f"{role!r} is no member's name: write a small letter, then letters, digits and '-', 41 at most"
        )


def _make_schema(server: Server, port: int) -> None:
    """Queue, store and what is the farm's own, in a database of its own."""
    from procrastinate import schema

    with server.connect("postgres") as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(DATABASE)))
    with server.connect() as connection:
        connection.execute("CREATE SCHEMA store")
        connection.execute("CREATE SCHEMA queue")
        connection.execute(sql.SQL("ALTER DATABASE {} SET search_path = store").format(sql.Identifier(DATABASE)))
        connection.execute("SET search_path = queue")
        connection.execute(schema.SchemaManager.get_schema().encode())
    api.open_store(f"postgresql://{OWNER}@/{DATABASE}?host={server.folder}&port={port}").close()
    folder = importlib.resources.files("benchharness.farm") / "sql"
    with server.connect() as connection, connection.transaction():
        for name in _SCHEMA:
            connection.execute((folder / f"{name}.sql").read_bytes())


def _make_role(connection: Connection, role: str, kind: str, *, new: bool) -> None:
    named = sql.Identifier(role)
    if new:
        connection.execute(sql.SQL("CREATE ROLE {} NOLOGIN").format(named))
        connection.execute(sql.SQL("GRANT {} TO {}").format(sql.Identifier(GROUPS[kind]), named))
    connection.execute(sql.SQL("ALTER ROLE {} LOGIN CONNECTION LIMIT {}").format(named, sql.Literal(_LINES[kind])))
    if kind == "scheduler":  # Procrastinate finds its tables there
        connection.execute(
            sql.SQL("ALTER ROLE {} IN DATABASE {} SET search_path = store, queue").format(
                named, sql.Identifier(DATABASE)
            )
        )
