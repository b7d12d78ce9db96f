"""What `device check` says of what a device tells, true or not."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest

from benchharness.device.noise import probe
from benchharness.execute.checking import Check, State, _at_the_door, _of_noise, _of_runtimes, _of_sensors
from benchharness.launch.ask import NamedAvailability
from benchharness.launch.porter import Contact
from benchharness.suite.device import Device
from benchharness.terminal.check_list import check_lines

DEVICE = Device.model_validate({"name": "pi5", "hardware": "pi", "connect": "ssh://pi5.lab"})
YEAR_S = 365 * 24 * 3600


def contact(**changes: Any) -> Contact:
    made = Contact(
        work="/there/work",
        python="3.11.2",
        executable="/usr/bin/python3",
        system="linux",
        machine="aarch64",
        user="bench",
        free_bytes=20 << 30,
        clock_unix_ns=time.time_ns(),
    )
    return replace(made, **changes)


def found(checks: Iterable[Check], of: str) -> Check:
    return next(each for each in checks if each.of == of)


def test_a_device_in_order_has_nothing_to_say() -> None:
    assert {each.state for each in _at_the_door(contact(), DEVICE)} == {State.FINE}
    assert found(_at_the_door(contact(), DEVICE), "clock").found == "as here"


@pytest.mark.parametrize(("off_s", "said"), [(YEAR_S, "31,536,000 s ahead"), (-YEAR_S, "31,536,000 s behind")])
def test_a_clock_that_is_a_year_off_is_told_with_its_remedy(off_s: int, said: str) -> None:
    clock = found(_at_the_door(contact(clock_unix_ns=time.time_ns() + off_s * 10**9), DEVICE), "clock")
    assert (clock.state, clock.found) == (State.DOUBT, said)
    assert "timedatectl" in clock.helps


@pytest.mark.parametrize(("free", "state"), [(100 << 20, State.BAD), (1 << 30, State.DOUBT), (4 << 30, State.FINE)])
def test_little_room_is_told(free: int, state: State) -> None:
    assert found(_at_the_door(contact(free_bytes=free), DEVICE), "disk").state is state


def told(name: str, *, available: bool = True) -> NamedAvailability:
    reason = "" if available else "not installed"
    return NamedAvailability(
        name=name, formats=(), available=available, version="1.0", accelerators=(), reason=reason, units={}
    )


def test_what_needs_nothing_but_python_is_no_runtime() -> None:
    ours = [told("null"), told("python"), told("onnxruntime", available=False)]
    assert [each.found for each in _of_runtimes(ours, (), DEVICE)] == ["none runs there"]
    assert [each.of for each in _of_runtimes([*ours, told("theirs")], (), DEVICE)] == ["theirs"]
    assert [each.state for each in _of_runtimes(ours, ("python",), DEVICE)] == [State.FINE]


@pytest.mark.parametrize("told", [None, [], {"temperature": None, "clocks": {"found": "yes"}, "x": {"found": True}}])
def test_sensors_are_there_only_where_the_device_says_so_plainly(told: Any) -> None:
    checks = list(_of_sensors(told))
    assert found(checks, "temperature").state is State.DOUBT
    assert found(checks, "clocks").state is State.DOUBT
    assert found(checks, "limits").state is State.DOUBT


def test_a_phone_tells_its_temperatures_by_a_service() -> None:
    checks = list(_of_sensors({"Android thermal service": {"found": True}}))
    assert [each for each in checks if each.of == "temperature"] == []


@pytest.mark.parametrize(
    "told", [{}, {"block_medians_ns": []}, {"block_medians_ns": "x", "block_means_ns": [0, -1]}, 5]
)
def test_a_probe_that_tells_nonsense_is_unknown(told: Any) -> None:
    (noise,) = _of_noise({"probe": told})
    assert noise.found == "unknown (its probe tells nonsense)"


def test_a_probe_is_judged_as_it_is_here() -> None:
    (noise,) = _of_noise({"probe": probe(0.2)})
    assert "20 attempts of one request" in noise.found
    assert list(_of_noise({})) == []


def test_what_is_bad_comes_first_and_a_hostile_word_stands_on_its_line() -> None:
    bad = Check(of="disk\x1b[31m", state=State.BAD, found="a\nb" * 500, helps="c\r\nd")
    lines = [line for line, _ in check_lines([*_at_the_door(contact(), DEVICE), bad])]
    assert lines[0].startswith("✗ disk")
    assert not any({"\x1b", "\n", "\r"} & set(line) for line in lines)
    assert len(lines[0]) < 500
