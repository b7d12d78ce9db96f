"""The reference execution of ML programs: against torch's answers, through every compression, and on bad files."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchharness.errors import ModelFailure, Unsupported
from targets.core_ml.program import read_program
from targets.core_ml.reference.constants import Constants
from targets.core_ml.reference.execution import ReferenceModel
from targets.core_ml.reference.to_onnx import translate
from targets.core_ml.weights import Weights
from tests.contract.mil_compression import COMPRESSIONS, compressible, linearly, optimized, palettized
from tests.contract.mil_programs import Array, convert, ct, declared, mb, run, save, types

ROOT = Path(__file__).parent.parent.parent
GOLDEN, SMOLLM2 = ROOT / "tests" / "golden" / "core_ml", ROOT / "build" / "smollm2"
IOS15, IOS16, IOS17, IOS18 = ct.target.iOS15, ct.target.iOS16, ct.target.iOS17, ct.target.iOS18

_random = np.random.default_rng(7)


def floats(*shape: int) -> Array:
    return _random.uniform(-1, 1, shape).astype(np.float32)


# Against torch.


def causal_mask(new: int, tokens: int) -> Array:
    """Zero where a new token may look, minus infinity where it may not."""
    return np.triu(np.full((new, tokens), -np.inf, np.float32), tokens - new + 1)[None, None]


def flexible(model: ReferenceModel, tokens: Array, chunks: list[int]) -> dict[int, Array]:
    """Logits after the last token of each chunk, by the tokens so far."""
    state, found, used = model.make_state(), {}, 0
    for new in chunks:
        ids = tokens[None, used : used + new]
        used += new
        data = {"inputIds": ids, "causalMask": causal_mask(new, used)}
        found[used] = model.predict(data, state)["logits"].reshape(-1)
    return found


@pytest.mark.parametrize("chunks", [[1] * 24, [24], [1, 7, 16]])
def test_a_language_model_of_any_number_of_tokens_gives_torchs_logits(chunks: list[int]) -> None:
    golden = np.load(GOLDEN / "tiny.npz")
    found = flexible(ReferenceModel(GOLDEN / "tiny-flexible.mlpackage"), golden["tokens"], chunks)
    for tokens, logits in found.items():
        np.testing.assert_allclose(logits, golden["logits"][tokens - 1], atol=1e-3)


def test_a_language_model_of_one_token_gives_torchs_logits() -> None:
    golden = np.load(GOLDEN / "tiny.npz")
    model = ReferenceModel(GOLDEN / "tiny-one-token.mlpackage", threads=1)
    state = model.make_state()
    for position, token in enumerate(golden["tokens"]):
        mask = np.full((1, 1, 1, 32), -1e4, np.float32)
        mask[..., : position + 1] = 0
        data = {"input_ids": [[token]], "position": [position], "mask": mask}
        logits = model.predict(data, state)["logits"].reshape(-1)
        np.testing.assert_allclose(logits, golden["logits"][position], atol=1e-3)


def test_an_image_classifier_gives_torchs_probabilities() -> None:
    golden = np.load(GOLDEN / "conv.npz")
    model = ReferenceModel(GOLDEN / "conv.mlpackage")
    for image, probabilities in zip(golden["images"], golden["probabilities"], strict=True):
        found = model.predict({"image": image[None]})["probabilities"]
        np.testing.assert_allclose(found[0], probabilities, atol=1e-6)


@pytest.mark.skipif(not (SMOLLM2 / "coreml-fp32").exists(), reason="`examples/smollm2/build.py` was not run")
def test_a_real_language_model_gives_the_logits_of_its_onnx_export() -> None:
    from benchharness.contract import Configuration
    from targets.onnx_runtime import OnnxRuntime

    tokens = np.array([504, 3575, 282, 4649, 314, 7042, 30], np.int32)
    model = ReferenceModel(next((SMOLLM2 / "coreml-fp32").glob("*.mlpackage")))
    ours = flexible(model, tokens, [4, 1, 2])
    model.close()
    with OnnxRuntime().open(SMOLLM2 / "onnx-fp32", Configuration("onnxruntime")) as session:
        for count, logits in ours.items():
            session.reset()  # type: ignore[attr-defined]
            theirs = session.extend([int(token) for token in tokens[:count]])  # type: ignore[attr-defined]
            # A cache of float16 moves this model's logits by a hundredth; so does rounding its weights.
            np.testing.assert_allclose(logits, theirs, atol=0.05)
            assert logits.argmax() == theirs.argmax()


# Numbers of less precision.


def test_float16_weights_keep_their_values_and_activations_are_float32(tmp_path: Path) -> None:
    weight, x = floats(5, 8).astype(np.float16), floats(3, 8).astype(np.float16)

    def build(x: Any) -> Any:
        return mb.linear(x=mb.mul(x=x, y=np.float16(0.1)), weight=weight)

    (found,) = run(build, {"x": x}, tmp_path, opset=IOS17)
    expected = x.astype(np.float32) * np.float32(np.float16(0.1)) @ weight.astype(np.float32).T
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-7)
    assert np.abs(found - expected.astype(np.float16)).max() > 1e-5  # a result of float16 would be off by this


def test_inputs_are_rounded_to_the_signatures_types(tmp_path: Path) -> None:
    path = save(lambda x: mb.mul(x=x, y=np.float16(1)), {"x": np.zeros(3, np.float16)}, tmp_path, opset=IOS17)
    model, x = ReferenceModel(path), floats(3)
    (found,) = model.predict({"x": x}).values()
    assert (found == x.astype(np.float16)).all()
    (found,) = model.predict({"x": [1e9, -1e9, 65504]}).values()
    assert found.tolist() == [np.inf, -np.inf, 65504]


def test_weights_stay_outside_the_graph(tmp_path: Path) -> None:
    """A protobuf ends at two gigabytes."""
    weight = floats(600, 500)
    path = save(lambda x: mb.linear(x=x, weight=weight), {"x": np.zeros((1, 500), np.float32)}, tmp_path, opset=IOS17)
    program = read_program(path)
    translated = translate(program, Constants(program.main.block.all_operations(), Weights(program.package)))
    assert translated.model.ByteSize() < 10_000
    assert sum(array.size for array in translated.weights.values()) >= weight.size


# Compression.


def as_coremltools_decompresses(path: Path) -> dict[str, Array]:
    """The weights of the two layers by coremltools' own loader."""
    from coremltools.converters.mil.frontend.milproto.load import load

    model = ct.models.MLModel(str(path), skip_model_load=True)
    specification = model.get_spec()
    program = load(specification, specification.specificationVersion, model.weights_dir)
    found = {}
    for operation in program.functions["main"].operations:
        if operation.op_type in ("linear", "conv"):
            weight = operation.weight
            found[operation.name] = weight.val if weight.val is not None else weight.op.materialized_val_inference()
    return found


