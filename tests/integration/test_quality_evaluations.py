"""Scenario `quality`: one pass or token by token, and embeddings, through the whole harness."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from scipy import spatial, stats

import benchharness
from benchharness.api import render
from benchharness.results.result import MetricResult, OutcomeKind, Result
from benchmarks.plain_logits import figures, logits_of
from tests.conftest import ROOT

DEMO = ROOT / "examples" / "demo_model" / "artefacts"
CHUNK, CHUNKS = 24, 3
TOKENS = [(37 * index * index + 11 * index) % 1000 for index in range(CHUNK * CHUNKS)]
SIZES = {"features": 12, "dimensions": 8}


def run(folder: Path, model: dict[str, Any], **settings: Any) -> benchharness.Findings:
    suite = {
        "models": {"m": model},
        "configurations": [{"runtime": "onnxruntime", "threads": 1}],
        "scenarios": {"quality": {"continuation_tokens": 2, "continuation_prompts": 1, **settings}},
        "attempts": {"timeout": "60 s"},
    }
    return benchharness.run(suite, store=f"sqlite:///{folder}/store.db")


def demo(folder: Path, **settings: Any) -> benchharness.Findings:
    data = folder / "text.tokens"
    data.write_text(" ".join(map(str, TOKENS)))
    variants = {name: {"artefact": str(DEMO / f"onnx-{name}")} for name in ("fp32", "int8")}
    model = {"task": "causal-lm", "evaluation": str(data), "variants": variants}
    return run(folder, model, chunk_tokens=CHUNK, most_chunks=CHUNKS, **settings)


def only(found: benchharness.Findings) -> Result:
    (result,) = found.results
    assert result.outcome.ok, result.outcome
    return result


def value(result: Result, metric: str) -> float:
    (found,) = [each.estimate.value for each in result.metrics if each.name == metric]
    assert found is not None
    return found


def of_tokens(result: Result) -> list[MetricResult]:
    """What depends on how the model was evaluated; greedy answers and sizes do not."""
    answers = ("answers_alike", "same_answer", "same_answer_normalised", "shared_beginning")
    others = (*answers, "greedy_prefix", "scored_chunks", "artefact_size", "download_size")
    return [each for each in result.metrics if each.name not in others]


@pytest.mark.parametrize("evaluation", ["decode", "prefill"])
def test_how_it_was_evaluated_is_what_was_computed_and_what_is_stored(tmp_path: Path, evaluation: str) -> None:
    result = only(demo(tmp_path, evaluation=evaluation))
    chunks = np.array(TOKENS).reshape(CHUNKS, CHUNK).tolist()
    reference, ours = (logits_of(DEMO / f"onnx-{name}", chunks, CHUNK // 2, evaluation) for name in ("fp32", "int8"))
    plain = figures(reference, ours, chunks, CHUNK // 2)
    for name in ("kld", "perplexity", "reference_perplexity", "probability_change"):
        assert value(result, name) == pytest.approx(plain[name, None], rel=1e-6)
    told = [each.parameters for each in result.metrics if each.name in ("kld", "perplexity", "token_divergence")]
    assert {parameters["evaluation"] for parameters in told} == {evaluation}
    assert {parameters.get("prefill_chunk") for parameters in told} == {CHUNK if evaluation == "prefill" else None}


def test_different_evaluations_are_never_compared(tmp_path: Path) -> None:
    both = [demo(tmp_path, evaluation=evaluation) for evaluation in ("decode", "prefill")]
    decoded, passed = map(only, both)
    assert value(decoded, "kld") != pytest.approx(value(passed, "kld"), rel=1e-3)
    assert decoded.job.key != passed.job.key
    assert not [metric for result in (decoded, passed) for metric in result.metrics if metric.ratio is not None]
    assert not decoded.contrasts
    assert not passed.contrasts
    named = [{(each.name, *sorted(each.parameters.items())) for each in of_tokens(one)} for one in (decoded, passed)]
    assert named[0]
    assert not named[0] & named[1]
    page, *_ = render(both, tmp_path / "report")
    told = page.read_text()
    assert "Not comparable: asked for otherwise" in told
    assert "evaluation decode against prefill" in told


def embedding_model(path: Path, *, noise: float = 0.0, scale: float = 1.0, dead: bool = False) -> Path:
    """tanh(x W) as a model of one input and one output; the noise is on the weights."""
    random = np.random.default_rng(5)
    weights = random.normal(size=(SIZES["features"], SIZES["dimensions"]))
    weights = (weights + random.normal(size=weights.shape) * noise) * scale * (not dead)
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"]), helper.make_node("Tanh", ["y"], ["embedding"])],
        "embedding",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, SIZES["features"]])],
        [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, [1, SIZES["dimensions"]])],
        [numpy_helper.from_array(weights.astype(np.float32), "w")],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    return path


def embeddings_of(path: Path, samples: np.ndarray) -> np.ndarray:
    """What the model gives, computed in float32 by numpy."""
    (weights,) = [numpy_helper.to_array(tensor) for tensor in onnx.load(path).graph.initializer]
    found: np.ndarray = np.tanh(samples @ weights)
    return found.astype(np.float64)


@pytest.fixture
def embedded(tmp_path: Path) -> tuple[dict[str, Path], np.ndarray, benchharness.Findings]:
    """Models by name, samples, and what the harness found."""
    samples = np.random.default_rng(6).normal(size=(40, SIZES["features"])).astype(np.float32)
    np.savez(tmp_path / "samples.npz", x=samples)
    models = {
        "fp32": embedding_model(tmp_path / "fp32.onnx"),
        "noisy": embedding_model(tmp_path / "noisy.onnx", noise=0.3),
        "noisier": embedding_model(tmp_path / "noisier.onnx", noise=1.0),
        "same": embedding_model(tmp_path / "same.onnx"),
        "dead": embedding_model(tmp_path / "dead.onnx", dead=True),
    }
    with models["same"].open("ab") as file:
        file.write(b"\x72\x00")  # an empty metadata field: another digest, the same model
    variants = {name: {"artefact": str(path)} for name, path in models.items()}
    model = {"task": "embedding", "evaluation": str(tmp_path / "samples.npz"), "variants": variants}
    return models, samples, run(tmp_path, model)


def test_embeddings_are_those_of_scipy(
    embedded: tuple[dict[str, Path], np.ndarray, benchharness.Findings],
) -> None:
    models, samples, found = embedded
    results = {result.job.variant: result for result in found.results}
    reference = embeddings_of(models["fp32"], samples)
    near = 1 - spatial.distance.pdist(reference, "cosine")
    for name in ("noisy", "noisier"):
        variant = embeddings_of(models[name], samples)
        pairs = zip(reference, variant, strict=True)
        cosines = [1 - spatial.distance.cosine(one, other) for one, other in pairs]
        ranks = stats.spearmanr(near, 1 - spatial.distance.pdist(variant, "cosine")).statistic
        assert value(results[name], "cosine") == pytest.approx(np.mean(cosines), rel=1e-5)
        assert value(results[name], "similarity_ranks") == pytest.approx(ranks, rel=1e-3)
    assert value(results["noisier"], "cosine") < value(results["noisy"], "cosine") < 1
    assert value(results["noisier"], "similarity_ranks") < value(results["noisy"], "similarity_ranks") < 1
    assert value(results["same"], "cosine") == 1.0
    assert value(results["same"], "similarity_ranks") == 1.0


def test_an_embedding_that_says_nothing_has_no_similarity(
    embedded: tuple[dict[str, Path], np.ndarray, benchharness.Findings],
) -> None:
    result = next(result for result in embedded[2].results if result.job.variant == "dead")
    assert result.outcome.kind is OutcomeKind.INVALID, "a similarity of 0 would be a number that nobody measured"
    assert "all zeros, and has no direction" in result.outcome.reason
    assert not [each for each in result.metrics if each.name == "cosine"]


def test_a_report_shows_an_embeddings_columns(
    embedded: tuple[dict[str, Path], np.ndarray, benchharness.Findings], tmp_path: Path
) -> None:
    page, _ = embedded[2].render(tmp_path / "report")
    text = page.read_text()
    assert "cosine" in text
    assert "similarity ranks" in text
    result = next(result for result in embedded[2].results if result.job.variant == "noisy")
    assert f"{value(result, 'cosine'):.3f}" in text
    assert f"{value(result, 'similarity_ranks'):.3f}" in text
