"""LiteRT's adapter: the contract, the arithmetic against float64, and what a session says of itself."""

from __future__ import annotations

import json
import math
import unittest.mock
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from benchharness.contract import (
    CACHE_COPIED_BY_BINDING,
    CACHE_GROWN_BY_GRAPH,
    CACHE_IN_PLACE,
    Adapter,
    AllocatesLate,
    Configuration,
    LanguageSession,
)
from benchharness.device.inputs.requests import check_logits
from benchharness.device.outputs import check_outputs, tell_zeros
from benchharness.errors import InvalidOutput, ModelFailure, Unsupported
from benchharness.testing import AdapterContract
from targets.tflite import TFLite
from targets.tflite.language import TfliteLanguageSession
from targets.tflite.signature import DECODE
from tests.contract.tflite_models import (
    CONTEXT,
    LAYERS,
    PIXELS,
    VOCABULARY,
    WIDTH,
    LanguageModel,
    Variant,
    build_image_model,
    build_language_model,
    build_quantized_image_model,
    build_two_signatures,
    image_scores,
)

VARIANTS = {
    "float": Variant(),
    "bool-mask": Variant(mask="bool"),
    "no-mask": Variant(mask=None),
    "int8": Variant(weights="int8"),
    "prefill-logits": Variant(prefill_logits=True),
    "one-prefill": Variant(prefill=(5,)),
    "long-prefill": Variant(prefill=(16,)),
    "full-prefill": Variant(prefill=(CONTEXT,)),
    "no-prefill": Variant(prefill=()),
    "cache-read-twice": Variant(past_read_twice=True),
    "scattered": Variant(scattered=True),
}
FLOATS = [name for name, variant in VARIANTS.items() if variant.weights == "float32"]
TOKENS = [(5 * index + index * index) % VOCABULARY for index in range(CONTEXT)]
#: float32 against float64 over two layers: the largest seen was 2e-6.
TOLERANCE = 2e-5


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, LanguageModel]:
    folder = tmp_path_factory.mktemp("tflite")
    return {name: build_language_model(folder / f"{name}.tflite", variant) for name, variant in VARIANTS.items()}


