"""A tokenizer's padding and truncation stay off; what it puts before a text is found, what after is not added."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer as Backend
from tokenizers import models, normalizers, pre_tokenizers, processors

from benchharness.device.inputs.tokenizer import Tokenizer
from benchharness.errors import Unsupported
from tests.conftest import ARTEFACTS

WORDS = {"<unk>": 0, "<s>": 1, "</s>": 2, "<lang>": 3, "[CLS]": 4, "[SEP]": 5, "a": 6, "b": 7, "w9": 8}
S, E, LANG = ("<s>", 1), ("</s>", 2), ("<lang>", 3)


def template(single: str) -> Any:
    named = {name: number for name, number in WORDS.items() if number < 6}
    return processors.TemplateProcessing(single=single, special_tokens=list(named.items()))


def saved(folder: Path, processor: Any = None, *, unknown: str | None = "<unk>", **settings: Any) -> Path:
    """A tokenizer.json of words, with a post-processor, and whatever else is written into it."""
    backend = Backend(models.WordLevel(WORDS, unk_token=unknown) if unknown else models.WordLevel(WORDS))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    backend.add_special_tokens(["<s>", "</s>", "<lang>", "[CLS]", "[SEP]"])
    if processor is not None:
        backend.post_processor = processor
    path = folder / "tokenizer.json"
    backend.save(str(path))
    path.write_text(json.dumps({**json.loads(path.read_text()), **settings}))
    return path


AROUND = {
    "nothing": (None, [], []),
    "byte level only": (processors.ByteLevel(trim_offsets=True), [], []),
    "a template": (template("<s> $A"), [1], []),
    "a template of two, and an end": (template("<s> <lang> $A </s>"), [1, 3], [2]),
    "an end only": (template("$A </s>"), [], [2]),
    "the unknown token": (template("<unk> $A"), [0], []),
    "a word's own id": (processors.TemplateProcessing(single="a $A a", special_tokens=[("a", 6)]), [6], [6]),
    "byte level and a template": (
        processors.Sequence([processors.ByteLevel(trim_offsets=False), template("<s> $A")]),
        [1],
        [],
    ),
    "BERT": (processors.BertProcessing(("[SEP]", 5), ("[CLS]", 4)), [4], [5]),
    "RoBERTa": (processors.RobertaProcessing(("</s>", 2), ("<s>", 1)), [1], [2]),
}


@pytest.mark.parametrize("kind", AROUND)
def test_what_goes_before_a_text_and_what_would_go_after(tmp_path: Path, kind: str) -> None:
    processor, before, after = AROUND[kind]
    tokenizer = Tokenizer(saved(tmp_path, processor))
    assert (list(tokenizer.around.before), list(tokenizer.around.after)) == (before, after)
    assert tokenizer.encode("b a b") == [*before, 7, 6, 7]
    assert tokenizer.encode("<s> b </s>") == [*before, 1, 7, 2]  # those of the text are the text's
    assert tokenizer.encode("") == before


@pytest.mark.parametrize("direction", ["Right", "Left"])
@pytest.mark.parametrize("strategy", [{"Fixed": 16}, "BatchLongest"])
def test_neither_padding_nor_truncation_is_applied_and_that_is_told(
    tmp_path: Path, direction: str, strategy: Any
) -> None:
    padding = {"strategy": strategy, "direction": direction, "pad_to_multiple_of": 8, "pad_id": 0, "pad_type_id": 0}
    truncation = {"direction": direction, "max_length": 3, "strategy": "LongestFirst", "stride": 0}
    path = saved(tmp_path, template("<s> $A </s>"), padding={**padding, "pad_token": "<unk>"}, truncation=truncation)
    assert len(Backend.from_file(str(path)).encode("b a b a b a").ids) != 7  # the file's own way
    tokenizer = Tokenizer(path)
    assert tokenizer.encode("b a b a b a") == [1, 7, 6, 7, 6, 7, 6]
    assert tokenizer.facts() == {
        "leading_tokens": "1 <s>",
        "trailing_tokens_left_out": "2 </s>",
        "switched_off": "padding, truncation",
    }


def test_a_vocabulary_that_knows_no_common_word_is_watched_on_its_own(tmp_path: Path) -> None:
    path = saved(tmp_path, template("<s> $A </s>"), unknown=None)
    made = json.loads(path.read_text())
    made["model"]["vocab"] = {name: number for name, number in WORDS.items() if name not in "ab"}
    path.write_text(json.dumps(made))
    assert Tokenizer(path).encode("w9") == [1, 8]


def test_a_prepending_normalizer_is_part_of_the_text(tmp_path: Path) -> None:
    # As Llama 2's: the blank that it puts before a text is no special token.
    backend = Backend(models.WordLevel({"<unk>": 0, "<s>": 1, "▁a": 2, "▁b": 3}, unk_token="<unk>"))
    backend.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    backend.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="never")
    backend.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[S])
    backend.save(str(tmp_path / "tokenizer.json"))
    assert Tokenizer(tmp_path / "tokenizer.json").encode("b a") == [1, 3, 2]


def test_tokens_added_inside_a_text_are_refused(tmp_path: Path) -> None:
    with pytest.raises(Unsupported, match="special tokens inside a text"):
        Tokenizer(saved(tmp_path, template("<s> $A </s> $A")))


def test_the_bundled_model_reads_as_its_tokenizer_says() -> None:
    path = ARTEFACTS / "onnx-fp32" / "tokenizer.json"
    text = "And it came to pass, in the days of Amraphel — 123."
    tokenizer = Tokenizer(path)
    assert tokenizer.leading == ()
    assert tokenizer.encode(text) == Backend.from_file(str(path)).encode(text).ids
    tokens, spans = tokenizer.spans(text)
    assert tokens == tokenizer.encode(text)
    assert (spans[0][0], spans[-1][1]) == (0, len(text))


def test_a_text_that_it_has_no_token_for_is_refused_and_no_accident(tmp_path: Path) -> None:
    """The package raises a plain `Exception`, which would end a pass of several variants for all of them."""
    backend = Backend(models.WordPiece({"a": 0}, unk_token="[UNK]"))  # the package's default, which nobody added
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    backend.save(str(tmp_path / "tokenizer.json"))
    mute = Tokenizer(tmp_path / "tokenizer.json")
    assert mute.encode("a a") == [0, 0]
    for ask in (mute.encode, mute.spans):
        with pytest.raises(Unsupported, match=r"the tokenizer cannot read the text: WordPiece error: Missing \[UNK\]"):
            ask("a b")
