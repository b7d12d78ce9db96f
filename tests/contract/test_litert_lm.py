"""LiteRT-LM's adapter on the demo model: the contract, its own loop against LiteRT's logits, silent failures."""

from __future__ import annotations

import json
import shutil
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from benchharness.contract import (
    HARNESS_CLOCK,
    Adapter,
    Configuration,
    GeneratesTokens,
    LanguageSession,
    ScoresText,
    TokenStream,
)
from benchharness.device import adapters
from benchharness.device.inputs.tokenizer import Tokenizer
from benchharness.device.questions import list_files
from benchharness.device.self_timed import SelfTimed, StreamRequest
from benchharness.errors import ModelFailure, Unsupported
from benchharness.testing import AdapterContract
from targets.litert_lm import LiteRtLm
from targets.litert_lm import session as sessions
from targets.litert_lm_bundle import MODEL, read_sections
from tests.conftest import ARTEFACTS
from tests.contract.runtime_models import bundle, script

litert_lm = pytest.importorskip("litert_lm", reason="NOT TESTED: litert-lm-api is not installed")

PROMPT = "And it came to pass in those days, that there went out a decree from"
_TOP_K = 1  # sampler_params.proto


def configure(**fields: Any) -> Configuration:
    return Configuration(**{"runtime": "litert-lm", "threads": 1, **fields})


def opened(path: Path, **fields: Any) -> Any:
    return LiteRtLm().open(path, configure(**fields))


@pytest.fixture(scope="module")
def model() -> Path:
    return bundle("fp32")


@pytest.fixture(scope="module")
def session(model: Path) -> Iterator[Any]:
    with opened(model) as found:
        yield found


class TestFloat32(AdapterContract):
    @pytest.fixture
    def adapter(self) -> Adapter:
        return LiteRtLm()

    @pytest.fixture
    def generating_artefact(self, model: Path) -> Path | None:
        return model


class TestInt8(TestFloat32):
    @pytest.fixture
    def generating_artefact(self) -> Path | None:
        return bundle("int8")


def by_logits(model: Path, text: str, count: int, leading: tuple[int, ...] = ()) -> str:
    """What the most probable tokens say by the logits of the model inside, which LiteRT gives."""
    tokenizer = Tokenizer(ARTEFACTS / "tflite-fp32" / "tokenizer.json")
    with adapters.load("tflite").open(model, Configuration(runtime="tflite", threads=1)) as given:
        assert isinstance(given, LanguageSession)
        chosen = [int(np.argmax(given.extend([*leading, *tokenizer.encode(text)])))]
        while len(chosen) < count:
            chosen.append(int(np.argmax(given.decode(chosen[-1]))))
    return tokenizer.decode(chosen)


def test_its_own_loop_chooses_what_the_logits_of_the_model_inside_say(session: Any, model: Path) -> None:
    stream: TokenStream = session.generate(PROMPT, 48)
    assert stream.text == by_logits(model, PROMPT, 48)
    assert stream.tokens is None
    assert list(stream.tokens_per_stamp) == [1] * 48
    tokens = Tokenizer(ARTEFACTS / "tflite-fp32" / "tokenizer.json").encode(PROMPT)
    assert stream.prompt_tokens == len(tokens)


def test_the_token_that_begins_a_text_is_counted(tmp_path: Path, model: Path) -> None:
    """LiteRT-LM puts it before a prompt where the bundle names one: it is fed and takes room."""
    build = script("litert_lm_bundle")
    told = build.metadata()
    told.start_token.token_ids.ids.append(0)
    made = build.build(ARTEFACTS / "tflite-fp32", tmp_path / "begins", told)
    tokens = len(Tokenizer(ARTEFACTS / "tflite-fp32" / "tokenizer.json").encode(PROMPT))
    with opened(made) as found:
        stream = found.generate(PROMPT, 12)
        assert (stream.prompt_tokens, stream.text) == (tokens + 1, by_logits(model, PROMPT, 12, (0,)))
        assert stream.text != by_logits(model, PROMPT, 12)
        with pytest.raises(Unsupported, match=f"^{tokens + 512 - tokens + 1} tokens do not fit"):
            found.generate(PROMPT, 512 - tokens)


