"""Numbers with units, as people write them."""

from __future__ import annotations

import pytest

from benchharness import units as quantity
from benchharness.errors import UsageError


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("250 ms", 0.25), ("3s", 3), (" 1.5 min ", 90), (".5 h", 1800), ("7 us", 7e-6), ("7 µs", 7e-6), ("9 ns", 9e-9)],
)
def test_durations_become_seconds(text: str, seconds: float) -> None:
    assert quantity.seconds(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["2 %", "2%", "2.0 %"])
def test_percentages_become_shares(text: str) -> None:
    assert quantity.share(text) == pytest.approx(0.02)


@pytest.mark.parametrize("text", ["", "3", "s", "-3 s", "3 S", "3 seconds", "1e3 s", "3 s s", "nan s", "3 %"])
def test_what_is_no_duration_is_refused_with_the_units(text: str) -> None:
    with pytest.raises(UsageError, match=r"ns, us, µs, ms, s, min, h") as refused:
        quantity.seconds(text)
    assert repr(text) in str(refused.value)
