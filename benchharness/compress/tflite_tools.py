"""TFLite recipes, made by ai-edge-quantizer. Only the process that makes one artefact imports this."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter
from ai_edge_litert.tools import flatbuffer_utils
from ai_edge_quantizer import quantizer

from benchharness.compress.calibration import Sample, Text
from benchharness.compress.look import Look
from benchharness.compress.parts import check_bytes_left
from benchharness.compress.recipes import Recipe, plain
from benchharness.compress.tflite_left import rules_to_leave, weights_of
from benchharness.errors import ModelFailure, Unsupported
from targets.tflite.files import MODEL_ENDING, find_model
from targets.tflite.signature import read_signatures, why_no_language_model

_FLOATS = {schema.TensorType.FLOAT32: "float32", schema.TensorType.FLOAT16: "float16"}
_WHOLE = (schema.TensorType.INT8, schema.TensorType.UINT8, schema.TensorType.INT4)
_IDENTIFIER = b"TFL3"
_SHARE_WORTH_TELLING = 0.05
#: Of a model whose floats are a smaller share of its quantized weights than this, nothing is left to quantize.
_SHARE_WORTH_TRYING = 0.05
_NOT_CALIBRATED = "not found in tensor_name_to_qsv"


def look(artefact: Path) -> Look:
    """Reads a model's signatures. Raises `ModelFailure` for what is none."""
    path = find_model(artefact)
    if path.suffix != MODEL_ENDING:
        raise Unsupported(f"{path}: a bundle cannot be compressed; give the {MODEL_ENDING} that it was made from")
    with path.open("rb") as file:
        if file.read(8)[4:] != _IDENTIFIER:
            raise ModelFailure(f"{path}: not a .tflite model; export or download it again")
    signatures = _signatures(path)
    language = not why_no_language_model(signatures)
    if language:
        reason = "ranges for a language model's key/value cache differ between its prefill and decode signatures"
    elif len(signatures) > 1:
        reason = f"the model has {len(signatures)} signatures, and data for one calibrates only that one"
    elif not signatures[0].key:
        reason = "the model declares no signature, which ai-edge-quantizer needs to run it"
    else:
        reason = ""
    return Look(
        model=path,
        task="causal-lm" if language else "tensor",
        inputs=list(signatures[0].inputs.values()),
        float_bytes=_float_bytes(path),
        why_no_static=reason,
        weights=weights_of(path),
    )


def compress(
    found: Look, recipe: Recipe, target: Path, scratch: Path, data: Sequence[Sample] | Text | None
) -> list[str]:
    """Writes the model that a recipe makes to `target`; notes for whoever reads the result.

    Raises `Unsupported` where the recipe does not fit the model, `ModelFailure` where its outcome does not load.
    """
    settings = plain(recipe.settings)
    if found.floats <= _SHARE_WORTH_TRYING * _quantized_bytes(found.model):
        raise Unsupported(_nothing(found))  # the tool would crash where it calibrates such a model
    source = _with_names_of_their_own(found.model, scratch)
    rules = [*settings["rules"], *rules_to_leave(source, recipe.left)]
    tool = quantizer.Quantizer(str(source), rules)
    ranges = None
    if tool.need_calibration:
        assert data is not None, "a static recipe is never run without calibration data"
        assert not isinstance(data, Text), "text is read for language models only, and theirs cannot be calibrated"
        key = _signatures(found.model)[0].key
        ranges = tool.calibrate({key: list(data)}, num_threads=settings["calibration_threads"])
    try:
        tool.quantize(ranges, serialize_to_path=str(target), enable_progress_bar=False, enable_progress_report=False)
    except ValueError as error:
        if _NOT_CALIBRATED in str(error):
            raise Unsupported(
                f"{found.model.name}: running it on the calibration data gave no range for a tensor that the tool "
                f"would quantize: an operator alone calls its subgraph, or it is never computed ({error}); try "
                "tflite-int8-dynamic, which needs no ranges"
            ) from error
        if "divisible by block size" not in str(error):
            raise
        raise Unsupported(
            f"{str(error).rpartition('Error: ')[2]} Try tflite-int4-dynamic, which has no blocks"
        ) from error
    after = sum(_float_bytes(target).values())
    check_bytes_left(found.weights, recipe.left, after)
    if after >= found.floats:
        raise Unsupported(_nothing(found))
    _signatures(target)  # the runtime itself loads it
    if recipe.family == "half" or after < _SHARE_WORTH_TELLING * found.floats:
        return []
    return [f"{100 * after / found.floats:.0f} % of the weights' bytes stay floats"]


