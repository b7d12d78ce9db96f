"""The door of a detached supervisor, where a folder may have no socket in it."""

from __future__ import annotations

import queue
import socket
import sys
from pathlib import Path
from typing import Any

import pytest

from benchharness.device.line import protocol
from benchharness.device.line.hosts import DOOR, NEW_HOST, Door, knock

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="a name in no folder is Linux's")


class Forbidden(socket.socket):
    """As SELinux has it for adb's user: no socket in a folder."""

    def bind(self, address: Any) -> None:
        if not str(address).startswith("\0"):
            raise PermissionError(13, "Permission denied")
        super().bind(address)


@pytest.fixture(params=[socket.socket, Forbidden])
def door(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Door]:
    monkeypatch.setattr("socket.socket", request.param)
    return tmp_path, Door(tmp_path, lambda: {"type": "busy"})


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")  # it waits until its process ends
def test_a_host_is_heard_at_a_door_in_a_folder_or_in_none(door: tuple[Path, Door]) -> None:
    folder, opened = door
    heard: queue.Queue[Any] = queue.Queue()
    opened.listen(heard.put)
    line = knock(folder)
    assert line is not None
    assert heard.get(timeout=60) == NEW_HOST
    protocol.Writer(line.fileno()).send({"type": "alive"})
    assert heard.get(timeout=60)["type"] == "alive"
    line.close()
    assert heard.get(timeout=60) is None
    opened._listening.close()


def test_nobody_else_is_let_in(door: tuple[Path, Door], monkeypatch: pytest.MonkeyPatch) -> None:
    folder, opened = door
    monkeypatch.setattr("os.getuid", lambda: 12345)
    assert knock(folder) is None, "another user's supervisor was believed"
    opened._listening.close()


def test_a_folder_without_a_supervisor_has_no_door(tmp_path: Path) -> None:
    assert knock(tmp_path) is None
    assert not (tmp_path / DOOR).exists()
