"""Whether a farm keeps every job once through killed and frozen agents, a restarted server and cut networks.

`python -m benchmarks.farm_chaos --agents 50 --jobs 500 --seed 1`, as root on Linux with PostgreSQL: agents are real, in
network namespaces of their own, with TLS to a real server. **Their devices are simulated**: a process that is at work
for a while, writes when it began and ended, and ends by its own lease, as the device side does. Exit code 1 where a job
has no result or two, a device was at two jobs at once, a job on two devices, an attempt went on past its lease, or a
device was left dirty. `--calm` does none of that, and says what a job costs the server.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import random
import select
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections import defaultdict
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

from benchharness.farm import signing
from benchharness.farm.agent import DEVICE_SHARE, Agent
from benchharness.farm.allowed import Allowed
from benchharness.farm.lease import now_s
from benchharness.farm.making import Order
from benchharness.farm.members import Farm
from benchharness.farm.passes import Pass
from benchharness.farm.running import run_scheduler
from benchharness.farm.units import Unit
from tests.farm import Member, parcel, text
from tests.postgres import folder, free_port

RACKS = 5
LEASE_S = 8.0
BETWEEN_S = (0.3, 1.5)
FROZEN_S, CUT_S = (1.0, 12.0), (1.0, 12.0)
#: How late a process on a busy machine may notice that its time is over.
LATE_S = 1.0
_NEW_NETWORK = 0x40000000  # CLONE_NEWNET (sched.h)


class Device:
    """A simulated device's job: a process of its own, which outlives its agent if nobody ends it."""

    def __init__(self, order: Order, place: Path, template: str, takes_s: float) -> None:
        self._template = template
        device = str(order.conditions["device"])
        reading, self._line = os.pipe()
        self._pid = os.fork()
        if self._pid == 0:
            os.close(self._line)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            _be_at_work(reading, device, order, place, takes_s)
        os.close(reading)
        self._over = False
        self._code: int | None = None
        self._signs = threading.Thread(target=self._sign, args=(order.device_s / 4,), daemon=True)
        self._signs.start()

    def _sign(self, every_s: float) -> None:
        while not self._over:
            self._say("alive")
            time.sleep(every_s)

    def renewed(self, until_s: float) -> None:
        """Until when the lease holds."""
        self._say(f"until {until_s}")

    def _say(self, what: str) -> None:
        with suppress(OSError):
            os.write(self._line, f"{what}\n".encode())

    @property
    def ended(self) -> bool:
        """Whether the device is done with it."""
        if self._code is None:
            pid, status = os.waitpid(self._pid, os.WNOHANG)
            self._code = os.waitstatus_to_exitcode(status) if pid else None
        return self._code is not None

    def end(self) -> None:
        """Ends it, and waits for that."""
        if not self._over:
            self._over = True
            self._say("end")
            while not self.ended:
                time.sleep(0.01)
            os.close(self._line)

    def told(self) -> dict[str, Any]:
        """How it ended."""
        return {"parcel": True} if self._code == 0 else {"how": "lost", "why": "the device gave up"}

    @property
    def parcel(self) -> str:
        """A run as any other, with ids of its own."""
        made = json.loads(self._template)
        run, attempt = str(uuid.uuid4()), str(uuid.uuid4())
        made["runs"][0]["id"] = made["jobs"][0]["run_id"] = made["attempts"][0]["run_id"] = run
        made["attempts"][0]["id"] = made["measurements"][0]["attempt_id"] = attempt
        return json.dumps(made)


def _be_at_work(line: int, device: str, order: Order, place: Path, takes_s: float) -> None:
    """What the device does. It ends in time, with its lease, when its agent is silent, or gone; and clean."""
    job, begun_s, heard_s, until_s = Path(order.folder).name, now_s(), now_s(), order.until_s
    dirt = place / "dirty" / device
    dirt.write_text(job)
    code, left = 0, b""
    while now_s() < begun_s + takes_s:
        ready, _, _ = select.select([line], [], [], 0.05)
        if ready:
            got = os.read(line, 4096)
            if not got:
                code = 3  # its agent is gone
                break
            *words, left = (left + got).split(b"\n")
            heard_s = now_s()
            for word in words:
                if word.startswith(b"until"):
                    until_s = float(word.split()[1])
            if b"end" in words:
                code = 4
                break
        if now_s() > min(until_s, heard_s + order.device_s):
            code = 5
            break
    dirt.unlink()
    told = {"device": device, "token": job, "begun_s": begun_s, "ended_s": now_s(), "code": code}
    with (place / "attempts").open("a") as file:
        file.write(json.dumps(told) + "\n")
    os._exit(code)


