"""A PostgreSQL that is there already, with other people's databases in it. Nothing of theirs is changed.

What a farm makes there is three schemas in one database, and roles. Which certificates the server believes, and who has
to show one, stands in files of the server: `for_the_administrator` says what to write there, and `enforced` looks
whether the server does it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg import conninfo, sql

from benchharness.errors import UsageError
from benchharness.farm import roles
from benchharness.farm.schema import SCHEMAS

#: The first with `clientname=DN` in pg_hba.conf, by which a certificate of another authority is told from one of ours.
OLDEST = 14
_ENCODING = "UTF8"
#: From here on whoever made a role is a member of it, and lines about members are about him too.
_COUNTS_OWNERS = 16
_OWNER_FIRST = """\
# This version counts {owner} among the members: first how {owner} comes in today, with its METHOD.
local    all  {owner}       METHOD
host     all  {owner}  all  METHOD"""
#: Lines that a farm takes beside two for each agent: the scheduler's, and those of people.
_LINES = 20
_PATIENCE_S = "10"
_PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_MEANS_SOMETHING = {"all", "sameuser", "samerole", "samegroup", "replication"}

_FACTS = """
SELECT current_setting('server_version_num')::integer / 10000, current_user::text, current_database()::text,
    current_setting('server_encoding'), pg_is_in_recovery(), current_setting('ssl') = 'on',
    current_setting('ssl_ca_file'), current_setting('ssl_crl_file') || current_setting('ssl_crl_dir', true),
    current_setting('max_connections')::integer - (SELECT count(*) FROM pg_stat_activity)
"""
_RIGHTS = """
SELECT has_database_privilege(current_database(), 'CREATE'), rolcreaterole OR rolsuper
FROM pg_roles WHERE rolname = current_user
"""


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What a server says of itself. `free` is how many more lines it takes now."""

    version: int
    owner: str
    database: str
    encoding: str
    in_recovery: bool
    ssl: bool
    ca_file: str
    revocation: str  # where it has a list of revoked certificates; "" where it has none
    free: int


@dataclass(frozen=True)
class Existing:
    """A database on such a server. `reached` is how the farm's owner comes in, as libpq has it, without a password."""

    reached: str

    @property
    def database(self) -> str:
        """The database's name."""
        return self.facts().database

    def connect(self, database: str = "", *, autocommit: bool = True) -> psycopg.Connection:
        """A line as the farm's owner. Raises `UsageError`."""
        asked = {"connect_timeout": _PATIENCE_S, **self._words(), "options": "-c search_path=store"}
        if database:
            asked["dbname"] = database
        try:
            return psycopg.connect(**asked, autocommit=autocommit)  # type: ignore[arg-type] # all of it is text
        except psycopg.OperationalError as error:
            told = " ".join(str(error).split())
            raise UsageError(f"the farm's owner cannot come in ({self.reached}): {told}") from error

    def reload(self) -> None:
        """Nothing: its files are its administrator's."""

    def facts(self) -> Facts:
        """What it says of itself. Raises `UsageError`."""
        with self.connect() as line:
            (row,) = line.execute(_FACTS).fetchall()
        names = ("version", "owner", "database", "encoding", "in_recovery", "ssl", "ca_file", "revocation", "free")
        return Facts(**dict(zip(names, row, strict=True)))

    def way_in(self) -> tuple[str, int]:
        """The host and port that its owner uses."""
        words = self._words()
        return words.get("host", "localhost"), int(words.get("port", "5432"))

    def expect_room(self, members: Sequence[tuple[str, str]]) -> None:
        """Looks whether a farm with these members, (kind, role), can be made there.

        Raises `UsageError` with all that is in its way.
        """
        facts = self.facts()
        with self.connect() as line:
            taken = [
                name
                for (name,) in line.execute(
                    "SELECT nspname::text FROM pg_namespace WHERE nspname = ANY(%s)", [[*SCHEMAS]]
                )
            ]
            ((may_create, may_make_roles),) = line.execute(_RIGHTS).fetchall()
            lacking = roles.groups_lacking(line)
            for kind, role in members:
                lacking += roles.lacking(line, role, kind, login=False)
            lacking = [] if may_make_roles else lacking
            needed = [] if may_create else [_on_database("GRANT CREATE ON DATABASE {} TO {}", facts)]
            told = roles.spelled(line, [*needed, *lacking])
        wrong = [
            *([f"PostgreSQL {facts.version}: {OLDEST} or later is needed"] if facts.version < OLDEST else []),
            *([f"its encoding is {facts.encoding}: {_ENCODING} is needed"] if facts.encoding != _ENCODING else []),
            *(["it is a standby, which cannot be written to"] if facts.in_recovery else []),
            *([f"there are schemas {', '.join(taken)} already: give the farm a database of its own"] if taken else []),
        ]
        if wrong:
            raise UsageError(f"no farm can be made in the database {facts.database}: {'; '.join(wrong)}")
        if told:
            also = "" if may_make_roles else f" (or: ALTER ROLE {facts.owner} CREATEROLE;)"
            raise UsageError(
                f"{facts.owner} lacks rights in the database {facts.database}. Nothing was made. Have an administrator "
                f"run this there{also}, and give the command again:\n{told}"
            )

    def connect_rights(self) -> list[sql.Composed]:
        """What lets members into the database, where everybody is not let in anyway."""
        with self.connect() as line:
            ((may,),) = line.execute(
                "SELECT has_database_privilege(%s, current_database(), 'CONNECT')", [roles.MEMBERS]
            )
        return [] if may else [_on_database("GRANT CONNECT ON DATABASE {} TO {}", self.facts(), roles.MEMBERS)]

    def _words(self) -> dict[str, str]:
        try:
            return {key: str(value) for key, value in conninfo.conninfo_to_dict(self.reached).items()}
        except psycopg.Error as error:
            raise UsageError(
                f"{self.reached!r} is not how libpq writes it: host=db.lab dbname=bench user=me"
            ) from error


