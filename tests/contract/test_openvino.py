"""OpenVINO's adapter: the contract on every layout, torch's logits, what it does in silence, and what it refuses."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from benchharness.contract import (
    CACHE_GROWN_BY_GRAPH,
    CACHE_IN_PLACE,
    CACHE_NONE,
    Adapter,
    Configuration,
    LanguageSession,
    ScoresText,
)
from benchharness.device import adapters
from benchharness.errors import ModelFailure, Unsupported
from benchharness.testing import AdapterContract
from targets.openvino import OpenVINO
from tests.conftest import ARTEFACTS, ROOT
from tests.contract.openvino_models import build_optimum_like
from tests.contract.tiny_models import VOCABULARY, LanguageModel, Variant, build_image_model, build_language_model

openvino = pytest.importorskip("openvino", reason="NOT TESTED: openvino is not installed")

DIGITS = ROOT / "examples" / "digits" / "artefacts"
FLOAT32 = {"INFERENCE_PRECISION_HINT": "f32"}
EXACT_CACHE = {**FLOAT32, "KV_CACHE_PRECISION": "f32"}
# Largest differences seen, float32: 1.7e-5 on the demo model, 1e-5 on the tiny ones.
WITHIN = 1e-3
VARIANTS = {
    "optimum": Variant(),
    "optimum-without-positions": Variant(position_ids=False),
    "optimum-without-mask": Variant(attention_mask=False),
    "genai": Variant(cache="shared", config="genai_config.json"),
    "last-logits": Variant(cache="shared", config="genai_config.json", last_logits_only=True),
    "no-cache": Variant(cache="none"),
}
TOKENS = [(5 * index + index * index) % VOCABULARY for index in range(60)]


def configure(**fields: Any) -> Configuration:
    return Configuration(**{"runtime": "openvino", "threads": 1, "options": FLOAT32, **fields})


def opened(path: Path, **fields: Any) -> Any:
    return OpenVINO().open(path, configure(**fields))


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, LanguageModel]:
    folder = tmp_path_factory.mktemp("models")
    return {name: build_language_model(folder / name, variant) for name, variant in VARIANTS.items()}


@pytest.fixture(scope="session")
def image_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_image_model(tmp_path_factory.mktemp("image") / "image.onnx")


def save_xml(source: Path, folder: Path, *, stateful: bool = False) -> Path:
    """A folder as Optimum writes it: `openvino_model.xml` with its weights, and what lies beside the ONNX file."""
    from openvino._offline_transformations import apply_make_stateful_transformation

    folder.mkdir(parents=True)
    model = openvino.Core().read_model(source / "model.onnx" if source.is_dir() else source)
    if stateful:
        pasts = {port.get_any_name(): port for port in model.inputs if "past" in port.get_any_name()}
        shapes = {port: [1, 2, -1, 16] if name in pasts else [1, -1] for name, port in named(model.inputs)}
        model.reshape({port: shapes[port] for port in model.inputs})
        apply_make_stateful_transformation(model, {name: name.replace("past_key_values", "present") for name in pasts})
    openvino.save_model(model, folder / "openvino_model.xml", compress_to_fp16=False)
    for name in ("config.json", "tokenizer.json"):
        if source.is_dir() and (source / name).is_file():
            shutil.copy(source / name, folder)
    return folder


def named(ports: Sequence[Any]) -> list[tuple[str, Any]]:
    return [(port.get_any_name(), port) for port in ports]


@pytest.fixture(scope="session")
def stateful(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_xml(ARTEFACTS / "onnx-fp32", tmp_path_factory.mktemp("xml") / "stateful", stateful=True)


@pytest.fixture(scope="session")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_xml(ARTEFACTS / "onnx-fp32", tmp_path_factory.mktemp("xml") / "plain")


@pytest.fixture(scope="session")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_xml(DIGITS / "fp32.onnx", tmp_path_factory.mktemp("xml") / "digits")


@pytest.fixture(scope="session")
def fused(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_optimum_like(tmp_path_factory.mktemp("xml") / "fused")


@pytest.fixture(scope="module")
def golden() -> Mapping[str, np.ndarray]:
    with np.load(ROOT / "tests" / "golden" / "demo_logits.npz", allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}


class OpenVinoContract(AdapterContract):
    @pytest.fixture
    def adapter(self) -> Adapter:
        return OpenVINO()

    @pytest.fixture
    def configuration(self, adapter: Adapter) -> Configuration:
        return configure()


class TestOnnx(OpenVinoContract):
    @pytest.fixture
    def language_artefact(self) -> Path | None:
        return ARTEFACTS / "onnx-fp32"

    @pytest.fixture
    def tensor_artefact(self, image_model: Path) -> Path | None:
        return image_model


class TestGroupedQueries(OpenVinoContract):
    @pytest.fixture
    def language_artefact(self) -> Path | None:
        return ARTEFACTS / "onnx-gqa-fp32"


class TestStatefulXml(OpenVinoContract):
    @pytest.fixture
    def language_artefact(self, stateful: Path) -> Path | None:
        return stateful

    @pytest.fixture
    def tensor_artefact(self, digits: Path) -> Path | None:
        return digits


class TestFusedAttention(OpenVinoContract):
    @pytest.fixture
    def configuration(self, adapter: Adapter) -> Configuration:
        return configure(options=EXACT_CACHE)

    @pytest.fixture
    def language_artefact(self, fused: Path) -> Path | None:
        return fused


class TestNoCache(OpenVinoContract):
    @pytest.fixture
    def language_artefact(self, models: dict[str, LanguageModel]) -> Path | None:
        return models["no-cache"].folder


class TestFourBits(OpenVinoContract):
    chunks_agree = False  # activations are quantized, by what is in the chunk

    @pytest.fixture
    def language_artefact(self) -> Path | None:
        return ARTEFACTS / "onnx-int4"


# The arithmetic.


@pytest.mark.parametrize("kind", ["onnx-fp32", "onnx-gqa-fp32", "plain", "stateful"])
def test_logits_are_torchs(kind: str, plain: Path, stateful: Path, golden: Mapping[str, np.ndarray]) -> None:
    folder = {"plain": plain, "stateful": stateful}.get(kind, ARTEFACTS / kind)
    tokens, expected = golden["tokens"].tolist(), golden["logits"]
    with opened(folder) as session:
        assert isinstance(session, LanguageSession)
        assert session.effective.cache == CACHE_GROWN_BY_GRAPH
        assert session.effective.facts["cache_dtype"] == "float32"
        assert isinstance(session, ScoresText)
        np.testing.assert_allclose(session.score(tokens), expected, rtol=0, atol=WITHIN)
        np.testing.assert_allclose(session.extend(tokens), expected[-1], rtol=0, atol=WITHIN)
        session.reset()
        for token, row in zip(tokens, expected, strict=True):
            np.testing.assert_allclose(session.decode(token), row, rtol=0, atol=WITHIN)


@pytest.mark.parametrize("name", VARIANTS)
def test_logits_equal_a_float64_computation(models: dict[str, LanguageModel], name: str) -> None:
    model = models[name]
    expected = model.logits(TOKENS)
    with opened(model.folder) as session:
        assert session.effective.cache == (CACHE_NONE if name == "no-cache" else CACHE_GROWN_BY_GRAPH)
        for _ in range(2):  # the second text meets what the first one left behind
            session.reset()
            np.testing.assert_allclose(session.extend(TOKENS[:9]), expected[8], atol=1e-4)
            for row in range(9, 20):
                np.testing.assert_allclose(session.decode(TOKENS[row]), expected[row], atol=1e-4)
            np.testing.assert_allclose(session.extend(TOKENS[20:]), expected[-1], atol=1e-4)


def test_greedy_continuations_are_those_of_onnxruntime(golden: Mapping[str, np.ndarray]) -> None:
    continuations = []
    for runtime, options in (("onnxruntime", {}), ("openvino", FLOAT32)):
        configuration = Configuration(runtime=runtime, threads=1, options=options)
        with adapters.load(runtime).open(ARTEFACTS / "onnx-fp32", configuration) as session:
            assert isinstance(session, LanguageSession)
            chosen = [int(np.argmax(session.extend(golden["tokens"][:16].tolist())))]
            while len(chosen) < 32:
                chosen.append(int(np.argmax(session.decode(chosen[-1]))))
        continuations.append(chosen)
    assert continuations[0] == continuations[1]


def test_scores_are_those_of_onnxruntime(digits: Path) -> None:
    image = np.random.default_rng(0).normal(size=(3, 1, 8, 8)).astype(np.float32)
    answers = []
    for runtime, path, options in (
        ("onnxruntime", DIGITS / "fp32.onnx", {}),
        ("openvino", DIGITS / "fp32.onnx", FLOAT32),
        ("openvino", digits, FLOAT32),
    ):
        with adapters.load(runtime).open(path, Configuration(runtime=runtime, options=options)) as session:
            answers.append(session.run({"image": image})["scores"])
    np.testing.assert_allclose(answers[1], answers[0], rtol=0, atol=1e-4)
    np.testing.assert_allclose(answers[2], answers[0], rtol=0, atol=1e-4)


def test_an_onnx_files_dimensions_keep_their_names() -> None:
    with opened(DIGITS / "fp32.onnx") as session:
        (spec,) = session.inputs
    assert (spec.name, spec.dtype, tuple(spec.shape)) == ("image", "float32", ("batch", 1, 8, 8))


# What it does in silence, read back.


def test_the_type_that_layers_are_computed_in_is_read_back(golden: Mapping[str, np.ndarray]) -> None:
    """bfloat16 where the processor computes in it and nobody asks for more; the error shows that it is so."""
    tokens, expected = golden["tokens"].tolist(), golden["logits"]
    computes = "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    for options, precision in (({}, "bfloat16" if computes else "float32"), (FLOAT32, "float32")):
        with opened(ARTEFACTS / "onnx-fp32", options=options) as session:
            effective = session.effective
            error = np.abs(session.score(tokens) - expected).max()
        assert effective.model_precision == "float32"
        assert effective.precision is not None
        assert precision in effective.precision.split("+")
        assert ("bfloat16" in effective.precision) == (error > 1e-2), (effective.precision, error)
        matrices = effective.facts["layers_by_precision"]["FullyConnected"]
        assert set(matrices) == {"bf16" if precision == "bfloat16" else "f32"}


@pytest.mark.parametrize(
    ("options", "dtype", "within"), [(FLOAT32, "uint8", 1e-2), (EXACT_CACHE, "float32", 1e-5)], ids=["default", "asked"]
)
def test_a_fused_cache_tells_the_type_it_is_kept_in(
    options: Mapping[str, str], dtype: str, within: float, fused: Path
) -> None:
    """It keeps 8 bits unless told, in a float32 session too: tokens one by one then differ from one pass."""
    tokens = [(7 * index + 3) % 32 for index in range(20)]
    with opened(fused, options=options) as session:
        assert session.effective.cache == CACHE_IN_PLACE
        assert session.effective.precision == "float32"
        assert session.effective.facts["cache_dtype"] == dtype
        whole = session.score(tokens)
        steps = np.stack([np.array(session.decode(token)) for token in tokens])
    error = np.abs(steps - whole).max()
    assert error < within
    assert (error > 1e-5) == (dtype == "uint8")


def test_layers_that_only_move_numbers_do_not_count_as_computing() -> None:
    """A stand-in for a processor with AMX, at the seam: what the compiled model says of its layers."""
    from targets.openvino.loading import Compiled, Layer

    layers = [Layer("FullyConnected", "bf16"), Layer("Transpose", "f32"), Layer("Const", "f32"), Layer("Eltwise", "u8")]
    compiled = Compiled(None, "CPU", layers, {}, {}, None)
    assert compiled.precision == "bfloat16"
    assert Compiled(None, "CPU", [*layers, Layer("Softmax", "f32")], {}, {}, None).precision == "bfloat16+float32"
    assert Compiled(None, "CPU", layers[2:], {}, {}, None).precision is None


def test_a_whole_numbered_model_says_why_its_precision_is_unknown(tmp_path: Path) -> None:
    node = helper.make_node("Add", ["a", "b"], ["c"])
    values = [helper.make_tensor_value_info(name, onnx.TensorProto.INT32, [4]) for name in "ac"]
    graph = helper.make_graph(
        [node], "g", values[:1], values[1:], [numpy_helper.from_array(np.arange(4, dtype="i4"), "b")]
    )
    onnx.save(helper.make_model(graph, ir_version=9, opset_imports=[helper.make_opsetid("", 17)]), tmp_path / "m.onnx")
    with opened(tmp_path / "m.onnx") as session:
        assert (session.effective.precision, session.effective.model_precision) == (None, None)
        assert "no layer computes" in session.effective.facts["precision_unknown"]
        assert session.run({"a": np.ones(4, "i4")})["c"].tolist() == [1, 2, 3, 4]


def test_threads_streams_and_devices_are_read_back() -> None:
    with opened(DIGITS / "fp32.onnx", options={**FLOAT32, "PERFORMANCE_HINT": "LATENCY"}) as session:
        effective = session.effective
        assert (tuple(effective.accelerators), effective.threads) == (("CPU",), 1)
        assert effective.facts["properties"]["NUM_STREAMS"] == "1"
        assert effective.facts["properties"]["INFERENCE_PRECISION_HINT"] == "f32"
        layers = session.placement()["CPU"]
    assert layers["Convolution"] == layers["FullyConnected"] == 2


def test_a_share_of_the_threads_runs_an_inference_where_streams_share_them() -> None:
    from targets.openvino.loading import Compiled

    told = {"INFERENCE_NUM_THREADS": "8", "NUM_STREAMS": "4"}
    assert Compiled(None, "CPU", [], told, {}, None).threads == 2
    assert Compiled(None, "GPU", [], {}, {}, None).threads is None


@pytest.mark.parametrize(
    ("asked", "told", "expected"),
    [("GPU", ["GPU.0"], ["GPU"]), ("GPU.1", ["GPU.1"], ["GPU.1"]), ("CPU", ["CPU"], ["CPU"])],
)
def test_a_device_keeps_the_spelling_of_the_request(asked: str, told: list[str], expected: list[str]) -> None:
    """A stand-in for what a compiled model on such a device says."""
    from targets.openvino.loading import Compiled

    class Model:
        def get_property(self, name: str) -> list[str]:
            assert name == "EXECUTION_DEVICES"
            return told

    assert Compiled(Model(), asked, [], {}, {}, None).devices == expected


def test_what_openvino_takes_less_of_is_refused() -> None:
    """One stream for each thread at most: it takes one of three, and says so in the compiled model only."""
    with pytest.raises(Unsupported, match=r"NUM_STREAMS: 3 was asked for, and OpenVINO took 1"):
        opened(DIGITS / "fp32.onnx", options={"NUM_STREAMS": 3}).__enter__()


def test_missing_inputs_and_casts_are_no_inference() -> None:
    """OpenVINO itself runs on whatever the memory holds, and casts without a word."""
    with opened(DIGITS / "fp32.onnx") as session:
        for wrong in ({}, {"image": np.ones((1, 1, 8, 8))}, {"picture": np.ones((1, 1, 8, 8), "f4")}):
            with pytest.raises(ModelFailure, match="image"):
                session.run(wrong)


def test_a_cache_of_compiled_models_shows(tmp_path: Path) -> None:
    loaded = []
    for _ in range(2):
        with opened(DIGITS / "fp32.onnx", options={**FLOAT32, "CACHE_DIR": str(tmp_path)}) as session:
            loaded.append(session.effective.facts["properties"].get("LOADED_FROM_CACHE"))
    assert loaded == ["NO", "YES"]


def test_several_devices_tell_what_runs_where() -> None:
    with opened(DIGITS / "fp32.onnx", accelerator="HETERO:CPU", threads=None, options={}) as session:
        assert tuple(session.effective.accelerators) == ("HETERO:CPU", "CPU")
        assert tuple(session.effective.wanted_places) == ("CPU",)
        assert session.placement()["CPU"]["Convolution"] == 2


@pytest.fixture
def one_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in for a machine whose GPU is listed: its plug-in here fails for real, for want of a driver."""
    real = openvino.Core

    class Listed:
        def __init__(self) -> None:
            self._core = real()
            self.available_devices = ["CPU", "GPU"]

        def get_property(self, device: str, name: str) -> Any:
            listed = self._core.get_property("CPU", name)
            return {**listed, "GPU_QUEUE_PRIORITY": "RW"} if device == "GPU" else listed

        def __getattr__(self, name: str) -> Any:
            return getattr(self._core, name)

    monkeypatch.setattr(openvino, "Core", Listed)