#: Compressions that iOS 16 knows, by operators of its own.
OLDER = ("int8", "int8 with zero points", "palette of 1 bits", "palette of 4 bits", "palette of 6 bits", "pruned")
EVERY = [
    *((name, precision, IOS18) for name in COMPRESSIONS for precision in ("FLOAT32", "FLOAT16")),
    *((name, "FLOAT16", IOS16) for name in OLDER),
]


@pytest.mark.parametrize(("name", "precision", "opset"), EVERY)
def test_compressed_weights_are_those_that_coremltools_decompresses(
    name: str, precision: str, opset: Any, tmp_path: Path
) -> None:
    path = optimized(compressible(precision, tmp_path, opset=opset)[0], *COMPRESSIONS[name])
    program = read_program(path)
    operations = {each.kind: each for each in program.main.block.operations}
    assert any(kind.startswith("constexpr_") for kind in operations)
    constants = Constants(program.main.block.all_operations(), Weights(program.package))
    expected = as_coremltools_decompresses(path)
    for kind in ("linear", "conv"):
        found = constants.value(operations[kind].inputs["weight"][0])
        theirs = expected["l" if kind == "linear" else "c"]
        assert found.dtype == theirs.dtype
        assert found.shape == theirs.shape
        assert (found == theirs).all(), f"{kind}: {np.abs(found - theirs).max()}"
        assert len(np.unique(found)) > 1


