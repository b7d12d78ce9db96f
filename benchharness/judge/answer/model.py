"""The frozen data of an answer: a headline, sentences, and one table over all scenarios."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from benchharness.metrics import Better
from benchharness.results.result import Estimate, Result, VerdictKind
from benchharness.units import Scale


class AnswerKind(StrEnum):
    """What an answer comes to. Of several the first of these is what a reader must know first."""

    NOT_TRUSTWORTHY = "not trustworthy"
    UNDECIDED = "undecided"
    NONE = "none passes"
    NO_BUDGETS = "no budgets"
    SHIP = "ship"


@dataclass(frozen=True, kw_only=True)
class Column:
    """One metric over all rows: what a budget limits, or what a variant is chosen by."""

    metric: str
    title: str  # "ITL p95", "SQNR of mask"
    unit: str  # the metric's base unit
    better: Better
    percentile: int | None = None  # None: the attempt's own value
    output: str = ""  # the one that a budget names
    budget: str = ""  # as verdicts name it; "" where none is set
    limit: float | None = None  # of the budget, in the base unit
    limit_text: str = ""  # as it was written, with its direction: "≤ 250 ms"
    origin: str = ""  # who set it
    scale: Scale | None = None  # the one multiple of all its values; None where they differ too much


@dataclass(frozen=True, kw_only=True)
class Cell:
    """What a row says in a column. Without an estimate `reason` says why there is none.

    `doubt` says why a figure is no evidence, `reason` else why its budget is undecided.
    """

    estimate: Estimate | None = None
    ratio: Estimate | None = None  # to the reference; None where the row is it, or there is none
    verdict: VerdictKind | None = None
    reason: str = ""
    doubt: str = ""
    is_reference: bool = False  # what is lost is lost against it: nothing to measure, and a budget on it is kept
    is_bound: bool = False  # the figure is a lower bound of what the column is about: shown with "≥"
    output: str = ""  # the worst of several outputs
    job: str = ""  # the key of the job that was measured
    scenario: str = ""
    attempts: tuple[str, ...] = ()  # ids of those behind the estimate


@dataclass(frozen=True, kw_only=True)
class Row:
    """A variant on a configuration, over all scenarios. `failures` are jobs of it that ended otherwise than `ok`."""

    name: str  # as short as it is unique in its table
    variant: str
    configuration: str
    runtime: str
    precision: str
    recipe: str
    digest: str
    reference: bool
    ships: bool
    cells: tuple[Cell, ...]
    failures: tuple[str, ...]
    unfit: tuple[str, ...]  # why it may not ship
    dominated_by: str
    results: tuple[Result, ...]

    @property
    def measured(self) -> bool:
        """Whether a job of it has a figure: a file's size alone is none."""
        return any(cell.estimate is not None and cell.job for cell in self.cells)

    def count(self, kind: VerdictKind) -> int:
        """How many budgets it keeps, misses, or leaves open."""
        return sum(cell.verdict is kind for cell in self.cells)


@dataclass(frozen=True, kw_only=True)
class Answer:
    """One model on one workload and hardware target.

    `named` is the row that the headline speaks of: the one to ship, or the closest to it. Rows stand by budgets kept.
    """

    hardware: str
    model: str
    workload: str
    kind: AnswerKind
    headline: str
    sentences: Sequence[str]
    columns: Sequence[Column]
    rows: Sequence[Row]
    named: str
    unmeasured: Sequence[str] = ()  # budgets that nothing was measured for

    @property
    def none_passes(self) -> bool:
        """Whether no variant keeps every budget."""
        return self.kind is AnswerKind.NONE

    @property
    def is_open(self) -> bool:
        """Whether nobody knows if one does."""
        return self.kind in (AnswerKind.UNDECIDED, AnswerKind.NOT_TRUSTWORTHY)

    @property
    def budgets(self) -> Sequence[Column]:
        """The columns with a limit."""
        return [column for column in self.columns if column.budget]