def _nothing(found: Look) -> str:
    """Why a recipe changed no weights."""
    there = ", ".join(f"{count} {name}" for name, count in _operators(found.model).most_common(5))
    said = (
        "nothing to compress: no fully connected, convolution or embedding layer whose weights are stored as floats "
        f"(operators: {there})"
    )
    quantized = _quantized_bytes(found.model)
    if quantized > found.floats:
        return f"{said}; the model is quantized already ({quantized} bytes of whole numbers with scales), and stays so"
    return said


def _with_names_of_their_own(path: Path, scratch: Path) -> Path:
    """The model, or a copy in which no two tensors share a name: the quantizer tells tensors by their names."""
    model = flatbuffer_utils.read_model(str(path))
    tensors = [
        (tensor, f"#{number}.{index}".encode())
        for number, graph in enumerate(model.subgraphs)
        for index, tensor in enumerate(graph.tensors)
    ]
    count = Counter(bytes(tensor.name or b"") for tensor, _ in tensors)
    if max(count.values()) == 1:
        return path
    for tensor, ending in tensors:
        name = bytes(tensor.name or b"")
        tensor.name = name + ending if count[name] > 1 else name
    copy = scratch / path.name
    flatbuffer_utils.write_model(model, str(copy))
    return copy


def _signatures(path: Path) -> Sequence[Any]:
    """Every signature, as the runtime reads them after it has planned each. Raises `ModelFailure`."""
    try:
        interpreter = Interpreter(model_path=str(path))
        interpreter.allocate_tensors()
        return read_signatures(interpreter)
    except (ValueError, RuntimeError) as error:
        raise ModelFailure(f"{path}: LiteRT does not load it: {error}") from error


def _float_bytes(path: Path) -> dict[str, int]:
    """Stored floats by type; weights that several signatures share are counted once."""
    model = _parsed(path)
    kinds: dict[int, str] = {}
    for graph in (model.Subgraphs(index) for index in range(model.SubgraphsLength())):
        for tensor in (graph.Tensors(index) for index in range(graph.TensorsLength())):
            if tensor.Type() in _FLOATS:
                kinds[tensor.Buffer()] = _FLOATS[tensor.Type()]
    found: Counter[str] = Counter()
    for index, kind in kinds.items():
        buffer = model.Buffers(index)
        found[kind] += buffer.DataLength() or buffer.Size()  # large models keep weights behind the flatbuffer
    return {kind: count for kind, count in found.items() if count}


def _quantized_bytes(path: Path) -> int:
    """Bytes of stored whole numbers of eight bits or fewer that have a scale."""
    model = _parsed(path)
    buffers = set()
    for graph in (model.Subgraphs(index) for index in range(model.SubgraphsLength())):
        for tensor in (graph.Tensors(index) for index in range(graph.TensorsLength())):
            scales = tensor.Quantization()
            if tensor.Type() in _WHOLE and scales is not None and scales.ScaleLength():
                buffers.add(tensor.Buffer())
    return sum(model.Buffers(index).DataLength() or model.Buffers(index).Size() for index in buffers)


def _operators(path: Path) -> Counter[str]:
    names: Mapping[int, str] = {number: name for name, number in vars(schema.BuiltinOperator).items() if name.isupper()}
    model = _parsed(path)
    found: Counter[str] = Counter()
    for graph in (model.Subgraphs(index) for index in range(model.SubgraphsLength())):
        for operator in (graph.Operators(index) for index in range(graph.OperatorsLength())):
            code = model.OperatorCodes(operator.OpcodeIndex())
            number = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
            found[names.get(number, f"operator {number}")] += 1
    return found


def _parsed(path: Path) -> Any:
    return schema.Model.GetRootAs(path.read_bytes(), 0)