def checked(reached: str) -> str:
    """How the owner comes in, as it may be kept. Raises `UsageError` for a password, which would stand in the open."""
    try:
        words = conninfo.conninfo_to_dict(reached)
    except psycopg.Error as error:
        raise UsageError(
            f"{reached!r} is not how libpq writes it: host=db.lab port=5432 dbname=bench user=me ({error})"
        ) from error
    if "password" in words:
        raise UsageError("a password stands in no command line and in no file of a farm; have it in ~/.pgpass")
    if not {"host", "dbname", "user"} <= words.keys():
        raise UsageError(f"{reached!r}: say host, dbname and user: host=db.lab port=5432 dbname=bench user=me")
    return conninfo.make_conninfo(**{key: str(value) for key, value in words.items()})


def for_the_administrator(facts: Facts, mark: str, authority: Path, revoked: Path) -> str:
    """What to write into files of the server, and which statements to run, for its administrator.

    The map is called by the farm's mark: roles are a whole server's, and by a map that two farms had in common a
    certificate of the one's `desk` would be the other's `desk`.
    """
    database = _in_rules(facts.database)
    first = f"{_OWNER_FIRST.format(owner=_in_rules(facts.owner))}\n" if facts.version >= _COUNTS_OWNERS else ""
    believed = (
        f"append {authority} to {facts.ca_file}, which is the server's ssl_ca_file"
        if facts.ca_file
        else f"ssl_ca_file = a copy of {authority}"
    )
    kept = f"  append {revoked} to its list of revoked certificates, too\n" if facts.revocation else ""
    return f"""\
# For the administrator of the PostgreSQL server: how members of the farm come in, and how nobody else does.

1. pg_hba.conf, before every other line; of several farms the lines with hostssl first, of them all:
{first}hostssl  {database}  +{roles.MEMBERS}  all  cert  clientcert=verify-full  clientname=DN  map={mark}
host     all  +{roles.MEMBERS}  all  reject
local    all  +{roles.MEMBERS}       reject

2. pg_ident.conf:
{mark}  "/^CN=([a-z][a-z0-9_-]*),OU={mark}$"  \\1

3. postgresql.conf:
  ssl = on
  {believed}
{kept}
4. SELECT pg_reload_conf();
"""


def few_lines(facts: Facts, agents: int) -> str:
    """What to say where the server has too few connections to spare; "" where it has enough."""
    needed = 2 * agents + _LINES
    if facts.free >= needed:
        return ""
    return f"the server has {facts.free} connections to spare, and a farm of {agents} agents takes up to {needed}"


def _in_rules(name: str) -> str:
    """A name as a line of pg_hba.conf has it: what is no plain word, or means something there, in quotes."""
    plain = _PLAIN.fullmatch(name) and name not in _MEANS_SOMETHING
    return name if plain else '"{}"'.format(name.replace('"', '""'))


def _on_database(statement: str, facts: Facts, whom: str = "") -> sql.Composed:
    return sql.SQL(statement).format(sql.Identifier(facts.database), sql.Identifier(whom or facts.owner))
