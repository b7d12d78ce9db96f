"""onnxruntime-genai's adapter: the contract both ways, torch's logits, its own loop, and what goes wrong in silence."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchharness.contract import (
    CACHE_GROWN_BY_GRAPH,
    CACHE_IN_PLACE,
    HARNESS_CLOCK,
    Adapter,
    Configuration,
    GeneratesTokens,
    LanguageSession,
    ScoresText,
    TokenStream,
)
from benchharness.errors import ModelFailure, Unsupported
from benchharness.testing import AdapterContract
from targets.onnx_format.files import GENAI_CONFIG
from targets.onnx_runtime_genai import OnnxRuntimeGenai
from tests.conftest import ARTEFACTS, ROOT

pytest.importorskip("onnxruntime_genai", reason="NOT TESTED: onnxruntime-genai is not installed")

GQA = ARTEFACTS / "onnx-gqa-fp32"
STREAM = {"loop": "runtime"}
# Largest differences seen, float32: 2.1e-5. Dynamic int8 and 4 bit differ from torch by design.
WITHIN = 1e-3


def configure(**fields: Any) -> Configuration:
    return Configuration(**{"runtime": "onnxruntime-genai", "threads": 1, **fields})


def opened(path: Path, **fields: Any) -> Any:
    return OnnxRuntimeGenai().open(path, configure(**fields))


def genai_folder(folder: Path, source: str, model: Mapping[str, Any] = {}, **decoder: Any) -> Path:
    """A folder as genai has it: a model of the demo's, and the configuration that goes with it."""
    shutil.copytree(ARTEFACTS / source, folder)
    config = json.loads((GQA / GENAI_CONFIG).read_text())
    if "gqa" not in source:  # a plain graph takes positions, and gives a new cache each time
        config["model"]["decoder"]["inputs"]["position_ids"] = "position_ids"
        config["search"]["past_present_share_buffer"] = False
    config["model"].update(model)
    config["model"]["decoder"].update(decoder)
    (folder / GENAI_CONFIG).write_text(json.dumps(config))
    return folder


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return genai_folder(tmp_path_factory.mktemp("genai") / "onnx-fp32", "onnx-fp32")


@pytest.fixture(scope="module")
def golden() -> Mapping[str, np.ndarray]:
    with np.load(ROOT / "tests" / "golden" / "demo_logits.npz", allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}


class TestLogits(AdapterContract):
    @pytest.fixture
    def adapter(self) -> Adapter:
        return OnnxRuntimeGenai()

    @pytest.fixture
    def language_artefact(self) -> Path | None:
        return GQA


class TestPlainGraph(TestLogits):
    @pytest.fixture
    def language_artefact(self, plain: Path) -> Path | None:
        return plain


class TestOwnLoop(AdapterContract):
    @pytest.fixture
    def adapter(self) -> Adapter:
        return OnnxRuntimeGenai()

    @pytest.fixture
    def configuration(self, adapter: Adapter) -> Configuration:
        return configure(options=STREAM)

    @pytest.fixture
    def generating_artefact(self) -> Path | None:
        return GQA


@pytest.mark.parametrize("kind", ["grouped", "plain"])
def test_logits_are_torchs(kind: str, plain: Path, golden: Mapping[str, np.ndarray]) -> None:
    tokens, expected = golden["tokens"].tolist(), golden["logits"]
    with opened(GQA if kind == "grouped" else plain) as session:
        assert isinstance(session, LanguageSession)
        assert not isinstance(session, GeneratesTokens)
        assert session.effective.cache == (CACHE_IN_PLACE if kind == "grouped" else CACHE_GROWN_BY_GRAPH)
        assert isinstance(session, ScoresText)
        np.testing.assert_allclose(session.score(tokens), expected, rtol=0, atol=WITHIN)
        np.testing.assert_allclose(session.extend(tokens), expected[-1], rtol=0, atol=WITHIN)
        session.reset()
        for token, row in zip(tokens, expected, strict=True):
            np.testing.assert_allclose(session.decode(token), row, rtol=0, atol=WITHIN)


def greedy(prompt: list[int], count: int) -> list[int]:
    from benchharness.device import adapters

    with adapters.load("onnxruntime").open(GQA, Configuration(runtime="onnxruntime", threads=1)) as session:
        assert isinstance(session, LanguageSession)
        chosen = [int(np.argmax(session.extend(prompt)))]
        while len(chosen) < count:
            chosen.append(int(np.argmax(session.decode(chosen[-1]))))
    return chosen


