"""The numbers that are kept of two answers to the same question. float64 throughout; natural logarithms."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from benchharness.errors import InvalidOutput

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Array = np.ndarray[Any, np.dtype[Any]]


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
        raise InvalidOutput("the variant gives probability 0 to what the reference gives more: KLD is infinite")
    return found


def token_rows(reference: Floats, variant: Floats, targets: Array) -> Floats:
    """Rows (nll_reference, nll_variant, KLD, same top token) for log probabilities (n, vocabulary), targets (n,)."""
    at = np.arange(len(targets))
    same_top = reference.argmax(axis=-1) == variant.argmax(axis=-1)
    columns = (-reference[at, targets], -variant[at, targets], divergence(reference, variant), same_top)
    return np.stack([np.asarray(column, dtype=np.float64) for column in columns], axis=1)


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
    """Spearman's rank correlation of the cosines of all pairs of rows; 1 for identical ones. Shapes (n, d), n >= 3."""
    pairs = np.triu_indices(len(reference), k=1)
    one, other = (_ranks(_unit(rows) @ _unit(rows).T, pairs) for rows in (reference, variant))
    if np.array_equal(one, other):
        return 1.0
    one, other = one - one.mean(), other - other.mean()
    return float(one @ other / (np.linalg.norm(one) * np.linalg.norm(other)))


def _unit(rows: Floats) -> Floats:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(lengths > 0, lengths, 1.0)


def _ranks(similarities: Floats, pairs: Any) -> Floats:
    """Ranks of the pairs' similarities; ties share their mean rank."""
    _, inverse, counts = np.unique(similarities[pairs], return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return (ends - (counts - 1) / 2)[inverse]
