"""A farm of the tests' own: a server with TLS on loopback, two hosts, two who submit, and simulated devices."""

from __future__ import annotations

import asyncio
import json
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from benchharness import stores
from benchharness.farm import lease, signing
from benchharness.farm.agent import Agent
from benchharness.farm.allowed import Allowed
from benchharness.farm.making import Order
from benchharness.farm.members import Farm
from benchharness.farm.passes import Pass
from benchharness.farm.units import Unit
from benchharness.results.store import Store
from tests.postgres import folder, free_port
from tests.unit.made_up import attempt, job, measured

HOSTS, SUBMITTERS = ("desk", "rack"), ("ann", "bob")
#: Longer than a machine stands still: what lapses in a test does so by `Ahead`, or by the owner's hand.
LEASE_S, DEVICE_S = 60.0, 30.0


@dataclass
class Testbed:
    """A farm, and a pass for each of its members."""

    __test__ = False

    farm: Farm
    port: int

    def member(self, role: str) -> Pass:
        return Pass.load(self.farm.pass_of(role))

    def rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        """Asks as the owner."""
        with self.farm.server.connect() as connection:
            found = connection.execute(query.encode(), values)
            return found.fetchall() if found.description else []

    def refused(self) -> list[str]:
        """What was refused, in order."""
        return [f"{who}: {what} of {about}: {told}" for who, what, about, told in
                self.rows("SELECT who, what, about, told FROM farm.audit WHERE refused ORDER BY id")]  # fmt: skip

    def log(self) -> list[str]:
        return self.farm.server.log.read_text(encoding="utf-8", errors="replace").splitlines()

    def reset(self) -> None:
        """As if it were new, but for its members."""
        self.rows(
            "TRUNCATE farm.devices, farm.queues, farm.submissions, farm.jobs, farm.nights, farm.leases, farm.results,"
            " farm.files, farm.file_parts, farm.audit, store.runs,"
            " queue.procrastinate_jobs, queue.procrastinate_events, queue.procrastinate_periodic_defers,"
            " queue.procrastinate_workers CASCADE"
        )
        self.rows("UPDATE farm.settings SET lease_s = %s, device_s = %s", LEASE_S, DEVICE_S)

    def states(self) -> list[str]:
        """How the jobs stand, in their order."""
        query = "SELECT status::text FROM queue.procrastinate_jobs WHERE task_name = 'job of a farm' ORDER BY id"
        return [status for (status,) in self.rows(query)]

    def reap(self) -> int:
        """The reaper, once."""
        from benchharness.farm.reaper import reap
        from benchharness.farm.scheduler import application

        async def once() -> int:
            app = application(self.member("scheduler"))
            async with app.open_async():
                return await reap(app, LEASE_S)

        return asyncio.run(once())

    def take_in(self) -> int:
        """What the scheduler does with results, once."""
        from benchharness.farm.scheduler import application, take_in

        async def once() -> int:
            app = application(self.member("scheduler"))
            async with app.open_async():
                return await take_in(app, self.member("scheduler").store)

        return asyncio.run(once())


@contextmanager
def made_farm() -> Iterator[Testbed]:
    """A farm for as long as it is wanted."""
    with folder() as made:
        port = free_port()
        members = [*(("submitter", each) for each in SUBMITTERS), *(("agent", each) for each in HOSTS)]
        farm = Farm.create(made / "farm", name="localhost", port=port, listen="127.0.0.1", members=members)
        try:
            yield Testbed(farm, port)
        finally:
            farm.server.stop("immediate")


class Member:
    """Somebody at the other end of a line of his own, who calls functions as he likes."""

    def __init__(self, member: Pass) -> None:
        self.line = member.connect()

    def call(self, function: str, *values: object) -> list[tuple[Any, ...]]:
        query = f"SELECT * FROM farm.{function}({', '.join(['%s'] * len(values))})"
        return self.line.execute(query.encode(), values).fetchall()

    def one(self, function: str, *values: object) -> Any:
        ((found,),) = self.call(function, *values)
        return found

    def holds(self, *names: str, **labels: str) -> None:
        """Presents devices and holds them."""
        told = [{"name": name, "labels": {"hardware": "board", **labels}} for name in names]
        self.call("present", json.dumps(told))
        for name in names:
            assert self.one("hold", name)

    def claims(self, device: str) -> Any:
        """The token of the next job, and its number; None where there is none."""
        found = self.call("claim", device)
        return (found[0][0], found[0][1]) if found else None


