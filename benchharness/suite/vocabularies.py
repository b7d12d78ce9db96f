"""Which variants of a model read a text in which tokens, by their tokenizer files: no token of one is another's.

What is compared is what decides ids, in one spelling: the same tokenizer saved by two versions of a tool has its merges
as pairs or as words, defaults written out or left out. What it says of padding, truncation, offsets and spelling back
decides none. Where two files differ in this plain form the device looks what they make of the text itself.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from benchharness.suite.tables import Suite

#: Larger files, and fuller ones, are looked at by the device alone, within limits of time and memory: those of 260,000
#: tokens have 35 MB, half a million lists, two million items; one of 60 MB of empty lists takes 3 GB when it is read.
_MOST_BYTES = 64 << 20
_MOST_PARTS, _MOST_ITEMS = 2_000_000, 6_000_000
_DIGITS = 12
#: What decides no ids: where a token stands in a text, and that training drops merges.
_NO_MATTER = frozenset(("trim_offsets", "dropout", "vocab"))
#: What a part of a tokenizer means where it says nothing: of the format's own readers.
_DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    "BPE": {
        **dict.fromkeys(("unk_token", "continuing_subword_prefix", "end_of_word_suffix")),
        **dict.fromkeys(("fuse_unk", "byte_fallback", "ignore_merges"), False),
    },
    "Unigram": {"byte_fallback": False},
    "ByteLevel": {"use_regex": True},
    "Metaspace": {"split": True},
}
#: The parts in which a Sequence lists its own.
_LISTS = ("normalizers", "pretokenizers", "processors")


class Vocabulary(NamedTuple):
    """A tokenizer's words and their ids, what else decides how a text is cut, and what goes before one, as hashes.

    `name` is what jobs tell: that of the words, and of the cut where variants of a model share words and not the cut.
    """

    words: str
    cut: str = ""
    led: str = ""
    name: str = ""


def vocabularies_of(
    suite: Suite, tokenizers: Mapping[Path, Path], digests: Mapping[Path, str]
) -> dict[Path, Vocabulary]:
    """By artefact, in models whose variants have tokenizers of several kinds, which one is its own.

    Nothing of other models: files are opened only where their digests differ.
    """
    known: dict[Path, Vocabulary] = {}
    found: dict[Path, Vocabulary] = {}
    for model in suite.models.values():
        own = {
            each.artefact: tokenizers[each.artefact] for each in model.variants.values() if each.artefact in tokenizers
        }
        if len({digests.get(file) for file in own.values()}) < 2:
            continue
        for file in own.values():
            if file not in known:
                known[file] = _told(file) or Vocabulary(digests.get(file, "")[:_DIGITS])
        if len({known[file] for file in own.values()}) > 1:
            found.update(_named({artefact: known[file] for artefact, file in own.items()}))
    return found


def _named(spoken: Mapping[Path, Vocabulary]) -> dict[Path, Vocabulary]:
    """With names; none where all tokens are the same, whatever goes before a text."""
    cuts: dict[str, set[str]] = {}
    for each in spoken.values():
        cuts.setdefault(each.words, set()).add(each.cut)
    names = {each: f"{each.words}-{each.cut}" if len(cuts[each.words]) > 1 else each.words for each in spoken.values()}
    several = len(set(names.values())) > 1
    return {artefact: each._replace(name=names[each] if several else "") for artefact, each in spoken.items()}


def _told(file: Path) -> Vocabulary | None:
    """What tells a tokenizer.json from others; None where it cannot be read."""
    try:
        if file.stat().st_size > _MOST_BYTES:
            return None
        content = file.read_bytes()
        if content.count(b"[") + content.count(b"{") > _MOST_PARTS or content.count(b",") > _MOST_ITEMS:
            return None
        said = json.loads(content)
        model, added = said["model"], said.get("added_tokens") or ()
        words = _words(model["vocab"])
        words |= {str(each["content"]): int(each["id"]) for each in added}
        scores = [] if isinstance(model["vocab"], dict) else [float(each[1]) for each in model["vocab"]]
        cut = [
            {**_plain(model), "merges": [_pair(each) for each in model.get("merges") or ()]},
            scores,
            _plain(said.get("normalizer")),
            _plain(said.get("pre_tokenizer")),
            sorted(_matched(each) for each in added),
        ]
        led = list(_led(_plain(said.get("post_processor"))))
        return Vocabulary(_hash(sorted(words.items(), key=lambda each: each[1])), _hash(cut), _hash(led))
    except (OSError, ValueError, TypeError, LookupError, AttributeError, OverflowError, RecursionError, MemoryError):
        return None


def _hash(told: Any) -> str:
    spelled = json.dumps(told, ensure_ascii=True, sort_keys=True)
    return hashlib.sha256(spelled.encode()).hexdigest()[:_DIGITS]


def _words(said: Any) -> dict[str, int]:
    """Ids by token. A unigram's vocabulary is a list of tokens with their scores, in the order of their ids."""
    if isinstance(said, dict):
        return {str(word): int(token) for word, token in said.items()}
    return {str(each[0]): token for token, each in enumerate(said)}


def _plain(said: Any) -> Any:
    """A part of a tokenizer in one spelling: defaults written out, a sequence of one part as that part."""
    if isinstance(said, list):
        return [_plain(each) for each in said]
    if not isinstance(said, dict):
        return said
    if said.get("type") == "Sequence":
        parts = [_plain(each) for name in _LISTS for each in said.get(name) or ()]
        flat = [one for each in parts for one in (each if isinstance(each, list) else [each]) if one is not None]
        return flat[0] if len(flat) == 1 else flat or None
    told = {**_DEFAULTS.get(str(said.get("type")), {}), **said}
    if said.get("type") == "Metaspace":
        first = "always" if told.pop("add_prefix_space", True) else "never"
        told = {"prepend_scheme": first, **told}
        told.pop("str_rep", None)
    return {name: _plain(each) for name, each in told.items() if name not in _NO_MATTER and name != "merges"}


def _pair(said: Any) -> list[str]:
    """A merge, as a pair or as two words with a blank between them."""
    return said.split(" ") if isinstance(said, str) else [str(each) for each in said]


def _matched(added: Mapping[str, Any]) -> list[Any]:
    """How an added token is found in a text; special or not, where it is normalized that is after the text was."""
    return [str(added["content"]), *(bool(added.get(key)) for key in ("normalized", "single_word", "lstrip", "rstrip"))]


def _led(processor: Any) -> Iterator[Any]:
    """What a post-processor in one spelling puts before a text; what it does behind one is never done."""
    if isinstance(processor, list):
        for each in processor:
            yield from _led(each)
    elif isinstance(processor, dict) and "single" in processor:
        for piece in processor["single"]:
            if "SpecialToken" not in piece:
                return
            yield processor["special_tokens"][piece["SpecialToken"]["id"]]["ids"]
    elif isinstance(processor, dict) and "cls" in processor:
        yield [processor["cls"][1]]