@pytest.fixture(scope="session")
def images(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("images")
    return {
        "float": build_image_model(folder / "float.tflite"),
        "open": build_image_model(folder / "open.tflite", batch=None),
        "bare": build_image_model(folder / "bare.tflite", signature=None),
        "int8": build_quantized_image_model(folder / "int8.tflite"),
        "two": build_two_signatures(folder / "two.tflite"),
    }


def open_model(path: Path, **fields: Any) -> Any:
    return TFLite().open(path, Configuration(**{"runtime": "tflite", "threads": 1, **fields}))


class TfliteContract(AdapterContract):
    @pytest.fixture
    def adapter(self) -> Adapter:
        return TFLite()


class TestFloatLanguageModel(TfliteContract):
    @pytest.fixture
    def language_artefact(self, models: dict[str, LanguageModel]) -> Path | None:
        return models["float"].file


class TestLanguageModelWithoutMask(TfliteContract):
    @pytest.fixture
    def language_artefact(self, models: dict[str, LanguageModel]) -> Path | None:
        return models["no-mask"].file


class TestQuantizedLanguageModel(TfliteContract):
    chunks_agree = False

    @pytest.fixture
    def language_artefact(self, models: dict[str, LanguageModel]) -> Path | None:
        return models["int8"].file


class TestFloatImageModel(TfliteContract):
    @pytest.fixture
    def tensor_artefact(self, images: dict[str, Path]) -> Path | None:
        return images["float"]


class TestOpenImageModel(TfliteContract):
    @pytest.fixture
    def tensor_artefact(self, images: dict[str, Path]) -> Path | None:
        return images["open"]


class TestImageModelWithoutSignature(TfliteContract):
    @pytest.fixture
    def tensor_artefact(self, images: dict[str, Path]) -> Path | None:
        return images["bare"]


class TestQuantizedImageModel(TfliteContract):
    @pytest.fixture
    def tensor_artefact(self, images: dict[str, Path]) -> Path | None:
        return images["int8"]


# The arithmetic of language models.


@pytest.mark.parametrize("xnnpack", [True, False], ids=["xnnpack", "built-in"])
@pytest.mark.parametrize("name", FLOATS)
def test_logits_equal_a_float64_computation(models: dict[str, LanguageModel], name: str, xnnpack: bool) -> None:
    """Every way in which a prompt can be cut into prefills, padding and decodes, up to the end of the context."""
    model = models[name]
    expected = model.logits(TOKENS)
    with open_model(model.file, options={"xnnpack": xnnpack}) as session:
        for first in range(1, CONTEXT + 1):
            session.reset()  # each text meets what the ones before it left in the cache
            np.testing.assert_allclose(session.extend(TOKENS[:first]), expected[first - 1], atol=TOLERANCE)
            for row in range(first, CONTEXT):
                np.testing.assert_allclose(
                    session.decode(TOKENS[row]), expected[row], atol=TOLERANCE, err_msg=f"{first} and decoded {row}"
                )


@pytest.mark.parametrize("name", FLOATS)
def test_prompts_in_two_parts_equal_a_float64_computation(models: dict[str, LanguageModel], name: str) -> None:
    model = models[name]
    expected = model.logits(TOKENS)
    with open_model(model.file) as session:
        for first in range(1, CONTEXT):
            for second in range(first + 1, CONTEXT + 1):
                session.reset()
                session.extend(TOKENS[:first])
                np.testing.assert_allclose(
                    session.extend(TOKENS[first:second]), expected[second - 1], atol=TOLERANCE, err_msg=f"{first}"
                )


@pytest.mark.parametrize("name", ["float", "int8", "no-mask", "bool-mask"])
def test_decoding_equals_the_runtimes_own_loop_exactly(models: dict[str, LanguageModel], name: str) -> None:
    model = models[name]
    runner = Interpreter(model_path=str(model.file), num_threads=1).get_signature_runner(DECODE)
    details = runner.get_input_details()
    cache = {key: np.zeros(one["shape"], one["dtype"]) for key, one in details.items() if "cache" in key}
    with open_model(model.file) as session:
        for position, token in enumerate(TOKENS):
            feed: dict[str, Any] = {
                "tokens": np.array([[token]], np.int32),
                "input_pos": np.array([position], np.int32),
            }
            if model.variant.mask is not None:
                seen = np.arange(CONTEXT) <= position
                mask = seen if model.variant.mask == "bool" else np.where(seen, 0, -1e9).astype(np.float32)
                feed["mask"] = mask[None, None, None]
            outputs = runner(**feed, **cache)
            cache = {key: outputs[key] for key in cache}
            np.testing.assert_array_equal(session.decode(token), outputs["logits"].reshape(-1))


def test_quantized_weights_are_used(models: dict[str, LanguageModel]) -> None:
    model = models["int8"]
    expected = model.logits(TOKENS[:9])[-1]
    with open_model(model.file) as session:
        found = session.extend(TOKENS[:9])
    difference = np.abs(found - expected).max()
    assert 0 < difference < 0.05 * np.abs(expected).max(), "activations are rounded to int8, and no more"


def test_raw_inputs_run_beside_the_cache(models: dict[str, LanguageModel]) -> None:
    model = models["float"]
    expected = model.logits(TOKENS[:10])
    with open_model(model.file) as session:
        session.extend(TOKENS[:9])
        feed = {spec.name: np.zeros(spec.shape, spec.dtype) for spec in session.inputs}
        feed["tokens"][:] = TOKENS[0]
        feed["mask"][..., 1:] = -1e9
        logits = session.run(feed)["logits"]
        np.testing.assert_allclose(logits.reshape(-1), model.logits(TOKENS[:1])[0], atol=TOLERANCE)
        np.testing.assert_allclose(session.decode(TOKENS[9]), expected[9], atol=TOLERANCE)
        with pytest.raises(ModelFailure, match="input_pos"):
            session.run({})


def test_tokens_may_be_any_array(models: dict[str, LanguageModel]) -> None:
    model = models["float"]
    with open_model(model.file) as session:
        strided = np.repeat(np.array(TOKENS[:9]), 2)[::2]
        np.testing.assert_allclose(session.extend(strided), model.logits(TOKENS[:9])[8], atol=TOLERANCE)


# How prompts are cut into chunks.


def chunks(session: TfliteLanguageSession, prompt: int, depth: int = 0) -> list[tuple[str, int]]:
    """The signatures that a prompt runs through, with the tokens that each one takes."""
    session.reset()
    if depth:
        session.extend(TOKENS[:depth])
    taken: list[tuple[str, int]] = []
    append = session._append

    def noted(key: str, ids: Any) -> Any:
        taken.append((key, len(ids)))
        return append(key, ids)

    session._append = noted  # type: ignore[method-assign]
    session.extend(TOKENS[depth : depth + prompt])
    session._append = append  # type: ignore[method-assign]
    return taken


def test_the_shortest_prefill_that_holds_the_rest_is_taken(models: dict[str, LanguageModel]) -> None:
    with open_model(models["float"].file) as session:  # prefills of 4 and 8
        assert chunks(session, 1) == [(DECODE, 1)]
        assert chunks(session, 2) == [("prefill_4", 1), (DECODE, 1)]
        assert chunks(session, 5) == [("prefill_4", 4), (DECODE, 1)]
        assert chunks(session, 6) == [("prefill_8", 5), (DECODE, 1)]
        assert chunks(session, 12) == [("prefill_8", 8), ("prefill_4", 3), (DECODE, 1)]
        assert chunks(session, 16) == [("prefill_8", 8), ("prefill_8", 7), (DECODE, 1)]


def test_padding_stays_inside_the_context(models: dict[str, LanguageModel]) -> None:
    """Beyond it the graph would move the chunk back, onto tokens of the cache."""
    with open_model(models["float"].file) as session:  # a context of 24
        assert chunks(session, 7, depth=16) == [("prefill_8", 6), (DECODE, 1)]
        assert chunks(session, 7, depth=17) == [("prefill_4", 4), *[(DECODE, 1)] * 3]
        assert chunks(session, 4, depth=20) == [("prefill_4", 3), (DECODE, 1)]
        assert chunks(session, 3, depth=21) == [(DECODE, 1)] * 3
    with open_model(models["long-prefill"].file) as session:
        assert chunks(session, 6, depth=9) == [(DECODE, 1)] * 6


def test_prefill_with_logits_needs_no_decode(models: dict[str, LanguageModel]) -> None:
    with open_model(models["prefill-logits"].file) as session:
        assert session.effective.facts["prefill_returns_logits"] is True
        assert chunks(session, 1) == [(DECODE, 1)]
        assert chunks(session, 4) == [("prefill_4", 4)]
        assert chunks(session, 9) == [("prefill_8", 8), (DECODE, 1)]


# Any network.


@pytest.mark.parametrize("name", ["float", "open", "bare"])
def test_image_scores(images: dict[str, Path], name: str) -> None:
    with open_model(images[name]) as session:
        (spec,) = session.inputs
        assert (spec.name, spec.dtype) == ("image", "float32")
        for batch in (1, 5, 2) if name == "open" else (1,):
            pixels = np.random.default_rng(batch).uniform(-1, 1, (batch, PIXELS, PIXELS, 3)).astype(np.float32)
            scores = session.run({"image": pixels})["scores"]
            np.testing.assert_allclose(scores, image_scores(pixels), atol=1e-5)


def test_an_open_length_is_open_in_the_signature(images: dict[str, Path]) -> None:
    with open_model(images["open"]) as session:
        assert session.inputs[0].shape == (None, PIXELS, PIXELS, 3)
        with pytest.raises(ModelFailure, match=r"image.*float32"):
            session.run({"image": np.zeros((1, PIXELS, PIXELS + 1, 3), np.float32)})


def test_memory_is_allocated_when_the_shape_changes_and_not_again(images: dict[str, Path]) -> None:
    with (
        open_model(images["open"]) as session,
        unittest.mock.patch.object(
            session._interpreter, "allocate_tensors", wraps=session._interpreter.allocate_tensors
        ) as allocate,
    ):
        for batch in (3, 3, 3, 1, 1):
            session.run({"image": np.zeros((batch, PIXELS, PIXELS, 3), np.float32)})
    assert allocate.call_count == 2


def test_quantized_inputs_and_outputs_keep_their_type_and_tell_their_scales(images: dict[str, Path]) -> None:
    with open_model(images["int8"]) as session:
        scales = session.effective.facts["quantization"]
        assert session.inputs[0].dtype == session.outputs[0].dtype == "int8"
        pixels = np.random.default_rng(0).uniform(-1, 1, (1, PIXELS, PIXELS, 3)).astype(np.float32)
        whole = np.round(pixels / scales["image"]["scale"][0]) + scales["image"]["zero_point"][0]
        found = session.run({"image": whole.astype(np.int8)})["scores"].astype(np.float64)
        meant = (found - scales["scores"]["zero_point"][0]) * scales["scores"]["scale"][0]
        np.testing.assert_allclose(meant, image_scores(pixels), atol=4 * scales["scores"]["scale"][0])
        with pytest.raises(ModelFailure, match="int8"):
            session.run({"image": pixels})


@pytest.mark.parametrize("key", ["classify", "again"])
def test_one_of_several_signatures_runs(images: dict[str, Path], key: str) -> None:
    pixels = np.random.default_rng(0).uniform(-1, 1, (1, PIXELS, PIXELS, 3)).astype(np.float32)
    with open_model(images["two"], options={"signature": key}) as session:
        assert session.effective.facts["signature"] == key
        for _ in range(2):
            np.testing.assert_allclose(session.run({"image": pixels})["scores"], image_scores(pixels), atol=1e-5)


def test_serving_default_is_taken_of_several(tmp_path: Path) -> None:
    path = build_two_signatures(tmp_path / "two.tflite", ("other", "serving_default"))
    with open_model(path) as session:
        assert session.effective.facts["signature"] == "serving_default"


def test_a_signature_of_a_language_model_runs_as_any_network(models: dict[str, LanguageModel]) -> None:
    with open_model(models["float"].file, options={"signature": "prefill_4"}) as session:
        assert not isinstance(session, LanguageSession)
        feed = {spec.name: np.zeros(spec.shape, spec.dtype) for spec in session.inputs}
        assert set(session.run(feed)) == {spec.name for spec in session.outputs}


# What a session says of itself.


@pytest.mark.parametrize(
    ("name", "cache"),
    [
        ("float", CACHE_IN_PLACE),
        ("int8", CACHE_IN_PLACE),
        ("cache-read-twice", CACHE_GROWN_BY_GRAPH),
        ("scattered", CACHE_GROWN_BY_GRAPH),
    ],
)
def test_the_facts_of_a_language_model(models: dict[str, LanguageModel], name: str, cache: str) -> None:
    with open_model(models[name].file) as session:
        assert (session.vocabulary_size, session.context_length) == (VOCABULARY, CONTEXT)
        effective = session.effective
    assert effective.cache == cache
    assert effective.accelerators == ("XNNPACK", "CPU")
    assert effective.threads == 1
    assert json.loads(json.dumps(dict(effective.facts))) == effective.facts
    assert effective.facts == {
        "package": "ai-edge-litert",
        "api": "CompiledModel",
        "layout": "prefill-decode",
        "prefill_lengths": [4, 8],
        "prefill_returns_logits": False,
        "mask": "float32",
        "cache_length": CONTEXT,
        "context_length_source": "mask",
        "cache_tensors": 2 * LAYERS,
        "cache_dtype": "float32",
        "cache_bytes": 2 * LAYERS * CONTEXT * WIDTH * 4,
        "threads_source": effective.facts["threads_source"],
        "accelerators_source": effective.facts["accelerators_source"],
    }


def test_a_model_without_a_mask_tells_its_context_by_its_cache(models: dict[str, LanguageModel]) -> None:
    with open_model(models["no-mask"].file) as session:
        assert session.context_length == CONTEXT
        assert session.effective.facts["context_length_source"] == "cache"


@pytest.mark.parametrize("model", ["image", "language"])
def test_threads_are_counted(models: dict[str, LanguageModel], images: dict[str, Path], model: str) -> None:
    path = images["float"] if model == "image" else models["float"].file
    for threads in (1, 3, None):
        with open_model(path, threads=threads) as session:
            assert session.effective.threads == (threads or 1), "both packages run on one thread if not told"
            if Path("/proc/self/task").exists():
                assert session.effective.facts["threads_source"] == "counted"
    with open_model(path, threads=3, accelerator="CPU") as session:
        assert (session.effective.threads, session.effective.facts["threads_source"]) == (3, "as the runtime was told")


@pytest.mark.parametrize(
    ("fields", "place"),
    [
        ({}, "XNNPACK"),
        ({"accelerator": "XNNPACK"}, "XNNPACK"),
        ({"accelerator": "CPU"}, "CPU"),
        ({"options": {"xnnpack": False}}, "CPU"),
    ],
)
def test_operators_are_placed(images: dict[str, Path], fields: dict[str, Any], place: str) -> None:
    with open_model(images["float"], **fields) as session:
        assert session.placement() == {place: {"CONV_2D": 1, "MEAN": 1, "FULLY_CONNECTED": 1}}
        assert session.effective.accelerators == (("XNNPACK", "CPU") if place == "XNNPACK" else ("CPU",))


def test_a_language_model_without_xnnpack_runs_on_the_built_in_kernels(models: dict[str, LanguageModel]) -> None:
    with open_model(models["float"].file, accelerator="CPU") as session:
        placed = session.placement()
        assert session.effective.accelerators == ("CPU",)
    assert set(placed) == {"CPU"}
    assert placed["CPU"]["DYNAMIC_UPDATE_SLICE"] == 3 * 2 * LAYERS, "of prefill_4, prefill_8 and decode"


def test_what_compiled_models_do_not_tell_is_not_told(models: dict[str, LanguageModel]) -> None:
    with open_model(models["float"].file) as session, pytest.raises(Unsupported, match="CompiledModel does not tell"):
        session.placement()


# Answers that cannot be.


@pytest.mark.parametrize("value", [math.nan, 0.0])
def test_broken_answers_come_through(tmp_path: Path, value: float) -> None:
    """Nothing in the adapter hides them from the harness's checks."""
    model = build_language_model(tmp_path / "broken.tflite", Variant(logits_value=value))
    with open_model(model.file) as session:
        for logits in (session.extend(TOKENS[:5]), session.decode(1)):
            with pytest.raises(InvalidOutput):
                check_logits(logits, session.vocabulary_size)
    image = build_image_model(tmp_path / "image.tflite", matrix_value=value)
    with open_model(image) as session:
        pixels = np.ones((1, PIXELS, PIXELS, 3), np.float32)
        check = check_outputs if np.isnan(value) else lambda _: tell_zeros(session, {"image": pixels}, {})
        with pytest.raises(InvalidOutput):
            check(session.run({"image": pixels}))


def test_an_outsized_type_falls_back_to_copies(tmp_path: Path) -> None:
    """LiteRT's buffers cannot be written as int64 from Python; signature runners take any type."""
    model = build_language_model(tmp_path / "wide.tflite", Variant(token_dtype="int64"))
    expected = model.logits(TOKENS[:9])
    with open_model(model.file) as session:
        assert session.effective.cache == CACHE_COPIED_BY_BINDING
        assert session.effective.facts["api"] == "SignatureRunner"
        assert session.effective.facts["binding_copy_ns_per_token"] > 0
        np.testing.assert_allclose(session.extend(TOKENS[:8]), expected[7], atol=TOLERANCE)
        np.testing.assert_allclose(session.decode(TOKENS[8]), expected[8], atol=TOLERANCE)


# The bundled models, as LiteRT's own exporter wrote them.

EXAMPLES = Path(__file__).parents[2] / "examples"
GOLDEN = Path(__file__).parents[1] / "golden"


class TestExportedFloatLanguageModel(TfliteContract):
    @pytest.fixture
    def language_artefact(self) -> Path | None:
        return EXAMPLES / "demo_model" / "artefacts" / "tflite-fp32"


class TestExportedInt8LanguageModel(TfliteContract):
    chunks_agree = False

    @pytest.fixture
    def language_artefact(self) -> Path | None:
        return EXAMPLES / "demo_model" / "artefacts" / "tflite-int8"


class TestExportedInt4LanguageModel(TfliteContract):
    chunks_agree = False

    @pytest.fixture
    def language_artefact(self) -> Path | None:
        return EXAMPLES / "demo_model" / "artefacts" / "tflite-int4"


def test_logits_of_the_exported_model_are_torchs() -> None:
    with np.load(GOLDEN / "demo_logits.npz") as golden:
        tokens, expected = golden["tokens"].tolist(), golden["logits"]
    with open_model(EXAMPLES / "demo_model" / "artefacts" / "tflite-fp32") as session:
        for row, token in enumerate(tokens):
            np.testing.assert_allclose(session.decode(token), expected[row], rtol=0, atol=1e-3)
        for count in (2, 33, 34, len(tokens)):
            session.reset()
            np.testing.assert_allclose(session.extend(tokens[:count]), expected[count - 1], rtol=0, atol=1e-3)


@pytest.mark.parametrize("name", ["tflite-fp32", "tflite-int8", "tflite-int4"])
def test_decoding_an_exported_model_equals_the_runtimes_own_loop_exactly(name: str) -> None:
    file = EXAMPLES / "demo_model" / "artefacts" / name / "model.tflite"
    runner = Interpreter(model_path=str(file), num_threads=1).get_signature_runner(DECODE)
    details = runner.get_input_details()
    cache = {key: np.zeros(one["shape"], one["dtype"]) for key, one in details.items() if "cache" in key}
    mask = np.full(details["mask"]["shape"], -1e9, np.float32)
    with open_model(file) as session:
        for position in range(64):
            token = (7 * position + 3) % session.vocabulary_size
            mask[..., position] = 0
            ids, place = np.array([[token]], np.int32), np.array([position], np.int32)
            outputs = runner(tokens=ids, input_pos=place, mask=mask, **cache)
            cache = {key: outputs[key] for key in cache}
            np.testing.assert_array_equal(session.decode(token), outputs["logits"].reshape(-1))


@pytest.mark.parametrize("left_open", [(-1, -1, -1, 3), None])
@pytest.mark.parametrize("accelerator", [None, "CPU"])
def test_a_declared_shape_that_cannot_be_allocated_gives_way_to_the_inputs(
    tmp_path: Path, left_open: tuple[int, ...] | None, accelerator: str | None
) -> None:
    """1 x 1 pixels are too few for the kernel. Resized after the failure, the same interpreter answers zeros."""
    path = build_image_model(tmp_path / "late.tflite", declared=(1, 1, 1, 3), left_open=left_open)
    configuration = Configuration("tflite", accelerator=accelerator)
    images = np.random.default_rng(0).random((2, 9, 12, 3)).astype(np.float32)
    with TFLite().open(path, configuration) as session:
        assert [spec.shape for spec in session.inputs] == [(None, None, None, 3)]
        assert isinstance(session, AllocatesLate)
        session.allocate({"image": (1, 9, 12, 3)})
        assert session.effective.accelerators == ((accelerator,) if accelerator else ("XNNPACK", "CPU"))
        assert sum(sum(each.values()) for each in session.placement().values()) == 3
        for image in images:
            np.testing.assert_allclose(
                session.run({"image": image[None]})["scores"], image_scores(image[None]), rtol=1e-4
            )
        np.testing.assert_allclose(session.run({"image": images})["scores"], image_scores(images), rtol=1e-4)
    with TFLite().open(path, configuration) as session:  # without being told beforehand, as quality does
        np.testing.assert_allclose(session.run({"image": images})["scores"], image_scores(images), rtol=1e-4)
        assert "cannot be" in session.effective.facts["allocated"]


def test_shapes_that_cannot_be_either_are_named(tmp_path: Path) -> None:
    path = build_image_model(tmp_path / "late.tflite", declared=(1, 1, 1, 3), left_open=(-1, -1, -1, 3))
    with TFLite().open(path, Configuration("tflite")) as session:
        assert isinstance(session, AllocatesLate)
        with pytest.raises(ModelFailure, match=r"cannot give memory to inputs of image \(1, 2, 2, 3\)"):
            session.allocate({"image": (1, 2, 2, 3)})
    fixed = build_image_model(tmp_path / "fixed.tflite", declared=(2, 2, 2, 3))
    with (
        pytest.raises(ModelFailure, match=r"fixed\.tflite.*cannot load it"),
        TFLite().open(fixed, Configuration("tflite")),
    ):
        pass
