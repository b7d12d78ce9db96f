"""Makes one job on one device, in a process of its own, and ends with its lease: a hanging job takes nothing with it.

`python -m benchharness.farm.making`, by an agent. It reads an order, one line of JSON, and then until when the lease
holds, a line each time it was renewed. When it lapses, or the agent is gone, the process ends at once; its line to the
device with it, and then, by the device's own lease, whatever runs there. How it ended stands in `told.json`:
`{"parcel": true}`, or a word for the agent and the reason.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import closing, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TextIO

from benchharness import api, builds, measure, stores
from benchharness.errors import BenchharnessError, LaunchError
from benchharness.execute.hygiene import Hygiene, look_after
from benchharness.farm.lease import Lease
from benchharness.suite.hardware import load_hardware
from benchharness.suite.tables import read_toml, restore_table
from benchharness.suite.targets import Target, target

#: How often somebody looks whether the lease holds.
_LOOKS_S = 0.1
_LAPSED = 75  # sysexits.h: a temporary failure
TOLD, PARCEL = "told.json", "parcel.json"


@dataclass(frozen=True, kw_only=True)
class Order:
    """What an agent wants made. `folder` is the job's own, `profile` the device's."""

    folder: str
    profile: str
    device_s: float  # how long the device goes on that hears nothing from here
    suites: list[dict[str, Any]]  # the suite, and the base that it is compared with
    until_s: float  # when the lease ends, by `lease.now_s`
    conditions: Mapping[str, Any]


class Making:
    """The process of a job, as its agent sees it."""

    def __init__(self, order: Order) -> None:
        self._folder = Path(order.folder)
        log = (self._folder / "log.txt").open("wb")
        with log:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "benchharness.farm.making"],  # no module is looked for in the job's folder
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                cwd=self._folder,
                start_new_session=True,
                text=True,
            )
        self._say(asdict(order))

    def renewed(self, until_s: float) -> None:
        """Tells it until when the lease holds now."""
        self._say({"until_s": until_s})

    @property
    def ended(self) -> bool:
        """Whether it is over."""
        return self._process.poll() is not None

    def end(self) -> None:
        """Ends it now."""
        with suppress(OSError):
            self._process.kill()
        self._process.wait()
        if self._process.stdin is not None:
            with suppress(OSError):
                self._process.stdin.close()

    def told(self) -> dict[str, Any]:
        """How it ended, in its own words."""
        try:
            found = json.loads((self._folder / TOLD).read_text(encoding="utf-8"))
            return dict(found)
        except (OSError, ValueError, TypeError):
            words = (self._folder / "log.txt").read_text(encoding="utf-8", errors="replace").split("\n")
            last = next((line for line in reversed(words) if line.strip()), "without a word")
            return {"how": "lost", "why": f"its process ended with code {self._process.returncode}: {last[:200]}"}

    @property
    def parcel(self) -> str:
        """What it measured."""
        return (self._folder / PARCEL).read_text(encoding="utf-8")

    def _say(self, what: Mapping[str, Any]) -> None:
        with suppress(OSError):  # it has ended, which is seen elsewhere
            assert self._process.stdin is not None
            self._process.stdin.write(json.dumps(what) + "\n")
            self._process.stdin.flush()


def make(order: Order) -> dict[str, Any]:
    """Looks after the device, measures, looks after it again, and packs what was found."""
    folder = Path(order.folder)
    at = reached_as(order)
    hardware = at.hardware.model_copy(update={"device": at.devices[0] if at.devices else None})
    before = look_after(hardware, folder)
    if before.trouble:
        return {"how": "unfit", "why": before.trouble}
    store = f"sqlite:///{folder / 'store.db'}"
    runs = _measured(order, at, store)
    try:
        after = look_after(hardware, folder)
    except LaunchError as error:
        after = Hygiene(found={"unknown": str(error)}, trouble=f"it was lost after the job: {error}")
    conditions = {**order.conditions, "before": dict(before.found), "after": dict(after.found)}
    (folder / PARCEL).write_text(stores.parcel_of(*runs, store=store, conditions=conditions), encoding="utf-8")
    return {"parcel": True, "unfit": after.trouble}


def reached_as(order: Order) -> Target:
    """The device, which gives up before the farm hands its job on."""
    profile = Path(order.profile)
    if "connect" not in read_toml(profile):  # the host itself
        return Target(load_hardware(order.profile))
    found = target(order.profile, profile.parent)
    held = [each.model_copy(update={"lease": min(each.lease_s, order.device_s)}) for each in found.devices]
    return Target(found.hardware, tuple(held))


def _measured(order: Order, at: Target, store: str) -> list[str]:
    """The run that was made, or those of a gate: a red one is repeated here, on the same device."""
    suite, *base = (restore_table(table) for table in order.suites)
    if not base:
        with closing(api.open_store(store)) as opened:
            return [measure.begin(opened, suite, at, None)]
    told = (f"{base[0].name} as submitted", f"{suite.name} as submitted")
    first = builds.measured([base[0], suite], told, target=at, gate={}, store=store, watching=None)
    gating = builds.finished(first, None, store, None)
    return [each.findings.run.id for each in (gating.first, gating.repeated) if each is not None]


def main() -> None:
    """Makes the job that standard input tells of."""
    told = json.loads(sys.stdin.readline())
    order = Order(**told)
    lease = Lease(order.until_s, 0.0)
    threading.Thread(target=_hear, args=(sys.stdin, lease), daemon=True).start()
    threading.Thread(target=_watch, args=(lease,), daemon=True).start()
    try:
        found = make(order)
    except LaunchError as error:
        found = {"how": "lost", "why": str(error)}
    except BenchharnessError as error:
        found = {"how": "failed", "why": str(error)}
    temporary = Path(order.folder) / f".{TOLD}"
    temporary.write_text(json.dumps(found), encoding="utf-8")
    temporary.replace(Path(order.folder) / TOLD)


def _hear(stream: TextIO, lease: Lease) -> None:
    for line in stream:
        lease.renewed(float(json.loads(line)["until_s"]), 0.0)
    os._exit(_LAPSED)  # the agent is gone


def _watch(lease: Lease) -> None:
    while lease.left_s > 0:
        time.sleep(_LOOKS_S)
    print("the lease lapsed", file=sys.stderr, flush=True)
    os._exit(_LAPSED)


if __name__ == "__main__":
    main()
