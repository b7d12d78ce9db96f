"""Lines that break: at the end of a run, whose supervisor and files must be gone, and under an attempt that goes on."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from benchharness.device.line import protocol
from benchharness.device.line.protocol import Message
from benchharness.errors import ConnectionLost, DeviceBusy, LaunchError
from benchharness.execute import link
from benchharness.execute.link import DeviceLink
from benchharness.results.result import Attempt, OutcomeKind
from tests.unit.made_up import job

READY = {"type": "ready", "protocol": protocol.VERSION, "facts": {}, "waiting": 0, "clock_unix_ns": 0}
RUN = "0195a3c2"


class Line:
    """A connection that says some things; `heard`: whether the supervisor is known to have ended with it."""

    def __init__(self, *said: Message, heard: bool) -> None:
        self._said, self._heard = list(reversed(said)), heard
        self.sent: list[str] = []

    def send(self, message: Message) -> None:
        self.sent.append(message["type"])

    def receive(self, timeout_s: float) -> Message | None:
        if not self._said:
            raise ConnectionLost("it says nothing more")
        return self._said.pop()

    def kill(self) -> bool:
        return self._heard


class Device:
    """A launcher, whose connections are given."""

    def __init__(self, lines: Iterable[Line]) -> None:
        self.lines = list(lines)
        self.removed: list[str] = []
        self.detached = False
        self.starts = 0

    def work_folder(self, run: str) -> str:
        return f"/var/bench/{run}"

    def put(self, file: Path, name: str, digest: str) -> str:
        return name

    def start(self, work: str, bundle: str) -> Line:
        self.starts += 1
        if not self.lines:
            raise ConnectionLost("there is no way to it")
        return self.lines.pop(0)

    def fetch(self, path: str) -> bytes:
        raise LaunchError(f"{path}: no such file")

    def remove(self, work: str) -> None:
        self.removed.append(work)


def connected(folder: Path, *lines: Line) -> tuple[DeviceLink, Device]:
    device = Device(lines)
    launcher: Any = device
    made = DeviceLink(launcher, run=RUN, scratch=folder, save=lambda attempt: attempt)
    made.connect()
    return made, device


def test_a_word_to_stop_that_got_lost_is_said_again(tmp_path: Path) -> None:
    lines = Line(READY, heard=False), Line(READY, heard=True)
    made, device = connected(tmp_path, *lines)
    made.leave()
    assert [each.sent for each in lines] == [["stop"], ["stop"]]
    assert device.removed == [f"/var/bench/{RUN}"]


def test_a_device_that_somebody_else_has_by_then_is_left_by_us(tmp_path: Path) -> None:
    """The word was heard, and the next run did not wait: ours has ended well, and has nothing left to end."""
    busy = Line({"type": "busy", "holder": "another run"}, heard=True)
    made, device = connected(tmp_path, Line(READY, heard=False), busy)
    made.leave()
    assert (busy.sent, device.removed) == ([], [f"/var/bench/{RUN}"])


def test_a_supervisor_of_ours_that_does_not_let_go_is_no_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link, "_OWN_END_S", -1.0)
    busy = Line({"type": "busy", "holder": f"host, run {RUN}"}, heard=False)
    made, device = connected(tmp_path, Line(READY, heard=False), busy)
    with pytest.raises(DeviceBusy):
        made.leave()
    assert device.removed == []


# An attempt under which the line breaks.

ONE = "0195a3c2-0000-7000-8000-000000000001"
AT_IT = {**READY, "running": ONE}
FINISHED = {
    "type": "finished",
    "id": ONE,
    "round": 0,
    "outcome": {"kind": "ok", "reason": "", "evidence": ""},
    "task": None,
    "measurements": [],
    "effective": {},
    "conditions": {},
    "started_unix_ns": 1,
    "duration_ns": 1,
}


def attempted(monkeypatch: pytest.MonkeyPatch, made: DeviceLink, limit_s: float = 60.0) -> Attempt:
    """What one attempt comes to, whose order needs no files."""
    one = job()
    order = {"type": "attempt", "id": ONE, "job": one.key, "round": 0, "entry_gate_s": 0, "timeout_s": limit_s}
    monkeypatch.setattr(made, "_order", lambda *_: order)
    monkeypatch.setattr(link, "_ASK_AGAIN_S", 0.001)
    return made.attempt(one, {}, attempt=ONE, round_=0, progress=lambda *_: None)


def test_a_supervisor_that_is_met_again_at_an_attempt_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However often the line breaks: what runs on is not ordered again, and not given up."""
    flapping = [Line(AT_IT, heard=False) for _ in range(5)]
    done = Line({**READY, "waiting": 1}, {**FINISHED, "job": job().key}, heard=True)
    made, device = connected(tmp_path, Line(READY, heard=False), *flapping, done)
    device.detached = True
    assert attempted(monkeypatch, made).outcome.kind is OutcomeKind.OK
    assert [each.sent for each in flapping] == [[]] * 5
    assert done.sent == ["acknowledge"]


def test_a_device_that_is_out_of_reach_for_a_while_has_not_lost_its_attempt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A phone that was unplugged on purpose: it is asked again and again until the attempt's time is over."""
    done = Line({**READY, "waiting": 1}, {**FINISHED, "job": job().key}, heard=True)
    made, device = connected(tmp_path, Line(READY, heard=False))
    device.detached = True
    start = device.start

    def comes_back(work: str, bundle: str) -> Line:
        if device.starts > 8:
            device.lines = [done]
        return start(work, bundle)

    monkeypatch.setattr(device, "start", comes_back)
    assert attempted(monkeypatch, made).outcome.kind is OutcomeKind.OK


def test_what_may_have_finished_out_of_reach_is_no_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made, device = connected(tmp_path, Line(READY, heard=False))
    device.detached = True
    monkeypatch.setattr(link, "_GRACE_S", 1.0)
    counted = itertools.count(0.0, 0.1)  # a clock that goes on with each look at it, however long that takes
    monkeypatch.setattr(link, "time", SimpleNamespace(monotonic=lambda: next(counted), sleep=lambda _: None))
    with pytest.raises(ConnectionLost, match=r"there is no way to it; an attempt may go on there .* run --resume"):
        attempted(monkeypatch, made, limit_s=0.0)
    assert device.starts > 3


@pytest.mark.parametrize("detached", [True, False])
def test_an_attempt_whose_supervisors_die_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, detached: bool
) -> None:
    made, device = connected(tmp_path, *[Line(READY, heard=True) for _ in range(3)])
    device.detached = detached
    found = attempted(monkeypatch, made)
    assert found.outcome.kind is OutcomeKind.CRASHED
    assert found.outcome.reason == "the line to the device broke 3 times"


def test_an_attempt_that_is_refused_again_and_again_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refused = {"type": "refused", "id": "a", "reason": "there is no room"}
    made, _ = connected(tmp_path, *[Line(READY, refused, heard=True) for _ in range(3)])
    found = attempted(monkeypatch, made)
    assert found.outcome.kind is OutcomeKind.CRASHED
    assert found.outcome.reason == "the device refused it 3 times: there is no room"


def test_one_that_ends_with_its_line_is_given_up_when_there_is_no_way_to_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, device = connected(tmp_path, Line(READY, heard=False))
    assert attempted(monkeypatch, made).outcome.kind is OutcomeKind.CRASHED
    assert device.starts == 3  # to begin with, and twice after its line had broken