class Rack:
    """A network namespace with a line to the farm, which can be cut."""

    def __init__(self, number: int) -> None:
        self.address = f"10.199.{number}.1"
        self._here = f"bhfarm{number}"
        self.name = f"bhfarm{number}-{os.getpid()}"
        subprocess.run(["ip", "netns", "add", self.name], check=True)
        try:
            self._ip("link", "add", self._here, "type", "veth", "peer", "name", "eth0", "netns", self.name)
            self._ip("addr", "add", f"{self.address}/24", "dev", self._here)
            self._ip("link", "set", self._here, "up")
            inside = ("-n", self.name)
            self._ip(*inside, "addr", "add", f"10.199.{number}.2/24", "dev", "eth0")
            self._ip(*inside, "link", "set", "eth0", "up")
        except BaseException:
            self.remove()
            raise

    def cut(self, for_s: float) -> None:
        """Nothing comes through for a while."""
        self._ip("link", "set", self._here, "down")
        time.sleep(for_s)
        self._ip("link", "set", self._here, "up")

    def enter(self) -> None:
        """From now on this process is there."""
        with Path(f"/run/netns/{self.name}").open() as file:
            if ctypes.CDLL(None, use_errno=True).setns(file.fileno(), _NEW_NETWORK):
                raise OSError(ctypes.get_errno(), "setns")

    def remove(self) -> None:
        """Takes it away, its line too."""
        subprocess.run(["ip", "netns", "del", self.name], check=False)

    @staticmethod
    def _ip(*words: str) -> None:
        subprocess.run(["ip", *words], check=True)