def test_a_compressed_model_computes_with_its_compressed_weights(tmp_path: Path) -> None:
    path = optimized(compressible("FLOAT16", tmp_path)[0], *COMPRESSIONS["int4 in blocks"])
    weight = as_coremltools_decompresses(path)["l"].astype(np.float32)
    x = floats(2, 96).astype(np.float16)
    found = ReferenceModel(path).predict({"x": x, "image": np.zeros((1, 16, 5, 5))})
    np.testing.assert_allclose(found["l"], x.astype(np.float32) @ weight.T, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("scale", "zero_point"),
    [
        (np.float16(0.1), np.uint8(3)),
        (np.linspace(0.1, 0.4, 8, dtype=np.float16), np.uint8(3)),
        (np.float32(0.1), np.arange(8, dtype=np.uint8)),
    ],
)
def test_scales_and_zero_points_for_all_or_for_each(scale: Any, zero_point: Any, tmp_path: Path) -> None:
    from coremltools.converters.mil.mil.ops.defs.iOS16.constexpr_ops import constexpr_affine_dequantize

    data = _random.integers(0, 256, (6, 8)).astype(np.uint8)

    def build(x: Any) -> Any:
        weight = mb.constexpr_affine_dequantize(quantized_data=data, scale=scale, zero_point=zero_point, axis=1)
        return mb.linear(x=x, weight=weight)

    path = save(build, {"x": np.zeros((1, 8), scale.dtype)}, tmp_path, opset=IOS16)
    program = read_program(path)
    weight = program.main.block.operations[-1].inputs["weight"][0]
    found = Constants(program.main.block.all_operations(), Weights(program.package)).value(weight)
    expected = constexpr_affine_dequantize.decompress(data, np.asarray(zero_point), np.asarray(scale), 1)
    assert found.dtype == expected.dtype
    assert (found == expected).all()


def test_a_palette_whose_values_are_quantized(tmp_path: Path) -> None:
    """coremltools makes these and cannot decompress them itself."""
    path, *_ = compressible("FLOAT16", tmp_path)
    steps = palettized(nbits=4), linearly(joint=True, mode="linear_symmetric", granularity="per_tensor")
    program = read_program(optimized(path, *steps))
    operations = program.main.block.operations
    constants = Constants(program.main.block.all_operations(), Weights(program.package))
    (weight,) = next(each for each in operations if each.kind == "linear").inputs["weight"]
    assert isinstance(weight, str)
    parts = {name: constants.value(given[0]) for name, given in constants.maker(weight).inputs.items()}
    (palette,) = constants.maker(weight).inputs["lut"]
    assert isinstance(palette, str)
    assert constants.maker(palette).kind.startswith("constexpr_")
    assert (constants.value(weight) == parts["lut"].reshape(-1)[parts["indices"]]).all()
    assert len(np.unique(parts["lut"])) > 8


@pytest.mark.parametrize("axis", [0, 1])
def test_a_palette_of_vectors(axis: int, tmp_path: Path) -> None:
    from coremltools.converters.mil.mil.ops.defs.iOS18.compression import (
        constexpr_lut_to_dense,
    )

    indices, lut = _random.integers(0, 4, (6, 8)).astype(np.uint8), floats(3, 2, 4, 2)

    def build(x: Any) -> Any:
        weight = mb.constexpr_lut_to_dense(
            indices=indices.astype(types.np_uint2_dtype), lut=lut, vector_axis=np.int32(axis)
        )
        return mb.linear(x=x, weight=weight)

    x = floats(3, 16 if axis else 8)
    (found,) = run(build, {"x": x}, tmp_path, opset=IOS18)
    np.testing.assert_allclose(found, x @ constexpr_lut_to_dense.decompress(indices, lut, axis).T, rtol=1e-5, atol=1e-6)


# States.


def accumulator(tmp_path: Path, dtype: Any = types.fp16) -> Path:
    """Adds its input to a state, and gives the state before and after."""

    @declared(mb.TensorSpec((3,), dtype=dtype), mb.StateTensorSpec((3,), dtype=types.fp16), opset=IOS18)
    def program(x: Any, total: Any) -> Any:
        before = mb.read_state(input=total)
        after = mb.coreml_update_state(state=total, value=mb.add(x=mb.cast(x=x, dtype="fp16"), y=before))
        return mb.identity(x=before, name="before"), mb.identity(x=after, name="after")

    return convert(program, tmp_path, minimum_deployment_target=IOS18, pass_pipeline=ct.PassPipeline.EMPTY)


