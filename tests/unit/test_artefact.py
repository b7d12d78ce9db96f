"""The artefact: what its files hold is its identity."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pytest

from benchharness.errors import UsageError
from benchharness.suite import artefact
from benchharness.suite.artefact import DigestCache, manifest_of


def digest(path: Path) -> str:
    return manifest_of(path, DigestCache(None)).digest


def folder_of(path: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(content)
    return path


def test_a_file_is_listed_with_its_size_and_hash(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"weights")
    manifest = manifest_of(tmp_path / "model.onnx", DigestCache(None))
    (entry,) = manifest.entries
    assert (entry.path, entry.bytes, entry.sha256) == ("model.onnx", 7, hashlib.sha256(b"weights").hexdigest())
    assert manifest.bytes == 7


def test_a_folder_is_listed_sorted_with_its_subfolders(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "m", {"b.onnx": b"12", "a/z.data": b"345", "a.json": b"6"})
    manifest = manifest_of(folder, DigestCache(None))
    assert [(entry.path, entry.bytes) for entry in manifest.entries] == [("a.json", 1), ("a/z.data", 3), ("b.onnx", 2)]
    assert manifest.bytes == 6


def test_the_same_files_are_the_same_artefact_wherever_they_are(tmp_path: Path) -> None:
    files = {"model.onnx": b"graph", "data/weights": b"weights"}
    assert digest(folder_of(tmp_path / "here", files)) == digest(folder_of(tmp_path / "there", files))


@pytest.mark.parametrize(
    "files",
    [
        {"model.onnx": b"Graph", "weights": b"weights"},
        {"model.onnx": b"graph", "weight": b"weights"},
        {"model.onnx": b"graph", "weights": b"weights", "config.json": b""},
        {"model.onnx": b"graph"},
    ],
)
def test_other_files_are_another_artefact(tmp_path: Path, files: dict[str, bytes]) -> None:
    one = folder_of(tmp_path / "one", {"model.onnx": b"graph", "weights": b"weights"})
    assert digest(one) != digest(folder_of(tmp_path / "other", files))


@pytest.mark.parametrize(("made", "said"), [(False, "no such file or folder"), (True, "the folder holds no files")])
def test_what_holds_no_model_is_refused_with_the_path(tmp_path: Path, made: bool, said: str) -> None:
    if made:
        (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match=said) as refused:
        digest(tmp_path / "empty")
    assert str(tmp_path / "empty") in str(refused.value)


def test_a_folder_with_too_many_files_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(artefact, "MOST_FILES", 3)
    folder = folder_of(tmp_path, {str(index): b"" for index in range(3)})
    digest(folder)
    (folder / "one more").touch()
    with pytest.raises(UsageError, match="more than 3 files"):
        digest(folder)


def test_a_file_is_hashed_once_until_it_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "model.onnx"
    file.write_bytes(b"one")
    first = DigestCache(tmp_path / "cache" / "digests.json")
    known = first.sha256(file)
    first.save()

    second = DigestCache(tmp_path / "cache" / "digests.json")
    with monkeypatch.context() as patched:
        patched.setattr(hashlib, "file_digest", lambda *_: pytest.fail("hashed again"))
        assert second.sha256(file) == known
    file.write_bytes(b"two")
    os.utime(file, ns=(0, file.stat().st_mtime_ns + 1))
    assert second.sha256(file) == hashlib.sha256(b"two").hexdigest()


def test_a_file_rewritten_in_place_with_its_old_time_is_hashed_again(tmp_path: Path) -> None:
    """As `cp -p` and archives do, whose builds all carry one time: the same inode, size and mtime."""
    file, cache = tmp_path / "model.onnx", DigestCache(None)
    file.write_bytes(b"one")
    cache.sha256(file)
    before = file.stat()
    while file.stat().st_ctime_ns == before.st_ctime_ns:  # a file system's clock has steps of some ms
        file.write_bytes(b"two")
        os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (file.stat().st_ino, file.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert cache.sha256(file) == hashlib.sha256(b"two").hexdigest()


@pytest.mark.parametrize("content", ["", "not JSON", "[]", "null", '{"a": {}}'])
def test_a_damaged_cache_costs_only_time(tmp_path: Path, content: str) -> None:
    (tmp_path / "digests.json").write_text(content)
    (tmp_path / "model.onnx").write_bytes(b"one")
    cache = DigestCache(tmp_path / "digests.json")
    assert cache.sha256(tmp_path / "model.onnx") == hashlib.sha256(b"one").hexdigest()
    cache.save()
    assert list(tmp_path.glob("digests.*")) == [tmp_path / "digests.json"]


def test_a_cache_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    DigestCache(tmp_path / "file" / "digests.json").save()


def test_what_is_remembered_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(artefact, "_MOST_KNOWN", 3)
    cache = DigestCache(tmp_path / "digests.json")
    for number in range(5):
        (tmp_path / str(number)).write_text(str(number))
        cache.sha256(tmp_path / str(number))
    cache.save()
    kept = json.loads((tmp_path / "digests.json").read_text()).values()
    assert list(kept) == [hashlib.sha256(str(number).encode()).hexdigest() for number in (2, 3, 4)]
