"""The page cache: files are brought in, put out, and what was reached is read back."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from benchharness.device import page_cache

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux tells what is resident")

SIZE = 8 * 1024 * 1024


def filesystem(path: Path) -> str:
    """The type of the filesystem that holds `path`: of the longest mount point above it."""
    mounts = [line.split()[1:3] for line in Path("/proc/mounts").read_text().splitlines()]
    above = [(len(point), kind) for point, kind in mounts if path.is_relative_to(point)]
    return max(above)[1] if above else "unknown"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    found = filesystem(tmp_path.resolve())
    if found in ("tmpfs", "ramfs"):
        pytest.skip(f"{tmp_path} is on {found}, which is memory itself; try --basetemp on a disk")
    path = tmp_path / "model.bin"
    with path.open("wb") as stream:
        stream.write(os.urandom(SIZE))
        stream.flush()
        os.fsync(stream.fileno())
    return path


def test_a_file_is_put_out_and_brought_back_in(file: Path) -> None:
    page_cache.warm([file])
    assert page_cache.resident_share([file]) == 1.0
    page_cache.evict([file])
    share = page_cache.resident_share([file])
    assert share is not None
    assert share < 0.1
    page_cache.warm([file])
    assert page_cache.resident_share([file]) == 1.0


def test_the_share_is_taken_over_all_files(file: Path) -> None:
    other = file.with_name("other.bin")
    other.write_bytes(bytes(SIZE))
    page_cache.evict([file])
    page_cache.warm([other])
    assert page_cache.resident_share([file, other]) == pytest.approx(0.5, abs=0.06)


def test_asking_does_not_bring_a_file_in(file: Path) -> None:
    page_cache.evict([file])
    shares = [page_cache.resident_share([file]) for _ in range(3)]
    assert all(share is not None and share < 0.1 for share in shares)


def test_empty_files_have_no_share(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    page_cache.warm([tmp_path / "empty"])
    page_cache.evict([tmp_path / "empty"])
    assert page_cache.resident_share([tmp_path / "empty"]) is None
    assert page_cache.resident_share([]) is None


def test_a_missing_file_is_an_error_and_not_cold(tmp_path: Path) -> None:
    for act in (page_cache.warm, page_cache.evict, page_cache.resident_share):
        with pytest.raises(FileNotFoundError):
            act([tmp_path / "nowhere"])
