"""The benchmark of quality, scaled down: memory that does not grow with the logits, damage ranked right."""

from __future__ import annotations

from pathlib import Path

import pytest

import benchharness
from benchmarks import quality_models
from benchmarks.plain_logits import read_chunks
from benchmarks.quality_models import DEMO, TEXT, Evaluation, Seeded, by_chunk, copy_of, noisy, run_pass, value


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quality_models, "BUILT", tmp_path)


def test_memory_does_not_grow_with_the_logits() -> None:
    least, many = Seeded(vocabulary=32, scored=31, chunk=32), Seeded(vocabulary=49_152, scored=3000)
    few, answer = least.run()["processes"], many.run()
    grown = {
        role: answer["processes"][role]["peak_bytes"] - few[role]["peak_bytes"] for role in few if role != "scorer"
    }
    assert set(grown) == {"harness", "supervisor", "conductor"}
    logits_bytes = 2 * 3000 * many.vocabulary * 4
    assert sum(grown.values()) < logits_bytes / 10, grown
    assert len(answer["results"]["noisy"]["rows"]) // 4 >= 3000
    assert value(answer, "noisy", "kld") == pytest.approx(many.mean_divergence(), rel=1e-9)


def test_weight_noise_is_ranked_right(tmp_path: Path) -> None:
    reference = DEMO / "onnx-fp32"
    chunks = read_chunks(TEXT, reference / "tokenizer.json", length=32, count=4)
    ladder = {f"{each} dB": noisy(reference, tmp_path / str(each), 10 ** (-each / 20)) for each in (10, 30, 50)}
    copy = {"copy": copy_of(reference, tmp_path / "copy")}
    answer = run_pass({"fp32": reference, **ladder, **copy}, Evaluation(chunks=chunks))
    divergences = [value(answer, name, "kld") for name in (*ladder, *copy)]
    assert divergences == sorted(divergences, reverse=True)
    assert divergences[-1] == 0.0
    assert divergences[1] / divergences[2] == pytest.approx(100, rel=0.5)  # of small noise KLD grows with the square
    assert by_chunk(answer, "10 dB").mean() == pytest.approx(divergences[0], rel=1e-12)


def test_an_answer_that_no_line_holds_is_refused_before_it_is_computed(tmp_path: Path) -> None:
    chunk, chunks = 2, 450_000
    data = tmp_path / "long.tokens"
    data.write_text("1 " * chunk * chunks)
    settings = {"chunk_tokens": chunk, "most_chunks": chunks, "context_share": "50 %"}
    variants = {name: {"artefact": str(DEMO / f"onnx-{name}")} for name in ("fp32", "int8", "int4")}
    suite = {
        "models": {"m": {"task": "causal-lm", "evaluation": str(data), "variants": variants}},
        "configurations": [{"runtime": "onnxruntime", "threads": 1}],
        "scenarios": {"quality": {**settings, "continuation_tokens": 0}},
    }
    for result in benchharness.run(suite, store=f"sqlite:///{tmp_path}/store.db").results:
        assert result.outcome.kind == "unsupported"
        assert "450000 chunks of 1 scored tokens for 2 variants" in result.outcome.reason
        assert "set most_chunks to 279620 or less" in result.outcome.reason


def test_a_context_that_leaves_nothing_to_score_is_refused(tmp_path: Path) -> None:
    data = tmp_path / "short.tokens"
    data.write_text("1 2 3 4")
    variants = {name: {"artefact": str(DEMO / f"onnx-{name}")} for name in ("fp32", "int8")}
    suite = {
        "models": {"m": {"task": "causal-lm", "evaluation": str(data), "variants": variants}},
        "configurations": [{"runtime": "onnxruntime", "threads": 1}],
        "scenarios": {"quality": {"chunk_tokens": 2, "context_share": "99 %", "continuation_tokens": 0}},
    }
    (result,) = benchharness.run(suite, store=f"sqlite:///{tmp_path}/store.db").results
    assert result.outcome.kind == "unsupported"
    assert "context_share = 99 % leaves no token of a chunk" in result.outcome.reason
