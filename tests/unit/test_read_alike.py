"""Whether two tokenizers read the evaluation data in the same tokens: decided by the text, not by their files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer as Backend
from tokenizers import models, pre_tokenizers

from benchharness.device.inputs.tokenizer import Tokenizer
from benchharness.device.scenarios.quality.vocabularies import ReadBy
from benchharness.errors import Unsupported
from tests.conftest import ARTEFACTS

TEACHER = ARTEFACTS / "onnx-fp32" / "tokenizer.json"
TEXT = "And it came to pass in the days of Amraphel, that they made war: 我 and 12.\n"
SIZES = (1024, 1024)


def data(folder: Path, content: str = TEXT, kind: str = "text") -> dict[str, str]:
    (folder / "data").write_text(content, encoding="utf-8")
    return {"path": str(folder / "data"), "kind": kind}


def changed(folder: Path, change: Any = lambda said: None, **parts: Any) -> Tokenizer:
    """The teacher's tokenizer with parts of its file replaced, or changed in place."""
    said = {**json.loads(TEACHER.read_text(encoding="utf-8")), **parts}
    change(said)
    path = folder / "tokenizer.json"
    path.write_text(json.dumps(said), encoding="utf-8")
    return Tokenizer(path)


def why(folder: Path, variant: Tokenizer, **told: str) -> str:
    return ReadBy(Tokenizer(TEACHER), data(folder, **told)).why_apart(variant, SIZES)


def half(said: dict[str, Any]) -> None:
    said["model"]["merges"] = said["model"]["merges"][:383]


def backwards(said: dict[str, Any]) -> None:
    said["model"]["merges"].reverse()


def words(said: dict[str, Any]) -> None:
    said["model"]["merges"] = [" ".join(pair) for pair in said["model"]["merges"]]


def split(pattern: str) -> dict[str, Any]:
    return {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}


BYTES = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
CUT: dict[str, Any] = {
    "half of the merges": (half, {}),
    "the merges in another order": (backwards, {}),
    "another pre-tokenizer": (None, {"pre_tokenizer": {**BYTES, "add_prefix_space": True}}),
    "one part more before it": (
        None,
        {"pre_tokenizer": {"type": "Sequence", "pretokenizers": [split("ea"), split("th"), BYTES]}},
    ),
    "a normalizer": (None, {"normalizer": {"type": "Lowercase"}}),
}
PAD = {"pad_id": 0, "pad_type_id": 0, "pad_token": "<|endoftext|>"}
#: What changes no id, of any text or of this one.
ALIKE: dict[str, Any] = {
    "keys in another order": (lambda said: said.update(dict(reversed(list(said.items())))), {}),
    "merges as words": (words, {}),
    "padding and truncation": (
        None,
        {
            "padding": {"strategy": {"Fixed": 16}, "direction": "Left", "pad_to_multiple_of": None, **PAD},
            "truncation": {"direction": "Right", "max_length": 3, "strategy": "LongestFirst", "stride": 0},
        },
    ),
    "no decoder": (None, {"decoder": None}),
    "offsets": (None, {"pre_tokenizer": {**BYTES, "trim_offsets": False}}),
    "a normalizer that finds nothing to do": (None, {"normalizer": {"type": "NFC"}}),
    "a dropout of merges": (lambda said: said["model"].update(dropout=0.5), {}),
}


@pytest.mark.parametrize("name", CUT)
def test_one_vocabulary_that_cuts_the_text_otherwise_is_apart(tmp_path: Path, name: str) -> None:
    change, parts = CUT[name]
    variant = changed(tmp_path, change or (lambda said: None), **parts)
    assert variant.words() == Tokenizer(TEACHER).words()
    told = why(tmp_path, variant)
    assert told.startswith("one vocabulary, and a text is read in other tokens: ")
    assert told.endswith("; if both ship with one tokenizer, name it under the model")


@pytest.mark.parametrize("name", ALIKE)
def test_what_changes_no_id_is_no_difference(tmp_path: Path, name: str) -> None:
    change, parts = ALIKE[name]
    assert why(tmp_path, changed(tmp_path, change or (lambda said: None), **parts)) == ""


