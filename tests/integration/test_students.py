"""Students beside their teacher through the whole harness: other vocabularies, against plain ONNX Runtime."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from tokenizers import Tokenizer
from tokenizers import normalizers as rewriting

import benchharness
from benchharness.judge.exact_shares import clopper_pearson
from benchharness.results.result import MetricResult, Result
from benchmarks.plain_logits import logits_of
from tests.conftest import ARTEFACTS, DEMO, CommandLine
from tests.contract.runtime_models import script
from tests.integration.test_quality_texts import BOS, TEMPLATE, VOCABULARY, losses, toy, words

TEACHER = ARTEFACTS / "onnx-fp32"
CHUNK, MOST, CONTINUED = 48, 6, 8
#: What a byte, a character and a token are differ in it.
FOREIGN = "In the naïve café they paid 5 € and said 我和你 🙂 unto them. "
SMALL = {"chunk_tokens": CHUNK, "most_chunks": MOST, "continuation_tokens": CONTINUED, "continuation_prompts": 4}
VARIANTS = ("int4", "shuffled", "half", "padded", "lossy", "cut")


def suite(folder: Path, variants: dict[str, Any], data: Path, **settings: Any) -> dict[str, Any]:
    return {
        "models": {
            "m": {
                "task": "causal-lm",
                "reference": "teacher",
                "evaluation": str(data),
                "variants": {"teacher": {"artefact": str(TEACHER)}, **variants},
            }
        },
        "configurations": [{"runtime": "onnxruntime", "threads": 1}],
        "scenarios": {"quality": {**SMALL, **settings}},
    }


def students(folder: Path) -> dict[str, Any]:
    """One of each kind: the vocabulary's own, other ids, half of it, padded, one that rewrites, one that cuts apart."""
    made = script("students")
    shuffled = np.random.default_rng(3).permutation(1024).tolist()
    lossy = made.respoken(folder / "lossy", range(1000))
    tokenizer = Tokenizer.from_file(str(lossy / "tokenizer.json"))
    tokenizer.normalizer = rewriting.Lowercase()
    tokenizer.save(str(lossy / "tokenizer.json"))
    padded = made.respoken(folder / "padded", range(1024), padding=64)
    cut = made.respoken(folder / "cut", range(1024))
    said = json.loads((cut / "tokenizer.json").read_text())
    said["model"]["merges"] = said["model"]["merges"][:383]
    (cut / "tokenizer.json").write_text(json.dumps(said))
    return {
        "int4": {"artefact": str(ARTEFACTS / "onnx-int4")},
        "shuffled": {"artefact": str(made.respoken(folder / "shuffled", shuffled))},
        "half": {"artefact": str(made.respoken(folder / "half", range(512)))},
        "padded": {"artefact": str(padded), "tokenizer": str(padded / "tokenizer.json")},
        "lossy": {"artefact": str(lossy)},
        "cut": {"artefact": str(cut)},
    }


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    heldout = (DEMO / "heldout.txt").read_text(encoding="utf-8")
    path = tmp_path_factory.mktemp("text") / "text.txt"
    path.write_text(f"{heldout[:500]}{FOREIGN}{heldout[500:900]}{FOREIGN}{heldout[900:1300]}", encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory, text: Path) -> dict[str, Result]:
    folder = tmp_path_factory.mktemp("students")
    table = suite(folder, students(folder), text, distillation={"alpha": [0.0, 0.5], "temperature": 2.0})
    made = benchharness.run(table, store=f"sqlite:///{folder}/store.db")
    return {result.job.variant: result for result in made.results}


def one(result: Result, name: str, **parameters: Any) -> MetricResult:
    (metric,) = [
        each
        for each in result.metrics
        if each.name == name and all(each.parameters.get(key) == wanted for key, wanted in parameters.items())
    ]
    return metric


def value(result: Result, name: str, **parameters: Any) -> float:
    told = one(result, name, **parameters).estimate
    assert told.value is not None, told.reason
    return told.value


def test_one_pass_serves_every_vocabulary(found: dict[str, Result]) -> None:
    assert {variant: str(result.outcome) for variant, result in found.items()} == dict.fromkeys(VARIANTS, "ok")
    assert len({result.job.comparison_pass for result in found.values()}) == 1


