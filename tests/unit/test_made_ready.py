"""What an attempt's worker is started with is made ready before the entry gate looks whether the device is cool."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchharness.device import supervisor
from benchharness.device.supervisor import Supervisor
from benchharness.errors import Unsupported

LEAD, OTHER = "01a229b9-d5c1-7481-a3c7-c7497e411b41", "01a229b9-d5c1-7481-a3c7-c7497e411b42"
ORDER: Any = {"id": LEAD, "job": "j", "round": 0, "companions": [{"id": OTHER, "job": "k", "round": 0}]}


class Host:
    """Hears what it is told."""

    def __init__(self) -> None:
        self.told: list[dict[str, Any]] = []
        self.goes_on = False

    def send(self, message: dict[str, Any]) -> None:
        self.told.append(message)


class Gate:
    """Notes when it is asked, and stays shut."""

    def __init__(self, seen: list[str]) -> None:
        self._seen = seen

    def begin(self, patience_s: float) -> None:
        self._seen.append("gate")

    def step(self) -> None:
        return None


def made(work: Path, seen: list[str]) -> tuple[Supervisor, Host]:
    host: Any = Host()
    found = Supervisor(work=work, bundle="device.pyz", hosts=host)
    vars(found)["_gate"] = Gate(seen)
    return found, host


def test_a_worker_is_made_ready_before_the_gate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    monkeypatch.setattr(supervisor, "worker_program", lambda order, bundle: seen.append(bundle))
    started, _ = made(tmp_path, seen)
    started._receive(ORDER)
    assert seen == ["device.pyz", "gate"]


def test_one_that_cannot_be_started_waits_at_none_and_is_told_for_every_job_that_it_serves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(order: Any, bundle: str) -> None:
        raise Unsupported("the worker could not be started: /gone: No such file or directory")

    seen: list[str] = []
    monkeypatch.setattr(supervisor, "worker_program", refuse)
    started, host = made(tmp_path, seen)
    started._receive(ORDER)
    assert [(each["type"], each["id"], each["outcome"]["kind"]) for each in host.told] == [
        ("finished", OTHER, "unsupported"),
        ("finished", LEAD, "unsupported"),
    ]
    assert seen == []
    started._receive(ORDER)  # it is not taken for busy
    assert [each["type"] for each in host.told[2:]] == ["finished", "finished"]
