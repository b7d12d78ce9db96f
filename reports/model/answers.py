"""An answer as a page shows it: the verdict, one table whose cells have a mark and a small bar, and details a row."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from benchharness.judge.answer import Answer, AnswerKind, Cell, Column, Row
from benchharness.metrics import Better
from benchharness.results.result import EXACT, Estimate, VerdictKind
from benchharness.units import interval_text, quantity_text, scale_for, together
from reports.figures.pareto import sign_of
from reports.model.entries import Colours, Entry
from reports.model.estimates import ratio_of
from reports.model.numbers import ends_of, known
from reports.model.visible import name_text, value_text

#: Columns of the table: all with a limit, and others up to so many. The rest stand in the details of a row.
MOST_COLUMNS = 5
#: The small bar of an interval, in units of its own drawing.
BAR_WIDTH = 88.0
_INSET = 4.0
_BADGES = {
    AnswerKind.SHIP: ("✓", "good"),
    AnswerKind.NONE: ("✗", "bad"),
    AnswerKind.UNDECIDED: ("?", "open"),
    AnswerKind.NOT_TRUSTWORTHY: ("!", "bad"),
    AnswerKind.NO_BUDGETS: ("–", "quiet"),
}
#: In place of a reason that stands in the same row.
_SAME = "–"
_MARKS = {
    VerdictKind.PASS: ("✓", "pass", "keeps its limit"),
    VerdictKind.MISS: ("✗", "miss", "misses its limit"),
    VerdictKind.UNDECIDED: ("?", "undecided", "undecided"),
}


@dataclass(frozen=True, kw_only=True)
class Head:
    """A column's head. `limit`: "≤ 250 ms", or which direction is better where none is set."""

    title: str
    limit: str
    budgeted: bool


@dataclass(frozen=True, kw_only=True)
class Bar:
    """An interval on the column's own axis, and its limit, from 0 to `BAR_WIDTH`; None: there is none."""

    low: float
    at: float
    high: float
    limit: float | None


@dataclass(frozen=True, kw_only=True)
class Shown:
    """One cell of the table. `number` and `unit` stand apart, so that numbers line up; `key` is what sorts it."""

    title: str
    number: str
    unit: str
    mark: str = ""
    tone: str = ""
    said: str = ""  # the mark in words
    ratio: str = ""  # where it is clearly apart from the reference
    ratio_tone: str = ""
    note: str = ""  # why there is no number, or why it proves nothing
    key: str = ""
    bar: Bar | None = None


@dataclass(frozen=True, kw_only=True)
class Detail:
    """A figure of a row with all that is known of it: value, interval, ratio, attempts, its job and its reason."""

    title: str
    value: str
    interval: str
    ratio: str
    attempts: int
    job: str  # where the job stands among the page's jobs; "" where there is none
    why: str


@dataclass(frozen=True, kw_only=True)
class Line:
    """A row of the table, and its details. `swatch` numbers the variant's colour."""

    anchor: str
    name: str
    about: str  # runtime and configuration
    runtime: str
    precision: str
    configuration: str
    reference: bool
    ships: bool
    named: bool
    swatch: int
    sign: str  # the runtime's, as in the drawing
    cells: tuple[Shown, ...]
    details: tuple[Detail, ...]
    unfit: tuple[str, ...]
    dominated_by: str


@dataclass(frozen=True, kw_only=True)
class Told:
    """An answer, ready to show. `subject` is "" where the page has one answer only."""

    anchor: str
    subject: str
    kind: str
    sign: str
    tone: str
    headline: str
    sentences: tuple[str, ...]
    heads: tuple[Head, ...]
    lines: tuple[Line, ...]
    sorted_by: str
    references: int  # how many rows are the reference of their runtime
    facets: tuple[str, ...]  # of runtime, precision and configuration those in which rows differ

    @property
    def verdict(self) -> str:
        """The badge's words: what the headline begins with."""
        return self.headline.partition(":")[0] if ":" in self.headline else self.headline

    @property
    def rest(self) -> str:
        """What follows the badge."""
        return self.headline.partition(":")[2].strip()


def said_of_all(answers: Sequence[Answer]) -> tuple[str, ...]:
    """The sentences that each of several answers has: a page says them once."""
    if len(answers) < 2:
        return ()
    shared = (line for line in answers[0].sentences if all(line in each.sentences for each in answers))
    return tuple(together(value_text(line)) for line in shared)


