"""Tells a causal language model by its signature: which input is what, and how the tokens get into the cache.

Three conventions, told apart by what the model takes beside the token ids (1, Q):

- *flexible*: a growing mask (1, 1, Q, K), K being the tokens so far with these; the graph takes the position from it.
  Apple's own stateful models are made so.
- *positions*: the position of each token (Q,), mostly with a mask (1, 1, Q, C) over the whole cache. Q is often 1.
- *no-cache*: neither state nor position is needed; every step runs over all tokens.

Masks are added to the attention scores: zero where a token may look. A model goes by its names, types and ranks
together. Where they leave a doubt it is no language model, and the reason says which.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from targets.core_ml.description import ARRAY, Description, Feature

FLEXIBLE, POSITIONS, NO_CACHE = "flexible", "positions", "no-cache"

# Names without case, underscores and dashes.
_TOKEN_NAMES = {"inputids", "inputid", "inputtokens", "tokenids", "tokenid", "tokens", "token", "ids"}
_POSITION_NAMES = {"positionids", "positionid", "positions", "position", "pos", "inputpos", "inputposition",
                   "inputpositions", "cachepositions", "cacheposition"}  # fmt: skip
_MASK_NAMES = {"causalmask", "attentionmask", "attnmask", "mask"}
_LOGIT_NAMES = {"logits", "outputlogits", "lmlogits"}
_CACHE_NAME = re.compile(r"cache|key|value|^kv?|^v")

_FLOATS = ("float16", "float32")

#: The context assumed where nothing bounds it: long enough for any test.
UNKNOWN_CONTEXT_TOKENS = 32_768


class NoLanguageModel(ValueError):
    """Why a signature is not a causal language model's."""


@dataclass(frozen=True)
class StepLengths:
    """How many tokens one prediction may take: any number in a range, or one of a list."""

    lowest: int
    highest: int | None  # None: without limit
    listed: tuple[int, ...] = ()  # sorted; empty: the whole range

    @property
    def only(self) -> int | None:
        """The one length there is; None where there are more."""
        return self.lowest if self.lowest == self.highest else None

    def choose(self, left: int, room: int, *, pads: bool) -> int | None:
        """The length of the next step for `left` tokens with `room` in the cache; None where none fits.

        With `pads` a step may be longer than the tokens left: the rest of it is padding behind them.
        """
        if self.listed:
            longer = [length for length in self.listed if left <= length <= room and (pads or length == left)]
            shorter = [length for length in self.listed if length <= left]
            return min(longer) if longer else max(shorter, default=None)
        length = left if self.highest is None else min(left, self.highest)
        if length >= self.lowest:
            return length
        return self.lowest if pads and self.lowest <= room else None


@dataclass(frozen=True)
class LanguageSignature:
    """A causal language model as its signature describes it. Names are the model's own."""

    layout: str  # one of FLEXIBLE, POSITIONS, NO_CACHE
    tokens: str
    lengths: StepLengths
    logits: str
    vocabulary_size: int
    context_length: int
    context_length_source: str  # "cache", "mask", "tokens" or "assumed"
    all_logits: bool  # False: the model yields the last token's only
    mask: str | None
    mask_grows: bool  # False: it spans the whole cache
    positions: str | None
    positions_rank: int
    states: tuple[Feature, ...]

    @property
    def pads(self) -> bool:
        """Whether a step may be longer than its tokens: a mask hides the padding, and its logits can be left out."""
        return self.mask is not None and self.all_logits and bool(self.states)


def read_signature(description: Description) -> LanguageSignature:
    """The signature of a causal language model. Raises `NoLanguageModel` with the reason where it is none."""
    tokens = _by_name(description.inputs, _TOKEN_NAMES, "token ids")
    logits = _by_name(description.outputs, _LOGIT_NAMES, "logits")
    if tokens is None or logits is None:
        raise NoLanguageModel("no token ids (input_ids) in or no logits out")
    positions = _by_name(description.inputs, _POSITION_NAMES, "positions")
    mask = _by_name(description.inputs, _MASK_NAMES, "masks")
    _check_inputs(description, tokens, positions, mask)
    lengths = _step_lengths(tokens)
    if positions is not None:
        _check_positions(positions, tokens)
    if description.states:
        _check_stateful(lengths, positions, mask, tokens)
    else:
        _check_stateless(lengths, tokens, mask)
    vocabulary, all_logits = _logits(logits, lengths)
    if not description.states and not all_logits and lengths.only != 1:
        raise NoLanguageModel(f"no cache, and {logits.name} of the last token only")
    context, source = _context(description.states, mask, tokens)
    grows = mask is not None and len(mask.shape) == 4 and mask.shape[3] is None
    return LanguageSignature(
        layout=NO_CACHE if not description.states else POSITIONS if positions is not None else FLEXIBLE,
        tokens=tokens.name,
        lengths=lengths,
        logits=logits.name,
        vocabulary_size=vocabulary,
        context_length=context,
        context_length_source=source,
        all_logits=all_logits,
        mask=mask.name if mask is not None else None,
        mask_grows=grows or not description.states,
        positions=positions.name if positions is not None else None,
        positions_rank=len(positions.shape) if positions is not None else 0,
        states=tuple(description.states),
    )


