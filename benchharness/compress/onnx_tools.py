"""ONNX recipes, made by onnxruntime.quantization and onnxruntime.transformers.float16.

Only the process that makes one artefact imports this. The tools write scratch files beside their input, so they get a
copy of the model in the order's own folder.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx.external_data_helper import ExternalDataInfo, uses_external_data
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    create_calibrator,
    quant_pre_process,
    quantize_dynamic,
    quantize_static,
    save_tensors_data,
)

from benchharness.compress.calibration import Sample, Text
from benchharness.compress.look import Look
from benchharness.compress.recipes import Recipe, plain
from benchharness.contract import TensorSpec
from benchharness.errors import ModelFailure, Unsupported
from targets.onnx_runtime.causality import read_evidence
from targets.onnx_runtime.files import check_files, describe, find_model
from targets.onnx_runtime.signature import (
    CACHE_BRANCH,
    MASK,
    POSITIONS,
    TOKENS,
    LanguageSignature,
    read_signature,
    why_no_language_model,
)

#: Names by which a language model's cache goes in and comes out.
_CACHE_NAMES = ("past_key_values", "present", "past")
_FLOATS = {onnx.TensorProto.FLOAT: ("float32", 4), onnx.TensorProto.FLOAT16: ("float16", 2)}
#: Recipes leave small tensors alone; where floats hold less than this share of the weights there is nothing to say.
_SHARE_WORTH_TELLING = 0.05


def look(artefact: Path) -> Look:
    """Reads a model without its weights. Raises `ModelFailure` for what is none."""
    path = find_model(artefact)
    check_files(path)
    model = _load_graph(path)
    beside = _external_files(model)
    for name in beside:
        if not (path.parent / name).is_file():
            raise ModelFailure(f"{path}: its weights lie in {name}, which is not there; copy the whole folder")
    language = _language_signature(path, model)
    return Look(
        model=path,
        task="tensor" if language is None else "causal-lm",
        inputs=_specs(model.graph.input, skip=model.graph.initializer),
        float_bytes=_float_bytes(model),
        beside=beside,
        context_length=None if language is None else language.context_length,
    )


def compress(
    found: Look, recipe: Recipe, target: Path, scratch: Path, data: Sequence[Sample] | Text | None
) -> list[str]:
    """Writes the model that a recipe makes to `target`; notes for whoever reads the result.

    Raises `Unsupported` where the recipe does not fit the model, `ModelFailure` where its outcome does not load.
    """
    source = scratch / found.model.name
    for name in (found.model.name, *found.beside):
        (scratch / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(found.model.parent / name, scratch / name)
    external = bool(found.beside)  # a variant keeps the layout of the original
    if recipe.family == "static":
        _static(source, target, recipe, _samples(found, data), external=external, language=found.task == "causal-lm")
    else:
        {"dynamic": _dynamic, "block-wise": _block_wise, "half": _half}[recipe.family](
            source, target, recipe, external=external
        )
    made = _load_graph(target)
    after = sum(_float_bytes(made).values())
    if after >= found.floats:
        raise Unsupported(_nothing(recipe, _load_graph(found.model)))
    _check_loads(target)
    return _left_as_floats(made, after, found.floats) if recipe.family != "half" else []


# The tools.


def _dynamic(source: Path, target: Path, recipe: Recipe, *, external: bool) -> None:
    settings = plain(recipe.settings)
    settings["weight_type"] = QuantType.from_string(settings["weight_type"])
    quantize_dynamic(source, target, use_external_data_format=external, **settings)


def _static(
    source: Path, target: Path, recipe: Recipe, samples: Iterator[Sample], *, external: bool, language: bool
) -> None:
    settings = plain(recipe.settings)
    of_language_models = settings.pop("op_types_of_language_models")
    if language:
        settings["op_types_to_quantize"] = of_language_models
    prepared, ranges = source.with_name("prepared.onnx"), source.with_name("ranges.json")
    quant_pre_process(
        source,
        prepared,
        save_as_external_data=external,
        all_tensors_to_one_file=True,
        external_data_location=f"{prepared.name}.data",
        **settings.pop("pre_process"),
    )
    method = CalibrationMethod[settings.pop("calibrate_method")]
    calibrator = create_calibrator(
        prepared,
        settings["op_types_to_quantize"] or None,
        augmented_model_path=source.with_name("augmented.onnx").as_posix(),
        calibrate_method=method,
        use_external_data_format=external,
        extra_options=settings.pop("calibrator"),  # `quantize_static` would hand on some of them only
    )
    calibrator.collect_data(_Reader(samples))
    save_tensors_data(calibrator.compute_data(), ranges)
    for key, kind in (("weight_type", QuantType), ("activation_type", QuantType), ("quant_format", QuantFormat)):
        settings[key] = kind.from_string(settings[key])
    quantize_static(
        prepared,
        target,
        calibrate_method=method,
        calibration_cache_path=ranges,
        use_external_data_format=external,
        **settings,
    )


class _Reader(CalibrationDataReader):  # type: ignore[misc] # the tool has no types
    """Hands one sample after the other to the tool."""

    def __init__(self, samples: Iterator[Sample]) -> None:
        self._samples = samples

    def get_next(self) -> Sample | None:
        """The next sample; None after the last."""
        return next(self._samples, None)


def _block_wise(source: Path, target: Path, recipe: Recipe, *, external: bool) -> None:
    from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer

    settings = plain(recipe.settings)
    settings["op_types_to_quantize"] = tuple(settings["op_types_to_quantize"])
    quantizer = MatMulNBitsQuantizer(str(source), **settings)
    quantizer.process()
    quantizer.model.save_model_to_file(str(target), external)


def _half(source: Path, target: Path, recipe: Recipe, *, external: bool) -> None:
    from onnxruntime.transformers.float16 import convert_float_to_float16

    graph = _load_graph(source).graph
    settings = plain(recipe.settings)
    names = [value.name for value in (*graph.input, *graph.output)]
    settings["keep_io_types"] = [name for name in names if not name.startswith(_CACHE_NAMES)]
    doubled = [name for name, count in Counter(tensor.name for tensor in graph.initializer).items() if count > 1]
    try:
        converted = convert_float_to_float16(str(source), **settings)
    except AssertionError as error:
        named = f" ({doubled[0]!r} is one)" if doubled else ""
        raise Unsupported(
            f"{source.name}: the float16 converter of onnxruntime needs a name of its own for every weight{named}; "
            "export the model anew, at float16 if the exporter can"
        ) from error
    onnx.save_model(converted, target, save_as_external_data=external, location=f"{target.name}.data")


# Calibration.


def _samples(found: Look, data: Sequence[Sample] | Text | None) -> Iterator[Sample]:
    assert data is not None, "a static recipe is never run without calibration data"
    return _language_samples(found.model, data) if isinstance(data, Text) else iter(data)


def _language_samples(path: Path, text: Text) -> Iterator[Sample]:
    """Every chunk as a prompt to an empty cache: what goes in is as long as the chunk, what is kept has no tokens."""
    model = _load_graph(path)
    signature = _language_signature(path, model)
    assert signature is not None, "text is read for language models only"
    for chunk in text.chunks:
        yield _prompt(signature, chunk)


def _prompt(signature: LanguageSignature, chunk: Sequence[int]) -> Sample:
    tokens = np.array([chunk], signature.token_dtype)
    sample = {TOKENS: tokens}
    if signature.mask_dtype is not None:
        sample[MASK] = np.ones(tokens.shape, signature.mask_dtype)
    if signature.position_dtype is not None:
        sample[POSITIONS] = np.arange(tokens.size, dtype=signature.position_dtype)[np.newaxis]
    if signature.has_cache_branch:
        sample[CACHE_BRANCH] = np.zeros(1, np.bool_)
    for tensor in signature.cache:
        shape = (1, tensor.heads, tensor.capacity or 0, tensor.head_size)
        sample[tensor.past] = np.zeros(shape, tensor.dtype)
    return sample


# What a graph holds.


def _load_graph(path: Path) -> onnx.ModelProto:
    try:
        return onnx.load(path, load_external_data=False)
    except Exception as error:  # protobuf's own errors share no base class
        raise ModelFailure(f"{path}: not a readable .onnx model ({error}); export or download it again") from error


def _language_signature(path: Path, model: onnx.ModelProto) -> LanguageSignature | None:
    inputs, outputs = _specs(model.graph.input, skip=model.graph.initializer), _specs(model.graph.output)
    description = describe(path)
    if why_no_language_model(inputs, outputs, description, lambda: read_evidence(path)):
        return None
    return read_signature(inputs, outputs, description, str(path))


def _specs(values: Sequence[Any], skip: Sequence[Any] = ()) -> list[TensorSpec]:
    """Inputs or outputs of a graph. Old exporters list weights among the inputs: `skip` them."""
    stored = {tensor.name for tensor in skip}
    return [_spec(value) for value in values if value.name not in stored]


def _spec(value: Any) -> TensorSpec:
    tensor = value.type.tensor_type
    shape = [
        int(each.dim_value) if each.HasField("dim_value") else (each.dim_param or None) for each in tensor.shape.dim
    ]
    dtype = "str" if tensor.elem_type == onnx.TensorProto.STRING else _dtype_name(tensor.elem_type)
    return TensorSpec(value.name, dtype, shape)


def _dtype_name(element: int) -> str:
    try:
        return str(np.dtype(onnx.helper.tensor_dtype_to_np_dtype(element)))
    except (KeyError, TypeError, ValueError):
        return "unknown"


def _stored_tensors(model: onnx.ModelProto) -> Iterator[Any]:
    """Weights of the main graph: initializers, and constants with names as their outputs are called."""
    yield from model.graph.initializer
    for node in model.graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t


def _external_files(model: onnx.ModelProto) -> list[str]:
    """Files that hold weights, relative to the model's. Raises `ModelFailure` for one outside its folder."""
    names = sorted({ExternalDataInfo(each).location for each in _stored_tensors(model) if uses_external_data(each)})
    for name in names:
        place = PurePosixPath(name.replace("\\", "/"))
        if not name or place.is_absolute() or ".." in place.parts:
            raise ModelFailure(
                f"weights in {name!r}, outside the model's folder; save the model with its weights beside it"
            )
    return names