class Chaos:
    """A farm, its agents, and what befalls them."""

    def __init__(self, place: Path, options: argparse.Namespace) -> None:
        self.place = place
        self.options = options
        self.chance = random.Random(options.seed)
        (place / "dirty").mkdir()
        self.hosts = [f"host-{number}" for number in range(options.agents)]
        self.racks = [Rack(number) for number in range(min(RACKS, options.agents))]
        self.agents: dict[str, int] = {}
        self.blows: dict[str, int] = defaultdict(int)
        self.spent_s = 0.0
        members = [("submitter", "ann"), *(("agent", host) for host in self.hosts)]
        also = [rack.address for rack in self.racks]
        self.farm = Farm.create(
            place / "farm", name="localhost", port=free_port(), listen="*", also=also, members=members
        )
        self.key = (self.farm.pass_of("ann") / "signing.pub").read_text().strip()
        self.template = parcel(place)
        for number, host in enumerate(self.hosts):
            path = self.farm.pass_of(host) / "farm.toml"
            path.write_text(path.read_text().replace("localhost", self.racks[number % len(self.racks)].address))
        with self.farm.server.connect() as line:
            line.execute("UPDATE farm.settings SET lease_s = %s, device_s = %s, most_losses = 1000",
                         [LEASE_S, LEASE_S * DEVICE_SHARE])  # fmt: skip

    def begin_agent(self, host: str) -> None:
        """A fork: fifty interpreters would take a minute to start."""
        number = self.hosts.index(host)
        pid = os.fork()
        if pid == 0:
            with suppress(BaseException):
                self.racks[number % len(self.racks)].enter()
                self._be_agent(host, random.Random(f"{self.options.seed} {host} {time.time()}"))
            os._exit(0)
        self.agents[host] = pid

    def _be_agent(self, host: str, chance: random.Random) -> None:
        low, high = self.options.takes
        allowed = Allowed(keys={"ann": self.key})
        name = f"{host}-device"
        unit = Unit(name=name, profile=self.place / f"{name}.toml", labels={"hardware": "board"})

        def begin(order: Order) -> Device:
            return Device(order, self.place, self.template, chance.uniform(low, high))

        made = Agent(Pass.load(self.farm.pass_of(host)), [unit], self.place / "work" / host,
                     allowed=lambda: allowed, begin=begin)  # fmt: skip
        signal.signal(signal.SIGTERM, lambda *_: made.stop())
        made.run()

    def begin_scheduler(self) -> int:
        """In a process of its own."""
        pid = os.fork()
        if pid == 0:
            with suppress(BaseException):
                run_scheduler(Pass.load(self.farm.pass_of("scheduler")))
            os._exit(0)
        return pid

    def submit(self, count: int) -> None:
        """So many jobs, signed."""
        ann = Member(Pass.load(self.farm.pass_of("ann")))
        for _ in range(count):
            told = text()
            ann.one("submit", told, signing.sign(self.farm.pass_of("ann"), told), "ann")
        ann.line.close()

    def blow(self) -> None:
        """One misfortune."""
        kind = self.chance.choices(["kill", "freeze", "cut", "restart"], [6, 6, 2, 1])[0]
        self.blows[kind] += 1
        host = self.chance.choice(self.hosts)
        if kind == "kill":
            os.kill(self.agents[host], signal.SIGKILL)
            os.waitpid(self.agents[host], 0)
            self.begin_agent(host)
        elif kind == "freeze":
            threading.Thread(target=_freeze, args=(self.agents[host], self.chance.uniform(*FROZEN_S))).start()
        elif kind == "cut":
            threading.Thread(target=self.chance.choice(self.racks).cut, args=(self.chance.uniform(*CUT_S),)).start()
        else:
            self.spent_s += server_cpu_s(self.farm)
            self.farm.server.stop("immediate")
            self.farm.server.start()

    def left(self) -> int:
        """Jobs that have not ended."""
        query = (
            "SELECT count(*) FROM queue.procrastinate_jobs"
            " WHERE task_name = 'job of a farm' AND status IN ('todo', 'doing')"
        )
        with self.farm.server.connect() as line:
            ((count,),) = line.execute(query.encode()).fetchall()
        return int(count)

    def untaken(self) -> int:
        """Results that are not in the store yet."""
        with self.farm.server.connect() as line:
            ((count,),) = line.execute("SELECT count(*) FROM farm.results WHERE taken IS NULL").fetchall()
        return int(count)

    def end(self, scheduler: int) -> None:
        """Ends every process of ours."""
        for pid in (*self.agents.values(), scheduler):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
                os.kill(pid, signal.SIGTERM)
        for pid in (*self.agents.values(), scheduler):
            with suppress(ChildProcessError):
                os.waitpid(pid, 0)

    def faults(self) -> list[str]:
        """All that is wrong."""
        with self.farm.server.connect() as line:
            states = line.execute(
                "SELECT status::text, count(*) FROM queue.procrastinate_jobs"
                " WHERE task_name = 'job of a farm' GROUP BY status"
            ).fetchall()
            ((results, jobs, runs),) = line.execute(
                "SELECT count(*), count(DISTINCT job), (SELECT count(*) FROM store.runs) FROM farm.results"
            ).fetchall()
            leases = {
                str(token): (job, begun, until)
                for token, job, begun, until in line.execute(
                    "SELECT token, job, extract(epoch FROM begun), extract(epoch FROM until) FROM farm.leases"
                ).fetchall()
            }
        wanted = self.options.jobs
        found = [] if states == [("succeeded", wanted)] else [f"jobs stand {states}, of {wanted}"]
        found += [] if results == jobs == runs == wanted else [f"{results} results of {jobs} jobs, {runs} runs"]
        found += [f"left dirty: {path.name}" for path in (self.place / "dirty").iterdir()]
        attempts = [json.loads(line) for line in (self.place / "attempts").read_text().splitlines()]
        to_wall_s = time.time() - now_s()
        for each in attempts:
            _, _, until = leases[each["token"]]
            over_s = each["ended_s"] + to_wall_s - float(until) - LEASE_S * DEVICE_SHARE
            if over_s > LATE_S:
                found.append(f"{each['device']} went on {over_s:.1f} s past its lease and the device's time")
        found += _overlaps(attempts, lambda each: each["device"], "on the device")
        found += _overlaps(attempts, lambda each: leases[each["token"]][0], "of job")
        return found


