"""One vote a device: the property that everything private stands on, and files that say the same twice."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchharness.device.tally import HISTOGRAMS, MOST_COUNT, Tally
from benchharness.errors import UsageError
from benchharness.telemetry.received import read
from benchharness.telemetry.votes import Counted, Noise, counted, places_of, vote
from tests.unit.field_samples import EMPTY, NOW, device, fleet, with_times

PLACES = [
    (hardware, variant, name)
    for hardware in ("pixel-8", "pi")
    for variant in ("int4", "int8")
    for name in ("model_ttft", "session_end", "peak_memory")
]


#: Of few ids, so that some are there twice, with counts as large as they may be.
EVENTS = st.lists(
    st.tuples(
        st.sampled_from(["int4", "int8", "fp32"]),
        st.sampled_from(["model_ttft", "session_end", "peak_memory", "itl"]),
        st.integers(0, 7),
        st.sampled_from([1, 3, MOST_COUNT]),
    ),
    max_size=4,
)
TALLIES = st.lists(st.tuples(st.integers(0, 5), st.sampled_from(["pixel-8", "pi", "other"]), EVENTS), max_size=8)


def made_of(found: list[tuple[int, str, list[tuple[str, str, int, int]]]]) -> list[Tally]:
    """Any tallies that can be read."""
    made = []
    for number, hardware, events in found:
        counts = {variant: {name: list(bins) for name, bins in EMPTY.items()} for variant, *_ in events}
        for variant, name, place, count in events:
            counts[variant][name][place] = count
        made.append(Tally(f"{number:032x}", "2026-10", hardware, "chat", counts))
    return made


def moved(one: Sequence[Tally], other: Sequence[Tally]) -> dict[str, int]:
    """By histogram, how far the counts of two fleets are apart, over all hardware targets, variants and bins."""
    first, second = counted(one, PLACES), counted(other, PLACES)
    far = dict.fromkeys(("model_ttft", "session_end", "peak_memory"), 0)
    for place in PLACES:
        far[place[2]] += sum(abs(a - b) for a, b in zip(first[place], second[place], strict=True))
    return far


@given(TALLIES, st.integers(0, 5))
@settings(max_examples=100, deadline=None)
def test_a_device_moves_each_histogram_by_one_at_most_whatever_it_claims(
    drawn: list[tuple[int, str, list[tuple[str, str, int, int]]]], gone: int
) -> None:
    found = made_of(drawn)
    devices = {tally.device for tally in found}
    assert all(most <= len(devices) for most in moved(found, []).values())
    without = [tally for tally in found if tally.device != f"{gone:032x}"]
    assert max(moved(found, without).values()) <= 1


@given(TALLIES)
@settings(max_examples=30, deadline=None)
def test_nobody_votes_for_what_they_did_not_count(
    drawn: list[tuple[int, str, list[tuple[str, str, int, int]]]],
) -> None:
    for tally in made_of(drawn):
        for name in HISTOGRAMS:
            found = vote(tally, name)
            total = sum(sum(histograms[name]) for histograms in tally.counts.values())
            assert (found is None) == (total == 0)
            if found is not None:
                assert tally.counts[found[0]][name][found[1]]


def test_a_vote_is_drawn_in_proportion_to_what_was_counted() -> None:
    made = []
    for number in range(4000):
        made.append(device(number))
        made[-1].counts["int4"] = {**EMPTY, "session_end": [3, 0, 0, 1, 0, 0, 0, 0]}
    (found,) = counted(made, [("pixel-8", "int4", "session_end")]).values()
    assert sum(found) == 4000
    assert found[3] == pytest.approx(1000, abs=5 * np.sqrt(4000 * 0.25 * 0.75))


def test_heavy_use_weighs_no_more_than_light_use() -> None:
    heavy, light = with_times(1, [1e9] * 5000), with_times(2, [1e6])
    (found,) = counted([heavy, light], [("pixel-8", "int4", "model_ttft")]).values()
    assert sorted(found)[-2:] == [1, 1]


def test_a_document_is_read_as_it_was_written() -> None:
    found = fleet(5)
    noise = Noise(scale=1.5, epsilon="0.5", by="OpenDP")
    made = Counted(period="2026-10", model="chat", counts=counted(found, places_of(found)), noise=noise)
    assert Counted.from_json(json.loads(json.dumps(made.to_json()))) == made


# Files


def written(folder: Path, tally: Tally, name: str = "") -> Path:
    path = folder / (name or f"{tally.device[-4:]}-{tally.period}.json")
    path.write_text(tally.text(), encoding="ascii")
    return path


def test_a_file_that_is_sent_again_counts_once(tmp_path: Path) -> None:
    one, two = with_times(1, [1e6]), with_times(2, [2e6])
    for name in ("a", "b", "c"):
        written(tmp_path, one, f"{name}.json")
    written(tmp_path, two)
    found = read([tmp_path, tmp_path / "a.json"], NOW)
    assert [tally.device for tally in found.tallies] == [one.device, two.device]
    assert found.repeated == 3


def test_of_two_that_differ_the_fuller_counts_whatever_their_order(tmp_path: Path) -> None:
    early, late = with_times(1, [1e6]), with_times(1, [1e6, 2e6])
    for first, second in ((early, late), (late, early)):
        written(tmp_path, first, "a.json")
        written(tmp_path, second, "b.json")
        found = read([tmp_path], NOW)
        assert found.tallies == [late]


def test_what_came_again_of_another_month_is_not_told_of_this_one(tmp_path: Path) -> None:
    for period, copies in (("2026-09", 5), ("2026-10", 2)):
        for copy in range(copies):
            written(tmp_path, device(1, period=period), f"{period}-{copy}.json")
    found = read([tmp_path], NOW)
    assert (found.repeated, found.of("2026-09").repeated, found.of("2026-10").repeated) == (5, 4, 1)


def test_what_is_no_tally_is_told_and_the_rest_is_counted(tmp_path: Path) -> None:
    written(tmp_path, with_times(1, [1e6]))
    (tmp_path / "broken.json").write_bytes(b"\x00")
    (tmp_path / "folder.json").mkdir()
    written(tmp_path, device(3, period="2027-01"), "future.json")
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe.json")
    found = read([tmp_path], NOW)
    assert len(found.tallies) == 1
    told = {each.name: each.reason for each in found.refused}
    assert "check the clock" in told["future.json"]
    assert "cut short" in told["broken.json"]
    assert "no file" in told["folder.json"]
    if hasattr(os, "mkfifo"):
        assert "no file" in told["pipe.json"]


def test_a_choice_of_months_or_models_is_asked_for(tmp_path: Path) -> None:
    written(tmp_path, with_times(1, [1e6]))
    written(tmp_path, device(2, period="2026-09"))
    found = read([tmp_path], NOW)
    with pytest.raises(UsageError, match=r"2 periods \(2026-09, 2026-10\); name one: --period 2026-10"):
        found.of()
    assert len(found.of("2026-09").tallies) == 1
    with pytest.raises(UsageError, match="no tally is of period 2026-08; there are: 2026-09"):
        found.of("2026-08")
    with pytest.raises(UsageError, match="no such file"):
        read([tmp_path / "none"], NOW)
