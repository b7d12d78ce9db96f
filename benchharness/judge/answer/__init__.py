"""What a run answers: for each model and workload on a hardware target, which variant may ship, and what decides it.

`model` is the frozen data that terminal and pages show, `table` the rows and columns, `words` the headline and the
sentences below it, `answering` puts them together. Pure: it adds nothing to what results, verdicts and choices say.
"""

from benchharness.judge.answer.answering import answers, worst_first
from benchharness.judge.answer.model import Answer, AnswerKind, Cell, Column, Row

__all__ = ["Answer", "AnswerKind", "Cell", "Column", "Row", "answers", "worst_first"]