def test_a_model_that_speaks_the_same_in_other_ids_has_lost_nothing(found: dict[str, Result]) -> None:
    """huggingface/trl issue 4562: held against each other by ids, such a pair reads as nonsense."""
    shuffled = found["shuffled"]
    told = one(shuffled, "kld").estimate
    assert told.value is None
    assert told.reason.startswith("not comparable: two vocabularies: the reference's has 1024 tokens and 1024 logits")
    assert value(shuffled, "bits_per_byte_loss") == pytest.approx(0, abs=1e-6)
    assert value(shuffled, "same_answer") == value(shuffled, "same_answer_normalised") == 1.0


def test_one_vocabulary_that_cuts_a_text_otherwise_is_no_shared_one(found: dict[str, Result]) -> None:
    """The teacher itself with half of its merges: fed with the teacher's tokens it read as if it had lost nothing."""
    cut = found["cut"]
    for name in ("kld", "perplexity", "same_top_token"):
        told = one(cut, name).estimate
        assert told.value is None
        assert told.reason.startswith("not comparable: one vocabulary, and a text is read in other tokens: ")
    assert value(cut, "bits_per_byte_loss") > 0.3, "it was never trained on such pieces"


def windows(text: str, sides: list[list[tuple[int, int]]]) -> list[tuple[int, int, int]]:
    """The definition, place by place: as long as the teacher's tokens fit a chunk, half of them context."""

    def cut(place: int, spans: list[tuple[int, int]]) -> bool:
        return all(end <= place or begin >= place for begin, end in spans)

    places = [place for place in range(len(text) + 1) if all(cut(place, spans) for spans in sides)]
    before = {place: sum(end <= place for _, end in sides[0]) for place in places}
    made, begin = [], 0
    while begin < len(text):
        end = max(place for place in places if before[place] - before[begin] <= CHUNK)
        half = math.ceil((before[end] - before[begin]) / 2)
        first = next(place for place in places if place > begin and before[place] - before[begin] >= half)
        if end < len(text):
            made.append((begin, first, end))
        begin = end
    return made


@pytest.mark.parametrize("variant", ["half", "shuffled", "cut"])
def test_bits_per_byte_are_those_of_stored_logits(found: dict[str, Result], text: Path, variant: str) -> None:
    content, folder = text.read_text(encoding="utf-8"), Path(found[variant].job.artefact)
    encoded = [Tokenizer.from_file(str(each / "tokenizer.json")).encode(content) for each in (TEACHER, folder)]
    cut = windows(content, [each.offsets for each in encoded])
    used = [cut[round(at * (len(cut) - 1) / (MOST - 1))] for at in range(MOST)]
    assert any("我" in content[first:end] for _, first, end in used)
    bits = []
    for model, encoding in zip((TEACHER, folder), encoded, strict=True):
        nats = 0.0
        for begin, first, end in used:
            ids = [token for token, (_, to) in zip(encoding.ids, encoding.offsets, strict=True) if begin < to <= end]
            scored = sum(first < to <= end for _, to in encoding.offsets)
            (logits,) = logits_of(model, [ids], len(ids) - scored, "decode")
            told = logits - np.log(np.exp(logits - logits.max(-1, keepdims=True)).sum(-1, keepdims=True))
            told = told - logits.max(-1, keepdims=True)
            nats -= sum(told[at, token] for at, token in enumerate(ids[-scored:]))
        bits.append(nats / math.log(2) / sum(len(content[first:end].encode()) for _, first, end in used))
    result = found[variant]
    assert value(result, "reference_bits_per_byte") == pytest.approx(bits[0], rel=1e-6)
    assert value(result, "bits_per_byte") == pytest.approx(bits[1], rel=1e-6)
    assert value(result, "bits_per_byte_loss") == pytest.approx(bits[1] - bits[0], abs=1e-5)
    whole = len(content.encode())
    scored_bytes = sum(len(content[first:end].encode()) for _, first, end in used)
    told = one(result, "bits_per_byte").parameters["used"]
    assert told == f"{MOST} of {len(cut)} windows, {scored_bytes} of {whole} bytes scored"


def test_half_of_a_vocabulary_costs_bits_and_other_answers(found: dict[str, Result]) -> None:
    half = found["half"]
    assert value(half, "bits_per_byte_loss") > 0.1
    rows = np.asarray(one(half, "scored_texts").attempts[0].samples).reshape(-1, 6)
    assert rows[:, 5].sum() > rows[:, 4].sum(), "it takes more tokens for the same bytes"
    answers = np.asarray(one(half, "answers_alike").attempts[0].samples).reshape(-1, 4)
    assert len(answers) == 4
    assert one(half, "same_answer").estimate.low == clopper_pearson(int(answers[:, 0].sum()), 4)[0]


