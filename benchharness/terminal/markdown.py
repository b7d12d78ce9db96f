"""`--format markdown`: what a pull request needs. Names are text in it, whatever they hold."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Sequence

from benchharness.judge.answer import Answer, Row, worst_first
from benchharness.judge.trust import trust
from benchharness.results.result import Result, Run
from benchharness.terminal.answer import SIGNS, run_line, title_of, told
from benchharness.terminal.cells import Shown, shown_column
from benchharness.terminal.course_lines import course_lines
from benchharness.terminal.values import names_within

#: What Markdown would take for a sign of its own, anywhere and at the beginning of a line.
_SPECIAL = re.compile(r"[\\`*_\[\]|~$]|^[-+#=]|^\d+(?=[.)](?:\s|$))")
#: What a forge makes a link of, or a message to somebody: a character without width parts it.
_LINKED = re.compile(r"@|://|www(?=\.)|#(?=\d)|\bgh-(?=\d)", re.IGNORECASE)
_LONGEST_NAME = 60


def markdown(run: Run, answers: Sequence[Answer], results: Sequence[Result]) -> str:
    """Headlines, a table for each model and workload, and a line for each kind of warning."""
    found = worst_first(answers)
    blocks = [block for answer in found for block in _answer(answer)]
    said = [f"- {escaped(line)}" for line, _ in course_lines(results)]
    said += [f"- {escaped(group.finding)}" for group in trust(results)]
    blocks += ["\n".join(said)] if said else []
    return "\n\n".join([*blocks, escaped(run_line(run))]) + "\n"


def escaped(text: str) -> str:
    """One line of text that means nothing in Markdown or HTML, pings nobody and links nowhere."""
    parted = _LINKED.sub("\\g<0>\x00", text)
    plain = _SPECIAL.sub(_as_text, html.escape(parted, quote=False))
    return plain.replace("\x00", "&#8203;")


def _as_text(sign: re.Match[str]) -> str:
    return f"&#{ord(sign[0][0])};{sign[0][1:]}" if sign[0][0].isdigit() else f"\\{sign[0]}"


def _answer(answer: Answer) -> Iterator[str]:
    sign, _ = SIGNS[answer.kind]
    yield f"**{sign} {escaped(told(answer, answer.headline))}** ({escaped(title_of(answer))})"
    sentences = " ".join(escaped(told(answer, sentence)) for sentence in answer.sentences)
    if sentences:
        yield sentences
    if answer.rows and answer.columns:
        yield "\n".join(_table(answer))


def _table(answer: Answer) -> Iterator[str]:
    columns = [shown_column(column, answer.rows, at) for at, column in enumerate(answer.columns)]
    heads = [" ".join(filter(None, (head.title, head.below and f"({head.below})"))) for head, _ in columns]
    yield _line(["variant", *map(escaped, heads)])
    yield _line(["---", *["---:"] * len(columns)])
    names = names_within([row.name for row in answer.rows], _LONGEST_NAME)
    for at, (name, row) in enumerate(zip(names, answer.rows, strict=True)):
        yield _line([_name(name, row), *(_cell(cells[at]) for _, cells in columns)])


def _name(name: str, row: Row) -> str:
    return f"{escaped(name)} (reference)" if row.reference else escaped(name)


def _cell(cell: Shown) -> str:
    return escaped(" ".join(text for text in (cell.word, *(text for text, _ in cell.parts)) if text))


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
