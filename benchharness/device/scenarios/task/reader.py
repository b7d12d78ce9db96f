"""Feeds a language session with texts, and tells how likely it finds what follows.

Nothing but an identical context is ever reused, and that as a whole: an answer does not depend on which others were
asked for before, which it would under dynamic quantization, whose scales span whatever is computed at once. The choices
of one question share its context, so that with `Rewinds` each question takes one prefill.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from benchharness.contract import LanguageSession, Rewinds, ScoresText
from benchharness.device.inputs.requests import check_logits
from benchharness.device.scenarios.quality.divergence import log_softmax
from benchharness.errors import InvalidOutput, Unsupported

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

#: Token by token through the cache, or a context with what follows it in one pass; as scenario `quality` has it.
DECODE, PREFILL = "decode", "prefill"
_OURS = "this model"


class Likelihood(NamedTuple):
    """The log-likelihood of some tokens in nats, and whether each of them was the most likely one."""

    nats: float
    greedy: bool


class Reader:
    """Reads contexts and tells of what may follow them. `prefills` counts those that were really fed."""

    def __init__(self, session: LanguageSession, evaluation: str = DECODE) -> None:
        """Raises `Unsupported` where this session cannot evaluate so."""
        if evaluation == PREFILL and not isinstance(session, ScoresText):
            raise Unsupported('this model gives no logits of all positions in one pass; use evaluation = "decode"')
        self._session: Any = session
        self._in_one_pass = evaluation == PREFILL
        self._rewinds = isinstance(session, Rewinds)
        self._context: Sequence[int] = ()
        self._row: Floats | None = None  # log-probabilities after the context
        self._at_end = False  # the cache holds the context and nothing behind it
        self.prefills = 0

    def likelihood(self, context: Sequence[int], tokens: Sequence[int]) -> Likelihood:
        """Of tokens after a context. Raises `InvalidOutput` for logits that cannot be."""
        rows = self._one_pass(context, tokens) if self._in_one_pass else self._one_by_one(context, tokens)
        total, greedy = 0.0, True
        for row, token in zip(rows, tokens):
            total += float(row[token])
            greedy = greedy and int(row.argmax()) == token
        if not np.isfinite(total):
            raise InvalidOutput(
                "the model gives no chance at all to a token that it is asked for (a logit of -infinity)"
            )
        return Likelihood(min(total, 0.0), greedy)

    def after(self, context: Sequence[int]) -> Floats:
        """Log-probabilities of the next token; the cache holds the context and nothing behind it."""
        if (
            self._row is None
            or list(context) != list(self._context)
            or (not self._at_end and not self._rewound(len(context)))
        ):
            self._feed(context)
        assert self._row is not None
        return self._row

    def then(self, token: int) -> Floats:
        """The same after one more token."""
        self._at_end = False
        return log_softmax(self._session.decode(token), _OURS)

    def _one_by_one(self, context: Sequence[int], tokens: Sequence[int]) -> Any:
        known = self._row is not None and list(context) == list(self._context)
        # Of one token nothing has to be fed once the context's row is known.
        yield self._row if known and len(tokens) == 1 else self.after(context)
        yield from (self.then(token) for token in tokens[:-1])

    def _one_pass(self, context: Sequence[int], tokens: Sequence[int]) -> Floats:
        self._row, self._at_end = None, False
        self.prefills += 1
        rows = self._session.score([*context, *tokens[:-1]])  # what follows the last one nobody asks for
        return log_softmax(np.asarray(rows)[len(context) - 1 :], _OURS)

    def _feed(self, context: Sequence[int]) -> None:
        first = self.prefills == 0
        self._session.reset()
        row = self._session.extend(context)
        if first:
            check_logits(row, self._session.vocabulary_size)
        self.prefills += 1
        self._context, self._row, self._at_end = list(context), log_softmax(row, _OURS), True

    def _rewound(self, tokens: int) -> bool:
        """Forgets all behind the context; False where this session cannot."""
        if not self._rewinds:
            return False
        try:
            self._session.rewind(tokens)
        except Unsupported:
            self._rewinds = False  # this model's cache cannot be cut
            return False
        self._at_end = True
        return True
