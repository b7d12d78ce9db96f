"""An aarch64 phone with nothing on it, emulated: a complete run of the demo model. Outcomes count, times do not."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import adb_device
from tests.bare_device import CACHE, bare, complete_run

pytestmark = pytest.mark.skipif(bool(adb_device.missing()), reason=adb_device.missing() or "a device can be had")


def test_the_demo_runs_there_on_onnx_runtime_and_litert(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCHHARNESS_DEVICES", str(tmp_path / "devices"))
    monkeypatch.setenv("BENCHHARNESS_STORE", f"sqlite:///{tmp_path / 'store.db'}")
    monkeypatch.setattr("benchharness.devices.wheel_cache", lambda: CACHE / "cache")
    (tmp_path / "phone").mkdir()
    with adb_device.adb_server(tmp_path) as server:
        monkeypatch.setenv("ANDROID_ADB_SERVER_PORT", str(server.port))
        with adb_device.phone(tmp_path / "phone", bare=bare("arm64")) as phone:
            complete_run(phone, "aarch64", timeout="900 s")
