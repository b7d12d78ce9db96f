"""Background loads: a busy core, or memory bandwidth taken. A child process each, tied to its parent's life.

`python -m benchharness.device.hogs KIND [CORE]` is the child: it says "ready" when the load is on.
"""

from __future__ import annotations

import contextlib
import os
import queue
import sys
import threading
from pathlib import Path
from types import TracebackType

from benchharness.device.processes.child import Child
from benchharness.device.sensors.readings import ON_LINUX, ROOT, Unreadable, text_or_nothing

BUSY_CORE = "busy-core"
MEMORY_BANDWIDTH = "memory-bandwidth"
KINDS = (BUSY_CORE, MEMORY_BANDWIDTH)
_PATIENCE_S = 30
#: A buffer that no cache holds; less would be served from one.
_LEAST_BYTES = 64 << 20
_BEYOND_CACHE = 1.25
#: One buffer takes at most this share of the memory that can be had: the load is on bandwidth, not on room.
_MOST_SHARE = 1 / 8
_COPIED_BYTES = 16 << 20  # at a time: between two copies the end of the lifeline is seen
_SPINS = 100_000


class Hog:
    """A background load while the context lasts. `core`: the logical core that it stays on; None: any."""

    by = "a background process"
    left = ""

    def __init__(self, kind: str, core: int | None = None, *, bundle: str | None = None) -> None:
        self._command = [sys.executable, "-m", __name__, kind, *([] if core is None else [str(core)])]
        self._environment = dict(os.environ)
        if not Path(__file__).is_file():  # this runs out of the bundle, and so does the child
            self._environment["PYTHONPATH"] = os.pathsep.join(filter(None, (bundle, os.environ.get("PYTHONPATH"))))
        self._child: Child | None = None
        self.says = ""

    @property
    def process(self) -> int | None:
        """The child's process id, while there is one."""
        return self._child.pid if self._child else None

    def __enter__(self) -> Hog:
        """Returns when the load is on. Raises `Unreadable` where it cannot be."""
        said: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._child = Child(self._command, lambda stream: stream.readline() or None, said.put, env=self._environment)
        with contextlib.suppress(queue.Empty):
            self.says = (said.get(timeout=_PATIENCE_S) or b"").decode(errors="replace").strip()
        if not self.says.startswith("ready"):
            self.__exit__(None, None, None)
            raise Unreadable(f"the background load did not start: {self.says or 'it ended'}")
        return self

    def lost(self) -> str:
        """Why the load is no longer on; empty while it is."""
        return "" if self._child is not None and not self._child.ends_within(0.0) else "the background load has ended"

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Ends the load."""
        if self._child is not None:
            self._child.end(orphans=False)
            self._child = None


def buffer_bytes(root: Path = ROOT) -> int:
    """How large each of the two buffers is: larger than the last-level cache, where memory allows it."""
    caches = [_size(text_or_nothing(file)) for file in (root / "sys/devices/system/cpu/cpu0/cache").glob("index*/size")]
    wanted = max(_LEAST_BYTES, int(_BEYOND_CACHE * max(caches, default=0)))
    for line in text_or_nothing(root / "proc/meminfo").splitlines():
        if line.startswith("MemAvailable:"):
            return max(_COPIED_BYTES, min(wanted, int(int(line.split()[1]) * 1024 * _MOST_SHARE)))
    return wanted


def _size(text: str) -> int:
    """Bytes of a cache size such as `512K`."""
    number, unit = text.rstrip("KMG"), text[-1:]
    return int(number or 0) << {"K": 10, "M": 20, "G": 30}.get(unit, 0) if number.isdigit() else 0


def _spin() -> None:
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    while True:
        for _ in range(_SPINS):
            pass


def _stream() -> None:
    """Copies one large buffer into another, over and over: every byte is read and written past the caches."""
    size = buffer_bytes()
    source, target = memoryview(bytearray(b"\1" * size)), memoryview(bytearray(b"\1" * size))
    sys.stdout.write(f"ready, 2 buffers of {size >> 20} MiB\n")
    sys.stdout.flush()
    while True:
        for start in range(0, size, _COPIED_BYTES):
            target[start : start + _COPIED_BYTES] = source[start : start + _COPIED_BYTES]


def _end_with_parent() -> None:
    while os.read(0, 1):
        pass
    os._exit(1)


def main(arguments: list[str]) -> None:
    """Loads the device until the parent is gone."""
    kind, *core = arguments
    if core and ON_LINUX:
        os.sched_setaffinity(0, {int(core[0])})
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if kind == BUSY_CORE:
        _spin()
    elif kind == MEMORY_BANDWIDTH:
        _stream()
    sys.exit(f"no background load is called {kind!r} (there are: {', '.join(KINDS)})")


if __name__ == "__main__":
    main(sys.argv[1:])
