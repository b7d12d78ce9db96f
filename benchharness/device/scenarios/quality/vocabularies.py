"""Whether a variant reads a text in its reference's tokens: only then is a token of one a token of the other.

A vocabulary alone does not tell: with other merges, scores, normalizer, pre-tokenizer or added tokens the same words
cut a text in other places, and a model fed with them is asked for what it has never seen. What a tokenizer's file says
of these has many spellings, so what is looked at is what both make of the very text that is evaluated on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, NamedTuple

from benchharness.device.inputs.tokenizer import Tokenizer
from benchharness.device.scenarios.quality.texts import spelled
from benchharness.errors import Unsupported

_LONGEST = 20
#: What is shown of a text that is cut otherwise: tokens, from the first that differs on.
_SHOWN = 3
_NO_TEACHER = (
    "this variant has a tokenizer of its own, and there is no tokenizer.json beside the reference to read the text with"
)
_ONE_FOR_ALL = "if both ship with one tokenizer, name it under the model"


class _Document(NamedTuple):
    text: str
    tokens: Sequence[int]
    spans: Sequence[tuple[int, int]]


class ReadBy:
    """The evaluation data as the reference reads it; what a variant's own tokenizer makes of it is held against it."""

    def __init__(self, reference: Tokenizer | None, data: Mapping[str, Any]) -> None:
        self._reference, self._data = reference, data

    def why_apart(self, variant: Tokenizer, sizes: tuple[int, int]) -> str:
        """Why their logits cannot be held against each other, naming what differs; "" where they can.

        `sizes` are how many logits the reference and the variant give. Raises `Unsupported` where one cannot tell.
        """
        if self._reference is None:
            raise Unsupported(_NO_TEACHER)
        theirs, ours = self._words, variant.words()
        told = (
            f"the reference's has {len(theirs)} tokens and {sizes[0]} logits, this variant's {len(ours)} and {sizes[1]}"
        )
        if theirs != ours:
            return f"two vocabularies: {told}{_example(theirs, ours)}"
        if sizes[0] != sizes[1]:
            return f"one vocabulary, padded to logits of two sizes: {told}"
        why = _led(self._reference, variant) or self._read(self._reference, variant)
        return f"one vocabulary, and {why}; {_ONE_FOR_ALL}" if why else ""

    @cached_property
    def _words(self) -> Mapping[str, int]:
        assert self._reference is not None
        return self._reference.words()

    @cached_property
    def _documents(self) -> Sequence[_Document]:
        assert self._reference is not None
        return [_Document(text, *self._reference.spans(text)) for text in spelled(self._data, self._reference)]

    def _read(self, reference: Tokenizer, variant: Tokenizer) -> str:
        """Where the variant's tokenizer makes other tokens of a document; "" where it does nowhere."""
        for theirs in self._documents:
            ours = _Document(theirs.text, *variant.spans(theirs.text))
            if list(ours.tokens) != list(theirs.tokens):
                at = _first_difference(theirs.tokens, ours.tokens)
                part = slice(at, at + _SHOWN)
                shown = [_shown(each, part) for each in (theirs, ours)]
                if shown[0] == shown[1]:  # the same characters, by other names
                    shown = [reference.named(theirs.tokens[part]), variant.named(ours.tokens[part])]
                return (
                    f"a text is read in other tokens: {shown[0]} by the reference's tokenizer is {shown[1]} by this "
                    f"variant's ({len(theirs.tokens)} and {len(ours.tokens)} tokens)"
                )
        return ""


def _led(reference: Tokenizer, variant: Tokenizer) -> str:
    """What they put before a text, where that differs."""
    if reference.leading == variant.leading:
        return ""
    theirs, ours = reference.named(reference.leading), variant.named(variant.leading)
    return f"the reference's tokenizer puts {theirs} before a text, this variant's {ours}"


def _example(theirs: Mapping[str, int], ours: Mapping[str, int]) -> str:
    spelled_there = {token: word for word, token in theirs.items()}
    differing = sorted((token, word) for word, token in ours.items() if spelled_there.get(token, word) != word)
    if not differing:
        return ""
    token, word = differing[0]
    return f"; token {token} is {spelled_there[token][:_LONGEST]!r} there and {word[:_LONGEST]!r} here"


def _first_difference(one: Sequence[int], other: Sequence[int]) -> int:
    return next((at for at, pair in enumerate(zip(one, other)) if pair[0] != pair[1]), min(len(one), len(other)))


def _shown(document: _Document, part: slice) -> str:
    """Some tokens, as the characters that they stand for."""
    pieces = [document.text[first:last][:_LONGEST] for first, last in document.spans[part]]
    return repr("|".join(pieces)) if pieces else "its end"
