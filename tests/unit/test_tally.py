"""What a device counts: nothing without consent, in bins that all share, and files that are read without trust."""

from __future__ import annotations

import itertools
import json
import math
import os
import shutil
import subprocess
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchharness.device import tally as module
from benchharness.device.tally import (
    HISTOGRAMS,
    MOST_BYTES,
    MOST_COUNT,
    MOST_VARIANTS,
    NotATally,
    Recorder,
    Tally,
    parse,
)
from benchharness.results.result import OutcomeKind

OCTOBER, NOVEMBER, FEBRUARY = 1_792_000_000.0, 1_794_500_000.0, 1_802_000_000.0  # 2026-10, 2026-11, 2027-02


class Clock:
    def __init__(self, at: float = OCTOBER) -> None:
        self.at = at

    def __call__(self) -> float:
        return self.at


def recorder(folder: Path, clock: Callable[[], float], *, opted_in: bool = True, **changes: Any) -> Recorder:
    return Recorder(folder, **{"hardware": "pixel-8", "model": "chat", **changes}, opted_in=opted_in, clock=clock)


def test_without_consent_nothing_is_counted_or_written(tmp_path: Path) -> None:
    for made in (
        Recorder(tmp_path / "own", hardware="pixel-8", model="chat"),
        recorder(tmp_path / "own", Clock(), opted_in="yes"),  # type: ignore[arg-type]  # a setting's text is no consent
    ):
        assert not made.count("int4", "model_ttft", 1e6)
        assert made.save() is None
        assert made.finished() == []
    assert not (tmp_path / "own").exists()


def test_consent_that_is_taken_back_takes_the_files_with_it(tmp_path: Path) -> None:
    clock = Clock()
    made = recorder(tmp_path, clock)
    made.count("int4", "session_end", "ok")
    made.save()
    (tmp_path / "other.json").write_text("the application's own", encoding="utf-8")
    recorder(tmp_path, clock, opted_in=False)
    assert [path.name for path in tmp_path.iterdir()] == ["other.json"]


def test_what_was_counted_goes_on_in_another_process_and_is_finished_with_its_month(tmp_path: Path) -> None:
    clock = Clock()
    one = recorder(tmp_path, clock)
    assert one.count("int4", "model_ttft", 123e6)
    one.save()
    other = recorder(tmp_path, clock)
    assert other.count("int4", "model_ttft", 123e6)
    path = other.save()
    assert path is not None
    assert other.finished() == []
    first = parse(path.read_bytes())
    assert sum(first.counts["int4"]["model_ttft"]) == 2
    clock.at = NOVEMBER
    assert other.count("int4", "model_ttft", 5e6)
    other.save()
    assert other.finished() == [path]
    assert path.read_bytes() == first.text().encode()
    second = parse((tmp_path / "tally-2026-11-chat.json").read_bytes())
    assert second.device != first.device, "two months cannot be joined by an id"
    clock.at = FEBRUARY
    other.count("int4", "model_ttft", 5e6)
    other.save()
    assert [each.name for each in other.finished()] == ["tally-2026-11-chat.json"], "files do not pile up"


@pytest.mark.parametrize("content", ["", "{", "[]", '{"schema": "other"}'])
def test_a_file_of_its_own_that_is_broken_is_begun_anew(tmp_path: Path, content: str) -> None:
    (tmp_path / "tally-2026-10-chat.json").write_text(content, encoding="ascii")
    made = recorder(tmp_path, Clock())
    made.count("int4", "session_end", "ok")
    path = made.save()
    assert path is not None
    assert parse(path.read_bytes()).events == 1


def test_a_device_that_is_now_called_another_does_not_go_on_with_its_file(tmp_path: Path) -> None:
    clock = Clock()
    one = recorder(tmp_path, clock)
    one.count("int4", "session_end", "ok")
    one.save()
    other = recorder(tmp_path, clock, hardware="pixel-9")
    other.count("int4", "session_end", "ok")
    path = other.save()
    assert path is not None
    assert parse(path.read_bytes()).hardware == "pixel-9"
    assert parse(path.read_bytes()).events == 1


def test_a_file_that_is_finished_is_whole_and_changes_no_more(tmp_path: Path) -> None:
    clock = Clock()
    made = recorder(tmp_path, clock)
    made.count("int4", "session_end", "ok")
    made.save()
    made.count("int4", "session_end", "ok")
    clock.at = NOVEMBER
    (path,) = made.finished()
    sent = path.read_bytes()
    assert parse(sent).events == 2, "what was counted since it was saved is in it"
    made.count("int4", "session_end", "ok")
    made.save()
    assert path.read_bytes() == sent
    path.unlink()
    made.save()
    assert made.finished() == [], "what the application took away does not come again"


