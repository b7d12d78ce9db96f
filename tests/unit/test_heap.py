"""Where a worker's heap lies is by chance, and no two attempts agree because they lie alike."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from benchharness.device import attempt
from benchharness.device.attempt import RunningAttempt
from benchharness.device.libraries import Libraries
from benchharness.device.processes.heap import VARIABLE, moved_environment

#: Where in its page an object of a heap lies that is moved by nothing but what came before it.
PLACE = "print(id(bytes(2000)) % 4096)"


def places(environments: Sequence[Mapping[str, str]]) -> list[str]:
    command = [sys.executable, "-S", "-c", PLACE]
    return [
        subprocess.run(command, env={**each, "PYTHONHASHSEED": "0"}, capture_output=True, text=True, check=True).stdout
        for each in environments
    ]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="of glibc's heap; other systems' were not looked at")
def test_processes_alike_lie_alike_and_those_of_attempts_do_not() -> None:
    assert len(set(places([dict(os.environ)] * 4))) == 1, "chance is in it already: then nothing needs to be moved"
    assert len(set(places([moved_environment() for _ in range(4)]))) > 1


def test_less_than_a_page_is_added() -> None:
    """Else it would stand in the figures itself."""
    added = [len(moved_environment()[VARIABLE]) for _ in range(200)]
    assert min(added) >= 512
    assert max(added) < 512 + 4096
    assert len(set(added)) > 100


def test_each_attempt_has_a_place_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []

    def child(*told: Any, env: Mapping[str, str], **more: Any) -> None:
        seen.append(env[VARIABLE])
        raise OSError("it is not started here")

    monkeypatch.setattr(attempt, "Child", child)
    order: Any = {
        "adapter": "null",
        "configuration": {},
        "id": "a",
        "job": "j",
        "round": 0,
        "timeout_s": 1.0,
        "files": [],
        "settings": {},
    }
    for _ in range(10):
        with pytest.raises(OSError, match="not started here"):
            RunningAttempt(
                order,
                scratch=tmp_path / "scratch",
                bundle="",
                libraries=Libraries(tmp_path),
                entry_gate={},
                hears=lambda message: None,
            )
    assert len(set(seen)) > 1