def test_the_place_and_both_counts_are_told(tmp_path: Path) -> None:
    variant = changed(tmp_path, half)
    ours, theirs = (len(each.spans(TEXT)[0]) for each in (variant, Tokenizer(TEACHER)))
    assert ours > theirs
    assert f"by this variant's ({theirs} and {ours} tokens)" in why(tmp_path, variant)
    lowered = changed(tmp_path, normalizer={"type": "Lowercase"})
    assert "other tokens: 296 And, 353 Ġit, 466 Ġcame by the reference's tokenizer is 375 and," in why(
        tmp_path, lowered
    )


def test_unigrams_of_other_scores_cut_otherwise(tmp_path: Path) -> None:
    made = []
    for name, scores in (("one", (-1.0, -1.0, -9.0)), ("other", (-9.0, -9.0, -1.0))):
        backend = Backend(models.Unigram([*zip(("a", "b", "ab"), scores, strict=True), ("?", -20.0)], unk_id=3))
        backend.pre_tokenizer = pre_tokenizers.Whitespace()
        backend.save(str(tmp_path / name))
        made.append(Tokenizer(tmp_path / name))
    told = ReadBy(made[0], data(tmp_path, "ab ab")).why_apart(made[1], (4, 4))
    assert "'a|b|a' by the reference's tokenizer is 'ab|ab' by this variant's (4 and 2 tokens)" in told


def test_what_goes_before_a_text_is_a_difference(tmp_path: Path) -> None:
    piece = {"SpecialToken": {"id": "<|endoftext|>", "type_id": 0}}
    led = {
        "type": "TemplateProcessing",
        "single": [piece, {"Sequence": {"id": "A", "type_id": 0}}],
        "pair": [],
        "special_tokens": {"<|endoftext|>": {"id": "<|endoftext|>", "ids": [0], "tokens": ["<|endoftext|>"]}},
    }
    told = why(tmp_path, changed(tmp_path, post_processor=led))
    assert told.startswith(
        "one vocabulary, and the reference's tokenizer puts none before a text, this variant's 0 <|endoftext|>; "
    )
    behind = {**led, "single": led["single"][::-1]}  # type: ignore[index]
    assert why(tmp_path, changed(tmp_path, post_processor=behind)) == "", "what would go behind a text is never added"


def test_token_ids_are_spelled_and_read_again_by_both(tmp_path: Path) -> None:
    ids = " ".join(map(str, Tokenizer(TEACHER).spans(TEXT)[0]))
    assert why(tmp_path, changed(tmp_path), content=ids, kind="tokens") == ""
    assert "read in other tokens" in why(tmp_path, changed(tmp_path, half), content=ids, kind="tokens")


def test_without_the_references_tokenizer_nobody_can_tell(tmp_path: Path) -> None:
    with pytest.raises(Unsupported, match=r"no tokenizer.json beside the reference"):
        ReadBy(None, data(tmp_path)).why_apart(Tokenizer(TEACHER), SIZES)


def test_the_demo_model_has_the_vocabulary_of_its_quantized_ones_and_no_others(tmp_path: Path) -> None:
    """huggingface/trl issue 4562: a teacher was fed a student's ids, which of its own tokens meant others."""
    same = Tokenizer(ARTEFACTS / "tflite-int8" / "tokenizer.json")
    assert why(tmp_path, same) == ""
    backend = Backend(models.BPE({word: at for at, word in enumerate(pre_tokenizers.ByteLevel.alphabet())}, []))
    backend.save(str(tmp_path / "bytes.json"))
    told = ReadBy(Tokenizer(TEACHER), data(tmp_path)).why_apart(Tokenizer(tmp_path / "bytes.json"), (1024, 256))
    assert told.startswith(
        "two vocabularies: the reference's has 1024 tokens and 1024 logits, this variant's 256 and 256"
    )
    assert "token 0 is '<|endoftext|>' there" in told


def test_one_vocabulary_with_logits_of_two_sizes_is_no_other_one_but_has_no_divergence(tmp_path: Path) -> None:
    """NVIDIA/Model-Optimizer issue 2489: one tokenizer, and 152,064 logits of the teacher, 151,936 of the student."""
    teacher = Tokenizer(TEACHER)
    assert ReadBy(teacher, data(tmp_path)).why_apart(teacher, (1152, 1024)) == (
        "one vocabulary, padded to logits of two sizes: the reference's has 1024 tokens and 1152 logits, "
        "this variant's 1024 and 1024"
    )
