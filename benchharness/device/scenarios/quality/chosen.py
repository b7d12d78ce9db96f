"""Which class a classifier's answer is, and the scores of all classes: of a row of scores, of one score, of a label.

One score is the probability of one of two classes, or its logit, which stand for two: 1 - p and p, or 0 and the logit.
Its class is meant above the threshold, a probability: 0.5, or the suite's. A label is the class itself and has no
scores.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from benchharness.device.scenarios.quality.scores import (
    INDEPENDENT,
    LOG_PROBABILITIES,
    LOGITS,
    PROBABILITIES,
    Decision,
    said_by,
)
from benchharness.errors import InvalidOutput, Unsupported

if TYPE_CHECKING:
    Array = np.ndarray[Any, np.dtype[Any]]

_HALF = 0.5
_WHOSE = ("the reference", "this variant")
_ONE = "the classifier gives one number for each input"
_LINES = 'write scores = "probabilities" or scores = "logits" under the model in the suite'


class Answer(NamedTuple):
    """One side's answer: its class, and the scores of all classes."""

    chosen: int
    scores: Array


class Scores:
    """A score for each class: the largest is the answer."""

    def __init__(self, decision: Decision, classes: int, threshold: float | None) -> None:
        if threshold is not None:
            raise Unsupported(
                f"threshold = {threshold:g}: is for a classifier that gives one score, and this one gives {classes}; "
                "its answer is the largest of them. Leave 'threshold' out"
            )
        self.decision = decision
        self.classes = classes

    def of(self, values: Array, _: int) -> Answer:
        """One side's answer."""
        return Answer(int(values.argmax()), values)

    def parameters(self) -> dict[str, Any]:
        """For measurements."""
        return {"classes": self.classes}


class OneScore:
    """One score of two classes, on each side a probability or a logit, as the suite or each graph says."""

    classes = 2

    def __init__(
        self,
        said: str | None,
        reference: str | None,
        variant: str | None,
        *,
        threshold: float | None,
        classifier: bool,
    ) -> None:
        """`reference` and `variant` are the operators that compute the score; `classifier`: the suite says so."""
        self._threshold = _HALF if threshold is None else threshold
        kinds = [said or said_by(operator) for operator in (reference, variant)]
        if None in kinds:
            ends = " and ".join(
                dict.fromkeys(str(each or "an operator that does not tell") for each in (reference, variant))
            )
            raise Unsupported(f"{_ONE}, and whether it is a probability or a logit is not known ({ends}); {_LINES}")
        if LOGITS in kinds and said is None and not classifier:
            raise Unsupported(
                f"{_ONE}, computed by {reference or variant}: it may be a logit, or no class at all; {_LINES}, or "
                'task = "classifier"'
            )
        self._kinds = [PROBABILITIES if kind == INDEPENDENT else str(kind) for kind in kinds]
        logits = set(self._kinds) == {LOGITS}
        by = (
            "as the suite says" if said else f"by the graph's last operator, {' and '.join(_names(reference, variant))}"
        )
        self._by_logits = logits
        self.decision = Decision(LOGITS if logits else PROBABILITIES, f"{by}, of one class of two")

    def of(self, values: Array, whose: int) -> Answer:
        """One side's answer. Raises `InvalidOutput`, `Unsupported` for what is no such score."""
        score, kind = float(values[0]), self._kinds[whose]
        if math.isnan(score):
            raise InvalidOutput(f"{_WHOSE[whose]}: NaN or infinite scores")
        if kind == LOGITS:
            limit = math.log(self._threshold / (1 - self._threshold))
            pair = [0.0, score] if self._by_logits else [_sigmoid(-score), _sigmoid(score)]
            return Answer(int(score > limit), np.array(pair))
        chance = math.exp(min(score, 1.0)) if kind == LOG_PROBABILITIES else score
        if not 0 <= chance <= 1 + 1e-6:
            raise Unsupported(
                f"the score of {_WHOSE[whose]}, taken for one of {kind} {self.decision.by}, is none: it is {score:g}; "
                'write what it is under the model in the suite, such as scores = "logits"'
            )
        chance = min(chance, 1.0)
        return Answer(int(chance > self._threshold), np.array([1 - chance, chance]))

    def parameters(self) -> dict[str, Any]:
        """For measurements."""
        return {"classes": self.classes, "threshold": self._threshold}


class Label:
    """The class itself, and no scores."""

    classes = 0  # not known

    def __init__(self, threshold: float | None) -> None:
        if threshold is not None:
            raise Unsupported(
                f"threshold = {threshold:g}: is for a classifier that gives one score, and this one gives a label; "
                "leave 'threshold' out"
            )
        self.decision = Decision(None, "", "the model gives the label of a class and no scores of classes")

    def of(self, values: Array, _: int) -> Answer:
        """One side's answer."""
        return Answer(int(values[0]), values)

    def parameters(self) -> dict[str, Any]:
        """For measurements."""
        return {"answer": "label"}


def _names(*operators: str | None) -> list[str]:
    return list(dict.fromkeys(operator for operator in operators if operator and said_by(operator)))


def _sigmoid(value: float) -> float:
    return 1 / (1 + math.exp(-value)) if value >= 0 else math.exp(value) / (1 + math.exp(value))
