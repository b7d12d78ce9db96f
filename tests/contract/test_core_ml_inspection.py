"""What `inspect` tells of Core ML models: every compression by its name, and nothing that is not in the file."""

from __future__ import annotations

import dataclasses
import json
import shutil
import struct
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchharness.contract import ModelDescription, TensorSpec
from benchharness.errors import ModelFailure
from targets.core_ml.inspection import inspect_model
from tests.contract.mil_compression import COMPRESSIONS, compressible, optimized
from tests.contract.mil_programs import convert, ct, declared, mb, save

GOLDEN = Path(__file__).parent.parent / "golden" / "core_ml"
IOS17, IOS18 = ct.target.iOS17, ct.target.iOS18


def stored(description: ModelDescription) -> dict[tuple[str, str], tuple[int, int, int]]:
    """(tensors, numbers, bytes) by role and type."""
    return {(each.role, each.dtype): (each.tensors, each.numbers, each.bytes) for each in description.parameters}


def test_a_model_of_full_precision() -> None:
    found = inspect_model(GOLDEN / "conv.mlpackage")
    assert (found.format, found.task) == ("coreml", "tensor")
    assert found.inputs == [TensorSpec("image", "float32", (1, 2, 13, 17))]
    assert found.outputs == [TensorSpec("probabilities", "float32", (1, 7))]
    assert found.operators["CoreML8"]["conv"] == 3
    assert "const" not in found.operators["CoreML8"]
    assert stored(found) == {("weights", "float32"): (12, 504, 2016)}
    assert found.quantization == []
    weights = GOLDEN / "conv.mlpackage" / "Data" / "com.apple.CoreML" / "weights" / "weight.bin"
    assert found.external_files == {"weights/weight.bin": weights.stat().st_size}
    assert found.facts["minimum_deployment_target"] == "iOS 18, macOS 15"
    assert found.facts["compute_precision"] == "float32"
    assert found.facts["reference_execution"] == "possible"
    json.dumps(dataclasses.asdict(found))


@pytest.mark.parametrize(("name", "layout"), [("tiny-flexible", "flexible"), ("tiny-one-token", "positions")])
def test_a_language_model(name: str, layout: str) -> None:
    found = inspect_model(GOLDEN / f"{name}.mlpackage")
    assert found.task == "causal-lm"
    facts = found.facts
    assert (facts["vocabulary_size"], facts["context_length"], facts["cache_tensors"]) == (50, 32, 2)
    assert facts["layout"] == layout
    assert set(facts["states"].values()) == {"float16 2 × 1 × 3 × 32 × 4"}
    flexible = "1 × 1 to 32" in facts["flexible_shapes"].values()
    assert flexible == (layout == "flexible")


#: Method, type, granularity and symmetry of the weights, by the compression that made them.
SCHEMES: dict[str, set[tuple[str, str, str, bool | None]]] = {
    "int8": {("static weights", "int8", "per-channel", True)},
    "int8 with zero points": {("static weights", "int8", "per-channel", False)},
    "int8 per tensor": {("static weights", "int8", "per-tensor", True)},
    "int4 in blocks": {("block-wise weights", "int4", "blocks of 4", True)},
    "uint4 in blocks": {("block-wise weights", "uint4", "blocks of 8", False)},
    "palette of 1 bits": {("palettized weights", "uint1", "per-tensor", None)},
    "palette of 3 bits": {("palettized weights", "uint3", "per-tensor", None)},
    "palette of 6 bits": {("palettized weights", "uint6", "per-tensor", None)},
    "palette of 8 bits": {("palettized weights", "uint8", "per-tensor", None)},
    "palettes of groups": {("palettized weights", "uint4", "groups of 8", None)},
    "pruned": {("pruned weights", "float32", "none", None)},
    "pruned and quantized": {
        ("pruned weights", "float32", "none", None),
        ("static weights", "int8", "per-channel", True),
    },
    "pruned and palettized": {
        ("pruned weights", "float32", "none", None),
        ("palettized weights", "uint4", "per-tensor", None),
    },
}


@pytest.mark.parametrize("name", SCHEMES)
def test_a_compression_by_its_name(name: str, tmp_path: Path) -> None:
    path, linear, conv = compressible("FLOAT32", tmp_path)
    found = inspect_model(optimized(path, *COMPRESSIONS[name]))
    schemes = {(each.method, each.dtype, each.granularity, each.symmetric) for each in found.quantization}
    assert schemes == SCHEMES[name]
    assert all(sum(each.operators.values()) == 2 for each in found.quantization)
    # Every weight is there once, by the type that it is stored in.
    (dtype,) = {dtype for method, dtype, *_ in SCHEMES[name] if len(SCHEMES[name]) == 1 or "pruned" not in method}
    tensors, numbers, size = stored(found)["weights", dtype]
    kept = round((linear.size + conv.size) * (1 - (found.facts["sparsity"] or 0)))
    biases = 64 if dtype == "float32" else 0  # zeros that the builder adds to a linear layer
    assert (tensors, numbers) == (3 if biases else 2, kept + biases)
    bits = 32 if dtype.startswith("float") else int(dtype.lstrip("uint"))
    assert abs(size - numbers * bits / 8) <= 2
    assert ("pruned" in name) == (found.facts["sparsity"] == 0.5)


