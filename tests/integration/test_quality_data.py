"""Scenario `quality` with other interpreters, slow variants, and data of no use."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import benchharness
from benchharness.errors import SuiteError
from benchharness.results.result import Result
from tests.conftest import ROOT
from tests.integration.conftest import ADAPTERS

DEMO = ROOT / "examples" / "demo_model" / "artefacts"
DIGITS = ROOT / "examples" / "digits" / "artefacts"
OTHER_PYTHON = ROOT / ".venv-tflite-runtime" / "bin" / "python"
#: A pass over very little.
SMALL = {"chunk_tokens": 16, "most_chunks": 2, "continuation_tokens": 2, "continuation_prompts": 1}

Quality = Callable[..., dict[tuple[str, str], Result]]


@pytest.fixture
def quality(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Quality:
    """Runs a model's variants against the first of them; results by variant and configuration."""
    monkeypatch.syspath_prepend(str(ADAPTERS))
    monkeypatch.setenv("PYTHONPATH", f"{ADAPTERS}:{ROOT}")

    def run(
        variants: Mapping[str, Path],
        data: Path,
        configurations: list[dict[str, Any]],
        *,
        task: str | None = None,
        timeout: str = "60 s",
        **settings: Any,
    ) -> dict[tuple[str, str], Result]:
        suite = {
            "models": {
                "m": {
                    "task": task,
                    "evaluation": str(data),
                    "variants": {name: {"artefact": str(path)} for name, path in variants.items()},
                }
            },
            "configurations": configurations,
            "scenarios": {"quality": {**SMALL, **settings}},
            "attempts": {"timeout": timeout, "at_least": 1},
        }
        found = benchharness.run(suite, store=f"sqlite:///{tmp_path}/store.db")
        return {(each.job.variant, each.job.configuration.name): each for each in found.results}

    return run


@pytest.fixture
def tokens(tmp_path: Path) -> Path:
    path = tmp_path / "text.tokens"
    path.write_text(" ".join(str(index % 32) for index in range(64)))
    return path


@pytest.fixture
def fine(tmp_path: Path) -> Path:
    path = tmp_path / "fine.awkward"
    path.write_text("fine")
    return path


def value(result: Result, metric: str) -> float:
    (found,) = [each.estimate.value for each in result.metrics if each.name == metric]
    assert found is not None
    return found


@pytest.mark.skipif(not OTHER_PYTHON.exists(), reason="NOT TESTED: no .venv-tflite-runtime, which `make test` makes")
def test_a_scorer_under_another_interpreter(quality: Quality, tmp_path: Path) -> None:
    pictures = np.random.default_rng(0).uniform(0, 1, (20, 1, 8, 8)).astype(np.float32)
    np.savez(tmp_path / "pictures.npz", image=pictures)
    configurations = [
        {"runtime": "onnxruntime", "threads": 1},
        {"runtime": "tflite", "name": "here", "threads": 1},
        {"runtime": "tflite", "name": "there", "threads": 1, "python": str(OTHER_PYTHON)},
    ]
    models = {"onnx": DIGITS / "fp32.onnx", "tflite": DIGITS / "fp32.tflite", "onnx-int8": DIGITS / "int8.onnx"}
    results = quality(models, tmp_path / "pictures.npz", configurations, task="classifier")
    there = results["tflite", "there"]
    assert there.outcome.ok, there.outcome
    assert there.effective.facts["package"] == "tflite-runtime"
    assert results["tflite", "here"].effective.facts["package"] == "ai-edge-litert"
    assert there.job.comparison_pass == results["tflite", "here"].job.comparison_pass
    assert value(there, "agreement") == 1.0
    assert value(there, "kld") == pytest.approx(value(results["tflite", "here"], "kld"), abs=1e-9)
    assert results["onnx-int8", "onnxruntime 1 thread"].outcome.ok