def told_of(answers: Sequence[Answer], entries: Sequence[Entry], colours: dict[str, Colours]) -> tuple[Told, ...]:
    """The answers of a page. `entries` tell where a job stands on the page of jobs."""
    anchors = {entry.result.job.key: entry.anchor for entry in entries}
    shared = said_of_all(answers)
    made = (
        _told(f"answer-{number}", answer, anchors, colours.get(answer.model, {}), several=len(answers) > 1)
        for number, answer in enumerate(answers, start=1)
    )
    return tuple(replace(each, sentences=tuple(line for line in each.sentences if line not in shared)) for each in made)


def _told(anchor: str, answer: Answer, anchors: dict[str, str], colours: Colours, *, several: bool) -> Told:
    sign, tone = _BADGES[answer.kind]
    shown = shown_columns(answer.columns)
    lines = tuple(_lines(anchor, answer, shown, anchors, colours))
    subject = f"{name_text(answer.model)} · {name_text(answer.workload)}" if several else ""
    return Told(
        anchor=anchor,
        subject=subject,
        kind=str(answer.kind),
        sign=sign,
        tone=tone,
        headline=together(value_text(answer.headline)),
        sentences=tuple(together(value_text(each)) for each in answer.sentences),
        heads=tuple(_head(answer.columns[at]) for at in shown),
        lines=lines,
        references=sum(line.reference for line in lines),
        sorted_by="fewest limits missed first" if answer.budgets or answer.unmeasured else "as in the suite",
        facets=tuple(name for name in ("runtime", "precision", "configuration") if _differ(lines, name)),
    )


def shown_columns(columns: Sequence[Column]) -> list[int]:
    """Which columns the table has: all with a limit, then others as long as there is room."""
    limited = [at for at, column in enumerate(columns) if column.budget]
    others = [at for at, column in enumerate(columns) if not column.budget]
    return sorted((*limited, *others[: max(0, MOST_COLUMNS - len(limited))]))


def _differ(lines: Sequence[Line], name: str) -> bool:
    return len({getattr(line, name) for line in lines}) > 1


def _head(column: Column) -> Head:
    better = "" if column.better is Better.NEITHER else f"{column.better} is better"
    limit = value_text(column.limit_text) if column.budget else better
    return Head(title=value_text(column.title), limit=limit, budgeted=bool(column.budget))


def _lines(
    anchor: str, answer: Answer, shown: Sequence[int], anchors: dict[str, str], colours: Colours
) -> Iterator[Line]:
    spans = {at: _span(answer.columns[at], [row.cells[at] for row in answer.rows]) for at in shown}
    runtimes = list(dict.fromkeys(row.runtime for row in answer.rows))
    for number, row in enumerate(answer.rows, start=1):
        yield Line(
            anchor=f"{anchor}-{number}",
            name=name_text(row.name),
            about=_about(row),
            runtime=name_text(row.runtime),
            precision=name_text(row.precision),
            configuration=name_text(row.configuration),
            reference=row.reference,
            ships=row.ships,
            named=number == 1 and answer.kind is not AnswerKind.NO_BUDGETS,
            swatch=colours.get((row.variant, row.digest), 0),
            sign=sign_of(runtimes.index(row.runtime)),
            cells=tuple(_once(_shown(answer.columns[at], row.cells[at], spans[at]) for at in shown)),
            details=tuple(
                _detail(column, cell, anchors) for column, cell in zip(answer.columns, row.cells, strict=True)
            ),
            unfit=tuple(value_text(each) for each in row.unfit),
            dominated_by=name_text(row.dominated_by) if row.dominated_by else "",
        )


def _once(cells: Iterable[Shown]) -> Iterator[Shown]:
    """The same cells; why there is no number is told at the first of those that lack it for one reason."""
    told: set[str] = set()
    for each in cells:
        yield replace(each, note=_SAME) if not each.number and each.note in told else each
        told.add(each.note)


def _about(row: Row) -> str:
    """The configuration where the row's name does not say it; the runtime where neither does."""
    said = [row.configuration] if row.configuration not in row.name else []
    if row.runtime.casefold() not in f"{row.name} {row.configuration}".casefold():
        said.append(row.runtime)
    return " · ".join(name_text(each) for each in said if each)


