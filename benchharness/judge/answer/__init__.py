"""What a run answers: for each model and workload on a hardware target, which variant may ship, and what decides it.

`model` is the frozen data that terminal and pages show, `table` the rows and columns, `words` the headline and the
sentences below it, `answering` puts them together, `across` has those of several hardware targets side by side. Pure:
it adds nothing to what results, verdicts and choices say.
"""

from benchharness.judge.answer.across import Across, Place, Standing, across, findings, worst_last
from benchharness.judge.answer.answering import answers, worst_first
from benchharness.judge.answer.model import Answer, AnswerKind, Cell, Column, Row
from benchharness.judge.answer.table import takes_text

__all__ = [
    "Across",
    "Answer",
    "AnswerKind",
    "Cell",
    "Column",
    "Place",
    "Row",
    "Standing",
    "across",
    "answers",
    "findings",
    "takes_text",
    "worst_first",
    "worst_last",
]
