"""What a Core ML model says of its inputs, outputs and states, and of the lengths that each dimension may have.

Read from the specification of an `.mlpackage` or `.mlmodel`, or from what the compiler wrote into an `.mlmodelc`.
Reads no weights. Formats: https://apple.github.io/coremltools/mlmodel/Format/Model.html; the compiler's `metadata.json`
and `model.mil` have no public description.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from benchharness.contract import TensorSpec
from benchharness.errors import ModelFailure, Unsupported
from targets.core_ml.files import (
    COMPILED,
    COMPILED_METADATA,
    COMPILED_PROGRAM,
    check_artefact,
    find_specification,
    read_json,
)
from targets.core_ml.program import quiet_coremltools

ARRAY = "array"
#: Core ML's words for a picture, in a specification and in what the compiler writes.
IMAGES = ("imageType", "Image")
#: By order of colours: how many there are, and the type of each.
_COLOURS = {"GRAYSCALE": (1, "uint8"), "RGB": (3, "uint8"), "BGR": (3, "uint8"), "GRAYSCALE_FLOAT16": (1, "float16")}
_COLOUR_NAMES = {10: "GRAYSCALE", 20: "RGB", 30: "BGR", 40: "GRAYSCALE_FLOAT16"}
#: The same in the compiler's words.
_COMPILED_COLOURS = {"grayscale": "GRAYSCALE", "grayscale16half": "GRAYSCALE_FLOAT16", "rgb": "RGB", "bgr": "BGR"}

_ARRAY_TYPES = {65552: "float16", 65568: "float32", 65600: "float64", 131104: "int32", 131080: "int8"}
_SCALAR_TYPES = {"int64Type": "int64", "doubleType": "float64", "stringType": "str", "dictionaryType": "float64"}
#: The program's element types by number in a specification and by name in `model.mil`.
_PROGRAM_TYPES = {10: "float16", 11: "float32", 12: "float64", 21: "int8", 23: "int32"}
_MIL_TYPES = {"fp16": "float16", "fp32": "float32", "fp64": "float64", "int8": "int8", "int32": "int32"}
#: The compiler's words for the types of features.
_COMPILED_ARRAYS = {"MultiArray", "State"}
_COMPILED_TYPES = {"Float16": "float16", "Float32": "float32", "Double": "float64", "Int32": "int32", "Int8": "int8"}
_COMPILED_SCALARS = {"Int64": "int64", "Double": "float64", "String": "str", "Dictionary": "float64"}

#: A program's text longer than this is not searched for the shapes of outputs. SmolLM2's, of 30 layers, has 0.5 MB.
_LONGEST_PROGRAM_BYTES = 64 << 20
_MOST_DIMENSIONS = 16


@dataclass(frozen=True)
class Feature:
    """One input, output or state. Core ML calls them features."""

    name: str
    dtype: str  # numpy's name; "str" for texts
    shape: tuple[int | None, ...]  # None: the length is not fixed
    kind: str = ARRAY  # else Core ML's word for what is none: "imageType", "dictionaryType"
    bounds: tuple[tuple[int, int | None], ...] = ()  # lowest and highest length of each dimension
    shapes: tuple[tuple[int, ...], ...] = ()  # the only shapes there are, where the model lists them
    optional: bool = False
    colours: str = ""  # of a picture: "RGB", "BGR", "GRAYSCALE", ... in the order in which its channels stand

    @property
    def is_image(self) -> bool:
        """Whether it is a picture: an array of bytes, 1 × colours × height × width."""
        return self.kind in IMAGES

    @property
    def spec(self) -> TensorSpec:
        """The feature as the harness's contract has it."""
        return TensorSpec(self.name, self.dtype, self.shape)


@dataclass(frozen=True)
class Description:
    """A model as its file describes it: of the functions that it may have, the one that was asked for."""

    kind: str  # "mlProgram", "neuralNetwork", "treeEnsembleClassifier", ...
    specification_version: int
    inputs: Sequence[Feature]
    outputs: Sequence[Feature]
    states: Sequence[Feature]
    function: str | None = None  # None: the model has but one
    default_function: str | None = None
    functions: Sequence[str] = field(default_factory=tuple)


