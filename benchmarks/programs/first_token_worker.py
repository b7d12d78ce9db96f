"""A worker that also tells what CPU time it took until the first token's logits were there: metric `cpu`, in ns.

Argument: `pip` for the runtimes that pip installed, or `built` for the llama.cpp that the environment names. What the
harness takes for itself is in no time of a worker, and so not in this one: the kernel walks the page tables of a whole
mapped model to tell and to reset its memory, 9 ms of a file of 515 MiB at each phase's end.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from benchharness.device import worker
from benchharness.device.measured import measurement
from benchharness.device.phases import Phases
from benchharness.device.quiet_numpy import load_numpy


class CountedPhases(Phases):
    """Phases that count CPU time, too."""

    def __init__(self, spawned_ns: int) -> None:
        self._for_itself_ns = 0
        super().__init__(spawned_ns)

    def end(self, phase: str, at_ns: int | None = None) -> None:
        """The phase ended; what telling that takes is the harness's own."""
        began_ns = time.thread_time_ns()
        super().end(phase, at_ns)
        self._for_itself_ns += time.thread_time_ns() - began_ns

    @contextmanager
    def unwatched(self) -> Iterator[None]:
        """Around what the harness does for itself."""
        began_ns = time.thread_time_ns()
        with super().unwatched():
            yield
        self._for_itself_ns += time.thread_time_ns() - began_ns

    def cold_start(self, metric: str) -> list[dict[str, Any]]:
        """The cold start, and its CPU time: of all threads, whatever they did."""
        taken_ns = time.process_time_ns() - self._for_itself_ns
        return [*super().cold_start(metric), measurement("cpu", {}, taken_ns)]


def main() -> None:
    """Makes the attempt."""
    if sys.argv[1] == "built":
        from benchmarks import built_llama

        load_numpy()  # before the adapter does, as in any worker
        built_llama.install()
    vars(worker)["Phases"] = CountedPhases
    worker.main()


if __name__ == "__main__":
    main()