def _float_bytes(model: onnx.ModelProto) -> dict[str, int]:
    found: Counter[str] = Counter()
    for tensor in _stored_tensors(model):
        if tensor.data_type in _FLOATS:
            dtype, size = _FLOATS[tensor.data_type]
            found[dtype] += int(np.prod(tensor.dims, dtype=np.int64)) * size
    return dict(found)


def _nothing(recipe: Recipe, before: onnx.ModelProto) -> str:
    """Why a recipe changed no weights."""
    present = Counter(node.op_type for node in before.graph.node)
    wanted = {
        "dynamic": ("MatMul", "Gemm", "Conv", "Gather", "LSTM", "Attention"),
        "static": ("MatMul", "Gemm", "Conv", "ConvTranspose", "Gather"),
        "block-wise": ("MatMul",),
        "half": (),
    }[recipe.family]
    there = ", ".join(f"{count} {name}" for name, count in present.most_common(5))
    if not wanted:
        return f"nothing to compress: the model stores no float32 weights (operators: {there})"
    return (
        f"nothing to compress: no {', '.join(wanted)} whose weights are stored as floats "
        f"(operators: {there}); a model that is quantized already stays as it is"
    )


def _left_as_floats(made: onnx.ModelProto, after: int, before: int) -> list[str]:
    if after < _SHARE_WORTH_TELLING * before:
        return []
    floats = [tensor for tensor in _stored_tensors(made) if tensor.data_type in _FLOATS]
    sizes: Mapping[str, int] = {tensor.name: int(np.prod(tensor.dims, dtype=np.int64)) for tensor in floats}
    return [f"{after / before:.0%} of the weights' bytes stay floats, most in {max(sizes, key=sizes.__getitem__)!r}"]


def _check_loads(path: Path) -> None:
    """Raises `ModelFailure` where the runtime itself refuses what the tool wrote."""
    try:
        onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    except Exception as error:  # its exceptions share no base class
        raise ModelFailure(f"onnxruntime does not load what this recipe made: {error}") from error
