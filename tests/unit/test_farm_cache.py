"""A host's cache of files: it has a limit, and lets go of what was used least recently and of nothing in use."""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.postgres import MISSING

pytest.importorskip("procrastinate", reason=MISSING)

from benchharness.errors import UsageError
from benchharness.farm.cache import LEFT_FREE_BYTES, Cache, NoRoom, bound_folder
from benchharness.farm.submission import File, Unbelievable
from benchharness.farm.workplace import alone_in

CONTENTS = {name: name.encode() * 1000 for name in "abcdef"}  # 1,000 bytes each


def file(name: str) -> File:
    content = CONTENTS[name]
    return File(path=f"files/0/{name}", sha256=hashlib.sha256(content).hexdigest(), bytes=len(content))


def fetch(digest: str, part: int) -> bytes | None:
    known = {file(name).sha256: content for name, content in CONTENTS.items()}
    return known[digest] if part == 0 else None


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Sets the cache's clock on."""
    at = [time.time()]
    monkeypatch.setattr(time, "time", lambda: at[0])

    def on(seconds: float) -> None:
        at[0] += seconds

    return on


def once(content: bytes) -> Callable[[str, int], bytes | None]:
    """A line over which one file comes, in one part."""
    return lambda _, part: content if part == 0 else None


class Host:
    """A cache of so many bytes, and the jobs that it laid files out for."""

    def __init__(self, folder: Path, most_bytes: float, clock: Callable[[float], None]) -> None:
        self._folder, self._clock = folder, clock
        self.cache = Cache(folder / "cache", most_bytes=most_bytes)

    def job(self, name: str, *names: str) -> Path:
        self._clock(60)
        place = self._folder / name
        self.cache.place([file(each) for each in names], place, fetch)
        return place

    def over(self, name: str) -> None:
        shutil.rmtree(self._folder / name)
        self.cache.evict()

    @property
    def held(self) -> str:
        known = {file(name).sha256: name for name in CONTENTS}
        return "".join(sorted(known[path.name] for path in (self._folder / "cache").iterdir() if path.name in known))


def test_what_was_used_least_recently_goes_first(tmp_path: Path, clock: Callable[[float], None]) -> None:
    host = Host(tmp_path, 3000, clock)
    for name in "abc":
        host.job(name, name)
        host.over(name)
    host.job("again", "a")
    host.over("again")
    assert host.held == "abc"
    host.job("d", "d")
    assert host.held == "acd"  # b: longest ago, though a came earlier


def test_it_is_known_after_a_restart_when_a_file_was_used(tmp_path: Path, clock: Callable[[float], None]) -> None:
    first = Host(tmp_path, 3000, clock)
    for name in ("a", "b", "c", "a"):
        first.job("job", name)
        first.over("job")
    Host(tmp_path, 3000, clock).job("d", "d")
    assert first.held == "acd"


def test_what_a_job_has_laid_out_stays(tmp_path: Path, clock: Callable[[float], None]) -> None:
    """Two devices of a host at work: the second's files come to more than the limit with the first's."""
    host = Host(tmp_path, 2000, clock)
    first = host.job("first", "a", "b")
    host.job("second", "c", "d")
    assert host.held == "abcd"
    assert (first / "files/0/a").read_bytes() == CONTENTS["a"]
    host.over("first")
    assert host.held == "cd"
    host.over("second")
    assert host.held == "cd"


def test_what_is_wanted_is_not_let_go_of_to_make_room_for_the_rest_of_it(
    tmp_path: Path, clock: Callable[[float], None]
) -> None:
    host = Host(tmp_path, 3000, clock)
    for name in "abc":
        host.job(name, name)
        host.over(name)
    fetched = []

    def heard(digest: str, part: int) -> bytes | None:
        fetched.append(digest)
        return fetch(digest, part)

    host.cache.place([file("a"), file("d")], tmp_path / "job", heard)
    assert fetched == [file("d").sha256]  # the oldest was here, and stayed
    assert host.held == "acd"


def test_more_than_the_cache_may_hold_is_refused_in_a_line(tmp_path: Path, clock: Callable[[float], None]) -> None:
    host = Host(tmp_path, 1500, clock)
    with pytest.raises(Unbelievable, match=r"its files are 2000 bytes, and this host keeps 1500 at most: raise cache"):
        host.job("job", "a", "b")
    host.cache.place([file("a"), file("a")], tmp_path / "twice", fetch)  # one file under two names is one


