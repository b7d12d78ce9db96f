"""Numbers with units, as people write them."""

from __future__ import annotations

import pytest

from benchharness import units as quantity
from benchharness.errors import UsageError
from benchharness.results.result import Estimate
from benchharness.terminal.values import estimated, interval
from reports.model.estimates import quantity as on_page


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


@pytest.mark.parametrize("unit", ["ns", "bytes", "tokens/s", "inferences/s", "J", "nats", "share", "1", "dB"])
@pytest.mark.parametrize("value", [0.0, 0.00123, 0.9998, 9.996, 999.7, 1234.5, 3.2e6, 8.9e12, float("inf")])
@pytest.mark.parametrize("half", [0.0, 0.0004, 0.03, 1.0])
def test_terminal_and_pages_write_a_quantity_alike(value: float, unit: str, half: float) -> None:
    ends_of = (None, None) if value == float("inf") else (value * (1 - half), value * (1 + half))
    estimate = Estimate(value=value, low=ends_of[0], high=ends_of[1])
    shown = on_page(estimate, unit)
    assert shown.text == estimated(estimate, unit)
    if "[" in (ends := interval(estimate, unit)):
        symbol = shown.text.partition(" ")[2]
        low, high = (end.removesuffix(f" {symbol}") for end in ends.strip("\n[]").split(", "))
        assert shown.interval == f"{low} to {high}"
