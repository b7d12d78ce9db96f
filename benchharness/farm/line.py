"""An agent's lines to its farm: one for calls, which is opened again when it broke, and one for news."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any

import psycopg

from benchharness.farm.passes import Pass

#: A farm that was not heard of is asked again so often, and told of at most so often.
AGAIN_S = 1.0


class Line:
    """The line to the farm, which is opened again when it broke."""

    def __init__(self, member: Pass) -> None:
        self._pass = member
        self._lock = threading.Lock()
        self._line: psycopg.Connection | None = None
        self._number = 0

    @property
    def number(self) -> int:
        """Which line it is: what was held on an earlier one is held no more."""
        return self._number

    def call(self, function: str, *values: object) -> list[tuple[Any, ...]]:
        """Asks one function of the farm. Raises `psycopg.OperationalError` where the farm cannot be reached."""
        query = f"SELECT * FROM farm.{function}({', '.join(['%s'] * len(values))})"  # noqa: S608 - names of ours
        return self._ask(query.encode(), values)

    def _ask(self, query: bytes, values: Sequence[object]) -> list[tuple[Any, ...]]:
        with self._lock:
            if self._line is None or self._line.closed:
                self._line = self._pass.connect()
                self._number += 1
            try:
                return self._line.execute(query, values).fetchall()
            except (psycopg.OperationalError, psycopg.InterfaceError) as error:
                self._line.close()
                raise psycopg.OperationalError(str(error)) from error

    def clock_off_s(self) -> float:
        """How far this host's clock is ahead of the farm's, by half of how long it took to ask. Raises as `call`."""
        before_s = time.time()
        ((theirs_s,),) = self._ask(b"SELECT extract(epoch FROM clock_timestamp())::double precision", [])
        return (before_s + time.time()) / 2 - float(theirs_s)

    def news(self, stopped: threading.Event) -> Iterator[None]:
        """Comes back whenever something was queued, until somebody stops."""
        while not stopped.is_set():
            try:
                with self._pass.connect() as line:
                    line.execute("LISTEN farm")
                    yield
                    while not stopped.is_set():
                        for _ in line.notifies(timeout=AGAIN_S, stop_after=1):
                            yield
            except psycopg.OperationalError:
                stopped.wait(AGAIN_S)

    def close(self) -> None:
        """Lets go of everything that is held."""
        with self._lock:
            if self._line is not None:
                self._line.close()
