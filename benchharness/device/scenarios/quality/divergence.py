"""The numbers that are kept of two answers to the same question. float64 throughout; natural logarithms."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from benchharness.errors import InvalidOutput
from benchharness.records import TensorRow, TokenRow

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Array = np.ndarray[Any, np.dtype[Any]]

_INFINITE = "the variant gives probability 0 to what the reference gives more: KLD is infinite"
_IMPOSSIBLE = "the text goes on with a token of probability 0: perplexity is infinite"


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


def divergence_of(reference: Softened, variant: Softened) -> float:
    """KLD as in `divergence`, with one logarithm a row: sum p_ref (shifted_ref - shifted_var) + ln total_var - ln
    total_ref. What cancels there is of the size of the logits' difference: digits stay at any divergence worth telling.
    Raises `InvalidOutput` where it is infinite.
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
    return max(0.0, found)


def tempered(logits: Array, temperature: float, whose: str) -> Softened:
    """The same row at a temperature: its logits over it. Raises `InvalidOutput` as `softened` does."""
    return softened(np.asarray(logits, dtype=np.float64) / temperature, whose)


def token_row(reference: Softened, variant: Softened, target: int) -> TokenRow:
    """What both make of it where the text goes on with `target`."""
    found = divergence_of(reference, variant)
    theirs, ours = reference.negative_log(target), variant.negative_log(target)
    if math.isinf(theirs + ours):
        raise InvalidOutput(_IMPOSSIBLE)
    return TokenRow(nll_reference=theirs, nll_variant=ours, kld=found, same_top=float(reference.top == variant.top))


def nats_of(row: Softened, target: int) -> float:
    """-ln p of the token that a text goes on with. Raises `InvalidOutput` where it is infinite."""
    found = row.negative_log(target)
    if math.isinf(found):
        raise InvalidOutput(_IMPOSSIBLE)
    return found


class Room(NamedTuple):
    """The mass that a variant's probabilities leave for the classes it rounds to zero, and what KLD is with it."""

    mass: float
    zeros: int  # classes that it rounds to zero
    step: float  # the least difference between two of its probabilities, which is no less than what they are rounded to
    divergence: float


class Compared(NamedTuple):
    """Two answers of a classifier: KLD, half the sum of absolute differences, how many classes KLD has pooled."""

    divergence: float
    total_variation: float
    pooled: int
    room: Room | None = None

    def with_step(self, step: float) -> Compared:
        """The same once the step of all answers is known: with the mass that is left, where rounding explains it."""
        if self.room is None or not _is_rounding(self.room.mass, self.room.zeros, step):
            return self
        return self._replace(divergence=self.room.divergence)


def compare_classes(reference: Floats, variant: Floats) -> Compared:
    """KLD and total variation of two rows of probabilities.

    Where the variant gives 0 to a class and the reference more, KLD is infinite, though all that happened may be that
    8 bits round what is below half a step to 0. Any number put there instead would be the figure. So the classes that
    either side rounds to zero are pooled into one, the bucket B, and what is left is compared:

        sum over the others of p ln(p / q)  +  p(B) ln(p(B) / q(B)),    q(B) = 1 - sum of the others' q

    This is never above the divergence from p of any distribution r that has the variant's scores q outside of B: for
    such an r, r(B) = q(B), and by the log sum inequality sum over B of p ln(p / r) >= p(B) ln(p(B) / r(B)). How p and r
    differ inside of B is all that is left out: a lower bound.

    Scores that add up to 1 leave no mass for B, and what differs from 1 by less than half a step, or by more than half
    a step for each class in B, is the rounding of the others (a float16's sum, say). Then the others' proportions are
    all that the variant tells, and (1 - p(B)) KLD(p given not B, q given not B) is what the chain rule leaves as the
    bound for every r with these proportions. `Compared.with_step` chooses, once the variant's step is known.
    """
    total_variation = float(np.abs(reference - variant).sum()) / 2
    zero = (variant == 0) & (reference > 0)
    rounded = _is_rounding(*_left_of(reference), _step_of(reference))
    if rounded or _is_rounding(*_left_of(variant), _step_of(variant)):
        zero |= (variant == 0) | (reference == 0)  # the mass of what was rounded away is in the zeros of either
    if not zero.any():
        found = float(divergence(_log_of(reference), _log_of(variant)))
        return Compared(max(0.0, found), total_variation, 0)
    theirs = reference[~zero] / (1.0 if rounded else reference.sum())
    ours, kept, missing = variant[~zero], float(theirs.sum()), 1 - float(variant.sum())
    found = kept * _sum_of(theirs / kept, ours / ours.sum()) if kept > 0 and ours.any() else 0.0
    room = None
    if missing > 0 and (left := 1 - float(ours.sum())) > 0:
        pooled = _sum_of(np.append(theirs, max(0.0, 1 - kept)), np.append(ours, left))
        room = Room(missing, int((variant == 0).sum()), _step_of(variant), max(0.0, pooled))
    return Compared(max(0.0, found), total_variation, int(zero.sum()), room)


