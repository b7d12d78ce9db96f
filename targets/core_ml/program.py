"""An ML program as plain objects: functions, blocks, operators, and constants that are read when asked for.

Only the protobuf classes of coremltools are used. Its own loader infers the value of every operator that it can, which
an untrusted file may make as large as it likes; here nothing is computed. A reader raises `ModelFailure` for whatever
cannot be. Format: https://github.com/apple/coremltools/blob/main/mlmodel/format/MIL.proto.
"""

from __future__ import annotations

import logging
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional, Union

from benchharness.contract import hidden
from benchharness.errors import ModelFailure, Unsupported
from targets.core_ml.package import Package, find_package, read_specification

#: What coremltools imports, where it is installed, for its converters alone.
_CONVERTED_FROM = ("libsvm", "sklearn", "tensorflow", "torch", "torchaudio", "torchvision", "xgboost")
#: Element types by MIL's names: numpy's name, or ours where numpy has none, and bits.
_ELEMENTS = {
    "BOOL": ("bool", 8),
    "STRING": ("str", 0),
    "FLOAT16": ("float16", 16),
    "FLOAT32": ("float32", 32),
    "FLOAT64": ("float64", 64),
    "BFLOAT16": ("bfloat16", 16),
    "FLOAT8E4M3FN": ("float8e4m3fn", 8),
    "FLOAT8E5M2": ("float8e5m2", 8),
    "INT4": ("int4", 4),
    "INT8": ("int8", 8),
    "INT16": ("int16", 16),
    "INT32": ("int32", 32),
    "INT64": ("int64", 64),
    "UINT1": ("uint1", 1),
    "UINT2": ("uint2", 2),
    "UINT3": ("uint3", 3),
    "UINT4": ("uint4", 4),
    "UINT6": ("uint6", 6),
    "UINT8": ("uint8", 8),
    "UINT16": ("uint16", 16),
    "UINT32": ("uint32", 32),
    "UINT64": ("uint64", 64),
}
BITS = dict(_ELEMENTS.values())

#: Numbers above which no tensor has any: 2^40 of them are four terabytes.
_MOST_NUMBERS = 1 << 40
#: Dimensions above which none has any: Core ML allows five, numpy 64.
_MOST_DIMENSIONS = 32
#: Blocks inside each other. Protobuf's own readers stop at 100 nested messages.
_DEEPEST = 32

Dimension = Optional[int]

#: Operators that hand on the numbers of their first input, whatever shape, type or scale they give them.
_HANDING_ON = frozenset({"identity", "cast", "quantize", "dequantize", "reshape", "squeeze", "expand_dims"})


@dataclass(frozen=True)
class TensorType:
    """What a value is. `shape` holds None for a length that is known at run time only; it is None itself if the rank
    is, and for what is no tensor: `dtype` then says what it is ("dictionary"). A list is one dimension more."""

    dtype: str
    shape: tuple[Dimension, ...] | None
    is_state: bool = False

    @property
    def numbers(self) -> int | None:
        """How many numbers it has, None where that is not fixed."""
        if self.shape is None or None in self.shape:
            return None
        return math.prod(length for length in self.shape if length is not None)


@dataclass(frozen=True)
class NamedType:
    """An input of a function or block, or an output of an operator."""

    name: str
    type: TensorType


@dataclass(frozen=True, eq=False)
class Constant:
    """A number, text, tensor or list of them that the program states, kept in its protobuf or in the weights file."""

    type: TensorType
    immediate: Any = None  # the `ImmediateValue` message; None: in the weights file
    file: str = ""
    offset: int = 0

    @property
    def bytes(self) -> int:
        """What its numbers take up in the file; 0 for texts."""
        return ((self.type.numbers or 0) * BITS.get(self.type.dtype, 0) + 7) // 8


Argument = Union[str, Constant]


