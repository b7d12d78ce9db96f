"""Runs on their way from one store to another, as one JSON text: the rows of their tables, samples in base64.

A gate that was red has two, of which the second repeats the first; every other parcel has one.

Whoever unpacks one believes nothing in it: it becomes a store in memory that is imported as any other (`importing`),
which holds its numbers against each other and computes anew what can be computed.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, DateTime, LargeBinary, Table, insert, select

from benchharness.results.schema import attempts, jobs, measurements, runs
from benchharness.results.store import Store
from benchharness.results.untrusted import MOST_RUN_BYTES, NotOurs

FORMAT = 1
_MOST_RUNS = 2
#: Which rows of each table belong to a run, in the order in which they can be stored.
_TABLES = (runs, jobs, attempts, measurements)
#: What says how the run came here, and not what it is.
_NOT_SENT = frozenset({"imported", "origin"})


def parcel_of(store: Store, several: Sequence[str], conditions: Mapping[str, Any] | None = None) -> str:
    """Runs of a store as a parcel. `conditions`, if any, are added to those of every attempt, as `farm`."""
    packed: dict[str, Any] = {"format": FORMAT}
    with store.reading() as connection:
        for table in _TABLES:
            packed[table.name] = [_packed(row) for row in connection.execute(_of_runs(table, several)).mappings()]
    if conditions:
        for attempt in packed["attempts"]:
            attempt["conditions"] = {**attempt["conditions"], "farm": dict(conditions)}
    return json.dumps(packed)


def unpack_into(connection: Connection, parcel: str, device: str = "") -> str:
    """Stores a parcel's rows in an empty store of nobody's; its last run's id. Raises `NotOurs` for what is none.

    `device`: what a farm calls the device that the job was on, which its host cannot call otherwise.
    """
    if len(parcel) > MOST_RUN_BYTES:
        raise NotOurs(f"it has {len(parcel)} characters, and no run has more than {MOST_RUN_BYTES}")
    try:
        packed = json.loads(parcel)
        if packed["format"] != FORMAT:
            raise NotOurs(f"it is of format {packed['format']!s:.20}, and this version reads {FORMAT}")
        if not 1 <= len(packed["runs"]) <= _MOST_RUNS:
            raise NotOurs(f"it has {len(packed['runs'])} runs")
        if device:
            for attempt in packed["attempts"]:
                attempt["conditions"] = _on(device, attempt["conditions"])
        for table in _TABLES:
            rows = [_unpacked(table, row) for row in packed[table.name]]
            if rows:
                connection.execute(insert(table), rows)
        return str(packed["runs"][-1]["id"])
    except NotOurs:
        raise
    except RecursionError as error:
        raise NotOurs("it is nested too deep") from error
    except Exception as error:  # whatever a database says of rows that somebody made up
        raise NotOurs(f"it is no run: {str(error).splitlines()[0]:.200} ({type(error).__name__})") from error


def _on(device: str, conditions: Mapping[str, Any]) -> dict[str, Any]:
    farm = conditions.get("farm")
    return {**conditions, "farm": {**(farm if isinstance(farm, Mapping) else {}), "device": device}}


def _of_runs(table: Table, several: Sequence[str]) -> Any:
    query = select(*(column for column in table.columns if column.name not in _NOT_SENT))
    if table is runs:
        return query.where(runs.c.id.in_(several)).order_by(runs.c.started)
    if table is measurements:
        query = query.join(attempts, attempts.c.id == measurements.c.attempt_id)
        return query.where(attempts.c.run_id.in_(several))
    return query.where(table.c.run_id.in_(several))


def _packed(row: Mapping[Any, Any]) -> dict[str, Any]:
    return {name: _as_json(value) for name, value in row.items()}


def _as_json(value: Any) -> Any:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return value.isoformat() if isinstance(value, datetime) else value


def _unpacked(table: Table, row: Any) -> dict[str, Any]:
    if not isinstance(row, dict) or (unknown := row.keys() - table.columns.keys()):
        raise NotOurs(f"a row of {table.name} has {sorted(unknown)[:3] if isinstance(row, dict) else 'no columns'}")
    return {name: _as_stored(table, name, value) for name, value in row.items() if name not in _NOT_SENT}


def _as_stored(table: Table, name: str, value: Any) -> Any:
    kind = table.columns[name].type
    if value is None:
        return None
    if isinstance(kind, LargeBinary):
        return base64.b64decode(value, validate=True)
    return datetime.fromisoformat(value) if isinstance(kind, DateTime) else value