def test_a_full_disk_takes_from_the_cache_first_and_then_says_so(
    tmp_path: Path, clock: Callable[[float], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    host = Host(tmp_path, 1e9, clock)
    for name in "ab":
        host.job(name, name)
        host.over(name)
    free = [LEFT_FREE_BYTES + 500]
    usage = type("Usage", (), {"free": property(lambda _: free[0])})
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage())
    host.job("c", "c")
    assert host.held == "bc"
    free[0] = 0
    with pytest.raises(NoRoom, match="has no room for 1000 bytes"):
        host.job("d", "d")


def test_what_is_pruned_by_hand_before_it_is_laid_out_comes_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = Cache(tmp_path / "cache")
    cache.place([file("a")], tmp_path / "first", fetch)
    shutil.rmtree(tmp_path / "first")
    looked = Cache._here

    def pruned(self: Cache, wanted: File) -> Path | None:
        found = looked(self, wanted)
        assert Cache(tmp_path / "cache").evict(0).files == 1
        return found

    monkeypatch.setattr(Cache, "_here", pruned)
    cache.place([file("a")], tmp_path / "second", fetch)
    assert (tmp_path / "second/files/0/a").read_bytes() == CONTENTS["a"]


def test_two_agents_do_not_share_a_folder(tmp_path: Path) -> None:
    with alone_in(tmp_path / "work"):
        with pytest.raises(UsageError, match="another agent works there; give this one a folder of its own: --work"):
            alone_in(tmp_path / "work").__enter__()
        with alone_in(tmp_path / "other"):
            pass
    with alone_in(tmp_path / "work"):  # when the first is gone
        pass


def test_what_a_broken_off_transfer_left_goes_after_a_day(tmp_path: Path, clock: Callable[[float], None]) -> None:
    host = Host(tmp_path, 3000, clock)
    left = tmp_path / "cache" / f".{'0' * 64}.17"
    left.write_bytes(b"half")
    host.cache.evict()
    assert left.exists()
    clock(90_000)
    host.cache.evict()
    assert not left.exists()


def test_a_list_that_is_no_list_costs_no_file(tmp_path: Path, clock: Callable[[float], None]) -> None:
    (tmp_path / "cache").mkdir()
    for text in ("[1, 2", '{"a": "b"}', "[]", '{"a": null}'):
        (tmp_path / "cache" / "used.json").write_text(text)
        host = Host(tmp_path, 3000, clock)
        host.job("job", "a")
        host.over("job")
        assert host.held == "a"


def test_a_limit_holds_for_what_is_new_each_night(tmp_path: Path, clock: Callable[[float], None]) -> None:
    """As lfglabs-dev/verity pull request 2191 tells it: an entry a branch, 117 of them, 664 GB, and the disk was full.

    Its cleaning dropped what was older than 14 days, and everything was younger. Here 117 builds come within a day.
    """
    host = Host(tmp_path, 20_000, clock)
    most = 0
    for number in range(117):
        content = f"build {number:03d}".encode() * 100
        build = File(path="files/0/model", sha256=hashlib.sha256(content).hexdigest(), bytes=len(content))
        clock(600)
        host.cache.place([build], tmp_path / "job", once(content))
        shutil.rmtree(tmp_path / "job")
        host.cache.evict()
        held = [path.stat().st_size for path in (tmp_path / "cache").iterdir() if len(path.name) == 64]
        most = max(most, sum(held))
    assert 19_000 < most <= 20_000
    assert len((tmp_path / "cache" / "used.json").read_text()) < 3000


def test_a_folder_is_bounded_and_what_is_new_stays(tmp_path: Path) -> None:
    for age, name in enumerate("abcd"):
        path = tmp_path / name
        path.write_bytes(b"x" * 1000)
        os.utime(path, (time.time() - 86400 * (4 - age) + 100,) * 2)
    assert bound_folder(tmp_path, 2500) == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["c", "d"]
    assert bound_folder(tmp_path, 0) == 1  # the other is of the last day
    assert bound_folder(tmp_path / "none", 0) == 0