def test_of_two_processes_at_once_a_device_has_one_id(tmp_path: Path) -> None:
    """With two ids it would vote twice."""
    clock = Clock()
    one, other = recorder(tmp_path, clock), recorder(tmp_path, clock)
    for each in (one, other, other):
        each.count("int4", "session_end", "ok")
    first = one.save()
    clock.at = NOVEMBER
    assert first is not None
    sent = parse(first.read_bytes())
    (path,) = other.finished()
    again = parse(path.read_bytes())
    assert (sent.events, again.events) == (1, 2)
    assert sent.device == again.device


def test_several_models_of_an_application_share_a_folder(tmp_path: Path) -> None:
    clock = Clock()
    one, other = recorder(tmp_path, clock), recorder(tmp_path, clock, model="vision")
    for each in (one, other):
        each.count("int4", "session_end", "ok")
        each.save()
    clock.at = NOVEMBER
    found = [parse(path.read_bytes()) for path in one.finished()]
    assert [(each.model, each.events) for each in found] == [("chat", 1), ("vision", 1)]
    assert found[0].device != found[1].device
    recorder(tmp_path, clock, opted_in=False)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("opted_in", [True, False])
def test_what_a_killed_process_was_writing_goes(tmp_path: Path, opted_in: bool) -> None:
    (tmp_path / ".tally-abcdefgh").write_text("half of a tal", encoding="ascii")
    recorder(tmp_path, Clock(), opted_in=opted_in)
    assert not list(tmp_path.iterdir())


def test_a_disk_that_takes_nothing_loses_no_saved_count_and_stops_no_application(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    made = recorder(tmp_path, clock)
    made.count("int4", "session_end", "ok")
    path = made.save()
    assert path is not None
    before = path.read_bytes()

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    made.count("int4", "session_end", "ok")
    with pytest.raises(OSError, match="No space left"):
        made.save()
    assert [each.read_bytes() for each in tmp_path.iterdir()] == [before], "nothing half written stays"
    clock.at = NOVEMBER
    assert made.count("int4", "session_end", "ok"), "a new month begins all the same"
    monkeypatch.undo()
    made.save()
    assert made.finished() == [path]
    assert path.read_bytes() == before


def test_a_clock_that_goes_back_goes_on_with_the_file_of_its_month(tmp_path: Path) -> None:
    clock = Clock(NOVEMBER)
    made = recorder(tmp_path, clock)
    for at in (NOVEMBER, OCTOBER, NOVEMBER, OCTOBER):
        clock.at = at
        made.count("int4", "session_end", "ok")
    made.save()
    assert [parse(path.read_bytes()).events for path in sorted(tmp_path.iterdir())] == [2, 2]
    clock.at = FEBRUARY
    assert [path.name for path in made.finished()] == ["tally-2026-11-chat.json"], "October is four months ago"
    made.count("int4", "session_end", "ok")
    clock.at = FEBRUARY + 365 * 86_400
    assert made.save() is None, "what is written a year late is not kept, and no file is named that is not there"


@pytest.mark.parametrize("name", ["", "a/b", "-x", "ü", "x" * 65, "a b", "a\n"])
def test_names_that_would_be_refused_are_told_where_they_are_given(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="no name for a tally"):
        recorder(tmp_path, Clock(), model=name).count("int4", "session_end", "ok")
    with pytest.raises(ValueError, match="no name for a tally"):
        recorder(tmp_path, Clock()).count(name, "session_end", "ok")


# Bins


def test_bins_are_whole_numbers_in_order_four_a_doubling() -> None:
    for histogram in HISTOGRAMS.values():
        assert list(histogram.edges) == sorted(set(histogram.edges))
        assert all(type(edge) is int for edge in histogram.edges)
    edges = HISTOGRAMS["model_ttft"].edges
    assert (edges[0], edges[4], edges[-1], len(edges)) == (100_000, 200_000, 104_857_600_000, 81)
    assert all(1.18 < upper / lower < 1.2 for lower, upper in itertools.pairwise(edges))


@given(st.one_of(st.floats(), st.integers(-10, 10**15), st.just(10**400)))
def test_a_value_is_in_the_one_bin_whose_edges_are_around_it(value: float) -> None:
    histogram = HISTOGRAMS["itl"]
    place = histogram.place(value)
    if not 0 <= value < math.inf:
        assert place is None
        return
    assert place is not None
    assert place == 0 or histogram.edges[place - 1] < value
    assert place == len(histogram.edges) or value <= histogram.edges[place]


def test_zero_is_counted_and_what_is_no_kind_is_not() -> None:
    made = Tally.begin("2026-10", "pixel-8", "chat")
    assert made.add("int4", "battery_drain", 0)
    assert made.counts["int4"]["battery_drain"][0] == 1
    assert not made.add("int4", "session_end", "fine")
    assert not made.add("int4", "session_end", 0)
    assert not made.add("int4", "model_ttft", "ok")
    with pytest.raises(KeyError):
        made.add("int4", "request", 1)


def test_sessions_end_as_attempts_do_in_the_lab() -> None:
    assert set(HISTOGRAMS["session_end"].kinds) == {kind.value for kind in OutcomeKind}


def test_nothing_grows_without_bound() -> None:
    made = Tally.begin("2026-10", "x" * 64, "y" * 64)
    for number in range(MOST_VARIANTS + 3):
        assert made.add(f"{number:064}", "session_end", "ok") == (number < MOST_VARIANTS)
    for histograms in made.counts.values():
        for bins in histograms.values():
            bins[:] = [MOST_COUNT] * len(bins)
    assert not made.add("0" * 64, "session_end", "ok"), "a full bin stands still, and with it those beside it"
    text = made.text().encode()
    assert len(text) < MOST_BYTES
    assert parse(text) == made


# Reading


def good() -> Tally:
    made = Tally.begin("2026-10", "pixel-8", "chat")
    made.add("int4", "model_ttft", 123e6)
    return made


def changed(**fields: Any) -> bytes:
    return json.dumps({**json.loads(good().text()), **fields}).encode()


def other_counts(name: str, bins: Any) -> bytes:
    counts = json.loads(good().text())["counts"]
    counts["int4"][name] = bins
    return changed(counts=counts)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "cut short"),
        (good().text().encode()[:-40], "cut short"),
        (b"[" * 60_000, "no JSON"),
        (b"\xff\xfe", "no JSON"),
        (b"x" * (MOST_BYTES + 1), "larger than"),
        (b"[]", "names no schema"),
        (changed(schema="benchharness-tally-2"), "counts of different bins are not added"),
        (changed(name="Ann"), "other fields"),
        (changed(device="pixel-8 of Ann"), "its device is none"),
        (changed(period="2026-13"), "its period is none"),
        (changed(hardware="<script>"), "its hardware is none"),
        (changed(counts=[]), "its counts are none"),
        (changed(counts={"a/b": {}}), "a variant's name"),
        (changed(counts={str(each): {} for each in range(9)}), "more than 8 variants"),
        (changed(counts={"int4": {"model_ttft": [1]}}), "other histograms"),
        (other_counts("request", [1]), "other histograms"),
        (other_counts("model_ttft", [1] * 81), "other bins than the 82"),
        (other_counts("model_ttft", [-1] + [0] * 81), "no count"),
        (other_counts("model_ttft", [True] + [0] * 81), "no count"),
        (other_counts("model_ttft", [1.0] + [0] * 81), "no count"),
        (other_counts("model_ttft", [MOST_COUNT + 1] + [0] * 81), "no count"),
        (good().text().replace('"period"', '"device"').encode(), "twice"),
        (other_counts("model_ttft", [0] * 82).replace(b"[0, 0", b"[NaN, 0", 1), "no count"),
    ],
)
def test_what_is_no_tally_is_refused_with_the_reason(content: bytes, told: str) -> None:
    with pytest.raises(NotATally, match=told):
        parse(content)


