"""Scenario `quality` through the whole harness: figures against independent ones, variants that fail in lockstep."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from scipy import special

import benchharness
from benchharness.results.result import Result
from tests.conftest import ROOT
from tests.integration.conftest import ADAPTERS

DEMO = ROOT / "examples" / "demo_model" / "artefacts"
DIGITS = ROOT / "examples" / "digits"
CHUNK, CHUNKS = 24, 2
SMALL = {"chunk_tokens": CHUNK, "most_chunks": CHUNKS, "continuation_tokens": 4, "continuation_prompts": 2}
TOKENS = [(37 * index * index + 11 * index) % 1000 for index in range(CHUNK * CHUNKS)]

Quality = Callable[..., dict[str, Result]]


@pytest.fixture
def quality(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Quality:
    """Runs a model's variants against the first of them; results by variant."""
    monkeypatch.syspath_prepend(str(ADAPTERS))
    monkeypatch.setenv("PYTHONPATH", f"{ADAPTERS}:{ROOT}")
    monkeypatch.setenv("STARTED_BY", str(tmp_path))  # marks every process that the test starts

    def run(
        variants: Mapping[str, Path], data: Path, *, task: str | None = "causal-lm", runtimes: Any = (), **settings: Any
    ) -> dict[str, Result]:
        suite = {
            "models": {
                "m": {
                    "task": task,
                    "evaluation": str(data),
                    "variants": {name: {"artefact": str(path)} for name, path in variants.items()},
                }
            },
            "configurations": [{"runtime": name} if isinstance(name, str) else name for name in runtimes]
            or [{"runtime": "onnxruntime", "threads": 1}],
            "scenarios": {"quality": {**SMALL, **settings}},
            "attempts": {"timeout": "60 s"},
        }
        found = benchharness.run(suite, store=f"sqlite:///{tmp_path}/store.db")
        return {result.job.variant: result for result in found.results}

    return run


@pytest.fixture
def tokens(tmp_path: Path) -> Path:
    path = tmp_path / "text.tokens"
    path.write_text(" ".join(map(str, TOKENS)))
    return path


def value(result: Result, metric: str, **parameters: Any) -> float:
    (found,) = [
        each.estimate.value
        for each in result.metrics
        if each.name == metric and all(each.parameters.get(key) == wanted for key, wanted in parameters.items())
    ]
    assert found is not None
    return found


