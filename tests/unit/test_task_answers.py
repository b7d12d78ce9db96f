"""What a task asks, and what a language session answers: borders, windows, one prefill a question, ends of texts."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchharness.contract import EXECUTION_REFERENCE, EffectiveConfiguration
from benchharness.device import worker
from benchharness.device.phases import Phases
from benchharness.device.scenarios import task
from benchharness.device.scenarios.stage import Stage
from benchharness.device.scenarios.task import asked
from benchharness.device.scenarios.task.asked import GENERATE, LIKELIHOOD, ROLLING, Request
from benchharness.device.scenarios.task.reader import Reader
from benchharness.device.scenarios.task.texts import Split, Texts, windows
from benchharness.device.scenarios.task.writer import first_of
from benchharness.errors import InvalidOutput, Unsupported
from benchharness.records import TASK_LIKELIHOODS

VOCABULARY = 128


class Letters:
    """A tokenizer of one token a character, but for `th`, which is token 1; it puts nothing before a text."""

    leading: tuple[int, ...] = ()

    def spans(self, text: str) -> tuple[list[int], list[tuple[int, int]]]:
        return [ord(each) for each in text.replace("th", "\x01")], []

    def decode(self, tokens: Sequence[int]) -> str:
        return "".join(map(chr, tokens)).replace("\x01", "th")


class Model:
    """A language session whose next token depends on all before it; `rewind` is there where `rewinds` says so."""

    inputs: Sequence[Any] = ()
    outputs: Sequence[Any] = ()
    effective: Any = None
    vocabulary_size = VOCABULARY

    def __init__(self, context_length: int = 64) -> None:
        self.context_length = context_length
        self.held: list[int] = []
        self.fed: list[list[int]] = []

    def run(self, inputs: Mapping[str, Any]) -> Mapping[str, Any]:
        raise AssertionError

    def reset(self) -> None:
        self.held = []

    def extend(self, tokens: Sequence[int]) -> Any:
        self.fed.append(list(tokens))
        self.held += tokens
        assert len(self.held) <= self.context_length
        return logits_after(self.held)

    def decode(self, token: int) -> Any:
        return self.extend([token])


class Rewinding(Model):
    def rewind(self, tokens: int) -> None:
        if tokens > len(self.held):
            raise Unsupported("it holds fewer")
        self.held = self.held[:tokens]


class Scoring(Model):
    def score(self, tokens: Sequence[int]) -> Any:
        assert len(tokens) <= self.context_length
        return np.stack([logits_after(tokens[: place + 1]) for place in range(len(tokens))])


def logits_after(tokens: Sequence[int]) -> Any:
    seed = int(hashlib.sha256(str(list(tokens)).encode()).hexdigest()[:8], 16)
    return np.random.default_rng(seed).normal(0, 3, VOCABULARY).astype(np.float32)


def nats(context: Sequence[int], tokens: Sequence[int]) -> float:
    total, held = 0.0, list(context)
    for token in tokens:
        row = logits_after(held).astype(np.float64)
        total += float(row[token] - np.log(np.exp(row).sum()))
        held.append(token)
    return total


def answered(
    folder: Path, model: Any, requests: Sequence[Request], **settings: Any
) -> tuple[list[Any], dict[str, Any]]:
    path = folder / "asked.json"
    path.write_bytes(asked.written(requests))
    data = {"path": str(path), "kind": "requests", "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
    stage = Stage(
        session=model,
        workload={"data": data},  # type: ignore[typeddict-item]
        settings={"evaluation": "decode", "prefix_token": 0, "end_tokens": [3], **settings},
        tokenizer=Letters(),  # type: ignore[arg-type]
        phases=Phases(0),
        progress=lambda *_: None,
    )
    measured = task.measure(stage)
    rows = TASK_LIKELIHOODS.rows(measured[0]["samples"]) if measured else []
    return rows, stage.told


CHOICES = [
    Request(LIKELIHOOD, f"question {number}:", answer) for number in range(3) for answer in (" a", " bc", " d", " e")
]


@pytest.mark.parametrize("model", [Model, Rewinding, Scoring])
def test_a_likelihood_is_that_of_every_token_after_all_before_it(tmp_path: Path, model: Any) -> None:
    evaluation = "prefill" if model is Scoring else "decode"
    rows, _ = answered(tmp_path, model(), CHOICES, evaluation=evaluation)
    for row, request in zip(rows, CHOICES, strict=True):
        context, tokens = ([ord(each) for each in text] for text in (request.before, request.text))
        assert row.log_likelihood == pytest.approx(nats(context, tokens), abs=1e-4)
        assert row.tokens == len(tokens)


def test_the_choices_of_a_question_take_one_prefill_where_the_session_rewinds(tmp_path: Path) -> None:
    plain, rewinding = Model(), Rewinding()
    first, told_plain = answered(tmp_path, plain, CHOICES)
    second, told = answered(tmp_path, rewinding, CHOICES)
    assert first == second
    assert (told["asked"]["prefills"], told_plain["asked"]["prefills"]) == (3, 12)
    assert sum(len(each) for each in rewinding.fed) < sum(len(each) for each in plain.fed) / 2


def test_a_cache_that_cannot_be_cut_is_read_again(tmp_path: Path) -> None:
    class Stubborn(Rewinding):
        def rewind(self, tokens: int) -> None:
            raise Unsupported("this cache cannot be cut")

    rows, told = answered(tmp_path, Stubborn(), CHOICES)
    assert rows == answered(tmp_path, Model(), CHOICES)[0]
    assert told["asked"]["prefills"] == 12


def test_an_answer_does_not_depend_on_those_before_it(tmp_path: Path) -> None:
    forwards, _ = answered(tmp_path, Rewinding(), CHOICES)
    backwards, _ = answered(tmp_path, Rewinding(), CHOICES[::-1])
    assert [row.log_likelihood for row in forwards] == [row.log_likelihood for row in backwards[::-1]]


def test_a_token_over_the_border_is_asked_for_as_a_whole() -> None:
    texts = Texts(Letters(), 0)  # type: ignore[arg-type]
    assert texts.split("wit", "hout") == Split([ord("w"), ord("i")], [1, *map(ord, "out")], merged=True)
    assert texts.split("with", "out") == Split([ord("w"), ord("i"), 1], list(map(ord, "out")), merged=False)
    assert texts.split("", "a") == Split([0], [ord("a")], merged=False)
    with pytest.raises(Unsupported, match="nothing can be asked for"):
        texts.split("with", "")
    with pytest.raises(Unsupported, match="prefix_token"):
        Texts(Letters(), None).split("", "a")  # type: ignore[arg-type]


@pytest.mark.parametrize("count", [0, 1, 3, 4, 5, 8, 9, 10])
def test_windows_predict_every_token_once_from_what_fits(count: int) -> None:
    tokens = list(range(10, 10 + count))
    cut = list(windows([0], tokens, 4))
    assert [token for split in cut for token in split.tokens] == tokens
    assert all(len(split.context) + len(split.tokens) - 1 <= 4 for split in cut)
    whole = [0, *tokens]
    for split in cut:
        place = whole.index(split.tokens[0])
        assert whole[place - len(split.context) : place] == list(split.context)
    if count == 10:  # as lm-eval's documentation draws it
        assert cut[-1] == Split([*tokens[5:8]], tokens[8:])


def test_a_text_that_is_longer_than_the_context_is_read_in_windows(tmp_path: Path) -> None:
    text = "abcdefghijkl"
    rows, told = answered(tmp_path, Scoring(context_length=5), [Request(ROLLING, "", text)], evaluation="prefill")
    splits = windows([0], list(map(ord, text)), 5)
    assert rows[0].log_likelihood == pytest.approx(sum(nats(*split[:2]) for split in splits), abs=1e-4)
    assert told["asked"]["in_windows"] == 1


def greedy(before: str, count: int) -> str:
    held = list(map(ord, before))
    for _ in range(count):
        held.append(int(logits_after(held).argmax()))
    return "".join(map(chr, held[len(before) :]))


def test_what_is_written_ends_where_the_task_says_and_nothing_of_the_end_is_kept(tmp_path: Path) -> None:
    whole = greedy("go on", 8)
    requests = [
        Request(GENERATE, "go on", "", (), 8),
        Request(GENERATE, "go on", "", (whole[4],), 8),
        Request(GENERATE, "go on", "", ("nowhere",), 2),
    ]
    _, told = answered(tmp_path, Rewinding(), requests, end_tokens=[])
    texts = [told["answers"][str(number)] for number in range(3)]
    assert texts[0] == {"text": whole, "tokens": 8, "ended": "length"}
    assert texts[1]["text"] == whole.split(whole[4])[0]
    assert texts[1]["ended"] == "stop"
    assert texts[2] == {"text": whole[:2], "tokens": 2, "ended": "length"}
    _, ended = answered(tmp_path, Model(), requests[:1], end_tokens=[ord(whole[3])])
    assert ended["answers"]["0"] == {"text": whole[:3], "tokens": 3, "ended": "end"}
    _, full = answered(tmp_path, Model(context_length=7), requests[:1], end_tokens=[])
    assert full["answers"]["0"]["ended"] == "context"
    assert full["answers"]["0"]["text"] == whole[:3]


def test_the_first_end_counts_wherever_it_stands_in_the_list() -> None:
    assert first_of("one. two\n", ("\n", ".")) == 3
    assert first_of("one", ("", "x")) is None


def test_nothing_is_cut_to_fit(tmp_path: Path) -> None:
    requests = [Request(LIKELIHOOD, "a" * 70, "b"), Request(LIKELIHOOD, "a", "b")]
    with pytest.raises(Unsupported, match=r"1 of 2 requests do not fit this model's context of 64 tokens.* takes 70"):
        answered(tmp_path, Model(), requests)


@pytest.mark.parametrize(("value", "told"), [(np.nan, "NaN or infinite"), (0.0, "did not run the model")])
def test_logits_that_cannot_be_end_the_attempt(tmp_path: Path, value: float, told: str) -> None:
    class Broken(Model):
        def extend(self, tokens: Sequence[int]) -> Any:
            return np.full(VOCABULARY, value, np.float32)

    with pytest.raises(InvalidOutput, match=told):
        answered(tmp_path, Broken(), CHOICES[:1])


def test_a_token_without_any_chance_is_no_number() -> None:
    class Never(Model):
        def extend(self, tokens: Sequence[int]) -> Any:
            row = logits_after(tokens)
            row[ord("x")] = -np.inf
            return row

    with pytest.raises(InvalidOutput):
        Reader(Never()).likelihood([1, 2], [ord("x")])


@pytest.mark.parametrize("computed", [True, False])
def test_what_a_reference_execution_computes_is_told_and_what_it_times_is_not(computed: bool) -> None:
    effective = EffectiveConfiguration(accelerators=(), threads=None, execution=EXECUTION_REFERENCE)
    assert worker._reported([{"metric": "m"}], effective, computed=computed) == ([{"metric": "m"}] if computed else [])
    assert task.COMPUTED


def test_a_file_of_requests_is_the_one_that_was_hashed_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "asked.json"

    def of(content: bytes) -> Mapping[str, Any]:
        path.write_bytes(content)
        return {"path": str(path), "sha256": hashlib.sha256(content).hexdigest()}

    good = asked.written(CHOICES)
    assert asked.read(of(good)) == CHOICES
    with pytest.raises(Unsupported, match="has changed since"):
        asked.read({**of(good), "sha256": "0" * 64})
    wrong: list[Any] = [[], {"version": 2}, {"version": 1, "requests": []}]
    wrong.append({"version": 1, "requests": [["likelihood", 1, "", [], 0]]})
    for told in wrong:
        with pytest.raises(Unsupported, match=r"no requests|no request"):
            asked.read(of(json.dumps(told).encode()))
    with pytest.raises(Unsupported, match="cannot be read"):
        asked.read({"path": str(tmp_path / "none.json"), "sha256": ""})
