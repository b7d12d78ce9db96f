"""An agent: one on each host, with a thread for each of its devices. It has two lines to the farm, for calls and news.

What it may do there is eight functions of the database (`sql/roles.sql`). A job ends here when its lease lapses, by the
host's own clock, whether the farm can be reached or not.
"""

from __future__ import annotations

import contextlib
import json
import logging
import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import psycopg

from benchharness.errors import BenchharnessError, SuiteError, UsageError
from benchharness.farm.allowed import Allowed
from benchharness.farm.cache import MOST_TASKS_BYTES, Cache, NoRoom, bound_folder
from benchharness.farm.lease import Lease, now_s
from benchharness.farm.line import AGAIN_S, Line
from benchharness.farm.making import Making, Order
from benchharness.farm.passes import Pass
from benchharness.farm.submission import Unbelievable
from benchharness.farm.units import Unit
from benchharness.farm.workplace import alone_in
from benchharness.locations import task_cache

log = logging.getLogger("benchharness.farm")

#: Without news an idle device asks so often: news may get lost.
_ASKS_S = 10.0
#: A lease is renewed so often in its time.
_RENEWALS = 3
_LOOKS_S = 0.05
#: Leases go by the farm's clock; a run tells when it began by its host's, and history sorts nights by that.
_CLOCK_S = 300.0
#: A device gives up after this share of the agent's lease; the reaper waits that long on top (`farm.settings`).
DEVICE_SHARE = 0.5


class Job(Protocol):
    """A job that is being made (`making.Making`)."""

    def renewed(self, until_s: float) -> None:
        """The lease holds until then, by `lease.now_s`."""

    @property
    def ended(self) -> bool:
        """Whether it is over."""

    def end(self) -> None:
        """Ends it now."""

    def told(self) -> dict[str, Any]:
        """How it ended."""

    @property
    def parcel(self) -> str:
        """What it measured."""