@pytest.mark.usefixtures("one_refuses")
def test_a_device_that_refuses_a_model_is_told() -> None:
    asked: dict[str, Any] = {"accelerator": "GPU", "threads": None, "options": {}}
    with opened(DIGITS / "fp32.onnx", **asked) as session:
        effective = session.effective
    assert tuple(effective.accelerators) == ("CPU",)
    assert effective.refusal is not None
    assert "OpenCL" in effective.refusal.reason
    assert (effective.refusal.lost_ns or 0) > 0
    with pytest.raises(Unsupported, match="GPU takes no part"):
        opened(DIGITS / "fp32.onnx", fallback="fail", **asked).__enter__()


@pytest.mark.usefixtures("one_refuses")
def test_a_model_that_falls_back_runs_as_it_was_asked_to() -> None:
    """Threads and precision are the request's on the CPU too, and judged; what the CPU does not have is named."""
    told = {"INFERENCE_PRECISION_HINT": "f32", "GPU_QUEUE_PRIORITY": "HIGH"}
    with opened(DIGITS / "fp32.onnx", accelerator="GPU", threads=2, options=told) as session:
        effective = session.effective
    assert effective.threads == 2
    assert effective.facts["properties"]["INFERENCE_PRECISION_HINT"] == "f32"
    assert effective.refusal is not None
    assert effective.refusal.reason.endswith("; the CPU has no GPU_QUEUE_PRIORITY")
    with pytest.raises(Unsupported, match=r"NUM_STREAMS: 3 was asked for, and OpenVINO took 1"):
        opened(DIGITS / "fp32.onnx", accelerator="GPU", options={"NUM_STREAMS": 3}).__enter__()