@dataclass(frozen=True, eq=False)
class Operation:
    """One operator. An argument is the name of a value or a constant; most inputs have one, some have several."""

    kind: str
    inputs: Mapping[str, tuple[Argument, ...]]
    outputs: tuple[NamedType, ...]
    blocks: tuple[Block, ...] = ()

    @property
    def is_constant(self) -> bool:
        """Whether it only states a constant, compressed or not."""
        return self.kind == "const" or self.kind.startswith("constexpr_")


@dataclass(frozen=True, eq=False)
class Block:
    """Operators in the order of computation, and the names of the values they are for."""

    inputs: tuple[NamedType, ...]
    operations: tuple[Operation, ...]
    outputs: tuple[str, ...]

    def all_operations(self) -> Iterator[Operation]:
        """Its operators and those in blocks inside them."""
        for operation in self.operations:
            yield operation
            for block in operation.blocks:
                yield from block.all_operations()


@dataclass(frozen=True, eq=False)
class Function:
    """One function of a program: a network that can be called."""

    name: str
    opset: str  # "CoreML8"
    inputs: tuple[NamedType, ...]
    block: Block


@dataclass(frozen=True, eq=False)
class Program:
    """A whole model. `description` is the ModelDescription message: what the model says of its inputs and outputs."""

    package: Package
    specification_version: int
    description: Any
    functions: Mapping[str, Function]
    main: Function  # the one that was asked for, else the one that the model calls its default

    @property
    def opset(self) -> int:
        """The version of the main function's operators: 5 for iOS 15, 8 for iOS 18. 0: not told."""
        digits = self.main.opset[len("CoreML") :]
        return int(digits) if digits.isdigit() and len(digits) < 4 else 0


def read_program(artefact: Path, function: str | None = None) -> Program:
    """Reads a model, to run one function of it (None: its default).

    Raises `ModelFailure` for a damaged one, `Unsupported` for one that is no ML program or lacks that function.
    """
    package = find_package(artefact)
    content = read_specification(package)
    model = protobuf().Model()
    try:
        model.ParseFromString(content)
    except Exception as error:  # google.protobuf.message.DecodeError, which is not imported here
        raise ModelFailure(
            f"{package.specification}: is no Core ML model, or one cut short ({error}); save it again"
        ) from error
    try:
        functions = {name: _function(name, each) for name, each in model.mlProgram.functions.items()}
    except ValueError as error:
        raise ModelFailure(f"{package.artefact}: the program cannot be read: {error}") from error
    main = functions.get(function or model.description.defaultFunctionName or "main")
    if main is None and function is not None:
        raise Unsupported(f"{package.artefact}: no function {function!r}; it has {', '.join(functions)}")
    if main is None:
        raise ModelFailure(f"{package.artefact}: the program has no function to run; save it again")
    return Program(package, int(model.specificationVersion), model.description, functions, main)


def last_operators(program: Program) -> dict[str, str]:
    """By output, the operator that computes it, those that only hand numbers on seen through."""
    block = program.main.block
    makers = {output.name: operation for operation in block.operations for output in operation.outputs}
    found = {}
    for name in block.outputs:
        maker, seen = makers.get(name), {name}
        while maker is not None and maker.kind in _HANDING_ON:
            (before, *_) = maker.inputs.get("x") or maker.inputs.get("input") or ("",)
            if not isinstance(before, str) or before in seen:
                break
            seen.add(before)
            maker = makers.get(before)
        if maker is not None and maker.kind not in _HANDING_ON:
            found[name] = maker.kind
    return found


def protobuf() -> Any:
    """coremltools' protobuf classes. Raises `Unsupported` where it is not installed."""
    with quiet_coremltools():
        try:
            from coremltools.proto import Model_pb2
        except ImportError as error:
            raise Unsupported(
                f"reading Core ML models needs coremltools, which is not here ({error}); install benchharness[coreml]"
            ) from error
    return Model_pb2