def text(by: str = "ann", wanted: Sequence[Mapping[str, str]] = ({"hardware": "board"},), **changes: Any) -> str:
    """What somebody signs: a suite without files that no simulated device looks at."""
    said = {
        "format": 1,
        "id": str(uuid.uuid4()),
        "by": by,
        "name": "phones",
        "until": (datetime.now(UTC) + timedelta(days=1)).isoformat(),
        "suite": {
            "name": "phones",
            "models": {"m": {"variants": {"v": {"artefact": "files/0/model.onnx"}}}},
            "workloads": [],
            "configurations": [],
        },
        "base": None,
        "files": [],
        "wanted": list(wanted),
        "devices": None,
        "priority": 0,
        "within_s": None,
        "nightly": None,
        **changes,
    }
    return json.dumps(said)


def submit(testbed: Testbed, line: Member, told: str, by: str = "ann") -> int:
    """Signs and submits; how many jobs."""
    signature = signing.sign(testbed.farm.pass_of(by), told)
    return int(line.one("submit", told, signature, by))


def lapse(testbed: Testbed) -> None:
    """Lets every open lease have lapsed long ago, and its agent silent."""
    testbed.rows("UPDATE farm.leases SET until = now() - interval '1 hour' WHERE ended IS NULL")
    testbed.rows("UPDATE queue.procrastinate_workers SET last_heartbeat = now() - interval '1 hour'")


def parcel(folder: Path, name: str = "phones") -> str:
    """A run that somebody measured."""
    url = f"sqlite:///{folder / f'{uuid.uuid4()}.db'}"
    with closing(Store(url)) as store:
        run = store.create_run(
            suite=name, digest="5f" * 32, suite_json="{}", hardware_json='{"name": "board"}', planned=[job()]
        )
        made = attempt(0, measured("steady_inference", 1e6, [1e6] * 5), id=str(uuid.uuid4()))
        store.save_attempt(run, made)
        store.set_state(run, "finished")
    return stores.parcel_of(run, store=url, conditions={"device": "simulated"})


class Ahead:
    """A host's clock that a test puts ahead, so that a lease lapses when it is to and not when a machine is slow."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.by_s = 0.0
        real = lease.now_s
        for module in ("agent", "lease"):
            monkeypatch.setattr(f"benchharness.farm.{module}.now_s", lambda: real() + self.by_s)


@dataclass
class Simulated:
    """A simulated device: what it is at, and what it was at. `job` takes the place of a process."""

    takes_s: float = 0.2
    renewed_so_often: int = 0  # before it is done
    parcel: str = "{}"
    told: dict[str, Any] = field(default_factory=lambda: {"parcel": True})
    begun: list[float] = field(default_factory=list)
    ended: list[float] = field(default_factory=list)
    renewals: int = 0

    def begin(self, order: Order) -> _Job:
        self.begun.append(time.monotonic())
        return _Job(self, order)


class _Job:
    def __init__(self, device: Simulated, order: Order) -> None:
        self._device = device
        self._until_s = time.monotonic() + device.takes_s
        self._over = False
        self.order = order

    def renewed(self, until_s: float) -> None:
        assert until_s > lease.now_s()
        self._device.renewals += 1

    @property
    def ended(self) -> bool:
        return time.monotonic() > self._until_s and self._device.renewals >= self._device.renewed_so_often

    def end(self) -> None:
        if not self._over:
            self._over = True
            self._device.ended.append(time.monotonic())

    def told(self) -> dict[str, Any]:
        return self._device.told

    @property
    def parcel(self) -> str:
        return self._device.parcel


@contextmanager
def working(
    testbed: Testbed, host: str, devices: Mapping[str, Simulated], work: Path, *, rules: Allowed | None = None
) -> Iterator[Agent]:
    """An agent in a thread of this process, with simulated devices."""
    units = [Unit(name=name, profile=work / f"{name}.toml", labels={"hardware": "board"}) for name in devices]
    keys = {name: (testbed.farm.pass_of(name) / "signing.pub").read_text().strip() for name in SUBMITTERS}
    allowed = rules or Allowed(keys=keys)
    agent = Agent(
        testbed.member(host),
        units,
        work / host,
        allowed=lambda: allowed,
        begin=lambda order: devices[str(order.conditions["device"])].begin(order),
    )
    thread = threading.Thread(target=agent.run)
    thread.start()
    try:
        yield agent
    finally:
        agent.stop()
        thread.join()


def until(so: Callable[[], bool], patience_s: float = 180.0) -> None:
    """Waits until something is so."""
    end = time.monotonic() + patience_s
    while not so():
        assert time.monotonic() < end, "it never came to be so"
        time.sleep(0.05)