def test_the_vocabularys_own_variant_is_told_both_ways(found: dict[str, Result], text: Path) -> None:
    int4 = found["int4"]
    assert 0 < value(int4, "kld") < 1
    tokens = np.asarray(one(int4, "token_divergence").attempts[0].samples).reshape(-1, 4)
    rows = np.asarray(one(int4, "scored_texts").attempts[0].samples).reshape(-1, 6)
    assert rows[:, 4].sum() <= len(tokens)  # less what is a part of a character at a chunk's ends
    loss = (rows[:, 3] - rows[:, 2]).sum() / math.log(2) / rows[:, 1].sum()
    assert value(int4, "bits_per_byte_loss") == pytest.approx(loss, rel=1e-9)
    shares = [value(int4, "distillation_loss", alpha=alpha) for alpha in (0.0, 0.5)]
    assert shares[1] == pytest.approx((shares[0] + tokens[:, 1].mean()) / 2, rel=1e-9)


def test_the_loss_at_a_temperature_is_that_of_stored_logits(found: dict[str, Result], text: Path) -> None:
    ids = Tokenizer.from_file(str(TEACHER / "tokenizer.json")).encode(text.read_text(encoding="utf-8")).ids
    chunks = [ids[at : at + CHUNK] for at in range(0, len(ids) - CHUNK + 1, CHUNK)]
    used = [chunks[round(at * (len(chunks) - 1) / (MOST - 1))] for at in range(MOST)]
    warm = [logits_of(model, used, CHUNK // 2, "decode") / 2 for model in (TEACHER, ARTEFACTS / "onnx-int4")]
    p, q = (each - np.log(np.exp(each).sum(-1, keepdims=True)) for each in warm)
    expected = 4 * (np.exp(p) * (p - q)).sum(-1).mean()
    assert value(found["int4"], "distillation_loss", alpha=0.0, temperature=2.0) == pytest.approx(expected, rel=1e-6)


def test_one_vocabulary_with_more_logits_is_compared_by_text(found: dict[str, Result]) -> None:
    """meta-pytorch/torchtune issue 2119: 152,064 logits against 151,936 of one tokenizer."""
    padded = found["padded"]
    assert "one vocabulary, padded to logits of two sizes" in one(padded, "kld").estimate.reason
    assert value(padded, "bits_per_byte_loss") != 0  # what the padding's logits take
    assert one(padded, "perplexity").estimate.value is None


def test_a_tokenizer_that_reads_another_text_has_no_bits_and_still_answers(found: dict[str, Result]) -> None:
    lossy = found["lossy"]
    told = one(lossy, "bits_per_byte").estimate
    assert told.value is None
    assert told.reason.startswith("the tokenizer of this variant reads another text than stands there: ")
    assert one(lossy, "same_answer").estimate.value is not None


def test_without_a_tokenizer_of_its_own_another_size_is_refused_with_the_line_to_write(
    tmp_path: Path, text: Path
) -> None:
    half = script("students").respoken(tmp_path / "half", range(512))
    (half / "tokenizer.json").unlink()
    (result,) = benchharness.run(
        suite(tmp_path, {"half": {"artefact": str(half)}}, text), store=f"sqlite:///{tmp_path}/store.db"
    ).results
    assert str(result.outcome.kind) == "unsupported"
    assert 'tokenizer = "…" under the variant' in result.outcome.reason


def test_a_student_that_cannot_read_the_text_ends_alone(tmp_path: Path, text: Path) -> None:
    mute = script("students").respoken(tmp_path / "mute", range(512))
    said = json.loads((mute / "tokenizer.json").read_text())
    words = {"type": "WordPiece", "vocab": said["model"]["vocab"], "unk_token": "[UNK]"}
    words |= {"continuing_subword_prefix": "##", "max_input_chars_per_word": 100}
    (mute / "tokenizer.json").write_text(json.dumps({**said, "model": words}))
    table = suite(tmp_path, {"mute": {"artefact": str(mute)}, "int4": {"artefact": str(ARTEFACTS / "onnx-int4")}}, text)
    made = benchharness.run(table, store=f"sqlite:///{tmp_path}/store.db")
    ended = {result.job.variant: str(result.outcome) for result in made.results}
    assert ended["int4"] == "ok"
    assert ended["mute"].startswith("unsupported: the tokenizer cannot read the text: ")


def test_hostile_tokenizers_end_alone(tmp_path: Path, text: Path) -> None:
    """A panic of the package, and the end of the process that it is in: the cell's own, and the pass goes on."""
    grows = {"type": "Replace", "pattern": {"String": "a"}, "content": "a" * 1000}
    hostile = {
        "panics": {"type": "Replace", "pattern": {"Regex": "([a-z ]+)+(?![ -z])"}, "content": "x"},
        "grows": {"type": "Sequence", "normalizers": [grows] * 4},
    }
    variants = {"int4": {"artefact": str(ARTEFACTS / "onnx-int4")}}
    for name, normalizer in hostile.items():
        made = script("students").respoken(tmp_path / name, range(1024))
        said = json.loads((made / "tokenizer.json").read_text())
        (made / "tokenizer.json").write_text(json.dumps({**said, "normalizer": normalizer}))
        variants[name] = {"artefact": str(made)}
    found = benchharness.run(suite(tmp_path, variants, text), store=f"sqlite:///{tmp_path}/store.db")
    ended = {result.job.variant: str(result.outcome) for result in found.results}
    assert ended["int4"] == "ok"
    assert "Regex search error: retry-limit-in-match over" in ended["panics"]
    assert "tokenizer.json: refused: it ended the process that read it" in ended["grows"]
    assert all(ended[name].startswith("unsupported: ") for name in hostile)


def test_a_hostile_tokenizer_of_a_prompt_is_refused_before_its_worker_starts(tmp_path: Path) -> None:
    made = script("students").respoken(tmp_path / "panics", range(1024))
    said = json.loads((made / "tokenizer.json").read_text())
    said["normalizer"] = {"type": "Replace", "pattern": {"Regex": "([a-z ]+)+(?![ -z])"}, "content": "x"}
    (made / "tokenizer.json").write_text(json.dumps(said))
    (tmp_path / "talk.jsonl").write_text(json.dumps({"text": "and it came to pass in those days that!"}))
    table = {
        "models": {"m": {"variants": {"panics": {"artefact": str(made)}}}},
        "configurations": [{"runtime": "onnxruntime", "threads": 1}],
        "workloads": [{"prompt": {"text": "and it came to pass in those days that!"}, "output_tokens": 2}],
        "scenarios": {"first-token": {}, "conversation": {"file": str(tmp_path / "talk.jsonl")}},
        "attempts": {"at_least": 1, "at_most": 1},
    }
    found = benchharness.run(table, store=f"sqlite:///{tmp_path}/store.db")
    assert len(found.results) == 2
    for result in found.results:
        assert str(result.outcome.kind) == "unsupported"
        assert "retry-limit-in-match over" in result.outcome.reason


@pytest.mark.parametrize(
    ("content", "name", "told"),
    [("1 2 3 4 5 6 7 8 9", "data.tokens", "token ids, which are the reference's"), ("And", "data.txt", "no stretch")],
)
def test_data_that_two_vocabularies_cannot_share_is_refused(tmp_path: Path, content: str, name: str, told: str) -> None:
    half = script("students").respoken(tmp_path / "half", range(512))
    (tmp_path / name).write_text(content)
    (result,) = benchharness.run(
        suite(tmp_path, {"half": {"artefact": str(half)}}, tmp_path / name), store=f"sqlite:///{tmp_path}/store.db"
    ).results
    assert str(result.outcome.kind) == "unsupported"
    assert told in result.outcome.reason


def test_a_context_that_is_shorter_than_a_chunk_makes_smaller_windows(tmp_path: Path, text: Path) -> None:
    half = script("students").respoken(tmp_path / "half", range(512))
    said = json.loads((half / "config.json").read_text())
    (half / "config.json").write_text(json.dumps({**said, "max_position_embeddings": 40}))
    (result,) = benchharness.run(
        suite(tmp_path, {"half": {"artefact": str(half)}}, text, chunk_tokens=128),
        store=f"sqlite:///{tmp_path}/store.db",
    ).results
    assert result.outcome.ok, result.outcome
    theirs, ours = result.effective.evaluated["tokens_fed"]
    assert theirs < ours <= 40 * MOST, "the smaller context is full, and the larger one has the same text"
    assert ours > 30 * MOST
    assert value(result, "bits_per_byte_loss") > 0


def test_a_student_is_shown_and_judged_at_the_command_line(
    benchharness: CommandLine, tmp_path: Path, text: Path
) -> None:
    made = script("students")
    made.respoken(tmp_path / "half", range(512))
    (tmp_path / "suite.toml").write_text(
        f"""
[models.m]
task = "causal-lm"
reference = "teacher"
evaluation = "{text}"
[models.m.variants]
teacher = {{ artefact = "{TEACHER}" }}
half = {{ artefact = "half" }}
[[configurations]]
threads = 1
[scenarios.quality]
chunk_tokens = 48
most_chunks = 8
continuation_tokens = 4
[budgets]
bits_per_byte_loss = "0.01 bits/byte"
"""
    )
    done = benchharness("run", "suite.toml", "--details")
    assert done.returncode == 1, done.stderr
    assert "bits per byte lost" in done.stdout
    assert "not comparable: two vocabularies" in done.stdout
    exported = json.loads(benchharness("export", "latest", "--format", "json").stdout)
    metrics = {each["name"]: each for each in exported["results"][0]["metrics"]}
    assert metrics["bits_per_byte_loss"]["unit"] == "bits/byte"
    assert metrics["kld"]["value"] is None
    shutil.rmtree(tmp_path / "half")


def relabelled(source: Path, folder: Path) -> tuple[Path, list[int]]:
    """A toy that is lost without its beginning of text, under other ids: that token's, too."""
    shutil.copytree(source, folder)
    order = np.random.default_rng(9).permutation(VOCABULARY).tolist()
    model = onnx.load(folder / "model.onnx")
    for initializer in model.graph.initializer:
        if initializer.name == "weights":
            weights = numpy_helper.to_array(initializer)
            moved = np.empty_like(weights)
            moved[np.ix_(order, order)] = weights
            initializer.CopyFrom(numpy_helper.from_array(moved, "weights"))
        elif initializer.name == "bos":
            initializer.CopyFrom(numpy_helper.from_array(np.array(order[BOS]), "bos"))
    onnx.save(model, str(folder / "model.onnx"))
    said = json.loads((folder / "tokenizer.json").read_text())
    said["model"]["vocab"] = {word: order[token] for word, token in said["model"]["vocab"].items()}
    for special in said["post_processor"]["special_tokens"].values():
        special["ids"] = [order[token] for token in special["ids"]]
    (folder / "tokenizer.json").write_text(json.dumps(said))
    return folder, order


def test_each_window_begins_with_the_models_own_beginning_of_text_once(tmp_path: Path) -> None:
    """EleutherAI/lm-evaluation-harness issues 2382 and 3333: there in the first window only, or twice."""
    teacher = toy(tmp_path / "teacher", TEMPLATE)
    student, order = relabelled(teacher, tmp_path / "student")
    documents = [" ".join(f"w{each}" for each in words(90, seed)) for seed in range(6)]
    data = tmp_path / "texts.jsonl"
    data.write_text("".join(json.dumps({"text": each}) + "\n" for each in documents))
    table = suite(tmp_path, {"student": {"artefact": str(student)}}, data, chunk_tokens=33, most_chunks=100)
    table["models"]["m"]["variants"]["teacher"]["artefact"] = str(teacher)
    (result,) = benchharness.run(table, store=f"sqlite:///{tmp_path}/store.db").results
    assert result.outcome.ok, result.outcome
    # Of 90 words 32 with <bos> make a window, 16 of them scored; the 26 that are left at the end are no whole one.
    expected, size = 0.0, 0
    for document in documents:
        ids = [int(word[1:]) for word in document.split()]
        for begin in (0, 32):
            window = [BOS, *ids[begin : begin + 32]]
            expected += sum(losses(teacher, window)[-16:])
            size += sum(len(f" w{each}") for each in window[-16:])
    told = one(result, "reference_bits_per_byte")
    assert str(told.parameters["used"]).startswith("6 of 6 documents, 12 of 12 windows, ")
    bits = value(result, "reference_bits_per_byte")
    assert bits == pytest.approx(expected / math.log(2) / size, rel=1e-6)
    assert bits < 0.6, "and 1.4 where the token is missing"
    assert value(result, "bits_per_byte_loss") == pytest.approx(0, abs=1e-6)
    assert value(result, "same_answer") == 1.0
    assert result.effective.tokenizer["leading_tokens"] == f"{order[BOS]} <bos>"
