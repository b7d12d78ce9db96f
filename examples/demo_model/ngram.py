"""What the demo model has to beat: an interpolated trigram model over any kind of symbol (tokens, bytes).

Modified Kneser-Ney smoothing after Chen and Goodman, "An empirical study of smoothing techniques for language
modeling" (1999), section 3. Python floats are float64, and probabilities are only summed as logarithms.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Sequence

ORDER = 3
FALLBACK_DISCOUNTS = (0.5, 1.0, 1.5)
"""For an order that has no n-grams of count one, two, three or four: nothing to estimate from."""

Symbols = tuple[int, ...]


class Trigram:
    """Counts of one symbol sequence; predicts each symbol of another from the two before it."""

    def __init__(self, symbols: Sequence[int], vocabulary: int) -> None:
        self.vocabulary = vocabulary
        counts = [continuation_counts(symbols, order) for order in range(1, ORDER)]
        counts.append(Counter(ngrams(symbols, ORDER)))
        self.discounts = [estimate_discounts(order_counts) for order_counts in counts]
        self.followers: dict[Symbols, dict[int, int]] = defaultdict(dict)
        for order_counts in counts:
            for ngram, count in order_counts.items():
                self.followers[ngram[:-1]][ngram[-1]] = count
        self.backoff = {context: self._backoff(context) for context in self.followers}

    def _backoff(self, context: Symbols) -> tuple[int, float]:
        """Total count behind `context`, and the mass its discounts leave to the shorter context."""
        counts = self.followers[context].values()
        return sum(counts), sum(self._discount(len(context), count) for count in counts)

    def _discount(self, context_length: int, count: int) -> float:
        return self.discounts[context_length][min(count, 3) - 1]

    def probability(self, symbol: int, context: Symbols) -> float:
        """P(symbol | the last two symbols of `context`), interpolated over all orders down to uniform."""
        probability = 1 / self.vocabulary
        for length in range(min(ORDER - 1, len(context)) + 1):
            suffix = context[len(context) - length :]
            if suffix not in self.backoff:
                break
            total, left_over = self.backoff[suffix]
            count = self.followers[suffix].get(symbol, 0)
            kept = count - self._discount(length, count) if count else 0.0
            probability = (kept + left_over * probability) / total
        return probability

    def bits(self, symbols: Sequence[int]) -> float:
        """Code length of the whole sequence, in bits."""
        history = (tuple(symbols[max(0, at - ORDER + 1) : at]) for at in range(len(symbols)))
        return -math.fsum(
            math.log2(self.probability(symbol, context)) for symbol, context in zip(symbols, history, strict=True)
        )


def ngrams(symbols: Sequence[int], order: int) -> zip[Symbols]:
    """All runs of `order` symbols, in order."""
    return zip(*(symbols[offset:] for offset in range(order)), strict=False)


def continuation_counts(symbols: Sequence[int], order: int) -> Counter[Symbols]:
    """For each n-gram, how many different symbols stand before it: the counts of the lower orders."""
    return Counter(ngram[1:] for ngram in set(ngrams(symbols, order + 1)))


def estimate_discounts(counts: Counter[Symbols]) -> tuple[float, float, float]:
    """What to take off counts of one, two, and three or more."""
    frequencies = Counter(counts.values())
    n1, n2, n3, n4 = (frequencies[count] for count in (1, 2, 3, 4))
    if not all((n1, n2, n3, n4)):
        return FALLBACK_DISCOUNTS
    y = n1 / (n1 + 2 * n2)
    return 1 - 2 * y * n2 / n1, 2 - 3 * y * n3 / n2, 3 - 4 * y * n4 / n3
