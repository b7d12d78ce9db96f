"""Reads what a `.pte` file says of itself: methods with their inputs, outputs and instructions; no weights.

The files are not trusted: what cannot be raises `ModelFailure`, and lists have limits.
Format: https://github.com/pytorch/executorch/blob/main/schema/program.fbs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path

from benchharness.contract import TensorSpec
from benchharness.errors import ModelFailure
from targets.model_files import reading
from targets.wire.flatbuffers import Table, mapped

_IDENTIFIER = b"ET12"
_MOST_AXES, _MOST_PORTS = 64, 10_000

# Field numbers of program.fbs.
_VERSION, _PLANS = 0, 1
_PLAN_NAME, _VALUES, _INPUTS, _OUTPUTS, _CHAINS, _OPERATORS, _DELEGATES = 0, 2, 3, 4, 5, 6, 7
_CHAIN_INSTRUCTIONS = 2
_OPERATOR_NAME, _OPERATOR_OVERLOAD = 0, 1
_DELEGATE_ID = 0
_CALLED = 0  # KernelCall.op_index, DelegateCall.delegate_index
_SCALAR_TYPE, _SIZES, _BUFFER, _ALLOCATION, _DYNAMISM = 0, 2, 5, 6, 8
# A union is two fields: which of its tables it is, and the table.
_UNION_KIND, _UNION_TABLE = 0, 1
_INT, _BOOL, _TENSOR = 2, 3, 5  # of KernelTypes
_KERNEL_CALL, _DELEGATE_CALL = 1, 2  # of InstructionArguments

#: scalar_type.fbs, by numpy's names where numpy has them.
_TYPES = dict(enumerate(("uint8", "int8", "int16", "int32", "int64", "float16", "float32", "float64")))
_TYPES.update({11: "bool", 12: "qint8", 13: "quint8", 14: "qint32", 15: "bfloat16", 16: "quint4x2"})
_TYPES.update({22: "bits16", 27: "uint16", 28: "uint32", 29: "uint64"})
_BYTES = {"uint8": 1, "int8": 1, "int16": 2, "int32": 4, "int64": 8, "float16": 2, "float32": 4, "float64": 8}
_BYTES.update({"bool": 1, "bfloat16": 2, "uint16": 2, "uint32": 4, "uint64": 8})


@dataclass(frozen=True)
class Stored:
    """A tensor whose numbers stand in the file, outside of what a delegate keeps."""

    dtype: str
    numbers: int
    bytes: int


@dataclass(frozen=True)
class Method:
    """One method. Shapes are the most that each axis may have."""

    inputs: Sequence[TensorSpec | None]  # None: no tensor
    outputs: Sequence[TensorSpec | None]
    bounded: Sequence[bool]  # by input, whether some axis may have less: the file does not say which
    operators: Mapping[str, int]  # kernels called, by name
    delegates: Mapping[str, int]  # calls of delegates, by backend
    stored: Sequence[Stored]
    constant: int | None  # of a method that computes nothing and gives a number or a truth


@dataclass(frozen=True)
class Program:
    """A file's methods by name."""

    version: int
    methods: Mapping[str, Method]

    def constant(self, name: str) -> int | None:
        """What a method of this name always gives; None where there is no such method."""
        return self.methods[name].constant if name in self.methods else None


def read_program(model: Path) -> Program:
    """What a `.pte` file says. Raises `ModelFailure` for what is none, or is damaged."""
    with reading(model, "ExecuTorch program"), mapped(model) as wire:
        root = wire.root(_IDENTIFIER)
        plans = {plan.text(_PLAN_NAME): _method(plan) for plan in root.children(_PLANS)}
        program = Program(root.number(_VERSION, "u32"), plans)
    if not plans:
        raise ModelFailure(f"{model}: has no methods; export the model again")
    return program


def _method(plan: Table) -> Method:
    values = list(plan.children(_VALUES))
    inputs, outputs = ([values[place] for place in plan.numbers(field, _MOST_PORTS)] for field in (_INPUTS, _OUTPUTS))
    operators = [_operator(each) for each in plan.children(_OPERATORS)]
    delegates = [each.text(_DELEGATE_ID) for each in plan.children(_DELEGATES)]
    called: Counter[str] = Counter()
    delegated: Counter[str] = Counter()
    steps = 0
    for chain in plan.children(_CHAINS):
        for instruction in chain.children(_CHAIN_INSTRUCTIONS):
            steps += 1
            kind, call = instruction.number(_UNION_KIND, "u8"), instruction.child(_UNION_TABLE)
            if call is not None and kind == _KERNEL_CALL:
                called[operators[call.number(_CALLED, "i32")]] += 1
            elif call is not None and kind == _DELEGATE_CALL:
                delegated[delegates[call.number(_CALLED, "i32")]] += 1
    return Method(
        inputs=[_spec(value, f"input{place}") for place, value in enumerate(inputs)],
        outputs=[_spec(value, f"output{place}") for place, value in enumerate(outputs)],
        bounded=[_is_bounded(value) for value in inputs],
        operators=dict(called.most_common()),
        delegates=dict(delegated.most_common()),
        stored=[each for each in map(_stored, values) if each is not None],
        constant=_constant(outputs[0]) if len(outputs) == 1 and not steps else None,
    )


def _operator(each: Table) -> str:
    name, overload = each.text(_OPERATOR_NAME), each.text(_OPERATOR_OVERLOAD)
    return f"{name}.{overload}" if overload and overload != "out" else name


def _tensor(value: Table) -> Table | None:
    return value.child(_UNION_TABLE) if value.number(_UNION_KIND, "u8") == _TENSOR else None


def _is_bounded(value: Table) -> bool:
    tensor = _tensor(value)
    return tensor is not None and tensor.number(_DYNAMISM, "i8") != 0


def _dtype(tensor: Table) -> str:
    number = tensor.number(_SCALAR_TYPE, "i8")
    return _TYPES.get(number, f"type {number}")


def _spec(value: Table, name: str) -> TensorSpec | None:
    tensor = _tensor(value)
    return None if tensor is None else TensorSpec(name, _dtype(tensor), tensor.numbers(_SIZES, _MOST_AXES))


def _stored(value: Table) -> Stored | None:
    """A constant: it lies in the file and has no place in planned memory."""
    tensor = _tensor(value)
    if tensor is None or not tensor.number(_BUFFER, "u32") or tensor.child(_ALLOCATION) is not None:
        return None
    dtype, numbers = _dtype(tensor), prod(tensor.numbers(_SIZES, _MOST_AXES))
    return Stored(dtype, numbers, numbers * _BYTES.get(dtype, 1))


def _constant(value: Table) -> int | None:
    kind, table = value.number(_UNION_KIND, "u8"), value.child(_UNION_TABLE)
    if table is None or kind not in (_INT, _BOOL):
        return None
    return table.number(0, "u64" if kind == _INT else "u8")
