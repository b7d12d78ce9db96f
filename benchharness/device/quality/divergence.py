"""The numbers that are kept of two answers to the same question. float64 throughout; natural logarithms."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from benchharness.errors import InvalidOutput

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Array = np.ndarray[Any, np.dtype[Any]]

_INFINITE = "the variant gives probability 0 to what the reference gives more: KLD is infinite"


def log_softmax(logits: Array, whose: str) -> Floats:
    """Log probabilities along the last axis. Raises `InvalidOutput` for NaN, plus infinity, or minus infinity only."""
    values = np.asarray(logits, dtype=np.float64)
    highest = values.max(axis=-1, keepdims=True)  # NaN where one value is NaN
    if not np.isfinite(highest).all():
        raise InvalidOutput(f"{whose}: NaN or infinite logits in {int((~np.isfinite(highest)).sum())} rows")
    shifted = values - highest
    found: Floats = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return found


def divergence(reference: Floats, variant: Floats) -> Floats:
    """KLD = sum p_ref (ln p_ref - ln p_var) of each row, from log probabilities. Identical rows give exactly 0."""
    with np.errstate(invalid="ignore"):  # minus infinity less minus infinity, where the weight is 0 anyway
        terms = np.exp(reference) * (reference - variant)
    found: Floats = np.where(np.isneginf(reference), 0.0, terms).sum(axis=-1)
    if not np.isfinite(found).all():
        raise InvalidOutput(_INFINITE)
    return found


class Softened(NamedTuple):
    """One row of logits on the way to probabilities: exp(shifted) / total, in float64. A row stays in the cache."""

    shifted: Floats  # logits less the highest of them
    weights: Floats  # exp(shifted)
    total: float  # of the weights
    log_total: float
    top: int  # the most probable token

    def negative_log(self, token: int) -> float:
        """-ln p of a token."""
        return self.log_total - float(self.shifted[token])


def softened(logits: Array, whose: str) -> Softened:
    """For logits of the shape (vocabulary,). Raises `InvalidOutput` as `log_softmax` does."""
    top = int(logits.argmax())  # the first NaN, where there is one
    highest = float(logits[top])
    if not math.isfinite(highest):
        raise InvalidOutput(f"{whose}: NaN or infinite logits")
    shifted: Floats = np.subtract(logits, highest, dtype=np.float64)
    weights: Floats = np.exp(shifted)
    total = float(weights.sum())
    return Softened(shifted, weights, total, math.log(total), top)


def token_row(reference: Softened, variant: Softened, target: int) -> tuple[float, float, float, float]:
    """(nll_reference, nll_variant, KLD, same top token) where the text goes on with `target`.

    KLD as in `divergence`, with one logarithm a row: sum p_ref (shifted_ref - shifted_var) + ln total_var - ln
    total_ref. What cancels there is of the size of the logits' difference: digits stay at any divergence worth telling.
    """
    with np.errstate(invalid="ignore"):  # minus infinity less minus infinity
        difference = reference.shifted - variant.shifted
        # No dot product: its threads would take the cores from the models.
        weighted = float(np.multiply(reference.weights, difference, out=difference).sum())
    if not math.isfinite(weighted):
        weighted = float(np.where(np.isneginf(reference.shifted), 0.0, difference).sum())
    found = weighted / reference.total + (variant.log_total - reference.log_total)
    if not math.isfinite(found):
        raise InvalidOutput(_INFINITE)
    theirs, ours = reference.negative_log(target), variant.negative_log(target)
    if math.isinf(theirs + ours):
        raise InvalidOutput("the text goes on with a token of probability 0: perplexity is infinite")
    return theirs, ours, max(0.0, found), float(reference.top == variant.top)


def class_distribution(scores: Array, whose: str) -> Floats:
    """Log probabilities of the classes: the scores themselves where they are a distribution, else their softmax."""
    values = np.asarray(scores, dtype=np.float64).reshape(-1)
    # Outputs rounded to 8 bits add up to 1 within half a step each.
    if values.min(initial=0.0) >= 0 and abs(float(values.sum()) - 1) <= max(1e-3, values.size / 512):
        floor = np.finfo(np.float64).tiny
        clipped = np.maximum(values, floor)
        found: Floats = np.log(clipped / clipped.sum())
        return found
    return log_softmax(values, whose)


def tensor_row(reference: Array, variant: Array) -> tuple[float, float, float, float]:
    """(signal power, noise power, cosine, largest absolute error) of one output for one input."""
    one = np.asarray(reference, dtype=np.float64).reshape(-1)
    other = np.asarray(variant, dtype=np.float64).reshape(-1)
    if not np.isfinite(one).all() or not np.isfinite(other).all():
        raise InvalidOutput("an output has NaN or infinite numbers")
    noise = other - one
    largest = float(np.abs(noise).max(initial=0.0))
    return float(one @ one), float(noise @ noise), cosine(one, other), largest


def cosine(one: Floats, other: Floats) -> float:
    """Cosine of two vectors: 1 for identical ones, 0 where only one of them is all zeros."""
    if np.array_equal(one, other):
        return 1.0
    length = float(np.linalg.norm(one) * np.linalg.norm(other))
    return float(one @ other) / length if length > 0 else 0.0


def rank_correlation(reference: Floats, variant: Floats) -> float:
    """Spearman's rank correlation of the cosines of all pairs of rows. Shapes (n, d), n >= 3.

    1 for identical ranks; 0 where one of the two tells no pair from another, and so has no order.
    """
    pairs = np.triu_indices(len(reference), k=1)
    one, other = (_ranks(_unit(rows) @ _unit(rows).T, pairs) for rows in (reference, variant))
    if np.array_equal(one, other):
        return 1.0
    one, other = one - one.mean(), other - other.mean()
    length = float(np.linalg.norm(one) * np.linalg.norm(other))
    return float(one @ other) / length if length > 0 else 0.0


def _unit(rows: Floats) -> Floats:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(lengths > 0, lengths, 1.0)


def _ranks(similarities: Floats, pairs: Any) -> Floats:
    """Ranks of the pairs' similarities; ties share their mean rank."""
    _, inverse, counts = np.unique(similarities[pairs], return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return (ends - (counts - 1) / 2)[inverse]
