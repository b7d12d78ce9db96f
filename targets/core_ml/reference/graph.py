"""An ONNX graph under construction, and what an operator of an ML program is given to translate itself into it.

Values have one of four types there: float32 for every float, int32 for every integer, bool, and texts. int64 occurs
only inside a translation, where ONNX asks for it. float16 numbers are widened, which keeps them exactly.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, Union

import numpy as np

from benchharness.errors import ModelFailure, Unsupported
from targets.core_ml.program import Argument, Block, Dimension, Operation, TensorType

if TYPE_CHECKING:
    from benchharness.contract import Array

#: The ONNX operators used are those of this version, which onnxruntime has known since 1.17.
OPSET, IR_VERSION = 20, 9

#: Constants up to this size go into the graph, where ONNX Runtime sees them while it infers shapes; others beside it.
LARGEST_INSIDE_BYTES = 4096

#: The longest dimension that is indexed number by number.
_LONGEST_INDEXED = 1 << 27

#: A length beyond every dimension: ONNX's Slice cuts it to the dimension's.
BEYOND = (1 << 31) - 1


def working_dtype(dtype: str) -> str:
    """What a type of the program is computed in. Raises `Unsupported` for what is no tensor."""
    if dtype.startswith(("float", "bfloat")):
        return "float32"
    if dtype.startswith(("int", "uint")):
        return "int32"
    if dtype in ("bool", "str"):
        return dtype
    raise Unsupported(f"values of type {dtype}")


def widen(array: Array) -> Array:
    """A constant in the type that it is computed in."""
    if array.dtype.kind in "OUS":
        return array
    return array.astype(working_dtype(array.dtype.name), order="C", copy=False)


class OnnxGraph:
    """Nodes in the order of computation. Graphs inside it share its names and its constants."""

    def __init__(self, outer: OnnxGraph | None = None) -> None:
        self.nodes: list[Any] = []
        self.initializers: dict[str, Array] = outer.initializers if outer else {}
        #: Tensors that are kept in pieces of one along their first dimension, as the caches of several layers are.
        self.pieces: dict[str, list[str]] = {}
        #: Partial overwrites by what they make: (the tensor before, indices, what is written there).
        self.overwrites: dict[str, tuple[str, str, str]] = {}
        self._interned: dict[tuple[str, tuple[int, ...], bytes], str] = outer._interned if outer else {}
        self._counts: list[int] = outer._counts if outer else [0]

    def name(self, hint: str) -> str:
        """A name that no other value has."""
        self._counts[0] += 1
        return f"{hint}#{self._counts[0]}"

    def add(self, operator: str, *inputs: str, **attributes: Any) -> str:
        """Adds an operator of one output; its name. An empty input is one left out."""
        return self.add_many(operator, inputs, 1, **attributes)[0]

    def add_many(self, operator: str, inputs: Sequence[str], outputs: int, **attributes: Any) -> list[str]:
        """Adds an operator; the names of its outputs."""
        from onnx import helper

        names = [self.name(operator) for _ in range(outputs)]
        self.nodes.append(helper.make_node(operator, list(inputs), names, **attributes))
        return names

    def cast(self, value: str, dtype: str) -> str:
        """A value in another type, by numpy's name for it."""
        from onnx import helper

        return self.add("Cast", value, to=helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))

    def join(self, pieces: Sequence[str]) -> str:
        """A tensor in pieces. It is put together only where something needs the whole of it."""
        whole = self.add("Concat", *pieces, axis=0)
        self.pieces[whole] = list(pieces)
        return whole

    def overwrite(self, before: str, indices: str, update: str) -> str:
        """A tensor with some of its numbers replaced."""
        after = self.add("ScatterND", before, indices, update)
        self.overwrites[after] = (before, indices, update)
        return after

    def constant(self, value: Any, dtype: str | None = None) -> str:
        """A constant's name. Small ones of equal content are one."""
        array = np.ascontiguousarray(value, dtype)
        array = array.reshape(np.shape(value))  # the line above makes a scalar a vector
        if array.nbytes > LARGEST_INSIDE_BYTES:
            name = self.name("weights")
            self.initializers[name] = array
            return name
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self._interned:
            name = self._interned[key] = self.name("constant")
            self.initializers[name] = array
        return self._interned[key]

    def shape(self, lengths: Sequence[int]) -> str:
        """Lengths, axes or indices as ONNX takes them."""
        return self.constant(np.array(lengths, np.int64).reshape(-1))


class Scope(Protocol):
    """What a translator may ask of the translation it is part of."""

    graph: OnnxGraph
    opset: int
    elements: dict[str, list[int | None]]  # of lists put together from constants and computed numbers, by name

    def onnx_name(self, argument: Argument) -> str: ...  # noqa: D102 - said by `Call`

    def type_of(self, argument: Argument) -> TensorType: ...  # noqa: D102

    def known(self, argument: Argument) -> Array | None: ...  # noqa: D102

    def is_known(self, argument: Argument) -> bool: ...  # noqa: D102

    def inner(self, block: Block, inputs: Sequence[str]) -> tuple[OnnxGraph, list[str]]: ...  # noqa: D102