def test_a_state_is_kept_between_predictions_and_apart_from_others(tmp_path: Path) -> None:
    model = ReferenceModel(accumulator(tmp_path))
    one, other = model.make_state(), model.make_state()
    steps = [model.predict({"x": [1, 2, 3]}, one) for _ in range(3)]
    assert [step["before"].tolist() for step in steps] == [[0, 0, 0], [1, 2, 3], [2, 4, 6]]
    assert steps[2]["after"].tolist() == [3, 6, 9]
    assert model.predict({"x": [1, 1, 1]}, other)["before"].tolist() == [0, 0, 0]
    assert model.predict({"x": [0, 0, 0]}, one)["before"].tolist() == [3, 6, 9]


def test_a_float16_state_holds_float16_numbers(tmp_path: Path) -> None:
    model = ReferenceModel(accumulator(tmp_path, types.fp32))
    state = model.make_state()
    model.predict({"x": [0.1, 2049, 1e-9]}, state)
    found = model.predict({"x": [0, 0, 0]}, state)["before"]
    assert found.tolist() == np.array([0.1, 2049, 1e-9], np.float16).astype(np.float32).tolist()


def test_caches_of_layers_may_be_written_by_layer_and_as_a_whole(tmp_path: Path) -> None:
    """They are kept apart inside, which nothing may show."""
    shape = (3, 1, 2, 4)

    @declared(
        mb.TensorSpec((2, 4)),
        mb.TensorSpec(shape),
        mb.TensorSpec((1,), dtype=types.int32),
        mb.StateTensorSpec(shape, dtype=types.fp16),
        opset=IOS18,
    )
    def program(row: Any, whole: Any, at: Any, cache: Any) -> Any:
        before = mb.cast(x=mb.read_state(input=cache), dtype="fp32")
        some = mb.slice_update(
            x=before, update=row, begin=[1, 0, 0, 0], end=[2, 0, 0, 0], squeeze_mask=[True, True, False, False],
            end_mask=[False, False, True, True],
        )  # fmt: skip
        layer = mb.slice_by_index(x=some, begin=[-2, 0, 0, 1], end=[-1, 1, 2, 3])
        first, rest = np.array([1, 0, 0], np.int32), np.array([2, 1, 2], np.int32)
        moving = mb.slice_by_index(
            x=some,
            begin=mb.concat(values=(first, at), axis=0),
            end=mb.concat(values=(rest, np.array([4], np.int32)), axis=0),
        )
        mb.coreml_update_state(state=cache, value=mb.cast(x=some, dtype="fp16"))
        every = mb.add(x=mb.cast(x=mb.read_state(input=cache), dtype="fp32"), y=whole)
        mb.coreml_update_state(state=cache, value=mb.cast(x=every, dtype="fp16"))
        return [mb.identity(x=x, name=name) for x, name in ((before, "before"), (layer, "layer"), (moving, "moving"))]

    # Its own passes take the second reading of a state for the first.
    as_written = {"minimum_deployment_target": IOS18, "pass_pipeline": ct.PassPipeline.EMPTY}
    model = ReferenceModel(convert(program, tmp_path, **as_written))
    state, kept = model.make_state(), np.zeros(shape, np.float32)
    for at in range(3):
        row, whole = floats(2, 4), floats(*shape)
        found = model.predict({"row": row, "whole": whole, "at": [at]}, state)
        np.testing.assert_array_equal(found["before"], kept)
        kept[1, 0] = row
        np.testing.assert_array_equal(found["layer"], kept[1:2, :, :, 1:3])
        np.testing.assert_array_equal(found["moving"], kept[1:2, :, :, at:])
        kept = (kept.astype(np.float16) + whole).astype(np.float16).astype(np.float32)


def test_a_model_with_states_asks_for_one(tmp_path: Path) -> None:
    model = ReferenceModel(accumulator(tmp_path))
    assert [spec.name for spec in model.states] == ["total"]
    with pytest.raises(ModelFailure, match="make_state"):
        model.predict({"x": [1, 2, 3]})


# Signatures.


def classifier(tmp_path: Path) -> Path:
    @declared(mb.TensorSpec((1, 4)), opset=IOS17)
    def program(x: Any) -> Any:
        return mb.softmax(x=mb.linear(x=x, weight=np.eye(3, 4, dtype=np.float32)))

    labels = ct.ClassifierConfig(["cat", "dog", "owl"])
    return convert(program, tmp_path, classifier_config=labels, minimum_deployment_target=IOS17)


