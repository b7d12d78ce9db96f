"""A gate as Markdown, for a pull request or a job's summary; and as GitHub's annotations."""

from __future__ import annotations

from collections.abc import Iterator

from benchharness.ci.names import clean, subject_of, title_of
from benchharness.ci.report import GateReport
from benchharness.judge.gate import Colour, Finding, headline
from benchharness.judge.told import percent

_SIGNS = {Colour.RED: "❌", Colour.UNDECIDED: "❔", Colour.GREEN: "✅"}
_ORDERS = {Colour.RED: "error", Colour.UNDECIDED: "warning"}
#: Rows in full; of more, those that passed are counted.
_MOST_ROWS = 50


def markdown(report: GateReport) -> str:
    """The verdict, a row for each finding, and how it was decided."""
    gated, design = report.gated, report.design
    rows = [each for each in gated.findings if each.colour is not Colour.GREEN]
    rows += gated.of(Colour.GREEN)[: max(0, _MOST_ROWS - len(rows))]
    left = len(gated.findings) - len(rows)
    looks = ", ".join(map(str, design.looks))
    return "\n".join(
        (
            f"### {_SIGNS[gated.colour]} {headline(gated)}",
            "",
            f"{_text(report.candidate)} against {_text(report.base)}, run `{report.run.id}`",
            "",
            "| | what | of | found |",
            "|---|---|---|---|",
            *(_row(each) for each in rows),
            *([f"| | | | {left} more passed |"] if left else []),
            "",
            f"Pairs of fresh processes in random order, looked at after {looks}. Wrongly red at most "
            f"{percent(design.alpha)} of the time over all metrics; green though a metric is worse by "
            f"{percent(design.margin)} at most {percent(design.beta)}.",
            "",
        )
    )


def commands(report: GateReport) -> Iterator[str]:
    """GitHub's workflow commands, one for each finding that is not green."""
    for each in report.gated.findings:
        if each.colour in _ORDERS:
            title = f"{title_of(each)}: {each.colour}"
            yield f"::{_ORDERS[each.colour]} title={_property(title)}::{_data(f'{subject_of(each.job)}: {each.told}')}"


def _row(finding: Finding) -> str:
    told = f"{finding.told}{f'; accepted by {finding.accepted}' if finding.accepted else ''}"
    cells = (_SIGNS[finding.colour], *map(_text, (title_of(finding), subject_of(finding.job), told)))
    return f"| {' | '.join(cells)} |"


def _text(text: str) -> str:
    """A text that is no markup, in a table's cell."""
    plain = clean(text).replace("\\", "\\\\")
    for letter in "|`*_<>[]#@":
        plain = plain.replace(letter, f"\\{letter}" if letter not in "<>@" else f"&#{ord(letter)};")
    return plain


def _data(text: str) -> str:
    """Escaped as GitHub's runner reads it: a name must not begin a command of its own."""
    return clean(text).replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
