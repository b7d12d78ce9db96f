"""What a run answers: verdicts first, then one table for each model and workload, then what makes it less sure."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from benchharness.judge.answer import Answer, AnswerKind, worst_first
from benchharness.judge.trust import trust
from benchharness.results.result import Result, Run, WarningKind
from benchharness.terminal.console import spelled, tell
from benchharness.terminal.course_lines import course_lines
from benchharness.terminal.grid import grid
from benchharness.terminal.notes import notes
from benchharness.terminal.values import one_line, shortened

SIGNS = {
    AnswerKind.SHIP: ("✓", "bold green"),
    AnswerKind.NONE: ("✗", "bold red"),
    AnswerKind.UNDECIDED: ("?", "bold yellow"),
    AnswerKind.NOT_TRUSTWORTHY: ("!", "bold yellow"),
    AnswerKind.NO_BUDGETS: ("–", "bold cyan"),
}
#: Letters of a name in a sentence, and of a sentence that something untrusted made long.
_LONGEST_NAME, _LONGEST = 40, 400


def show_answers(
    answers: Sequence[Answer], results: Sequence[Result], console: Console, *, hint: bool = True, gated: bool = False
) -> None:
    """Everything that is shown of a run at first sight. `hint`: also where the warnings are whole.

    `gated`: a gate's verdict stands above it, beside which an answer without budgets is none.
    """
    found = worst_first(answers)
    if verdicts := [each for each in found if not gated or each.kind is not AnswerKind.NO_BUDGETS]:
        _verdicts(verdicts, console)
    for answer in found:
        if answer.columns:
            console.print()
            show_table(answer, console)
    lines = list(course_lines(results))
    groups = [each for each in trust(results) if each.kind is not WarningKind.FALLBACK]  # a line for each, above
    if lines or groups:
        console.print()
    for line, style in lines:
        tell(console, line, style)
    for number, group in enumerate(groups):
        where = "; --warnings says why, and what helps" if hint and not number else ""
        tell(console, f"{group.finding}{where}", "yellow")


def show_table(answer: Answer, console: Console, most_rows: int | None = None) -> None:
    """The table of one model and workload, and what it leaves unsaid."""
    laid_out = grid(answer, console, most_rows)
    title = shortened(spelled(title_of(answer), console), console.width)
    console.print(Text(title, style="bold"), soft_wrap=True, highlight=False)
    for line in laid_out.lines:
        console.print(line, soft_wrap=True, highlight=False)
    for note, style in notes(answer, laid_out):
        tell(console, note, style)


def title_of(answer: Answer) -> str:
    """Which model, workload and hardware target."""
    return " · ".join(one_line(name, 24) or "(no name)" for name in (answer.model, answer.workload, answer.hardware))


def told(answer: Answer, sentence: str) -> str:
    """A headline or a sentence on one line, the names in it no longer than a reader reads."""
    names = sorted({row.name for row in answer.rows}, key=len, reverse=True)
    for name in names:
        if len(name) > _LONGEST_NAME:
            sentence = sentence.replace(name, shortened(one_line(name), _LONGEST_NAME))
    return one_line(sentence, _LONGEST)


def of_one_device(hardware: str, results: Sequence[Result]) -> str:
    """That intervals tell nothing of other units of a hardware target; "" where several ran."""
    devices = sorted({device for result in results for device in result.devices})
    if len(devices) != 1:
        return ""
    unit, kind = one_line(devices[0], 40), one_line(hardware, 40)
    return f"intervals speak of one device, {unit}, alone, and of no other unit of {kind}"


def run_line(run: Run) -> str:
    """Which run it was."""
    made = f"{counted(run.attempts, 'attempt')} in {counted(run.jobs, 'job')}"
    state = "" if run.state == "finished" else f" · {run.state}"
    return f"run {run.id} · {one_line(run.suite, 40)}{state} · {made}"


def counted(count: int, what: str) -> str:
    """`1 job`, `2 jobs`."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def _verdicts(answers: Sequence[Answer], console: Console) -> None:
    """A line for each and its sentences; what all of several say is said once."""
    several = len(answers) > 1
    shared = (
        [line for line in answers[0].sentences if all(line in each.sentences for each in answers)] if several else []
    )
    for answer in answers:
        sign, style = SIGNS[answer.kind]
        which = f"{title_of(answer)}: " if several else ""
        tell(console, f"{sign} {which}{told(answer, answer.headline)}", style)
        for sentence in answer.sentences:
            if sentence not in shared:
                tell(console, told(answer, sentence), indent=2)
    for sentence in shared:
        tell(console, told(answers[0], sentence))
