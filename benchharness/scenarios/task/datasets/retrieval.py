"""Search by embeddings: of each query how many of its documents are found, and how high."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchharness.scenarios.task.datasets import shown
from benchharness.scenarios.task.datasets.card import Card
from benchharness.scenarios.task.sets import HIGHER, Measure, Scores, TaskFailed

Floats = NDArray[np.float64]


def found(card: Card, documents: Sequence[Mapping[str, Any]], answers: Sequence[Any]) -> Scores:
    """Recall and nDCG at each `k`, by cosine. A query is a document that says what is `relevant`: ids, or their grades.

    nDCG has gains of 2^grade - 1 over log2(1 + rank), as Järvelin and Kekäläinen have it. Raises `TaskFailed`.
    """
    ids = [str(each[card.column("id")]) for each in documents]
    column = card.column("relevant")
    queries = [place for place, each in enumerate(documents) if column in each]
    others = [place for place, each in enumerate(documents) if column not in each]
    if not queries or not others:
        raise TaskFailed(
            f"{len(queries)} queries and {len(others)} documents: a query says what is {column!r}, a document not"
        )
    vectors = np.stack([_vector(answer) for answer in answers])
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    if not lengths.all():
        raise TaskFailed("an embedding is all zeros, and has no direction")
    vectors = vectors / lengths
    similar = vectors[queries] @ vectors[others].T
    ranked = np.argsort(-similar, axis=1, kind="stable")
    grades = [_grades(documents[place][column], {ids[each] for each in others}) for place in queries]
    orders = [[ids[others[place]] for place in row] for row in ranked]
    measures = []
    for k in card.k:
        recalls = [_recall(order[:k], graded) for order, graded in zip(orders, grades, strict=True)]
        gains = [_ndcg(order[:k], graded, k) for order, graded in zip(orders, grades, strict=True)]
        ones = [1.0] * len(queries)
        measures.append(Measure(name=f"recall@{k}", better=HIGHER, totals=recalls, weights=ones))
        measures.append(Measure(name=f"ndcg@{k}", better=HIGHER, totals=gains, weights=ones))
    told = [
        shown(card, documents[place], ", ".join(graded), order[0])
        for place, graded, order in zip(queries, grades, orders, strict=True)
    ]
    return Scores(
        documents=told, measures=measures, told={"searched": f"{len(queries)} queries in {len(others)} documents"}
    )


def _vector(answer: Any) -> Floats:
    array = answer
    if isinstance(answer, Mapping):
        if len(answer) != 1:
            raise TaskFailed(f"the model gives {len(answer)} outputs: name the embedding (outputs, in the card)")
        (array,) = answer.values()
    values = np.asarray(array, dtype=np.float64)
    if values.ndim == 2 and values.shape[0] == 1:
        values = values[0]
    if values.ndim != 1 or not np.isfinite(values).all():
        raise TaskFailed(f"an embedding is one row of numbers, and this one has the shape {list(values.shape)}")
    return values


def _grades(said: Any, known: set[str]) -> dict[str, float]:
    graded = {str(key): float(value) for key, value in said.items()} if isinstance(said, Mapping) else None
    graded = {str(each): 1.0 for each in said} if graded is None else graded
    graded = {key: grade for key, grade in graded.items() if grade > 0}
    missing = [key for key in graded if key not in known]
    if missing or not graded:
        raise TaskFailed(
            f"a query wants {missing[0][:60]!r}, which is no document" if missing else "a query wants nothing"
        )
    return graded


def _recall(order: Sequence[str], graded: Mapping[str, float]) -> float:
    return sum(each in graded for each in order) / len(graded)


def _ndcg(order: Sequence[str], graded: Mapping[str, float], k: int) -> float:
    best = sorted(graded.values(), reverse=True)[:k]
    return _gain([graded.get(each, 0.0) for each in order]) / _gain(best)


def _gain(grades: Sequence[float]) -> float:
    return float(sum((2**grade - 1) / np.log2(rank + 1) for rank, grade in enumerate(grades, 1)))