def describe(path: Path, function: str | None = None) -> Description:
    """Describes a model, or one function of it (None: its default).

    Raises `ModelFailure` for what is no Core ML model, or is damaged; `Unsupported` for a function that it lacks.
    """
    check_artefact(path)
    return _describe_compiled(path, function) if path.suffix == COMPILED else _describe_source(path, function)


def check_inputs(path: Path, description: Description) -> None:
    """Raises `Unsupported` for inputs that nothing can be fed to."""
    for feature in description.inputs:
        if feature.kind == ARRAY and not feature.shape:
            raise Unsupported(
                f"{path}: the input {feature.name} is described without a shape, so nothing can be fed to it; "
                "convert the model with a shape, a RangeDim or EnumeratedShapes"
            )
        if feature.dtype == "unknown":
            raise Unsupported(
                f"{path}: the input {feature.name} ({feature.kind}) takes neither an array of numbers nor a picture; "
                "convert the model with tensors for inputs"
            )


# Specifications.


def load_specification(path: Path) -> Any:
    """The specification message (`Model_pb2.Model`) of an `.mlpackage` or `.mlmodel`; no weights of a program."""
    with quiet_coremltools():
        from coremltools.proto import Model_pb2

    file = find_specification(path)
    specification = Model_pb2.Model()
    try:
        specification.ParseFromString(file.read_bytes())
    except Exception as error:  # google.protobuf's DecodeError, which is not imported here
        raise ModelFailure(f"{path}: its specification cannot be read ({error}); build or download it again") from error
    if specification.WhichOneof("Type") is None or not specification.specificationVersion:
        raise ModelFailure(f"{path}: is no Core ML model, or one cut short; build or download it again")
    return specification


def _describe_source(path: Path, function: str | None) -> Description:
    specification = load_specification(path)
    whole = specification.description
    names = tuple(each.name for each in whole.functions)
    default = whole.defaultFunctionName or (names[0] if names else None)
    chosen = _choose_function(path, function, names, default)
    part = whole if chosen is None else next(each for each in whole.functions if each.name == chosen)
    kind = specification.WhichOneof("Type")
    outputs = [_feature(each) for each in part.output]
    if kind == "mlProgram":
        shapes = _program_outputs(specification.mlProgram, chosen or "main")
        outputs = [_with_program_shape(each, shapes) for each in outputs]
    return Description(
        kind=kind,
        specification_version=specification.specificationVersion,
        inputs=[_feature(each) for each in part.input],
        outputs=outputs,
        states=[_feature(each) for each in part.state],
        function=chosen,
        default_function=default,
        functions=names,
    )


def _choose_function(path: Path, function: str | None, names: Sequence[str], default: str | None) -> str | None:
    """The function to run; None where the model has but one, which is called main."""
    if not names:
        if function not in (None, "main"):
            raise Unsupported(f"options.function: {path.name} has one function, main, and none called {function!r}")
        return None
    chosen = function or default
    if chosen not in names:
        raise Unsupported(f"options.function: {path.name} has no function {chosen!r} (it has {', '.join(names)})")
    return chosen


def _feature(message: Any) -> Feature:
    kind = message.type.WhichOneof("Type") or "unknown"
    optional = bool(message.type.isOptional)
    if kind == "stateType":
        return _array(message.name, message.type.stateType.arrayType, optional)
    if kind == "multiArrayType":
        return _array(message.name, message.type.multiArrayType, optional)
    if kind == "imageType":
        return _image(message.name, message.type.imageType, optional)
    return _scalar(message.name, kind, _SCALAR_TYPES.get(kind, "unknown"), optional)


def _array(name: str, message: Any, optional: bool) -> Feature:
    dtype = _ARRAY_TYPES.get(message.dataType, "unknown")
    flexibility = message.WhichOneof("ShapeFlexibility")
    if flexibility == "enumeratedShapes":
        shapes = [tuple(shape.shape) for shape in message.enumeratedShapes.shapes]
        return _enumerated(name, dtype, shapes, optional)
    if flexibility == "shapeRange":
        bounds = [(int(size.lowerBound), int(size.upperBound)) for size in message.shapeRange.sizeRanges]
        return _ranged(name, dtype, bounds, optional)
    return _fixed(name, dtype, tuple(message.shape), optional)


