"""Reads the constants that a program states: from its protobuf, or from the weights file beside it.

A constant names the byte of that file where its record starts (see `targets.wire.mil_blob`).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from benchharness.errors import ModelFailure, Unsupported
from targets.core_ml.package import Package
from targets.core_ml.program import BITS, Constant
from targets.wire.mil_blob import HEAD_BYTES, RECORD_BYTES, VERSION, is_blob, record_of
from targets.wire.packed import unpack

if TYPE_CHECKING:
    from benchharness.contract import Array


class Weights:
    """The constants of one model. Files are mapped when first asked for; `close` lets go of them."""

    def __init__(self, package: Package) -> None:
        self._package = package
        self._files: dict[str, Array] = {}

    def read(self, constant: Constant) -> Array:
        """The constant's numbers in its shape; texts as an array of them, a list as one of one dimension.

        Types without a numpy counterpart become the next wider: int4 int8, uint1 to uint6 uint8. What lies in a file
        may be a view of it. Raises `ModelFailure` where the file does not hold what the program says, `Unsupported`
        for types that are no numbers here.
        """
        try:
            if constant.immediate is not None:
                return _immediate(constant.immediate, constant)
            return _shaped(self._stored(constant), constant)
        except (ValueError, OverflowError) as error:
            raise ModelFailure(f"{self._package.artefact}: a constant cannot be read: {error}") from error

    def close(self) -> None:
        """Lets go of the files."""
        self._files.clear()

    def _stored(self, constant: Constant) -> Array:
        """The bytes of a constant in a weights file."""
        content, where = self._map(constant.file), f"the record at byte {constant.offset} of {constant.file}"
        if constant.offset + RECORD_BYTES > content.size:
            raise ValueError(f"{where} lies beyond its end, {content.size}")
        record = record_of(content[constant.offset : constant.offset + RECORD_BYTES].tobytes())
        if record is None:
            raise ValueError(f"{where} is none")
        if record.dtype not in _STORED_AS.get(constant.type.dtype, (constant.type.dtype,)):
            raise ValueError(f"{where} is of {record.dtype}, and the program says {constant.type.dtype}")
        if record.end > content.size:
            raise ValueError(
                f"{where} has {record.size} bytes from {record.start}, and the file ends at {content.size}"
            )
        return content[record.start : record.end]

    def _map(self, name: str) -> Array:
        if name not in self._files:
            path = self._package.weights(name)
            try:
                content = np.memmap(path, np.uint8, mode="r")
            except (OSError, ValueError) as error:
                raise ModelFailure(f"{path}: cannot be read ({error}); copy the whole package") from error
            if not is_blob(content[:HEAD_BYTES].tobytes()):
                raise ModelFailure(f"{path}: is no weights file of version {VERSION}; copy the whole package")
            self._files[name] = content
        return self._files[name]


#: Booleans are kept as bytes.
_STORED_AS = {"bool": ("uint8", "int8")}

_READ_AS = {"int4": "int8", "uint1": "uint8", "uint2": "uint8", "uint3": "uint8", "uint4": "uint8", "uint6": "uint8"}


def _shaped(content: Array, constant: Constant) -> Array:
    """Bytes as numbers of the constant's type and shape."""
    type_ = constant.type
    if type_.numbers is None or type_.dtype not in BITS or type_.dtype == "str":
        raise ValueError(f"{type_.dtype} of shape {type_.shape} cannot be a constant")
    if content.size != constant.bytes:
        raise ValueError(f"{type_.numbers} numbers of {type_.dtype} need {constant.bytes} bytes, not {content.size}")
    bits = BITS[type_.dtype]
    if bits < 8:
        numbers = unpack(content, bits, type_.numbers, signed=type_.dtype == "int4")
    elif type_.dtype.startswith(("bfloat", "float8")):
        raise Unsupported(f"constants of type {type_.dtype}; only float16 and float32 are known here")
    else:
        numbers = np.frombuffer(content, type_.dtype, type_.numbers)
    return numbers.reshape(type_.shape or ())


def _immediate(message: Any, constant: Constant) -> Array:
    kind = message.WhichOneof("value")
    if kind == "list":
        element = replace(constant, type=replace(constant.type, shape=()))
        return np.array([_immediate(each.immediateValue, element).item() for each in message.list.values])
    if kind != "tensor":
        raise ValueError(f"a {kind or 'nothing'} where a tensor is expected")
    tensor = message.tensor
    kind = tensor.WhichOneof("value")
    if kind is None:  # an empty tensor leaves nothing in the file
        return _empty(constant)
    values = getattr(tensor, kind).values
    if kind == "bytes":
        return _shaped(np.frombuffer(values, np.uint8), constant)
    if kind == "strings":
        return np.array([str(value) for value in values]).reshape(constant.type.shape or ())
    dtype = constant.type.dtype
    numbers = np.array(values, dtype if dtype in BITS and dtype not in ("str", *_READ_AS) else None)
    return numbers.reshape(constant.type.shape or ())


def _empty(constant: Constant) -> Array:
    if constant.type.numbers != 0:
        raise ValueError(f"{constant.type.numbers} numbers are said to be there, and there are none")
    return np.empty(constant.type.shape or (), _READ_AS.get(constant.type.dtype, constant.type.dtype))