def _left_of(values: Floats) -> tuple[float, int]:
    """The mass that probabilities lack of 1, and the classes of probability 0."""
    return 1 - float(values.sum()), int((values == 0).sum())


def _step_of(values: Floats) -> float:
    """The least difference between two of the probabilities, 0 among them; infinite where none is above 0."""
    told = np.unique(np.append(values, 0.0))
    return float(np.diff(told).min()) if told.size > 1 else math.inf


def _is_rounding(missing: float, zeros: int, step: float) -> bool:
    """Whether mass is missing because classes were rounded to zero: each held less than half a step."""
    return zeros > 0 and step / 2 <= missing <= zeros * step / 2


def _sum_of(p: Floats, q: Floats) -> float:
    """sum p ln(p / q); a p of 0 adds nothing."""
    some = p > 0
    return float((p[some] * np.log(p[some] / q[some])).sum())


def _log_of(values: Floats) -> Floats:
    with np.errstate(divide="ignore"):  # a probability of 0
        found: Floats = np.log(values / values.sum())
    return found


def tensor_row(reference: Array, variant: Array) -> TensorRow:
    """The difference of one output for one input. Raises `InvalidOutput` where either is not finite."""
    one = np.asarray(reference, dtype=np.float64).reshape(-1)
    other = np.asarray(variant, dtype=np.float64).reshape(-1)
    if not np.isfinite(one).all() or not np.isfinite(other).all():
        raise InvalidOutput("an output has NaN or infinite numbers")
    noise = other - one
    largest = float(np.abs(noise).max(initial=0.0))
    return TensorRow(
        signal=float(one @ one), noise=float(noise @ noise), cosine=cosine(one, other), largest_error=largest
    )


def cosine(one: Floats, other: Floats) -> float:
    """Cosine of two vectors: 1 for identical ones; 0 where only one is all zeros, which `no_direction` tells apart."""
    if np.array_equal(one, other):
        return 1.0
    length = float(np.linalg.norm(one) * np.linalg.norm(other))
    return float(one @ other) / length if length > 0 else 0.0


def no_direction(one: Floats, other: Floats) -> bool:
    """Whether only one of two vectors is all zeros: then they have no cosine."""
    return bool(one.any()) != bool(other.any())


def rank_correlation(reference: Floats, variant: Floats) -> float | None:
    """Spearman's rank correlation of the cosines of all pairs of rows. Shapes (n, d), n >= 3.

    1 for identical ranks; None where one of the two tells no pair from another, and so has no order.
    """
    pairs = np.triu_indices(len(reference), k=1)
    one, other = (_ranks(_unit(rows) @ _unit(rows).T, pairs) for rows in (reference, variant))
    if np.array_equal(one, other):
        return 1.0
    one, other = one - one.mean(), other - other.mean()
    length = float(np.linalg.norm(one) * np.linalg.norm(other))
    return float(one @ other) / length if length > 0 else None


def _unit(rows: Floats) -> Floats:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(lengths > 0, lengths, 1.0)


def _ranks(similarities: Floats, pairs: Any) -> Floats:
    """Ranks of the pairs' similarities; ties share their mean rank."""
    _, inverse, counts = np.unique(similarities[pairs], return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return (ends - (counts - 1) / 2)[inverse]
