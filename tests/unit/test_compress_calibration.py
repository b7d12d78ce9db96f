"""Calibration data: what is taken, what is refused, and how samples are known again."""

from __future__ import annotations

import hashlib
import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchharness.compress import calibration
from benchharness.compress.calibration import describe, read_samples, read_text, sample_digest
from benchharness.contract import TensorSpec
from benchharness.errors import UsageError
from tests.conftest import ARTEFACTS

IMAGE = TensorSpec("image", "float32", ["batch", 1, 8, 8])
TOKENS = TensorSpec("tokens", "int64", [1, 4])
MASK = TensorSpec("mask", "bool", [1, 4])
PICTURES = np.random.default_rng(0).random((3, 1, 8, 8), np.float32)


def saved(folder: Path, **arrays: Any) -> Path:
    np.savez(folder / "data.npz", **arrays)
    return folder / "data.npz"


def lines(folder: Path, *samples: Any) -> Path:
    path = folder / "data.jsonl"
    path.write_text("\n".join(sample if isinstance(sample, str) else json.dumps(sample) for sample in samples) + "\n")
    return path


def test_the_first_axis_counts_samples(tmp_path: Path) -> None:
    samples = read_samples(saved(tmp_path, image=PICTURES), [IMAGE])
    assert [sample["image"].shape for sample in samples] == [(1, 1, 8, 8)] * 3
    np.testing.assert_array_equal(samples[2]["image"][0], PICTURES[2])


def test_a_single_array_may_have_any_name_and_a_batch_of_its_own(tmp_path: Path) -> None:
    whole = read_samples(saved(tmp_path, pictures=PICTURES[:, np.newaxis]), [IMAGE])
    assert [sample["image"].shape for sample in whole] == [(1, 1, 8, 8)] * 3


def test_a_fixed_batch_wants_whole_inputs(tmp_path: Path) -> None:
    pairs = TensorSpec("image", "float32", [2, 4])
    (sample,) = read_samples(saved(tmp_path, image=np.ones((1, 2, 4), np.float32)), [pairs])
    assert sample["image"].shape == (2, 4)
    with pytest.raises(UsageError, match=r"of shape \(4,\), and the model takes image \(float32, 2 × 4\)"):
        read_samples(saved(tmp_path, image=np.ones((6, 4), np.float32)), [pairs])


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        (
            {"image": (PICTURES * 255).astype(np.uint8)},
            "is uint8 of shape (3, 1, 8, 8); the model takes image (float32",
        ),
        ({"image": PICTURES.astype(np.float64) * 1e300}, "is infinite"),
        ({"image": PICTURES.astype("U4")}, "input 'image' takes float32, and the data holds <U4"),
        (
            {"image": PICTURES[:, 0]},
            "is float32 of shape (8, 8), and the model takes image (float32, batch × 1 × 8 × 8)",
        ),
        ({"image": PICTURES[..., :7]}, "of shape (1, 8, 7)"),
        ({"picture": PICTURES, "other": PICTURES}, "lacks image and has picture, other; the model's inputs are image"),
        ({"image": PICTURES[:0]}, "the first axis of every array counts samples"),
        ({"image": np.float32(1)}, "the first axis of every array counts samples"),
        ({"image": np.full_like(PICTURES, np.nan)}, "holds NaN or infinite values"),
    ],
)
def test_arrays_that_do_not_fit_are_refused_with_what_would(tmp_path: Path, arrays: Any, words: str) -> None:
    with pytest.raises(UsageError) as told:
        read_samples(saved(tmp_path, **arrays), [IMAGE])
    assert words in str(told.value)


def test_labels_are_no_input_and_floats_are_rounded_to_the_models_own(tmp_path: Path) -> None:
    pictures = PICTURES.astype(np.float64) / 3
    (first, *_) = read_samples(saved(tmp_path, image=pictures, labels=np.arange(3)), [IMAGE])
    assert first["image"].dtype == np.float32
    np.testing.assert_array_equal(first["image"][0], pictures[0].astype(np.float32))
    # An evaluation on the same file knows the sample again: by its bytes as they stand there.
    assert sample_digest(first) == hashlib.sha256(pictures[0].tobytes()).hexdigest()[:16]