def test_its_own_loop_chooses_what_the_logits_say(golden: Mapping[str, np.ndarray]) -> None:
    prompt = golden["tokens"][:16].tolist()
    with opened(GQA, options=STREAM) as session:
        assert not isinstance(session, LanguageSession)
        stream: TokenStream = session.generate(prompt, 40)
    assert stream.tokens == greedy(prompt, 40)
    assert (stream.prompt_tokens, list(stream.tokens_per_stamp)) == (16, [1] * 40)


def test_results_say_which_of_the_two_ways_it_was() -> None:
    told = {}
    for options in ({}, STREAM):
        with opened(GQA, options=options) as session:
            effective = session.effective
            told[options.get("loop", "logits")] = effective.facts["loop"]
            assert (effective.accelerators, effective.threads, effective.precision) == (("CPU",), None, None)
            assert effective.facts["threads_source"].startswith("unknown: ")
            assert effective.facts["session_options_unconfirmed"] == {"intra_op_num_threads": 1}
            assert (effective.facts["device_type"], effective.facts["model_type"]) == ("CPU", "llama")
            if options:
                assert session.clock.timed_by == HARNESS_CLOCK
    assert "get_logits" in told["logits"]
    assert "generate_next_token" in told["runtime"]


@pytest.mark.parametrize("ends", [432, [432, 807]], ids=["one token", "several"])
def test_an_answer_goes_on_past_the_end_of_the_text(
    ends: Any, tmp_path: Path, golden: Mapping[str, np.ndarray]
) -> None:
    """The third token that it chooses ends its text; asked again, genai gives padding with a normal return."""
    prompt = golden["tokens"][:16].tolist()
    expected = greedy(prompt, 12)
    assert expected[2] == 432
    folder = genai_folder(tmp_path / "m", "onnx-gqa-fp32", {"eos_token_id": ends})
    with opened(folder, options=STREAM) as session:
        assert session.generate(prompt, 12).tokens == expected


def test_an_answer_that_ends_early_is_no_measurement(
    tmp_path: Path, golden: Mapping[str, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    from targets.onnx_runtime_genai import request

    folder = genai_folder(tmp_path / "m", "onnx-gqa-fp32", {"eos_token_id": 432})
    monkeypatch.setattr(request, "_overlaid_end", lambda size: {})
    with opened(folder, options=STREAM) as session, pytest.raises(ModelFailure, match=r"after 3 of 12 .*token 432"):
        session.generate(golden["tokens"][:16].tolist(), 12)


def test_what_a_folder_wants_of_its_search_changes_no_choice(tmp_path: Path, golden: Mapping[str, np.ndarray]) -> None:
    prompt = golden["tokens"][:16].tolist()
    folder = genai_folder(tmp_path / "m", "onnx-gqa-fp32")
    config = json.loads((folder / GENAI_CONFIG).read_text())
    config["search"].update(do_sample=True, temperature=5.0, repetition_penalty=1.7, num_beams=2, min_length=30)
    (folder / GENAI_CONFIG).write_text(json.dumps(config))
    with opened(folder, options=STREAM) as session:
        assert session.generate(prompt, 12).tokens == greedy(prompt, 12)
        assert session.effective.facts["search"]["do_sample"] is False


def test_max_length_is_the_context(golden: Mapping[str, np.ndarray]) -> None:
    tokens = golden["tokens"].tolist()
    with opened(GQA, options={"max_length": 20}) as session:
        assert session.context_length == session.effective.facts["max_length"] == 20
        with pytest.raises(Unsupported, match="context of 20"):
            session.extend(tokens[:21])
        np.testing.assert_allclose(session.extend(tokens[:20]), golden["logits"][19], rtol=0, atol=WITHIN)
    with pytest.raises(Unsupported, match=r"max_length: 9999: .*512"), opened(GQA, options={"max_length": 9999}):
        pass


def test_a_failure_inside_the_runtime_leaves_the_session_usable(golden: Mapping[str, np.ndarray]) -> None:
    """A token that the check lets pass and the graph does not, as where a configuration names too many."""
    with opened(GQA) as session:
        session.vocabulary_size = 6000
        with pytest.raises(ModelFailure, match=r"onnxruntime-genai failed while running: .*5000"):
            session.decode(5000)
        session.reset()
        np.testing.assert_allclose(session.extend(golden["tokens"].tolist()), golden["logits"][-1], rtol=0, atol=WITHIN)


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"accelerator": "cuda"}, "this onnxruntime-genai does not have it"),
        ({"accelerator": "OpenVINO"}, "not supported in this build"),
        ({"accelerator": "WebGPU"}, "not supported in this build"),
        ({"accelerator": "OpenVINO", "fallback": "allow"}, "does not have it"),
        ({"accelerator": "nonsense"}, "Unknown provider name 'nonsense'"),
        ({"accelerator_options": {"device_id": 1}}, r"accelerator_options\.device_id"),
        ({"options": {"loop": "mine"}}, "'mine' is none of logits, runtime"),
        ({"options": {"max_length": 0}}, "max_length: 0 is not a whole number above zero"),
        ({"options": {"session_options": {"nonsense": 1}}}, "does not take them: .*nonsense"),
        ({"options": {"session_options": {"intra_op_num_threads": 2}}}, "threads says it already"),
        ({"options": {"session_options": 3}}, "3 is no table"),
        ({"threads": 0}, "threads: 0"),
        ({"unit": "NPU"}, "unit: "),
        ({"task": "tensor"}, "causal language models only"),
    ],
    ids=str,
)
def test_what_cannot_be_met_is_refused(fields: Mapping[str, Any], told: str) -> None:
    """Those that `is_openvino_available()` and its like say are here, among others."""
    with pytest.raises(Unsupported, match=told), opened(GQA, **fields):
        pass


