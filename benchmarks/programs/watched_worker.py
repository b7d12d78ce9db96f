"""A worker, and what the kernel says about it from outside. Small, so that its own memory is in no figure.

Argument: {"arguments": of the interpreter, "order", "watch"}. Answer: {"told": the worker's last message, "seen":
highest resident bytes by phase, where it was to be watched, "reads": how many, "maxrss": from wait4, in bytes}.
Watching reads /proc/PID/statm without a pause, so it takes a core; the phase is the one that the worker told last.
`maxrss` survives `exec`, and this process is smaller than any worker; it misses what came before the worker's last
reset of its peak.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from typing import Any

#: Phases that the worker tells by name; whatever else it tells in scenario `steady` is part of `measure`.
_TOLD_PHASES = frozenset(("import", "load"))
_MOST_READ_BYTES = 1 << 20


def main() -> None:
    """Runs the worker to its end, and prints what was seen."""
    asked = json.loads(sys.argv[1])
    spawned_ns = time.perf_counter_ns()
    # Not a context: it would reap the process, and its usage with it.
    process = subprocess.Popen(
        [sys.executable, *asked["arguments"]],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert process.stdin is not None
    order = {**asked["order"], "type": "order", "spawned_ns": spawned_ns}
    process.stdin.write(json.dumps(order).encode() + b"\n")
    process.stdin.flush()  # and left open: its end is the worker's end
    listener = _Listener(process)
    seen, reads = _watch(process.pid, listener) if asked["watch"] else ({}, 0)
    listener.hear_out()
    _, _, usage = os.wait4(process.pid, 0)
    print(json.dumps({"told": listener.told, "seen": seen, "reads": reads, "maxrss": usage.ru_maxrss * 1024}))


class _Listener:
    """The worker's messages, heard between two looks at it: a thread would lag behind. `phase` is what it told last."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        self._descriptor = process.stdout.fileno()
        self._heard = b""
        self.phase = "start"
        self.told: dict[str, Any] = {}
        os.set_blocking(self._descriptor, False)

    def hear(self) -> bool:
        """Takes in what was told by now; False at the end of the worker's output."""
        try:
            data = os.read(self._descriptor, _MOST_READ_BYTES)
        except BlockingIOError:
            return True
        *lines, self._heard = (self._heard + data).split(b"\n")
        for line in lines:
            message = json.loads(line)
            if message["type"] == "progress":
                self.phase = message["phase"] if message["phase"] in _TOLD_PHASES else "measure"
            else:
                self.phase, self.told = "end", message
        return bool(data)

    def hear_out(self) -> None:
        """Waits for the end of the worker's output."""
        os.set_blocking(self._descriptor, True)
        while self.hear():
            pass


def _watch(process: int, listener: _Listener) -> tuple[dict[str, int], int]:
    """The highest resident bytes by phase, read as fast as it goes, and how many reads that were."""
    page_bytes = os.sysconf("SC_PAGE_SIZE")
    seen: dict[str, int] = {}
    reads = 0
    statm = os.open(f"/proc/{process}/statm", os.O_RDONLY)
    try:
        going = True
        while going:
            phase = listener.phase
            resident = int(os.pread(statm, 100, 0).split()[1]) * page_bytes
            going = listener.hear()
            if listener.phase == phase:  # else nobody knows in which of the two it was read
                seen[phase] = max(seen.get(phase, 0), resident)
            reads += 1
    except ProcessLookupError:
        pass  # it ended between two reads
    finally:
        os.close(statm)
    return seen, reads


if __name__ == "__main__":
    main()
