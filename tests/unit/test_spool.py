"""The spool: finished attempts wait on disk until the host has them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from benchharness.device.line.protocol import Message
from benchharness.device.line.spool import Spool
from benchharness.errors import ProtocolError

FIRST, SECOND, THIRD = (f"0195a3c2-7b1e-7c44-9d0f-{number:012d}" for number in (9, 1, 5))


def finished(attempt: str) -> Message:
    return {"type": "finished", "id": attempt, "measurements": [{"value": 0.1 + 0.2}]}


def keep(folder: Path, attempt: str, age_s: int) -> None:
    assert Spool(folder).keep(finished(attempt))
    os.utime(folder / f"{attempt}.json", (1_772_600_000 - age_s, 1_772_600_000 - age_s))


def test_what_is_kept_waits_oldest_first_also_for_another_supervisor(tmp_path: Path) -> None:
    for attempt, age_s in ((FIRST, 30), (SECOND, 20), (THIRD, 10)):
        keep(tmp_path / "spool", attempt, age_s)
    assert list(Spool(tmp_path / "spool").waiting()) == [finished(FIRST), finished(SECOND), finished(THIRD)]


def test_what_the_host_has_is_forgotten(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    for attempt in (FIRST, SECOND):
        spool.keep(finished(attempt))
    spool.forget(FIRST)
    spool.forget(FIRST)  # acknowledged twice, after a connection was lost
    assert list(spool.waiting()) == [finished(SECOND)]


def test_the_same_attempt_waits_once(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    assert spool.keep(finished(FIRST))
    assert spool.keep(finished(FIRST))
    assert list(spool.waiting()) == [finished(FIRST)]


@pytest.mark.parametrize(
    "attempt", ["../../outside", "/tmp/outside", "a/b-c-d-e-f", "..", "", "0195a3c2\n", "C:outside"]
)
def test_an_id_that_could_be_a_path_is_refused(tmp_path: Path, attempt: str) -> None:
    spool = Spool(tmp_path / "spool")
    (tmp_path / "outside.json").write_text("mine")
    with pytest.raises(ProtocolError, match="is not an attempt's id"):
        spool.keep(finished(attempt))
    with pytest.raises(ProtocolError, match="is not an attempt's id"):
        spool.forget(attempt)
    assert (tmp_path / "outside.json").read_text() == "mine"
    assert list((tmp_path / "spool").iterdir()) == []


def test_an_unreadable_file_is_set_aside_and_hides_no_other(tmp_path: Path) -> None:
    keep(tmp_path, FIRST, 30)
    (tmp_path / f"{FIRST}.json").write_bytes(b'{"type":"finis')
    keep(tmp_path, SECOND, 20)
    assert list(Spool(tmp_path).waiting()) == [finished(SECOND)]
    assert (tmp_path / f"{FIRST}.unreadable").read_bytes() == b'{"type":"finis'
    assert list(Spool(tmp_path).waiting()) == [finished(SECOND)]


def test_a_half_written_file_is_not_waiting(tmp_path: Path) -> None:
    (tmp_path / f"{FIRST}.part").write_bytes(b'{"type":"finis')
    assert list(Spool(tmp_path).waiting()) == []


def test_a_full_disk_is_told_and_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spool = Spool(tmp_path)

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    assert spool.keep(finished(FIRST)) is False
    assert list(tmp_path.iterdir()) == []
