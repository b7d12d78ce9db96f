"""Recognises how an ML program's weights are stored: their types, and by which scheme they are compressed.

The schemes are those of coremltools.optimize: linear quantization, palettes, pruning, and one inside the other.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from benchharness.contract import Quantization, StoredNumbers
from benchharness.errors import ModelFailure, Unsupported
from targets.core_ml.program import Argument, Constant, Operation, Program, TensorType
from targets.core_ml.weights import Weights

#: Inputs of `constexpr_` operators: numbers that stand for weights, and what turns these into them.
_DATA = ("quantized_data", "data", "indices", "nonzero_data", "indices_nonzero_data", "source_val")
_SCALES = ("scale", "zero_point", "offset", "lut", "mask", "data_mask", "indices_mask")

_LINEAR = ("constexpr_affine_dequantize", "constexpr_blockwise_shift_scale", "constexpr_sparse_blockwise_shift_scale")
_PALETTES = ("constexpr_lut_to_dense", "constexpr_lut_to_sparse")
_PRUNED = "constexpr_sparse_to_dense"

#: Zero points longer than this are not looked at.
_LONGEST_ZERO_POINTS_BYTES = 1 << 20

_Scheme = tuple[str, str, str, "bool | None"]  # method, dtype, granularity, symmetric


@dataclass(frozen=True)
class Stored:
    """A constant that holds weights, or what compression adds to them."""

    constant: Constant
    dtype: str  # "uint4" also where a table's indices are packed into bytes
    role: str
    numbers: int
    bytes: int


class Compression:
    """The constants of a program, every one that lies in the weights file counted once however often it is used."""

    def __init__(self, program: Program, weights: Weights) -> None:
        self._weights = weights
        self._operations = [
            operation for function in program.functions.values() for operation in function.block.all_operations()
        ]
        self._types: dict[str, TensorType] = {}
        self._constants: dict[str, Constant] = {}
        for operation in self._operations:
            self._types.update((output.name, output.type) for output in operation.outputs)
            if operation.kind == "const" and operation.inputs.get("val"):
                value = operation.inputs["val"][0]
                if isinstance(value, Constant) and operation.outputs:
                    self._constants[operation.outputs[0].name] = value
        self._roles = self._find_roles()

    def stored(self) -> list[StoredNumbers]:
        """Weights and what compression adds to them, summed by type; the largest first."""
        sums: dict[tuple[str, str], list[int]] = {}
        for stored in self._stored():
            total = sums.setdefault((stored.role, stored.dtype), [0, 0, 0])
            for index, more in enumerate((1, stored.numbers, stored.bytes)):
                total[index] += more
        found = [
            StoredNumbers(dtype=dtype, role=role, tensors=tensors, numbers=numbers, bytes=size)
            for (role, dtype), (tensors, numbers, size) in sums.items()
        ]
        return sorted(found, key=lambda stored: (stored.role != "weights", -stored.bytes, stored.dtype))

    def schemes(self) -> list[Quantization]:
        """Every scheme met, the one with most operators first; empty for a model of full precision."""
        found: dict[_Scheme, Counter[str]] = {}
        for operation in self._operations:
            scheme = self._scheme(operation)
            if scheme is not None:
                found.setdefault(scheme, Counter())[operation.kind] += 1
        if any(stored.role == "weights" and stored.dtype == "float16" for stored in self._stored(pruned=False)):
            found.setdefault(("half precision", "float16", "none", None), Counter())
        schemes = [
            Quantization(
                method=method, dtype=dtype, operators=dict(counts), granularity=granularity, symmetric=symmetric
            )
            for (method, dtype, granularity, symmetric), counts in found.items()
        ]
        return sorted(schemes, key=lambda scheme: -sum(scheme.operators.values()))

    def sparsity(self) -> float | None:
        """The share of zeros among pruned weights; None where none are pruned."""
        kept = total = 0
        for operation in self._operations:
            if operation.kind == _PRUNED:
                kept += self._type(operation, "nonzero_data").numbers or 0
                total += (operation.outputs[0].type.numbers or 0) if operation.outputs else 0
        return round(1 - kept / total, 4) if total else None

    def files(self) -> set[str]:
        """The weights files that the program names."""
        every = [argument for operation in self._operations for part in operation.inputs.values() for argument in part]
        return {argument.file for argument in every if isinstance(argument, Constant) and argument.file}

    def _find_roles(self) -> dict[str, str]:
        """What compressed weights are made of, by the names of the constants."""
        roles: dict[str, str] = {}
        for operation in self._operations:
            if operation.kind.startswith("constexpr_"):
                for names, role in ((_DATA, "weights"), (_SCALES, "scales")):
                    for name in names:
                        roles.update((each, role) for each in operation.inputs.get(name, ()) if isinstance(each, str))
        return roles

    def _stored(self, *, pruned: bool = True) -> Iterator[Stored]:
        """Every stored constant. `pruned` and otherwise compressed ones are left out on request."""
        seen: set[tuple[str, int]] = set()
        for constant, dtype, role, compressed in self._candidates():
            place = (constant.file, constant.offset)
            if constant.file and place in seen:
                continue
            seen.add(place)
            numbers = constant.type.numbers or 0
            if dtype != constant.type.dtype:  # packed indices
                numbers = constant.bytes * 8 // int(dtype[len("uint") :])
            if pruned or not compressed:
                yield Stored(constant, dtype, role, numbers, constant.bytes)

    def _candidates(self) -> Iterator[tuple[Constant, str, str, bool]]:
        """(constant, what its numbers mean, role, whether a `constexpr_` operator uses it)."""
        for operation in self._operations:
            if operation.kind == "const" and operation.outputs:
                name = operation.outputs[0].name
                constant = self._constants.get(name)
                if constant is not None and _is_parameter(constant):
                    yield constant, constant.type.dtype, self._roles.get(name, "weights"), name in self._roles
            elif operation.kind.startswith("constexpr_"):
                for names, role in ((_DATA, "weights"), (_SCALES, "scales")):
                    for name in names:
                        for argument in operation.inputs.get(name, ()):
                            if isinstance(argument, Constant):
                                yield argument, self._meaning(operation, name, argument), role, True

    def _meaning(self, operation: Operation, name: str, constant: Constant) -> str:
        """The type of numbers that share bytes: iOS 16 packs a table's indices and a mask's bits into uint8."""
        if "shape" in operation.inputs and name == "indices":
            return f"uint{_bits(self._type(operation, 'lut'))}"
        if "shape" in operation.inputs and name == "mask":
            return "uint1"
        return constant.type.dtype

    def _scheme(self, operation: Operation) -> _Scheme | None:
        if operation.kind in _LINEAR:
            return self._linear(operation)
        if operation.kind in _PALETTES:
            return self._palette(operation)
        if operation.kind == _PRUNED:
            return ("pruned weights", self._type(operation, "nonzero_data").dtype, "none", None)
        if operation.kind == "quantize":
            return ("static activations", *self._activations(operation))
        return None

    def _linear(self, operation: Operation) -> _Scheme:
        name = next((name for name in _DATA if operation.inputs.get(name)), "data")
        data, scale = self._type(operation, name), self._type(operation, "scale")
        shape = operation.outputs[0].type if operation.kind == _LINEAR[2] and operation.outputs else data
        granularity = _granularity(shape, scale.shape)
        method = "block-wise weights" if granularity.startswith("blocks") else "static weights"
        return (method, data.dtype, granularity, self._symmetric(operation, "zero_point", "offset"))

    def _palette(self, operation: Operation) -> _Scheme:
        """One table for a tensor, or for each group of channels; a table may hold vectors."""
        lut = self._type(operation, "lut")
        if "shape" in operation.inputs:
            return ("palettized weights", f"uint{_bits(lut)}", "per-tensor", None)
        name = "indices" if operation.inputs.get("indices") else "indices_nonzero_data"
        indices = self._type(operation, name)
        whole = indices if name == "indices" else self._type(operation, "indices_mask")
        tables = lut.shape[:-2] if lut.shape is not None else None
        granularity = _granularity(whole, tables).replace("blocks", "groups")
        vector = lut.shape[-1] if lut.shape else 1
        return (
            "palettized weights",
            indices.dtype,
            f"{granularity}, vectors of {vector}" if vector is not None and vector > 1 else granularity,
            None,
        )

    def _activations(self, operation: Operation) -> tuple[str, str, bool | None]:
        zero_point = self._type(operation, "zero_point")
        dtype = zero_point.dtype if zero_point.dtype != "unknown" else "int8"
        scale = self._type(operation, "scale")
        granularity = "per-tensor" if scale.numbers == 1 else "per-channel"
        return dtype, granularity, self._symmetric(operation, "zero_point")

    def _symmetric(self, operation: Operation, *names: str) -> bool | None:
        """Whether zero stands for zero: there is no zero point, or it is nothing but zeros."""
        given = [argument for name in names for argument in operation.inputs.get(name, ())]
        if not given:
            return True
        constant = self._resolve(given[0])
        if constant is None or constant.bytes > _LONGEST_ZERO_POINTS_BYTES:
            return None
        try:
            return not np.any(self._weights.read(constant))
        except (ModelFailure, Unsupported):
            return None

    def _resolve(self, argument: Argument) -> Constant | None:
        return argument if isinstance(argument, Constant) else self._constants.get(argument)

    def _type(self, operation: Operation, name: str) -> TensorType:
        for argument in operation.inputs.get(name, ()):
            if isinstance(argument, Constant):
                return argument.type
            return self._types.get(argument, TensorType("unknown", None))
        return TensorType("unknown", None)


def _is_parameter(constant: Constant) -> bool:
    """Operators' own settings are constants too: small, and stated in the program itself."""
    return bool(constant.file) or (constant.type.dtype.startswith("float") and bool(constant.type.shape))


def _bits(lut: TensorType) -> int:
    """Bits of the indices into a table."""
    return max((lut.numbers or 2) - 1, 1).bit_length()


def _granularity(data: TensorType, counts: tuple[int | None, ...] | None) -> str:
    """What shares a scale or a table, from how many there are along each dimension."""
    if counts is None or data.shape is None:
        return "unknown"
    if all(count == 1 for count in counts):
        return "per-tensor"
    if len(counts) != len(data.shape):
        return "per-channel"
    parts = [
        length // count
        for length, count in zip(data.shape, counts)
        if length and count and 1 < count < length and length % count == 0
    ]
    return f"blocks of {' × '.join(map(str, parts))}" if parts else "per-channel"
