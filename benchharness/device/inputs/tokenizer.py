"""A Hugging Face `tokenizer.json` as a causal language model is fed with it.

What the file says of padding and truncation belongs to whoever trained with it: a prompt has its own tokens and a text
all of them. Special tokens that it puts before a text (beginning of text) are what the model expects and stay; those
that it puts after a text (end of text, separator) would end what the model is to go on with, and are never added.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from benchharness.errors import Unsupported

if TYPE_CHECKING:
    from tokenizers import Tokenizer as Backend

#: Texts of which a tokenizer makes at least one token, the first that does: it then shows what it puts around it.
_PROBES = ("a", "the", "0", ".", "A", "\n", "我")
#: A vocabulary without any of these is small, or its words are as good.
_MOST_WORDS_TRIED = 256
_LONGEST_NAME, _LONGEST_REASON = 40, 200
#: What the package raises where its own code gives up, such as a pattern that takes too many steps.
_PANIC = "PanicException"
_UNREADABLE = "not a readable tokenizer.json"


class Around(NamedTuple):
    """The special tokens that a tokenizer puts before and after a text, found by watching it."""

    before: tuple[int, ...]
    after: tuple[int, ...]


class Tokenizer:
    """A tokenizer without padding, truncation and trailing special tokens; the package is imported only here."""

    def __init__(self, path: Path) -> None:
        try:
            from tokenizers import Tokenizer as Backend
            from tokenizers import processors
        except ImportError as error:
            raise Unsupported(f"a text prompt needs the package 'tokenizers', which is not here: {error}") from error
        try:
            self._backend = Backend.from_file(str(path))
            self._switched_off = [
                name
                for name, asked in (("padding", self._backend.padding), ("truncation", self._backend.truncation))
                if asked is not None
            ]
            self._backend.no_padding()
            self._backend.no_truncation()
            if getattr(self._backend.model, "dropout", None) is not None:
                self._switched_off.append("dropout")
                self._backend.model.dropout = None
            self.around = _around(self._backend)
            # What leads is known, and what else a post-processor does is to cut blanks off what a token stands for.
            self._backend.post_processor = processors.TemplateProcessing(single="$A", special_tokens=[])
        except Unsupported as error:
            raise Unsupported(f"{path.name}: {error}") from error
        except BaseException as error:
            raise _refused(f"{path.name}: {_UNREADABLE}", error) from error

    @property
    def leading(self) -> tuple[int, ...]:
        """The special tokens that go before every text; none, mostly one."""
        return self.around.before

    def encode(self, text: str) -> list[int]:
        """Token ids of a text, after whatever special tokens the tokenizer puts before it."""
        return [*self.around.before, *self._encoded(text).ids]

    def spans(self, text: str) -> tuple[list[int], list[tuple[int, int]]]:
        """The token ids of a text alone, and the characters that each stands for."""
        encoding = self._encoded(text)
        return list(encoding.ids), list(encoding.offsets)

    def _encoded(self, text: str) -> Any:
        """Raises `Unsupported` where a word has no token, and the file names none for those without."""
        try:
            return self._backend.encode(text, add_special_tokens=False)
        except BaseException as error:
            raise _refused("the tokenizer cannot read the text", error) from error

    def decode(self, tokens: Sequence[int]) -> str:
        """The text of token ids, special tokens spelled out. Raises `Unsupported`."""
        try:
            return str(self._backend.decode(list(tokens), skip_special_tokens=False))
        except BaseException as error:
            raise _refused("the tokenizer cannot spell tokens", error) from error

    def words(self) -> Mapping[str, int]:
        """The vocabulary: the id of each token, by how the tokenizer spells it."""
        return self._backend.get_vocab(with_added_tokens=True)

    def specials(self) -> frozenset[int]:
        """The tokens that stand for no text: beginnings, ends, and what else its file calls special."""
        return frozenset(each for each, added in self._backend.get_added_tokens_decoder().items() if added.special)

    def named(self, tokens: Sequence[int]) -> str:
        """Special tokens as ids and names: `1 <s>`; `none`."""
        return ", ".join(f"{each} {str(self._backend.id_to_token(each))[:_LONGEST_NAME]}" for each in tokens) or "none"

    def end(self) -> None:
        """It is needed no more."""

    def facts(self) -> dict[str, Any]:
        """What is told of it on a result."""
        return {
            "leading_tokens": self.named(self.around.before),
            "trailing_tokens_left_out": self.named(self.around.after),
            "switched_off": ", ".join(self._switched_off) or "nothing",
        }


def _refused(what: str, error: BaseException) -> Unsupported:
    """What the package raised, in words; an end of this process that somebody asked for goes on."""
    if not isinstance(error, Exception) and type(error).__name__ != _PANIC:
        raise error
    return Unsupported(f"{what}: {str(error)[:_LONGEST_REASON]}")


def _around(backend: Backend) -> Around:
    """What the tokenizer puts around a text. It marks what its post-processor adds, whatever kind that is."""
    for probe in _probes(backend):
        text = list(backend.encode(probe, add_special_tokens=False).ids)
        if not text:
            continue
        encoding = backend.encode(probe)
        added = list(encoding.special_tokens_mask)
        first = added.index(0) if 0 in added else len(added)
        last = len(added) - (added[::-1].index(0) if 0 in added else 0)
        found = Around(tuple(encoding.ids[:first]), tuple(encoding.ids[last:]))
        if list(encoding.ids[first:last]) != text:
            raise Unsupported(
                "this tokenizer adds special tokens inside a text, and which of them lead is not clear; give token ids"
            )
        return found
    return Around((), ())  # of no text does it make a token


def _probes(backend: Backend) -> list[str]:
    if any(backend.encode(probe, add_special_tokens=False).ids for probe in _PROBES):
        return list(_PROBES)
    size = min(backend.get_vocab_size(), _MOST_WORDS_TRIED)
    words = (backend.id_to_token(number) for number in range(size))
    return [word for word in words if word]
