"""What a device answered, checked: it is not trusted, and every answer is there once or the attempt is none."""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchharness.device.scenarios.task.asked import GENERATE, Request
from benchharness.records import TASK_LIKELIHOODS
from benchharness.scenarios.task.sets import Answer, TaskFailed

#: An array has no more axes and numbers than this.
_MOST_AXES, _MOST_NUMBERS, _MOST_OUTPUTS = 16, 1 << 26, 100


def answers_of(requests: Sequence[Request], effective: Mapping[str, Any], rows: Sequence[float]) -> list[Answer]:
    """What a device answered, request by request. Raises `TaskFailed` where an answer is missing, or one too many."""
    likelihoods = {int(row.request): row for row in TASK_LIKELIHOODS.rows(rows)}
    written = effective.get("answers")
    texts = written if isinstance(written, Mapping) else {}
    found = []
    for number, request in enumerate(requests):
        if request.kind == GENERATE:
            told = texts.get(str(number))
            text = told.get("text") if isinstance(told, Mapping) else None
            if not isinstance(text, str):
                raise TaskFailed(f"the device did not answer request {number} of {len(requests)}")
            found.append(Answer(text=text))
        elif number in likelihoods:
            row = likelihoods[number]
            found.append(Answer(log_likelihood=row.log_likelihood, greedy=bool(row.greedy)))
        else:
            raise TaskFailed(f"the device did not answer request {number} of {len(requests)}")
    if len(likelihoods) != TASK_LIKELIHOODS.count(rows) or len(likelihoods) + len(texts) > len(requests):
        raise TaskFailed(f"the device gave more answers than the {len(requests)} that it was asked for")
    return found


def arrays_of(told: Any, documents: int) -> list[dict[str, NDArray[Any]]]:
    """The outputs of each document by name. Raises `TaskFailed` for what are no arrays, or not one lot a document."""
    if not isinstance(told, list | tuple) or len(told) != documents:
        count = len(told) if isinstance(told, list | tuple) else "no"
        raise TaskFailed(f"the device gave {count} answers to {documents} documents")
    return [_arrays(each, number) for number, each in enumerate(told)]


def _arrays(told: Any, number: int) -> dict[str, NDArray[Any]]:
    if not isinstance(told, Mapping) or not 1 <= len(told) <= _MOST_OUTPUTS:
        raise TaskFailed(f"the answer to document {number} holds no outputs")
    try:
        return {str(name): _array(*each) for name, each in told.items()}
    except (TypeError, ValueError, binascii.Error) as error:
        raise TaskFailed(f"the answer to document {number} is no array: {error}") from error


def _array(kind: str, shape: Sequence[int], text: str) -> NDArray[Any]:
    dtype = np.dtype(kind)
    if dtype.kind not in "biuf" or len(shape) > _MOST_AXES or any(type(each) is not int or each < 0 for each in shape):
        raise ValueError(f"{str(kind)[:20]} of the shape {str(shape)[:60]}")
    if math.prod(shape) > _MOST_NUMBERS:
        raise ValueError(f"{math.prod(shape)} numbers")
    return np.frombuffer(base64.b64decode(text, validate=True), dtype).reshape(shape)
