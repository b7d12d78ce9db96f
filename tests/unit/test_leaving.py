"""The end of a run on a device: its supervisor is gone, and what it kept there is, whatever the line does."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from benchharness.device.line import protocol
from benchharness.device.line.protocol import Message
from benchharness.errors import ConnectionLost, DeviceBusy
from benchharness.execute import link
from benchharness.execute.link import DeviceLink

READY = {"type": "ready", "protocol": protocol.VERSION, "facts": {}, "waiting": 0, "clock_unix_ns": 0}
RUN = "0195a3c2"


class Line:
    """A connection that says one thing; `heard`: whether the supervisor is known to have ended with it."""

    def __init__(self, said: Message, *, heard: bool) -> None:
        self._said, self._heard = [said], heard
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

    def work_folder(self, run: str) -> str:
        return f"/var/bench/{run}"

    def put(self, file: Path, name: str, digest: str) -> str:
        return name

    def start(self, work: str, bundle: str) -> Line:
        return self.lines.pop(0)

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
