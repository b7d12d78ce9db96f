"""How long a job may still go on, as its agent and the job's own process know it. Nobody needs the server for that.

The server counts from when it answered; here it is counted from before asking: an agent may be frozen while the answer
waits for it. So a lease ends here first, by a clock of the whole machine that goes on while that sleeps. Processes tell
each other when it ends and never how long it still holds, for the same reason.
"""

from __future__ import annotations

import threading
import time


def now_s() -> float:
    """Seconds on a clock that nobody sets and that does not stop while the machine sleeps, where there is one."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


class Lease:
    """The time that a job has. Safe among threads."""

    def __init__(self, asked_s: float, left_s: float) -> None:
        self._lock = threading.Lock()
        self._until_s = asked_s + left_s
        self.length_s = left_s

    def renewed(self, asked_s: float, left_s: float) -> None:
        """The server gave more time; `asked_s` is when it was asked. One that lapsed stays so."""
        with self._lock:
            if now_s() < self._until_s:
                self._until_s = asked_s + left_s

    @property
    def until_s(self) -> float:
        """When it ends, by `now_s`."""
        with self._lock:
            return self._until_s

    @property
    def left_s(self) -> float:
        """What is left of it; negative where it lapsed."""
        return self.until_s - now_s()
