"""The entry gate: when an attempt may begin, what the gate remembers, and what it never compares."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from benchharness.device.entry_gate import EntryGate, Facts, probe_ns

MS = 1e6
EVERY_S = 0.5


class Device:
    """A clock that the test moves, a probe kernel with given times, and a tree with a sensor or none."""

    def __init__(self, root: Path) -> None:
        self.now_s = 100.0
        self.probes: list[float] = []
        self.looks = 0
        self.root = root
        self.gate = EntryGate(root, probe=self._probe, clock=lambda: self.now_s)

    def _probe(self) -> float:
        self.looks += 1
        return self.probes.pop(0) if len(self.probes) > 1 else self.probes[0]

    def warm_to(self, celsius: float | None, zone: int = 0, name: str = "x86_pkg_temp") -> None:
        """Sets a sensor, or takes it away."""
        folder = self.root / f"sys/class/thermal/thermal_zone{zone}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "type").write_text(name)
        (folder / "temp").unlink(missing_ok=True)
        if celsius is not None:
            (folder / "temp").write_text(f"{celsius * 1000:.0f}\n")

    def enter(self, longest_s: float = 60.0, before: Callable[[float], None] | None = None) -> Facts:
        """Steps ten times a second, as the supervisor does, until it opens; `before` is told the seconds waited."""
        began_s = self.now_s
        self.gate.begin(longest_s)
        while True:
            if before is not None:
                before(self.now_s - began_s)
            facts = self.gate.step()
            if facts is not None:
                return facts
            assert self.now_s < began_s + longest_s + 2, "it never opens"
            self.now_s += 0.1


@pytest.fixture
def device(tmp_path: Path) -> Device:
    return Device(tmp_path)


def test_nobody_asked_for_a_gate(device: Device) -> None:
    assert device.enter(0) == {}
    assert device.looks == 0
    assert device.now_s == 100.0


def test_a_settled_device_enters_after_six_looks(device: Device) -> None:
    device.probes = [10 * MS]
    facts = device.enter()
    assert (facts["settled"], facts["by"], device.looks) == (True, "probe kernel", 6)
    assert facts["waited_s"] == pytest.approx(5 * EVERY_S, abs=0.6)
    assert facts["reason"] == "the probe kernel took 10.00 ms, 10.00 ms at its best"


def test_it_looks_twice_a_second_however_often_it_is_asked(device: Device) -> None:
    device.probes = [10 * MS]
    device.gate.begin(60)
    for _ in range(50):
        device.gate.step()
    assert device.looks == 1


def test_a_cool_sensor_is_asked_before_the_probe(device: Device) -> None:
    device.warm_to(41.0)
    facts = device.enter()
    assert (facts["settled"], facts["by"], device.looks) == (True, "sensor x86_pkg_temp", 0)
    assert facts["reason"] == "41.0 °C, 41.0 °C at its coolest"


@pytest.mark.parametrize(("swing", "settled"), [(0.9, True), (1.2, False)])
def test_a_temperature_holds_still_within_a_degree(device: Device, swing: float, settled: bool) -> None:
    def before(waited_s: float) -> None:
        device.warm_to(41.0 + (swing if int(waited_s / EVERY_S) % 2 else 0.0))

    facts = device.enter(10, before)
    assert facts["settled"] is settled
    assert settled or facts["reason"] == "the temperature still changes by 1.2 °C; went in after the 10 s allowed"


def test_a_device_cools_down_to_what_it_was(device: Device) -> None:
    device.warm_to(40.0)
    device.enter()
    facts = device.enter(60, lambda waited_s: device.warm_to(max(40.0, 60.0 - waited_s)))
    assert facts["settled"]
    assert 17 <= facts["waited_s"] <= 25, "at 42.x °C and still, a degree within three seconds"


@pytest.mark.parametrize(("above", "settled"), [(2.9, True), (3.2, False)])
def test_it_remembers_the_coolest(device: Device, above: float, settled: bool) -> None:
    device.warm_to(40.0)
    device.enter()
    device.warm_to(40.0 + above)
    facts = device.enter(8)
    assert facts["settled"] is settled
    if not settled:
        assert facts["reason"] == "3.2 °C warmer than at its coolest; went in after the 8 s allowed"
        assert facts["waited_s"] >= 8


def test_the_coolest_is_the_device_s_though_another_core_is_the_hottest_now(device: Device) -> None:
    """A core that was never the hottest before must not be held against itself."""
    device.warm_to(40.0, 0, "cpu0")
    device.warm_to(39.0, 1, "cpu1")
    device.enter()
    device.warm_to(70.0, 1, "cpu1")
    facts = device.enter(5)
    assert not facts["settled"]
    assert facts["by"] == "sensor cpu1"
    assert "30.0 °C warmer" in facts["reason"]


@pytest.mark.parametrize(("slower", "settled"), [(1.028, True), (1.04, False)])
def test_a_probe_is_held_against_its_best(device: Device, slower: float, settled: bool) -> None:
    device.probes = [10 * MS]
    device.enter()
    device.probes = [10 * MS * slower]
    facts = device.enter(5)
    assert facts["settled"] is settled
    assert settled or facts["reason"].startswith("the probe kernel is 4.0 % slower than at its best")


def test_a_probe_that_still_changes_waits(device: Device) -> None:
    device.probes = [10 * MS * 0.97**at for at in range(12)]
    facts = device.enter(60)
    assert facts["settled"]
    assert device.looks > 12


def test_a_probe_disturbed_now_and_then_is_settled(device: Device) -> None:
    """A neighbour's slice makes one look slow; the fastest of three looks counts."""
    device.probes = [10 * MS, 14 * MS, 10 * MS, 10 * MS, 13 * MS, 10 * MS]
    assert device.enter()["waited_s"] == pytest.approx(2.5, abs=0.6)