def test_arrays_of_different_counts_are_refused(tmp_path: Path) -> None:
    path = saved(tmp_path, tokens=np.zeros((2, 4), np.int64), mask=np.ones((3, 4), bool))
    with pytest.raises(UsageError, match=r"they differ or are none \(tokens: 2, mask: 3\)"):
        read_samples(path, [TOKENS, MASK])


def test_missing_and_misspelled_names_are_both_told(tmp_path: Path) -> None:
    path = saved(tmp_path, token=np.zeros((2, 4), np.int64), mask=np.ones((2, 4), bool))
    with pytest.raises(UsageError, match="lacks tokens and has token; the model's inputs are tokens"):
        read_samples(path, [TOKENS, MASK])


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 no archive", b"\x93NUMPY"])
def test_what_is_no_archive_is_told(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "data.npz").write_bytes(content)
    with pytest.raises(UsageError, match=r"cannot be read as .npz"):
        read_samples(tmp_path / "data.npz", [IMAGE])


def test_pickles_are_never_loaded(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot be read as .npz"):
        read_samples(saved(tmp_path, image=np.array([object()])), [IMAGE])


def test_too_much_is_refused_before_it_is_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calibration, "_MOST_BYTES", 100)
    with pytest.raises(UsageError, match="bytes unpacked, 100 at most"):
        read_samples(saved(tmp_path, image=PICTURES), [IMAGE])


def test_a_line_is_a_sample(tmp_path: Path) -> None:
    path = lines(
        tmp_path, {"tokens": [[1, 2, 3, 4]], "mask": [True] * 4}, "", {"tokens": [5] * 4, "mask": [[True] * 4]}
    )
    samples = read_samples(path, [TOKENS, MASK])
    assert [sample["tokens"].tolist() for sample in samples] == [[[1, 2, 3, 4]], [[5, 5, 5, 5]]]
    assert samples[0]["mask"].dtype == bool
    assert samples[0]["tokens"].dtype == np.int64


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("{", "data.jsonl:1: not JSON"),
        ("[1]", "data.jsonl:1: a sample is a mapping"),
        ({"tokens": [[1, 2], [3]]}, "tokens: its lists differ in length"),
        ({"tokens": [[1.5, 2, 3, 4]]}, "the data holds float64 with fractions, such as 1.5"),
        ({"tokens": [["a", "b", "c", "d"]]}, "of shape (1, 4), and the model takes tokens (int64, 1 × 4)"),
        ({"tokens": [[1, 2, 3]]}, "is int64 of shape (1, 3)"),
        ({"tokens": [[1, 2, 3, 1 << 70]]}, "takes int64, and the data holds object"),
        ({"words": [[1, 2, 3, 4]], "more": [[1, 2, 3, 4]]}, "lacks tokens and has words, more"),
    ],
)
def test_lines_that_do_not_fit_are_refused_with_their_number(tmp_path: Path, line: Any, words: str) -> None:
    with pytest.raises(UsageError) as told:
        read_samples(lines(tmp_path, line), [TOKENS])
    assert words in str(told.value)


def test_whole_numbers_stand_for_floats_in_lines(tmp_path: Path) -> None:
    (sample,) = read_samples(lines(tmp_path, {"x": [1, 2]}), [TensorSpec("x", "float32", ["n"])])
    assert sample["x"].dtype == np.float32


def test_values_outside_the_type_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"takes int8 \(-128 to 127\), and the data holds 200"):
        read_samples(lines(tmp_path, {"x": [1, 200]}), [TensorSpec("x", "int8", ["n"])])


