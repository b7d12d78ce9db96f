"""Sessions that answer several requests at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from benchharness.contract.timed import TokenStream


@runtime_checkable
class AnswersSeveral(Protocol):
    """An optional ability of a session: several requests at once, each with a context of its own.

    How they share the device is the runtime's: in one batch, in threads, or at a server. `answers_by` says it.
    """

    most_at_once: int
    answers_by: str  # "one batch of a token each", "a thread each on one model"

    def answer_several(self, prompts: Sequence[Sequence[int] | str], count: int) -> Sequence[TokenStream]:
        """Exactly `count` tokens after each prompt from an empty context, greedily, past an end of text too.

        All prompts are handed over at the same time; answers stand in their order, and are those that each prompt gets
        alone, as far as the runtime's arithmetic does not depend on what else is in a batch. Stamps are of
        `HARNESS_CLOCK`, taken where a token is known. Prompts are of the kind that the session takes alone. Raises
        `Unsupported` where there are more than `most_at_once` or one does not fit, `ModelFailure` where one fails.
        """
        ...
