"""A farm's own PostgreSQL: made, started, stopped. It listens with TLS and knows its members by their certificates.

The one way in without a certificate is a socket in the farm's folder, for the user who owns it and for root.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import psycopg

from benchharness.errors import UsageError

DATABASE = "farm"
#: The role that owns everything; it comes in by the socket only.
OWNER = "postgres"
_READ_BY_SERVER = ("ca.crt", "revoked.crl", "server.crt", "server.key", "pg_hba.conf", "pg_ident.conf")
#: Of a socket's path (unix(7)).
_LONGEST_SOCKET = 107
_STARTING_S = 60
#: In what a server says of its own trouble.
_TELLING = ("FATAL", "PANIC", "could not ")
#: Debian keeps a server's programs off the path.
_DEBIAN = "/usr/lib/postgresql"

_SETTINGS = """\
listen_addresses = '{listen}'
port = {port}
unix_socket_directories = '{socket}'
unix_socket_permissions = 0700
hba_file = '{folder}/pg_hba.conf'
ident_file = '{folder}/pg_ident.conf'
ssl = on
ssl_min_protocol_version = 'TLSv1.2'
ssl_ca_file = '{folder}/ca.crt'
ssl_crl_file = '{folder}/revoked.crl'
ssl_cert_file = '{folder}/server.crt'
ssl_key_file = '{folder}/server.key'
max_connections = 500
log_line_prefix = '%m [%p] %u@%h '
log_connections = on
# A line that went silent is found within a minute.
tcp_keepalives_idle = 20
tcp_keepalives_interval = 10
tcp_keepalives_count = 3
"""
#: Who may come in, and how. What stands here is all: a line without TLS matches none of them.
_HBA = f"""\
# type  database  user  address  method
local   all       {OWNER}          peer  map=owner
hostssl all       {OWNER}    all   reject
hostssl {DATABASE} all       all   cert  clientcert=verify-full  map=members
"""
#: A certificate's name is the role, and no other.
_IDENT = """\
members  /^(.+)$  \\1
owner    {user}  postgres
owner    root    postgres
"""


class Server:
    """The server in a folder. Root makes and runs it as `user`; anybody else as himself."""

    def __init__(self, folder: Path, user: str | None = None) -> None:
        self.folder = folder.absolute()
        self._user = user or _owner_of(self.folder)
        self._programs = _programs()

    @property
    def database(self) -> str:
        """The farm's database."""
        return DATABASE

    @property
    def data(self) -> Path:
        """What PostgreSQL calls its data directory."""
        return self.folder / "data"

    @property
    def log(self) -> Path:
        """Where it writes who came, and who was refused."""
        return self.folder / "postgresql.log"

    def create(self, *, listen: str, port: int) -> None:
        """Makes a new server, stopped. The certificates are in its folder already. Raises `UsageError`."""
        if self.data.exists():
            raise UsageError(f"{self.folder}: there is a farm's server already")
        if len(f"{self.folder}/.s.PGSQL.{port}") > _LONGEST_SOCKET:
            raise UsageError(f"{self.folder}: its path is too long for a socket; choose a shorter one")
        (self.folder / "pg_hba.conf").write_text(_HBA, encoding="utf-8")
        (self.folder / "pg_ident.conf").write_text(_IDENT.format(user=self._user), encoding="utf-8")
        self._give_away()
        # Bytes in order, as SQLite sorts: a store lists the same everywhere.
        self._run("initdb", "-D", self.data, "-U", OWNER, "-E", "UTF8", "--locale=C", "-A", "peer", "--no-instructions")
        settings = _SETTINGS.format(listen=listen, port=port, socket=self.folder, folder=self.folder)
        with (self.data / "postgresql.conf").open("a", encoding="utf-8") as file:
            file.write(settings)

    def start(self) -> None:
        """Starts it, and waits until it answers. Raises `UsageError`."""
        self._run("pg_ctl", "-D", self.data, "-l", self.log, "-t", str(_STARTING_S), "-w", "start")

    def stop(self, mode: str = "fast") -> None:
        """Stops it: `fast` in order, `immediate` as a power cut would."""
        self._run("pg_ctl", "-D", self.data, "-m", mode, "-w", "stop")

    def reload(self) -> None:
        """Has it read its files again: who is revoked is known from then on."""
        self._give_away()
        self._run("pg_ctl", "-D", self.data, "reload")

    @property
    def runs(self) -> bool:
        """Whether it is started."""
        return (self.data / "postmaster.pid").exists() and self._code("pg_ctl", "-D", self.data, "status") == 0

    def connect(self, database: str = DATABASE, *, autocommit: bool = True) -> psycopg.Connection:
        """A connection as its owner, through the socket. Raises `UsageError`."""
        port = next(
            line.partition("=")[2].strip()
            for line in reversed((self.data / "postgresql.conf").read_text().splitlines())
            if line.startswith("port = ")
        )
        try:
            return psycopg.connect(
                host=str(self.folder), port=int(port), user=OWNER, dbname=database, autocommit=autocommit
            )
        except psycopg.OperationalError as error:
            raise UsageError(f"{self.folder}: the farm's server does not answer ({error}); see {self.log}") from error

    def _give_away(self) -> None:
        """Lets the server's user have what it reads, and nobody else; the authority's key stays root's."""
        if os.geteuid() == 0:
            user, group = _account(self._user)
            for path in (self.folder, *(self.folder / name for name in _READ_BY_SERVER)):
                if path.exists():
                    os.chown(path, user, group)
        self.folder.chmod(0o700)

    def _run(self, program: str, *arguments: str | Path) -> None:
        if code := self._code(program, *arguments):
            raise UsageError(f"{program} in {self.folder} ended with exit code {code}: {self._last_words()}")

    def _code(self, program: str, *arguments: str | Path) -> int:
        known = _account(self._user) if os.geteuid() == 0 else None
        with (self.folder / "programs.log").open("ab") as log:
            done = subprocess.run(
                [str(self._programs / program), *map(str, arguments)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                check=False,
                user=known[0] if known else None,
                group=known[1] if known else None,
                extra_groups=[] if known else None,
            )
        return int(done.returncode)

    def _last_words(self) -> str:
        """Why, as the server says it itself; else as its programs do."""

        def lines(path: Path) -> list[str]:
            return path.read_text(encoding="utf-8", errors="replace").splitlines() if path.is_file() else []

        own = [line for line in lines(self.log)[-20:] if any(word in line for word in _TELLING)]
        return " / ".join(own[-2:] or lines(self.folder / "programs.log")[-3:])


def _owner_of(folder: Path) -> str:
    """Who runs a server there: PostgreSQL refuses to run as root. Raises `UsageError`."""
    try:
        import pwd
    except ModuleNotFoundError as error:
        raise UsageError("a farm's server runs on Linux or macOS; agents and submitters anywhere") from error
    owner = pwd.getpwuid(folder.stat().st_uid if folder.exists() else os.geteuid()).pw_name
    names = {each.pw_name for each in pwd.getpwall()}
    return owner if owner != "root" else next(name for name in (OWNER, "nobody", "root") if name in names)


def _account(user: str) -> tuple[int, int]:
    """A user's number and his group's. Raises `UsageError`."""
    import pwd

    try:
        known = pwd.getpwnam(user)
    except KeyError as error:
        raise UsageError(f"there is no user {user!r} here to run the farm's server as; give another: --user") from error
    return known.pw_uid, known.pw_gid


def _programs() -> Path:
    """Where PostgreSQL's own programs are, the newest of them. Raises `UsageError`."""
    on_path = shutil.which("initdb")
    found: Sequence[Path] = sorted(Path(_DEBIAN).glob("*/bin/initdb"), key=lambda path: int(path.parent.parent.name))
    if not found and on_path is None:
        raise UsageError("a farm's server needs PostgreSQL: apt-get install postgresql")
    return Path(os.path.realpath(found[-1] if found else str(on_path))).parent