def test_palettes_of_ios_16_are_packed(tmp_path: Path) -> None:
    indices = np.arange(64, dtype=np.uint8) % 16

    def build(x: Any) -> Any:
        packed = indices[::2] | indices[1::2] << 4
        weight = mb.constexpr_lut_to_dense(
            indices=packed, lut=np.linspace(0, 1, 16, dtype=np.float32), shape=np.array([8, 8], np.uint32)
        )
        return mb.linear(x=x, weight=weight)

    found = inspect_model(save(build, {"x": np.zeros((1, 8), np.float32)}, tmp_path, opset=ct.target.iOS16))
    (scheme,) = found.quantization
    assert (scheme.method, scheme.dtype, scheme.granularity) == ("palettized weights", "uint4", "per-tensor")
    assert stored(found)["weights", "uint4"] == (1, 64, 32)
    assert stored(found)["scales", "float32"] == (1, 16, 64)


def test_half_precision_and_quantized_activations(tmp_path: Path) -> None:
    weight = np.ones((4, 8), np.float16)

    def build(x: Any) -> Any:
        steps = mb.quantize(input=x, scale=np.float16(0.1), zero_point=np.int8(3), output_dtype="int8")
        back = mb.dequantize(input=steps, scale=np.float16(0.1), zero_point=np.int8(3))
        return mb.linear(x=back, weight=weight)

    found = inspect_model(save(build, {"x": np.zeros((1, 8), np.float16)}, tmp_path, opset=IOS17))
    schemes = [(each.method, each.dtype, each.granularity, each.symmetric) for each in found.quantization]
    assert schemes == [
        ("static activations", "int8", "per-tensor", False),
        ("half precision", "float16", "none", None),
    ]
    assert found.facts["compute_precision"] == "float16"


def test_weights_used_twice_are_counted_once(tmp_path: Path) -> None:
    weight = np.random.default_rng(1).normal(size=(30, 30)).astype(np.float32)

    def build(x: Any) -> Any:
        shared = mb.const(val=weight)
        return mb.linear(x=mb.linear(x=x, weight=shared), weight=shared)

    found = inspect_model(save(build, {"x": np.zeros((1, 30), np.float32)}, tmp_path, opset=IOS17))
    assert stored(found)["weights", "float32"][1] == 900 + 2 * 30  # and two biases of zeros


