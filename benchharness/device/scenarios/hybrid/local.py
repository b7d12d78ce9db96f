"""Writes an answer on the device, token by token, as an application that shows each as it comes."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from benchharness.contract import LanguageSession
from benchharness.device.inputs.requests import check_logits
from benchharness.device.inputs.tokenizer import Tokenizer
from benchharness.errors import Unsupported


@dataclass(frozen=True)
class LocalAnswer:
    """When each token was there, and the text of all of them."""

    stamps_ns: Sequence[int]
    text: str


class LocalWriter:
    """A loaded model that answers texts with texts."""

    def __init__(self, session: LanguageSession, tokenizer: Tokenizer) -> None:
        self._session, self._tokenizer = session, tokenizer

    def count(self, text: str) -> int:
        """Tokens of a text for this model."""
        return len(self._tokenizer.encode(text))

    def answer(self, text: str, count: int, stop: Sequence[str] = ()) -> LocalAnswer:
        """`count` tokens after a text, each chosen greedily, or fewer where one of `stop` is among them.

        The text is read from an empty cache. Raises `Unsupported` where it and the answer do not fit the context.
        """
        session, clock = self._session, time.perf_counter_ns
        tokens = self._tokenizer.encode(text)
        if len(tokens) + count > session.context_length:
            raise Unsupported(
                f"{len(tokens)} tokens to read + {count} of the answer, more than the model's context of "
                f"{session.context_length}; ask for fewer, or for shorter prompts"
            )
        session.reset()
        logits = session.extend(tokens)
        chosen, stamps = [int(logits.argmax())], [clock()]
        while len(chosen) < count and not (stop and self._stopped(chosen, stop)):
            logits = session.decode(chosen[-1])
            chosen.append(int(logits.argmax()))
            stamps.append(clock())
        check_logits(logits, session.vocabulary_size)
        written = self._tokenizer.decode(chosen)
        at = min((place for each in stop if (place := written.find(each)) >= 0), default=len(written))
        return LocalAnswer(stamps, written[:at])

    def _stopped(self, chosen: Sequence[int], stop: Sequence[str]) -> bool:
        written = self._tokenizer.decode(chosen)
        return any(each in written for each in stop)
