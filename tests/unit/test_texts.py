"""How a text becomes chunks: as llama-perplexity cuts it, short documents too, and what is left out is counted."""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchharness.device.inputs.tokenizer import Around, Tokenizer
from benchharness.device.scenarios.quality.conductor import Pass
from benchharness.device.scenarios.quality.texts import Used, chunks_of
from benchharness.device.scenarios.quality.tokens import compare
from benchharness.errors import Unsupported

BOS, LANG = 1, 2
TEXT = "abcdefghijklmnopqrstuvwxyz"


class Letters(Tokenizer):
    """A token a character, its code point, after leading ones."""

    def __init__(self, *leading: int) -> None:
        self.around = Around(leading, ())

    def encode(self, text: str) -> list[int]:
        return [*self.around.before, *self.spans(text)[0]]

    def spans(self, text: str) -> tuple[list[int], list[tuple[int, int]]]:
        return [ord(each) for each in text], [(at, at + 1) for at in range(len(text))]

    def named(self, tokens: Sequence[int]) -> str:
        return ", ".join(f"{each} <{each}>" for each in tokens) or "none"


def cut(content: str | bytes | list[Any], *leading: int, kind: str = "text", **asked: Any) -> Used:
    """The chunks of a text, of bytes, or of lines of JSON; of 8 tokens, the second half scored."""
    if isinstance(content, list):
        content, kind = "\n".join(json.dumps(line, ensure_ascii=False) for line in content), "jsonl"
    tokenizer = asked.pop("tokenizer", Letters(*leading))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "data"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        settings = {"length": 8, "most": 1000, "context_share": 0.5, **asked}
        return chunks_of({"path": str(path), "kind": kind}, tokenizer, **settings)


def read(used: Used) -> list[str]:
    """Chunks as text, context and what is scored apart."""
    spelled = [[chr(each) if each > 9 else f"<{each}>" for each in chunk.tokens] for chunk in used.chunks]
    return [
        "".join(chunk[: each.first]) + "|" + "".join(chunk[each.first :])
        for chunk, each in zip(spelled, used.chunks, strict=True)
    ]


def test_each_chunk_begins_with_the_leading_token_in_place_of_its_own_first() -> None:
    # llama-perplexity tokenizes with BOS and puts it over the first token of every chunk; here `h` and `p`.
    used = cut(TEXT, BOS)
    assert read(used) == ["<1>abc|defg", "<1>ijk|lmno", "<1>qrs|tuvw"]
    assert used.leading == "1 <1>"
    assert used.counted == "3 of 3 chunks, 24 of 27 tokens"


def test_what_is_fed_is_told_apart_from_as_many_other_tokens() -> None:
    told = [cut(content, kind="tokens").facts for content in ("1 2 3 4 5 6 7 8", "1 2 3 4 5 6 8 7", "1,2,3,4,5,6,7,8")]
    assert told[0] == told[2] != told[1] == {**told[0], "ids": told[1]["ids"]}
    assert cut("1 2 3 4 5 6 7 8", kind="tokens", context_share=0.25).facts["ids"] != told[0]["ids"], "scored from there"


def test_a_tokenizer_that_cannot_spell_is_refused_before_anything_is_computed(tmp_path: Path) -> None:
    class Mute(Letters):
        def decode(self, tokens: Sequence[int]) -> str:
            raise Unsupported("the tokenizer cannot spell tokens")

    (tmp_path / "data").write_text(TEXT)
    asked: list[Any] = []
    reference: Any = SimpleNamespace(opened={"vocabulary_size": 200, "context_length": 64}, tell=asked.append)
    settings = {
        "chunk_tokens": 8,
        "most_chunks": 9,
        "context_share": 0.5,
        "evaluation": "decode",
        "continuation_tokens": 0,
        "continuation_prompts": 0,
    }
    with pytest.raises(Unsupported, match="cannot spell tokens"):
        compare(Pass(reference, {}), {"path": tmp_path / "data", "kind": "text"}, settings, Mute(), lambda *_: None)
    assert not asked


def test_without_a_leading_token_chunks_are_as_they_come() -> None:
    used = cut(TEXT)
    assert read(used) == ["abcd|efgh", "ijkl|mnop", "qrst|uvwx"]
    assert used.leading == "none"


def test_several_leading_tokens_are_all_put_and_never_scored() -> None:
    assert read(cut(TEXT, BOS, LANG)) == ["<1><2>ab|cdef", "<1><2>ij|klmn", "<1><2>qr|stuv"]
    assert read(cut(TEXT, BOS, LANG, length=3)) == ["<1><2>|a"] + [f"<1><2>|{TEXT[at]}" for at in range(3, 25, 3)]


def test_documents_shorter_than_a_chunk_are_scored_from_their_own_middle() -> None:
    used = cut([{"text": "abcd"}, {"text": "ab"}, {"text": "a"}, {"text": ""}, {"text": "abcdefghij"}, {"text": "abc"}])
    assert read(used) == ["ab|cd", "a|b", "abcd|efgh", "ab|c"]
    assert [chunk.document for chunk in used.chunks] == [0, 1, 4, 5]
    assert used.counted == "4 of 6 documents, 4 of 4 chunks, 17 of 20 tokens"
    assert used.facts["documents_too_short"] == 2


def test_a_leading_token_alone_makes_a_short_document_scorable_and_is_not_scored() -> None:
    used = cut([{"text": "a"}, {"text": ""}, {"text": "abc"}], BOS)
    assert read(used) == ["<1>|a", "<1>a|bc"]