# What is refused.


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"accelerator": "NPU"}, r"no device 'NPU' here.*; it has CPU"),
        ({"accelerator": "cpu"}, "did you mean 'CPU'"),
        ({"accelerator": "HETERO:GPU,CPU"}, "no device 'GPU'"),
        ({"accelerator": "AUTO"}, r"AUTO, MULTI\) are not measured"),
        ({"options": {"INFERENCE_PRECISION_HINTS": "f32"}}, "did you mean 'INFERENCE_PRECISION_HINT'"),
        ({"options": {"INFERENCE_PRECISION_HINT": "f13"}}, r"does not take 'f13': .*Supported values"),
        ({"options": {"EXECUTION_DEVICES": "CPU"}}, "no such property"),
        ({"options": {"INFERENCE_NUM_THREADS": 2}}, "threads says it already"),
        ({"threads": "two", "options": {}}, "INFERENCE_NUM_THREADS: OpenVINO does not take 'two'"),
        ({"accelerator_options": {"device_id": 1}}, r"accelerator_options\.device_id: .*are options"),
        ({"unit": "NPU"}, "unit: "),
    ],
    ids=str,
)
def test_what_cannot_be_met_is_refused(fields: Mapping[str, Any], told: str) -> None:
    with pytest.raises(Unsupported, match=told), opened(DIGITS / "fp32.onnx", **fields):
        pass


