"""A test of pairs that one disturbed process costs little: ranks among neighbours, and signs of pairs. Pure.

Wilcoxon's signed ranks give the pair that differs most the largest rank: of a machine on which single processes are
disturbed that is a disturbed one. Here each value is told by how far it is from the median of the pairs made around it
(Hodges and Lehmann's aligned ranks, 1962), and has its rank among all of both sides; what is summed up are the
differences of ranks within pairs. A process that took twice as long is then last of all, and not more. Drift goes with
the median of the neighbours.

Under no difference either of a pair might have been the candidate, as chance put one of them first. That turns the sign
of the pair's difference of ranks and changes nothing else: neither the medians, which are of whole pairs, nor the
ranks. So the chance is counted out over all signs as that of signed ranks is, and holds whatever drifts and is shared.
Where pairs differ far more from each other than within, ranks among neighbours tell of the pairs; then the signed ranks
are summed up. That choice does not see which side is which either, so that it costs no error.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from benchharness.judge import signed_ranks
from benchharness.judge.design import fewest_pairs

Floats = NDArray[np.float64]
Ranks = NDArray[np.int_]
Values = Sequence[float] | Floats

#: Pairs whose median a value is told from: its own, and three before and behind; see docs/decisions/0034.
_AROUND = 7
#: Ranks among neighbours are used up to this: of independent noise the quotient is 1.4, of pairs of one mind far more.
_MOST_APART = 2.0
#: Digits of logarithms: values that only rounding tells apart are alike.
_DIGITS = 12
#: Of so much of a logarithm an end of an interval is known, and the estimate of so much.
_NEAR_END, _NEAR = 1e-7, 1e-11
#: So many halvings are looked ahead.
_AHEAD = 3


def p_above(base: Values, candidate: Values) -> float:
    """How likely candidates as far above their bases are without a difference, as logarithms pair by pair.

    1.0 without a pair. Raises `ValueError` for more than 1,000 pairs.
    """
    return signed_ranks.chance_above(_signed(_array(base)[None], _array(candidate)[None])[0])


def estimate(base: Values, candidate: Values) -> float:
    """By how much the candidate is above: less that, neither side is above the other. `ValueError` of no pair."""
    one, other = _array(base), _array(candidate)
    if not one.size:
        raise ValueError("0 pairs have no difference")
    least, most = _reach(one, other)

    def by_pair(by: Floats) -> Ranks:
        return _signed(one, other - by[:, None])

    below = _crossing(by_pair, lambda ranks: bool(ranks.sum() > 0), least, most, _NEAR)
    above = _crossing(by_pair, lambda ranks: bool(ranks.sum() >= 0), least, most, _NEAR)
    return (below + above) / 2


def interval(
    base: Values, candidate: Values, error: float, asked: Iterable[float] = (0.0,)
) -> tuple[float, float] | None:
    """Where the true difference lies, missed on each side with a chance of at most `error`; None: too few pairs.

    Differences `asked` after lie outside of it exactly where the test leaves them out.
    """
    one, other = _array(base), _array(candidate)
    if one.size < fewest_pairs(error):
        return None
    least, most = _reach(one, other)
    told = sorted(asked)

    def is_out(ranks: Ranks) -> bool:
        return signed_ranks.chance_above(ranks) <= error

    low = _end(lambda by: _signed(one, other - by[:, None]), is_out, least, most, told)
    high = -_end(lambda by: _signed(other + by[:, None], one), is_out, -most, -least, [-by for by in told[::-1]])
    return _at_one(other - one, low), _at_one(other - one, high)


def _at_one(differences: Floats, end: float) -> float:
    """An end as a pair has it exactly, where one does."""
    nearest = float(differences[np.argmin(np.abs(differences - end))])
    return nearest if abs(nearest - end) <= _NEAR_END else end


def _array(values: Values) -> Floats:
    return np.asarray(values, dtype=np.float64)


def _reach(base: Floats, candidate: Floats) -> tuple[float, float]:
    """Below the first difference every candidate is above its base, from the second on none is."""
    differences = candidate - base
    return float(differences.min()) - 2 * _NEAR_END, float(differences.max()) + 2 * _NEAR_END


def _end(
    by_pair: Callable[[Floats], Ranks],
    is_out: Callable[[Ranks], bool],
    least: float,
    most: float,
    asked: Sequence[float],
) -> float:
    """The first difference from below that is not left out. `most` is not, and what is `asked` lies on its side."""
    for by in asked:
        if least < by < most:
            least, most = (by, most) if is_out(by_pair(np.array([by]))[0]) else (least, by)
    return _crossing(by_pair, is_out, least, most, _NEAR_END)


def _crossing(
    by_pair: Callable[[Floats], Ranks], is_before: Callable[[Ranks], bool], least: float, most: float, near: float
) -> float:
    """Where something ends that holds from `least` on and no more at `most`, by halving.

    `by_pair`: the ranks of some differences, a row for each. Of all that some halvings may meet they are taken in one
    go, which takes little longer than those of one.
    """
    while most - least > near:
        middles = _middles_of(least, most, _AHEAD)
        ranks = by_pair(middles)
        at = 0
        while at < middles.size and most - least > near:
            middle = float(middles[at])
            least, most, at = (middle, most, 2 * at + 2) if is_before(ranks[at]) else (least, middle, 2 * at + 1)
    return (least + most) / 2


def _middles_of(least: float, most: float, ahead: int) -> Floats:
    """So many halvings deep every middle; behind that at `i` those of its lower half, 2 i + 1, and of its upper one."""
    ends, found = [least, most], []
    for _ in range(ahead):
        middles = [(low + high) / 2 for low, high in itertools.pairwise(ends)]
        found += middles
        ends = [end for both in zip(ends, middles, strict=False) for end in both] + [most]
    return np.array(found)


def _signed(base: Floats, candidate: Floats) -> Ranks:
    """By pair the difference of ranks, doubled, above zero where the candidate is above; a row for each row of both."""
    apart = np.round(candidate - base, _DIGITS)
    rows, pairs = apart.shape
    if not pairs:
        return np.zeros((rows, 0), int)
    both = np.empty((rows, 2, pairs))
    both[:, 0], both[:, 1] = base, candidate
    among = np.round(_among_neighbours(both), _DIGITS).reshape(rows, 2 * pairs)
    ranks = signed_ranks.twice_ranked(among).reshape(rows, 2, pairs)
    of_one_mind = _middle(np.abs(among)) > _MOST_APART * _middle(np.abs(apart)) / 2
    found: Ranks = ranks[:, 1] - ranks[:, 0]
    if of_one_mind.any():
        found[of_one_mind] = signed_ranks.doubled_ranks(apart[of_one_mind])
    return found


def _middle(values: Floats) -> Floats:
    """The median of each row. numpy's own takes ten times as long for so few, and an interval asks for hundreds."""
    ordered, size = np.sort(values, axis=-1), values.shape[-1]
    found: Floats = (ordered[:, (size - 1) // 2] + ordered[:, size // 2]) / 2
    return found


def _among_neighbours(both: Floats) -> Floats:
    """How far each value is from the median of the pairs around it, (rows, 2, pairs) as `both`.

    Those at the ends share theirs.
    """
    rows, _, pairs = both.shape
    wide = min(_AROUND, pairs)
    first = np.arange(pairs - wide + 1)
    near = both[:, :, first[:, None] + np.arange(wide)].transpose(0, 2, 1, 3).reshape(rows, first.size, 2 * wide)
    around = np.sort(near, axis=-1)
    middles = (around[:, :, wide - 1] + around[:, :, wide]) / 2
    places = np.minimum(np.maximum(np.arange(pairs) - wide // 2, 0), pairs - wide)
    found: Floats = both - middles[:, None, places]
    return found
