"""What of other versions' bundles goes from a folder of the host, and what stays because somebody may use it."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest

from benchharness.device.line.holding import lock
from benchharness.errors import LaunchError
from benchharness.execute.devices import choose
from benchharness.launch import bundle
from benchharness.launch.bundle import remove_old_bundles, write_bundle
from benchharness.suite.hardware import HardwareTarget
from benchharness.suite.targets import Target

ANOTHER = "device-0123456789ab.pyz"
COPIES = (f"{ANOTHER}.cpython-311-a70d0d0a", f"{ANOTHER}.cpython-311-a70d0d0a.x1y2.part")


@pytest.fixture(autouse=True)
def version(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundle, "_packed", lambda: b"this version's")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in (ANOTHER, *COPIES):
        made(tmp_path / name)
    (tmp_path / "runs" / "one").mkdir(parents=True)
    return tmp_path


def made(path: Path, days: float = 2.0) -> Path:
    path.write_text("x")
    os.utime(path, (time.time() - days * 24 * 3600,) * 2)
    return path


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} - {"runs"}


def test_a_run_tidies_what_another_version_left(folder: Path) -> None:
    """This version's is there long, and so is its copy; a part of one was never finished."""
    ours = made(folder / write_bundle(folder)[0].name)
    copy = made(ours.with_name(f"{ours.name}.cpython-311-a70d0d0a"))
    made(copy.with_name(f"{copy.name}.abc.part"))
    fresh = made(copy.with_name(f"{copy.name}.def.part"), days=0)
    choose(Target(HardwareTarget(name="this-machine")), folder)
    assert names(folder) == {ours.name, copy.name, fresh.name}


def test_copies_go_without_their_bundle_and_nothing_else_is_left(folder: Path) -> None:
    (folder / ANOTHER).unlink()
    remove_old_bundles(folder)
    assert names(folder) == set()


def test_what_somebody_asked_for_today_stays(folder: Path) -> None:
    os.utime(folder / ANOTHER)
    remove_old_bundles(folder)
    assert names(folder) == {ANOTHER, *COPIES}


def test_asking_for_it_is_what_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_bundle(tmp_path)[0]
    os.utime(path, (0, 0))
    write_bundle(tmp_path)
    monkeypatch.setattr(bundle, "_packed", lambda: b"the next version's")
    remove_old_bundles(tmp_path)
    assert names(tmp_path) == {path.name}


def test_nothing_goes_while_a_supervisor_is_at_work_there(folder: Path) -> None:
    held = lock(folder / "runs" / "one" / "lock")
    assert isinstance(held, int)
    remove_old_bundles(folder)
    assert names(folder) == {ANOTHER, *COPIES}
    os.close(held)
    remove_old_bundles(folder)
    assert names(folder) == set()


def test_one_that_another_process_is_just_writing_stays(folder: Path) -> None:
    held = lock(folder / ANOTHER)
    assert isinstance(held, int)
    remove_old_bundles(folder)
    assert names(folder) == {ANOTHER, *COPIES}
    os.close(held)


def test_what_is_not_ours_stays_and_no_link_is_followed(tmp_path: Path) -> None:
    folder, elsewhere = tmp_path / "here", tmp_path / "elsewhere"
    folder.mkdir()
    elsewhere.mkdir()
    theirs = [made(elsewhere / name) for name in (ANOTHER, *COPIES)]
    for name in ("device-old.pyz", "device-0123456789ab.pyz~", "my-device-0123456789ab.pyz", "notes.txt"):
        theirs.append(made(folder / name))
    (folder / ANOTHER).symlink_to(elsewhere / ANOTHER)
    (folder / COPIES[0]).symlink_to(elsewhere / COPIES[0])
    theirs.append(made(folder / COPIES[1]))  # beside a bundle that cannot be held
    (folder / "device-ba9876543210.pyz").mkdir()
    old = made(folder / "device-fedcba987654.pyz")
    linked = tmp_path / "linked"
    linked.symlink_to(elsewhere)
    for each in (folder, linked, tmp_path / "none"):
        remove_old_bundles(each)
    assert all(path.read_text() == "x" for path in theirs)
    assert (folder / ANOTHER).is_symlink()
    assert not old.exists()


def test_one_that_was_tidied_away_before_it_was_held_is_written_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two versions at once: this one opens its bundle, the other removes it, this one gets to hold what is gone."""
    path = made(write_bundle(tmp_path)[0])
    held: list[Any] = []

    def late(*arguments: Any, **more: Any) -> Any:
        held.append(lock(*arguments, **more))
        if len(held) == 1:
            path.unlink()
        return held[-1]

    monkeypatch.setattr(bundle, "lock", late)
    assert write_bundle(tmp_path)[0].read_bytes() == b"this version's"
    assert len(held) == 2  # the one that lies there was held, too


def test_one_that_was_made_anew_meanwhile_is_not_tidied_away(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other way round: it waited for what is gone, and another lies there now under the name."""

    def late(*arguments: Any, **more: Any) -> Any:
        found = lock(*arguments, **more)
        (folder / ANOTHER).unlink()
        (folder / ANOTHER).write_text("made anew")
        return found

    monkeypatch.setattr(bundle, "lock", late)
    remove_old_bundles(folder)
    assert (folder / ANOTHER).read_text() == "made anew"


def test_a_link_in_its_place_is_refused(tmp_path: Path) -> None:
    path = write_bundle(tmp_path)[0]
    path.rename(tmp_path / "theirs")
    (tmp_path / "theirs").write_text("another's")
    path.symlink_to(tmp_path / "theirs")
    with pytest.raises(LaunchError, match="cannot be written"):
        write_bundle(tmp_path)
    assert (tmp_path / "theirs").read_text() == "another's"


def test_where_files_cannot_be_held_nothing_goes(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundle, "lock", lambda *_, **__: True)
    remove_old_bundles(folder)
    assert names(folder) == {ANOTHER, *COPIES}
    assert write_bundle(folder)[0].read_bytes() == b"this version's"