def test_who_made_it_and_what_it_takes(tmp_path: Path) -> None:
    program = declared(mb.TensorSpec((1, 3, 4, 5)), opset=IOS17)(lambda image: mb.relu(x=image))
    path = convert(
        program, tmp_path, inputs=[ct.ImageType(name="image", shape=(1, 3, 4, 5))], minimum_deployment_target=IOS17
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = ct.models.MLModel(str(path), skip_model_load=True)
        model.author, model.license, model.version = "A. N. Author", "MIT", "3"
        model.short_description = "Keeps what is above zero."
        model.user_defined_metadata["trained on"] = "nothing"
        path = tmp_path / "with_author.mlpackage"
        model.save(str(path))
    facts = inspect_model(path).facts
    assert (facts["author"], facts["license"], facts["version"]) == ("A. N. Author", "MIT", "3")
    assert facts["description"] == "Keeps what is above zero."
    assert facts["metadata"]["trained on"] == "nothing"
    assert facts["images"] == {"image": "RGB 5 × 4"}


def test_operators_that_the_reference_execution_lacks(tmp_path: Path) -> None:
    def build(x: Any) -> Any:
        return mb.add(x=x, y=mb.random_normal(shape=np.array([2, 3], np.int32)))

    found = inspect_model(save(build, {"x": np.zeros((2, 3), np.float32)}, tmp_path, opset=IOS17))
    assert found.facts["reference_execution"] == "lacks random_normal"


def test_missing_weights_are_told(tmp_path: Path) -> None:
    path = tmp_path / "model.mlpackage"
    shutil.copytree(GOLDEN / "conv.mlpackage", path)
    (path / "Data" / "com.apple.CoreML" / "weights" / "weight.bin").unlink()
    assert inspect_model(path).external_files == {"weights/weight.bin": None}


def test_an_older_network_is_told_by_its_layers(tmp_path: Path) -> None:
    program = declared(mb.TensorSpec((1, 4)))(
        lambda x: mb.softmax(x=mb.linear(x=mb.relu(x=x), weight=np.ones((3, 4), np.float32)))
    )
    path = tmp_path / "old.mlmodel"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ct.convert(program, convert_to="neuralnetwork").save(str(path))
    found = inspect_model(path)
    assert found.facts["model_type"] == "neuralNetwork"
    (layers,) = found.operators.values()
    assert layers["innerProduct"] + layers.get("batchedMatmul", 0) == 1
    assert layers["activation"] == 1
    assert [spec.name for spec in found.inputs] == ["x"]
    assert "mlprogram" in found.facts["older_than_ml_programs"]


def compiled(folder: Path) -> Path:
    """What Core ML's compiler makes of a model: its words for it, and the weights as they were."""
    path = folder / "model.mlmodelc"
    path.mkdir()
    (path / "coremldata.bin").write_bytes(b"x")
    (path / "model.mil").write_text("program(1.3) {}")
    (path / "weights").mkdir()
    shutil.copy(
        GOLDEN / "conv.mlpackage" / "Data" / "com.apple.CoreML" / "weights" / "weight.bin",
        path / "weights" / "weight.bin",
    )
    feature = {"isOptional": "0", "hasShapeFlexibility": "0", "type": "MultiArray", "dataType": "Float32"}
    metadata = {
        "metadataOutputVersion": "3.0",
        "storagePrecision": "Float32",
        "computePrecision": "Mixed (Float32, Int32)",
        "specificationVersion": 9,
        "mlProgramOperationTypeHistogram": {"Ios18.conv": 3, "Ios18.relu": 2},
        "modelType": {"name": "MLModelType_mlProgram"},
        "inputSchema": [{**feature, "name": "image", "shape": "[1, 2, 13, 17]"}],
        "outputSchema": [{**feature, "name": "probabilities", "shape": "[1, 7]"}],
        "stateSchema": [],
        "userDefinedMetadata": {"trained on": "nothing"},
        "author": "A. N. Author",
    }
    (path / "metadata.json").write_text(json.dumps([metadata]))
    return path


def test_a_compiled_model_is_told_by_what_the_compiler_wrote(tmp_path: Path) -> None:
    found = inspect_model(compiled(tmp_path))
    assert found.inputs == [TensorSpec("image", "float32", (1, 2, 13, 17))]
    assert found.operators == {"Ios18": {"conv": 3, "relu": 2}}
    assert found.facts["storage_precision"] == "Float32"
    assert found.facts["author"] == "A. N. Author"
    assert found.facts["metadata"] == {"trained on": "nothing"}
    (whole,) = inspect_model(GOLDEN / "conv.mlpackage").parameters
    (weights,) = found.parameters
    small = whole.numbers - weights.numbers  # vectors of a few numbers are in the program itself
    assert (weights.dtype, weights.role) == ("float32", "weights")
    assert 0 <= small < 60


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: (path / "metadata.json").unlink(),
        lambda path: (path / "metadata.json").write_text("[]"),
        lambda path: (path / "metadata.json").write_text('[{"specificationVersion": {}}]'),
        lambda path: (path / "coremldata.bin").unlink(),
    ],
)
def test_a_damaged_compiled_model(damage: Any, tmp_path: Path) -> None:
    path = compiled(tmp_path)
    damage(path)
    with pytest.raises(ModelFailure):
        inspect_model(path)


def test_weights_of_a_compiled_model_that_lie_about_their_size(tmp_path: Path) -> None:
    path = compiled(tmp_path)
    record = struct.pack("<IIQQ", 0xDEADBEEF, 1, 1 << 62, 128)
    (path / "weights" / "weight.bin").write_bytes(bytes(64) + record + bytes(64))
    assert inspect_model(path).parameters == []


def test_a_state_and_lengths_from_a_list(tmp_path: Path) -> None:
    shapes = ct.EnumeratedShapes([(1, 4), (1, 9)])
    length = ct.RangeDim(1, 50, symbol="length")
    program = declared(mb.TensorSpec((1, length.symbol)), opset=IOS18)(lambda x: mb.relu(x=x))
    path = convert(program, tmp_path, inputs=[ct.TensorType(name="x", shape=shapes)], minimum_deployment_target=IOS18)
    assert inspect_model(path).facts["flexible_shapes"] == {"x": "one of 1 × 4, 1 × 9"}


@pytest.mark.parametrize("content", [b"", b"not a model", bytes(1000)])
def test_what_is_no_model(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "model.mlmodel"
    path.write_bytes(content)
    with pytest.raises(ModelFailure):
        inspect_model(path)
