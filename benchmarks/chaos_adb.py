"""Whether what happens to phones costs a finished attempt, or leaves something on one.

`python -m benchmarks.chaos_adb --each 20 --seed 1`, as root on Linux with adb: the phone is a daemon on this machine
that speaks to the real adb server, and runs commands as another user in another root. Blows fall at random moments of
runs of short attempts, detached and not in turn: unplugged and plugged in again, the adb server killed, unauthorized
and offline for a while, rebooted in the middle, and gone out at 3 % of its battery, charged, and started again. Exit
code 1 where an attempt is in the store twice, something is left, or a program was called by which a phone is held awake
or changed.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.chaos import Kinds, Run, all_told, beaten, kill_hosts, kill_supervisors
from tests import adb_device
from tests.adb_device import AdbServer, Phone
from tests.unit.sensors.published import SAMSUNG_BATTERY

#: How long it is away: a reboot of a stand-in's takes no longer than adb's line waits (12 s).
AWAY_S = (0.5, 4.0)
#: From the end of a blow to the next: an attempt takes a second or two, and is given up when it broke three times.
BETWEEN_S = (1.0, 6.0)
LOW = SAMSUNG_BATTERY.replace("level: 100", "level: 3").replace("USB powered: true", "USB powered: false")


class Blows:
    """What can happen to a phone."""

    def __init__(self, phone: Phone, server: AdbServer, choice: random.Random) -> None:
        self._phone, self._server, self._choice = phone, server, choice

    def _for_a_while(self, state: str) -> None:
        self._phone.becomes(state)
        time.sleep(self._choice.uniform(*AWAY_S))
        self._phone.becomes("ready")

    def unplugged(self) -> None:
        """And plugged in again."""
        self._for_a_while("gone")

    def server_killed(self) -> None:
        """Whichever listens there now."""
        port = str(self._server.port)
        found = subprocess.run(
            ["pgrep", "-f", f"adb -P {port} |adb -L tcp:.*{port} "], capture_output=True, check=False
        )
        for each in found.stdout.split():
            os.kill(int(each), signal.SIGKILL)

    def unauthorized(self) -> None:
        """Somebody revokes this computer, and allows it again."""
        self._for_a_while("unauthorized")

    def offline(self) -> None:
        """It is attached, and does not answer."""
        self._for_a_while("offline")

    def rebooted(self) -> None:
        """Nothing of what ran survives, and its files do."""
        self._phone.becomes("gone")
        subprocess.run(["pkill", "-KILL", "-u", self._phone.user], check=False)
        time.sleep(self._choice.uniform(*AWAY_S))
        self._phone.becomes("ready")

    def empty(self) -> None:
        """At 3 % for a moment, then out; back on its charger."""
        self._phone.tell("dumpsys battery", LOW)
        time.sleep(self._choice.uniform(*AWAY_S))
        self.rebooted()
        self._phone.tell("dumpsys battery", SAMSUNG_BATTERY)


def main() -> int:
    """Lets all blows fall; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.chaos_adb", description=__doc__)
    parser.add_argument("--each", type=int, default=20, help="blows of each kind")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    if trouble := adb_device.missing():
        sys.stderr.write(f"benchmarks.chaos_adb {trouble}\n")
        return 2
    choice = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as folder, adb_device.adb_server(Path(folder)) as server:
        os.environ["ANDROID_ADB_SERVER_PORT"] = str(server.port)
        os.environ["HOME"] = folder  # where an adb server that is started again keeps its key
        (Path(folder) / "phone").mkdir()
        with adb_device.phone(Path(folder) / "phone", says={"dumpsys battery": SAMSUNG_BATTERY}) as phone:
            blows = Blows(phone, server, choice)

            def falling(blow: Callable[[], None]) -> Callable[[Run, int], None]:
                return lambda run, count: beaten(run, count, blow, choice, BETWEEN_S)

            kinds: Kinds = {
                "unplugged": (options.each, falling(blows.unplugged)),
                "adb server killed": (options.each, falling(blows.server_killed)),
                "unauthorized": (options.each, falling(blows.unauthorized)),
                "offline": (options.each, falling(blows.offline)),
                "rebooted": (options.each, falling(blows.rebooted)),
                "out at 3 percent": (options.each, falling(blows.empty)),
                "host killed": (options.each, lambda run, count: kill_hosts(run, count, choice)),
                "supervisor killed": (
                    options.each,
                    lambda run, count: beaten(run, count, lambda: kill_supervisors(run), choice),
                ),
            }

            def made(name: str, detached: bool) -> Run:
                work, seen = f"/data/local/tmp/{name}", phone.home / "tmp" / name
                return Run(phone, Path(folder) / name, work=work, seen=seen, detached=detached)

            code = all_told(kinds, made)
            sys.stdout.write(f"asked of svc, am, cmd, input or pm: {phone.touched() or 'nothing'}\n")
            return 1 if phone.touched() else code


if __name__ == "__main__":
    raise SystemExit(main())
