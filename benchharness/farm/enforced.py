"""Whether a server really lets in members alone: it is tried, with a role that has no right to anything.

An own server's files are ours. Those of one that was there are somebody else's, and a line above ours undoes them; so
no member's role may log in before this was seen, and each time that the farm's scheduler begins it is looked at again.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from benchharness.farm.certificates import Authority, Pair, write_secret
from benchharness.farm.roles import PROBE

_OTHER = f"{PROBE}_other"
#: In what a server or TLS itself says of who is not let in.
_REFUSED = ("FATAL", "SSL", "certificate")
#: In what it says of who would be let in at another time: no refusal.
_BUSY = ("too many", "connection slots", "starting up", "shutting down", "recovery mode")
_MINE = "SELECT session_user::text, ssl, version, client_serial FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
_OPEN = """
SELECT 'everybody may create in the schema ' || nspname FROM pg_namespace
WHERE has_schema_privilege(oid, 'CREATE') AND nspname !~ '^pg_'
UNION ALL
SELECT format('everybody may read %s tables in the schema %s', count(*), nspname)
FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
WHERE relkind IN ('r', 'p', 'm') AND nspname !~ '^pg_' AND nspname <> 'information_schema'
    AND has_schema_privilege(relnamespace, 'USAGE') AND has_table_privilege(pg_class.oid, 'SELECT')
GROUP BY nspname
"""


@dataclass(frozen=True, kw_only=True)
class Way:
    """How members come in: where, and by which authority they know the server."""

    host: str
    port: int
    database: str
    server_authority: Path


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What was tried. `faults` are what the server lets through or keeps out wrongly; `told` is worth knowing."""

    faults: tuple[str, ...]
    told: tuple[str, ...] = ()


def tried(authority: Authority, way: Way) -> Seen:
    """Comes in as the probe with its certificate, and in every way in which nobody may."""
    with tempfile.TemporaryDirectory(prefix="benchharness-") as scratch:
        place = Path(scratch)
        mine = _kept(place / "mine", authority.member(PROBE))
        other = _kept(place / "other", authority.member(_OTHER))
        foreign = _kept(place / "foreign", Authority.create(place / "authority", way.host).member(PROBE))
        nothing = {"sslcert": str(place / "none"), "sslkey": str(place / "none")}
        trouble, told = _as_it_should(way, mine)
        if trouble:
            return Seen(faults=(trouble,))
        wrongly = {
            "plain text": {"sslmode": "disable"},
            "TLS without a certificate": nothing,
            "another member's certificate": other,
            "a certificate of another authority": foreign,
        }
        faults = (_let_in(way, name, words) for name, words in wrongly.items())
        return Seen(faults=tuple(filter(None, faults)), told=told)


def _kept(folder: Path, pair: Pair) -> dict[str, str]:
    folder.mkdir()
    (folder / "crt").write_bytes(pair.certificate)
    write_secret(folder / "key", pair.key)
    return {"sslcert": str(folder / "crt"), "sslkey": str(folder / "key")}


def _connect(way: Way, words: Mapping[str, str]) -> psycopg.Connection:
    asked: dict[str, Any] = {
        "host": way.host,
        "port": str(way.port),
        "dbname": way.database,
        "user": PROBE,
        "sslmode": "verify-full",
        "sslrootcert": str(way.server_authority),
        "gssencmode": "disable",
        "connect_timeout": "10",
        "passfile": "/dev/null",  # its way in is its certificate
        **words,
    }
    return psycopg.connect(**asked, autocommit=True)


def _as_it_should(way: Way, mine: Mapping[str, str]) -> tuple[str, tuple[str, ...]]:
    """Why a member with a certificate is not let in as himself, or "" and what every member may do beside."""
    serial = Pair(Path(mine["sslcert"]).read_bytes(), b"").serial
    try:
        with _connect(way, mine) as line:
            ((role, ssl, version, shown),) = line.execute(_MINE).fetchall()
            told = tuple(str(each) for (each,) in line.execute(_OPEN).fetchall())
    except psycopg.Error as error:
        return f"a member with a certificate of the farm's is not let in: {_words(error)}", ()
    if not ssl or shown is None or int(shown) != serial or role != PROBE:
        return "something between here and the server ends TLS: the server does not see the member's certificate", ()
    if version in ("TLSv1", "TLSv1.1"):
        return f"the server speaks {version}", ()
    return "", told


def _let_in(way: Way, what: str, words: Mapping[str, str]) -> str:
    """What is wrong where somebody comes in so; "" where the server refuses it."""
    try:
        _connect(way, words).close()
    except psycopg.Error as error:
        told = _words(error)
        refused = any(word in told for word in _REFUSED) and not any(word in told for word in _BUSY)
        return "" if refused else f"whether {what} is refused is not known: {told}"
    return f"{what} is let in"


def _words(error: psycopg.Error) -> str:
    return " ".join(str(error).split())[:400]
