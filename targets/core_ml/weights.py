"""Reads the constants that a program states: from its protobuf, or from the weights file beside it.

A weights file is a row of records; a constant names the byte where its record starts, which tells the type, the size
and where the numbers lie. Numbers of less than a byte are packed, the first in the lowest bits.
Format: https://github.com/apple/coremltools/blob/main/mlmodel/src/MILBlob/Blob/StorageFormat.hpp.
"""

from __future__ import annotations

import struct
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from benchharness.errors import ModelFailure, Unsupported
from targets.core_ml.package import Package
from targets.core_ml.program import BITS, Constant

if TYPE_CHECKING:
    from benchharness.contract import Array

#: A record: mark, element type, bytes of numbers, where they start. More follows that is of no use here.
RECORD = struct.Struct("<IIQQ")
RECORD_MARK = 0xDEADBEEF
#: Records start at multiples of this.
RECORD_ALIGNMENT = 64
_FILE_VERSION = 2
RECORD_TYPES = {
    1: "float16",
    2: "float32",
    3: "uint8",
    4: "int8",
    5: "bfloat16",
    6: "int16",
    7: "uint16",
    8: "int4",
    9: "uint1",
    10: "uint2",
    11: "uint4",
    12: "uint3",
    13: "uint6",
    14: "int32",
    15: "uint32",
    16: "float8e4m3fn",
    17: "float8e5m2",
}

#: Numbers unpacked at once, a multiple of eight: bits take eight times the room of what they make.
_UNPACKED_AT_ONCE = 1 << 22


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
        if constant.offset + RECORD.size > content.size:
            raise ValueError(f"{where} lies beyond its end, {content.size}")
        record = content[constant.offset : constant.offset + RECORD.size].tobytes()
        mark, kind, size, start = RECORD.unpack(record)
        if mark != RECORD_MARK:
            raise ValueError(f"{where} is none")
        if RECORD_TYPES.get(kind) not in _STORED_AS.get(constant.type.dtype, (constant.type.dtype,)):
            stored = RECORD_TYPES.get(kind, f"type {kind}")
            raise ValueError(f"{where} is of {stored}, and the program says {constant.type.dtype}")
        if start + size > content.size:
            raise ValueError(f"{where} has {size} bytes from {start}, and the file ends at {content.size}")
        return content[start : start + size]

    def _map(self, name: str) -> Array:
        if name not in self._files:
            path = self._package.weights(name)
            try:
                content = np.memmap(path, np.uint8, mode="r")
            except (OSError, ValueError) as error:
                raise ModelFailure(f"{path}: cannot be read ({error}); copy the whole package") from error
            if content.size < 8 or struct.unpack("<II", content[:8].tobytes())[1] != _FILE_VERSION:
                raise ModelFailure(f"{path}: is no weights file of version {_FILE_VERSION}; copy the whole package")
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


def unpack(content: Array, bits: int, count: int, *, signed: bool) -> Array:
    """`count` numbers of `bits` bits each from packed bytes, the first in the lowest bits; as int8 or uint8."""
    if 8 % bits:
        numbers = _unpack_across_bytes(content, bits, count)
    else:
        shifts = range(0, 8, bits)
        numbers = np.stack([content >> shift & (1 << bits) - 1 for shift in shifts], axis=-1).reshape(-1)[:count]
    if not signed:
        return numbers
    sign = np.uint8(1 << (bits - 1))
    return ((numbers ^ sign) - sign).view(np.int8)


def _unpack_across_bytes(content: Array, bits: int, count: int) -> Array:
    """Numbers of three or six bits: some start in one byte and end in the next."""
    numbers = np.empty(count, np.uint8)
    weights = (1 << np.arange(bits)).astype(np.uint8)
    for start in range(0, count, _UNPACKED_AT_ONCE):
        some = numbers[start : start + _UNPACKED_AT_ONCE]
        packed = content[start * bits // 8 : (start + len(some)) * bits // 8 + 1]
        found = np.unpackbits(packed, count=len(some) * bits, bitorder="little").reshape(-1, bits)
        np.matmul(found, weights, out=some)
    return numbers


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
