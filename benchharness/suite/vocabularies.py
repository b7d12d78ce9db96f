"""Which variants of a model speak which vocabulary, by their tokenizer files: a token of one is no token of another."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchharness.suite.tables import Suite

#: Larger files are looked at by the device alone: those of 250,000 tokens have 35 MB, and a hostile one takes 25 times
#: its size in memory.
_MOST_BYTES = 64 << 20
_DIGITS = 12


def vocabularies_of(suite: Suite, tokenizers: Mapping[Path, Path], digests: Mapping[Path, str]) -> dict[Path, str]:
    """By artefact, in models whose variants have tokenizers of several vocabularies, which one is its own.

    Nothing of other models: files are opened only where their digests differ.
    """
    known: dict[Path, str] = {}
    found: dict[Path, str] = {}
    for model in suite.models.values():
        own = {
            each.artefact: tokenizers[each.artefact] for each in model.variants.values() if each.artefact in tokenizers
        }
        if len({digests.get(file) for file in own.values()}) < 2:
            continue
        for file in own.values():
            if file not in known:
                known[file] = _told(file) or digests.get(file, "")[:_DIGITS]
        if len({known[file] for file in own.values()}) > 1:
            found.update({artefact: known[file] for artefact, file in own.items()})
    return found


def _told(file: Path) -> str:
    """What tells the vocabulary of a tokenizer.json from others: a hash of its tokens; "" where it cannot be read."""
    try:
        if file.stat().st_size > _MOST_BYTES:
            return ""
        said = json.loads(file.read_bytes())
        words = _words(said["model"]["vocab"])
        words |= {str(each["content"]): int(each["id"]) for each in said.get("added_tokens") or ()}
    except (OSError, ValueError, TypeError, LookupError, AttributeError, OverflowError, RecursionError):
        return ""
    spelled = json.dumps(sorted(words.items(), key=lambda each: each[1]), ensure_ascii=True)
    return hashlib.sha256(spelled.encode()).hexdigest()[:_DIGITS]


def _words(said: Any) -> dict[str, int]:
    """Ids by token. A unigram's vocabulary is a list of tokens with their scores, in the order of their ids."""
    if isinstance(said, dict):
        return {str(word): int(token) for word, token in said.items()}
    return {str(each[0]): token for token, each in enumerate(said)}
