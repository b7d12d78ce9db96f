"""What a farm is made of in its database: queue, store and what is its own, in one transaction, or nothing of it."""

from __future__ import annotations

import importlib.resources
from collections.abc import Callable

import psycopg
from psycopg import sql
from sqlalchemy import create_engine

from benchharness.errors import UsageError
from benchharness.results import migrations

#: The schemas of a farm. Its functions name them, so they are called so everywhere.
SCHEMAS = ("farm", "queue", "store")
#: Tables first; then what is ours alone, whatever a database grants by itself, and who may call what last.
_FARM = ("tables", "devices", "lease", "fence", "reaper", "submit", "prune", "status", "alone", "roles")


def make_schema(connect: Callable[[], psycopg.Connection]) -> None:
    """Makes all of it over a connection whose search path is `store`. Raises `UsageError`; then nothing is there."""
    from procrastinate import schema

    folder = importlib.resources.files("benchharness.farm") / "sql"
    engine = create_engine("postgresql+psycopg://", creator=connect)
    try:
        with engine.begin() as connection:
            raw = connection.connection.driver_connection
            assert isinstance(raw, psycopg.Connection)
            for name in SCHEMAS[1:]:  # the farm's own comes with its tables
                raw.execute(f"CREATE SCHEMA {name}".encode())
            raw.execute("SET LOCAL search_path = queue")
            raw.execute(schema.SchemaManager.get_schema().encode())
            raw.execute("SET LOCAL search_path = store")
            migrations.upgrade(connection)
            raw.execute((folder / "bytewise.sql").read_bytes())
            for name in _FARM:
                raw.execute((folder / f"{name}.sql").read_bytes())
    except psycopg.Error as error:
        raise UsageError(f"the farm could not be made, and nothing of it is there: {error}") from error
    finally:
        engine.dispose()


def drop_schema(line: psycopg.Connection) -> None:
    """Takes away all that `make_schema` made."""
    line.execute(sql.SQL("DROP SCHEMA {} CASCADE").format(sql.SQL(", ").join(map(sql.Identifier, SCHEMAS))))
