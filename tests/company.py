"""A PostgreSQL as a company has it: an administrator, other people's database, roles, rules of its own."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from benchharness.farm.certificates import Authority
from benchharness.farm.server import Server
from tests.postgres import folder, free_port

DATABASE, OWNER, PASSWORD = "company", "bench", "not-a-secret"
#: Its own rules: people come in by password, and nobody minds plain text.
_RULES = """\
local  all  postgres  peer  map=owner
host   all  all  127.0.0.1/32  scram-sha-256
host   all  all  ::1/128       scram-sha-256
"""


@dataclass
class Company:
    """The server, as its administrator has it."""

    server: Server
    port: int
    authority: Authority

    @property
    def reached(self) -> str:
        """How the farm's owner comes in."""
        return f"host=localhost port={self.port} dbname={DATABASE} user={OWNER}"

    @property
    def server_authority(self) -> Path:
        return self.server.folder / "ca.crt"

    def run(self, statements: str, database: str = DATABASE) -> list[tuple[Any, ...]]:
        """As its administrator."""
        with self.server.connect(database) as line:
            found = line.execute(statements.encode())
            return found.fetchall() if found.description else []

    def rules(self, before: str = "", people: str = "", believed: bytes = b"") -> None:
        """Puts lines before its own rules, names into pg_ident.conf, and authorities beside its own."""
        place = self.server.folder
        (place / "pg_hba.conf").write_text(before + _RULES)
        own = (place / "pg_ident.conf").read_text().partition("# of a farm")[0]
        (place / "pg_ident.conf").write_text(f"{own}# of a farm\n{people}")
        (place / "believed.crt").write_bytes(self.authority.certificate + believed)
        self.server.reload()

    def do_as_told(self, told: Path) -> None:
        """What a farm's words to the administrator say, word by word."""
        text = told.read_text()
        before = re.search(r"^1\..*?\n(.*?)\n\n", text, re.DOTALL | re.MULTILINE)
        people = re.search(r"^2\..*?\n(.*?)\n\n", text, re.DOTALL | re.MULTILINE)
        append = re.search(r"append (\S+) to (\S+),", text)
        assert before
        assert people
        assert append
        assert Path(append[2]).name == "believed.crt"
        self.rules(f"{before[1]}\n", f"{people[1]}\n", Path(append[1]).read_bytes())


@contextlib.contextmanager
def company() -> Iterator[Company]:
    """The server, for as long as it is wanted."""
    with folder() as made:
        place, port = made / "pg", free_port()
        authority = Authority.create(place, "company")
        pair = authority.server(["localhost", "127.0.0.1"])
        (place / "server.crt").write_bytes(pair.certificate)
        (place / "server.key").write_bytes(pair.key)
        (place / "server.key").chmod(0o600)
        (place / "believed.crt").write_bytes(authority.certificate)
        server = Server(place)
        server.create(listen="127.0.0.1", port=port)
        with (place / "data" / "postgresql.conf").open("a") as file:
            file.write(f"fsync = off\nmax_connections = 60\nssl_crl_file = ''\nssl_ca_file = '{place}/believed.crt'\n")
        (place / "believed.crt").chmod(0o644)
        place.chmod(0o711)
        server.start()
        try:
            yield Company(server, port, authority)
        finally:
            server.stop("immediate")


@contextlib.contextmanager
def with_people(made: Company, *, limited: bool) -> Iterator[Company]:
    """With a database, tables and roles of other people's; `limited`: its owner of a farm may make nothing yet."""
    made.rules()
    rights = "NOCREATEROLE" if limited else "CREATEROLE"
    made.run(f"CREATE ROLE {OWNER} LOGIN PASSWORD '{PASSWORD}' {rights}", "postgres")
    made.run("CREATE ROLE reporting LOGIN", "postgres")
    made.run("CREATE ROLE bob LOGIN", "postgres")
    made.run(f"CREATE DATABASE {DATABASE} TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'en-US'", "postgres")
    made.run("CREATE SCHEMA sales; CREATE TABLE sales.orders (id integer); INSERT INTO sales.orders VALUES (7);")
    made.run(f"ALTER DEFAULT PRIVILEGES FOR ROLE {OWNER} GRANT ALL ON TABLES TO reporting")
    if not limited:
        made.run(f"GRANT CREATE ON DATABASE {DATABASE} TO {OWNER}")
    try:
        yield made
    finally:
        with made.server.connect("postgres") as line:
            line.execute(f"DROP DATABASE {DATABASE} WITH (FORCE)".encode())
            names = line.execute("SELECT rolname FROM pg_roles WHERE rolname !~ '^(pg_|postgres$)'").fetchall()
            for (name,) in names:
                with contextlib.suppress(psycopg.Error):
                    line.execute(sql.SQL("DROP OWNED BY {0}").format(sql.Identifier(name)))
                line.execute(sql.SQL("DROP ROLE {0}").format(sql.Identifier(name)))
