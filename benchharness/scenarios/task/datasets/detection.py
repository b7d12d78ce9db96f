"""Detectors: mean average precision as COCO has it, by faster-coco-eval."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np

from benchharness.scenarios.task.datasets import shown
from benchharness.scenarios.task.datasets.card import Card
from benchharness.scenarios.task.drawing import redrawn
from benchharness.scenarios.task.sets import HIGHER, Measure, Scores, TaskFailed

#: What a detector may find in one picture.
_MOST_BOXES = 10_000
#: By name, which of the twelve figures that COCO prints.
_FIGURES = {"map": 0, "map_50": 1}
_DRAWS = 200  # a draw evaluates all pictures again

#: A picture's boxes: left, top, width, height; label; score.
Boxes = list[tuple[list[float], str, float]]


def mean_precision(card: Card, documents: Sequence[Mapping[str, Any]], answers: Sequence[Any]) -> Scores:
    """`map`: over intersections from 0.5 to 0.95; `map_50`: at 0.5. Both are of all pictures together.

    An answer is `{"boxes": [[left, top, width, height], …], "scores": […], "labels": […]}`. Raises `TaskFailed`.
    """
    truth = [_true(document, card) for document in documents]
    given = [_given(answer, number) for number, answer in enumerate(answers)]
    labels = sorted({label for boxes in (*truth, *given) for _, label, _ in boxes})
    if not any(truth):
        raise TaskFailed("no document has a box: there is nothing to find")
    figures = precision(truth, given, labels)

    @cache  # both figures are of the same draws
    def of(places: tuple[int, ...]) -> dict[str, float]:
        return precision([truth[at] for at in places], [given[at] for at in places], labels)

    def drawn(name: str) -> list[float]:
        return redrawn(lambda places: of(tuple(places))[name], len(truth), draws=_DRAWS)

    told = zip(documents, truth, given, strict=True)
    return Scores(
        documents=[
            shown(card, document, f"{len(true)} boxes", f"{len(boxes)} boxes") for document, true, boxes in told
        ],
        measures=[
            Measure(
                name=name,
                better=HIGHER,
                value=figures[name],
                replicates=drawn(name),
            )
            for name in _FIGURES
        ],
        told={"by": "faster-coco-eval"},
    )


def precision(truth: Sequence[Boxes], given: Sequence[Boxes], labels: Sequence[str]) -> dict[str, float]:
    """The library's own figures of pictures, by name. Raises `TaskFailed` where it has none."""
    from faster_coco_eval import COCO, COCOeval_faster

    number = {label: place for place, label in enumerate(labels, 1)}
    pictures = [{"id": place} for place in range(1, len(truth) + 1)]
    annotations = [
        {"image_id": place, "category_id": number[label], "bbox": box, "area": box[2] * box[3], "iscrowd": 0}
        for place, boxes in enumerate(truth, 1)
        for box, label, _ in boxes
    ]
    found = [
        {"image_id": place, "category_id": number[label], "bbox": box, "score": score}
        for place, boxes in enumerate(given, 1)
        for box, label, score in boxes
    ]
    if not found:
        return dict.fromkeys(_FIGURES, 0.0)
    table = {
        "images": pictures,
        "annotations": [{"id": place, **each} for place, each in enumerate(annotations, 1)],
        "categories": [{"id": place, "name": label} for label, place in number.items()],
    }
    of_truth = COCO(table)
    evaluation = COCOeval_faster(of_truth, of_truth.loadRes(found), "bbox")
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    figures = {name: float(evaluation.stats[place]) for name, place in _FIGURES.items()}
    if any(not math.isfinite(each) or each < 0 for each in figures.values()):
        raise TaskFailed("no picture has a box: there is no precision")
    return figures


def _true(document: Mapping[str, Any], card: Card) -> Boxes:
    boxes, labels = document[card.column("boxes")], document[card.column("labels")]
    if not isinstance(boxes, list) or not isinstance(labels, list) or len(boxes) != len(labels):
        raise TaskFailed("a document has another number of boxes than of labels")
    return [(_box(box, "a document"), str(label), 1.0) for box, label in zip(boxes, labels, strict=True)]


def _given(answer: Any, number: int) -> Boxes:
    where = f"the answer to document {number}"
    if not isinstance(answer, Mapping) or not {"boxes", "scores", "labels"} <= set(answer):
        raise TaskFailed(
            f"{where} has no boxes, scores and labels; name a function that makes them of what the model gives "
            "(after, in the card)"
        )
    boxes, scores, labels = (list(answer[key]) for key in ("boxes", "scores", "labels"))
    if not len(boxes) == len(scores) == len(labels) <= _MOST_BOXES:
        raise TaskFailed(f"{where}: {len(boxes)} boxes, {len(scores)} scores and {len(labels)} labels")
    found = []
    for box, score, label in zip(boxes, scores, labels, strict=True):
        if not math.isfinite(float(score)):
            raise TaskFailed(f"{where}: a score of {float(score)}")
        found.append((_box(box, where), str(label), float(score)))
    return found


def _box(box: Any, where: str) -> list[float]:
    values = [float(each) for each in np.asarray(box, dtype=np.float64).reshape(-1)]
    if len(values) != 4 or not all(map(math.isfinite, values)) or values[2] < 0 or values[3] < 0:
        raise TaskFailed(f"{where}: a box is left, top, width and height, and this one is {str(values)[:80]}")
    return values