def test_an_operator_that_openvino_lacks_is_named(tmp_path: Path) -> None:
    node = helper.make_node("NoSuchOperator", ["a"], ["c"], domain="com.example")
    values = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [4]) for name in "ac"]
    graph = helper.make_graph([node], "g", values[:1], values[1:])
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.example", 1)]
    onnx.save(helper.make_model(graph, ir_version=9, opset_imports=opsets), tmp_path / "m.onnx")
    with pytest.raises(Unsupported, match=r"does not convert: .*NoSuchOperator"), opened(tmp_path / "m.onnx"):
        pass


def test_a_language_model_runs_on_tensors_where_the_user_says_so() -> None:
    with opened(ARTEFACTS / "onnx-fp32", task="tensor") as session:
        assert not isinstance(session, LanguageSession)
        assert not session.keeps_state()
        assert session.effective.facts["no_language_model"] == 'task = "tensor" is asked for'


@pytest.mark.parametrize(
    ("damage", "told"),
    [("gone", "bin file cannot be found"), ("cut", "Incorrect weights in bin file")],
)
def test_weights_that_are_not_whole_are_told(damage: str, told: str, digits: Path, tmp_path: Path) -> None:
    folder = tmp_path / "m"
    shutil.copytree(digits, folder)
    weights = folder / "openvino_model.bin"
    if damage == "gone":
        weights.unlink()
    else:
        weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(ModelFailure, match=told), opened(folder):
        pass