def _image(name: str, message: Any, optional: bool) -> Feature:
    """A picture as an array of what its pixels hold: the model itself scales them."""
    colours = _COLOUR_NAMES.get(message.colorSpace, "")
    flexibility = message.WhichOneof("SizeFlexibility")
    if flexibility == "enumeratedSizes":
        sizes = [(int(each.height), int(each.width)) for each in message.enumeratedSizes.sizes]
    elif flexibility == "imageSizeRange":
        ranges = (message.imageSizeRange.heightRange, message.imageSizeRange.widthRange)
        return _picture(name, colours, [(int(each.lowerBound), int(each.upperBound)) for each in ranges], optional)
    else:
        sizes = [(int(message.height), int(message.width))]
    made = _picture(name, colours, [(min(lengths), max(lengths)) for lengths in zip(*sizes)], optional)
    return replace(made, shapes=tuple((1, made.shape[1] or 0, *size) for size in sizes) if len(sizes) > 1 else ())


def _picture(name: str, colours: str, sizes: Sequence[tuple[int, int]], optional: bool) -> Feature:
    channels, dtype = _COLOURS.get(colours, (0, "unknown"))
    made = _ranged(name, dtype, [(1, 1), (channels, channels), *sizes], optional)
    return replace(made, kind=IMAGES[0], colours=colours)


def _scalar(name: str, kind: str, dtype: str, optional: bool) -> Feature:
    """A number, a text, or numbers by label."""
    shape = (None,) if "dictionary" in kind.lower() else ()
    return Feature(name, dtype, shape, kind=kind, optional=optional)


def _fixed(name: str, dtype: str, shape: Sequence[int], optional: bool) -> Feature:
    lengths = tuple(int(length) for length in shape[:_MOST_DIMENSIONS])
    return Feature(name, dtype, lengths, bounds=tuple((length, length) for length in lengths), optional=optional)


def _ranged(name: str, dtype: str, bounds: Sequence[tuple[int, int]], optional: bool) -> Feature:
    """Lengths between two bounds; a highest one below zero is none."""
    limits = tuple((low, None if high < 0 else high) for low, high in bounds[:_MOST_DIMENSIONS])
    shape = tuple(low if low == high else None for low, high in limits)
    return Feature(name, dtype, shape, bounds=limits, optional=optional)


def _enumerated(name: str, dtype: str, shapes: Sequence[Sequence[int]], optional: bool) -> Feature:
    """A list of shapes. Those of another rank than the first are left out: no dimension can be said of them."""
    listed = [tuple(int(length) for length in shape[:_MOST_DIMENSIONS]) for shape in shapes]
    listed = [shape for shape in listed if len(shape) == len(listed[0])]
    bounds = tuple((min(lengths), max(lengths)) for lengths in zip(*listed))
    shape = tuple(low if low == high else None for low, high in bounds)
    return Feature(name, dtype, shape, bounds=bounds, shapes=tuple(listed), optional=optional)


def _program_outputs(program: Any, function: str) -> Mapping[str, tuple[str, tuple[int | None, ...]]]:
    """Types and shapes of a function's outputs: the description leaves out those whose lengths are not fixed."""
    if function not in program.functions:
        return {}
    code = program.functions[function]
    if code.opset not in code.block_specializations:
        return {}
    block = code.block_specializations[code.opset]
    wanted = set(block.outputs)
    values = [value for operation in block.operations for value in operation.outputs if value.name in wanted]
    found = {}
    for value in [*code.inputs, *values]:
        if value.name in wanted and value.type.WhichOneof("type") == "tensorType":
            tensor = value.type.tensorType
            if any(each.unknown.variadic for each in tensor.dimensions):
                continue  # not even its rank is known
            lengths = tuple(
                int(each.constant.size) if each.WhichOneof("dimension") == "constant" else None
                for each in tensor.dimensions[:_MOST_DIMENSIONS]
            )
            found[value.name] = (_PROGRAM_TYPES.get(tensor.dataType, "unknown"), lengths)
    return found


