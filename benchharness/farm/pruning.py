"""Pruning of the farm's own tables, by the scheduler each hour, and by whoever owns the farm.

What goes is `sql/prune.sql`. A figure is in the store, and no pruning here touches that.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping
from datetime import timedelta

import psycopg
from procrastinate import App

from benchharness.errors import UsageError
from benchharness.farm.existing import Existing
from benchharness.farm.server import Server

log = logging.getLogger("benchharness.farm")

#: Of one table so many rows go at a time; whoever calls asks again as long as there are more, and no longer than this.
_MOST, _MOST_TIMES = 2000, 500
_AGAIN = ("jobs", "files", "audit")


async def prune(app: App) -> Mapping[str, int]:
    """Lets go of what its time is over, as the scheduler; how much of each kind."""
    gone: Counter[str] = Counter()
    for _ in range(_MOST_TIMES):
        told = await app.connector.execute_query_one_async("SELECT farm.prune(%(most)s) AS gone", most=_MOST)
        gone.update(told["gone"])
        if not any(told["gone"][kind] for kind in _AGAIN):
            break
    if any(gone.values()):
        log.info("pruned: %s", words(gone))
    return gone


def prune_as_owner(
    server: Server | Existing, *, keep_jobs: timedelta | None = None, keep_audit: timedelta | None = None
) -> tuple[Mapping[str, int], timedelta, timedelta]:
    """The same by who owns the farm, who may say how long things are kept from now on: how much went, and these times.

    Raises `UsageError` for less than a day, and less than 30 days of the trail.
    """
    gone: Counter[str] = Counter()
    with server.connect() as connection:
        try:
            kept = connection.execute(
                "SELECT keep_jobs, keep_audit FROM farm.keep(%s, %s)", [keep_jobs, keep_audit]
            ).fetchall()
        except psycopg.errors.CheckViolation as error:
            raise UsageError("jobs are kept for a day at least, and the trail for 30 days") from error
        except psycopg.errors.UndefinedFunction as error:
            raise UsageError("this farm was made by an earlier version, which cannot prune: make a new one") from error
        for _ in range(_MOST_TIMES):
            ((told,),) = connection.execute("SELECT farm.prune(%s)", [_MOST]).fetchall()
            gone.update(told)
            if not any(told[kind] for kind in _AGAIN):
                break
    return gone, *kept[0]


def words(gone: Mapping[str, int]) -> str:
    """How much went, in words."""
    told = [f"{count:,} {kind}" for kind, count in gone.items() if count and kind != "file_bytes"]
    size = gone.get("file_bytes", 0)
    return ", ".join([*told, *([f"{size / 1e6:,.1f} MB of files"] if size else [])]) or "nothing"
