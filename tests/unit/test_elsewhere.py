"""Sessions that compute in another process: memory, waiting and the supervisor's looks are that process's."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchharness.device.phases import Phases
from benchharness.device.sensors import memory
from benchharness.device.watch import Watch

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="of another process on Linux only so far")

_HELD_BYTES = 64 << 20
_HOLDS = f"""
import sys, time
held = bytearray({_HELD_BYTES})
for at in range(0, len(held), 4096): held[at] = 1
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture(scope="module")
def holder() -> Iterator[int]:
    process = subprocess.Popen([sys.executable, "-c", _HOLDS], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdout.readline()
    yield process.pid
    process.stdin.close()
    process.stdout.close()
    process.wait()


def by_phase(phases: Phases, metric: str, **parameters: str) -> dict[str, float]:
    rows = [row for row in phases.memory() if row["metric"] == metric]
    return {
        row["parameters"].get("phase", ""): row["value"]
        for row in rows
        if parameters.items() <= row["parameters"].items()
    }


def test_memory_is_that_of_the_process_that_computes(holder: int) -> None:
    phases = Phases(time.perf_counter_ns())
    phases.end("import")
    phases.computed_by(holder, "the page's process")
    phases.end("load")
    phases.end("measure")
    expected = memory.read(holder).settled
    for kind in ("rss", "pss", "uss", "anonymous"):
        held = by_phase(phases, "settled_memory", kind=kind)
        assert set(held) == {"load", "measure"}
        assert held["load"] == pytest.approx(expected[kind], rel=0.05)
    assert _HELD_BYTES < by_phase(phases, "peak_memory")[""] < 4 * _HELD_BYTES
    assert not by_phase(phases, "model_memory"), "what was there before the model is another process's"
    assert not by_phase(phases, "runtime_libraries")
    told = phases.facts()
    assert "the page's process" in told["memory_unknown"]["before the model"]
    assert told["waiting_share"] != 0 or isinstance(told["waiting_share"], (float, dict))


def test_a_process_that_is_not_here_has_no_memory_and_says_why() -> None:
    phases = Phases(time.perf_counter_ns())
    phases.end("import")
    phases.computed_by(None, "the page's process is on another device")
    phases.end("load")
    phases.end("measure")
    assert phases.memory() == []
    told = phases.facts()
    assert told["memory_unknown"] == {"before the model": "the page's process is on another device"}
    assert told["waiting_share"]["unknown"] == "the page's process is on another device"


def test_the_supervisor_follows_it(holder: int, tmp_path: Path) -> None:
    (tmp_path / "stderr").write_bytes(b"")
    own = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    watch = Watch(own.pid, tmp_path / "stderr", time.perf_counter_ns(), sensors=False)
    try:
        watch.look()
        watch.follow(holder)
        watch.look()
        assert len(watch.timeline) == 2  # a moment, and what was held then: of the second process alone
        assert watch.timeline[1] > _HELD_BYTES
    finally:
        watch.close()
        own.communicate(b"\n")