def test_a_probe_whose_clock_does_not_move_is_no_failure(device: Device) -> None:
    device.probes = [1.0]
    assert device.enter()["settled"]
    assert probe_ns() >= 1


def test_too_short_a_wait_says_what_was_missing(device: Device) -> None:
    device.probes = [10 * MS]
    facts = device.enter(1.0)
    assert not facts["settled"]
    assert facts["reason"] == "looked 3 times, and 6 are needed; went in after the 1 s allowed"


def looked(by: Sequence[str], device: Device) -> Facts:
    """Enters with a sensor at the looks named `sensor`, at 50 °C, and a probe of 50 ns at the others."""
    device.probes = [50.0]

    def before(waited_s: float) -> None:
        at = min(len(by) - 1, round(waited_s / EVERY_S + 0.3))
        device.warm_to(50.0 if by[at] == "sensor" else None)

    return device.enter(30, before)


def test_a_sensor_that_vanishes_is_followed_by_a_whole_row_of_probes(device: Device) -> None:
    """50 °C and 50 ns are no six looks that agree."""
    facts = looked(["sensor"] * 4 + ["probe"], device)
    assert (facts["by"], facts["settled"], device.looks) == ("probe kernel", True, 6)
    assert facts["waited_s"] == pytest.approx(9 * EVERY_S, abs=1.0)


def test_a_sensor_that_comes_and_goes_never_settles_the_device(device: Device) -> None:
    facts = looked(["sensor", "sensor", "probe"] * 40, device)
    assert not facts["settled"]
    assert "are needed" in facts["reason"]


def test_looks_of_the_attempt_before_do_not_count(device: Device) -> None:
    device.probes = [10 * MS]
    device.enter()
    device.now_s += 300
    device.looks = 0
    device.enter()
    assert device.looks == 6


def test_a_sensor_that_answers_with_nonsense_is_none(device: Device) -> None:
    device.warm_to(-273.0)
    device.probes = [10 * MS]
    assert device.enter()["by"] == "probe kernel"
