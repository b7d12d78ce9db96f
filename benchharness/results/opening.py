"""Opens the database behind a store: a new one is made, an old one migrated, and everything else refused in words.

`open_to_write` is for stores of this program. `open_unchanged` is for whatever somebody says is one: nothing is written
to it or beside it, and what is no store is refused before anything in it is believed. How SQLite and PostgreSQL differ
stands here; every other module is the same for both.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import sqlite3
import stat
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

from sqlalchemy import Connection, Engine, create_engine, event, inspect, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, IntegrityError, SQLAlchemyError
from sqlalchemy.pool import StaticPool

from benchharness.errors import StoreError
from benchharness.results.schema import DAMAGE, REVISION

#: How long a writer waits for another one's transaction.
_BUSY_MS = 30_000
#: What an SQLite database begins with (sqlite.org/fileformat.html).
_BEGINNING = b"SQLite format 3\0"
#: Whoever makes or migrates a store on a server holds this lock of its database; SQLite's writers hold the file's.
_MIGRATING = 0x62656E6368
#: Of what others bring: far above a store of a hundred million samples, and above any value in one.
_MOST_FILE_BYTES, _MOST_VALUE_BYTES = 16 << 30, 100_000_000
#: What runs by itself or is no table, and a table that asks a module for its rows.
_FOREIGN = """
SELECT type, name FROM sqlite_master
WHERE type NOT IN ('table', 'index') OR (type = 'table' AND sql LIKE 'create virtual%') LIMIT 1
"""


def open_to_write(url: str) -> Engine:
    """A store in today's schema: made, or migrated in place; where its file may not be written, in a copy."""
    parsed = _parsed(url)
    if parsed.get_backend_name() != "sqlite":
        with _on_a_server(parsed) as served:
            return _up_to_date(served, url, archive=False)
    archive = _is_archive(parsed)
    engine = create_engine(parsed, creator=_read_only_opener(parsed)) if archive else create_engine(parsed)
    return _up_to_date(_prepared(engine), url, archive)


def open_unchanged(url: str) -> tuple[Engine, str]:
    """A store that is only read; one of an older schema is migrated in a copy that nobody else sees.

    With the revision that the copy was migrated from, "" where there is none.

    Raises `StoreError` for what is no store, or has more in it than stores have.
    """
    parsed = _parsed(url)
    if parsed.get_backend_name() != "sqlite":
        with _on_a_server(parsed) as served:
            return _as_it_is(served, url), ""
    path = _file_of(parsed, url)
    try:
        connection = _untouched(path)
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _MOST_VALUE_BYTES)
        connection.execute("PRAGMA trusted_schema=OFF")
        foreign = connection.execute(_FOREIGN).fetchone()
    except (sqlite3.Error, UnicodeDecodeError) as error:
        raise StoreError(f"{url}: {error}; it is damaged or no store") from error
    if foreign is not None:
        raise StoreError(f"{url}: it holds the {foreign[0]} {str(foreign[1])[:60]!r}, which no store of ours has")
    engine = _alone(connection)
    with engine.connect() as looking:
        found = _revision(looking)
    return _up_to_date(engine, url, archive=True, make=False), "" if found in (None, REVISION) else str(found)


def _revision(connection: Connection) -> str | None:
    from benchharness.results import migrations

    return migrations.revision_of(connection)


def _parsed(url: str) -> URL:
    try:
        parsed = make_url(url)
    except ValueError as error:  # a port that is no number
        raise ArgumentError(str(error)) from error
    return parsed.set(drivername="postgresql+psycopg") if parsed.drivername == "postgresql" else parsed


@contextmanager
def _on_a_server(url: URL) -> Iterator[Engine]:
    """The engine of a database on a server, which is let go where it is refused."""
    engine = _prepared(create_engine(url, json_serializer=_json_without_nul))
    try:
        yield engine
    except BaseException:
        engine.dispose()
        raise


def _prepared(engine: Engine) -> Engine:
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _configure_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    if engine.dialect.name == "postgresql":
        event.listen(engine, "before_cursor_execute", _text_without_nul, retval=True)
    return engine


def _as_it_is(engine: Engine, url: str) -> Engine:
    """A database on a server: whoever looks after it migrates it."""
    with engine.connect() as connection:
        revision = _revision(connection)
    if revision != REVISION:
        found = f"its schema is {str(revision)[:40]}, this version's {REVISION}" if revision else "it holds no store"
        raise StoreError(f"{url}: {found}; open it with the same version of benchharness once, where it is written")
    return engine


