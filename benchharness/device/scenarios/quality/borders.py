"""Where a text may be cut so that no token of any tokenizer is cut: stretches that two models can be scored on alike.

A *border* is a place between two characters at which one token ends and the next begins. Between two borders that two
tokenizers have in common each of them has whole tokens, and all of either's stand for exactly the same bytes. Pure.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Places = NDArray[np.int64]

#: Where one UTF-8 byte more begins to be needed for a character.
_LONGER = (0x80, 0x800, 0x10000)
#: 70 % of 10 tokens are 7, and 10 * 0.7 is a little more.
_ROUNDING = 1e-9
_SHOWN = 12


@dataclass(frozen=True)
class Borders:
    """A tokenized text's borders, rising: the character behind each, and how many tokens stand before it."""

    characters: Places
    tokens: Places

    def at(self, characters: Places) -> Places:
        """How many tokens stand before the borders at these characters."""
        found: Places = self.tokens[np.searchsorted(self.characters, characters)]
        return found

    def by_token(self, count: int) -> Places:
        """The character at each of the places between tokens, 0 to `count`; -1 where a character goes on there."""
        found = np.full(count + 1, -1, np.int64)
        found[self.tokens] = self.characters
        return found


def borders_of(spans: Sequence[tuple[int, int]], length: int) -> Borders:
    """The borders of a text of `length` characters, by the characters that each token stands for.

    Several tokens of one character, as bytes are, have none between them. Tokens that stand for nothing go with the
    character behind them; characters that no token stands for, such as blanks between words, too.
    """
    starts, ends = (np.array([span[at] for span in spans], np.int64) for at in (0, 1))
    ended = np.concatenate([[0], np.maximum.accumulate(ends)])
    begins = np.concatenate([np.minimum.accumulate(starts[::-1])[::-1], [length]])
    places = np.flatnonzero(ended <= begins)
    characters, first = np.unique(ended[places], return_index=True)
    tokens = places[first]
    characters[-1], tokens[-1] = length, len(spans)  # what stands last belongs to the last token
    return Borders(characters, tokens)


def bytes_before(text: str) -> Places:
    """Shape (characters + 1,): how many bytes of UTF-8 stand before each character, and in all."""
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4")
    sizes = 1 + sum((codes >= limit).astype(np.int64) for limit in _LONGER)
    found: Places = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    return found


def unread(text: str, spelled: str) -> str:
    """Where a tokenizer spells a text otherwise than it stands: its tokens are of another text. "" where it does not.

    One blank more or less before a whole text is a habit of tokenizers, and nothing is scored there.
    """
    if spelled in (text, f" {text}") or text == f" {spelled}":
        return ""
    pairs = enumerate(zip(text, spelled))
    at = next((at for at, (one, other) in pairs if one != other), min(len(text), len(spelled)))
    begin = max(0, at - _SHOWN)
    return f"{text[begin : at + _SHOWN]!r} is spelled {spelled[begin : at + _SHOWN]!r}, from character {at} on"


class Side(NamedTuple):
    """One of the two that read a text, and how many tokens of it a window may have at most."""

    borders: Borders
    most: int


class Window(NamedTuple):
    """A stretch of a text, by characters: context from `begin`, scored from `first` to `end`."""

    begin: int
    first: int
    end: int


def windows_of(sides: Sequence[Side], context_share: float) -> Iterator[Window]:
    """Windows of a text, one behind the other, cut at borders that all sides have; sized by the first side's tokens.

    Each is as long as fits every side, and scored from the first common border on before which stands at least the
    share asked for. What is over at a text's end and shorter than the window before is not used, as of chunks.
    """
    common = sides[0].borders.characters
    for side in sides[1:]:
        common = np.intersect1d(common, side.borders.characters)
    counts = [side.borders.at(common) for side in sides]
    at, last, before = 0, len(common) - 1, 0
    while at < last:
        ends = [int(np.searchsorted(count, count[at] + side.most, "right")) - 1 for count, side in zip(counts, sides)]
        end = min(*ends, last)
        if end <= at:
            at += 1  # between two borders stands more than fits
            continue
        length = int(counts[0][end] - counts[0][at])
        context = math.ceil(length * context_share - _ROUNDING)
        first = max(at + 1, int(np.searchsorted(counts[0], counts[0][at] + context)))
        if first < end and (end < last or length >= before):
            yield Window(*(int(common[place]) for place in (at, first, end)))
        at, before = end, length
