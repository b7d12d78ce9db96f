"""Classifiers: the share of documents whose class is right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from benchharness.scenarios.task.datasets import shown
from benchharness.scenarios.task.datasets.card import Card
from benchharness.scenarios.task.sets import HIGHER, Measure, Scores, TaskFailed


def accuracy(card: Card, documents: Sequence[Mapping[str, Any]], answers: Sequence[Any]) -> Scores:
    """An answer is a class, a whole number or a name, or arrays of which one says it. Raises `TaskFailed`."""
    chosen = [_class(each) for each in answers]
    labels = [document[card.column("label")] for document in documents]
    right = [float(str(one) == str(other)) for one, other in zip(chosen, labels, strict=True)]
    named = zip(documents, labels, chosen, strict=True)
    return Scores(
        documents=[shown(card, document, str(label), str(one)) for document, label, one in named],
        measures=[Measure(name="accuracy", better=HIGHER, totals=right, weights=[1.0] * len(right))],
    )


def _class(answer: Any) -> int | str:
    """What is no class yet is one output: a label, or a score for each class, the largest of which is meant."""
    if isinstance(answer, str):
        return answer
    if isinstance(answer, int | np.integer) and not isinstance(answer, bool):
        return int(answer)
    if isinstance(answer, Mapping) and len(answer) == 1:
        (array,) = answer.values()
        values = np.asarray(array).reshape(-1)
        if values.size == 1 and values.dtype.kind in "iu":
            return int(values[0])
        if values.size > 1:
            return int(values.argmax())
    raise TaskFailed(
        f"which class the answer means is not clear: {_told(answer)}. Name the output of scores (outputs, in the "
        "card), or a function that makes a class of it (after)"
    )


def _told(answer: Any) -> str:
    if isinstance(answer, Mapping):
        return "outputs " + ", ".join(f"{name} {list(np.shape(array))}" for name, array in list(answer.items())[:5])
    return f"{type(answer).__name__} {str(answer)[:60]}"