def _file_of(url: URL, told: str) -> Path:
    """The file of an SQLite store, which is looked at before SQLite is. Raises `StoreError`."""
    if not url.database or url.query:
        raise StoreError(f"{told}: name the file itself, such as sqlite:///results.db")
    path = Path(url.database).resolve()  # a log lies beside what a link leads to
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            raise StoreError(f"{told}: it is {'a folder' if stat.S_ISDIR(found.st_mode) else 'no file'}")
        with path.open("rb") as stream:
            beginning = stream.read(len(_BEGINNING))
    except (OSError, ValueError) as error:
        raise StoreError(f"{told}: it cannot be read ({getattr(error, 'strerror', None) or error})") from error
    if beginning != _BEGINNING:
        raise StoreError(f"{told}: it is no SQLite database")
    if found.st_size > _MOST_FILE_BYTES:
        raise StoreError(f"{told}: it has {found.st_size} bytes, more than any store ({_MOST_FILE_BYTES})")
    return path


def _untouched(path: Path) -> sqlite3.Connection:
    """Reads a file without a byte changing in it or beside it. Raises `sqlite3.Error`.

    What whoever wrote it left unfinished is finished in a copy, unless it is open elsewhere: then SQLite knows.
    """
    beside = {end: path.with_name(f"{path.name}{end}") for end in ("-wal", "-journal")}
    unfinished = [each for each in beside.values() if each.is_file() and each.stat().st_size]
    if not unfinished or path.with_name(f"{path.name}-shm").exists():
        address = f"{path.as_uri()}?mode=ro{'' if unfinished else '&immutable=1'}"
        return sqlite3.connect(address, uri=True, check_same_thread=False)
    with tempfile.TemporaryDirectory(prefix="benchharness-") as folder:
        for each in (path, *unfinished):
            shutil.copyfile(each, Path(folder) / each.name)
        with contextlib.closing(sqlite3.connect(Path(folder) / path.name)) as left:
            return _copy_of(left)


def _is_archive(url: URL) -> bool:
    """Whether this is an SQLite file that may be read and not written: a nightly job's, kept for others to look at."""
    if url.get_backend_name() != "sqlite" or not url.database or url.query:
        return False
    path = Path(url.database)
    return path.is_file() and not (os.access(path, os.W_OK) and os.access(path.parent, os.W_OK))


def _read_only_opener(url: URL) -> Callable[[], sqlite3.Connection]:
    """Opens the file without writing beside it; where no log of unfinished writes is, as one that does not change."""
    path = Path(url.database or "").absolute()
    log = path.with_name(f"{path.name}-wal")
    settled = not log.exists()
    address = f"{path.as_uri()}?mode=ro{'&immutable=1' if settled else ''}"
    return lambda: sqlite3.connect(address, uri=True, check_same_thread=False)


def writer(engine: Engine) -> Engine:
    """The engine whose transactions take the writer's lock at once, where a database has one such."""
    return engine.execution_options(writes=True)


def reader(engine: Engine) -> Engine:
    """The engine whose transactions see one moment, as SQLite's always do."""
    return engine.execution_options(isolation_level="REPEATABLE READ") if _is_postgres(engine) else engine


def _is_postgres(engine: Engine) -> bool:
    return engine.dialect.name == "postgresql"


#: What stands for the one character that PostgreSQL's texts cannot hold: Unicode's picture of it.
_NUL = "\u2400"
#: The same as JSON escapes it, behind whole pairs of backslashes.
_NUL_IN_JSON = re.compile(r"(?<!\\)((?:\\\\)*)\\u0000")


def _json_without_nul(value: Any) -> str:
    return _NUL_IN_JSON.sub(r"\1\\u2400", json.dumps(value))


def _text_without_nul(
    _connection: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, executemany: bool
) -> tuple[str, Any]:
    """Last words of processes hold everything, that character too."""
    rows = [
        {name: value.replace("\0", _NUL) if isinstance(value, str) else value for name, value in row.items()}
        if isinstance(row, dict)
        else row
        for row in (parameters if executemany else [parameters])
    ]
    return statement, rows if executemany else rows[0]


