"""ONNX recipes, made by onnxruntime.quantization and onnxruntime.transformers.float16.

Only the process that makes one artefact imports this. The tools write scratch files beside their input, so they get a
copy of the model in the order's own folder.
"""

from __future__ import annotations

import shutil
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import numpy_helper
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
from benchharness.compress.onnx_graph import (
    FLOATS,
    Weighted,
    external_files,
    float_bytes,
    graphs_of,
    is_quantized,
    load_graph,
    numbers_of,
    operators,
    stored_tensors,
    weighted,
    weights_of,
)
from benchharness.compress.onnx_left import check_left, convolutions_with_weights_elsewhere, named
from benchharness.compress.onnx_normal import name_nodes, nodes_where, normalised, settle_biases
from benchharness.compress.recipes import Recipe, plain
from benchharness.contract import TensorSpec
from benchharness.errors import ModelFailure, Unsupported
from targets.onnx_format.causality import read_evidence
from targets.onnx_format.files import check_files, describe, find_model
from targets.onnx_format.signature import (
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
#: Recipes leave small tensors alone; where floats hold less than this share of the weights there is nothing to say.
_SHARE_WORTH_TELLING = 0.05
#: The operator sets that hold what a tool writes: DynamicQuantizeLinear is of 11, a scale per channel of 13.
_DYNAMIC_OPSET, _PER_CHANNEL_OPSET = 11, 13
#: What each kind of recipe makes smaller.
_WANTED = {
    "dynamic": ("MatMul", "Gemm", "Conv", "Gather", "LSTM", "Attention", "EmbedLayerNormalization"),
    "static": ("MatMul", "Gemm", "Conv", "ConvTranspose", "Gather"),
    "block-wise": ("MatMul",),
    "half": (),
}
_LARGEST_HALF = float(np.finfo(np.float16).max)
#: Operators whose outcome is wrong, and not only clipped, where their weights are cut to float16's range.
_SCALED_BY_WEIGHTS = ("BatchNormalization", "Conv", "ConvTranspose", "Gemm", "LayerNormalization", "MatMul")


def look(artefact: Path) -> Look:
    """Reads a model without its weights. Raises `ModelFailure` for what is none."""
    path = find_model(artefact)
    check_files(path)
    model = load_graph(path)
    beside = external_files(model)
    for name in beside:
        if not (path.parent / name).is_file():
            raise ModelFailure(f"{path}: its weights lie in {name}, which is not there; copy the whole folder")
    language = _language_signature(path, model)
    return Look(
        model=path,
        task="tensor" if language is None else "causal-lm",
        inputs=_specs(model.graph.input, skip=model.graph.initializer),
        float_bytes=float_bytes(model),
        beside=beside,
        context_length=None if language is None else language.context_length,
        weights=weights_of(model),
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
    source = normalised(source, _least_opset(recipe), external=external)
    source, left = named(source, recipe.left, external=external)
    before = load_graph(source)
    floats, there = sum(float_bytes(before).values()), weighted(before)
    quantized = is_quantized(before)
    told: list[str] = []
    if recipe.family == "static":
        if quantized:
            raise Unsupported("the model is quantized already, and has ranges of its own; start from its original")
        _refuse_all_nested(there)
        language = found.task == "causal-lm"
        _static(source, target, recipe, _samples(found, data), left, external=external, language=language)
    else:
        tool = {"dynamic": _dynamic, "block-wise": _block_wise, "half": _half}[recipe.family]
        told = tool(source, target, recipe, left, external=external)
    made = load_graph(target)
    check_left(made, left)
    after = sum(float_bytes(made).values())
    if after >= floats:
        raise Unsupported(_nothing(recipe, before, there))
    try:
        _check_loads(target)
    except ModelFailure as error:
        if not quantized:
            raise
        raise Unsupported(
            f"the model is quantized already, and what this recipe makes of it does not load ({error}); start from its "
            "original"
        ) from error
    if recipe.family == "half":
        return told
    return [*told, *_left_nested(recipe, made, there), *_left_as_floats(made, after, floats)]


def _least_opset(recipe: Recipe) -> int:
    if recipe.family == "static" or recipe.settings.get("per_channel"):
        return _PER_CHANNEL_OPSET
    return _DYNAMIC_OPSET if recipe.family == "dynamic" else 1


# The tools.


def _dynamic(source: Path, target: Path, recipe: Recipe, left: Sequence[str], *, external: bool) -> list[str]:
    settings = plain(recipe.settings)
    settings["weight_type"] = QuantType.from_string(settings["weight_type"])
    out = [*left, *convolutions_with_weights_elsewhere(load_graph(source))]
    quantize_dynamic(source, target, use_external_data_format=external, nodes_to_exclude=out, **settings)
    return []


def _static(
    source: Path,
    target: Path,
    recipe: Recipe,
    samples: Iterator[Sample],
    left: Sequence[str],
    *,
    external: bool,
    language: bool,
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
    _settle_biases(prepared, external=external)
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
        nodes_to_exclude=list(left),
        **settings,
    )


def _settle_biases(path: Path, *, external: bool) -> None:
    model = onnx.load(path)
    if settle_biases(model):
        onnx.save_model(model, path, save_as_external_data=external, location=f"settled-{path.name}.data")


class _Reader(CalibrationDataReader):  # type: ignore[misc] # the tool has no types
    """Hands one sample after the other to the tool."""

    def __init__(self, samples: Iterator[Sample]) -> None:
        self._samples = samples

    def get_next(self) -> Sample | None:
        """The next sample; None after the last."""
        return next(self._samples, None)


def _block_wise(source: Path, target: Path, recipe: Recipe, left: Sequence[str], *, external: bool) -> list[str]:
    from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer

    settings = plain(recipe.settings)
    settings["op_types_to_quantize"] = tuple(settings["op_types_to_quantize"])
    quantizer = MatMulNBitsQuantizer(str(source), nodes_to_exclude=list(left), **settings)
    quantizer.process()
    quantizer.model.save_model_to_file(str(target), external)
    return []


def _half(source: Path, target: Path, recipe: Recipe, left: Sequence[str], *, external: bool) -> list[str]:
    from onnxruntime.transformers.float16 import convert_float_to_float16

    graph = load_graph(source).graph
    settings = plain(recipe.settings)
    names = [value.name for value in (*graph.input, *graph.output)]
    settings["keep_io_types"] = [name for name in names if not name.startswith(_CACHE_NAMES)]
    source, blocked = _beyond_half(source, external=external)
    doubled = [name for name, count in Counter(tensor.name for tensor in graph.initializer).items() if count > 1]
    try:
        converted = convert_float_to_float16(str(source), **settings, node_block_list=[*blocked, *left])
    except AssertionError as error:
        named = f" ({doubled[0]!r} is one)" if doubled else ""
        raise Unsupported(
            f"{source.name}: the float16 converter of onnxruntime needs a name of its own for every weight{named}; "
            "export the model anew, at float16 if the exporter can"
        ) from error
    onnx.save_model(converted, target, save_as_external_data=external, location=f"{target.name}.data")
    if not blocked:
        return []
    return [f"{len(blocked)} operators stay float32: their weights are beyond float16's largest, {_LARGEST_HALF:.0f}"]


def _beyond_half(source: Path, *, external: bool) -> tuple[Path, list[str]]:
    """Operators that the converter would make wrong by cutting their weights to float16's range, by name."""
    model = onnx.load(source)

    def is_beyond(node: Any, stored: Mapping[str, Any]) -> bool:
        return node.op_type in _SCALED_BY_WEIGHTS and any(_is_large(stored.get(name)) for name in node.input)

    if not any(_is_large(tensor) for scope in graphs_of(model, functions=False) for tensor in scope.graph.initializer):
        return source, []
    name_nodes(model)
    named = source.with_name(f"named-{source.name}")
    onnx.save_model(model, named, save_as_external_data=external, location=f"{named.name}.data")
    return named, nodes_where(model, is_beyond)


def _is_large(tensor: Any | None) -> bool:
    if tensor is None or tensor.data_type != onnx.TensorProto.FLOAT:
        return False
    values = numpy_helper.to_array(tensor)
    return bool((np.abs(values[np.isfinite(values)]) > _LARGEST_HALF).any())


# Calibration.


def _samples(found: Look, data: Sequence[Sample] | Text | None) -> Iterator[Sample]:
    assert data is not None, "a static recipe is never run without calibration data"
    return _language_samples(found.model, data) if isinstance(data, Text) else iter(data)


def _language_samples(path: Path, text: Text) -> Iterator[Sample]:
    """Every chunk as a prompt to an empty cache: what goes in is as long as the chunk, what is kept has no tokens."""
    model = load_graph(path)
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


def _refuse_all_nested(there: Weighted) -> None:
    """Raises `Unsupported` where everything that static recipes would quantize lies where they don't look."""
    wanted = [name for name in _WANTED["static"] if there.all.get(name)]
    if wanted and all(there.nested.get(name, 0) == there.all[name] for name in wanted):
        counts = ", ".join(f"{there.all[name]} {name}" for name in wanted)
        raise Unsupported(
            f"all that could be quantized ({counts}) lies inside If, Loop or the like, where quantize_static does not "
            "look; try onnx-int8-dynamic, or export the model without branches"
        )


def _nothing(recipe: Recipe, before: onnx.ModelProto, there: Weighted) -> str:
    """Why a recipe changed no weights."""
    listed = ", ".join(f"{count} {name}" for name, count in operators(before).most_common(5))
    wanted = _WANTED[recipe.family]
    if not wanted:
        return f"nothing to compress: the model stores no float32 weights (operators: {listed})"
    said = f"nothing to compress: no {', '.join(wanted)} whose weights are stored as floats (operators: {listed})"
    others = ", ".join(f"{count} {name}" for name, count in there.all.items() if name not in wanted)
    if is_quantized(before):
        return f"{said}; the model is quantized already, and stays as it is"
    if any(there.all.get(name) for name in wanted):
        found = ", ".join(f"{there.all[name]} {name}" for name in wanted if there.all.get(name))
        return f"nothing to compress: the tool left {found} with stored floats as they are (operators: {listed})"
    return f"{said}{f'; its weights are in {others}, which this recipe leaves alone' if others else ''}"


def _left_nested(recipe: Recipe, made: onnx.ModelProto, there: Weighted) -> list[str]:
    """What the tool did not reach, because it is inside other operators."""
    left = weighted(made).nested
    counts = [f"{left[name]} of {there.all[name]} {name}" for name in _WANTED[recipe.family] if left.get(name)]
    return [f"{', '.join(counts)} are inside If, Loop or the like and stay as they are"] if counts else []


def _left_as_floats(made: onnx.ModelProto, after: int, before: int) -> list[str]:
    if after < _SHARE_WORTH_TELLING * before:
        return []
    sizes = {name: numbers_of(tensor) for name, tensor in stored_tensors(made) if tensor.data_type in FLOATS}
    most = max(sizes, key=sizes.__getitem__)
    return [f"{100 * after / before:.0f} % of the weights' bytes stay floats, most in {most!r}"]


def _check_loads(path: Path) -> None:
    """Raises `ModelFailure` where the runtime itself refuses what the tool wrote."""
    # The log is all that is left where the runtime crashes on it.
    print("onnxruntime is loading what this recipe made", file=sys.stderr, flush=True)
    try:
        onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    except Exception as error:  # its exceptions share no base class
        raise ModelFailure(f"onnxruntime does not load what this recipe made: {error}") from error
