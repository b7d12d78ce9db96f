"""Requests of text as token ids: where a continuation begins, and how a long text is cut."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from benchharness.device.inputs.tokenizer import Tokenizer
from benchharness.errors import Unsupported


class Split(NamedTuple):
    """What is fed, and what is then asked for. `merged`: the tokenizer joins the two texts in one token."""

    context: Sequence[int]
    tokens: Sequence[int]
    merged: bool = False


class Texts:
    """Tokenizes as the model is fed: with the tokens that its tokenizer puts before a text, and none behind.

    `prefix` stands before a text where nothing else does: the first token has to be predicted from something.
    """

    def __init__(self, tokenizer: Tokenizer, prefix: int | None) -> None:
        self._tokenizer = tokenizer
        self._prefix = prefix

    def prompt(self, text: str) -> Sequence[int]:
        """A text that the model goes on with."""
        return self._begun([*self._tokenizer.leading, *self._tokenizer.spans(text)[0]])

    def split(self, before: str, text: str) -> Split:
        """Both texts tokenized as one, and cut where the tokens stop being those of the first alone.

        A tokenizer may join the end of one and the beginning of the other; the joined token is asked for as a whole.
        """
        whole = self._tokenizer.spans(before + text)[0]
        alone = self._tokenizer.spans(before)[0]
        border = next(
            (at for at, pair in enumerate(zip(alone, whole)) if pair[0] != pair[1]), min(len(alone), len(whole))
        )
        tokens = whole[border:]
        if not tokens:
            raise Unsupported(f"no token is left of {text[:40]!r} after {before[-40:]!r}: nothing can be asked for")
        context = self._begun([*self._tokenizer.leading, *whole[:border]])
        return Split(context, tokens, merged=border < len(alone))

    def windows(self, text: str, length: int) -> list[Split]:
        """A whole text in windows of a context's length, each token predicted once, as lm-eval cuts it.

        The first is predicted from the tokens before a text, later windows from the token before them, the last from
        as much as fits.
        """
        return list(windows(self._begun(list(self._tokenizer.leading)), self._tokenizer.spans(text)[0], length))

    def _begun(self, tokens: Sequence[int]) -> Sequence[int]:
        if tokens:
            return tokens
        if self._prefix is None:
            raise Unsupported(
                "a text is asked for with nothing before it, and this tokenizer puts no token there; set prefix_token "
                "under [scenarios.task] to the id of its beginning or end of text"
            )
        return [self._prefix]


def windows(first: Sequence[int], tokens: Sequence[int], length: int) -> Iterator[Split]:
    """Windows of at most `length` fed tokens. Of no tokens there is none."""
    done = min(len(tokens), length - len(first) + 1)
    if done > 0:
        yield Split(first, tokens[:done])
    while done < len(tokens):
        end = min(done + length, len(tokens))
        yield Split(tokens[max(0, end - length - 1) : done], tokens[done:end])
        done = end