def _overlaps(attempts: list[dict[str, Any]], of: Any, told: str) -> list[str]:
    groups: dict[Any, list[dict[str, Any]]] = defaultdict(list)
    for each in attempts:
        groups[of(each)].append(each)
    found = []
    for key, several in groups.items():
        several.sort(key=lambda each: float(each["begun_s"]))
        found += [
            f"two attempts at once {told} {key}"
            for one, other in pairwise(several)
            if other["begun_s"] < one["ended_s"]
        ]
    return found


def _freeze(pid: int, for_s: float) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGSTOP)
        time.sleep(for_s)
        os.kill(pid, signal.SIGCONT)


def server_cpu_s(farm: Farm) -> float:
    """What PostgreSQL spent since it was started: the server, those that ended, and those that go on."""
    server = int((farm.server.data / "postmaster.pid").read_text().split()[0])
    spent = _cpu_s(server, children=True)
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError, ValueError, IndexError):
            fields = path.read_text().rpartition(")")[2].split()
            if int(fields[1]) == server:
                spent += _cpu_s(int(path.parent.name))
    return spent


def _cpu_s(pid: int, *, children: bool = False) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(int(each) for each in fields[11 : 15 if children else 13]) / os.sysconf("SC_CLK_TCK")


def main() -> int:
    """Prints what happened; exit code 1 where something is wrong."""
    made = argparse.ArgumentParser(prog="python -m benchmarks.farm_chaos", description=__doc__)
    made.add_argument("--agents", type=int, default=50)
    made.add_argument("--jobs", type=int, default=500)
    made.add_argument("--seed", type=int, default=1)
    made.add_argument(
        "--takes", type=float, nargs=2, default=(0.2, 6.0), metavar="SECONDS", help="how long a job takes"
    )
    made.add_argument("--calm", action="store_true", help="nothing befalls anybody: what a job costs")
    made.add_argument("--most-s", type=float, default=900.0, help="give up after so long")
    options = made.parse_args()
    with folder() as place:
        chaos = Chaos(place, options)
        scheduler = 0
        try:
            for host in chaos.hosts:
                chaos.begin_agent(host)
            scheduler = chaos.begin_scheduler()
            _until(lambda: _seen(chaos) == options.agents, 120)
            return _run(chaos, options)
        finally:
            chaos.end(scheduler)
            chaos.farm.server.stop("immediate")
            for rack in chaos.racks:
                rack.remove()


def _run(chaos: Chaos, options: argparse.Namespace) -> int:
    before_s, begun = server_cpu_s(chaos.farm), time.monotonic()
    chaos.submit(options.jobs)
    while (chaos.left() or chaos.untaken()) and time.monotonic() - begun < options.most_s:
        time.sleep(chaos.chance.uniform(*BETWEEN_S))
        if not options.calm and chaos.left():
            chaos.blow()
    took_s = time.monotonic() - begun
    spent_s = chaos.spent_s + server_cpu_s(chaos.farm) - before_s
    time.sleep(max(FROZEN_S[1], CUT_S[1]) if not options.calm else 0)
    faults = chaos.faults()
    attempts = (chaos.place / "attempts").read_text().count("\n")
    print(f"{options.jobs} jobs, {attempts} attempts, {options.agents} agents, {took_s:.0f} s; "
          f"blows: {dict(chaos.blows) or 'none'}")  # fmt: skip
    print(f"server: {spent_s / options.jobs * 1000:.1f} ms CPU a job, its scheduler apart")
    for each in faults or ["every job once, no overlap, nobody past a lease, nothing dirty"]:
        print(each)
    return 1 if faults else 0


def _seen(chaos: Chaos) -> int:
    with chaos.farm.server.connect() as line:
        ((count,),) = line.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'").fetchall()
    return int(count)


def _until(so: Any, patience_s: float) -> None:
    end = time.monotonic() + patience_s
    while not so():
        if time.monotonic() > end:
            sys.exit("the agents never came")
        time.sleep(0.2)


if __name__ == "__main__":
    sys.exit(main())
