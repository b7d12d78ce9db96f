"""A phase in which memory is held for two milliseconds, as the harness's phases see it.

Argument: {"bytes", "held_s"}. Answer: {"added": peak of the phase minus what was resident before it, "settled": minus
what was resident behind it; in bytes}.
"""

from __future__ import annotations

import json
import mmap
import sys
import time

from benchharness.device.phases import Phases


def main() -> None:
    """Holds the memory, and prints what the phases say."""
    asked = json.loads(sys.argv[1])
    phases = Phases(time.perf_counter_ns())
    _hold(asked["bytes"], 0)  # what the code itself needs is resident before
    phases.end("before")
    _hold(asked["bytes"], asked["held_s"])
    phases.end("transient")
    told = {
        (found["metric"], found["parameters"]["phase"]): found["value"]
        for found in phases.memory()
        if found["metric"] == "phase_peak_memory" or found["parameters"].get("kind") == "rss"
    }
    peak = told["phase_peak_memory", "transient"]
    added = {
        name: peak - told["settled_memory", phase] for name, phase in (("added", "before"), ("settled", "transient"))
    }
    print(json.dumps(added))


def _hold(size: int, held_s: float) -> None:
    """Maps memory, touches every page, keeps it for a while, gives it back."""
    with mmap.mmap(-1, size) as memory:
        for page in range(0, size, mmap.PAGESIZE):
            memory[page] = 1
        end_s = time.perf_counter() + held_s
        while time.perf_counter() < end_s:
            pass


if __name__ == "__main__":
    main()
