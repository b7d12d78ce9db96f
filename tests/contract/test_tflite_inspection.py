"""What the inspection of a .tflite file says, against the schema's own reader; of bundles; and of bad files."""

from __future__ import annotations

import contextlib
import json
import struct
import zlib
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from hypothesis import given, settings
from hypothesis import strategies as st

from benchharness.contract import Configuration, Inspects, TensorSpec
from benchharness.errors import ModelFailure, Unsupported
from targets.litert_lm_bundle import read_sections
from targets.tflite import TFLite
from targets.tflite.cache_updates import Update, read_updates
from targets.tflite.contents import TYPES, read_contents
from targets.tflite.schema import OPERATORS
from targets.wire.flatbuffers import Wire, mapped
from tests.contract.tflite_models import (
    CONTEXT,
    LAYERS,
    PIXELS,
    VOCABULARY,
    WIDTH,
    Variant,
    build_chain,
    build_image_model,
    build_language_model,
    build_quantized_image_model,
    build_two_signatures,
)

EXAMPLES = Path(__file__).parents[2] / "examples"
BUNDLED = sorted(EXAMPLES.glob("*/artefacts/**/*.tflite"))


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("inspected")
    return {
        "language": build_language_model(folder / "language.tflite").file,
        "int8-language": build_language_model(folder / "int8-language.tflite", Variant(weights="int8")).file,
        "image": build_image_model(folder / "image.tflite", batch=None),
        "int8-image": build_quantized_image_model(folder / "int8-image.tflite"),
        "two": build_two_signatures(folder / "two.tflite"),
        "bare": build_chain(folder / "bare.tflite", [schema.BuiltinOperator.EXP, "ShinyOp"]),
    }


NAMES = ["language", "int8-language", "image", "int8-image", "two", "bare"]


def assert_agrees_with_the_schema(path: Path) -> None:
    """Graphs, operators, tensors and signatures, read by the classes that ship with the runtime."""
    content = path.read_bytes()
    model = schema.ModelT.InitFromPackedBuf(content)
    with mapped(path) as wire:
        found = read_contents(wire)
    names = {number: name for name, number in vars(schema.BuiltinOperator).items() if isinstance(number, int)}
    assert found.version == model.version
    assert len(found.graphs) == len(model.subgraphs)
    for graph, expected in zip(found.graphs, model.subgraphs, strict=True):
        assert list(graph.inputs) == [int(number) for number in expected.inputs]
        assert list(graph.outputs) == [int(number) for number in expected.outputs]
        for operator, node in zip(graph.operators, expected.operators, strict=True):
            code = model.operatorCodes[node.opcodeIndex]
            number = max(code.builtinCode, code.deprecatedBuiltinCode)
            assert operator.custom == (number == schema.BuiltinOperator.CUSTOM)
            assert operator.name == (code.customCode.decode() if operator.custom else names[number])
            assert operator.version == code.version
            assert list(operator.inputs) == [int(number) for number in node.inputs]
            assert list(operator.outputs) == [int(number) for number in node.outputs]
        for tensor, stored in zip(graph.tensors, expected.tensors, strict=True):
            shape = [] if stored.shape is None else [int(length) for length in stored.shape]
            data = model.buffers[stored.buffer].data
            assert (tensor.name, list(tensor.shape)) == (stored.name.decode(), shape)
            assert tensor.dtype == TYPES[stored.type][0]
            assert tensor.bytes == (0 if data is None else len(data))
            if stored.quantization is not None and stored.quantization.scale is not None:
                assert tensor.quantized is not None
                assert tensor.quantized.scales == len(stored.quantization.scale)
                assert tensor.quantized.symmetric == (not np.any(stored.quantization.zeroPoint))
    signatures = {
        entry.signatureKey.decode(): {one.name.decode(): one.tensorIndex for one in entry.inputs}
        for entry in model.signatureDefs or []
    }
    assert {entry.key: dict(entry.inputs) for entry in found.signatures} == signatures


