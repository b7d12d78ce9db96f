"""What every figure is: frozen plain data that draws itself, and tells its legend and its description in words."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

#: A value and the ends of its interval, which are the value itself where there is none; in the figure's unit.
Ends = tuple[float, float, float]
#: (colour, label) for each thing that a colour of a figure stands for.
Legend = list[tuple[str, str]]


@dataclass(frozen=True, kw_only=True)
class Figure(ABC):
    """A figure: labels ready to print and numbers ready to plot."""

    title: str
    unit: str
    note: str

    @property
    def description(self) -> str:
        """The figure in words, for those who cannot see it."""
        return f"{self.title}, in {self.unit}. {self.note}"

    def legend(self) -> Legend:
        """What its colours stand for; none where labels stand in it."""
        return []

    @abstractmethod
    def draw(self) -> Drawing:
        """The drawing. matplotlib is imported here and not before: it takes longest to import."""
