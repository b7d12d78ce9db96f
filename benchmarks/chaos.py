"""Whether broken lines, killed hosts and killed supervisors cost a finished attempt, or leave something on a device.

`python -m benchmarks.chaos --cuts 100 --hosts 50 --supervisors 50 --seed 1`, as root on Linux with OpenSSH: the
device is this machine over SSH, as another user in another root. Each blow falls at a random moment of a run of short
attempts, detached and not in turn. Exit code 1 where an attempt is in the store twice, or something is left.
`python -m benchmarks.chaos_adb` does it to a phone.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from benchharness import api
from benchharness.errors import LaunchError
from benchharness.locations import DEVICES_VARIABLE
from benchharness.results.store import Store
from benchharness.suite.device import written
from tests import far
from tests.ssh_server import missing, serving

DIGITS = Path(__file__).parent.parent / "examples" / "digits" / "artefacts" / "fp32.onnx"
#: Seconds between two blows: a line is opened again in one, and an attempt takes about one.
BETWEEN_S = (0.8, 3.0)
#: Of a run: so many blows fall that it must be long, and no blow ends it.
MOST_ATTEMPTS = 1000
GONE_WITHIN_S = 10.0
STARTED_WITHIN_S = 30.0
#: A finished attempt lies in the spool until it is in the store, which takes longer.
LOOK_EVERY_S = 0.005


#: By the name of a kind of blow: how many fall, and what lets so many fall on a run.
Kinds = dict[str, tuple[int, "Callable[[Run, int], None]"]]


class Told(NamedTuple):
    """What became of a run's attempts."""

    fine: int  # in the store, each counted once
    twice: int  # more of the same
    given_up: list[str]  # why
    lost: int  # lay finished in the spool there, and are not in the store


class Run:
    """One run on the device, and what became of it."""

    def __init__(self, server: far.Server, folder: Path, *, work: str, seen: Path, detached: bool) -> None:
        """`work` is its work folder there, and `seen` where that lies on this machine."""
        self.server = server
        self.folder = folder
        self.work = seen
        self.url = f"sqlite:///{folder / 'store.db'}"
        self.detached = detached
        self.spooled: set[str] = set()  # ids of attempts that were seen to be finished there
        os.environ[DEVICES_VARIABLE] = str(folder / "devices")
        (folder / "devices").mkdir(parents=True)
        device = server.device(name="loopback", work=work, detached=detached)
        (folder / "devices" / "loopback.toml").write_text(written(device), encoding="utf-8")

    def suite(self, attempts: int) -> dict[str, Any]:
        """So many short attempts."""
        return {
            "name": "chaos",
            "models": {"digits": {"variants": {"fp32": {"artefact": str(DIGITS)}}}},
            "configurations": [{"threads": 1}],
            "attempts": {"at_least": attempts, "at_most": attempts},
            "scenarios": {"steady": {}},
        }

    def host(self) -> subprocess.Popen[bytes]:
        """A host of its own, which begins the run or goes on with it."""
        what = "api.resume" if self.runs() else f"api.run({self.suite(MOST_ATTEMPTS)!r}, on='loopback', "
        code = f"from benchharness import api\n{what}{'(' if what == 'api.resume' else ''}store={self.url!r})"
        return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def runs(self) -> list[str]:
        """Those in the store."""
        store = Store(self.url)
        try:
            return [run.id for run in store.list_runs()]
        finally:
            store.close()

    def supervisors(self) -> list[int]:
        """Their process ids on the device."""
        found = [each for each in self.server.processes() if " supervisor " in each and "sys.stdin" not in each]
        return [int(each.split()[0]) for each in found]

    def watch(self) -> None:
        """Notes what lies finished in the spool there, as long as this process lives."""
        while True:
            self.spooled |= {each.stem for each in self.work.glob("runs/*/spool/*.json")}
            time.sleep(LOOK_EVERY_S)

    def told(self) -> Told:
        """What became of the attempts."""
        store = Store(self.url)
        try:
            attempts = [each for run in store.list_runs() for each in store.attempts(run.id)]
        finally:
            store.close()
        fine = Counter((each.job, each.round) for each in attempts if each.outcome.ok)
        given_up = [f"{each.outcome.kind} {each.outcome.reason}"[:100] for each in attempts if not each.outcome.ok]
        lost = len(self.spooled - {each.id for each in attempts})
        return Told(fine=len(fine), twice=sum(fine.values()) - len(fine), given_up=given_up, lost=lost)

    def left(self) -> list[str]:
        """What is on the device that a finished run must not leave."""
        deadline_s = time.monotonic() + GONE_WITHIN_S
        while True:
            runs = self.work / "runs"
            found = [*self.server.processes(), *(each.name for each in runs.glob("*") if each.is_dir())]
            if not found or time.monotonic() > deadline_s:
                return found
            time.sleep(0.1)