def test_a_classifier_gives_its_label_and_every_probability(tmp_path: Path) -> None:
    model = ReferenceModel(classifier(tmp_path))
    found = model.predict({"x": [[0.5, 2, 1, 0]]})
    probabilities = next(value for value in found.values() if isinstance(value, dict))
    assert found["classLabel"] == "dog"
    shares = np.exp([0.5, 2, 1])
    np.testing.assert_allclose(list(probabilities.values()), shares / shares.sum(), rtol=1e-6)
    assert list(probabilities) == ["cat", "dog", "owl"]


def image_model(tmp_path: Path) -> Path:
    @declared(mb.TensorSpec((1, 3, 4, 5)), opset=IOS17)
    def program(image: Any) -> Any:
        return mb.reduce_mean(x=image, axes=[2, 3])

    image = ct.ImageType(name="image", shape=(1, 3, 4, 5), scale=1 / 127.5, bias=[-1, -0.5, 0])
    return convert(program, tmp_path, inputs=[image], minimum_deployment_target=IOS17)


def test_an_image_is_an_array_of_pixels(tmp_path: Path) -> None:
    """Scale and bias are in the program: coremltools puts them there."""
    model = ReferenceModel(image_model(tmp_path))
    assert [(spec.name, spec.dtype, tuple(spec.shape)) for spec in model.inputs] == [("image", "float32", (1, 3, 4, 5))]
    pixels = _random.integers(0, 256, (1, 3, 4, 5)).astype(np.uint8)
    (found,) = model.predict({"image": pixels}).values()
    np.testing.assert_allclose(found, pixels.mean((2, 3)) / 127.5 + [-1, -0.5, 0], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("flexibility", ["range", "list"])
def test_lengths_that_are_not_fixed(flexibility: str, tmp_path: Path) -> None:
    weight = floats(6, 2, 3)
    rows = ct.RangeDim(3, 50, symbol="rows")
    shape = (1, 2, rows) if flexibility == "range" else ct.EnumeratedShapes([(1, 2, 4), (1, 2, 9)])

    @declared(mb.TensorSpec((1, 2, rows.symbol)), opset=IOS17)
    def program(x: Any) -> Any:
        rows = mb.conv(x=x, weight=weight, pad_type="same")
        rows = mb.transpose(x=rows, perm=[0, 2, 1])
        return mb.reshape(x=mb.layer_norm(x=rows, axes=[-1]), shape=[-1, 3])

    path = convert(program, tmp_path, inputs=[ct.TensorType(name="x", shape=shape)], minimum_deployment_target=IOS17)
    model = ReferenceModel(path)
    assert [tuple(spec.shape) for spec in model.inputs] == [(1, 2, None)]
    for length in (4, 9):
        x = floats(1, 2, length)
        (found,) = model.predict({"x": x}).values()
        padded = np.pad(x[0], [(0, 0), (1, 1)])
        windows = np.stack([padded[:, at : at + 3] for at in range(length)])
        sums = np.einsum("lck,ock->lo", windows, weight)
        normal = (sums - sums.mean(1, keepdims=True)) / np.sqrt(sums.var(1, keepdims=True) + 1e-5)
        np.testing.assert_allclose(found, normal.reshape(-1, 3), rtol=1e-4, atol=1e-5)


def test_the_default_of_several_functions_runs_unless_another_is_named(tmp_path: Path) -> None:
    for name, factor in (("double", 2.0), ("triple", 3.0)):
        (tmp_path / name).mkdir()
        save(lambda x, f=factor: mb.mul(x=x, y=f, name="y"), {"x": floats(2)}, tmp_path / name, opset=IOS18)
    functions = ct.utils.MultiFunctionDescriptor()
    for name in ("double", "triple"):
        functions.add_function(
            str(tmp_path / name / "model.mlpackage"), src_function_name="main", target_function_name=name
        )
    functions.default_function_name = "triple"
    path = tmp_path / "both.mlpackage"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        ct.utils.save_multifunction(functions, str(path))
    assert ReferenceModel(path).predict({"x": [1, 2]})["y"].tolist() == [3, 6]
    assert ReferenceModel(path, function="double").predict({"x": [1, 2]})["y"].tolist() == [2, 4]
    with pytest.raises(Unsupported, match="halve"):
        ReferenceModel(path, function="halve")


def test_inputs_that_do_not_fit_are_named(tmp_path: Path) -> None:
    model = ReferenceModel(
        save(lambda x, y: mb.add(x=x, y=y), {"x": floats(2, 3), "y": floats(3)}, tmp_path, opset=IOS17)
    )
    with pytest.raises(ModelFailure, match="missing: y; unknown: z"):
        model.predict({"x": floats(2, 3), "z": floats(3)})
    with pytest.raises(ModelFailure, match=r"'x' has the shape \(3, 2\)"):
        model.predict({"x": floats(3, 2), "y": floats(3)})
    with pytest.raises(ModelFailure, match="no array of numbers"):
        model.predict({"x": [["a", "b", "c"]] * 2, "y": floats(3)})


# What is refused.


def test_every_unknown_operator_is_named_at_once(tmp_path: Path) -> None:
    def build(x: Any, boxes: Any) -> Any:
        noise = [mb.random_normal(shape=np.array([2, 3], np.int32)) for _ in range(2)]
        kept = mb.non_maximum_suppression(
            boxes=boxes,
            scores=mb.slice_by_size(x=boxes, begin=[0, 0, 0], size=[1, 1, 5]),
            iou_threshold=0.5,
            max_boxes=2,
        )
        return mb.add(x=mb.add(x=x, y=noise[0]), y=noise[1]), kept[0]

    path = save(build, {"x": floats(2, 3), "boxes": floats(1, 4, 5)}, tmp_path, opset=IOS17)
    with pytest.raises(Unsupported, match=r"random_normal \(2\), non_maximum_suppression \(1\)"):
        ReferenceModel(path)


def test_integers_divided_by_zero_do_not_end_the_process(tmp_path: Path) -> None:
    def build(x: Any, y: Any) -> Any:
        return [getattr(mb, name)(x=x, y=y) for name in ("real_div", "floor_div", "mod")]

    numbers = np.array([7, -7], np.int32)
    found = run(build, {"x": numbers, "y": np.array([0, 2], np.int32)}, tmp_path, opset=IOS17)
    assert [each[1] for each in found] == [-3, -4, 1]


def test_an_input_without_a_number_of_dimensions_is_refused(package: Path) -> None:
    def unranked(model: Any) -> None:
        tensor = model.mlProgram.functions["main"].inputs[0].type.tensorType
        tensor.rank = -1
        del tensor.dimensions[:]

    rewritten(package, unranked)
    with pytest.raises(Unsupported, match="number of dimensions"):
        ReferenceModel(package)


@pytest.mark.parametrize("package_name", ["onnx", "onnxruntime", "coremltools.proto"])
def test_what_is_missing_is_named(package_name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, package_name, None)
    with pytest.raises(Unsupported, match=r"install benchharness\[coreml\]"):
        ReferenceModel(GOLDEN / "conv.mlpackage")


def test_older_models_are_refused_with_what_to_do(tmp_path: Path) -> None:
    @declared(mb.TensorSpec((1, 4)))
    def program(x: Any) -> Any:
        return mb.relu(x=x)

    path = tmp_path / "old.mlmodel"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ct.convert(program, convert_to="neuralnetwork").save(str(path))
    with pytest.raises(Unsupported, match=r"a neural network, which is older.*convert_to=\"mlprogram\""):
        ReferenceModel(path)


def test_a_compiled_model_is_refused(tmp_path: Path) -> None:
    compiled = tmp_path / "model.mlmodelc"
    compiled.mkdir()
    (compiled / "coremldata.bin").write_bytes(b"x")
    with pytest.raises(Unsupported, match="compiled"):
        ReferenceModel(compiled)


# Damage. Files are not trusted.


@pytest.fixture
def package(tmp_path: Path) -> Path:
    path = tmp_path / "model.mlpackage"
    shutil.copytree(GOLDEN / "conv.mlpackage", path)
    return path


def part(package: Path, name: str) -> Path:
    return package / "Data" / "com.apple.CoreML" / name


def test_missing_weights_are_named(package: Path) -> None:
    part(package, "weights/weight.bin").unlink()
    with pytest.raises(ModelFailure, match=r"weights/weight\.bin is not there"):
        ReferenceModel(package)


@pytest.mark.parametrize("size", [0, 4, 100, 1000])
def test_weights_cut_short(size: int, package: Path) -> None:
    weights = part(package, "weights/weight.bin")
    weights.write_bytes(weights.read_bytes()[:size])
    with pytest.raises(ModelFailure):
        ReferenceModel(package)


@pytest.mark.parametrize("size", [0, 1, 100, 3000])
def test_a_program_cut_short(size: int, package: Path) -> None:
    specification = part(package, "model.mlmodel")
    specification.write_bytes(specification.read_bytes()[:size])
    with pytest.raises(ModelFailure):
        ReferenceModel(package)


@pytest.mark.parametrize("path", ["../../../../etc/passwd", "/etc/passwd", "", "nowhere.mlmodel"])
def test_a_manifest_that_leads_elsewhere(path: str, package: Path) -> None:
    manifest = package / "Manifest.json"
    content = json.loads(manifest.read_text())
    content["itemInfoEntries"][content["rootModelIdentifier"]]["path"] = path
    manifest.write_text(json.dumps(content))
    with pytest.raises(ModelFailure):
        ReferenceModel(package)


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"itemInfoEntries": 3, "rootModelIdentifier": []}', "[" * 100_000]
)
def test_a_manifest_that_is_none(content: str, package: Path) -> None:
    (package / "Manifest.json").write_text(content)
    with pytest.raises(ModelFailure):
        ReferenceModel(package)