def test_an_interpreter_that_cannot_run_the_scorer_is_one_variants_trouble(
    quality: Quality, tokens: Path, fine: Path, tmp_path: Path
) -> None:
    empty = tmp_path / "python"
    empty.write_text("#!/bin/sh\nexit 7\n")
    empty.chmod(0o755)
    configurations = [
        {"runtime": "awkward"},
        {"runtime": "awkward", "name": "other", "options": {"delay_s": 0.0}},
        {"runtime": "awkward", "name": "broken", "python": str(empty)},
    ]
    results = quality({"fine": fine}, tokens, configurations)
    assert results["fine", "other"].outcome.ok, results["fine", "other"].outcome
    assert results["fine", "broken"].outcome.kind == "crashed"
    assert "exit code 7" in results["fine", "broken"].outcome.reason


def test_a_slow_variant_is_waited_for(quality: Quality, tokens: Path, fine: Path) -> None:
    configurations = [
        {"runtime": "awkward"},
        {"runtime": "awkward", "name": "slow", "options": {"delay_s": 0.05}},
        {"runtime": "awkward", "name": "quick", "options": {"delay_s": 0.0}},
    ]
    results = quality({"fine": fine}, tokens, configurations)
    assert {str(each.outcome) for each in results.values()} == {"ok"}
    assert {value(each, "kld") for each in results.values()} == {0.0}


def test_a_variant_too_slow_ends_the_pass_with_its_limit(quality: Quality, tokens: Path, fine: Path) -> None:
    configurations = [
        {"runtime": "awkward"},
        {"runtime": "awkward", "name": "slow", "options": {"delay_s": 600.0}},
        {"runtime": "awkward", "name": "quick", "options": {"delay_s": 0.0}},
    ]
    began = time.monotonic()
    results = quality({"fine": fine}, tokens, configurations, timeout="4 s")
    assert time.monotonic() - began < 300
    assert {str(each.outcome.kind) for each in results.values()} == {"timeout"}
    for each in results.values():
        assert each.outcome.reason == "no result within 12 s, last phase waiting for fine.awkward (awkward)"


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("empty.txt", b"", "is empty; quality needs at least one chunk of text or one sample"),
        ("blank.txt", b" \n\n ", "is empty"),
        ("data.csv", b"1,2", "data is read from .txt, .jsonl, .tokens"),
        ("missing.txt", None, "there is no such file"),
    ],
)
def test_data_of_no_use_is_told_before_anything_runs(
    quality: Quality, fine: Path, tmp_path: Path, name: str, content: bytes | None, told: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(SuiteError, match=told) as raised:
        quality({"fine": fine}, tmp_path / name, [{"runtime": "awkward"}])
    assert name in str(raised.value)


def test_vocabularies_that_differ_are_one_variants_trouble(
    quality: Quality, tokens: Path, fine: Path, tmp_path: Path
) -> None:
    models = {"fine": fine, "other": DEMO / "onnx-fp32", "same": tmp_path / "same.awkward"}
    models["same"].write_text("fine ")
    results = quality(models, tokens, [{"runtime": "awkward"}, {"runtime": "onnxruntime", "threads": 1}])
    other = results["other", "onnxruntime 1 thread"]
    assert other.outcome.kind == "unsupported"
    assert "the vocabularies differ: the reference has 32 tokens, this variant 1024" in other.outcome.reason
    assert results["same", "awkward"].outcome.ok


BAD_ARRAYS: Mapping[str, tuple[Mapping[str, Any], str]] = {
    "none.npz": ({"labels": np.zeros(4, np.int64)}, "one row for each sample"),
    "shape.npz": ({"image": np.zeros((4, 3, 8, 9), np.float32)}, "input 'image' has the shape"),
    "names.npz": (
        {"picture": np.zeros((4, 1, 8, 8), np.float32), "mask": np.zeros((4, 1), np.float32)},
        "which is meant for image is not known: the model's inputs are image",
    ),
    "words.npz": ({"image": np.full((4, 1, 8, 8), "ink")}, "takes float32, and the data holds"),
    "objects.npz": ({"image": np.array([{}, {}], dtype=object)}, "not an .npz file of plain arrays"),
    "nan.npz": ({"image": np.full((4, 1, 8, 8), np.nan, np.float32)}, "NaN"),
    "lengths.npz": (
        {"image": np.zeros((4, 1, 8, 8), np.float32), "labels": np.zeros(3, np.int64)},
        "one row for each sample",
    ),
    "missing-labels.npz": (
        {"image": np.zeros((4, 1, 8, 8), np.float32), "labels": np.full(4, -1)},
        "label -1",
    ),
}


@pytest.fixture(scope="module")
def badly_fed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Result]:
    """Results by data of one run: a model for each data, which is no good for it."""
    folder = tmp_path_factory.mktemp("badly_fed")
    for name, (arrays, _) in BAD_ARRAYS.items():
        np.savez(folder / name, **arrays)
    (folder / "broken.npz").write_bytes(b"PK\x03\x04 and no more")
    variants = {name: {"artefact": str(DIGITS / f"{name}.onnx")} for name in ("fp32", "int8")}
    names = [*BAD_ARRAYS, "broken.npz"]
    suite = {
        "models": {
            Path(name).stem: {"task": "classifier", "evaluation": str(folder / name), "variants": variants}
            for name in names
        },
        "configurations": [{"runtime": "onnxruntime", "threads": 1}],
        "scenarios": {"quality": SMALL},
        "attempts": {"timeout": "60 s", "at_least": 1},
    }
    found = benchharness.run(suite, store=f"sqlite:///{folder}/store.db")
    return {f"{each.job.model}.npz": each for each in found.results}