def raw_logits(model: Path) -> np.ndarray:
    """Logits that predict the second half of each chunk, token by token in plain ONNX Runtime: (chunks, half, V)."""
    session = onnxruntime.InferenceSession(model / "model.onnx", providers=["CPUExecutionProvider"])
    pasts = [each for each in session.get_inputs() if each.name.startswith("past")]
    outputs = [each.name for each in session.get_outputs()]
    rows = []
    for start in range(0, CHUNK * CHUNKS, CHUNK):
        cache = {each.name: np.zeros((1, each.shape[1], 0, each.shape[3]), np.float32) for each in pasts}
        for position, token in enumerate(TOKENS[start : start + CHUNK - 1]):
            fed = {
                "input_ids": np.array([[token]], np.int64),
                "attention_mask": np.ones((1, position + 1), np.int64),
                "position_ids": np.array([[position]], np.int64),
                **cache,
            }
            answers = dict(zip(outputs, session.run(None, fed), strict=True))
            cache = {each.name: answers[each.name.replace("past_key_values", "present")] for each in pasts}
            if position + 1 >= CHUNK // 2:
                rows.append(answers["logits"][0, -1].astype(np.float64))
    return np.array(rows).reshape(CHUNKS, CHUNK // 2, -1)


@pytest.mark.parametrize("variant", ["onnx-int8", "onnx-int4"])
def test_the_figures_are_those_of_stored_logits(quality: Quality, tokens: Path, variant: str) -> None:
    result = quality({"fp32": DEMO / "onnx-fp32", "small": DEMO / variant}, tokens)["small"]
    reference, ours = (special.log_softmax(raw_logits(DEMO / name), axis=-1) for name in ("onnx-fp32", variant))
    targets = np.array(TOKENS).reshape(CHUNKS, CHUNK)[:, CHUNK // 2 :, None]
    expected = special.rel_entr(np.exp(reference), np.exp(ours)).sum(axis=-1)
    of_target = [np.take_along_axis(rows, targets, axis=-1)[..., 0] for rows in (reference, ours)]
    change = np.exp(of_target[1]) - np.exp(of_target[0])
    assert value(result, "kld") == pytest.approx(expected.mean(), rel=1e-6)
    assert value(result, "kld_percentile", percentile=99.0) == pytest.approx(np.percentile(expected, 99), rel=1e-6)
    assert value(result, "perplexity") == pytest.approx(np.exp(-of_target[1].mean()), rel=1e-6)
    assert value(result, "reference_perplexity") == pytest.approx(np.exp(-of_target[0].mean()), rel=1e-6)
    assert value(result, "probability_change") == pytest.approx(change.mean(), rel=1e-6)
    assert value(result, "probability_change_rms") == pytest.approx(np.sqrt((change**2).mean()), rel=1e-6)
    same = (reference.argmax(-1) == ours.argmax(-1)).mean()
    assert value(result, "same_top_token") == same


def test_a_copy_of_the_reference_reads_exactly_zero(quality: Quality, tokens: Path, tmp_path: Path) -> None:
    shutil.copytree(DEMO / "onnx-fp32", tmp_path / "copy")
    (tmp_path / "copy" / "note.txt").write_text("another digest, the same model")
    result = quality({"fp32": DEMO / "onnx-fp32", "copy": tmp_path / "copy"}, tokens)["copy"]
    for metric in ("kld", "kld_largest", "log_perplexity_ratio", "probability_change", "probability_change_rms"):
        assert value(result, metric) == 0.0, metric
    assert value(result, "same_top_token") == 1.0
    assert value(result, "greedy_prefix") == SMALL["continuation_tokens"]


def test_three_runtimes_in_one_pass(quality: Quality, tokens: Path) -> None:
    variants = {name: DEMO / name for name in ("onnx-fp32", "tflite-fp32", "coreml-fp16", "onnx-int8", "tflite-int8")}
    runtimes = ["onnxruntime", "tflite", {"runtime": "coreml", "accelerator": "reference"}]
    results = quality(variants, tokens, runtimes=runtimes)
    assert {str(result.outcome) for result in results.values()} == {"ok"}
    divergences = {name: value(result, "kld") for name, result in results.items()}
    assert divergences["tflite-fp32"] < 1e-9
    assert divergences["coreml-fp16"] < 1e-4
    assert 1e-4 < divergences["onnx-int8"] < 0.1
    assert {result.job.comparison_pass for result in results.values()} == {
        next(iter(results.values())).job.comparison_pass
    }
    assert any(warning.kind == "reference-execution" for warning in results["coreml-fp16"].warnings)
    assert not any(metric.unit == "ns" for result in results.values() for metric in result.metrics)


def test_a_classifier_in_other_layouts_and_number_types(quality: Quality, tmp_path: Path) -> None:
    with np.load(DIGITS / "heldout.npz", allow_pickle=False) as heldout:
        pictures, labels = heldout["images"][:, None].astype(np.float32) / 16, heldout["labels"].astype(np.int64)
    np.savez(tmp_path / "digits.npz", image=pictures[:60], labels=labels[:60])
    variants = {"onnx": DIGITS / "artefacts" / "fp32.onnx", "tflite": DIGITS / "artefacts" / "int8.tflite"}
    variants["coreml"] = DIGITS / "artefacts" / "int8.mlpackage"
    runtimes = ["onnxruntime", "tflite", {"runtime": "coreml", "accelerator": "reference"}]
    results = quality(variants, tmp_path / "digits.npz", task="classifier", runtimes=runtimes)
    assert set(results) == {"tflite", "coreml"}
    for result in results.values():
        assert result.outcome.ok, result.outcome
        assert value(result, "agreement") >= 59 / 60
        assert value(result, "accuracy") >= 58 / 60


@pytest.mark.parametrize(
    ("labels", "told"),
    [([99] * 5, "label 99"), ([0, 1], "one row for each sample"), ([[0]] * 5, "labels"), ([0.5] * 5, "label 0.5")],
)
def test_labels_that_cannot_be(quality: Quality, tmp_path: Path, labels: list[Any], told: str) -> None:
    np.savez(tmp_path / "digits.npz", image=np.zeros((5, 1, 8, 8), np.float32), labels=np.array(labels))
    variants = {"fp32": DIGITS / "artefacts" / "fp32.onnx", "int8": DIGITS / "artefacts" / "int8.onnx"}
    result = quality(variants, tmp_path / "digits.npz", task="classifier")["int8"]
    assert result.outcome.kind == "unsupported"
    assert told in result.outcome.reason


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("short.tokens", "1", "no token to score: the longest document has 1, and chunk_tokens = 24"),
        ("words.tokens", "one two", "not token ids"),
        ("beyond.tokens", "5000 " * 30, "token 5000"),
        ("lines.jsonl", '{"text": "a"}\n{broken\n', "line 2 of the evaluation data is not JSON"),
        ("nothing.jsonl", '{"label": 1}\n', 'neither "text" nor "tokens"'),
    ],
)
def test_text_that_cannot_be_evaluated_on(quality: Quality, tmp_path: Path, name: str, content: str, told: str) -> None:
    (tmp_path / name).write_text(content)
    result = quality({"fp32": DEMO / "onnx-fp32", "int8": DEMO / "onnx-int8"}, tmp_path / name)["int8"]
    assert result.outcome.kind == "unsupported"
    assert told in result.outcome.reason