@pytest.mark.parametrize("name", ["model.mlmodel", "weights/weight.bin"])
def test_links_that_lead_out_of_the_package(name: str, package: Path, tmp_path: Path) -> None:
    file, outside = part(package, name), tmp_path / "outside"
    file.rename(outside)
    file.symlink_to(outside)
    with pytest.raises(ModelFailure, match="leads out"):
        ReferenceModel(package)


def rewritten(package: Path, change: Callable[[Any], None]) -> None:
    """Changes the specification's message."""
    from coremltools.proto import Model_pb2

    file = part(package, "model.mlmodel")
    model = Model_pb2.Model.FromString(file.read_bytes())
    change(model)
    file.write_bytes(model.SerializeToString())


def constants(model: Any) -> list[Any]:
    (block,) = model.mlProgram.functions["main"].block_specializations.values()
    return [operation for operation in block.operations if operation.type == "const"]


def stored(model: Any) -> Any:
    """The message of the first constant in the weights file."""
    values = (operation.attributes["val"] for operation in constants(model))
    return next(value for value in values if value.WhichOneof("value") == "blobFileValue")


def _far(model: Any) -> None:
    stored(model).blobFileValue.offset = 1 << 40


def _between(model: Any) -> None:
    stored(model).blobFileValue.offset += 8


