"""How many bytes of its text each chunk's scored tokens stand for, so that both models' losses are told by byte."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from benchharness.device.inputs.tokenizer import Tokenizer
from benchharness.device.measured import raw_rows
from benchharness.device.scenarios.quality.borders import bytes_before, unread
from benchharness.device.scenarios.quality.texts import Chunk, Document, Used
from benchharness.records import SCORED_TEXTS, TextRow

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Places = NDArray[np.int64]


#: What is told of a chunk's bytes as of its tokens.
_TOLD = ("evaluation", "chunk_tokens", "used", "leading_tokens")


class Sizes:
    """Of chunks of text. Tokens at either end of what is scored that are parts of a character are left out of it.

    `unread` says where the tokenizer does not spell a text as it stands: then its tokens have no bytes of that text.
    """

    def __init__(self, used: Used, tokenizer: Tokenizer | None) -> None:
        """Spells each document back. Raises `Unsupported` where the tokenizer cannot."""
        self._used = used
        self.unread = ""
        self._read = {} if tokenizer is None else {each.document: used.documents[each.document] for each in used.chunks}
        for document in self._read.values():
            if tokenizer is not None and document.borders is not None and not self.unread:
                self.unread = unread(document.text, tokenizer.decode(document.tokens[len(document.leading) :]))

    @cached_property
    def _known(self) -> Mapping[int, tuple[Places, Places]]:
        """By document: characters between tokens, bytes before them. Large, so not before the models have computed."""
        return {
            number: (each.borders.by_token(len(each.tokens) - len(each.leading)), bytes_before(each.text))
            for number, each in self._read.items()
            if each.borders is not None
        }

    def measurements(self, losses: tuple[Floats, Floats], parameters: Mapping[str, Any]) -> list[dict[str, Any]]:
        """`scored_texts` of -ln p by scored token, the reference's and a variant's; none where tokens have no bytes."""
        rows = list(self._rows(losses)) if not self.unread else []
        if not rows:
            return []
        told = {key: parameters[key] for key in _TOLD}
        nats = sum(row.variant for row in rows)
        size = int(sum(row.size for row in rows))
        return [raw_rows(SCORED_TEXTS, {**told, "bytes_scored": size}, nats, SCORED_TEXTS.flat(rows))]

    def _rows(self, losses: tuple[Floats, Floats]) -> Iterator[TextRow]:
        done = 0
        for chunk in self._used.chunks:
            begin, done = done, done + chunk.scored
            if chunk.document not in self._known:
                continue
            low, high, size = self._whole(chunk, self._used.documents[chunk.document])
            if size > 0:
                part = slice(begin + low, begin + high)
                yield TextRow(
                    document=float(chunk.document),
                    size=float(size),
                    reference=float(losses[0][part].sum()),
                    variant=float(losses[1][part].sum()),
                    reference_tokens=float(high - low),
                    variant_tokens=float(high - low),
                )

    def _whole(self, chunk: Chunk, document: Document) -> tuple[int, int, int]:
        """From and to which of its scored tokens a chunk has whole characters, and their bytes."""
        characters, sizes = self._known[chunk.document]
        first = chunk.start + chunk.first - len(document.leading)
        between = characters[first : first + chunk.scored + 1]
        whole = np.flatnonzero(between >= 0)
        if not len(whole):
            return 0, 0, 0
        low, high = int(whole[0]), int(whole[-1])
        return low, high, int(sizes[between[high]] - sizes[between[low]])