def awkward(folder: Path, *words: str) -> dict[str, Path]:
    """Models of the misbehaving adapter, the first of them fine."""
    models = {}
    for number, word in enumerate(("fine", *words)):
        path = folder / f"{number}.awkward"
        path.write_text(word)
        models[word] = path
    return models


OUTCOMES = {
    "run nan": ("invalid", "NaN or infinite"),
    "run segfault": ("crashed", "SIGSEGV"),
    "run exit 3": ("crashed", "exit code 3"),
    "run raise": ("runtime-error", "a runtime's own error"),
    "load refuse": ("unsupported", "does not feel like it"),
    "load memory": ("out-of-memory", "no room"),
}


def test_a_variant_that_fails_leaves_the_others_alone(quality: Quality, tmp_path: Path) -> None:
    (tmp_path / "text.tokens").write_text(" ".join(str(index % 32) for index in range(CHUNK * CHUNKS)))
    models = awkward(tmp_path, *OUTCOMES, "run print", "run flood")
    results = quality(models, tmp_path / "text.tokens", runtimes=["awkward"])
    for word, (kind, told) in OUTCOMES.items():
        assert results[word].outcome.kind == kind, results[word].outcome
        assert told in results[word].outcome.reason
    for word in ("run print", "run flood"):
        assert results[word].outcome.ok, results[word].outcome
        assert value(results[word], "kld") == 0.0


@pytest.mark.parametrize("word", ["run segfault", "load refuse", "run nan"])
def test_without_a_reference_nothing_is_compared(quality: Quality, tmp_path: Path, word: str) -> None:
    (tmp_path / "text.tokens").write_text(" ".join(str(index % 32) for index in range(CHUNK * CHUNKS)))
    models = awkward(tmp_path, word)
    results = quality({"broken": models[word], "fine": models["fine"]}, tmp_path / "text.tokens", runtimes=["awkward"])
    assert not results["fine"].outcome.ok
    assert "the reference" in results["fine"].outcome.reason


def test_a_variant_that_hangs_ends_with_the_attempts_limit(quality: Quality, tmp_path: Path) -> None:
    (tmp_path / "text.tokens").write_text(" ".join(str(index % 32) for index in range(CHUNK * CHUNKS)))
    models = awkward(tmp_path, "run hang")
    suite = {
        "models": {
            "m": {
                "evaluation": str(tmp_path / "text.tokens"),
                "variants": {name.replace(" ", "-"): {"artefact": str(path)} for name, path in models.items()},
            }
        },
        "configurations": [{"runtime": "awkward"}],
        "scenarios": {"quality": SMALL},
        "attempts": {"timeout": "3 s", "at_least": 1},
    }
    found = benchharness.run(suite, store=f"sqlite:///{tmp_path}/store.db")
    (result,) = found.results
    assert result.outcome.kind == "timeout"
    assert not [line for line in processes(str(tmp_path)) if "benchharness.device.scenarios.quality.scorer" in line]


def processes(marked: str) -> list[str]:
    """Command lines of the processes that have a text in their environment: this test's own."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                if marked.encode() in (folder / "environ").read_bytes():
                    found.append((folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace"))
            except OSError:
                continue
    return [line for line in found if str(os.getpid()) not in line]