@pytest.mark.parametrize("name", NAMES)
def test_made_files_are_read_as_the_schema_reads_them(files: dict[str, Path], name: str) -> None:
    assert_agrees_with_the_schema(files[name])


@pytest.mark.parametrize("path", BUNDLED, ids=lambda path: "/".join(path.parts[-3:]))
def test_bundled_files_are_read_as_the_schema_reads_them(path: Path) -> None:
    assert_agrees_with_the_schema(path)


def test_there_are_bundled_files() -> None:
    assert BUNDLED


def test_operators_and_types_have_the_schemas_numbers() -> None:
    numbers = {name: number for name, number in vars(schema.BuiltinOperator).items() if isinstance(number, int)}
    assert dict(zip(OPERATORS, range(len(OPERATORS)), strict=True)) == numbers
    kinds = {number for number in vars(schema.TensorType).values() if isinstance(number, int)}
    assert kinds == set(TYPES)


# Descriptions.


def describe(path: Path) -> Any:
    adapter = TFLite()
    assert isinstance(adapter, Inspects)
    found = adapter.inspect(path)
    json.dumps(asdict(found), allow_nan=False)
    return found


def test_a_language_model(files: dict[str, Path]) -> None:
    found = describe(files["language"])
    assert (found.format, found.task) == ("tflite", "causal-lm")
    assert TensorSpec("tokens", "int32", (1, 1)) in found.inputs, "those of decode"
    assert TensorSpec("logits", "float32", (1, 1, VOCABULARY)) in found.outputs
    assert found.operators["built-in"]["DYNAMIC_UPDATE_SLICE"] == 3 * 2 * LAYERS
    assert found.facts["signatures"].keys() == {"prefill_4", "prefill_8", "decode"}
    assert found.facts["context_length"] == CONTEXT
    assert found.facts["vocabulary_size"] == VOCABULARY
    assert found.facts["prefill_lengths"] == [4, 8]
    floats = next(stored for stored in found.parameters if stored.dtype == "float32")
    weights = 2 * VOCABULARY * WIDTH + CONTEXT * WIDTH + LAYERS * 4 * WIDTH * WIDTH
    scales = 3 * LAYERS  # each graph has its own
    assert floats.numbers == weights + scales, "what graphs share is counted once"
    assert floats.bytes == 4 * floats.numbers
    assert found.quantization == []


def test_dynamically_quantized_weights(files: dict[str, Path]) -> None:
    found = describe(files["int8-language"])
    (scheme,) = found.quantization
    assert (scheme.method, scheme.dtype, scheme.granularity, scheme.symmetric) == (
        "dynamic weights",
        "int8",
        "per-channel",
        True,
    )
    assert set(scheme.operators) == {"FULLY_CONNECTED"}
    matrices = VOCABULARY * WIDTH + LAYERS * 4 * WIDTH * WIDTH
    rows = VOCABULARY + LAYERS * 4 * WIDTH
    stored = {(one.role, one.dtype): (one.numbers, one.bytes) for one in found.parameters}
    assert stored["weights", "int8"] == (matrices, matrices)
    assert stored["scales", "float32"] == (rows, 4 * rows)
    assert stored["scales", "int64"] == (rows, 8 * rows)


def test_full_quantization(files: dict[str, Path]) -> None:
    found = describe(files["int8-image"])
    schemes = {(one.method, one.dtype, one.granularity, one.symmetric): one.operators for one in found.quantization}
    assert schemes["static weights", "int8", "per-channel", True] == {"CONV_2D": 1}
    assert schemes["static weights", "int8", "per-tensor", True] == {"FULLY_CONNECTED": 1}
    activations = Counter(schemes["static activations", "int8", "per-tensor", False])
    assert activations == {"CONV_2D": 1, "AVERAGE_POOL_2D": 1, "RESHAPE": 1, "FULLY_CONNECTED": 1}
    assert len(schemes) == 3


