"""The trade-off of a cloud and a device: how much the device writes against how long a user sees nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reports.figures.canvas import GOOD, INK, QUIET, WIDTH, Axis, Sheet, colour_of
from reports.figures.figure import Figure, Legend, figure_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

_HEIGHT, _LEFT, _RIGHT = 190.0, 44.0, WIDTH - 6
#: Above the axis of times: where a request got no answer.
_NEVER = 26.0


@dataclass(frozen=True, kw_only=True)
class Way:
    """One way of answering. `silence`: p50 and p95 in the figure's unit; None: no answer."""

    label: str
    number: int
    locally: float  # percent
    silence: tuple[float | None, float | None]
    chosen: bool


@dataclass(frozen=True, kw_only=True)
class TradeChart(Figure):
    """A line a way of answering, from the median silence to its p95, at the share that the device writes."""

    ways: tuple[Way, ...]

    def numbers(self) -> Iterator[str]:
        """Each way."""
        for way in self.ways:
            half, most = ("never" if each is None else figure_text(each) for each in way.silence)
            yield f"{way.label}: silence p50 {half}, p95 {most}, {way.locally:.0f} % by the device"

    def legend(self) -> Legend:
        """A colour for each way."""
        return [(colour_of(way.number), f"{way.label} (chosen)" if way.chosen else way.label) for way in self.ways]

    def draw(self) -> Drawing:
        """Better is left and below; what was never answered stands in the lane above."""
        sheet, top = Sheet.under(self.legend(), _HEIGHT + 62)
        sheet.write(0, top + 8, f"longest silence ({self.unit})", colour=INK)
        top += 18
        upper, lower = top + _NEVER, top + _HEIGHT
        known = [each for way in self.ways for each in way.silence if each is not None]
        up = Axis(0, max(known, default=1.0) * 1.1 or 1.0, lower, upper)
        along = Axis(-4, 108, _LEFT, _RIGHT)
        up.upwards(sheet, _LEFT, _RIGHT)
        sheet.line(((_LEFT, top + _NEVER / 2 - 4), (_RIGHT, top + _NEVER / 2 - 4)), QUIET, 0.8, dashed=True)
        sheet.write(_LEFT - 4, top + _NEVER / 2 - 4, "never", align="right", colour=QUIET)
        for tick in (0, 25, 50, 75, 100):
            sheet.tick(along.at(tick), lower, f"{tick} %")
        taken: dict[float, int] = {}
        for way in self.ways:
            beside = taken.get(round(way.locally), 0)
            taken[round(way.locally)] = beside + 1
            x = along.at(way.locally) + 7 * beside * (-1 if way.locally > 50 else 1)
            half, most = (top + _NEVER / 2 - 4 if each is None else up.at(each) for each in way.silence)
            colour = colour_of(way.number)
            sheet.line(((x, half), (x, most)), colour, 1.6)
            sheet.dots([(x, half)], colour, 5)
            sheet.line(((x - 4, most), (x + 4, most)), colour, 1.6)
            if way.chosen:
                sheet.ring((x, half), GOOD, 14)
        sheet.write(_LEFT, lower + 28, "share of answers that the device wrote", colour=QUIET)
        return sheet.drawing()
