"""What a classifier's scores are, decided once for a model and alike for both sides, and what follows from it.

In this order: what the suite says (`scores =`), else the last operator of a graph, else all samples of the reference:
numbers that are at least 0 and add up to 1 in every one of them are probabilities, and anything else is logits. Scores
of one sample alone decide nothing: three logits may add up to 1 by chance.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from benchharness.device.scenarios.quality.divergence import Compared, compare_classes, divergence, log_softmax
from benchharness.errors import InvalidOutput, Unsupported

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = np.ndarray[Any, np.dtype[Any]]
    Floats = NDArray[np.float64]

PROBABILITIES, LOG_PROBABILITIES, LOGITS = "probabilities", "log-probabilities", "logits"
#: A probability for each class by itself, as of tags of which several hold: no distribution over the classes.
INDEPENDENT = "independent"

#: What the last operator that computes says, by its names in ONNX, TFLite and Core ML. Others say nothing: an Add may
#: end a sum of logits or a mean of probabilities.
_OF_OPERATORS: Mapping[str, str] = {
    **dict.fromkeys(("Softmax", "QLinearSoftmax", "SOFTMAX", "softmax"), PROBABILITIES),
    **dict.fromkeys(("LogSoftmax", "LOG_SOFTMAX"), LOG_PROBABILITIES),
    **dict.fromkeys(("Sigmoid", "HardSigmoid", "QLinearSigmoid", "LOGISTIC", "sigmoid"), INDEPENDENT),
    **dict.fromkeys(("MatMul", "Gemm", "Conv", "QLinearMatMul", "QGemm", "QLinearConv", "MatMulNBits"), LOGITS),
    **dict.fromkeys(("FULLY_CONNECTED", "CONV_2D", "linear", "conv"), LOGITS),
}
_FROM_SAMPLES = "by all samples"


def said_by(operator: str | None) -> str | None:
    """What the operator that computes scores says they are; None: nothing."""
    return _OF_OPERATORS.get(operator or "")


class Decision(NamedTuple):
    """What the scores are; None: all samples have to be seen. Where no divergence follows, `why_not` says why."""

    are: str | None
    by: str
    why_not: str = ""


def decide(said: str | None, reference: str | None, variant: str | None) -> Decision:
    """By the suite's word, else by the last operators of both graphs where they tell (None: they do not)."""
    if said is not None:
        return Decision(said, "as the suite says")
    told = [(name, said_by(name)) for name in (reference, variant)]
    known = [(name, are) for name, are in told if are is not None]
    if not known:
        return Decision(None, _FROM_SAMPLES)
    name, are = known[0]
    if any(other != are for _, other in known):
        ends = (
            f"the reference's graph ends in {reference} ({told[0][1]}), and this variant's in {variant} ({told[1][1]})"
        )
        return Decision(None, "", f"{ends}: export both with the same last operator, then their scores compare")
    by = f"by the graph's last operator, {name}"
    if are == INDEPENDENT:
        return Decision(
            are,
            by,
            f"each score stands for itself ({name}), so they are no distribution over classes; where they are "
            'one, write scores = "probabilities" or "logits" under the model in the suite',
        )
    return Decision(are, by)


