"""What goes from a device's work folder, and what stays."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from benchharness.device.line import tidying
from benchharness.device.line.holding import Holding, lock

BUNDLE = "device-0123456789ab.pyz"


@pytest.fixture(autouse=True)
def nothing_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other tests' leftovers are not this one's to end."""
    monkeypatch.setattr(tidying, "_end_what_runs", list)


@pytest.fixture
def work(tmp_path: Path) -> Path:
    for name in ("files/models", "runs/empty/spool", "runs/waiting/spool", "runs/waiting/scratch/one", "environments"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "runs/waiting/spool/0195a3c2.json").write_text("{}")
    (tmp_path / "runs/libraries.json").write_text("{}")
    for name in (BUNDLE, f"{BUNDLE}.sha256", "device-old.pyz", "device-old.pyz.sha256", "models/model.onnx"):
        (tmp_path / "files" / name).write_text("x")
    for name, age_s in (("old.part", 100_000), ("new.part", 10)):
        path = tmp_path / "files/models" / name
        path.write_text("half")
        os.utime(path, (time.time() - age_s,) * 2)
    return tmp_path


def test_what_nobody_comes_back_for_goes(work: Path) -> None:
    told = tidying.tidy(work, f"/there/{BUNDLE}")
    assert set(told["removed"]) == {
        "runs/empty",
        "runs/waiting/scratch",
        "files/models/old.part",
        "files/device-old.pyz",
        "files/device-old.pyz.sha256",
    }
    assert told["waiting"] == {"waiting": 1}
    stays = (
        "files/models/model.onnx",
        "files/models/new.part",
        f"files/{BUNDLE}",
        "runs/libraries.json",
        "environments",
    )
    assert all((work / name).exists() for name in stays)
    assert tidying.tidy(work, BUNDLE)["removed"] == []


def test_nothing_is_touched_while_a_host_has_the_device(work: Path) -> None:
    holding = Holding(work)
    assert holding.take("ann@laptop run 7\x1b[31m") is None
    for told in (tidying.tidy(work, BUNDLE), tidying.clear(work)):
        assert told["removed"] == []
        assert told["busy"]["holder"].startswith("ann@laptop run 7")
        assert told["busy"]["since_unix_ns"] <= told["busy"]["now_unix_ns"]
    os.close(holding._descriptor)
    assert tidying.tidy(work, BUNDLE)["busy"] is None


def test_a_run_that_is_held_keeps_the_device(work: Path) -> None:
    held = lock(work / "runs" / "empty" / "lock")
    assert isinstance(held, int)
    assert tidying.clear(work)["busy"]
    os.close(held)


def test_all_of_ours_goes_and_nothing_else(work: Path) -> None:
    (work / "theirs").mkdir()
    assert set(tidying.clear(work)["removed"]) == {"files", "runs", "environments"}
    assert [path.name for path in work.iterdir()] == ["theirs"]


def test_links_are_not_followed(work: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    precious = tmp_path_factory.mktemp("precious")
    (precious / "spool").mkdir()
    (precious / "old.part").write_text("x")
    os.utime(precious / "old.part", (0, 0))
    (work / "runs" / "link").symlink_to(precious)
    (work / "files" / "link").symlink_to(precious)
    tidying.tidy(work, BUNDLE)
    assert (precious / "old.part").exists()
    tidying.clear(work)
    assert (precious / "spool").is_dir()


def test_an_empty_folder_has_nothing_to_tidy(tmp_path: Path) -> None:
    assert tidying.tidy(tmp_path / "never", BUNDLE) == {"removed": [], "waiting": {}, "busy": None}
