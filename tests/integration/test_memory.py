"""Memory figures against an independent observer."""

from __future__ import annotations

import ctypes
import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchharness.device.phases import Phases
from benchharness.device.sensors import macos_memory, memory
from benchharness.results.result import Result
from tests.integration.conftest import Bench

LINUX = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
MIB = 2**20


def value(result: Result, name: str, **parameters: str) -> float:
    found = [metric for metric in result.metrics if metric.name == name and dict(metric.parameters) == parameters]
    (metric,) = found
    assert metric.estimate.value is not None
    return metric.estimate.value


def settle(what: str, mib: int) -> str:
    """A program that takes memory between two phases and prints what `Phases` saw, and what the kernel says at exit."""
    return f"""
import json, mmap, resource, sys, time
from benchharness.device.phases import Phases

phases = Phases(time.perf_counter_ns())
phases.end("import")
taken = {what}
phases.end("load")
if {mib} < 0:
    del taken
phases.end("measure")
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
print(json.dumps([phases.memory(), peak]))
"""


def phases_of(program: str) -> tuple[dict[str, float], float]:
    # Through a shell that stays: ru_maxrss survives exec, and would otherwise be that of the process running the tests.
    command = ["sh", "-c", '"$1" -c "$2"; exit $?', "sh", sys.executable, program]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    measurements, peak = json.loads(done.stdout)
    found = {}
    for entry in measurements:
        parameters = "/".join(str(part) for part in entry["parameters"].values())
        found[f"{entry['metric']} {parameters}".strip()] = entry["value"]
    return found, peak


@LINUX
@pytest.mark.parametrize("mib", [16, 64, 256])
def test_a_phase_peak_is_what_the_phase_took(mib: int) -> None:
    found, observed = phases_of(settle(f"bytearray({mib} * 2**20)", mib))
    took = found["phase_peak_memory load"] - found["settled_memory import/rss"]
    assert took == pytest.approx(mib * MIB, abs=MIB)
    assert found["settled_memory load/anonymous"] - found["settled_memory import/anonymous"] == pytest.approx(
        mib * MIB, abs=MIB
    )
    assert found["peak_memory"] == pytest.approx(observed, abs=max(MIB, 0.02 * observed))


FED = f"""
import json, time
from benchharness.device.phases import Phases
phases = Phases(time.perf_counter_ns())
phases.end("import")
model = bytearray({32 * MIB})
phases.end("load")
with phases.for_itself():
    fed = bytearray({64 * MIB})
activations = bytearray({16 * MIB})
phases.end("measure")
print(json.dumps([phases.memory(), 0]))
"""


@LINUX
def test_what_the_harness_makes_to_feed_a_model_is_not_the_models() -> None:
    found, _ = phases_of(FED)
    assert found["model_memory"] == pytest.approx((32 + 16) * MIB, abs=MIB)
    assert found["peak_memory"] - found["settled_memory import/rss"] == pytest.approx((32 + 64 + 16) * MIB, abs=MIB)


@LINUX
def test_a_transient_of_2_ms_and_64_mib_is_not_missed() -> None:
    """Taken, touched and given back inside one phase: the end of the phase shows nothing of it, the peak all."""
    touch = "[m.__setitem__(i, 1) for i in range(0, len(m), 4096)], m.close()"
    found, _ = phases_of(settle(f"[({touch}) for m in [mmap.mmap(-1, 64 * 2**20)]]", 64))
    before = found["settled_memory import/rss"]
    assert found["settled_memory load/rss"] - before < 8 * MIB
    assert found["phase_peak_memory load"] - before == pytest.approx(64 * MIB, abs=2 * MIB)
    assert found["phase_peak_memory measure"] - before < 8 * MIB


@LINUX
def test_a_mapped_file_counts_as_file_backed_and_not_as_the_process_own(tmp_path: Path) -> None:
    path = tmp_path / "weights"
    path.write_bytes(bytes(32 * MIB))
    mapped = f"[mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ) for f in [open({str(path)!r}, 'rb')]]"
    found, _ = phases_of(settle(f"[m for m in {mapped} if sum(m[i] for i in range(0, len(m), 4096)) == 0]", 32))
    assert found["settled_memory load/file"] - found["settled_memory import/file"] == pytest.approx(32 * MIB, abs=MIB)
    assert found["settled_memory load/anonymous"] - found["settled_memory import/anonymous"] < MIB


@LINUX
def test_a_run_reports_memory_by_phase_above_a_baseline_and_over_time(bench: Bench) -> None:
    result = bench.one(bench.model("load take 96"), attempts=2, scenario="steady", delay_s=0.003)
    assert value(result, "phase_peak_memory", phase="load") - value(
        result, "settled_memory", phase="import", kind="rss"
    ) == pytest.approx(96 * MIB, abs=2 * MIB)
    assert value(result, "model_memory") == pytest.approx(96 * MIB, rel=0.05)
    assert value(result, "peak_memory") > value(result, "model_memory") + value(result, "runtime_memory")
    timeline = next(metric for metric in result.metrics if metric.name == "memory_timeline")
    assert value(result, "memory_timeline") == pytest.approx(value(result, "peak_memory"), rel=0.05)
    assert all(len(attempt.samples) >= 4 and attempt.row_length == 2 for attempt in timeline.attempts)


@LINUX
def test_reading_memory_is_taken_out_of_the_phases(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sensor that takes 200 ms must not make the cold start longer."""
    slow = memory.read()

    def read_slowly(process: int | None = None) -> memory.MemoryReading:
        time.sleep(0.2)
        return slow

    monkeypatch.setattr(memory, "read", read_slowly)
    began_ns = time.perf_counter_ns()
    phases = Phases(began_ns)
    for phase in ("import", "load", "first_request"):
        phases.end(phase)
    whole, *parts = phases.cold_start("cold_start_ttft")
    assert whole["value"] < 300e6, "half of the 600 ms that it took"
    assert sum(part["value"] for part in parts) == whole["value"]
    assert phases.facts()["watching_ns"] >= 800e6


def test_macos_usage_has_the_layout_of_the_header() -> None:
    names = ("phys_footprint", "lifetime_max_phys_footprint")
    offsets = {name: getattr(macos_memory.ResourceUsage, name).offset for name in names}
    assert offsets == {"phys_footprint": 16 + 7 * 8, "lifetime_max_phys_footprint": 16 + 28 * 8}
    assert ctypes.sizeof(macos_memory.ResourceUsage) == 16 + 35 * 8
