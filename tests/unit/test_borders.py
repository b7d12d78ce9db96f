"""Stretches of a text that two tokenizers read alike: no token and no character is cut, and no byte is lost."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer as Backend
from tokenizers import decoders, models, normalizers, pre_tokenizers, processors

from benchharness.device.inputs.tokenizer import Tokenizer
from benchharness.device.scenarios.quality.borders import (
    Borders,
    Side,
    borders_of,
    bytes_before,
    unread,
    windows_of,
)
from benchharness.device.scenarios.quality.sizes import Sizes
from benchharness.device.scenarios.quality.texts import Chunk, Document, Used, chunks_of
from benchharness.records import SCORED_TEXTS
from tests.conftest import ARTEFACTS

TEXT = "And God said, Let there be light: 我和你 and there was 🙂 light.\n"


def pairs(borders: Borders) -> list[tuple[int, int]]:
    return list(zip(borders.characters.tolist(), borders.tokens.tolist(), strict=True))


def test_tokens_of_one_character_have_no_border_between_them() -> None:
    # "a我b" in bytes: a, three tokens of one character, b.
    spans = [(0, 1), (1, 2), (1, 2), (1, 2), (2, 3)]
    assert pairs(borders_of(spans, 3)) == [(0, 0), (1, 1), (2, 4), (3, 5)]
    # The same as a fallback to bytes tells it: the character's end at the last of them only.
    assert pairs(borders_of([(0, 1), (1, 1), (1, 1), (1, 2), (2, 3)], 3)) == [(0, 0), (1, 1), (2, 4), (3, 5)]


def test_what_no_token_stands_for_goes_with_what_follows_and_at_the_end_with_what_was() -> None:
    assert pairs(borders_of([(0, 1), (2, 3)], 4)) == [(0, 0), (1, 1), (4, 2)]  # "a b " in words
    assert pairs(borders_of([], 0)) == [(0, 0)]
    assert pairs(borders_of([(0, 2), (1, 3)], 3)) == [(0, 0), (3, 2)]


def test_bytes_are_counted_in_utf_8_and_not_in_characters() -> None:
    """facebookresearch/adaptive-span issue 17: bits by character were printed that were bits by byte."""
    text = "aé我🙂z"
    expected = [len(text[:at].encode()) for at in range(len(text) + 1)]
    assert bytes_before(text).tolist() == expected == [0, 1, 3, 6, 10, 11]
    assert bytes_before("").tolist() == [0]


@pytest.mark.parametrize(
    ("text", "spelled", "same"),
    [
        ("a b", "a b", True),
        ("a b", " a b", True),  # SentencePiece puts a blank before a text, and takes one away
        (" a b", "a b", True),
        ("  a b", "a b", False),
        ("A b", "a b", False),
        ("a  b", "a b", False),
        ("cafe\u0301", "caf\u00e9", False),
        ("a 我", "a <unk>", False),
        ("a b", "a ", False),
    ],
)
def test_a_tokenizer_that_reads_another_text_is_found_out(text: str, spelled: str, same: bool) -> None:
    assert (unread(text, spelled) == "") is same


@st.composite
def tokenized(draw: st.DrawFn, length: int) -> list[tuple[int, int]]:
    """A text of so many characters, cut anywhere into tokens; some characters into several."""
    cuts = sorted(draw(st.sets(st.integers(1, length - 1), max_size=length)) if length > 1 else [])
    spans = list(itertools.pairwise([0, *cuts, length]))
    found = []
    for begin, end in spans:
        found += [(begin, end)] * (draw(st.integers(1, 3)) if end - begin == 1 else 1)
    return found


@given(st.data())
def test_windows_are_whole_tokens_of_both_that_fit_both(data: st.DataObject) -> None:
    length = data.draw(st.integers(1, 60))
    spans = [data.draw(tokenized(length)) for _ in range(2)]
    most = [data.draw(st.integers(2, 12)) for _ in range(2)]
    sides = [Side(borders_of(each, length), limit) for each, limit in zip(spans, most, strict=True)]
    windows = list(windows_of(sides, 0.5))
    ends = 0
    for window in windows:
        assert ends <= window.begin < window.first < window.end <= length
        ends = window.end
        for each, limit in zip(spans, most, strict=True):
            inside = [span for span in each if span[0] >= window.begin and span[1] <= window.end]
            assert len(inside) <= limit
            for place in window:
                assert all(end <= place or begin >= place for begin, end in each), "a token is cut"
            scored = [span for span in each if span[0] >= window.first and span[1] <= window.end]
            assert sorted({at for begin, end in scored for at in range(begin, end)}) == list(
                range(window.first, window.end)
            )
    if len(spans[0]) <= most[0] and len(spans[1]) <= most[1] and len(windows) > 0:
        assert (windows[0].begin, windows[-1].end) == (0, length)


def test_half_of_a_window_is_context_by_the_references_tokens_and_a_short_rest_is_left() -> None:
    letters = [(at, at + 1) for at in range(20)]
    twos = [(at, at + 2) for at in range(0, 20, 2)]
    windows = list(windows_of([Side(borders_of(twos, 20), 4), Side(borders_of(letters, 20), 100)], 0.5))
    assert windows == [(0, 4, 8), (8, 12, 16)]  # the last four characters make no whole window
    narrow = list(windows_of([Side(borders_of(twos, 20), 4), Side(borders_of(letters, 20), 5)], 0.5))
    assert narrow == [(at, at + 2, at + 4) for at in range(0, 20, 4)]  # the other's context is the smaller one


def bpe(folder: Path, **settings: Any) -> Tokenizer:
    """A tokenizer of bytes and a few merges that keeps blanks as asked."""
    words = {word: at for at, word in enumerate([*pre_tokenizers.ByteLevel.alphabet(), "th", "Ġth", "he"])}
    backend = Backend(models.BPE(words, [("t", "h"), ("Ġ", "th"), ("h", "e")]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=settings.get("prefix", False))
    backend.decoder = decoders.ByteLevel()
    if settings.get("trim"):
        backend.post_processor = processors.ByteLevel(trim_offsets=True)
    if settings.get("normalizer"):
        backend.normalizer = settings["normalizer"]
    path = folder / "tokenizer.json"
    backend.save(str(path))
    return Tokenizer(path)


def read(tokenizer: Tokenizer, text: str) -> tuple[list[int], Borders, str]:
    tokens, spans = tokenizer.spans(text)
    return tokens, borders_of(spans, len(text)), unread(text, tokenizer.decode(tokens))


@pytest.mark.parametrize("trim", [False, True])
def test_every_tokens_own_bytes_stand_between_its_borders(tmp_path: Path, trim: bool) -> None:
    """Also where a post-processor cuts blanks off what a token stands for (trim_offsets, as RoBERTa's does)."""
    tokenizer = bpe(tmp_path, trim=trim)
    tokens, borders, why = read(tokenizer, TEXT)
    assert why == ""
    assert int(borders.characters[-1]) == len(TEXT)
    before = bytes_before(TEXT)
    for (one, first), (other, last) in itertools.pairwise(pairs(borders)):
        assert tokenizer.decode(tokens[first:last]) == TEXT[one:other]
        assert before[other] - before[one] == len(TEXT[one:other].encode())


def test_a_blank_before_a_text_changes_no_border_behind_it(tmp_path: Path) -> None:
    plain, prefixed = (read(bpe(tmp_path, prefix=prefix), "he said") for prefix in (False, True))
    assert prefixed[2] == plain[2] == ""
    assert set(plain[1].characters.tolist()) >= {0, 2, 3, 7}
    assert set(prefixed[1].characters.tolist()) >= {0, 2, 3, 7}


def test_a_normalizer_that_rewrites_the_text_is_told_with_the_place(tmp_path: Path) -> None:
    _, _, why = read(bpe(tmp_path, normalizer=normalizers.NFC()), "a cafe\u0301 there")
    assert why.endswith("from character 5 on")
    assert "spelled" in why


def test_a_post_processor_does_not_move_where_a_token_ends(tmp_path: Path) -> None:
    """One that cuts blanks off what a token stands for moves the border where a blank ends a token."""
    words = {word: at for at, word in enumerate([*pre_tokenizers.ByteLevel.alphabet(), "aĠ"])}
    backend = Backend(models.BPE(words, [("a", "Ġ")]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    backend.decoder = decoders.ByteLevel()
    backend.post_processor = processors.ByteLevel(trim_offsets=True)
    backend.save(str(tmp_path / "tokenizer.json"))
    tokens, borders, why = read(Tokenizer(tmp_path / "tokenizer.json"), "a b")
    assert (len(tokens), why) == (2, "")
    assert pairs(borders) == [(0, 0), (2, 1), (3, 2)]


def test_parts_of_characters_at_a_chunks_ends_are_no_bytes_of_it(tmp_path: Path) -> None:
    tokenizer = Tokenizer(ARTEFACTS / "onnx-fp32" / "tokenizer.json")
    (tmp_path / "text.txt").write_text("我" * 12, encoding="utf-8")  # three tokens each
    data = {"path": str(tmp_path / "text.txt"), "kind": "text"}
    used = chunks_of(data, tokenizer, length=16, most=9, context_share=0.5)
    assert [(chunk.start, chunk.scored) for chunk in used.chunks] == [(0, 8), (16, 8)]
    losses = (np.arange(16.0), np.arange(16.0) * 10)
    told = {"evaluation": "decode", "chunk_tokens": 16, "used": used.counted, "leading_tokens": "none"}
    (found,) = Sizes(used, tokenizer).measurements(losses, told)
    rows = SCORED_TEXTS.rows(found["samples"])
    # Whole characters are tokens 9 to 14 of the text and 24 to 29: 1 to 6 of those scored, and 8 to 13.
    assert [(row.size, row.reference_tokens) for row in rows] == [(6, 6), (6, 6)]
    assert [row.reference for row in rows] == [sum(range(1, 7)), sum(range(8, 14))]
    assert [row.variant for row in rows] == [10 * row.reference for row in rows]
    assert found["parameters"] == {**told, "bytes_scored": 12}


def test_a_text_that_is_spelled_otherwise_is_not_made_good_by_those_behind_it() -> None:
    class Folds:
        def decode(self, tokens: Sequence[int]) -> str:
            return "".join(map(chr, tokens)).lower()

    documents = [
        Document([*map(ord, text)], (), text, borders_of([(at, at + 1) for at in range(len(text))], len(text)))
        for text in ("Ab", "ab", "cd")
    ]
    chunks = [Chunk(number, document.tokens, 1) for number, document in enumerate(documents)]
    used = Used(chunks, 3, 3, 6, 0, "none", 0, documents)
    sizes = Sizes(used, cast("Tokenizer", Folds()))
    assert sizes.unread.startswith("'Ab' is spelled 'ab'")
    assert sizes.measurements((np.ones(3), np.ones(3)), {}) == []
