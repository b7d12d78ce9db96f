"""What causal language sessions make of the one thing that differs between them: how a row of tokens is appended."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from benchharness.errors import Unsupported
from targets.token_checks import check_holds, check_token, check_tokens

if TYPE_CHECKING:
    from benchharness.contract import Array


class Signature(Protocol):
    """What is known of a causal language model before it runs."""

    @property
    def vocabulary_size(self) -> int:
        """Tokens that it knows."""

    @property
    def context_length(self) -> int:
        """Tokens that fit its cache."""

    @property
    def token_dtype(self) -> str:
        """What it takes token ids as, by numpy's name."""

    @property
    def all_logits(self) -> bool:
        """Whether a call can give the logits of every token; else of its last one."""


@dataclass(frozen=True)
class Limits:
    """The signature of a model whose runtime tells no more."""

    vocabulary_size: int
    context_length: int
    token_dtype: str
    all_logits: bool = True


class CausalSession(ABC):
    """Limits, checks, and which logits are whose. `name` is told in messages.

    Raises `Unsupported` where token ids are of a type that does not hold the vocabulary: they would be other tokens.
    A runtime appends, and empties its cache. One that can cut it has a `rewind` of its own, which is an ability.
    """

    #: Whether the memory of logits that a call gave is written again by the next.
    _overwrites_logits = False

    def __init__(self, name: str, signature: Signature) -> None:
        self.vocabulary_size, self.context_length = signature.vocabulary_size, signature.context_length
        self._name = name
        self._all_logits = signature.all_logits
        self._length = 0  # tokens in the cache
        self._token: Any = np.zeros((1, 1), signature.token_dtype)
        check_holds(self._token.dtype, self.vocabulary_size, name)
        #: Of how many tokens from the end logits are wanted: generating takes the last one's, `score` all, which is 0.
        self._wanted = 1
        #: The same, for graphs that are fed it.
        self._kept: Any = np.ones(1, np.int64)

    def reset(self) -> None:
        """Empties the cache."""
        self._length = 0

    def extend(self, tokens: Sequence[int]) -> Array:
        """Appends one or more tokens; the logits of the next one, float32, shape (vocabulary_size,).

        The next call may overwrite them.
        """
        logits: Array = self._append(self._checked(tokens))[-1]
        return logits.astype(np.float32, copy=False)

    def decode(self, token: int) -> Array:
        """Appends one token; the logits of the next one, like `extend([token])`."""
        check_token(token, self.vocabulary_size, self._length, self.context_length)
        self._token[0, 0] = token
        logits: Array = self._append(self._token)[-1]
        return logits.astype(np.float32, copy=False)

    def score(self, tokens: Sequence[int]) -> Array:
        """Logits after each token, float32, shape (len(tokens), vocabulary_size). Leaves the cache empty.

        Raises `Unsupported` where the model yields the last token's logits only.
        """
        rows: Array | None = None
        if self._all_logits:
            self.reset()
            self._keep(0)
            try:
                rows = self._append(self._checked(tokens)).astype(np.float32, copy=self._overwrites_logits)
            finally:
                self._keep(1)
                self.reset()
        if rows is None or len(rows) != len(tokens):
            raise Unsupported(f"{self._name}: the graph yields the last token's logits only; score by decoding")
        return rows

    def _keep(self, logits: int) -> None:
        """Asks for the logits of so many last tokens; 0: of all."""
        self._wanted = logits
        self._kept[...] = logits

    @abstractmethod
    def _append(self, row: Array) -> Array:
        """Appends ids (1, n), of the tokens' type; logits (n, vocabulary_size), or fewer where the model yields fewer.

        Counts what the cache holds then in `_length`.
        """

    def _checked(self, tokens: Sequence[int]) -> Array:
        """Token ids as one row. Raises `Unsupported` where they are none, out of range or too many."""
        return check_tokens(tokens, self.vocabulary_size, self._length, self.context_length, self._token.dtype)[None]
