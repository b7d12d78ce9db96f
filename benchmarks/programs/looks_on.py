"""What the supervisor does to a worker in a sustained session, switched on and off from outside.

Argument: {"process": id, "seed"}. Reads lines: `on`, `off`, `end`; answers each with a line. The last line tells
{"looks", "cpu_ns": CPU time of this process while on}.
"""

from __future__ import annotations

import json
import queue
import random
import sys
import tempfile
import threading
import time
from pathlib import Path

from benchharness.device.watch import Watch


def main() -> None:
    """Looks while it is on, and tells at the end how often and at what cost."""
    asked = json.loads(sys.argv[1])
    inbox: queue.SimpleQueue[str] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(inbox,), daemon=True).start()
    order = random.Random(asked["seed"])
    looks, cpu_ns = 0, 0
    with tempfile.NamedTemporaryFile() as evidence:
        watch = Watch(asked["process"], Path(evidence.name), time.perf_counter_ns(), sensors=True)
        while (told := inbox.get()) != "end":
            print(told, flush=True)
            if told == "on":
                began_ns = time.process_time_ns()
                looks += _look(watch, inbox, order.random() * watch.every_s)
                cpu_ns += time.process_time_ns() - began_ns
    print(json.dumps({"looks": looks, "cpu_ns": cpu_ns}), flush=True)


def _look(watch: Watch, inbox: queue.SimpleQueue[str], first_s: float) -> int:
    """Looks as `Supervisor._tick` does until something is told; how often. The first look comes after `first_s`."""
    looks = 0
    patience_s = first_s
    while True:
        try:
            told = inbox.get(timeout=patience_s)
        except queue.Empty:
            watch.look()
            looks += 1
            patience_s = watch.every_s  # the supervisor's own, or it would not be its cost
        else:
            print(told, flush=True)
            return looks


def _read(inbox: queue.SimpleQueue[str]) -> None:
    for line in sys.stdin:
        inbox.put(line.strip())


if __name__ == "__main__":
    main()