def test_only_what_is_sure_is_said_to_be_here() -> None:
    assert tuple(OnnxRuntimeGenai().availability().accelerators) == ("CPU",)


def test_a_model_without_genais_configuration_says_what_is_missing() -> None:
    with pytest.raises(ModelFailure, match=r"no genai_config\.json beside it"), opened(ARTEFACTS / "onnx-fp32"):
        pass


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("{", "cannot be read as JSON"),
        ('{"model": {"decoder": {"filename": "model.onnx"}, "vocab_size": 5}}', "context_length"),
        ('{"model": {"decoder": {"filename": "model.onnx"}}}', "vocab_size is missing"),
        ('{"model": {"decoder": {"filename": "gone.onnx"}}}', "gone.onnx: no such file"),
        ('{"model": {"decoder": {"filename": "../model.onnx"}}}', "a path through"),
    ],
)
def test_a_bad_configuration_is_named(content: str, told: str, tmp_path: Path) -> None:
    folder = genai_folder(tmp_path / "m", "onnx-gqa-fp32")
    (folder / GENAI_CONFIG).write_text(content)
    with pytest.raises(ModelFailure, match=told), opened(folder):
        pass


@pytest.mark.parametrize("wish", [{"custom_ops_library": "./evil.so"}, {"enable_profiling": "/etc/out"}])
def test_a_folder_may_not_load_or_write(wish: Mapping[str, Any], tmp_path: Path) -> None:
    folder = genai_folder(tmp_path / "m", "onnx-gqa-fp32", session_options=wish)
    with pytest.raises(Unsupported, match=f"{next(iter(wish))}: a model's folder may not ask for it"), opened(folder):
        pass


@pytest.mark.parametrize(
    ("once", "twice"),
    [
        ('"session_options": ', '"session_options": {"custom_ops_library": "./evil.so"}, "session_options": '),
        ('"decoder": ', '"decoder": {"session_options": {"custom_ops_library": "./evil.so"}}, "decoder": '),
        ('"model": ', '"model": {"decoder": {"session_options": {"custom_ops_library": "./evil.so"}}}, "model": '),
    ],
)
def test_a_folder_hides_no_wish_behind_another_of_its_name(once: str, twice: str, tmp_path: Path) -> None:
    """genai joins what is said twice, where Python's reader takes the last."""
    folder = genai_folder(tmp_path / "m", "onnx-gqa-fp32", session_options={})
    config = folder / GENAI_CONFIG
    text = json.dumps(json.loads(config.read_text()))
    assert once in text
    config.write_text(text.replace(once, twice, 1))
    with pytest.raises(ModelFailure, match=f"'{once[1:-3]}' stands twice"), opened(folder):
        pass


def test_a_folder_gives_no_accelerator_options(tmp_path: Path) -> None:
    """genai keeps them when it is told to forget the folder's providers, and one may be a library's path."""
    wish = {"provider_options": [{"QNN": {"backend_path": "./evil.so"}}]}
    folder = genai_folder(tmp_path / "m", "onnx-gqa-fp32", session_options=wish)
    with (
        pytest.raises(Unsupported, match="provider_options: a model's folder may not give"),
        opened(folder, accelerator="qnn"),
    ):
        pass
    with opened(folder):  # on the CPU nobody reads them
        pass
    empty = genai_folder(tmp_path / "n", "onnx-gqa-fp32", session_options={"provider_options": [{"QNN": {}}]})
    with pytest.raises(Unsupported, match="does not have it"), opened(empty, accelerator="qnn"):
        pass


def test_a_pipeline_is_refused(tmp_path: Path) -> None:
    folder = genai_folder(tmp_path / "m", "onnx-gqa-fp32", {"encoder": {"filename": "model.onnx"}})
    with pytest.raises(Unsupported, match="a pipeline of models"), opened(folder):
        pass