class Agent:
    """Makes jobs on a host's devices until it is stopped. `work` is its own folder."""

    def __init__(
        self,
        member: Pass,
        units: Sequence[Unit],
        work: Path,
        *,
        allowed: Callable[[], Allowed],
        begin: Callable[[Order], Job] = Making,
    ) -> None:
        self._farm = Line(member)
        self._units = units
        self._work = work
        self._allowed = allowed  # read for each job: a key that was taken out counts no more
        self._begin = begin
        self._cache = Cache(work / "cache", allowed().roots, allowed().cache)
        self._cache_lock = threading.Lock()
        self._stopped = threading.Event()
        self._woken = {unit.name: threading.Event() for unit in units}
        self._held: dict[str, int] = {}  # by device, the line on which it is held

    def run(self) -> None:
        """Works until `stop`. Raises `UsageError` where there is nothing to work on, or another agent in its folder."""
        if not self._units:
            raise UsageError("no device has a profile there; see: benchharness device add")
        with alone_in(self._work):
            self._run()

    def _run(self) -> None:
        shutil.rmtree(self._work / "jobs", ignore_errors=True)  # of an agent that was killed, whose jobs ended with it
        threads = [threading.Thread(target=self._serve, args=(unit,), name=unit.name) for unit in self._units]
        threads.append(threading.Thread(target=self._listen, name="news", daemon=True))
        for each in threads:
            each.start()
        for each in threads[:-1]:
            each.join()
        self._farm.close()

    def stop(self) -> None:
        """Ends what runs, gives it back, and has `run` return."""
        self._stopped.set()
        for each in self._woken.values():
            each.set()

    def _listen(self) -> None:
        for _ in self._farm.news(self._stopped):
            for each in self._woken.values():
                each.set()

    def _serve(self, unit: Unit) -> None:
        """One device's thread."""
        silent = False
        while not self._stopped.is_set():
            woken = self._woken[unit.name]
            woken.clear()
            asked_s = now_s()
            try:
                work = self._next(unit)
                silent = False
            except psycopg.Error as error:
                if not silent:
                    away = isinstance(error, psycopg.OperationalError)
                    what = "the farm cannot be reached" if away else "the farm refuses"
                    log.warning("%s: %s: %s", unit.name, what, _line(error))
                silent = True
                self._stopped.wait(AGAIN_S)
                continue
            if work is None:
                woken.wait(_ASKS_S)
            else:
                self._make(unit, asked_s, *work)

    def _next(self, unit: Unit) -> tuple[Any, ...] | None:
        """A job for a device, if it is this agent's and there is one."""
        if self._held.get(unit.name) != self._farm.number or not self._farm.number:
            told = json.dumps([{"name": unit.name, "labels": dict(unit.labels)}])
            if not self._farm.call("present", told):
                log.error("%s: the farm says that it is another host's; give it another name", unit.name)
                return None
            number = self._farm.number
            if self._farm.call("hold", unit.name) != [(True,)]:
                log.error("%s: another agent has it", unit.name)
                return None
            self._held[unit.name] = number
        off_s = self._farm.clock_off_s()
        if abs(off_s) > _CLOCK_S:
            log.error("%s: this host's clock is %.0f s off the farm's: nights would stand in a wrong order; set it",
                      unit.name, off_s)  # fmt: skip
            return None
        found = self._farm.call("claim", unit.name)
        return found[0] if found else None

    def _make(self, unit: Unit, asked_s: float, token: Any, job: int, submission: Any, *told: Any) -> None:
        """One job, from its lease to what became of it."""
        *signed, left_s = told
        lease = Lease(asked_s, left_s)
        folder = self._work / "jobs" / str(token)
        ending = _Ending(self._farm, token, lease, self._stopped)
        log.info("%s: job %s begins", unit.name, job)
        try:
            order = self._order(unit, token, folder, lease, *signed)
            ending.with_result(self._watched(order, token, lease), unit.name)
        except _Unwanted:
            ending.back("aborted", "it was cancelled")
        except (Unbelievable, UsageError) as error:
            log.error("%s: refused job %s: %s", unit.name, job, error)
            ending.back("failed", f"{unit.name} refused it: {error}")
        except _Over as error:
            log.warning("%s: job %s was given up: %s", unit.name, job, error)
            ending.back("lost", str(error))
        except (BenchharnessError, NoRoom, OSError, psycopg.Error) as error:
            log.error("%s: job %s: %s", unit.name, job, _line(error))
            ending.back("lost", _line(error))
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            self._tidy()
        log.info("%s: job %s: %s", unit.name, job, ending.told)

    def _tidy(self) -> None:
        """Keeps what this host keeps within its limits; nothing that a job of another device has laid out goes."""
        try:
            with self._cache_lock:
                gone = self._cache.evict()
                bound_folder(task_cache(), MOST_TASKS_BYTES)
        except OSError as error:
            log.warning("the cache cannot be tidied: %s", _line(error))
            return
        if gone.files:
            log.info(
                "%s files, %.1f MB, left the cache; %.1f MB are in it",
                gone.files,
                gone.bytes / 1e6,
                gone.left_bytes / 1e6,
            )

    def _order(
        self, unit: Unit, token: Any, folder: Path, lease: Lease, told: str, signature: str, signer: str
    ) -> Order:
        """What is to be made, once it was looked at. Raises `Unbelievable`."""
        try:
            allowed = self._allowed()
        except SuiteError as error:  # the host's own fault, and no job's
            raise _Over(str(error)) from error
        submission = allowed.submission(told, signature, signer, {**unit.labels, "device": unit.name})
        folder.mkdir(parents=True)

        def fetch(digest: str, part: int) -> bytes | None:
            self._renew(token, lease)
            ((found,),) = self._farm.call("part", token, digest, part)
            return None if found is None else bytes(found)

        with self._cache_lock, _as_lost():
            self._cache.place(submission.files, folder, fetch)
        suites = allowed.suites(submission, folder)
        return Order(
            folder=str(folder),
            profile=str(unit.profile),
            device_s=lease.length_s * DEVICE_SHARE,
            suites=[suite.model_dump(mode="json", by_alias=True) for suite in suites],
            until_s=lease.until_s,
            conditions={"submission": submission.id, "by": submission.by, "device": unit.name},
        )

    def _renew(self, token: Any, lease: Lease) -> None:
        """Asks for more time once a third of it is gone. Raises `_Unwanted` where the job was cancelled, `_Over`."""
        if lease.left_s > lease.length_s * (1 - 1 / _RENEWALS):
            return
        asked_s = now_s()
        with contextlib.suppress(psycopg.OperationalError):  # until the lease lapses there is time to come back
            found = self._farm.call("renew", token)
            if not found:
                raise _Over("the farm says that the lease is over")
            ((left_s, unwanted),) = found
            lease.renewed(asked_s, left_s)
            if unwanted:
                raise _Unwanted

    def _watched(self, order: Order, token: Any, lease: Lease) -> Job:
        """Has a job made. Raises `_Over` where it cannot be ended in time, `_Unwanted` where it was cancelled."""
        if lease.left_s <= 0:
            raise _Over("its lease lapsed before it began")
        made = self._begin(order)
        try:
            while not made.ended:
                before_s = lease.until_s
                self._renew(token, lease)
                if lease.until_s > before_s:
                    made.renewed(lease.until_s)
                if lease.left_s <= 0:
                    raise _Over("its lease lapsed")
                if self._stopped.wait(_LOOKS_S):
                    raise _Over("its agent was stopped")
        finally:
            made.end()
        return made


class _Unwanted(Exception):
    """Somebody cancelled the job."""


class _Over(Exception):
    """The job may not go on here."""


@contextlib.contextmanager
def _as_lost() -> Iterator[None]:
    try:
        yield
    except psycopg.OperationalError as error:
        raise _Over(f"the farm cannot be reached: {_line(error)}") from error


class _Ending:
    """Tells the farm what became of a job, as long as the lease holds."""

    def __init__(self, farm: Line, token: Any, lease: Lease, stopped: threading.Event) -> None:
        self._farm = farm
        self._token = token
        self._lease = lease
        self._stopped = stopped
        self.told = "nothing was told"

    def with_result(self, made: Job, device: str) -> None:
        """Hands in what was measured, or gives the job back with the reason."""
        found = made.told()
        if not found.get("parcel"):
            how, why = str(found.get("how", "lost")), str(found.get("why", ""))
            if how == "unfit":
                self._say("set_state", device, "quarantined", why)
            self.back("failed" if how == "failed" else "lost", why)
            return
        self.told = "handed in" if self._say("hand_in", self._token, made.parcel) else "the result was refused"
        if found.get("unfit"):
            self._say("set_state", device, "quarantined", str(found["unfit"]))

    def back(self, how: str, why: str) -> None:
        """Gives a job back without a result."""
        self.told = f"{how}: {why}" if self._say("give_back", self._token, how, why) else f"{how}, and not told: {why}"

    def _say(self, function: str, *values: object) -> bool:
        """Until it is heard: it may be said twice."""
        while self._lease.left_s > 0:
            try:
                return bool(self._farm.call(function, *values)[0][0])
            except psycopg.OperationalError:
                self._stopped.wait(AGAIN_S)
            except psycopg.Error as error:
                log.error("the farm does not take it: %s", _line(error))
                return False
        return False


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