@pytest.mark.parametrize("name", BAD_ARRAYS)
def test_arrays_that_do_not_fit(badly_fed: dict[str, Result], name: str) -> None:
    outcome = badly_fed[name].outcome
    assert outcome.kind in ("unsupported", "invalid")
    assert BAD_ARRAYS[name][1] in outcome.reason


def test_a_broken_archive_is_told(badly_fed: dict[str, Result]) -> None:
    outcome = badly_fed["broken.npz"].outcome
    assert outcome.kind == "unsupported"
    assert "broken.npz" in outcome.reason or "not an .npz file" in outcome.reason


def test_a_classifier_without_labels_is_compared_without_accuracy(quality: Quality, tmp_path: Path) -> None:
    np.savez(tmp_path / "plain.npz", image=np.random.default_rng(1).uniform(0, 1, (8, 1, 8, 8)).astype(np.float32))
    models = {"fp32": DIGITS / "fp32.onnx", "int8": DIGITS / "int8.onnx"}
    results = quality(models, tmp_path / "plain.npz", [{"runtime": "onnxruntime", "threads": 1}], task="classifier")
    (result,) = results.values()
    names = {each.name for each in result.metrics}
    assert "agreement" in names
    assert "accuracy" not in names


def test_text_for_a_model_of_pictures_and_pictures_for_a_language_model(
    quality: Quality, tokens: Path, fine: Path, tmp_path: Path
) -> None:
    models = {"fp32": DIGITS / "fp32.onnx", "int8": DIGITS / "int8.onnx"}
    (result,) = quality(models, tokens, [{"runtime": "onnxruntime"}]).values()
    assert result.outcome.kind == "unsupported"
    assert "give an .npz file" in result.outcome.reason
    np.savez(tmp_path / "pictures.npz", image=np.zeros((4, 1, 8, 8), np.float32))
    other = tmp_path / "other.awkward"
    other.write_text("fine ")
    (result,) = quality({"fine": fine, "other": other}, tmp_path / "pictures.npz", [{"runtime": "awkward"}]).values()
    assert result.outcome.kind == "unsupported"
    assert "arrays are no text" in result.outcome.reason
