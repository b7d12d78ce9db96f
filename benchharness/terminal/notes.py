"""What a table leaves unsaid: why a cell is unknown, what proves nothing, what failed, what it was evaluated on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from benchharness.judge.answer import Answer, Row
from benchharness.metrics import METRICS
from benchharness.results.result import EXACT
from benchharness.terminal.grid import Grid
from benchharness.terminal.values import one_line, shortened

#: More names than this are counted, and more notes of one sort left to the details.
_MOST_NAMES, _MOST_NOTES = 4, 4
#: Letters of a reason that a runtime or a device gave.
_LONGEST = 160
#: What hidden columns may take.
_ONE_LINE = 80


def notes(answer: Answer, laid_out: Grid) -> Iterator[tuple[str, str]]:
    """Lines and their styles, on the rows and columns that are shown."""
    rows = list(zip(laid_out.names, answer.rows, strict=False))
    shown = laid_out.shown
    for line in _few(_failures(rows)):
        yield line, "red"
    for line in _few([*_doubts(answer, rows, shown), *_unknown(answer, rows, shown)]):
        yield line, "yellow"
    yield from ((line, "dim") for line in _dim(answer, rows, laid_out))
    if told := _more(answer, laid_out):
        yield told, "dim"


def _more(answer: Answer, laid_out: Grid) -> str:
    """What had no room."""
    hidden = [shortened(one_line(column.title), 24) for column in answer.columns[laid_out.shown :]]
    columns = "1 more column" if len(hidden) == 1 else f"{len(hidden)} more columns" if hidden else ""
    parts = [*(["ratios"] if laid_out.lacks_ratios else []), *filter(None, [columns])]
    told = f"--details has {' and '.join(parts)}" if parts else ""
    for number, name in enumerate(hidden):
        if len(told) + len(name) + len(", …") > _ONE_LINE:
            return f"{told}, …" if number else told
        told += f"{', ' if number else ': '}{name}"
    return told


def _dim(answer: Answer, rows: Sequence[tuple[str, Row]], laid_out: Grid) -> Iterator[str]:
    if any(row.reference for _, row in rows):
        yield "* reference" + ("; × is the ratio to it, where it is clear" if laid_out.ratios else "")
    if reasons := _without_interval(rows, laid_out.shown):
        yield f"±?: no interval, {reasons[0]}"
    for at in range(laid_out.shown):
        outputs = dict.fromkeys(row.cells[at].output for _, row in rows if row.cells[at].output)
        if outputs:
            title, part = one_line(answer.columns[at].title), METRICS[answer.columns[at].metric].parts
            yield f"{title} is of the worst {part or 'output'}: {_listed([one_line(each, 40) for each in outputs])}"
    yield from (f"evaluated on {one_line(each)}" for each in _evaluated(rows))


def _without_interval(rows: Sequence[tuple[str, Row]], shown: int) -> Sequence[str]:
    estimates = [cell.estimate for _, row in rows for cell in row.cells[:shown] if cell.estimate is not None]
    lacking = (each for each in estimates if each.statistic != EXACT and (each.low is None or each.high is None))
    return [*dict.fromkeys(one_line(each.reason) for each in lacking if each.reason)]


def _failures(rows: Sequence[tuple[str, Row]]) -> list[str]:
    """How jobs ended: those that ended alike together."""
    found: dict[str, tuple[dict[str, None], dict[str, None]]] = {}
    for name, row in rows:
        for result in (result for result in row.results if not result.outcome.ok):
            names, scenarios = found.setdefault(shortened(one_line(result.outcome), _LONGEST), ({}, {}))
            names[name], scenarios[result.job.scenario] = None, None
    return [f"{_listed([*names])}, {_listed([*asked])}: {outcome}" for outcome, (names, asked) in found.items()]


def _doubts(answer: Answer, rows: Sequence[tuple[str, Row]], shown: int) -> Iterator[str]:
    """What is shown and decides nothing, and why."""
    found: dict[str, tuple[dict[str, None], dict[str, None]]] = {}
    for name, row in rows:
        for column, cell in zip(answer.columns[:shown], row.cells[:shown], strict=True):
            if cell.doubt and cell.doubt.removeprefix("no evidence: ") not in answer.headline:
                titles, names = found.setdefault(cell.doubt, ({}, {}))
                titles[one_line(column.title)], names[name] = None, None
    for doubt, (titles, names) in found.items():
        reason = shortened(one_line(doubt), _LONGEST)
        yield f"{_listed([*titles])} of {_listed([*names])}: {reason}"


def _unknown(answer: Answer, rows: Sequence[tuple[str, Row]], shown: int) -> Iterator[str]:
    """Why rows that did not fail have no figure, or one without an interval."""
    found: dict[str, tuple[dict[str, None], dict[str, None]]] = {}
    for name, row in rows:
        for column, cell in zip(answer.columns[:shown], row.cells[:shown], strict=True):
            if cell.estimate is None and not cell.is_reference and not row.failures and not cell.doubt:
                titles, names = found.setdefault(cell.reason or "not measured", ({}, {}))
                titles[one_line(column.title)], names[name] = None, None
    for reason, (titles, names) in found.items():
        whole = len(titles) == len([column for column in answer.columns[:shown] if column.metric != "artefact_size"])
        what = "" if whole and len(titles) > 1 else f"{_listed([*titles])} of "
        yield f"{what}{_listed([*names])}: {shortened(one_line(reason), _LONGEST)}"


def _evaluated(rows: Sequence[tuple[str, Row]]) -> Sequence[str]:
    """How much of the evaluation data was used, and what chunks of text begin with."""
    found: dict[str, None] = {}
    for metric in (metric for _, row in rows for result in row.results for metric in result.metrics):
        used = metric.parameters.get("used")
        if used:
            leading = metric.parameters.get("leading_tokens")
            found[f"{used}; leading token of each chunk: {leading}" if leading else str(used)] = None
    return [*found]


def _few(lines: Sequence[str]) -> list[str]:
    more = len(lines) - _MOST_NOTES
    return [*lines[:_MOST_NOTES], f"… and {more} more with --details"] if more > 1 else [*lines]


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    return ", ".join(names[:_MOST_NAMES]) + more