def _outside(model: Any) -> None:
    stored(model).blobFileValue.fileName = "@model_path/../../../other.bin"


def _of_another_type(model: Any) -> None:
    stored(model).type.tensorType.dataType = 10


def _of_another_shape(model: Any) -> None:
    stored(model).type.tensorType.dimensions[0].constant.size += 1


def _huge(model: Any) -> None:
    for dimension in stored(model).type.tensorType.dimensions:
        dimension.constant.size = 1 << 20


def _unknown_value(model: Any) -> None:
    (block,) = model.mlProgram.functions["main"].block_specializations.values()
    block.outputs[0] = "nothing"


def _no_function(model: Any) -> None:
    model.mlProgram.functions.clear()


def _wrong_opset(model: Any) -> None:
    model.mlProgram.functions["main"].opset = "CoreML99"


def _huge_value(model: Any) -> None:
    (block,) = model.mlProgram.functions["main"].block_specializations.values()
    computed = next(operation for operation in block.operations if operation.type == "conv")
    for dimension in computed.outputs[0].type.tensorType.dimensions:
        dimension.constant.size = 1 << 12


def _negative_strides(model: Any) -> None:
    (block,) = model.mlProgram.functions["main"].block_specializations.values()
    computed = next(operation for operation in block.operations if operation.type == "conv")
    name = computed.inputs["strides"].arguments[0].name
    value = next(operation for operation in block.operations if operation.outputs[0].name == name)
    value.attributes["val"].immediateValue.tensor.ints.values[:] = [-1, 0]