def test_each_token_is_stamped_where_it_comes(session: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the callback, on a thread of the library's: whoever reads a queue behind it sees tokens long after."""
    looked: list[int] = []

    def clock() -> int:
        looked.append(threading.get_ident())
        return time.perf_counter_ns()

    monkeypatch.setattr(sessions, "time", SimpleNamespace(perf_counter_ns=clock))
    written = SelfTimed(session).write(StreamRequest(PROMPT, 50), 50)
    assert session.clock.timed_by == HARNESS_CLOCK
    assert (written.after_first, min(written.gaps_ns) > 0) == (49, True)
    beside = [each for each in looked if each != threading.get_ident()]
    assert len(looked) - len(beside) == 1, "the prompt alone is stamped by the caller"
    assert len(beside) >= 50


def test_the_engines_own_report_agrees(session: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """It counts by itself, and its time of an answer has all our stamps in it: ours cannot be the slower rate."""
    from litert_lm.session import Session

    told: list[Any] = []
    report = Session.get_benchmark_info

    def listened(self: Any) -> Any:
        told.append(report(self))
        return told[-1]

    monkeypatch.setattr(Session, "get_benchmark_info", listened)
    written = SelfTimed(session).write(StreamRequest(PROMPT, 200), 200)
    assert told[-1].last_decode_token_count == 200
    assert told[-1].last_prefill_token_count == written.prompt_tokens
    assert written.after_first * 1e9 / written.span_ns > 0.99 * told[-1].last_decode_tokens_per_second


def test_there_are_no_logits_and_its_scores_are_not_used(session: Any) -> None:
    """`run_text_scoring` gave other probabilities than the model's own: -24.18 nats where those are -17.33."""
    assert isinstance(session, GeneratesTokens)
    assert not isinstance(session, (LanguageSession, ScoresText))
    refuses: Any = session
    assert "tflite" in session.effective.facts["quality"]
    with pytest.raises(Unsupported, match="takes a text, and no tensors"):
        refuses.run({})


def test_what_is_not_told_is_unknown(session: Any) -> None:
    effective = session.effective
    assert (effective.threads, effective.precision, effective.accelerators) == (None, None, ("CPU",))
    assert effective.facts["threads_unconfirmed"] == 1
    assert effective.facts["threads_source"].startswith("unknown: ")
    assert session.context_length == effective.facts["max_num_tokens"] == 512


def test_a_bundle_whose_sampler_is_top_k_writes_all_the_same(tmp_path: Path, model: Path) -> None:
    """LiteRT-LM has no such sampler, and its benchmark ends with no token and no error."""
    build = script("litert_lm_bundle")
    told = build.metadata()
    told.sampler_params.type = _TOP_K
    made = build.build(ARTEFACTS / "tflite-fp32", tmp_path / "top-k", told)
    with opened(made) as found:
        assert found.generate(PROMPT, 12).text == by_logits(model, PROMPT, 12)
    silent = litert_lm.Benchmark(
        model_path=str(made), backend=litert_lm.Backend.CPU(), prefill_tokens=8, decode_tokens=8, cache_dir=":nocache"
    ).run()
    assert silent.last_decode_token_count == 0, "LiteRT-LM has learned it: the trap is gone"


def test_no_tokens_with_a_normal_end_are_no_measurement(session: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    class Silent:
        stamps_ns: tuple[int, ...] = ()
        texts: tuple[str, ...] = ()
        failed = ""

        def __init__(self, _: Any) -> None:
            pass

        def wait(self) -> None:
            pass

    monkeypatch.setattr(sessions, "_Chunks", Silent)
    with pytest.raises(ModelFailure, match="ended its answer after 0 of 5 tokens"):
        session.generate(PROMPT, 5)


def test_an_answer_that_ends_early_is_no_measurement(tmp_path: Path, model: Path) -> None:
    """A model that takes an ordinary word for the end of its text."""
    build = script("litert_lm_bundle")
    told = build.metadata()
    tokens = Tokenizer(ARTEFACTS / "tflite-fp32" / "tokenizer.json").encode(by_logits(model, PROMPT, 4))
    told.stop_tokens.add().token_ids.ids.append(tokens[2])
    made = build.build(ARTEFACTS / "tflite-fp32", tmp_path / "ends", told)
    with opened(made) as found, pytest.raises(ModelFailure, match=r"ended its answer after \d+ of 12 tokens"):
        found.generate(PROMPT, 12)


@pytest.mark.parametrize(
    ("texts", "counts"),
    [([" a"] * 3, [1, 1, 1]), ([" a", "我"], [1, 2]), (["我", " a"], [2, 1]), ([" a", " a"], None)],
    ids=["a token each", "a character of several", "at the front", "a token without a text"],
)
def test_what_a_chunk_covers_is_told_or_refused(session: Any, texts: list[str], counts: list[int] | None) -> None:
    count = len(session._engine.tokenize("".join(texts))) if counts else 3
    if counts:
        expected = [len(session._engine.tokenize(text)) for text in texts]
        assert session._tokens_of(texts, sum(expected), sum(expected)) == expected
        assert (sum(expected) > len(texts)) == (max(counts) > 1)
    else:
        with pytest.raises(ModelFailure, match="3 tokens came in 2 chunks of text"):
            session._tokens_of(texts, count, count)


def test_a_failure_in_its_thread_is_told(session: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the room ends it says so through the callback alone, and the call returns as if all were well."""
    monkeypatch.setattr(session, "context_length", 10_000)
    with pytest.raises(ModelFailure, match="failed while running: Max number of tokens reached"):
        session.generate(PROMPT, 600)
    with pytest.raises(ModelFailure, match=r"failed while running: .*too long"):
        session.generate("and " * 600, 5)
    assert session.generate(PROMPT, 2).text


def test_nothing_is_written_beside_the_model(tmp_path: Path, model: Path) -> None:
    """By itself it keeps packed weights there, and a second start is then another one."""
    shutil.copy(model, tmp_path)
    before = sorted(tmp_path.iterdir())
    with opened(tmp_path) as found:
        found.generate(PROMPT, 2)
        assert found.effective.facts["packed_weights"] == "not kept"
    assert sorted(tmp_path.iterdir()) == before
    kept = tmp_path / "kept"
    kept.mkdir()
    with opened(tmp_path / model.name, options={"cache_dir": str(kept)}) as found:
        found.generate(PROMPT, 2)
        assert str(kept) in found.effective.facts["packed_weights"]
    assert list(kept.iterdir())


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"accelerator": "NPU"}, "NPU that is not there"),
        ({"accelerator": "NPU", "accelerator_options": {"litert_dispatch_lib_dir": ""}}, "simulates one"),
        ({"accelerator": "CPU", "accelerator_options": {"litert_dispatch_lib_dir": "/opt"}}, "NPU that is not there"),
        ({"accelerator": "TPU"}, "LiteRT-LM has CPU and GPU"),
        ({"accelerator": "GPU"}, "threads: LiteRT-LM takes them for the CPU only"),
        ({"accelerator_options": {"precision": 1}}, r"accelerator_options\.precision"),
        ({"options": {"top_k": 4}}, r"options\.top_k: unknown"),
        ({"options": {"max_num_tokens": 600}}, "the model has room for 512 tokens"),
        ({"options": {"max_num_tokens": 0}}, "max_num_tokens: 0 is not a whole number"),
        ({"options": {"activation_data_type": "fp8"}}, "'fp8' is none of fp32"),
        ({"options": {"cache_dir": ""}}, "cache_dir: '' is no folder"),
        ({"threads": 0}, "threads: 0 is not a whole number"),
        ({"library": "x.so"}, "library: "),
        ({"task": "tensor"}, "causal language models only"),
    ],
    ids=str,
)
def test_what_cannot_be_met_is_refused(model: Path, fields: Mapping[str, Any], told: str) -> None:
    with pytest.raises(Unsupported, match=told), opened(model, **fields):
        pass


def test_options_are_taken(model: Path) -> None:
    with opened(model, options={"max_num_tokens": 64, "activation_data_type": "fp32"}) as found:
        assert found.context_length == 64
        assert found.effective.facts["activation_data_type"] == "fp32, unconfirmed"
        with pytest.raises(Unsupported, match="context of 64"):
            found.generate(PROMPT, 64)
        assert found.generate(PROMPT, 8).text == by_logits(model, PROMPT, 8)


def test_a_bundle_is_one_artefact_in_both_runtimes_that_open_it(model: Path) -> None:
    told = [list_files.files_of(model.parent, [name]) for name in ("tflite", "litert-lm")]
    assert told[0] is not None
    assert told[0]["files"] == told[1]["files"] if told[1] else False
    assert adapters.own_formats("litert-lm") == ()


def test_a_bundle_without_a_model_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: Path) -> None:
    sections = [each for each in read_sections(model) if each.kind != MODEL]
    monkeypatch.setattr("targets.litert_lm.read_sections", lambda _: sections)
    with pytest.raises(ModelFailure, match="holds no model, only"), opened(model):
        pass


def test_a_folder_with_two_bundles_is_to_be_told_apart(tmp_path: Path, model: Path) -> None:
    for name in ("a", "b"):
        shutil.copy(model, tmp_path / f"{name}.litertlm")
    with pytest.raises(ModelFailure, match="several models"), opened(tmp_path):
        pass


def test_answers_of_two_threads_do_not_mix(session: Any) -> None:
    """The callback belongs to its answer."""
    found: dict[str, str] = {}

    def write(prompt: str) -> None:
        found[prompt] = session.generate(prompt, 12).text

    prompts = [PROMPT, "In the beginning God created"]
    alone = {prompt: session.generate(prompt, 12).text for prompt in prompts}
    threads = [threading.Thread(target=write, args=[prompt]) for prompt in prompts]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert found == alone
    json.dumps(session.effective.facts)
