"""What every figure is: frozen plain data that draws itself, and tells its legend and its numbers in words."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from benchharness.units import quantity_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

#: A value and the ends of its interval, which are the value itself where there is none; in the figure's unit.
Ends = tuple[float, float, float]
#: (colour, label) for each thing that a colour of a figure stands for.
Legend = list[tuple[str, str]]
#: So many rows are read out; a table has them all.
_MOST_TOLD = 8


@dataclass(frozen=True, kw_only=True)
class Figure(ABC):
    """A figure: labels ready to print and numbers ready to plot."""

    title: str
    unit: str
    note: str

    @property
    def description(self) -> str:
        """The figure in words, its numbers first, for those who cannot see it."""
        found = list(islice(self.numbers(), _MOST_TOLD + 1))
        told = [*found[:_MOST_TOLD], *(["and more"] if len(found) > _MOST_TOLD else [])]
        return f"In {self.unit}: {'; '.join(told)}."

    @abstractmethod
    def numbers(self) -> Iterator[str]:
        """What it draws, a row each, in words."""

    def legend(self) -> Legend:
        """What its colours stand for; none where labels stand in it."""
        return []

    @abstractmethod
    def draw(self) -> Drawing:
        """The drawing. matplotlib is imported here and not before: it takes longest to import."""


def figure_text(value: float) -> str:
    """A number of a figure, whose unit stands elsewhere: 8,030 and 73.0."""
    return quantity_text(value, "")


def range_text(values: tuple[float, ...]) -> str:
    """From the least to the most of some numbers, in three digits."""
    low, high = figure_text(min(values)), figure_text(max(values))
    return low if low == high else f"{low} to {high}"
