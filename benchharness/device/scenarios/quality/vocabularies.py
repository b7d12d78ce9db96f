"""Whether a variant and its reference share a vocabulary: only then is a token of one a token of the other."""

from __future__ import annotations

from benchharness.device.inputs.tokenizer import Tokenizer

_LONGEST = 20


def why_apart(reference: Tokenizer, variant: Tokenizer, sizes: tuple[int, int]) -> str:
    """Why their logits cannot be held against each other, naming both vocabularies; "" where they share one.

    `sizes` are how many logits the reference and the variant give.
    """
    theirs, ours = reference.words(), variant.words()
    told = f"the reference's has {len(theirs)} tokens and {sizes[0]} logits, this variant's {len(ours)} and {sizes[1]}"
    if theirs == ours:
        return "" if sizes[0] == sizes[1] else f"one vocabulary, padded to logits of two sizes: {told}"
    spelled = {token: word for word, token in theirs.items()}
    differing = sorted((token, word) for word, token in ours.items() if spelled.get(token, word) != word)
    example = ""
    if differing:
        token, word = differing[0]
        example = f"; token {token} is {spelled[token][:_LONGEST]!r} there and {word[:_LONGEST]!r} here"
    return f"two vocabularies: {told}{example}"
