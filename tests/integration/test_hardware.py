"""This machine's description: against an independent reader, out of the bundle, and as tables."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from rich.console import Console

from benchharness.device import conditions
from benchharness.device.sensors import cgroup
from benchharness.device.sensors.readings import Unreadable, reason_of
from benchharness.errors import LaunchError
from benchharness.execute.looks import describe_hardware
from benchharness.launch.bundle import write_bundle
from benchharness.terminal.hardware import hardware_tables, to_json


@pytest.fixture(scope="module")
def description() -> dict[str, Any]:
    return describe_hardware(0.1)


def shown(description: dict[str, Any]) -> str:
    written = io.StringIO()
    console = Console(width=250, file=written, force_terminal=False)
    for table in hardware_tables(description):
        console.print(table)
    return written.getvalue()


def test_memory_load_cores_and_battery_agree_with_psutil() -> None:
    facts, now = conditions.device_facts(), conditions.conditions_now()
    memory = psutil.virtual_memory()
    assert facts["memory_bytes"] == pytest.approx(memory.total, rel=0.001)
    assert now["memory_available_bytes"] == pytest.approx(memory.available, abs=0.05 * memory.total)
    assert now["load_average"] == pytest.approx(psutil.getloadavg()[0], abs=0.5)
    assert facts["cores"] == psutil.cpu_count()
    if hasattr(psutil.Process, "cpu_affinity"):
        assert now["cores_allowed"] == len(psutil.Process().cpu_affinity())
    battery = psutil.sensors_battery()
    if battery is None:
        assert reason_of(now["battery_percent"])
    else:
        assert now["battery_percent"] == pytest.approx(battery.percent, abs=1)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system binds no process to cores")
def test_a_process_bound_to_one_core_says_so() -> None:
    code = "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
    code += "from benchharness.device.conditions import cores_allowed; print(cores_allowed())"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.strip() == "1"


@pytest.fixture
def limited_group() -> Iterator[list[Path]]:
    """A cgroup version 1 group with 64 MiB and a quarter of a core: its folders for memory and cpu."""
    try:
        owners = [cgroup.groups_of(controller) for controller in ("memory", "cpu")]
        for controller in ("memory", "cpu"):
            cgroup.can_limit(controller)
    except Unreadable as error:
        pytest.skip(f"control groups cannot be made here: {error}")
    if any(owner.version == 2 for owner in owners):
        pytest.skip("version 2 lets no group with processes in it limit others below it")
    folders = [owner.folders[0] / f"benchharness-test-{uuid.uuid4().hex[:8]}" for owner in owners]
    limits = {"memory.limit_in_bytes": "67108864"}, {"cpu.cfs_period_us": "40000", "cpu.cfs_quota_us": "10000"}
    try:
        for folder, files in zip(folders, limits, strict=True):
            folder.mkdir()
            for name, value in files.items():
                (folder / name).write_text(value)
        yield folders
    finally:
        for folder in folders:
            if folder.is_dir():
                _remove_group(folder)


def _remove_group(folder: Path) -> None:
    for _ in range(50):
        try:
            folder.rmdir()
        except OSError:  # the kernel has not buried the group's last process yet
            time.sleep(0.02)
        else:
            return


def test_the_limits_of_a_real_group_are_read(limited_group: list[Path]) -> None:
    code = "import sys, pathlib\nfor folder in sys.argv[1:]: (pathlib.Path(folder) / 'cgroup.procs').write_text('0')\n"
    code += "import json; from benchharness.device.sensors.cgroup import limits; print(json.dumps(limits()))"
    command = [sys.executable, "-c", code, *map(str, limited_group)]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert list(json.loads(said).values()) == [67108864, 10000, 40000]


def test_a_description_is_complete_and_json(description: dict[str, Any]) -> None:
    assert list(description) == [
        "version",
        "python",
        "physical_cores",
        "facts",
        "conditions",
        "sensors",
        "probe",
        "noise",
        "accelerators",
    ]
    assert json.loads(to_json(description)) == json.loads(json.dumps(description))
    for sensor in description["sensors"].values():
        assert sensor["source"] if sensor["found"] else sensor["reason"]
    assert description["noise"]["verdict"] in {"quiet", "noisy", "very noisy"}
    assert "CPUExecutionProvider" in description["accelerators"]["onnxruntime"]


def test_without_a_probe_there_is_no_verdict() -> None:
    found = describe_hardware(0)
    assert "probe" not in found
    assert "noise" not in found
    assert "verdict" not in shown(found)


def test_tables_show_everything(description: dict[str, Any]) -> None:
    text = shown(description)
    assert "CPUExecutionProvider" in text
    assert description["facts"]["device"] in text
    assert description["noise"]["verdict"] in text
    for name, sensor in description["sensors"].items():
        assert name in text
        assert sensor["found"] or sensor["reason"] in text
    for value in description["conditions"].values():
        assert (reason_of(value) or "") in text
    assert "lower bound" in text or "at least as much" in text


def test_names_from_drivers_cannot_act_on_the_terminal(description: dict[str, Any]) -> None:
    sensor = {"found": True, "source": "[red]x[/red]\x1b[31m", "reading": {"celsius": {"a\x1b]0;b": 45.5}}}
    text = shown({**description, "sensors": {"temperature": sensor}})
    assert "\x1b" not in text
    assert "[red]x[/red]" in text
    assert "45.5 °C" in text


def test_the_description_comes_out_of_the_bundle_with_the_standard_library_alone(tmp_path: Path) -> None:
    bundle, _ = write_bundle(tmp_path)
    code = (
        "import sys; sys.path.insert(0, sys.argv.pop()); "
        "from benchharness.device.questions import describe_device; describe_device.main([])"
    )
    command = [sys.executable, "-I", "-S", "-c", code, str(bundle)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert json.loads(done.stdout)["facts"]["device"] == conditions.device_id()


def test_a_machine_that_cannot_be_described_is_an_error_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(LaunchError, match="exit code 1"):
        describe_hardware(0)