def _with_program_shape(feature: Feature, shapes: Mapping[str, tuple[str, tuple[int | None, ...]]]) -> Feature:
    """The description's type stands, because it is what the framework hands out; the shape is the program's."""
    if feature.kind != ARRAY or feature.name not in shapes:
        return feature
    dtype, shape = shapes[feature.name]
    return replace(feature, shape=shape, dtype=dtype if feature.dtype == "unknown" else feature.dtype)


# Compiled models.


def _describe_compiled(path: Path, function: str | None) -> Description:
    metadata = read_json(path / COMPILED_METADATA)
    model = metadata[0] if isinstance(metadata, list) and metadata else metadata
    try:
        return _read_metadata(path, model, function)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, RecursionError) as error:
        raise ModelFailure(
            f"{path / COMPILED_METADATA}: not what Core ML's compiler writes ({type(error).__name__}: {error}); "
            "compile the model again"
        ) from error


def _read_metadata(path: Path, model: Mapping[str, Any], function: str | None) -> Description:
    listed = model.get("functions") or []
    names = tuple(str(each["name"]) for each in listed)
    default = model.get("defaultFunctionName") or (names[0] if names else None)
    chosen = _choose_function(path, function, names, default)
    part = model if chosen is None else next(each for each in listed if each["name"] == chosen)
    kind = str(model["modelType"]["name"]).rpartition("_")[2]
    outputs = [_compiled_feature(each) for each in part["outputSchema"]]
    if kind == "mlProgram":
        shapes = _text_outputs(path / COMPILED_PROGRAM, chosen or "main", [each.name for each in outputs])
        outputs = [_with_program_shape(each, shapes) for each in outputs]
    return Description(
        kind=kind,
        specification_version=int(model["specificationVersion"]),
        inputs=[_compiled_feature(each) for each in part["inputSchema"]],
        outputs=outputs,
        states=[_compiled_feature(each) for each in part.get("stateSchema") or []],
        function=chosen,
        default_function=default,
        functions=names,
    )


def _compiled_feature(schema: Mapping[str, Any]) -> Feature:
    name, kind, optional = str(schema["name"]), str(schema["type"]), str(schema.get("isOptional", "0")) == "1"
    if kind == "Image":
        colours = _COMPILED_COLOURS.get(str(schema.get("colorspace", "")).lower(), "")
        sizes = [(int(schema[side]), int(schema[side])) for side in ("height", "width")]
        return _picture(name, colours, sizes, optional)
    if kind not in _COMPILED_ARRAYS:
        return _scalar(name, kind, _COMPILED_SCALARS.get(kind, "unknown"), optional)
    dtype = _COMPILED_TYPES.get(str(schema.get("dataType")), "unknown")
    if schema.get("enumeratedShapes"):
        return _enumerated(name, dtype, _lists(schema["enumeratedShapes"]), optional)
    if schema.get("shapeRange"):
        return _ranged(name, dtype, [(low, high) for low, high in _lists(schema["shapeRange"])], optional)
    shape = json.loads(schema.get("shape") or "[]")
    return _fixed(name, dtype, [int(length) for length in shape], optional)


def _lists(text: str) -> list[list[int]]:
    return [[int(number) for number in each] for each in json.loads(text)]


def _text_outputs(
    program: Path, function: str, names: Sequence[str]
) -> Mapping[str, tuple[str, tuple[int | None, ...]]]:
    """Types and shapes of a function's outputs, from the program's text: `tensor<fp16, [1, ?, 96]> logits = ...`."""
    try:
        if program.stat().st_size > _LONGEST_PROGRAM_BYTES:
            return {}
        text = program.read_text("utf-8", "replace")
    except OSError:
        return {}
    start = re.search(rf"\bfunc {re.escape(function)}<", text)
    following = re.compile(r"\bfunc \w+<").search(text, start.end()) if start else None
    body = text[start.start() if start else 0 : following.start() if following else len(text)]
    found = {}
    for name in names:
        made = re.search(rf"tensor<(\w+), \[([0-9?, ]*)\]> {re.escape(name)} = ", body)
        if made:
            lengths = [length.strip() for length in made[2].split(",") if length.strip()]
            shape = tuple(int(length) if length.isdigit() else None for length in lengths)
            found[name] = (_MIL_TYPES.get(made[1], "unknown"), shape)
    return found
