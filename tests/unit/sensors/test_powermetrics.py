"""What macOS estimates of its power: published outputs, and a program that prints them. No one had a Mac."""

from __future__ import annotations

import os
import shlex
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from benchharness.device.sensors.meters import powermetrics
from benchharness.device.sensors.meters.powermetrics import APPLE, INTEL, Estimates, PowerMetrics, Sample, Samples
from benchharness.device.sensors.readings import Unreadable
from tests.unit.sensors.published import (
    POWERMETRICS_INTEL,
    POWERMETRICS_M1,
    POWERMETRICS_M1_MAX,
    POWERMETRICS_M2,
)

MS = 1_000_000


def read(text: str) -> tuple[list[Sample], list[str]]:
    """All samples of an output whose lines come a millisecond apart, and what was wrong with others."""
    samples, found, wrong = Samples(), [], []
    for at, line in enumerate([*text.splitlines(keepends=True), None]):
        try:
            sample = samples.end() if line is None else samples.feed(line.encode(), at * MS)
        except Unreadable as error:
            wrong.append(str(error))
        else:
            found += [sample] if sample is not None else []
    return found, wrong


@pytest.mark.parametrize(
    ("text", "microjoules", "of"),
    [
        # mW times ms are µJ; of an M1 and an M2 the memory is no part of it, and neither is what is called the package.
        (POWERMETRICS_M1, [(947 + 153) * 104.51, (420 + 67) * 104.81], APPLE),
        (POWERMETRICS_M1_MAX, [(211 + 147) * 1012.07], APPLE),
        (POWERMETRICS_M2, [10 * 1002.80], APPLE),
        (POWERMETRICS_INTEL, [4870 * 1002.80, 3430 * 1004.07, 3380 * 1003.46], INTEL),
    ],
)
def test_published_outputs(text: str, microjoules: Sequence[float], of: str) -> None:
    found, _ = read(text)
    assert [each.microjoules for each in found] == pytest.approx(microjoules)
    assert {each.of for each in found} == {of}


def test_a_sample_without_a_power_is_missing_and_not_zero() -> None:
    """joular/joularjx issue 54: a Mac whose program "consumed 0 joules", for want of a line."""
    _, wrong = read(POWERMETRICS_M2)
    assert wrong == ["a sample without a power of CPU, GPU, ANE"]


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("Combined Power (CPU + GPU + ANE): 359 mW", "Combined Power (CPU + GPU + ANE): 359000 mW", "parts are 358 mW"),
        ("CPU Power: 211 mW", "CPU Power: 211 kW", "without a power of CPU"),
        ("CPU Power: 211 mW", "CPU Power: nan mW", "without a power of CPU"),
        ("CPU Power: 211 mW", "CPU Power: 999999999 mW", "combined power"),
        ("(1012.07ms elapsed)", "(0.00ms elapsed)", "a sample of 0 s"),
        ("(1012.07ms elapsed)", "(99999999ms elapsed)", "a sample of 100000 s"),
    ],
)
def test_what_does_not_add_up_is_no_sample(old: str, new: str, why: str) -> None:
    assert old in POWERMETRICS_M1_MAX
    found, wrong = read(POWERMETRICS_M1_MAX.replace(old, new))
    assert found == []
    assert why in wrong[0]


def taken(*samples: tuple[float, float, float]) -> Estimates:
    """Of samples as (arrived, elapsed, watts), in seconds."""
    made = Estimates()
    for arrived_s, elapsed_s, watts in samples:
        elapsed_ns = round(elapsed_s * 1e9)
        made.take(Sample(elapsed_ns, watts * elapsed_s * 1e6, APPLE, round(arrived_s * 1e9)))
    return made


def test_samples_that_leave_no_time_out_are_one_counter() -> None:
    """Two came late together: when they were made is known by what they sampled."""
    (stretch,) = taken((11, 1, 2.0), (12, 1, 4.0), (14.2, 1, 4.0), (14.2, 1, 6.0), (15, 1, 2.0)).stretches
    assert [(moment / 1e9, count / 1e6) for moment, count in stretch.rows(round(9e9))] == [
        (1.0, 0.0),
        (2.0, 2.0),
        (3.0, 6.0),
        (4.0, 10.0),
        (5.0, 16.0),
        (6.0, 18.0),
    ]
    assert stretch.doubt() == ""


def test_a_mac_that_slept_leaves_a_gap() -> None:
    found = taken((11, 1, 2.0), (12, 1, 2.0), (13, 1, 2.0), (43, 1, 2.0), (44, 1, 2.0), (45, 1, 2.0)).stretches
    rows = [each.rows(0) for each in found]
    assert [(each[0][0] / 1e9, each[-1][0] / 1e9) for each in rows] == [(10.0, 13.0), (42.0, 45.0)]
    assert [each[-1][1] / 1e6 for each in rows] == [6.0, 6.0]


