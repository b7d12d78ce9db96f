"""Texts and token ids as the chunks that a language model is evaluated on, and what of the data they leave out.

As llama-perplexity does it: a text is tokenized once and cut into chunks, the first part of each is context only, and
where the tokenizer puts a token before a text, each chunk begins with it in place of its own first token. Besides, a
document shorter than a chunk is a chunk of its own length. A document of token ids is taken as it is: where it begins
with the tokenizer's leading token, its chunks do, as if it were text; where it does not, none does, and that is told.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from benchharness.device.inputs.tokenizer import Tokenizer
from benchharness.device.scenarios.quality import sampling
from benchharness.device.scenarios.quality.borders import Borders, borders_of
from benchharness.errors import Unsupported

#: 70 % of 10 tokens are 7, and 10 * 0.7 is a little more.
_ROUNDING = 1e-9
_LONGEST_TOLD = 40
_DIGITS = 16


class Chunk(NamedTuple):
    """What is evaluated at once: tokens up to `first` are context, each from there on is predicted."""

    document: int
    tokens: Sequence[int]
    first: int
    start: int = 0  # its first token's place in the document

    @property
    def scored(self) -> int:
        """How many of its tokens are predicted."""
        return len(self.tokens) - self.first


class Document(NamedTuple):
    """A document of the data as tokens. One of token ids has no text, and no borders."""

    tokens: Sequence[int]
    leading: Sequence[int]  # what each of its chunks begins with
    text: str = ""
    borders: Borders | None = None  # of the text's own tokens, without the leading ones


@dataclass(frozen=True)
class Used:
    """What of the data is evaluated on."""

    chunks: Sequence[Chunk]
    of_chunks: int
    of_documents: int
    of_tokens: int
    too_short: int  # documents of which no token can be scored
    leading: str  # the tokens that every chunk begins with
    not_led: int  # documents of token ids that do not begin with them
    documents: Sequence[Document] = ()  # all of them, by the number that chunks have

    @property
    def counted(self) -> str:
        """`32 of 86 chunks, 8192 of 22263 tokens`; of several documents, how many too."""
        documents = len({chunk.document for chunk in self.chunks})
        tokens = sum(len(chunk.tokens) for chunk in self.chunks)
        parts = [sampling.told(documents, self.of_documents, "documents")] if self.of_documents > 1 else []
        parts.append(sampling.told(len(self.chunks), self.of_chunks, "chunks"))
        parts.append(sampling.told(tokens, self.of_tokens, "tokens"))
        return ", ".join(parts)

    @property
    def facts(self) -> dict[str, Any]:
        """The same as numbers: each [used, all]."""
        return {
            "documents": [len({chunk.document for chunk in self.chunks}), self.of_documents],
            "documents_too_short": self.too_short,
            "chunks": [len(self.chunks), self.of_chunks],
            "tokens": [sum(len(chunk.tokens) for chunk in self.chunks), self.of_tokens],
            "scored_tokens": sum(chunk.scored for chunk in self.chunks),
            "leading_tokens": self.leading,
            "documents_without_them": self.not_led,
            "ids": self._digest(),
        }

    def _digest(self) -> str:
        """Of the very tokens that are fed and from where they are scored: as many of another cut are others."""
        found = hashlib.sha256()
        for chunk in self.chunks:
            found.update(f"{chunk.first} {' '.join(map(str, chunk.tokens))}\n".encode("ascii"))
        return found.hexdigest()[:_DIGITS]


def chunks_of(
    data: Mapping[str, Any], tokenizer: Tokenizer | None, *, length: int, most: int, context_share: float
) -> Used:
    """Chunks of `length` tokens, or of a whole document where that is shorter; at most `most`, spread evenly.

    What is over after a document's last whole chunk is not used. Raises `Unsupported` for text without a tokenizer,
    lines that are no JSON, and data of which no token can be scored.
    """
    documents = _documents(Path(data["path"]), data["kind"], tokenizer)
    found = [list(_cut(number, each, length, context_share)) for number, each in enumerate(documents)]
    chunks = [chunk for of_document in found for chunk in of_document]
    if not chunks:
        longest = max((len(each.tokens) for each in documents), default=0)
        raise Unsupported(
            f"there is no token to score: the longest document has {longest}, and chunk_tokens = {length} with "
            f"context_share = {100 * context_share:.0f} % leaves no token of a chunk; give more text, or set another "
            "chunk_tokens or context_share under [scenarios.quality]"
        )
    return Used(
        chunks=[chunks[number] for number in sampling.evenly(len(chunks), most)],
        of_chunks=len(chunks),
        of_documents=len(documents),
        of_tokens=sum(len(each.tokens) for each in documents),
        too_short=sum(not of_document for of_document in found),
        leading=_leading(documents, tokenizer),
        not_led=sum(not each.leading for each in documents) if tokenizer is not None and tokenizer.leading else 0,
        documents=documents,
    )


def _cut(number: int, document: Document, length: int, context_share: float) -> Iterator[Chunk]:
    tokens, leading = document.tokens, document.leading
    size = min(length, len(tokens))
    first = max(1, len(leading), math.ceil(size * context_share - _ROUNDING))
    if first >= size:
        return
    for start in range(0, len(tokens) - size + 1, size):
        yield Chunk(number, [*leading, *tokens[start + len(leading) : start + size]], first, start)


def _leading(documents: Sequence[Document], tokenizer: Tokenizer | None) -> str:
    if tokenizer is None:
        return "unknown without a tokenizer.json: token ids as they are"
    named, having = tokenizer.named(tokenizer.leading), sum(bool(each.leading) for each in documents)
    if not tokenizer.leading or having == len(documents):
        return named
    return f"{named} in {having} of {len(documents)} documents: the token ids of others do not begin with it"


def texts_of(data: Mapping[str, Any]) -> list[str]:
    """The documents of the data as texts. Raises `Unsupported` for token ids, which are of one vocabulary."""
    texts = []
    for content in _contents(Path(data["path"]), data["kind"]):
        if not isinstance(content, str):
            raise Unsupported("the evaluation data has token ids, which are the reference's; give text to compare by")
        texts.append(content)
    return texts


def spelled(data: Mapping[str, Any], tokenizer: Tokenizer) -> Iterator[str]:
    """The documents of the data as texts; those of token ids as a tokenizer spells them."""
    for content in _contents(Path(data["path"]), data["kind"]):
        yield content if isinstance(content, str) else tokenizer.decode(_given(*content, tokenizer).tokens)


def _documents(path: Path, kind: str, tokenizer: Tokenizer | None) -> list[Document]:
    return [
        _encoded(content, tokenizer) if isinstance(content, str) else _given(*content, tokenizer)
        for content in _contents(path, kind)
    ]


def _contents(path: Path, kind: str) -> Iterator[str | tuple[Sequence[Any], str]]:
    """Each document: a text, or token ids and where they stand."""
    if kind == "npz":
        raise Unsupported("arrays are no text: a language model is evaluated on .txt, .jsonl or .tokens")
    text = _read(path)
    if kind == "tokens":
        yield text.strip().strip("[]").replace(",", " ").split(), "the token file"
    elif kind == "text":
        yield text
    else:
        # A string may hold what else ends a line.
        yield from (_of_line(line, number) for number, line in enumerate(text.split("\n"), 1) if line.strip())


def _read(path: Path) -> str:
    """The text as it is: no line end and no byte is changed. A byte order mark is no text."""
    try:
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Unsupported(
            f"the evaluation data is not UTF-8: byte {error.start} is {error.object[error.start]:#04x}; save it as "
            "UTF-8 (iconv -t UTF-8)"
        ) from error


def _of_line(line: str, number: int) -> str | tuple[Sequence[Any], str]:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise Unsupported(f"line {number} of the evaluation data is not JSON: {error}") from error
    if isinstance(value, dict) and isinstance(value.get("tokens"), list):
        other = next((each for each in value["tokens"] if type(each) is not int), None)
        if other is not None:
            raise Unsupported(f"line {number}: not token ids: {str(other)[:_LONGEST_TOLD]!r} is no whole number")
        return list(value["tokens"]), f"line {number}"
    if isinstance(value, dict) and isinstance(value.get("text"), str):
        return str(value["text"])
    raise Unsupported(f'line {number} of the evaluation data has neither "text" nor "tokens"')


def _given(words: Sequence[Any], where: str, tokenizer: Tokenizer | None) -> Document:
    try:
        tokens = [int(word) for word in words]
    except (TypeError, ValueError) as error:
        raise Unsupported(f"{where}: not token ids: {error}") from error
    if tokens and min(tokens) < 0:
        raise Unsupported(f"{where}: token {min(tokens)} is below 0")
    leading = tokenizer.leading if tokenizer is not None else ()
    return Document(tokens, leading if tuple(tokens[: len(leading)]) == leading else ())


def _encoded(text: str, tokenizer: Tokenizer | None) -> Document:
    if tokenizer is None:
        raise Unsupported(
            "the evaluation data is text, and there is no tokenizer.json beside the reference; name one with "
            "'tokenizer', or give token ids"
        )
    tokens, spans = tokenizer.spans(text)
    return Document([*tokenizer.leading, *tokens], tokenizer.leading, text, borders_of(spans, len(text)))