@pytest.mark.parametrize(
    ("name", "words"), [("a.csv", "ends in .npz, .jsonl or .txt"), ("a.txt", "causal language models")]
)
def test_other_endings_are_refused(tmp_path: Path, name: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        read_samples(tmp_path / name, [IMAGE])


def test_a_sample_is_known_by_its_bytes_alone() -> None:
    array = np.arange(4, dtype=np.float32)
    known = hashlib.sha256(array.tobytes()).hexdigest()[:16]
    assert sample_digest({"x": array}) == sample_digest({"y": array[np.newaxis]}) == known
    assert sample_digest({"x": array + 1}) != known
    two = {"b": array, "a": array + 1}
    assert sample_digest(two) == sample_digest(dict(reversed(two.items())))
    assert describe([{"x": array}])["samples"] == [known]


def test_text_becomes_chunks_of_one_length_and_tells_its_lines(tmp_path: Path) -> None:
    path = tmp_path / "text.txt"
    path.write_text("\n\n".join(f"And it came to pass in the days of {name}," for name in ("Amraphel", "Noah") * 10))
    found = read_text(path, ARTEFACTS / "onnx-fp32" / "tokenizer.json", 16)
    assert {len(chunk) for chunk in found.chunks} == {16}
    assert found.lines[0] == "And it came to pass in the days of Amraphel,"
    short = read_text(path, ARTEFACTS / "onnx-fp32" / "tokenizer.json", 1 << 20)
    assert {len(chunk) for chunk in short.chunks} == {calibration.CHUNK_TOKENS}


def test_only_lines_that_were_used_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calibration, "MOST_CHUNKS", 1)
    path = tmp_path / "text.txt"
    path.write_text("In the beginning was the Word.\nAnd the Word was with God.\nAnd the Word was God.\n")
    found = read_text(path, ARTEFACTS / "onnx-fp32" / "tokenizer.json", 4)
    assert len(found.chunks) == 1
    assert len(found.lines) == 1
    assert found.lines[0] in "In the beginning was the Word."


def test_text_needs_a_tokenizer_and_words(tmp_path: Path) -> None:
    path = tmp_path / "text.txt"
    path.write_text("")
    with pytest.raises(UsageError, match=r"tokenizer.json, and .* has none"):
        read_text(path, tmp_path / "tokenizer.json", 16)
    with pytest.raises(UsageError, match="holds no text"):
        read_text(path, ARTEFACTS / "onnx-fp32" / "tokenizer.json", 16)
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(UsageError, match=r"not a readable tokenizer\.json"):
        read_text(path, tmp_path / "tokenizer.json", 16)


def test_chunks_of_a_long_text_are_spread_over_all_of_it_and_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "text.txt"
    lines = [f"And it came to pass in the days of number {number}," for number in range(400)]
    path.write_text("\n".join(lines) + "\n")
    for enough in (1 << 20, 4000):  # looked at whole, and in stretches
        monkeypatch.setattr(calibration, "MOST_CHUNKS", 10)
        monkeypatch.setattr(calibration, "_ENOUGH_CHARACTERS", enough)
        found = read_text(path, ARTEFACTS / "onnx-fp32" / "tokenizer.json", 16)
        assert len(found.chunks) == 10
        numbers = [lines.index(line) for line in found.lines]
        assert numbers == sorted(numbers)
        assert numbers[0] < 20
        assert numbers[-1] > 380
        gaps = [later - sooner for sooner, later in itertools.pairwise(numbers)]
        assert max(gaps) < 80
        assert found.of_characters == path.stat().st_size
        assert 10 * 16 < found.characters < 10 * 16 * 8
        assert (
            describe([], found.lines, found.used)["used"] == f"{found.characters} of {found.of_characters} characters"
        )


def test_calibration_text_begins_as_the_model_expects_and_is_neither_cut_nor_padded(tmp_path: Path) -> None:
    tokenizer = json.loads((ARTEFACTS / "onnx-fp32" / "tokenizer.json").read_text())
    plain = tmp_path / "plain.json"
    plain.write_text(json.dumps(tokenizer))
    first = {"SpecialToken": {"id": "<|endoftext|>", "type_id": 0}}
    tokenizer["post_processor"] = {
        "type": "TemplateProcessing",
        "single": [first, {"Sequence": {"id": "A", "type_id": 0}}, first],
        "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {"<|endoftext|>": {"id": "<|endoftext|>", "ids": [0], "tokens": ["<|endoftext|>"]}},
    }
    tokenizer["truncation"] = {"direction": "Right", "max_length": 20, "strategy": "LongestFirst", "stride": 0}
    (tmp_path / "tokenizer.json").write_text(json.dumps(tokenizer))
    path = tmp_path / "text.txt"
    path.write_text("And it came to pass in the days of Amraphel. " * 20)
    found = read_text(path, tmp_path / "tokenizer.json", 16)
    whole = [0, *(token for chunk in read_text(path, plain, 16).chunks for token in chunk)]
    assert len(found.chunks) > 2
    for at, chunk in enumerate(found.chunks):
        assert chunk[0] == 0
        assert list(chunk[1:]) == whole[at * 16 + 1 : at * 16 + 16]
