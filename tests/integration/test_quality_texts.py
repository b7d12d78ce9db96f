"""Perplexity of texts and samples through the whole harness, against figures computed in plain ONNX Runtime."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper
from scipy import special
from tokenizers import Tokenizer, models, pre_tokenizers, processors

import benchharness
from benchharness.device.scenarios.quality.sampling import by_label, evenly
from benchharness.results.result import Result
from benchmarks.plain_logits import logits_of
from tests.conftest import ARTEFACTS, DEMO, ROOT

VOCABULARY, BOS = 42, 1
CHUNK = 32
DIGITS = ROOT / "examples" / "digits"


def toy(folder: Path, processor: Any, *, noise: float = 0.0, **written: Any) -> Path:
    """A language model that is lost without token 1: bigram logits times whether 1 is in the context."""
    folder.mkdir()
    weights = np.random.default_rng(5).standard_normal((VOCABULARY, VOCABULARY)).astype(np.float32) * noise
    for token in range(VOCABULARY):
        weights[token, following(token)] += 6.0
    nodes = [
        helper.make_node("Equal", ["input_ids", "bos"], ["equal"]),
        helper.make_node("Cast", ["equal"], ["number"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMax", ["number"], ["there"], axes=[1], keepdims=1),
        helper.make_node("Unsqueeze", ["there", "two"], ["scale"]),
        helper.make_node("Gather", ["weights", "input_ids"], ["bigrams"]),
        helper.make_node("Mul", ["bigrams", "scale"], ["logits"]),
    ]
    graph = helper.make_graph(
        nodes,
        "toy",
        [helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["batch", "sequence"])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", "sequence", VOCABULARY])],
        [
            numpy_helper.from_array(weights, "weights"),
            numpy_helper.from_array(np.array(BOS), "bos"),
            numpy_helper.from_array(np.array([2]), "two"),
        ],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(made, str(folder / "model.onnx"))
    told = {"architectures": ["GemmaForCausalLM"], "vocab_size": VOCABULARY, "max_position_embeddings": 4096}
    (folder / "config.json").write_text(json.dumps(told))
    words = {"<unk>": 0, "<bos>": BOS, **{f"w{each}": each for each in range(2, VOCABULARY)}}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    if processor is not None:
        tokenizer.post_processor = processor
    tokenizer.save(str(folder / "tokenizer.json"))
    kept = json.loads((folder / "tokenizer.json").read_text())
    (folder / "tokenizer.json").write_text(json.dumps({**kept, **written}))
    return folder


def following(token: int) -> int:
    return 2 + (3 * token + 1) % (VOCABULARY - 2)


def words(count: int, seed: int = 3) -> list[int]:
    random, found = np.random.default_rng(seed), [5]
    while len(found) < count:
        found.append(following(found[-1]) if random.random() < 0.9 else int(random.integers(2, VOCABULARY)))
    return found


def losses(model: Path, chunk: list[int]) -> list[float]:
    """-ln p of the second half of a chunk, in one pass of plain ONNX Runtime."""
    session = onnxruntime.InferenceSession(str(model / "model.onnx"), providers=["CPUExecutionProvider"])
    (logits,) = session.run(None, {"input_ids": np.array([chunk])})
    told = special.log_softmax(logits[0].astype(np.float64), axis=-1)
    return [-told[at - 1, chunk[at]] for at in range(-(-len(chunk) // 2), len(chunk))]


def evaluated(folder: Path, reference: Path, variant: Path, data: Path, **settings: Any) -> Result:
    asked = {"chunk_tokens": CHUNK, "most_chunks": 1000, "continuation_tokens": 2, "continuation_prompts": 2}
    task = settings.pop("task", "causal-lm")
    suite = {
        "models": {
            "m": {
                "task": task,
                "evaluation": str(data),
                "variants": {"fp32": {"artefact": str(reference)}, "int8": {"artefact": str(variant)}},
            }
        },
        "configurations": [{"runtime": "onnxruntime", "threads": 1}],
        "scenarios": {"quality": {**asked, **settings}},
    }
    (result,) = benchharness.run(suite, store=f"sqlite:///{folder}/store.db").results
    assert result.outcome.ok, result.outcome
    return result


def value(result: Result, metric: str) -> float:
    (found,) = [each.estimate.value for each in result.metrics if each.name == metric]
    assert found is not None
    return found


def parameters(result: Result, metric: str) -> dict[str, Any]:
    (found,) = [dict(each.parameters) for each in result.metrics if each.name == metric]
    return found


PADDED = {
    "truncation": {"direction": "Right", "max_length": 300, "strategy": "LongestFirst", "stride": 0},
    "padding": {
        "strategy": {"Fixed": 128},
        "direction": "Left",
        "pad_to_multiple_of": None,
        "pad_id": 0,
        "pad_type_id": 0,
        "pad_token": "<unk>",
    },
}
TEMPLATE = processors.TemplateProcessing(single="<bos> $A", special_tokens=[("<bos>", BOS)])
CLOSED = processors.TemplateProcessing(single="<bos> $A <unk>", special_tokens=[("<bos>", BOS), ("<unk>", 0)])


@pytest.mark.parametrize(
    ("processor", "written"), [(TEMPLATE, {}), (TEMPLATE, PADDED), (CLOSED, {})], ids=["plain", "padded", "closed"]
)
def test_perplexity_of_a_model_with_a_leading_token(tmp_path: Path, processor: Any, written: Any) -> None:
    reference = toy(tmp_path / "fp32", processor, **written)
    variant = toy(tmp_path / "int8", processor, noise=0.3, **written)
    text = " ".join(f"w{each}" for each in words(1100))[:4000].rpartition(" ")[0]
    (tmp_path / "text.txt").write_text(text)
    ids = [BOS, *(int(word[1:]) for word in text.split())]
    chunks = [[BOS, *ids[at + 1 : at + CHUNK]] for at in range(0, len(ids) - CHUNK + 1, CHUNK)]
    result = evaluated(tmp_path, reference, variant, tmp_path / "text.txt")
    for metric, model in (("reference_perplexity", reference), ("perplexity", variant)):
        expected = np.exp(np.mean([loss for chunk in chunks for loss in losses(model, chunk)]))
        assert value(result, metric) == pytest.approx(expected, rel=1e-6)
    assert value(result, "reference_perplexity") < 3  # and 38 where only the first chunk has it
    told = parameters(result, "perplexity")
    assert told["leading_tokens"] == "1 <bos>"
    assert told["used"] == f"{len(chunks)} of {len(chunks)} chunks, {len(chunks) * CHUNK} of {len(ids)} tokens"
    tokenizer = result.effective.tokenizer
    assert tokenizer["switched_off"] == ("padding, truncation" if written else "nothing")
    assert tokenizer["trailing_tokens_left_out"] == ("0 <unk>" if processor is CLOSED else "none")


def test_perplexity_of_a_model_without_a_leading_token(tmp_path: Path) -> None:
    reference = ARTEFACTS / "onnx-fp32"
    text = (DEMO / "heldout.txt").read_text()[:4000]
    (tmp_path / "text.txt").write_text(text)
    ids = Tokenizer.from_file(str(reference / "tokenizer.json")).encode(text).ids
    chunks = [ids[at : at + 64] for at in range(0, len(ids) - 63, 64)]
    result = evaluated(tmp_path, reference, ARTEFACTS / "onnx-int8", tmp_path / "text.txt", chunk_tokens=64)
    rows = [
        -special.log_softmax(row.astype(np.float64))[target]
        for chunk, logits in zip(chunks, logits_of(reference, chunks, 32, "decode"), strict=True)
        for row, target in zip(logits, chunk[32:], strict=True)
    ]
    assert value(result, "reference_perplexity") == pytest.approx(np.exp(np.mean(rows)), rel=1e-6)
    assert parameters(result, "perplexity")["leading_tokens"] == "none"


def test_short_documents_are_scored_from_their_own_middle(tmp_path: Path) -> None:
    reference, variant = toy(tmp_path / "fp32", TEMPLATE), toy(tmp_path / "int8", TEMPLATE, noise=0.3)
    lengths = [5, 90, 1, 20, 31, 2, 8, 40, 12]
    documents = [words(length, seed) for seed, length in enumerate(lengths)]
    lines = [{"text": " ".join(f"w{each}" for each in document)} for document in documents]
    (tmp_path / "chat.jsonl").write_text("\n".join(map(json.dumps, [*lines, {"text": ""}])))
    chunks = []
    for document in documents:
        ids = [BOS, *document]
        size = min(CHUNK, len(ids))
        chunks += [[BOS, *ids[at + 1 : at + size]] for at in range(0, len(ids) - size + 1, size)]
    expected = np.mean([loss for chunk in chunks for loss in losses(variant, chunk)])
    result = evaluated(tmp_path, reference, variant, tmp_path / "chat.jsonl")
    assert value(result, "perplexity") == pytest.approx(np.exp(expected), rel=1e-6)
    used, all_tokens = sum(map(len, chunks)), sum(lengths) + len(lengths) + 1
    told = f"9 of 10 documents, {len(chunks)} of {len(chunks)} chunks, {used} of {all_tokens} tokens"
    assert parameters(result, "perplexity")["used"] == told
    assert result.effective.evaluated["documents_too_short"] == 1
    (estimate,) = [each.estimate for each in result.metrics if each.name == "perplexity"]
    assert " documents, Student's t" in estimate.statistic
    assert parameters(result, "greedy_prefix")["prompt_tokens"] != ""


def test_the_ids_of_a_text_read_as_the_text_and_without_their_first_a_doubt_is_told(tmp_path: Path) -> None:
    reference, variant = toy(tmp_path / "fp32", TEMPLATE), toy(tmp_path / "int8", TEMPLATE, noise=0.3)
    ids = words(200)
    (tmp_path / "text.txt").write_text(" ".join(f"w{each}" for each in ids))
    (tmp_path / "with.tokens").write_text(" ".join(map(str, [BOS, *ids])))
    (tmp_path / "without.tokens").write_text(" ".join(map(str, ids)))
    text, with_, without = (
        evaluated(tmp_path, reference, variant, tmp_path / name)
        for name in ("text.txt", "with.tokens", "without.tokens")
    )
    assert value(text, "perplexity") == value(with_, "perplexity")
    assert value(without, "perplexity") > 10 * value(text, "perplexity")
    kinds = [{warning.kind for warning in each.warnings} for each in (text, with_, without)]
    assert ["leading-token" in each for each in kinds] == [False, False, True]


def test_samples_sorted_by_class_are_sampled_from_every_class(tmp_path: Path) -> None:
    with np.load(DIGITS / "heldout.npz", allow_pickle=False) as heldout:
        order = np.argsort(heldout["labels"], kind="stable")
        pictures, labels = heldout["images"][order, None].astype(np.float32) / 16, heldout["labels"][order]
    np.savez(tmp_path / "digits.npz", image=pictures, labels=labels.astype(np.int64))
    reference, variant = (DIGITS / "artefacts" / f"{name}.onnx" for name in ("fp32", "int8"))
    result = evaluated(tmp_path, reference, variant, tmp_path / "digits.npz", task="classifier", most_samples=50)
    (raw,) = [each for each in result.metrics if each.name == "class_decisions"]
    rows = np.reshape(raw.attempts[0].samples, (-1, raw.attempts[0].row_length))
    picked = by_label(labels.tolist(), 50)
    assert rows[:, 0].tolist() == labels[picked].tolist()
    assert len(set(rows[:, 0])) == 10
    assert parameters(result, "accuracy")["used"].startswith("50 of 500 inputs in proportion to their labels, seed ")
    session = onnxruntime.InferenceSession(str(DIGITS / "artefacts" / "fp32.onnx"))
    name = session.get_inputs()[0].name
    answers = [int(session.run(None, {name: pictures[at][None]})[0].argmax()) for at in picked]
    assert rows[:, 1].tolist() == answers
    assert all(example["sample"] in picked for example in result.effective.examples)


def test_samples_without_labels_are_spread_evenly(tmp_path: Path) -> None:
    with np.load(DIGITS / "heldout.npz", allow_pickle=False) as heldout:
        np.savez(tmp_path / "digits.npz", image=heldout["images"][:, None].astype(np.float32) / 16)
    reference, variant = (DIGITS / "artefacts" / f"{name}.onnx" for name in ("fp32", "int8"))
    result = evaluated(tmp_path, reference, variant, tmp_path / "digits.npz", task="tensor", most_samples=7)
    assert parameters(result, "sqnr")["used"] == "7 of 500 inputs"
    assert {example["sample"] for example in result.effective.examples} == set(evenly(500, 7))