class Call:
    """One operator of the program, with its arguments as ONNX values or, where the program knows them, as numbers."""

    def __init__(self, operation: Operation, scope: Scope) -> None:
        self.operation = operation
        self.scope = scope
        self.graph = scope.graph
        self.add = scope.graph.add
        self.shape_constant = scope.graph.shape

    def refuse(self, reason: str) -> Unsupported:
        """The error for what this operator does and the reference execution does not."""
        name = self.operation.outputs[0].name if self.operation.outputs else "?"
        return Unsupported(f"the operator {self.operation.kind} ({name}): {reason}")

    def given(self, name: str) -> bool:
        """Whether an optional input is there."""
        return bool(self.operation.inputs.get(name))

    def arguments(self, name: str) -> tuple[Argument, ...]:
        """The arguments of an input. Raises `ModelFailure` where there are none."""
        found = self.operation.inputs.get(name)
        if not found:
            raise ModelFailure(f"the operator {self.operation.kind} lacks its input {name!r}; save the model again")
        return found

    def tensor(self, name: str) -> str:
        """An input as an ONNX value."""
        return self.scope.onnx_name(self.arguments(name)[0])

    def tensors(self, name: str) -> list[str]:
        """All values of an input that takes several."""
        return [self.scope.onnx_name(argument) for argument in self.arguments(name)]

    def type(self, name: str, index: int = 0) -> TensorType:
        """What an input is."""
        return self.scope.type_of(self.arguments(name)[index])

    def is_float(self, name: str) -> bool:
        """Whether an input is computed in float32."""
        return working_dtype(self.type(name).dtype) == "float32"

    def output_dtype(self, index: int = 0) -> str:
        """What an output is computed in."""
        return working_dtype(self.operation.outputs[index].type.dtype)

    def shape(self, name: str, index: int = 0) -> tuple[Dimension, ...]:
        """An input's lengths, None for those known at run time only. Raises `Unsupported` where the rank is not."""
        shape = self.type(name, index).shape
        if shape is None:
            raise self.refuse(f"{name!r} has no fixed number of dimensions")
        return shape

    def rank(self, name: str) -> int:
        """How many dimensions an input has."""
        return len(self.shape(name))

    def axis(self, name: str, of: str, default: int | None = None) -> int:
        """An axis of the input `of`, counted from the first."""
        axis, rank = int(self.number(name, default)), self.rank(of)
        if not -rank <= axis < max(rank, 1):
            raise ModelFailure(f"the operator {self.operation.kind}: no axis {axis} in {rank} dimensions")
        return axis % max(rank, 1)

    def is_known(self, name: str) -> bool:
        """Whether an input is there and constant; asking costs nothing."""
        return self.given(name) and self.scope.is_known(self.arguments(name)[0])

    def known(self, name: str) -> Array | None:
        """An input's numbers where the program knows them; None where it is computed, or left out."""
        return self.scope.known(self.arguments(name)[0]) if self.given(name) else None

    def constant(self, name: str) -> Array:
        """An input's numbers. Raises `Unsupported` where they are known at run time only."""
        value = self.known(name)
        if value is None:
            self.arguments(name)
            raise self.refuse(f"{name!r} is not constant")
        return value

    def number(self, name: str, default: Any = None) -> Any:
        """A constant of one number, as Python has it."""
        if default is not None and not self.given(name):
            return default
        value = self.constant(name)
        if value.size != 1:
            raise ModelFailure(f"the operator {self.operation.kind}: {name!r} has {value.size} numbers and not one")
        return value.reshape(-1)[0].item()

    def numbers(self, name: str, default: Sequence[int] | None = None) -> list[int]:
        """A constant list of whole numbers."""
        if default is not None and not self.given(name):
            return list(default)
        return [int(number) for number in self.constant(name).reshape(-1)]

    def elements(self, name: str) -> list[int | None]:
        """A list of whole numbers, None for each that is known at run time only."""
        if self.is_known(name):
            return list(self.numbers(name))
        (argument,) = self.arguments(name)
        found = self.scope.elements.get(argument) if isinstance(argument, str) else None
        return found if found is not None else [None] * (self.shape(name)[0] or 0)

    def text(self, name: str, default: str | None = None) -> str:
        """A constant text."""
        return str(self.number(name, default))

    def indices(self, length: int) -> Array:
        """0, 1, ... to a length. Raises `Unsupported` for one that no dimension has."""
        if length > _LONGEST_INDEXED:
            raise self.refuse(f"a dimension of {length}, longer than {_LONGEST_INDEXED}")
        return np.arange(length, dtype=np.int64)

    def scalar(self, value: float) -> str:
        """A constant of the type that the output is computed in."""
        return self.graph.constant(value, self.output_dtype())

    def cast(self, value: str, dtype: str) -> str:
        """A value in another type, by numpy's name for it."""
        return self.graph.cast(value, dtype)

    def int64(self, name: str) -> str:
        """An input of whole numbers as ONNX takes lengths and indices; of one dimension at least."""
        value = self.known(name)
        if value is not None:
            return self.graph.constant(np.atleast_1d(value).astype(np.int64))
        wide = self.cast(self.tensor(name), "int64")
        return wide if self.rank(name) else self.add("Reshape", wide, self.shape_constant([1]))


Translator = Callable[[Call], Union[str, Sequence[str]]]
Table = Mapping[str, Translator]
