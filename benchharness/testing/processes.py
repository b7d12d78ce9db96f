"""A session in a process of its own, as the harness runs it: what came of it, and what it left running.

`python -m benchharness.testing.processes` reads an order from standard input, starts the process that holds the
session (the same command with the word `session`), and prints what it saw. Two processes, because the first has to
adopt the second's orphans, and the process that runs the tests shall not.
"""

from __future__ import annotations

import importlib
import json
import operator
import os
import queue
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO

from benchharness.contract import Adapter, Configuration, GeneratesTokens, LanguageSession
from benchharness.device.line import protocol
from benchharness.device.processes import leftovers
from benchharness.device.processes.child import Child, ask
from benchharness.errors import BenchharnessError

#: A thread that has been told to end has this long.
_THREADS_S = 1.0
_GRACE_S = 5.0
_COMMAND = [sys.executable, "-m", "benchharness.testing.processes"]


def in_its_own_process(
    adapter: Adapter, artefact: Path, configuration: Configuration, patience_s: float
) -> Mapping[str, Any]:
    """Opens, runs and closes a session elsewhere.

    `failed`: the error that ended it, or empty. `ended`: whether its process did, in time. `threads`: those of its
    process that would keep an interpreter from ending. `left`: how many processes ran on, by command. Raises
    `LookupError` for an adapter whose class no other process can import.
    """
    made_by = type(adapter)
    if made_by.__module__ == "__main__" or "<locals>" in made_by.__qualname__:
        raise LookupError(f"{made_by.__qualname__} of {made_by.__module__} cannot be imported")
    order = {
        "adapter": [made_by.__module__, made_by.__qualname__],
        "artefact": str(artefact),
        "configuration": asdict(configuration),
        "patience_s": patience_s,
    }
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = ask(_COMMAND, patience_s + 3 * _GRACE_S, told=json.dumps(order).encode() + b"\n", env=environment)
    if not done.out:
        raise AssertionError(f"the process that looks on ended with {done.code}: {done.words}")
    found: dict[str, Any] = json.loads(done.out)
    return found


def _look_on() -> None:
    order = sys.stdin.readline()
    leftovers.adopt_orphans()
    answers: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
    child = Child([*_COMMAND, "session"], _line, answers.put)
    child.write(order.encode())
    try:
        line = answers.get(timeout=json.loads(order)["patience_s"])
    except queue.Empty:
        line = None
    ended = child.ends_within(_GRACE_S if line else 0)
    child.end()
    answer = json.loads(line) if line else {"failed": "it said nothing", "threads": []}
    sys.stdout.write(json.dumps({**answer, "ended": ended, "left": leftovers.told()}))


def _line(stream: BinaryIO) -> bytes | None:
    return stream.readline() or None


def _hold_a_session() -> None:
    answers = protocol.claim_standard_output()
    order = json.loads(sys.stdin.readline())
    module, name = order["adapter"]
    adapter: Adapter = operator.attrgetter(name)(importlib.import_module(module))()
    failed = ""
    try:
        with adapter.open(Path(order["artefact"]), Configuration(**order["configuration"])) as session:
            if isinstance(session, LanguageSession):
                session.extend([1])
            elif isinstance(session, GeneratesTokens):
                session.generate("a" if session.takes_text else [1], 1)
            else:
                from benchharness.testing.materials import make_inputs

                session.run(make_inputs(session.inputs))
    except BenchharnessError as error:
        failed = f"{type(error).__name__}: {error}"
    os.write(answers, json.dumps({"failed": failed, "threads": _threads()}).encode() + b"\n")
    os._exit(0)  # as workers and scorers do: a runtime's static destructors may hang


def _threads() -> list[str]:
    """The threads that an ending interpreter would wait for."""
    deadline_s = time.monotonic() + _THREADS_S
    while True:
        found = [each.name for each in threading.enumerate() if not each.daemon and each is not threading.main_thread()]
        if not found or time.monotonic() > deadline_s:
            return found
        time.sleep(0.02)


if __name__ == "__main__":
    _hold_a_session() if sys.argv[1:] == ["session"] else _look_on()