@contextmanager
def quiet_coremltools() -> Iterator[None]:
    """Keeps coremltools, while it is imported, from logging and from importing what it converts models from.

    It warns of its missing native parts on every import. The frameworks take longer to load than coremltools itself,
    and their memory would be taken for the model's; nothing is converted here.
    """
    logger = logging.getLogger("coremltools")
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    logger.disabled = True
    loaded = sys.modules
    unwanted = [name for name in _CONVERTED_FROM if "coremltools" not in loaded and name not in loaded]
    try:
        with hidden(*unwanted):
            yield
    finally:
        logger.disabled = False
        logger.setLevel(before)


def _function(name: str, message: Any) -> Function:
    specializations = message.block_specializations
    if message.opset not in specializations:
        raise ValueError(f"function {name!r} has no operators for its opset {message.opset!r}")
    return Function(
        name=name,
        opset=message.opset,
        inputs=_named_types(message.inputs),
        block=_block(specializations[message.opset], 1),
    )


def _block(message: Any, depth: int) -> Block:
    if depth > _DEEPEST:
        raise ValueError(f"more than {_DEEPEST} blocks inside each other")
    return Block(
        inputs=_named_types(message.inputs),
        operations=tuple(_operation(each, depth) for each in message.operations),
        outputs=tuple(message.outputs),
    )


def _operation(message: Any, depth: int) -> Operation:
    inputs: dict[str, tuple[Argument, ...]] = {
        name: tuple(_argument(binding) for binding in argument.arguments) for name, argument in message.inputs.items()
    }
    # Until iOS 17 what a constant is made of stands among the attributes, beside the operator's own name.
    for name, value in message.attributes.items():
        if name != "name" and name not in inputs:
            inputs[name] = (_constant(value),)
    return Operation(
        kind=message.type,
        inputs=inputs,
        outputs=_named_types(message.outputs),
        blocks=tuple(_block(each, depth + 1) for each in message.blocks),
    )


def _argument(binding: Any) -> Argument:
    return _constant(binding.value) if binding.WhichOneof("binding") == "value" else str(binding.name)


def _constant(message: Any) -> Constant:
    type_ = _type(message.type)
    if message.WhichOneof("value") == "blobFileValue":
        return Constant(type_, file=message.blobFileValue.fileName, offset=int(message.blobFileValue.offset))
    return Constant(type_, immediate=message.immediateValue)


def _named_types(messages: Sequence[Any]) -> tuple[NamedType, ...]:
    return tuple(NamedType(each.name, _type(each.type)) for each in messages)


def _type(message: Any) -> TensorType:
    kind = message.WhichOneof("type")
    if kind == "stateType":
        wrapped = _type(message.stateType.wrappedType)
        return TensorType(wrapped.dtype, wrapped.shape, is_state=True)
    if kind == "listType":
        element = _type(message.listType.type)
        length = int(message.listType.length.constant.size) or None
        return TensorType(element.dtype, None if element.shape is None else (length, *element.shape))
    if kind != "tensorType":
        return TensorType((kind or "unknownType")[: -len("Type")], None)
    tensor = message.tensorType
    try:
        name = tensor.DESCRIPTOR.fields_by_name["dataType"].enum_type.values_by_number[tensor.dataType].name
    except KeyError:
        name = f"type {tensor.dataType}"
    dtype = _ELEMENTS.get(name, (name.lower(), 0))[0]
    return TensorType(dtype, None if tensor.rank < 0 else _shape(tensor.dimensions))


def _shape(dimensions: Sequence[Any]) -> tuple[Dimension, ...] | None:
    if len(dimensions) > _MOST_DIMENSIONS:
        raise ValueError(f"a value has {len(dimensions)} dimensions")
    lengths: list[Dimension] = []
    numbers = 1
    for each in dimensions:
        if each.WhichOneof("dimension") != "constant":
            if each.unknown.variadic:
                return None
            lengths.append(None)
            continue
        lengths.append(int(each.constant.size))
        numbers *= max(int(each.constant.size), 1)
        if numbers > _MOST_NUMBERS:
            raise ValueError(f"a value says that it holds more than {_MOST_NUMBERS} numbers")
    return tuple(lengths)
