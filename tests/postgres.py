"""A PostgreSQL of the tests' own, with TLS, on a free port of loopback: one a session, a database for each test."""

from __future__ import annotations

import contextlib
import itertools
import shutil
import socket
import sys
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest

if TYPE_CHECKING:
    from benchharness.farm.server import Server

#: What a test without a server says.
MISSING = "needs PostgreSQL 13 or later, and the extra `farm`"
_NUMBERS = itertools.count()


@cache
def missing() -> str:
    """Why there can be no server here; nothing where there can."""
    if sys.platform != "linux":
        return MISSING
    try:
        from benchharness.farm import check_installed
        from benchharness.farm.server import _programs

        check_installed()
        _programs()
    except Exception:
        return MISSING
    return ""


@contextlib.contextmanager
def folder() -> Iterator[Path]:
    """A folder with a short path, for sockets; its server's user may enter it."""
    made = Path(tempfile.mkdtemp(prefix="bh-", dir="/tmp"))
    made.chmod(0o711)
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


def free_port() -> int:
    """A port of loopback that nobody has."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


class Postgres:
    """A running server, its databases as their owner sees them, by the socket."""

    def __init__(self, server: Server, port: int) -> None:
        self.server = server
        self._port = port

    def store(self) -> str:
        """The URL of a store without a row: one for all tests, which is emptied, as making another takes a second."""
        from benchharness.results.store import Store

        if "store" not in self._databases():
            self.database("store")
            Store(self._url("store")).close()
        with self.server.connect("store") as connection:
            connection.execute("TRUNCATE runs CASCADE")
        return self._url("store")

    def database(self, name: str = "") -> str:
        """The URL of a database that is new."""
        from psycopg import sql

        name = name or f"test_{next(_NUMBERS)}"
        with self.server.connect("postgres") as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        return self._url(name)

    def _databases(self) -> set[str]:
        with self.server.connect("postgres") as connection:
            return {name for (name,) in connection.execute("SELECT datname FROM pg_database").fetchall()}

    def _url(self, name: str) -> str:
        return f"postgresql://postgres@/{name}?host={quote(str(self.server.folder), safe='')}&port={self._port}"


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """The session's server; a test that asks for it is skipped where there can be none."""
    if why := missing():
        pytest.skip(why)
    from benchharness.farm.certificates import Authority
    from benchharness.farm.server import Server

    with folder() as made:
        place, port = made / "pg", free_port()
        authority = Authority.create(place, "tests")
        pair = authority.server(["localhost", "127.0.0.1"])
        (place / "server.crt").write_bytes(pair.certificate)
        (place / "server.key").write_bytes(pair.key)
        (place / "server.key").chmod(0o600)
        server = Server(place)
        server.create(listen="127.0.0.1", port=port)
        with (place / "data" / "postgresql.conf").open("a") as file:
            file.write("fsync = off\n")  # tests outlive no power cut
        server.start()
        try:
            yield Postgres(server, port)
        finally:
            server.stop("immediate")


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty store: a file, and a database on a server where one can be had."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'store.db'}"
    served: Postgres = request.getfixturevalue("postgres")
    return served.store()


def change(url: str, statement: str, *values: object) -> None:
    """Changes one row of a store behind its back. `?` stands for each value."""
    from sqlalchemy import create_engine, text

    engine = create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    for number in range(len(values)):
        statement = statement.replace("?", f":value{number}", 1)
    with engine.begin() as connection:
        named = {f"value{number}": value for number, value in enumerate(values)}
        assert connection.execute(text(statement), named).rowcount == 1
    engine.dispose()
