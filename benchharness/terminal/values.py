"""Estimates as the terminal writes them, with what their intervals carry; and text that steers nothing."""

from __future__ import annotations

from benchharness.metrics import Unit
from benchharness.results.result import EXACT, Estimate
from benchharness.units import interval_ends, quantity_text, scale_for

#: An interval with a larger relative half-width is shown by its ends.
_WIDE = 0.2
#: A share of a share, or of a number that may be below zero, is easily misread.
_BY_THEIR_ENDS = frozenset((Unit.SHARE, Unit.NATS, Unit.DECIBELS, Unit.NUMBER))


def visible(text: object) -> str:
    """Text from a model, a runtime or a device, with whatever would steer the terminal spelled out."""
    return "".join(
        character if character.isprintable() or character == "\n" else character.encode("unicode_escape").decode()
        for character in str(text)
    )


def estimated(estimate: Estimate, unit: str, wish: str = "") -> str:
    """An estimate's value in a readable multiple or the one wished for, with the digits its interval carries."""
    assert estimate.value is not None
    return quantity_text(estimate.value, unit, scale_for(unit, estimate.value, wish), _half(estimate))


def interval(estimate: Estimate, unit: str, wish: str = "") -> str:
    """± a share where that is small; else both ends, as a wide interval is not symmetric. Exact values have none."""
    if estimate.statistic == EXACT:
        return ""
    if estimate.value is None or estimate.low is None or estimate.high is None:
        return " ± unknown"
    half = estimate.relative_half_width
    if half is not None and half <= _WIDE and unit not in _BY_THEIR_ENDS:
        return f" ± {half:.1%}"
    scale = scale_for(unit, estimate.value, wish)
    low, high = interval_ends(estimate.low, estimate.high, estimate.value, unit, scale)
    return f"\n[{f'{low} {scale.symbol}'.rstrip()}, {f'{high} {scale.symbol}'.rstrip()}]"


def times(ratio: Estimate) -> str:
    """A ratio and its interval, with as many decimals as the interval carries."""
    assert ratio.value is not None
    told = f"× {quantity_text(ratio.value, '', half=_half(ratio))}"
    if ratio.low is None or ratio.high is None:
        return told
    return f"{told} [{', '.join(interval_ends(ratio.low, ratio.high, ratio.value, ''))}]"


def _half(estimate: Estimate) -> float:
    """Half of the interval; 0 where there is none."""
    return 0.0 if estimate.low is None or estimate.high is None else (estimate.high - estimate.low) / 2
