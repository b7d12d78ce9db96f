"""Which of many are used: properties that hold for any number, order and labels."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from benchharness.device.scenarios.quality.sampling import by_label, evenly

TOTALS = st.integers(0, 5000)
MOSTS = st.integers(1, 600)
LABELS = st.lists(st.integers(0, 6), min_size=1, max_size=300)


@given(TOTALS, MOSTS)
def test_spread_evenly_over_all(total: int, most: int) -> None:
    found = evenly(total, most)
    assert len(found) == min(total, most)
    assert found == sorted(set(found))
    assert all(0 <= each < total for each in found)
    if total <= most:
        assert found == list(range(total))
    elif most > 1:
        assert (found[0], found[-1]) == (0, total - 1)
        step = (total - 1) / (most - 1)
        assert all(abs(each - index * step) <= 0.5 + 1e-9 for index, each in enumerate(found))


@given(LABELS, MOSTS, st.integers(0, 9))
def test_every_label_has_its_share_to_within_one(labels: list[int], most: int, seed: int) -> None:
    found = by_label(labels, most, seed=seed)
    assert len(found) == min(len(labels), most)
    assert found == sorted(set(found))
    assert found == by_label(labels, most, seed=seed)
    if len(labels) <= most:
        assert found == list(range(len(labels)))
        return
    counts = Counter(labels[each] for each in found)
    for label, count in Counter(labels).items():
        assert abs(counts[label] - most * count / len(labels)) < 1


@given(LABELS, MOSTS)
def test_the_order_of_the_data_changes_no_share_by_more_than_what_is_over(labels: list[int], most: int) -> None:
    there, here = (Counter(each[at] for at in by_label(each, most)) for each in (labels, sorted(labels)))
    assert all(abs(there[label] - here[label]) <= 1 for label in set(labels))


def test_sorted_by_class_every_class_is_there() -> None:
    # The first 100 of 1000 would be of one class.
    labels = [label for label in range(10) for _ in range(100)]
    assert Counter(labels[at] for at in by_label(labels, 100)) == dict.fromkeys(range(10), 10)


def test_other_seeds_draw_others_and_this_one_the_same_everywhere() -> None:
    labels = [at % 3 for at in range(30)]
    assert by_label(labels, 6, seed=1) == [1, 5, 11, 15, 18, 22]
    assert by_label(labels, 6, seed=1) != by_label(labels, 6, seed=2)


def test_what_is_over_favours_no_label() -> None:
    # 100 labels of one each, half of them picked: not the first 50.
    found = by_label(list(range(100)), 50)
    assert found != list(range(50))
    assert 15 < sum(each < 50 for each in found) < 35
