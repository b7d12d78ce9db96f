"""Estimates as the terminal writes them, with what their intervals carry; and text that steers nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.cells import cell_len, chop_cells

from benchharness.metrics import Unit
from benchharness.results.result import EXACT, Estimate
from benchharness.units import Scale, interval_ends, percent_text, quantity_text, scale_for

#: An interval with a larger relative half-width is shown by its ends.
_WIDE = 0.2
#: Closer to a limit than this share of it, three digits may not tell on which side a value is.
_CLOSE = 0.01
#: A share of a share, or of a number that may be below zero, is easily misread.
_BY_THEIR_ENDS = frozenset((Unit.SHARE, Unit.NATS, Unit.DECIBELS, Unit.NUMBER, Unit.BITS_PER_BYTE))


def visible(text: object) -> str:
    """Text from a model, a runtime or a device, with whatever would steer the terminal spelled out."""
    return "".join(
        character if character.isprintable() or character == "\n" else character.encode("unicode_escape").decode()
        for character in str(text)
    )


def one_line(text: object, most: int = 400) -> str:
    """The same on one line, and cut in the middle where it is longer than `most` columns."""
    return shortened(visible(" ".join(str(text).split())), most)


def shortened(text: str, width: int, head: float = 0.5) -> str:
    """A text of at most so many columns, cut in the middle with …; `head` is the share of what is kept that leads."""
    if cell_len(text) <= width and len(text) <= 4 * width:  # letters without a width of their own are letters too
        return text
    kept = max(width - 1, 1)
    leading = min(max(1, round(kept * head)), kept)
    return f"{_start(text, leading)}…{_start(text[::-1], kept - leading)[::-1]}"


def _start(text: str, width: int) -> str:
    first = next(iter(chop_cells(text[: 4 * width], width)), "") if width > 0 else ""
    return first if cell_len(first) <= width else ""


def names_within(names: Sequence[str], width: int) -> list[str]:
    """Names of at most so many columns, in order, that are told apart as well as the whole ones are."""
    shown = [one_line(name) or "(no name)" for name in names]
    for head in (0.5, 0.7, 0.3, 0.85, 0.15):
        cut = [shortened(name, width, head) for name in shown]
        if len(set(cut)) == len(set(names)):
            return cut
    return list(_numbered(shown, width))


def _numbered(names: Sequence[str], width: int) -> Iterator[str]:
    for number, name in enumerate(names, start=1):
        ending = f" #{number}"
        yield f"{shortened(name, width - len(ending))}{ending}"


def estimated(estimate: Estimate, unit: str, wish: str = "") -> str:
    """An estimate's value in a readable multiple or the one wished for, with the digits its interval carries."""
    assert estimate.value is not None
    return quantity_text(estimate.value, unit, scale_for(unit, estimate.value, wish), half_of(estimate))


def interval(estimate: Estimate, unit: str, wish: str = "") -> str:
    """± a share where that is small; else both ends, as a wide interval is not symmetric. Exact values have none."""
    if _is_exact(estimate):
        return ""
    if estimate.value is None or estimate.low is None or estimate.high is None:
        return " ± unknown"
    half = estimate.relative_half_width
    if half is not None and half <= _WIDE and unit not in _BY_THEIR_ENDS:
        return f" ± {percent_text(half, 1)}"
    scale = scale_for(unit, estimate.value, wish)
    low, high = interval_ends(estimate.low, estimate.high, estimate.value, unit, scale)
    return f"\n[{f'{low} {scale.symbol}'.rstrip()}, {f'{high} {scale.symbol}'.rstrip()}]"


def _is_exact(estimate: Estimate) -> bool:
    """Whether no attempt can change it, or no input: a copy of the reference loses 0 nats, and not 0 −0."""
    return estimate.statistic == EXACT or (estimate.drawn > 0 and estimate.low is not None and not half_of(estimate))


def times(ratio: Estimate) -> str:
    """A ratio and its interval, with as many decimals as the interval carries; an exact one has none."""
    assert ratio.value is not None
    told = f"× {quantity_text(ratio.value, '', half=half_of(ratio))}"
    if ratio.low is None or ratio.high is None or ratio.statistic == EXACT:
        return told
    return f"{told} [{', '.join(interval_ends(ratio.low, ratio.high, ratio.value, ''))}]"


def half_of(estimate: Estimate) -> float:
    """Half of the interval; 0 where there is none."""
    return 0.0 if estimate.low is None or estimate.high is None else (estimate.high - estimate.low) / 2


def half_beside(estimate: Estimate, limit: float | None) -> float:
    """The same; of an exact value what parts it from a limit close by, so that 2.0027 is not 2.00 beside "≤ 2"."""
    if estimate.statistic != EXACT or estimate.value is None or not limit:
        return half_of(estimate)
    apart = abs(estimate.value - limit)
    return apart if apart < _CLOSE * abs(limit) else 0.0


def plus_minus(estimate: Estimate, unit: str, scale: Scale | None = None) -> str:
    """What an interval adds to a value in one short piece: ± a share, or both ends; "" for exact values."""
    if _is_exact(estimate):
        return ""
    if estimate.value is None or estimate.low is None or estimate.high is None:
        return "±?"
    half = estimate.relative_half_width
    if half is not None and half <= _WIDE and unit not in _BY_THEIR_ENDS:
        return f"±{_percent(half)} %"
    ends = interval_ends(estimate.low, estimate.high, estimate.value, unit, scale)
    return f"[{', '.join(ends)}]"


def brief_spread(estimate: Estimate, unit: str, scale: Scale) -> str:
    """The larger side of an interval that is shown by its ends, as one ±; "" for others. It never says less.

    A share that nothing can exceed has one side only: 100.00 −0.74.
    """
    value, low, high = estimate.value, estimate.low, estimate.high
    if not plus_minus(estimate, unit, scale).startswith("[") or value is None or low is None or high is None:
        return ""
    side = max(high - value, value - low)
    if unit in _BY_THEIR_ENDS:
        number = quantity_text(value, unit, scale, half_of(estimate)).removesuffix(scale.symbol).rstrip()
        sign = "\N{MINUS SIGN}" if value == high else "+" if value == low else "±"
        return f"{sign}{side / scale.divisor:.{len(number.partition('.')[2])}f}"
    return f"±{_percent(side / abs(value))} %" if value else ""


def _percent(share: float) -> str:
    """A share in percent: whole ones, and one digit of what is below 1."""
    percent = 100 * share
    if percent >= 0.95:
        return f"{percent:.0f}"
    return f"{percent:.1g}" if percent >= 0.001 or not percent else "<0.001"
