"""Libraries that workers mapped are remembered, and come back only as far as they are there."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchharness.device import page_cache
from benchharness.device.libraries import Libraries
from benchharness.device.line.orders import Order

ORDER: Order = {"adapter": "onnxruntime", "python": None, "configuration": {"accelerator": None}}


def library(folder: Path, name: str) -> Path:
    path = folder / name
    path.write_bytes(b"\x7fELF" * 4096)
    return path


def test_what_a_worker_mapped_is_known_to_the_next_run(tmp_path: Path) -> None:
    one, gone = library(tmp_path, "one.so"), library(tmp_path, "gone.so")
    Libraries(tmp_path).learn(ORDER, [str(gone), str(one)])
    gone.unlink()
    assert Libraries(tmp_path).of(ORDER) == [one]
    assert Libraries(tmp_path).of({**ORDER, "python": "/other/python"}) == []


def test_only_libraries_never_seen_before_are_dropped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dropped: list[Path] = []
    monkeypatch.setattr(page_cache, "evict", dropped.extend)
    one, other = library(tmp_path, "one.so"), library(tmp_path, "other.so")
    libraries = Libraries(tmp_path)
    libraries.learn(ORDER, [one])
    libraries.learn(ORDER, [one])
    libraries.learn(ORDER, [one, other])
    assert dropped == [one, other]


@pytest.mark.parametrize("content", ["", "{", "[1]", '{"a": 1}'])
def test_a_damaged_memory_is_an_empty_one(tmp_path: Path, content: str) -> None:
    (tmp_path / "libraries.json").write_text(content)
    assert Libraries(tmp_path).of(ORDER) == []


def test_a_worker_that_tells_nothing_changes_nothing(tmp_path: Path) -> None:
    Libraries(tmp_path).learn(ORDER, [])
    assert not (tmp_path / "libraries.json").exists()