def _normal(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _by_name(features: Sequence[Feature], names: set[str], what: str) -> Feature | None:
    """The one feature of that name, None where there is none."""
    found = [each for each in features if _normal(each.name) in names]
    if len(found) > 1:
        raise NoLanguageModel(f"several inputs or outputs could be the {what}: {_listed(found)}")
    return found[0] if found else None


def _check_inputs(description: Description, tokens: Feature, positions: Feature | None, mask: Feature | None) -> None:
    """Every input has a role, and the type and rank of it."""
    known = [each for each in (tokens, positions, mask) if each is not None]
    unknown = [each for each in description.inputs if each not in known and not each.optional]
    if unknown:
        raise NoLanguageModel(f"inputs that no language model convention here has: {_listed(unknown)}")
    if tokens.dtype != "int32" or len(tokens.shape) != 2 or tokens.shape[0] != 1:
        raise NoLanguageModel(f"{tokens.name} are not int32 token ids of shape (1, tokens)")
    for state in description.states:
        if state.dtype not in _FLOATS or len(state.shape) < 3 or None in state.shape:
            raise NoLanguageModel(f"the state {state.name} is no key/value cache of fixed shape")


def _step_lengths(tokens: Feature) -> StepLengths:
    lowest, highest = tokens.bounds[1]
    lowest = max(lowest, 1)
    listed = tuple(sorted({shape[1] for shape in tokens.shapes}))
    return StepLengths(lowest, highest, listed if len(listed) > 1 else ())


def _check_positions(positions: Feature, tokens: Feature) -> None:
    """One position for each token: a single one beside several tokens could be the first's or the last's."""
    if positions.kind != ARRAY or positions.dtype != "int32" or len(positions.shape) not in (1, 2):
        raise NoLanguageModel(f"{positions.name} are not int32 positions of shape (tokens,)")
    if len(positions.shape) == 2 and positions.shape[0] != 1:
        raise NoLanguageModel(f"{positions.name} are not of shape (1, tokens)")
    if positions.shape[-1] != tokens.shape[1]:
        raise NoLanguageModel(f"{positions.name} and {tokens.name} have different lengths")


def _check_stateful(lengths: StepLengths, positions: Feature | None, mask: Feature | None, tokens: Feature) -> None:
    """The graph is told where the tokens go, in a way that is known."""
    if mask is None:
        if positions is None:
            raise NoLanguageModel("states, and neither positions nor a mask that say where the tokens go")
        return
    if mask.dtype not in _FLOATS or len(mask.shape) != 4 or mask.shape[:2] != (1, 1):
        raise NoLanguageModel(f"{mask.name} is not an additive mask of shape (1, 1, tokens, cache)")
    if mask.shape[2] != tokens.shape[1] and mask.shape[2] is not None:
        raise NoLanguageModel(f"{mask.name} and {tokens.name} have different numbers of tokens")
    if mask.shape[3] is not None:
        if positions is None:
            raise NoLanguageModel(f"no positions, and {mask.name} of a fixed length, which does not say where they go")
    elif mask.shapes or mask.bounds[3][0] > lengths.lowest:
        raise NoLanguageModel(f"{mask.name} cannot be as long as the tokens so far, whatever their number")


def _check_stateless(lengths: StepLengths, tokens: Feature, mask: Feature | None) -> None:
    if lengths.listed or lengths.only is not None or lengths.lowest > 1:
        raise NoLanguageModel(f"no cache, and {tokens.name} cannot have any length")
    if mask is None:
        return
    causal = len(mask.shape) == 4 and mask.dtype in _FLOATS and mask.shape[:2] == (1, 1)
    if not causal and not (len(mask.shape) == 2 and mask.shape[0] == 1):
        raise NoLanguageModel(f"{mask.name} is neither a mask (1, tokens) nor an additive one (1, 1, tokens, tokens)")
    if mask.shape[-1] is not None:
        raise NoLanguageModel(f"no cache, and {mask.name} of a fixed length")


def _logits(logits: Feature, lengths: StepLengths) -> tuple[int, bool]:
    """The vocabulary's size, and whether there are logits of every token."""
    if logits.kind != ARRAY or logits.dtype not in (*_FLOATS, "float64") or len(logits.shape) != 3:
        raise NoLanguageModel(f"{logits.name} are not of shape (1, tokens, vocabulary)")
    _, rows, vocabulary = logits.shape
    if vocabulary is None:
        raise NoLanguageModel(f"the model does not say how long the vocabulary of {logits.name} is")
    if rows is None or rows == lengths.only:
        return vocabulary, True
    if rows == 1:
        return vocabulary, False
    raise NoLanguageModel(f"{logits.name} are those of {rows} tokens, however many go in")


def _context(states: Sequence[Feature], mask: Feature | None, tokens: Feature) -> tuple[int, str]:
    """Tokens that fit, and what says so."""
    if not states:
        bounds = [feature.bounds[-1][1] for feature in (tokens, mask) if feature is not None]
        limits = [highest for highest in bounds if highest is not None]
        return (min(limits), "tokens") if limits else (UNKNOWN_CONTEXT_TOKENS, "assumed")
    longest = mask.bounds[3][1] if mask is not None else None
    if longest is not None and all(longest in state.shape[-2:] for state in states):
        return longest, "mask"
    lengths = {state.shape[-2] for state in states}
    if len(lengths) > 1:
        raise NoLanguageModel(f"states whose lengths differ: {_listed(states)}")
    if mask is None and not all(_CACHE_NAME.search(_normal(state.name)) for state in states):
        raise NoLanguageModel(f"states that may be no key/value cache: {_listed(states)}")
    context = lengths.pop()
    assert context is not None  # states are of fixed shape
    if mask is not None and mask.shape[3] is not None:
        raise NoLanguageModel(f"{mask.name} spans {mask.shape[3]} tokens, and the states hold {context}")
    return (longest, "mask") if longest is not None and longest < context else (context, "cache")


def _listed(features: Sequence[Feature]) -> str:
    return ", ".join(sorted(each.name for each in features))