def test_block_wise_weights() -> None:
    found = describe(EXAMPLES / "demo_model" / "artefacts" / "tflite-int4")
    first = found.quantization[0]
    assert (first.method, first.dtype, first.granularity) == ("block-wise weights", "int4", "blocks of 32")
    assert {(one.role, one.dtype) for one in found.parameters} >= {("weights", "int4"), ("scales", "float16")}
    int4 = next(one for one in found.parameters if one.dtype == "int4")
    assert int4.bytes == int4.numbers / 2
    assert all(one.method != "half precision" for one in found.quantization), "the scales alone are float16"


def test_an_open_length_and_the_others(files: dict[str, Path]) -> None:
    found = describe(files["image"])
    assert found.task == "tensor"
    assert list(found.inputs) == [TensorSpec("image", "float32", (None, PIXELS, PIXELS, 3))]
    assert "decode" in found.facts["no_language_model"]


def test_custom_operators_are_apart(files: dict[str, Path]) -> None:
    found = describe(files["bare"])
    assert found.operators == {"built-in": {"EXP": 1}, "custom": {"ShinyOp": 1}}
    assert [spec.name for spec in found.inputs] == ["x"]


def test_several_signatures_are_listed(files: dict[str, Path]) -> None:
    found = describe(files["two"])
    assert set(found.facts["signatures"]) == {"classify", "again"}
    assert "options.signature" in found.facts["cannot_run"]


@pytest.mark.parametrize(
    ("variant", "update"),
    [
        (Variant(), Update(axis=1, in_place=True)),
        (Variant(past_read_twice=True), Update(axis=1, in_place=False)),
        (Variant(prefill=(CONTEXT,)), Update(axis=1, in_place=True)),
    ],
)
def test_how_graphs_write_into_the_cache(tmp_path: Path, variant: Variant, update: Update) -> None:
    model = build_language_model(tmp_path / "model.tflite", variant).file
    keys = ["decode", *(f"prefill_{length}" for length in variant.prefill)]
    names = {f"kv_cache_{kind}_{layer}" for kind in "kv" for layer in range(LAYERS)}
    assert read_updates(model, keys) == dict.fromkeys(names, update)


def test_a_cache_that_is_not_written_as_it_came_is_not_told(tmp_path: Path) -> None:
    model = build_language_model(tmp_path / "model.tflite", Variant(past_moved=True)).file
    assert read_updates(model, ["decode"]) == {}


# Bundles.

BLOCK = 16 * 1024