#: What is waited for at most.
PATIENCE_S = 120.0
PRINTS = """
import sys, time
print("Machine model: Mac14,2", flush=True)
for at in range({count}):
    time.sleep(0.05)
    print(f"*** Sampled system activity (Fri Sep 11 13:41:46 2026 -0700) (50.00ms elapsed) ***", flush=True)
    print("CPU Power: 800 mW\\nGPU Power: 26 mW\\nANE Power: 174 mW", flush=True)
    print("Combined Power (CPU + GPU + ANE): 1000 mW\\n" + "x" * {junk}, flush=True)
{after}
"""


def program(count: int, after: str = "", junk: int = 0) -> list[str]:
    return [sys.executable, "-c", PRINTS.format(count=count, after=after, junk=junk)]


def watched(command: Sequence[str], so: Callable[[PowerMetrics], bool]) -> PowerMetrics:
    """What is looked at until it is so, and closed then."""
    made = PowerMetrics(time.perf_counter_ns(), 60.0, command)
    until_s = time.monotonic() + PATIENCE_S
    while not so(made) and time.monotonic() < until_s:
        made.look()
        time.sleep(0.02)
    made.close()
    return made


def heard(microjoules: float) -> Callable[[PowerMetrics], bool]:
    return lambda made: any(rows[-1][1] >= microjoules for rows in made.channels().values())


@pytest.mark.skipif(sys.platform == "win32", reason="the program is macOS's")
def test_a_child_is_heard_to_its_end_and_ended() -> None:
    made = watched(program(8, "time.sleep(600)", junk=200_000), heard(7 * 50_000.0))  # its last is whole at its end
    ((name, rows),) = made.channels().items()
    assert name == "estimated_uj.0"
    (first, _), (last, microjoules) = rows[0], rows[-1]
    assert microjoules / (last - first) * 1e3 == pytest.approx(1.0, rel=1e-6), "watts, whatever the looks were"
    told = made.described()
    assert told["found"] is True
    assert "estimated by macOS and not measured" in told["source"]
    assert made._child is None


@pytest.mark.skipif(sys.platform == "win32", reason="the program is macOS's")
def test_a_program_that_refuses_tells_nothing() -> None:
    made = watched(
        [sys.executable, "-c", "print('powermetrics must be invoked as the superuser'); raise SystemExit(1)"],
        lambda made: "the program ended" in str(made.described()["reason"]),
    )
    assert made.channels() == {}
    assert made.described()["found"] is False
    assert "the program ended" in made.described()["reason"]


def test_elsewhere_it_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    with pytest.raises(Unreadable, match="told by macOS only"):
        PowerMetrics(0, 60.0)


def test_it_ends_by_itself_and_is_no_root_without_leave(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    asked = powermetrics._command(100.0)
    assert asked[0] == "/usr/bin/powermetrics"
    assert asked[asked.index("-n") + 1] == "320", "so many samples of half a second, and then it ends"

    def refused(command: Sequence[str]) -> str:
        raise Unreadable(f"{command[0]} ended with exit code 1")

    monkeypatch.setattr(os, "geteuid", lambda: 501)
    monkeypatch.setattr(powermetrics, "output_of", refused)
    with pytest.raises(Unreadable, match="needs root"):
        powermetrics._command(100.0)
    monkeypatch.setattr(powermetrics, "output_of", lambda command: "")
    shell, _, line = powermetrics._command(100.0)
    assert shell == "/bin/sh"
    assert line.startswith("/usr/bin/sudo -n /usr/bin/powermetrics --samplers cpu_power -i 500 -n 320 ")
    assert line.endswith(" | /bin/cat")
    assert powermetrics.available()["found"] is True


@pytest.mark.skipif(sys.platform == "win32", reason="the program is macOS's")
def test_what_cannot_be_killed_ends_over_its_next_words(tmp_path: Path) -> None:
    """As root's program does, when what hands its words on is gone: here it is in a process session of its own."""
    pid = tmp_path / "pid"
    text = f"import os; os.setsid(); open({str(pid)!r}, 'w').write(str(os.getpid()))\n" + PRINTS.format(
        count=20_000, after="", junk=0
    )
    line = f"{shlex.join([sys.executable, '-c', text])} | /bin/cat"
    made = watched(["/bin/sh", "-c", line], heard(100_000.0))
    assert made.described()["found"] is True
    until_s = time.monotonic() + PATIENCE_S  # by itself it would go on for longer
    while time.monotonic() < until_s and _runs(int(pid.read_text())):
        time.sleep(0.02)
    assert not _runs(int(pid.read_text()))


def _runs(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False