def beaten(
    run: Run,
    blows: int,
    blow: Callable[[], object],
    choice: random.Random,
    between_s: tuple[float, float] = BETWEEN_S,
) -> None:
    """A run in this process while blows fall; then it ends in peace."""
    ended = threading.Event()

    def fall() -> None:
        # A device that lets nobody in at the first is refused, and a job that never worked is given up.
        while not (run.runs() and run.told().fine):
            if ended.wait(BETWEEN_S[0]):
                return
        for _ in range(blows):
            if ended.wait(choice.uniform(*between_s)):
                return
            blow()
        over.set()

    over = threading.Event()
    beating = threading.Thread(target=fall, daemon=True)
    beating.start()
    suite = run.suite(MOST_ATTEMPTS)
    suite["attempts"]["max_time"] = f"{blows * sum(between_s) / 2 + 10} s"
    try:
        api.run(suite, on="loopback", store=run.url)
    except LaunchError:
        over.wait()
        api.resume(store=run.url)
    ended.set()
    beating.join()


def kill_hosts(run: Run, blows: int, choice: random.Random) -> None:
    """Hosts die one after the other; the last one ends what they began."""
    for blow in range(blows):
        host = run.host()
        if blow % 2:  # a busy machine takes its time to come so far
            _until_at_work(run, host)
        time.sleep(choice.uniform(0.5, 5.0))
        host.send_signal(signal.SIGKILL)
        host.wait()
    from benchharness.suite.overrides import Overrides

    if run.runs():
        api.resume(store=run.url, overrides=Overrides(max_time="1 s"))


def _until_at_work(run: Run, host: subprocess.Popen[bytes]) -> None:
    deadline_s = time.monotonic() + STARTED_WITHIN_S
    while not run.supervisors() and host.poll() is None and time.monotonic() < deadline_s:
        time.sleep(0.1)


def kill_supervisors(run: Run) -> None:
    """Whatever supervises there now."""
    for process in run.supervisors():
        try:
            os.kill(process, signal.SIGKILL)
        except ProcessLookupError:
            continue


def main() -> int:
    """Lets all blows fall; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.chaos", description=__doc__)
    parser.add_argument("--cuts", type=int, default=100)
    parser.add_argument("--hosts", type=int, default=50)
    parser.add_argument("--supervisors", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    if trouble := missing():
        sys.stderr.write(f"benchmarks.chaos {trouble}\n")
        return 2
    choice = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as folder, serving(Path(folder)) as server:
        kinds: Kinds = {
            "line cut": (options.cuts, lambda run, blows: beaten(run, blows, server.drop_lines, choice)),
            "host killed": (options.hosts, lambda run, blows: kill_hosts(run, blows, choice)),
            "supervisor killed": (
                options.supervisors,
                lambda run, blows: beaten(run, blows, lambda: kill_supervisors(run), choice),
            ),
        }

        def made(name: str, detached: bool) -> Run:
            seen = server.home / name
            return Run(server, Path(folder) / name, work=str(seen), seen=seen, detached=detached)

        return all_told(kinds, made)


def all_told(kinds: Kinds, made: Callable[[str, bool], Run]) -> int:
    """Lets each kind of blow fall on a run of its own, detached and not, and tells what became of it; the exit code."""
    wrong = False
    for name, (blows, beat) in kinds.items():
        for detached in (False, True):
            share = blows - blows // 2 if detached else blows // 2
            if not share:
                continue
            run = made(f"{name.replace(' ', '-')}-{detached}", detached)
            threading.Thread(target=run.watch, daemon=True).start()
            beat(run, share)
            told = run.told()
            left = run.left()
            wrong = wrong or bool(told.twice or told.lost or left)
            why = f" ({told.given_up[0]})" if told.given_up else ""
            sys.stdout.write(
                f"{name}{', detached' if detached else ''}: {share} blows, {told.fine} attempts in the store once, "
                f"{told.twice} twice, {told.lost} of {len(run.spooled)} seen in the spool lost, "
                f"{len(told.given_up)} given up{why}, left: {', '.join(left)[:500] or 'nothing'}\n"
            )
            sys.stdout.flush()
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