def write_bundle(path: Path, sections: list[tuple[int, dict[str, str], bytes]], *, major: int = 1) -> Path:
    """A bundle of (kind, items, content), laid out as LiteRT-LM's builder does."""
    places, at = [], BLOCK
    for _, _, content in sections:
        places.append((at, at + len(content)))
        at = -(-(at + len(content)) // BLOCK) * BLOCK
    builder = flatbuffers.Builder(0)
    tables = []
    for (kind, items, _), (begin, end) in zip(sections, places, strict=True):
        pairs = []
        for key, value in items.items():
            text, name = builder.CreateString(value), builder.CreateString(key)
            builder.StartObject(1)
            builder.PrependUOffsetTRelativeSlot(0, text, 0)
            wrapped = builder.EndObject()
            builder.StartObject(3)
            builder.PrependUOffsetTRelativeSlot(0, name, 0)
            builder.PrependUint8Slot(1, 9, 0)
            builder.PrependUOffsetTRelativeSlot(2, wrapped, 0)
            pairs.append(builder.EndObject())
        listed = vector(builder, pairs)
        builder.StartObject(4)
        builder.PrependUOffsetTRelativeSlot(0, listed, 0)
        builder.PrependUint64Slot(1, begin, 0)
        builder.PrependUint64Slot(2, end, 0)
        builder.PrependUint8Slot(3, kind, 0)
        tables.append(builder.EndObject())
    objects = vector(builder, tables)
    builder.StartObject(1)
    builder.PrependUOffsetTRelativeSlot(0, objects, 0)
    metadata = builder.EndObject()
    builder.StartObject(2)
    builder.PrependUOffsetTRelativeSlot(1, metadata, 0)
    builder.Finish(builder.EndObject())
    header = bytes(builder.Output())
    whole = bytearray(at)
    whole[: 32 + len(header)] = b"LITERTLM" + struct.pack("<4IQ", major, 4, 0, 0, 32 + len(header)) + header
    for (_, _, part), (begin, end) in zip(sections, places, strict=True):
        whole[begin:end] = part
    path.write_bytes(whole)
    return path


def vector(builder: flatbuffers.Builder, tables: list[int]) -> int:
    builder.StartVector(4, len(tables), 4)
    for table in reversed(tables):
        builder.PrependUOffsetTRelative(table)
    return int(builder.EndVector())


TOKENIZER = json.dumps({"model": {"type": "BPE", "vocab": {"a": 0}, "merges": []}}).encode()
PACKED_TOKENIZER = struct.pack("<Q", len(TOKENIZER)) + zlib.compress(TOKENIZER)
MODEL, SENTENCEPIECE, METADATA, JSON, WEIGHTS = 3, 4, 5, 6, 7


@pytest.fixture(autouse=True)
def cache_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "benchharness" / "bundles"


def test_a_bundle_runs_and_is_described(files: dict[str, Path], tmp_path: Path, cache_folder: Path) -> None:
    content = files["language"].read_bytes()
    bundle = write_bundle(
        tmp_path / "model.litertlm",
        [(METADATA, {}, b"\x0a\x00"), (JSON, {}, PACKED_TOKENIZER), (MODEL, {"model_type": "prefill_decode"}, content)],
    )
    assert [section.kind for section in read_sections(bundle)] == [
        "language model metadata",
        "tokenizer.json",
        "model",
    ]
    for _ in range(2):  # unpacked once, then found
        with TFLite().open(bundle, Configuration(runtime="tflite")) as session:
            assert session.effective.facts["bundle"] == "model.litertlm"
            assert session.effective.facts["prefill_lengths"] == [4, 8]
        assert len(list(cache_folder.rglob("*.tflite"))) == 1
    found, expected = describe(bundle), describe(files["language"])
    assert found.parameters == expected.parameters
    assert found.facts["sections"][1] == "tokenizer.json"
    tokenizer = TFLite().tokenizer(tmp_path)
    assert tokenizer is not None
    assert tokenizer.read_bytes() == TOKENIZER


def test_a_changed_bundle_is_unpacked_again(files: dict[str, Path], tmp_path: Path, cache_folder: Path) -> None:
    bundle = tmp_path / "model.litertlm"
    for name, layout in (("language", "prefill-decode"), ("int8-image", "tensors")):
        write_bundle(bundle, [(MODEL, {}, files[name].read_bytes())])
        with TFLite().open(bundle, Configuration(runtime="tflite")) as session:
            assert session.effective.facts["layout"] == layout
    assert len(list(cache_folder.rglob("*.tflite"))) == 1, "what the earlier state left behind is gone"


def test_of_several_models_the_language_model_runs(files: dict[str, Path], tmp_path: Path) -> None:
    vision = (MODEL, {"model_type": "tf_lite_vision_encoder"}, files["image"].read_bytes())
    language = (MODEL, {"model_type": "tf_lite_prefill_decode"}, files["language"].read_bytes())
    bundle = write_bundle(tmp_path / "model.litertlm", [vision, language])
    assert describe(bundle).task == "causal-lm"
    two = write_bundle(tmp_path / "two.litertlm", [vision, vision])
    with pytest.raises(Unsupported, match="tf_lite_vision_encoder"):
        describe(two)


def test_what_a_bundle_lacks_is_named(files: dict[str, Path], tmp_path: Path) -> None:
    content = files["language"].read_bytes()
    without = write_bundle(tmp_path / "without.litertlm", [(METADATA, {}, b"x")])
    with pytest.raises(ModelFailure, match=r"without\.litertlm: holds no model, only language model metadata"):
        describe(without)
    assert TFLite().tokenizer(without) is None
    apart = write_bundle(tmp_path / "apart.litertlm", [(MODEL, {}, content), (WEIGHTS, {}, b"x")])
    with pytest.raises(Unsupported, match="weights in a section of their own"):
        describe(apart)
    pieces = write_bundle(tmp_path / "pieces.litertlm", [(MODEL, {}, content), (SENTENCEPIECE, {}, b"x")])
    with pytest.raises(Unsupported, match="SentencePiece"):
        TFLite().tokenizer(pieces)
    assert TFLite().tokenizer(files["image"]) is None


@pytest.mark.parametrize(
    "packed", [b"", b"\0" * 9, PACKED_TOKENIZER[:-9], struct.pack("<Q", 9) + b"no zlib"], ids=range(4)
)
def test_a_damaged_tokenizer_is_named(tmp_path: Path, packed: bytes) -> None:
    bundle = write_bundle(tmp_path / "model.litertlm", [(JSON, {}, packed)])
    with pytest.raises(ModelFailure, match=r"model\.litertlm: its tokenizer"):
        TFLite().tokenizer(bundle)


def test_a_bundle_of_another_format_version_is_refused(tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path / "model.litertlm", [(METADATA, {}, b"x")], major=2)
    with pytest.raises(ModelFailure, match="version 2"):
        describe(bundle)


def test_damaged_bundles_end_in_a_model_failure(files: dict[str, Path], tmp_path: Path) -> None:
    sections = [(JSON, {}, PACKED_TOKENIZER), (MODEL, {"model_type": "prefill_decode"}, files["image"].read_bytes())]
    content = write_bundle(tmp_path / "whole.litertlm", sections).read_bytes()
    header_end = struct.unpack_from("<Q", content, 24)[0]
    random = np.random.default_rng(0)
    path = tmp_path / "damaged.litertlm"
    for turn in range(200):
        damaged = bytearray(content)
        if turn % 2:
            damaged = damaged[: int(random.integers(1, len(damaged)))]
        else:
            damaged[int(random.integers(header_end))] ^= 1 << int(random.integers(8))
        path.write_bytes(damaged)
        for act in (TFLite().inspect, TFLite().tokenizer):
            with contextlib.suppress(ModelFailure, Unsupported):
                act(path)


# Bad files.


@settings(max_examples=300, deadline=None)
@given(content=st.binary(max_size=300))
def test_the_reader_refuses_whatever_is_no_model(content: bytes) -> None:
    for start in (b"", b"\x1c\0\0\0TFL3"):
        with pytest.raises(ValueError, match=r"byte|identifier|graph"):
            read_contents(Wire(start + content))


@pytest.mark.parametrize("name", NAMES)
def test_a_damaged_file_gives_a_model_failure_or_a_description(
    files: dict[str, Path], tmp_path: Path, name: str
) -> None:
    content = files[name].read_bytes()
    random = np.random.default_rng(1)
    path = tmp_path / "damaged.tflite"
    reasons = []
    for turn in range(200):
        damaged = bytearray(content)
        if turn % 2:
            damaged = damaged[: int(random.integers(1, len(damaged)))]
        else:
            damaged[int(random.integers(len(damaged)))] ^= 1 << int(random.integers(8))
        path.write_bytes(damaged)
        try:
            json.dumps(asdict(TFLite().inspect(path)))
        except ModelFailure as error:
            reasons.append(str(error))
    assert reasons
    assert all("damaged.tflite" in reason for reason in reasons)
