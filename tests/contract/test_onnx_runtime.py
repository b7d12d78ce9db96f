"""ONNX Runtime's adapter: the contract on every layout, the arithmetic against numpy, and what it says of bad input."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import numpy_helper

from benchharness.contract import (
    CACHE_GROWN_BY_GRAPH,
    CACHE_IN_PLACE,
    CACHE_NONE,
    Adapter,
    Configuration,
    LanguageSession,
)
from benchharness.errors import ModelFailure, Unsupported
from benchharness.testing import AdapterContract
from targets.onnx_format.signature import UNKNOWN_CONTEXT_TOKENS
from targets.onnx_runtime import OnnxRuntime
from targets.onnx_runtime.cache import HEADROOM_TOKENS
from targets.onnx_runtime.language import OnnxLanguageSession
from tests.contract.tiny_models import (
    CONTEXT,
    HEAD_SIZE,
    LAYERS,
    VOCABULARY,
    LanguageModel,
    Variant,
    build_image_model,
    build_language_model,
)

GENAI = "genai_config.json"
VARIANTS = {
    "optimum": Variant(),
    "optimum-without-positions": Variant(position_ids=False),
    "optimum-without-mask": Variant(attention_mask=False),
    "optimum-merged": Variant(cache_branch=True),
    "optimum-shared": Variant(cache="shared"),
    "genai": Variant(cache="shared", config=GENAI),
    "genai-symbolic-sizes": Variant(cache="shared", config=GENAI, symbolic_sizes=True),
    "genai-last-logits": Variant(cache="shared", config=GENAI, last_logits_only=True),
    "genai-past-read-twice": Variant(cache="shared", config=GENAI, past_read_twice=True),
    "genai-float16": Variant(cache="shared", config=GENAI, dtype="float16"),
    "no-cache": Variant(cache="none"),
    "no-cache-tokens-only": Variant(cache="none", position_ids=False, attention_mask=False),
}
# float32 against float64 over two layers with logits up to 13: the largest seen was 6e-6; float16: 5e-3.
TOLERANCES = {"float32": 5e-5, "float16": 3e-2}
TOKENS = [(5 * index + index * index) % VOCABULARY for index in range(60)]


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, LanguageModel]:
    folder = tmp_path_factory.mktemp("models")
    return {name: build_language_model(folder / name, variant) for name, variant in VARIANTS.items()}


@pytest.fixture(scope="session")
def image_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_image_model(tmp_path_factory.mktemp("image") / "image.onnx")


def configure(**fields: Any) -> Configuration:
    return Configuration(**{"runtime": "onnxruntime", "threads": 1, **fields})


def open_model(path: Path, **fields: Any) -> Any:
    return OnnxRuntime().open(path, configure(**fields))


class OnnxContract(AdapterContract):
    variant: str

    @pytest.fixture
    def adapter(self) -> Adapter:
        return OnnxRuntime()

    @pytest.fixture
    def language_artefact(self, models: dict[str, LanguageModel]) -> Path | None:
        return models[self.variant].folder


class TestOptimum(OnnxContract):
    variant = "optimum"

    @pytest.fixture
    def tensor_artefact(self, image_model: Path) -> Path | None:
        return image_model


class TestOptimumWithoutPositions(OnnxContract):
    variant = "optimum-without-positions"


class TestOptimumMerged(OnnxContract):
    variant = "optimum-merged"


class TestGenai(OnnxContract):
    variant = "genai"


class TestGenaiFloat16(OnnxContract):
    variant = "genai-float16"
    chunks_agree = False


class TestGenaiLastLogits(OnnxContract):
    variant = "genai-last-logits"


class TestNoCache(OnnxContract):
    variant = "no-cache"


# The arithmetic.


@pytest.mark.parametrize("name", VARIANTS)
def test_logits_equal_a_float64_computation(models: dict[str, LanguageModel], name: str) -> None:
    model = models[name]
    expected = model.logits(TOKENS)
    tolerance = TOLERANCES[model.variant.dtype]
    with open_model(model.folder) as session:
        for text in range(2):  # the second text meets what the first one left behind
            session.reset()
            np.testing.assert_allclose(session.extend(TOKENS[:9]), expected[8], atol=tolerance)
            for row in range(9, 20):
                np.testing.assert_allclose(
                    session.decode(TOKENS[row]), expected[row], atol=tolerance, err_msg=str(text)
                )
            np.testing.assert_allclose(session.extend(TOKENS[20:]), expected[-1], atol=tolerance)


@pytest.mark.parametrize("name", ["optimum", "genai", "genai-float16", "genai-last-logits"])
def test_logits_equal_a_loop_that_copies(models: dict[str, LanguageModel], name: str) -> None:
    model = models[name]
    raw = onnxruntime.InferenceSession(str(model.file), providers=["CPUExecutionProvider"])
    with open_model(model.folder) as session:
        steps = [TOKENS[:7], *([token] for token in TOKENS[7:20])]
        for tokens, expected in zip(steps, copying_loop(raw, model.variant, steps), strict=True):
            actual = session.extend(tokens) if len(tokens) > 1 else session.decode(tokens[0])
            assert actual.dtype == np.float32
            np.testing.assert_allclose(actual, expected, atol=1e-6 if model.variant.dtype == "float32" else 2e-2)


def copying_loop(raw: Any, variant: Variant, steps: list[list[int]]) -> list[Any]:
    """The logits after each step, with the cache copied out of and into `run`."""
    names = [item.name for item in raw.get_outputs()]
    shape = (1, variant.kv_heads, 0, HEAD_SIZE)
    past = {item.name: np.zeros(shape, variant.dtype) for item in raw.get_inputs() if "past" in item.name}
    logits, length = [], 0
    for tokens in steps:
        stop = length + len(tokens)
        feed = {"input_ids": np.array([tokens]), "attention_mask": np.ones((1, stop), np.int64), **past}
        if "position_ids" in {item.name for item in raw.get_inputs()}:
            feed["position_ids"] = np.arange(length, stop)[None]
        outputs = dict(zip(names, raw.run(None, feed), strict=True))
        past = {name.replace("present", "past_key_values"): outputs[name] for name in names if "present" in name}
        logits.append(outputs["logits"][0, -1])
        length = stop
    return logits


@pytest.mark.parametrize("capacity", [1, 4, 33, CONTEXT, 10 * CONTEXT])
def test_an_in_place_cache_grows_without_changing_the_logits(models: dict[str, LanguageModel], capacity: int) -> None:
    model = models["genai"]
    expected = model.logits(TOKENS)
    with open_model(model.folder, options={"cache_capacity": capacity}) as session:
        session.extend(TOKENS[:3])
        for row in range(3, len(TOKENS)):
            np.testing.assert_allclose(session.decode(TOKENS[row]), expected[row], atol=5e-5)


def test_a_short_request_does_not_allocate_the_context(tmp_path: Path) -> None:
    model = build_language_model(tmp_path, Variant(cache="shared", config=""))
    with open_model(model.folder) as session:
        assert session.context_length == UNKNOWN_CONTEXT_TOKENS
        session.extend(TOKENS[:5])
        assert session._cache.capacity == 2 * HEADROOM_TOKENS


def test_the_output_of_an_in_place_step_is_the_bound_buffer(models: dict[str, LanguageModel]) -> None:
    with open_model(models["genai"].folder) as session:
        session.extend(TOKENS[:5])
        session.decode(1)
        buffers = [buffer.data_ptr() for buffer in session._cache._buffers]
        assert [value.data_ptr() for value in session._binding.get_outputs()[1:]] == buffers


def test_tokens_may_be_any_array(models: dict[str, LanguageModel]) -> None:
    model = models["genai"]
    with open_model(model.folder) as session:
        strided = np.repeat(np.array(TOKENS[:9]), 2)[::2]
        np.testing.assert_allclose(session.extend(strided), model.logits(TOKENS[:9])[8], atol=5e-5)


def test_raw_inputs_run_beside_the_cache(models: dict[str, LanguageModel]) -> None:
    model = models["optimum"]
    expected = model.logits(TOKENS[:10])
    past = np.zeros((1, model.variant.kv_heads, 0, HEAD_SIZE), np.float32)
    feed = {f"past_key_values.{layer}.{kind}": past for layer in range(LAYERS) for kind in ("key", "value")}
    feed |= {"input_ids": np.array([[5]]), "position_ids": np.array([[0]]), "attention_mask": np.array([[1]])}
    with open_model(model.folder) as session:
        session.extend(TOKENS[:9])
        assert session.run(feed)["logits"].shape == (1, 1, VOCABULARY)
        np.testing.assert_allclose(session.decode(TOKENS[9]), expected[9], atol=5e-5)


def test_score_says_so_where_the_graph_yields_one_row(models: dict[str, LanguageModel]) -> None:
    with open_model(models["genai-last-logits"].folder) as session, pytest.raises(Unsupported, match="last token"):
        session.score(TOKENS)


# What a session says of itself.


@pytest.mark.parametrize(
    ("name", "cache", "layout"),
    [
        ("optimum", CACHE_GROWN_BY_GRAPH, "optimum"),
        ("optimum-merged", CACHE_GROWN_BY_GRAPH, "optimum"),
        ("optimum-shared", CACHE_IN_PLACE, "optimum"),
        ("genai", CACHE_IN_PLACE, "genai"),
        ("genai-float16", CACHE_IN_PLACE, "genai"),
        ("genai-past-read-twice", CACHE_GROWN_BY_GRAPH, "genai"),
        ("no-cache", CACHE_NONE, "no-cache"),
    ],
)
def test_the_cache_and_the_layout_are_told(
    models: dict[str, LanguageModel], name: str, cache: str, layout: str
) -> None:
    with open_model(models[name].folder) as session:
        effective = session.effective
    assert (effective.cache, effective.facts["layout"]) == (cache, layout)
    assert effective.accelerators == ("CPUExecutionProvider",)
    assert effective.threads == 1
    assert json.loads(json.dumps(dict(effective.facts))) == effective.facts


def test_the_facts_of_a_language_model(models: dict[str, LanguageModel]) -> None:
    with open_model(models["genai-float16"].folder) as session:
        assert (session.vocabulary_size, session.context_length) == (VOCABULARY, CONTEXT)
        assert session.effective.facts == {
            "threads_source": "session options",
            "ir_version": 8,
            "producer": "tiny",
            "opsets": {"": 17, "com.microsoft": 1},
            "precision_unknown": "onnxruntime casts where it has no kernel for float16, and does not tell where",
            "layout": "genai",
            "described_by": GENAI,
            "context_length_source": GENAI,
            "logits_dtype": "float16",
            "layers": LAYERS,
            "kv_heads": 1,
            "head_size": HEAD_SIZE,
            "cache_dtype": "float16",
            "cache_bytes_per_token": LAYERS * 2 * HEAD_SIZE * 2,
        }


def test_a_lone_file_is_a_model_with_what_lies_beside_it(models: dict[str, LanguageModel]) -> None:
    with open_model(models["genai-symbolic-sizes"].file) as session:
        assert session.context_length == CONTEXT


def test_an_unknown_context_is_assumed_and_said_to_be(tmp_path: Path) -> None:
    with open_model(build_language_model(tmp_path, Variant(config="")).folder) as session:
        assert session.context_length == UNKNOWN_CONTEXT_TOKENS
        assert session.effective.facts["context_length_source"] == "assumed"


def test_a_size_that_is_nowhere_is_asked_for(tmp_path: Path) -> None:
    model = build_language_model(tmp_path, Variant(cache="shared", config="", symbolic_sizes=True))
    with pytest.raises(Unsupported, match=r"head size .*config\.json"), open_model(model.folder):
        pass


def test_a_masked_language_model_is_no_causal_one(tmp_path: Path) -> None:
    model = build_language_model(tmp_path, Variant(cache="none"))
    (tmp_path / "config.json").write_text('{"architectures": ["BertForMaskedLM"]}')
    with open_model(model.folder) as session:
        assert not isinstance(session, LanguageSession)
        assert "config.json" in session.effective.facts["no_language_model"]


def test_unasked_threads_are_counted(image_model: Path) -> None:
    for threads in (1, 3):
        with open_model(image_model, threads=threads) as session:
            assert session.effective.threads == threads
    with open_model(image_model, threads=None) as session:
        if Path("/proc/self/task").exists():
            assert session.effective.threads is not None
            assert session.effective.facts["threads_source"] == "counted"
        else:
            assert session.effective.threads is None


def test_image_scores_for_any_batch(image_model: Path) -> None:
    images = np.random.default_rng(1).normal(size=(5, 3, 8, 8)).astype(np.float32)
    weights = {item.name: numpy_helper.to_array(item) for item in onnx.load(image_model).graph.initializer}
    windows = np.lib.stride_tricks.sliding_window_view(images.astype(np.float64), (3, 3), axis=(2, 3))
    features = np.maximum(np.einsum("bchwij,ocij->bohw", windows, weights["kernel"]), 0).mean((2, 3))
    with open_model(image_model) as session:
        assert [(spec.name, spec.dtype, spec.shape) for spec in session.inputs] == [
            ("image", "float32", ("batch", 3, 8, 8))
        ]
        np.testing.assert_allclose(session.run({"image": images})["scores"], features @ weights["matrix"], rtol=1e-4)
        placement = session.placement()["CPUExecutionProvider"]
        assert placement == {"Conv": 1, "Relu": 1, "ReduceMean": 1, "MatMul": 1}
        with pytest.raises(ModelFailure, match=r"image\.onnx.*double"):
            session.run({"image": images.astype(np.float64)})


def test_a_failed_step_leaves_the_cache_as_it_was(models: dict[str, LanguageModel]) -> None:
    model = models["optimum"]
    with open_model(model.folder) as session:
        assert isinstance(session, OnnxLanguageSession)
        session.extend(TOKENS[:9])
        for tokens in ([VOCABULARY], [1] * CONTEXT):
            with pytest.raises(Unsupported):
                session.extend(tokens)
        np.testing.assert_allclose(session.decode(TOKENS[9]), model.logits(TOKENS[:10])[9], atol=5e-5)


# Requests.


def test_options_are_read_back(image_model: Path) -> None:
    options = {
        "graph_optimization_level": "ORT_ENABLE_BASIC",
        "execution_mode": "ORT_PARALLEL",
        "inter_op_num_threads": 2,
        "enable_mem_pattern": False,
        "enable_mem_reuse": False,
        "enable_cpu_mem_arena": False,
    }
    entries = {"session.intra_op.allow_spinning": "0"}
    with open_model(image_model, options={**options, "session_config": entries}) as session:
        facts = session.effective.facts
    assert {name: facts[name] for name in options} == options
    assert facts["session_config_unconfirmed"] == entries


@pytest.mark.skipif("AzureExecutionProvider" not in onnxruntime.get_available_providers(), reason="no second provider")
def test_the_cpu_stands_behind_another_provider(image_model: Path) -> None:
    with open_model(image_model, accelerator="AzureExecutionProvider") as session:
        assert session.effective.accelerators == ("AzureExecutionProvider", "CPUExecutionProvider")
        assert set(session.placement()) == {"CPUExecutionProvider"}