def test_a_text_shorter_than_a_chunk_is_one() -> None:
    assert read(cut("abc")) == ["ab|c"]


@pytest.mark.parametrize(("share", "first"), [(0.5, 4), (0.25, 2), (0.01, 1), (0.9, 8), (0.7, 6)])
def test_the_context_of_a_chunk_is_its_share_rounded_up_and_one_at_least(share: float, first: int) -> None:
    if first == 8:
        with pytest.raises(Unsupported, match="no token to score"):
            cut(TEXT, context_share=share)
        return
    assert {chunk.first for chunk in cut(TEXT, context_share=share).chunks} == {first}


def test_seventy_percent_of_ten_are_seven() -> None:
    assert {chunk.first for chunk in cut(TEXT, length=10, context_share=0.7).chunks} == {7}


def test_token_ids_are_cut_as_the_text_that_they_are() -> None:
    ids = [BOS, *map(ord, TEXT)]
    for content, kind in ((" ".join(map(str, ids)), "tokens"), (str(ids), "tokens"), ([{"tokens": ids}], "jsonl")):
        used = cut(content, BOS, kind=kind)
        assert read(used) == read(cut(TEXT, BOS))
        assert (used.leading, used.not_led) == ("1 <1>", 0)


def test_token_ids_that_do_not_begin_with_the_leading_token_are_left_alone_and_that_is_told() -> None:
    used = cut([{"tokens": list(map(ord, TEXT))}, {"text": TEXT}], BOS)
    assert read(used)[:3] == read(cut(TEXT))
    assert read(used)[3:] == read(cut(TEXT, BOS))
    assert used.leading == "1 <1> in 1 of 2 documents: the token ids of others do not begin with it"
    assert used.facts["documents_without_them"] == 1


def test_without_a_tokenizer_token_ids_are_as_they_are_and_that_is_told() -> None:
    used = cut("1 97 98 99", kind="tokens", tokenizer=None)
    assert read(used) == ["<1>a|bc"]
    assert used.leading.startswith("unknown without a tokenizer.json")


@pytest.mark.parametrize("most", [1, 3, 7, 32])
def test_of_many_chunks_some_are_used_spread_evenly(most: int) -> None:
    used = cut([{"text": TEXT[at : at + 4]} for at in range(20)], most=most)
    assert len(used.chunks) == min(most, 20)
    assert used.counted.startswith(f"{min(most, 20)} of 20 documents, {min(most, 20)} of 20 chunks, ")
    if 1 < most < 20:
        assert [used.chunks[0].document, used.chunks[-1].document] == [0, 19]


@given(st.lists(st.integers(0, 40), min_size=1, max_size=30), st.integers(2, 12), st.integers(1, 40), st.booleans())
def test_nothing_is_left_out_that_is_not_counted(lengths: list[int], length: int, most: int, led: bool) -> None:
    lines = [{"text": "x" * each} for each in lengths]
    leading = (BOS,) if led else ()
    sizes = [each + len(leading) for each in lengths]
    scorable = [each for each in sizes if each > max(1, math.ceil(min(each, length) / 2))]
    if not scorable:
        with pytest.raises(Unsupported, match="no token to score"):
            cut(lines, *leading, length=length, most=most)
        return
    used = cut(lines, *leading, length=length, most=most)
    pieces = sum(max(1, each // length) for each in scorable)
    facts = used.facts
    assert facts["documents"][1] == len(lengths)
    assert facts["documents_too_short"] == len(sizes) - len(scorable)
    assert facts["chunks"] == [min(most, pieces), pieces]
    assert facts["tokens"][1] == sum(sizes)
    if pieces <= most:
        assert facts["tokens"][0] == sum(max(min(each, length), each // length * length) for each in scorable)
    for chunk in used.chunks:
        assert len(chunk.tokens) == min(length, sizes[chunk.document])
        assert chunk.first == max(1, math.ceil(len(chunk.tokens) / 2))
        assert tuple(chunk.tokens[: len(leading)]) == leading


def test_no_line_end_and_no_character_of_a_text_is_changed() -> None:
    assert read(cut(b"a\r\nb\rc\x0bd", length=8)) == ["a\r\nb|\rc\x0bd"]
    assert read(cut(b"\xef\xbb\xbfabcd")) == ["ab|cd"]  # a byte order mark is no text
    assert read(cut([{"text": "ab\u2028\x85cd"}])) == ["ab\u2028|\x85cd"]  # they end no line of JSON


@pytest.mark.parametrize(
    ("content", "kind", "told"),
    [
        (b"caf\xe9 au lait", "text", "not UTF-8: byte 3 is 0xe9"),
        (b'{"text": "caf\xe9"}', "jsonl", "not UTF-8"),
        ('{"tokens": [1, 2.7, 3]}', "jsonl", "line 1: not token ids: '2.7' is no whole number"),
        ('{"tokens": [1, true]}', "jsonl", "line 1: not token ids: 'True'"),
        ('{"tokens": [1, "2"]}', "jsonl", "line 1: not token ids: '2'"),
        ('{"tokens": [1, 2]}\n\n{"tokens": [1, -2]}', "jsonl", "line 3: token -2 is below 0"),
        ("1 2 x", "tokens", "the token file: not token ids"),
        ("a", "text", "no token to score: the longest document has 1"),
        ("a", "npz", "arrays are no text"),
    ],
)
def test_what_would_have_to_be_changed_is_refused(content: str | bytes, kind: str, told: str) -> None:
    with pytest.raises(Unsupported, match=told):
        cut(content, kind=kind)