@given(st.integers(0, 10**6), st.sampled_from([b"", b"-", b"9", b"e", b'"', b"[", b"{}", b"null", b"\x00", b"\xff"]))
@settings(max_examples=100, deadline=None)
def test_a_file_that_was_spoilt_anywhere_is_read_or_refused_and_nothing_else(place: int, by: bytes) -> None:
    content = good().text().encode()
    at = place % len(content)
    with suppress(NotATally):
        assert parse(content[:at] + by + content[at + 1 :]).model


@pytest.mark.parametrize("content", [b"null", b"1" * 5000, b'{"schema": ' + b"[" * 9000, b'{"schema": {"schema": 1}}'])
def test_what_parsers_stumble_over_is_refused(content: bytes) -> None:
    with pytest.raises(NotATally):
        parse(content)


def test_it_is_one_file_of_the_standard_library_and_runs_where_devices_are_old(tmp_path: Path) -> None:
    copied = tmp_path / "tally.py"
    shutil.copyfile(module.__file__, copied)
    python = shutil.which("python3.9")
    works = python and subprocess.run([python, "-c", "pass"], check=False, capture_output=True).returncode == 0
    if not python or not works:
        pytest.skip("no working python3.9 on PATH: the recorder is not tried under the oldest Python it promises")
    code = (
        "import tally; r = tally.Recorder('own', hardware='pi', model='m', opted_in=True)\n"
        "assert r.count('int8', 'itl', 2.5e6) and r.count('int8', 'session_end', 'killed')\n"
        "print(r.save())"
    )
    done = subprocess.run([python, "-I", "-c", f"import sys; sys.path.insert(0, '.')\n{code}"], cwd=tmp_path,
                          capture_output=True, text=True, check=True)  # fmt: skip
    assert parse((tmp_path / done.stdout.strip()).read_bytes()).events == 2
