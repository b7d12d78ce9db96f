"""An attempt's answers scored: what is kept beside them. The only place where a task's code sees a device's answer."""

from __future__ import annotations

import hashlib
import json
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from benchharness.records import TASK_DOCUMENTS, TASK_LIKELIHOODS, TASK_REPLICATES, DocumentRow
from benchharness.results.result import Attempt, Job, Measurement, Outcome, OutcomeKind
from benchharness.results.told import Effective
from benchharness.scenarios.task.sets import Document, Measure, Scores, TaskFailed, known

#: What is kept of the texts of a document, and of how many documents, for a report to show.
LONGEST_TEXT, LONGEST_ANSWER, MOST_DOCUMENTS = 240, 120, 2000
_DIGITS = 13  # hexadecimal ones, which a double holds exactly
_MOST_EVIDENCE = 4000


def scored(job: Job, attempt: Attempt) -> Attempt:
    """The attempt with its documents' scores; one whose answers cannot be scored is `invalid`, and says why."""
    rows = next((each.samples for each in attempt.measurements if each.metric == TASK_LIKELIHOODS.metric), ())
    told = attempt.effective.to_json()
    try:
        task = known(job.workload.name, job.settings)
        found = task.scores(told, rows)
        parameters = {"task": task.name, "used": f"{task.used} of {task.total} documents"}
        measured = list(_measured(found, parameters))
    except TaskFailed as error:
        return _invalid(attempt, str(error), error.evidence)
    except Exception as error:  # somebody else's code, or a device that found a way to lie: the run goes on
        return _invalid(
            attempt, f"the answers cannot be scored: {type(error).__name__}: {error}", traceback.format_exc()
        )
    told.pop("answers", None)  # what is shown of them is kept with their documents
    told.pop("outputs", None)
    told["documents"] = _shown(found)
    told["scored"] = dict(found.told)
    return replace(
        attempt,
        effective=Effective.from_json(told),
        measurements=[*attempt.measurements, *measured],
    )


def _invalid(attempt: Attempt, reason: str, evidence: str) -> Attempt:
    outcome = Outcome(kind=OutcomeKind.INVALID, reason=reason[:1000], evidence=evidence[-_MOST_EVIDENCE:])
    return replace(attempt, outcome=outcome)


def number_of(key: str) -> int:
    """A document's number, made of what tells it from others: the same wherever it is scored."""
    return int(hashlib.sha256(key.encode("utf-8", "backslashreplace")).hexdigest()[:_DIGITS], 16)


def _measured(found: Scores, parameters: dict[str, Any]) -> Iterator[Measurement]:
    numbers = [number_of(document.key) for document in found.documents]
    if len(set(numbers)) < len(numbers):
        raise TaskFailed("two documents of the task are the same one")
    for measure in found.measures:
        named = {**parameters, "measure": measure.name, "better": measure.better or "unknown"}
        if measure.value is None:
            yield _documents(measure, numbers, {**named, "as": "exp" if measure.exp else "mean"})
        else:
            which = hashlib.sha256(json.dumps(numbers).encode()).hexdigest()[:_DIGITS]
            yield Measurement(
                metric=TASK_REPLICATES.metric,
                parameters={**named, "documents": which, "count": len(numbers)},
                value=measure.value,
                samples=list(measure.replicates),
            )


def _documents(measure: Measure, numbers: Sequence[int], parameters: dict[str, Any]) -> Measurement:
    parts = zip(numbers, measure.totals, measure.weights, strict=True)
    rows = [DocumentRow(document=number, total=total, weight=weight) for number, total, weight in parts]
    whole = sum(measure.weights)
    value = sum(measure.totals) / whole if whole else 0.0
    return Measurement(
        metric=TASK_DOCUMENTS.metric,
        parameters=parameters,
        value=value,
        samples=TASK_DOCUMENTS.flat(rows),
        row_length=TASK_DOCUMENTS.row_length,
    )


def _shown(found: Scores) -> list[dict[str, Any]]:
    """Documents as a report shows them, with what each measure says of them."""
    measures = [each for each in found.measures if each.value is None]
    return [_one(document, number, measures) for number, document in enumerate(found.documents[:MOST_DOCUMENTS])]


def _one(document: Document, number: int, measures: Sequence[Measure]) -> dict[str, Any]:
    return {
        "document": number_of(document.key),
        "text": document.text[-LONGEST_TEXT:],
        "target": document.target[:LONGEST_ANSWER],
        "answer": document.answer[:LONGEST_ANSWER],
        "scores": {each.name: each.totals[number] for each in measures},
    }
