"""The simulator's process as seen by whoever starts it."""

from __future__ import annotations

import json
import os
import queue
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from benchharness.device.network.profiles import Network
from benchharness.device.processes.child import Child
from benchharness.errors import ModelFailure

_PROGRAM = "benchharness.device.network.simulator"
_PATIENCE_S = 30.0


@dataclass
class Passed:
    """What went through a network; filled in when it is closed. Bytes as the device sent and received them."""

    port: int
    sent: int = 0
    received: int = 0
    late_ns: int = 0


class SimulatedNetworks:
    """Opens networks to one address, each with a seed, while the context lasts. `bundle`: what this may run out of."""

    def __init__(self, address: tuple[str, int], *, bundle: str | None = None) -> None:
        self._address = address
        self._environment = dict(os.environ)
        if not Path(__file__).is_file():
            self._environment["PYTHONPATH"] = os.pathsep.join(filter(None, (bundle, os.environ.get("PYTHONPATH"))))
        self._said: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._child: Child | None = None

    def __enter__(self) -> SimulatedNetworks:
        """Starts the process."""
        command = [sys.executable, "-m", _PROGRAM]
        self._child = Child(command, lambda stream: stream.readline() or None, self._said.put, env=self._environment)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Ends it."""
        if self._child is not None:
            self._child.end(orphans=False)
            self._child = None

    @contextmanager
    def through(self, network: Network, seed: str) -> Iterator[Passed]:
        """A port that leads to the address through the network; what passed is known afterwards."""
        passed = Passed(int(self._ask({"open": network.to_json(), "seed": seed, "to": self._address})["port"]))
        try:
            yield passed
        finally:
            told = self._ask({"close": passed.port})
            passed.sent, passed.received, passed.late_ns = (int(told[key]) for key in ("sent", "received", "late_ns"))

    def _ask(self, command: Mapping[str, Any]) -> dict[str, Any]:
        assert self._child is not None
        self._child.write(json.dumps(command).encode() + b"\n")
        try:
            line = self._said.get(timeout=_PATIENCE_S)
        except queue.Empty:
            line = None
        if line is None:
            raise ModelFailure("the process that simulates networks has ended, or does not answer")
        answer: dict[str, Any] = json.loads(line)
        return answer