class Divergences:
    """The divergence of each sample of one variant. Where only all samples decide, both readings are kept until then:
    numbers, never scores."""

    def __init__(self, decision: Decision) -> None:
        self._decision = decision
        readings = (PROBABILITIES, LOGITS) if decision.are is None else (decision.are,)
        self._rows: dict[str, list[Compared]] = {} if decision.why_not else {are: [] for are in readings}
        self._reference_adds_up = True
        self._not_like_it = ""  # what the variant's scores are instead of probabilities

    def add(self, reference: Array, variant: Array) -> None:
        """The next sample's scores. Raises `InvalidOutput` for what no reading can be, `Unsupported` for scores that
        are not what they were said to be."""
        for values, whose in ((reference, "the reference"), (variant, "this variant")):
            if not _readable(values, self._decision.are):
                raise InvalidOutput(f"{whose}: NaN or infinite scores")
        for are, rows in self._rows.items():
            if are == PROBABILITIES:
                self._add_probabilities(reference, variant, rows)
            elif are == LOGITS:
                one, other = log_softmax(reference, "the reference"), log_softmax(variant, "this variant")
                rows.append(_of_log(one, other))
            else:
                one, other = (_of_logarithms(values, whose) for values, whose in _sides(reference, variant))
                rows.append(_of_log(one, other))

    def _add_probabilities(self, reference: Array, variant: Array, rows: list[Compared]) -> None:
        wrong = [(whose, why) for values, whose in _sides(reference, variant) if (why := why_no_distribution(values))]
        if self._decision.are is None:
            self._reference_adds_up &= not why_no_distribution(reference, whole=True)
            if wrong:
                self._not_like_it = self._not_like_it or wrong[0][1]
                return
        elif wrong:
            whose, why = wrong[0]
            raise Unsupported(
                f"the scores of {whose}, taken for probabilities {self._decision.by}, are none: {why}; write what they "
                'are under the model in the suite, such as scores = "logits"'
            )
        one, other = np.asarray(reference, np.float64), np.asarray(variant, np.float64)
        rows.append(compare_classes(one, other))

    def decided(self) -> tuple[Decision, list[Compared]]:
        """What the scores were, after the last sample, and each sample's divergence; none where it says why not."""
        decision = self._taken()
        rows = self._rows.get(decision.are or "", [])
        step = min((each.room.step for each in rows if each.room), default=0.0)
        return decision, [each.with_step(step) for each in rows]

    def _taken(self) -> Decision:
        if self._decision.why_not or self._decision.are is not None:
            return self._decision
        if not self._reference_adds_up:
            return Decision(LOGITS, _FROM_SAMPLES)
        if self._not_like_it:
            why = "the reference's scores add up to 1 in every sample, and this variant's are no probabilities"
            line = 'write scores = "logits" under the model in the suite if they are'
            return Decision(None, _FROM_SAMPLES, f"{why} ({self._not_like_it}); {line}")
        return Decision(PROBABILITIES, _FROM_SAMPLES)


def why_no_distribution(scores: Array, *, whole: bool = False) -> str:
    """What keeps scores from being probabilities; "" where nothing does.

    Rounding to 8 bits moves each by half a step, up or down, and takes all of what is smaller: they may add up to less,
    but for `whole` ones, which have to add up to 1 as far as that allows.
    """
    values = np.asarray(scores, dtype=np.float64).reshape(-1)
    total, slack = float(values.sum()), max(1e-3, values.size / 512)
    if values.min(initial=0.0) < 0:
        return f"one is {values.min():g}"
    if total > 1 + slack or (whole and total < 1 - slack):
        return f"they add up to {total:g}"
    return ""


def _of_log(reference: Floats, variant: Floats) -> Compared:
    """Of log probabilities: as probabilities the smallest of them would be 0, as logarithms they are not."""
    one, other = np.exp(reference), np.exp(variant)
    if (np.isneginf(variant) & ~np.isneginf(reference)).any():
        return compare_classes(one / one.sum(), other / other.sum())
    return Compared(max(0.0, float(divergence(reference, variant))), float(np.abs(one - other).sum()) / 2, 0)


def _sides(reference: Array, variant: Array) -> tuple[tuple[Array, str], tuple[Array, str]]:
    return (reference, "the reference"), (variant, "this variant")


def _readable(values: Array, are: str | None) -> bool:
    """Minus infinity is a logarithm of 0, which a reading as probabilities has no place for."""
    return bool(
        np.isfinite(values).all() or (are != PROBABILITIES and not (np.isnan(values) | np.isposinf(values)).any())
    )


def _of_logarithms(values: Array, whose: str) -> Any:
    """Log probabilities as told. Raises `Unsupported` where they are none; rounded ones are brought back to 1."""
    if float(np.max(values)) > 1e-2:
        raise Unsupported(
            f"the scores of {whose} are no logarithms of probabilities: one is {float(np.max(values)):g}; write what "
            'they are under the model in the suite, such as scores = "logits"'
        )
    return log_softmax(values, whose)
