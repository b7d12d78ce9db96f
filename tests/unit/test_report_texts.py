"""Reports: units and untrusted text in words."""

from __future__ import annotations

import pytest

from benchharness.units import common_scale, interval_text, quantity_text
from reports.model.visible import evidence_text, name_text, value_text


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (36.0, "ns", "36.0 ns"),
        (999_600.0, "ns", "1.00 ms"),
        (95_140_000.0, "ns", "95.1 ms"),
        (2.5e12, "ns", "2,500 s"),
        (1536, "bytes", "1.50 KiB"),
        (0, "bytes", "0 B"),
        (16.44, "tokens/s", "16.4 tokens/s"),
        (0.0000123, "nats", "1.23e-05 nats"),
        (float("inf"), "ns", "∞ ns"),
    ],
)
def test_units_are_readable(value: float, unit: str, text: str) -> None:
    assert quantity_text(value, unit) == text


def test_an_interval_has_the_multiple_and_precision_of_its_value() -> None:
    assert interval_text(989_000, 1_012_345, 1_000_400, "ns") == "0.989 to 1.012"  # half of it is 0.012
    assert common_scale("ns", [9e5, 4e6]) == common_scale("ns", [8e5])
    assert common_scale("ns", [1e3, 1e10]) is None


def test_hidden_characters_and_long_texts_are_shown_as_such() -> None:
    assert name_text("a\u202eb\nc\x9b") == "a\\u202eb\\nc\\x9b"
    assert len(evidence_text("x" * 100_000)) < 21_000
    assert evidence_text("x" * 100_000 + "the end").endswith("the end")
    assert value_text({"unknown": "no sensor"}) == "unknown (no sensor)"
    assert value_text(list(range(100))).endswith("(100 in all)")
    assert value_text(8_320_000_000, "memory_bytes") == "7.75 GiB"