def test_a_folder_with_several_models_has_to_be_told_apart(digits: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        for ending in (".xml", ".bin"):
            shutil.copy(digits / f"openvino_model{ending}", tmp_path / f"{name}{ending}")
    with pytest.raises(ModelFailure, match=r"several models \(a\.xml, b\.xml\)"), opened(tmp_path):
        pass
    assert list(OpenVINO().files(tmp_path / "a.xml").files) == ["a.bin", "a.xml"]


# Files and inspection.


def test_the_files_are_those_that_are_read(stateful: Path) -> None:
    (stateful / "openvino_tokenizer.xml").write_text("<net/>")
    found = OpenVINO().files(stateful)
    assert found.model == "openvino_model.xml"
    assert list(found.files) == ["config.json", "openvino_model.bin", "openvino_model.xml", "tokenizer.json"]
    assert not found.siblings
    (stateful / "openvino_tokenizer.xml").unlink()


def test_inspection_reads_what_openvino_wrote(digits: Path, stateful: Path) -> None:
    found = OpenVINO().inspect(digits)
    assert [(spec.name, spec.dtype, tuple(spec.shape)) for spec in found.inputs] == [
        ("image", "float32", (None, 1, 8, 8))
    ]
    assert [(spec.name, spec.dtype, tuple(spec.shape)) for spec in found.outputs] == [("scores", "float32", (None, 10))]
    assert found.operators["opset1"]["Convolution"] == 2
    assert sum(each.bytes for each in found.parameters) == (digits / "openvino_model.bin").stat().st_size
    assert not found.quantization
    language = OpenVINO().inspect(stateful)
    assert (language.task, language.facts["variables"], language.facts["vocabulary_size"]) == ("causal-lm", 8, 1024)


def compressed(folder: Path, *, groups: int | None, symmetric: bool) -> Path:
    """A model whose weights are stored in 8 bits, as NNCF writes them."""
    import openvino.opset13 as ops

    shape = [4, groups, 16] if groups else [4, 64]
    scales = [4, groups, 1] if groups else [4, 1]
    weights = ops.convert(ops.constant(np.ones(shape, np.uint8)), "f16")
    if not symmetric:
        weights = ops.subtract(weights, ops.convert(ops.constant(np.ones(scales, np.uint8)), "f16"))
    weights = ops.multiply(weights, ops.constant(np.ones(scales, np.float16)))
    weights = ops.convert(ops.reshape(weights, ops.constant([4, 64]), False), "f32")
    given = ops.parameter([1, 64], np.float32, name="x")
    model = openvino.Model([ops.matmul(given, weights, False, True)], [given], "m")
    openvino.save_model(model, folder / "m.xml", compress_to_fp16=False)
    return folder / "m.xml"


@pytest.mark.parametrize(
    ("groups", "symmetric", "told"),
    [(None, True, ("static weights", "per-channel")), (4, False, ("block-wise weights", "blocks of 16"))],
)
def test_inspection_tells_stored_integers(
    groups: int | None, symmetric: bool, told: tuple[str, str], tmp_path: Path
) -> None:
    (found,) = (described := OpenVINO().inspect(compressed(tmp_path, groups=groups, symmetric=symmetric))).quantization
    assert (found.method, found.granularity, found.dtype, found.symmetric) == (*told, "uint8", symmetric)
    weights = [each for each in described.parameters if each.dtype == "uint8" and each.role == "weights"]
    assert [each.numbers for each in weights] == [256]


@pytest.mark.parametrize(
    "content", ["<!DOCTYPE net [<!ENTITY a 'b'>]><net/>", "<html/>", "<net><layers><layer/></layers></net>"]
)
def test_inspection_trusts_no_file(content: str, tmp_path: Path) -> None:
    (tmp_path / "m.xml").write_text(content)
    with pytest.raises(ModelFailure, match=r"m\.xml: is no OpenVINO model"):
        OpenVINO().inspect(tmp_path / "m.xml")


def test_errors_are_told_without_the_places_in_openvinos_source() -> None:
    from targets.openvino.loading import words_of

    words = words_of(
        RuntimeError("Exception from src/a/core.cpp:84:\nCheck 'x == y(z)' failed at src/b.cpp:9:\nIncorrect!\n\n")
    )
    assert words == "Incorrect!"


def test_the_absent_runtime_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    import targets.openvino as module

    monkeypatch.setattr(module, "_missing", "openvino cannot be imported (no); install benchharness[openvino]")
    availability = OpenVINO().availability()
    assert (availability.available, "\n" in availability.reason) == (False, False)
    assert "benchharness[openvino]" in availability.reason
