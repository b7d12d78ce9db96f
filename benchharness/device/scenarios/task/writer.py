"""What a language model writes after a text, greedily, until it says one of the texts that end it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from benchharness.device.inputs.tokenizer import Tokenizer
from benchharness.device.scenarios.task.reader import Reader

#: How an answer ended: by a text that ends it, by the model's end of text, by the tokens asked for, by a full context.
STOPPED, ENDED, LENGTH, CONTEXT = "stop", "end", "length", "context"
#: What is kept of one answer.
MOST_CHARACTERS = 100_000


class Writer:
    """Writes through a reader, which keeps what it holds of the prompt."""

    def __init__(self, reader: Reader, tokenizer: Tokenizer, ends: Collection[int], context_length: int) -> None:
        self._reader = reader
        self._tokenizer = tokenizer
        self._ends = frozenset(ends)
        self._context_length = context_length

    def written(self, prompt: Sequence[int], until: Sequence[str], most: int) -> dict[str, Any]:
        """The text without what ended it, how many tokens were chosen, and how it ended."""
        row = self._reader.after(prompt)
        tokens: list[int] = []
        text, ended = "", LENGTH
        while len(tokens) < most:
            token = int(row.argmax())
            if token in self._ends:
                ended = ENDED
                break
            tokens.append(token)
            text = self._tokenizer.decode(tokens)
            stop = first_of(text, until)
            if stop is not None:
                text, ended = text[:stop], STOPPED
                break
            if len(prompt) + len(tokens) > self._context_length:
                ended = CONTEXT
                break
            if len(tokens) < most:
                row = self._reader.then(token)
        return {"text": text[:MOST_CHARACTERS], "tokens": len(tokens), "ended": ended}


def first_of(text: str, until: Sequence[str]) -> int | None:
    """Where the first of the texts that end an answer begins in it."""
    places = [place for each in until if each and (place := text.find(each)) >= 0]
    return min(places) if places else None
