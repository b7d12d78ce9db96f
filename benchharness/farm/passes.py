"""A pass: the folder with which a member reaches its farm. It holds keys: nobody but its owner may read it.

::

    farm.toml       where the server is, and as which role it is reached
    ca.crt          whom to believe that it is the server
    NAME.crt, .key  who this is
    signing.key     of who submits: what he wrote is known by it
    agent.toml      of an agent: what its host lets submissions do (`allowed`)
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlencode

import psycopg

from benchharness.errors import UsageError
from benchharness.farm.certificates import Pair, write_secret
from benchharness.farm.server import DATABASE
from benchharness.suite.tables import read_toml

#: Names the folder of the pass, for every command of a farm.
VARIABLE = "BENCHHARNESS_FARM"
_FILE = "farm.toml"
#: A line that was cut is given up within seconds: while somebody waits for it no lease is renewed over another one.
_LINE = {
    "connect_timeout": "5",
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "2",
    "tcp_user_timeout": "10000",
}


@dataclass(frozen=True, kw_only=True)
class Pass:
    """How a member reaches its farm."""

    folder: Path
    role: str
    host: str
    port: int
    database: str = DATABASE

    @classmethod
    def issue(
        cls, folder: Path, *, role: str, host: str, port: int, authority: bytes, pair: Pair, database: str = DATABASE
    ) -> Pass:
        """Writes a new member's pass."""
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o700)
        said = {"role": role, "host": host, "port": port, "database": database}
        lines = [f"{key} = {json.dumps(value)}" for key, value in said.items()]
        (folder / _FILE).write_text("\n".join([*lines, ""]), encoding="utf-8")
        (folder / "ca.crt").write_bytes(authority)
        (folder / f"{role}.crt").write_bytes(pair.certificate)
        write_secret(folder / f"{role}.key", pair.key)
        return cls(folder=folder, role=role, host=host, port=port, database=database)

    @classmethod
    def load(cls, folder: str | Path | None = None) -> Pass:
        """The pass in a folder, or in the one that the environment names. Raises `UsageError`."""
        given = folder or os.environ.get(VARIABLE)
        if not given:
            raise UsageError(
                f"say which farm: --farm PASS, the folder that 'farm init' or 'farm enrol' made, or {VARIABLE}"
            )
        place = Path(given).expanduser().absolute()
        if not (place / _FILE).is_file():
            raise UsageError(f"{place}: is no pass; it has no {_FILE}")
        table = read_toml(place / _FILE)
        try:
            return cls(
                folder=place,
                role=str(table["role"]),
                host=str(table["host"]),
                port=int(table["port"]),
                database=str(table.get("database", DATABASE)),
            )
        except (KeyError, ValueError) as error:
            raise UsageError(f"{place / _FILE}: says no role, host and port ({error})") from error

    @property
    def _reached(self) -> dict[str, str]:
        return {
            "sslmode": "verify-full",
            "sslrootcert": str(self.folder / "ca.crt"),
            "sslcert": str(self.folder / f"{self.role}.crt"),
            "sslkey": str(self.folder / f"{self.role}.key"),
            **_LINE,
        }

    @property
    def store(self) -> str:
        """The URL of the farm's store. It holds paths of keys, and no key."""
        where = {"host": self.host, "port": str(self.port), **self._reached}
        return f"postgresql://{self.role}@/{quote(self.database)}?{urlencode(where)}"

    def conninfo(self) -> dict[str, str]:
        """What libpq is told."""
        told = {"host": self.host, "port": str(self.port), "user": self.role, "dbname": self.database}
        return {**told, "application_name": "benchharness farm", **self._reached}

    def connect(self) -> psycopg.Connection:
        """A line to the farm. Raises `psycopg.OperationalError`: who calls it knows whether to try again."""
        return psycopg.connect(**self.conninfo(), autocommit=True)  # type: ignore[arg-type] # all of it is text

    def ask(self, query: str, *values: object) -> list[tuple[object, ...]]:
        """One question over a line of its own. Raises `UsageError` with the server's words."""
        try:
            with self.connect() as line:
                return line.execute(query, values).fetchall()
        except psycopg.OperationalError as error:
            raise UsageError(f"the farm at {self.host}:{self.port} does not answer: {_words(error)}") from error
        except psycopg.Error as error:
            raise self.refused(error) from error

    def refused(self, error: psycopg.Error) -> UsageError:
        """What the farm says of what it does not do."""
        told = _words(error)
        if isinstance(error, psycopg.errors.InsufficientPrivilege):
            told = f"{self.role} may not do that with this pass ({told})"
        elif " of this farm " in told:
            told = f"{told}; see: benchharness farm devices"
        return UsageError(f"the farm refuses: {told}")


def _words(error: psycopg.Error) -> str:
    told = error.diag.message_primary or str(error)
    return " ".join(told.split())[:400]
