"""Greedy answers as texts: whether two models say the same, whatever tokens each of them says it in. Pure.

An answer is what a model writes behind a prompt until its first special token. The reference's has a number of tokens;
the variant's is read as far as the reference's text goes.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import NamedTuple

from benchharness.device.inputs.tokenizer import Tokenizer
from benchharness.records import AnswerRow

#: Tokens of the prompt that are spelled with an answer: many tokenizers drop the blank before what they spell first.
_BEFORE = 8
#: What stands where the bytes of a character are not all there yet.
_CUT = "\N{REPLACEMENT CHARACTER}"
#: What a variant may write in excess of the reference's answer, in blanks and signs that do not count.
SLACK = 16


class Answer(NamedTuple):
    """What a model writes, and whether it has ended by itself."""

    text: str
    ended: bool


def answer(tokenizer: Tokenizer, prompt: Sequence[int], tokens: Sequence[int]) -> Answer:
    """The text of the tokens that follow a prompt."""
    specials = tokenizer.specials()
    length = next((at for at, token in enumerate(tokens) if token in specials), len(tokens))
    ended = length < len(tokens)
    before = list(prompt[-_BEFORE:])
    head, whole = tokenizer.decode(before), tokenizer.decode([*before, *tokens[:length]])
    text = whole[len(head) :] if whole.startswith(head) else tokenizer.decode(tokens[:length])
    return Answer(text if ended else text.rstrip(_CUT), ended)


def goes_on(reference: Answer, variant: Answer) -> bool:
    """Whether more of the variant's answer is needed to tell whether it is the reference's."""
    return not variant.ended and len(variant.text) < len(reference.text) + SLACK


def alike(reference: Answer, variant: Answer) -> AnswerRow:
    """Both answers held against each other, as far as the reference's goes; where that has ended, to the end."""
    plain, theirs = normalised(variant.text), normalised(reference.text)
    if reference.ended:
        exact = variant.ended and variant.text == reference.text
        same = variant.ended and plain == theirs
    else:
        exact = variant.text.startswith(reference.text)
        same = exact or (theirs != "" and plain.startswith(theirs))  # where nothing counts, anything would be the same
    pairs = enumerate(zip(reference.text, variant.text))
    shortest = min(len(reference.text), len(variant.text))
    shared = next((at for at, (one, other) in pairs if one != other), shortest)
    return AnswerRow(
        exact=float(exact), normalised=float(same), shared=float(shared), characters=float(len(reference.text))
    )


def normalised(text: str) -> str:
    """Without case, punctuation and the number of blanks: NFKC, casefold, words a blank apart."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    kept = ("" if unicodedata.category(each).startswith("P") else each for each in folded)
    return " ".join("".join(kept).split())