def _configure_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # transactions begin where SQLAlchemy begins them, table changes included
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout={_BUSY_MS}")
    cursor.execute("PRAGMA synchronous=FULL")  # an attempt reported as saved survives a power cut
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    # A writer takes its lock at once and waits for it; a reader that becomes a writer would be refused instead.
    writes = connection.get_execution_options().get("writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _use_wal(engine: Engine) -> None:
    """Write-ahead logging, which stays with the file. Two openers of a new file can be in each other's way."""
    if engine.dialect.name != "sqlite":
        return
    deadline = time.monotonic() + _BUSY_MS / 1000
    raw = engine.raw_connection()
    try:
        while True:
            try:
                raw.cursor().execute("PRAGMA journal_mode=WAL")
            except engine.dialect.loaded_dbapi.OperationalError as error:
                if "locked" not in str(error) or time.monotonic() > deadline:
                    raise StoreError(f"{engine.url}: {error}; check its path, permissions and free space") from error
                time.sleep(0.02)
            else:
                return
    finally:
        raw.close()


def _up_to_date(engine: Engine, url: str, archive: bool, make: bool = True) -> Engine:
    """The engine of a store in today's schema: migrated in place, or in a copy where it is an archive."""
    from benchharness.results import migrations

    with engine.connect() as connection:
        revision = migrations.revision_of(connection)
        if revision is None and (not make or inspect(connection).get_table_names()):
            raise StoreError(
                f"{url}: a database of something else; name a file of its own, such as sqlite:///results.db"
                if make
                else f"{url}: it holds no store"
            )
    if revision == REVISION:
        return engine
    if revision is not None and revision not in migrations.known():
        found = f"schema {str(revision)[:40]}"
        raise StoreError(f"{url}: written by a newer benchharness ({found}); upgrade benchharness to read it")
    if revision is not None and archive:
        engine = _in_a_copy(engine)
    _use_wal(engine)
    with writer(engine).begin() as connection:
        if _is_postgres(engine):
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _MIGRATING})
        if migrations.revision_of(connection) != REVISION:  # nobody else was faster
            _migrate(connection, url)
    if revision is not None and not archive:
        _pack_nights(engine)
    return engine


def _pack_nights(engine: Engine) -> None:
    """Packs the nights that an earlier version left as rows, one at a time: no writer waits for more than one of them.

    Where it is broken off, the rest stay rows, which say the same and take longer to read.
    """
    from benchharness.results import packed_nights

    with reader(engine).begin() as connection:
        nights = packed_nights.unpacked_runs(connection)
    for night in nights:
        with contextlib.suppress(IntegrityError), writer(engine).begin() as connection:  # another one packed it
            packed_nights.keep(connection, night)


def _migrate(connection: Connection, url: str) -> None:
    from benchharness.results import migrations

    try:
        migrations.upgrade(connection)
    except DAMAGE as error:
        what = f"{url}: it is of an older schema and holds what cannot be read ({error}); it is damaged or not ours"
        raise StoreError(what) from error


def _in_a_copy(archive: Engine) -> Engine:
    """A copy of an SQLite file that lives as long as its engine."""
    raw = archive.raw_connection()
    try:
        copy = _copy_of(cast("sqlite3.Connection", raw.driver_connection))
    finally:
        raw.close()
        archive.dispose()
    return _alone(copy)


def _copy_of(connection: sqlite3.Connection) -> sqlite3.Connection:
    copy = sqlite3.connect("", check_same_thread=False)  # SQLite's own: in memory, and beyond that in a nameless file
    connection.backup(copy)
    return copy


def _alone(connection: sqlite3.Connection) -> Engine:
    """The engine of a connection that is the only one."""
    return _prepared(create_engine("sqlite://", creator=lambda: connection, poolclass=StaticPool))


@contextmanager
def as_store_errors(url: str) -> Iterator[None]:
    """Says every error of the database as a `StoreError` that names the store."""
    try:
        yield
    except ArgumentError as error:
        raise StoreError(f"{url!r} is not a store's URL; write for example sqlite:///results.db") from error
    except SQLAlchemyError as error:
        cause = getattr(error, "orig", None) or error
        if "malformed" in str(cause):
            raise StoreError(f"the store {url} is damaged: {cause}") from error
        if "not a database" in str(cause):
            raise StoreError(f"the store {url} is a file, but not a database; name another store") from error
        raise StoreError(f"the store {url} failed: {cause}; check its path, permissions and free space") from error
    except UnicodeDecodeError as error:  # of the schema itself
        raise StoreError(f"the store {url} failed: {error}; it is damaged") from error
    except ModuleNotFoundError as error:
        helps = "; pip install 'benchharness[farm]'" if error.name == "psycopg" else ""
        raise StoreError(f"the store {url} needs a driver that is not installed: {error.name}{helps}") from error
