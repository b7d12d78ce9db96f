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


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (-0.000788, "share", "−0.0788 %"),
        (-1234.5, "1", "−1,234"),
        (-1e-5, "nats", "−1.00e-05 nats"),
        (float("-inf"), "ns", "−∞ ns"),
        (3.2e-9, "nats", "≈ 0 (< 1e-6 nats)"),
        (-3.2e-9, "nats", "≈ 0 (< 1e-6 nats)"),
        (1e-12, "1", "≈ 0 (< 1e-6)"),
        (0.0, "nats", "0 nats"),
        (2e-6, "nats", "2.00e-06 nats"),
        (3.2e-9, "", "3.20e-09"),  # a ratio: something over something
        (12_345_678.0, "tokens", "12,345,678 tokens"),
    ],
)
def test_numbers_have_a_real_minus_separators_and_a_resolution(value: float, unit: str, text: str) -> None:
    assert quantity.quantity_text(value, unit) == text


def test_what_rounds_to_nothing_has_no_sign() -> None:
    assert quantity.interval_text(-0.0001, 0.5, 0.2, "nats") == "0.00 to 0.50"


def test_ends_below_the_resolution_are_told_as_such() -> None:
    assert quantity.interval_text(-1e-9, 5e-9, 3e-9, "nats") == "≈ 0 to ≈ 0"
    assert quantity.interval_text(1e-9, 5e-6, 3e-9, "nats") == "1.00e-09 to 5.00e-06"
    estimate = Estimate(value=3e-9, low=1e-9, high=5e-9)
    assert (on_page(estimate, "nats").text, on_page(estimate, "nats").interval) == ("≈ 0 (< 1e-6 nats)", "")


def test_no_line_ends_within_a_figure() -> None:
    told = quantity.together("5 of 7 keep peak memory 77.2 MB, limit ≤ 80 MB; 46.3 µs ±0.3 %, 3 mean 12 tokens/s", "_")
    assert told == "5 of 7 keep peak memory 77.2_MB, limit ≤_80_MB; 46.3_µs ±0.3_%, 3 mean 12_tokens/s"
    assert quantity.together("12 ms") == "12\N{NO-BREAK SPACE}ms"