CHANGES = (
    *(_far, _between, _outside, _of_another_type, _of_another_shape, _huge, _unknown_value, _no_function),
    *(_wrong_opset, _huge_value, _negative_strides),
)


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__.strip("_"))
def test_a_program_that_claims_what_is_not_so(change: Callable[[Any], None], package: Path) -> None:
    rewritten(package, change)
    with pytest.raises(ModelFailure):
        ReferenceModel(package)


@pytest.mark.parametrize("kind", ["iOS 16", "iOS 18"])
def test_compressed_weights_that_claim_a_huge_shape(kind: str, tmp_path: Path) -> None:
    """Ten bytes of indices that say they are 2^36 numbers: refused before any of them is made."""
    if kind == "iOS 16":

        def build(x: Any) -> Any:
            table = mb.constexpr_lut_to_dense(
                indices=np.arange(8, dtype=np.uint8), lut=np.array([1.0, 2.0], np.float32),
                shape=np.array([8, 8], np.uint32),
            )  # fmt: skip
            return mb.linear(x=x, weight=table)
    else:

        def build(x: Any) -> Any:
            table = mb.constexpr_blockwise_shift_scale(data=np.ones((8, 8), np.int8), scale=np.ones((8, 1), np.float32))
            return mb.linear(x=x, weight=table)

    path = save(build, {"x": floats(1, 8)}, tmp_path, opset=IOS16 if kind == "iOS 16" else IOS18)

    def claim(model: Any) -> None:
        (block,) = model.mlProgram.functions["main"].block_specializations.values()
        compressed = next(operation for operation in block.operations if operation.type.startswith("constexpr"))
        parts = [*compressed.attributes.values(), *(each.arguments[0].value for each in compressed.inputs.values())]
        for value in parts:
            for dimension in value.type.tensorType.dimensions:
                dimension.constant.size *= 1 << 18
            if value.immediateValue.tensor.bytes.values and kind == "iOS 16":
                value.immediateValue.tensor.bytes.values = np.array([1 << 18, 1 << 18], np.uint32).tobytes()
        for dimension in compressed.outputs[0].type.tensorType.dimensions:
            dimension.constant.size *= 1 << 15

    rewritten(path, claim)
    with pytest.raises(ModelFailure):
        ReferenceModel(path)


FUZZ = """
import random, resource, shutil, signal, sys
from pathlib import Path
from benchharness.errors import ModelFailure, Unsupported
from targets.core_ml.inspection import inspect_model
from targets.core_ml.reference.execution import ReferenceModel

package, rounds = Path(sys.argv[1]), int(sys.argv[2])
ReferenceModel(package)
resource.setrlimit(resource.RLIMIT_AS, (6 << 30, 6 << 30))
files = [package / "Data/com.apple.CoreML" / name for name in ("model.mlmodel", "weights/weight.bin")]
whole = [file.read_bytes() for file in files]
generator, outcomes = random.Random(3), {}
for turn in range(rounds):
    number = int(turn % 4 == 0)
    content = bytearray(whole[number])
    if turn % 5 == 0:
        del content[generator.randrange(len(content)) :]
    for _ in range(generator.choice([1, 1, 3, 20])):
        if content:
            new = generator.choice([0, 1, 127, 128, 255, generator.randrange(256)])
            content[generator.randrange(len(content))] = new
    files[number].write_bytes(content)
    for name, read in (("inspect", inspect_model), ("run", ReferenceModel)):
        signal.alarm(120)
        try:
            read(package)
            outcome = "fine"
        except (ModelFailure, Unsupported) as error:
            outcome = type(error).__name__
        signal.alarm(0)
        outcomes[name, outcome] = outcomes.get((name, outcome), 0) + 1
    files[number].write_bytes(whole[number])
print(outcomes)
"""


@pytest.mark.parametrize("source", ["conv.mlpackage", "tiny-flexible.mlpackage"])
def test_flipped_bytes_neither_crash_nor_hang(source: str, tmp_path: Path) -> None:
    path = tmp_path / "model.mlpackage"
    shutil.copytree(GOLDEN / source, path)
    done = subprocess.run(
        [sys.executable, "-c", FUZZ, str(path), "20"],
        capture_output=True,
        text=True,
        timeout=600,
        cwd=ROOT,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert "ModelFailure" in done.stdout