def _shown(column: Column, cell: Cell, span: tuple[float, float] | None) -> Shown:
    mark, tone, said = _MARKS[cell.verdict] if cell.verdict else ("", "", "")
    title = value_text(column.title)
    if cell.is_reference:
        return Shown(title=title, number="reference", unit="", mark=mark, tone=tone, said=said)
    estimate = cell.estimate
    if estimate is None or known(estimate.value) is None:
        return Shown(title=title, number="", unit="", mark=mark, tone=tone, said=said, note=_why(cell) or "unknown")
    number, unit = figure_of(column, estimate)
    ratio = ratio_of(column.metric, cell.ratio, "") if cell.ratio is not None and cell.ratio.apart else None
    return Shown(
        title=title,
        number=f"≥ {number}" if cell.is_bound else number,
        unit=unit,
        mark=mark,
        tone=tone,
        said=said,
        ratio=ratio.text if ratio else "",
        ratio_tone=ratio.verdict if ratio else "",
        note="no evidence" if cell.doubt else f"of {name_text(cell.output)}" if cell.output else "",
        key=f"{estimate.value:.6g}",
        bar=_bar(column, estimate, span),
    )


def _why(cell: Cell) -> str:
    return value_text(cell.doubt or cell.reason)


def figure_of(column: Column, estimate: Estimate) -> tuple[str, str]:
    """An estimate in its column's multiple, with the digits that its interval carries: number and unit apart."""
    assert estimate.value is not None
    scale = column.scale or scale_for(column.unit, estimate.value)
    text = quantity_text(estimate.value, column.unit, scale, _half(estimate))
    number, _, unit = text.rpartition(" ")
    return (number, unit) if number and unit == scale.symbol else (text, "")


def _half(estimate: Estimate) -> float:
    return 0.0 if estimate.low is None or estimate.high is None else (estimate.high - estimate.low) / 2


def _span(column: Column, cells: Sequence[Cell]) -> tuple[float, float] | None:
    """The ends of a column's axis: its intervals and its limit; None where no figure has an interval."""
    ends = [found for cell in cells if cell.estimate and (found := _interval(cell.estimate))]
    if not ends:
        return None
    points = [end for low, _, high in ends for end in (low, high)]
    if (limit := known(column.limit)) is not None:
        points.append(limit)
    return (min(points), max(points)) if max(points) > min(points) else None


def _interval(estimate: Estimate) -> tuple[float, float, float] | None:
    if estimate.statistic == EXACT or estimate.low is None or estimate.high is None:
        return None
    found = ends_of(estimate)
    return (found[1], found[0], found[2]) if found else None


def _bar(column: Column, estimate: Estimate, span: tuple[float, float] | None) -> Bar | None:
    found = _interval(estimate)
    if found is None or span is None:
        return None

    def place(value: float) -> float:
        share = (value - span[0]) / (span[1] - span[0])
        return round(_INSET + share * (BAR_WIDTH - 2 * _INSET), 1)

    limit = known(column.limit)
    low, at, high = map(place, found)
    return Bar(low=low, at=at, high=high, limit=None if limit is None else place(limit))


def _detail(column: Column, cell: Cell, anchors: dict[str, str]) -> Detail:
    estimate, value, interval = cell.estimate, "unknown", ""
    if cell.is_reference:
        value = "the reference itself"
    elif estimate is not None and known(estimate.value) is not None and estimate.value is not None:
        number, unit = figure_of(column, estimate)
        value = f"{'≥ ' if cell.is_bound else ''}{number} {unit}".rstrip()
        if _interval(estimate) and estimate.low is not None and estimate.high is not None:
            interval = interval_text(estimate.low, estimate.high, estimate.value, column.unit, column.scale)
    return Detail(
        title=value_text(column.title) + (f" ({value_text(column.limit_text)})" if column.budget else ""),
        value=value,
        interval=interval,
        ratio=_ratio(cell, column),
        attempts=len(cell.attempts),
        job=anchors.get(cell.job, ""),
        why=_why(cell),
    )


def _ratio(cell: Cell, column: Column) -> str:
    """The ratio to the reference with its interval; "" where there is none."""
    if cell.ratio is None or cell.ratio.value is None:
        return ""
    found = ratio_of(column.metric, cell.ratio, "")
    return f"{found.text} [{found.interval}]" if found.interval else found.text
