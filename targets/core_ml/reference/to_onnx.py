"""Translates an ML program into an ONNX graph: by operators, weights decompressed, states as inputs and outputs.

Every operator is looked up before anything is computed, so that a program with some that are not known says so at once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from benchharness.errors import ModelFailure, Unsupported
from targets.core_ml.program import Argument, Block, Constant, Operation, Program, TensorType
from targets.core_ml.reference.constants import Constants
from targets.core_ml.reference.graph import (
    IR_VERSION,
    LARGEST_INSIDE_BYTES,
    OPSET,
    Call,
    OnnxGraph,
    widen,
    working_dtype,
)
from targets.core_ml.reference.operators import OPERATORS

if TYPE_CHECKING:
    from benchharness.contract import Array

#: Numbers above which no value that is computed has any: 2^33 of them are 32 GB.
_MOST_NUMBERS = 1 << 33

#: A state of so many dimensions and no more pieces along the first is taken apart: the caches of a model's layers.
_FEWEST_DIMENSIONS, _MOST_PIECES = 4, 128

#: Operators on states and of classifiers, which are handled here.
_READ_STATE, _WRITE_STATES = "read_state", ("write_state", "coreml_update_state")
_CLASSIFY = "classify"
HANDLED = {_READ_STATE, *_WRITE_STATES, _CLASSIFY}


@dataclass(frozen=True)
class Classes:
    """What a classifier makes of its probabilities: the likeliest label, and every label's probability."""

    label: str  # names of the two outputs
    probabilities: str
    labels: Sequence[Any]


@dataclass(frozen=True)
class StatePart:
    """A state, or a piece of one: what goes in and what comes out. `after` is None for what is never written."""

    before: str
    after: str | None
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Translated:
    """A program as ONNX. Names are those of ONNX values; the keys are the program's."""

    model: Any  # onnx.ModelProto without the numbers of `weights`
    weights: Mapping[str, Array]  # ONNX Runtime computes with this memory, so it must outlive the session
    inputs: Mapping[str, str]
    outputs: Mapping[str, str]
    states: Sequence[StatePart]
    classes: Classes | None


def count_operators(program: Program) -> dict[str, int]:
    """The main function's operators by name, the most frequent first; constants are none."""
    operations = program.main.block.all_operations()
    return dict(Counter(each.kind for each in operations if not each.is_constant).most_common())


def translate(program: Program, constants: Constants) -> Translated:
    """Translates the main function. Raises `Unsupported` for operators that are not known, all of them named."""
    unknown = {
        kind: count for kind, count in count_operators(program).items() if kind not in OPERATORS and kind not in HANDLED
    }
    if unknown:
        named = ", ".join(f"{kind} ({count})" for kind, count in unknown.items())
        raise Unsupported(f"{program.package.artefact}: operators that the reference execution lacks: {named}")
    try:
        return _Translation(program, constants).translate()
    except (ValueError, IndexError, KeyError, TypeError, OverflowError) as error:
        raise ModelFailure(
            f"{program.package.artefact}: the program makes no sense ({type(error).__name__}: {error}); save it again"
        ) from error
    except (ModelFailure, Unsupported) as error:
        raise type(error)(f"{program.package.artefact}: {error}") from error


class _Translation:
    """The translation of one block; that of the function, or of a block inside it."""

    def __init__(self, program: Program, constants: Constants, outer: _Translation | None = None) -> None:
        self.program = program
        self.opset = program.opset
        self.constants = constants
        self.outer = outer
        self.graph: OnnxGraph = OnnxGraph(outer.graph if outer else None)
        self.values: dict[str, str] = dict(outer.values) if outer else {}
        self.types: dict[str, TensorType] = dict(outer.types) if outer else {}
        self.states: dict[str, str] = {}
        self.rounded: set[str] = set()  # values that a float16 holds exactly
        self.renamed: dict[str, str] = {}  # values of which an output has the name
        self.elements: dict[str, list[int | None]] = outer.elements if outer else {}
        self.classes: Classes | None = None

    def translate(self) -> Translated:
        main = self.program.main
        given = [each for each in main.inputs if not each.type.is_state]
        for each in given:
            self._define(each.name, f"in:{each.name}", each.type)
        held = {each.name: self._hold(each.name, each.type) for each in main.inputs if each.type.is_state}
        self._operations(main.block.operations)
        outputs = {name: f"out:{name}" for name in main.block.outputs if not self._is_label(name)}
        for name, onnx_name in outputs.items():
            self._give_out(self.onnx_name(name), onnx_name)
        states = [part for name, parts in held.items() for part in self._release(name, parts)]
        taken = [_value_info(f"in:{each.name}", each.type, each.name) for each in given]
        made = [_value_info(onnx_name, self.types[name]) for name, onnx_name in outputs.items()]
        for part in states:
            taken.append(_value_info(part.before, TensorType("float32", part.shape)))
            if part.after is not None:
                made.append(_value_info(part.after, TensorType("float32", part.shape)))
        model, weights = self._model(taken, made)
        return Translated(
            model=model,
            weights=weights,
            inputs={each.name: f"in:{each.name}" for each in given},
            outputs=outputs,
            states=states,
            classes=self.classes,
        )

    def _hold(self, name: str, type_: TensorType) -> list[str]:
        """Takes a state in, in pieces where it is many things along its first dimension; the names of the pieces.

        A program overwrites the cache of one layer in a tensor of all of them: in pieces, only that layer's is copied.
        """
        if type_.shape is None or None in type_.shape or working_dtype(type_.dtype) != "float32":
            raise Unsupported(f"the state {name!r} of {type_.dtype} and shape {type_.shape}")
        self._define(name, f"state:{name}", type_)
        first = type_.shape[0] if len(type_.shape) >= _FEWEST_DIMENSIONS else None
        names = [f"state:{name}"]
        if first is not None and 1 < first <= _MOST_PIECES:
            names = [f"state:{name}:{index}" for index in range(first)]
            self.values[name] = self.graph.join(names)
        self.rounded.update((self.values[name], *names))
        self.states[name] = self.values[name]
        return names

    def _release(self, name: str, before: Sequence[str]) -> list[StatePart]:
        """Gives out the pieces of a state that have changed."""
        shape = tuple(length or 0 for length in self.types[name].shape or ())
        whole, after = self.states[name], [self.states[name]]
        if len(before) > 1:
            shape = (1, *shape[1:])
            after = self.graph.pieces.get(whole) or self.graph.add_many(
                "Split", [whole], len(before), axis=0, num_outputs=len(before)
            )
        parts = []
        for index, (old, new) in enumerate(zip(before, after)):
            if new == old:
                parts.append(StatePart(old, None, shape))
                continue
            parts.append(StatePart(old, f"next:{name}:{index}", shape))
            self._give_out(new, f"next:{name}:{index}")
        return parts

    def _give_out(self, value: str, onnx_name: str) -> None:
        """Makes a value an output: under that name where an operator makes it, which saves a copy of every cache."""
        from onnx import helper

        if value in self.renamed or not any(value in node.output for node in reversed(self.graph.nodes)):
            self.graph.nodes.append(helper.make_node("Identity", [value], [onnx_name]))
        else:
            self.renamed[value] = onnx_name

    def onnx_name(self, argument: Argument) -> str:
        """The ONNX value of an argument; a constant becomes one when it is first asked for."""
        if isinstance(argument, Constant):
            return self.graph.constant(widen(self.constants.value(argument)))
        if argument not in self.values:
            if argument not in self.constants:
                raise ModelFailure(f"the value {argument!r} is used and made by no operator; save the model again")
            self.values[argument] = self.graph.constant(widen(self.constants.value(argument)))
        return self.values[argument]

    def type_of(self, argument: Argument) -> TensorType:
        """What a value is. An argument that no operator made yet is refused."""
        if isinstance(argument, Constant):
            return argument.type
        if argument in self.types:
            return self.types[argument]
        if argument in self.constants:
            maker = self.constants.maker(argument)
            return next(output.type for output in maker.outputs if output.name == argument)
        raise ModelFailure(f"the value {argument!r} is used and made by no operator; save the model again")

    def is_known(self, argument: Argument) -> bool:
        """Whether the program states a value."""
        return isinstance(argument, Constant) or argument in self.constants

    def known(self, argument: Argument) -> Array | None:
        """A constant's own numbers, None for what is computed."""
        return self.constants.value(argument) if self.is_known(argument) else None

    def inner(self, block: Block, inputs: Sequence[str]) -> tuple[OnnxGraph, list[str]]:
        """Translates a block inside an operator, its inputs being these ONNX values; the graph, and its outputs."""
        inside = _Translation(self.program, self.constants, self)
        for each, onnx_name in zip(block.inputs, inputs):
            inside._define(each.name, onnx_name, each.type)
        inside._operations(block.operations)
        return inside.graph, [inside.onnx_name(name) for name in block.outputs]

    def _define(self, name: str, onnx_name: str, type_: TensorType) -> None:
        if (type_.numbers or 0) > _MOST_NUMBERS:
            raise ModelFailure(f"the value {name!r} is said to have {type_.numbers} numbers; no machine holds them")
        self.values[name] = onnx_name
        self.types[name] = type_

    def _operations(self, operations: Sequence[Operation]) -> None:
        for operation in operations:
            if operation.is_constant:
                continue
            if operation.kind in HANDLED:
                self._handle(operation)
                continue
            call = Call(operation, self)
            made = OPERATORS[operation.kind](call)
            names = [made] if isinstance(made, str) else list(made)
            if len(names) < len(operation.outputs):
                raise ModelFailure(f"the operator {operation.kind} has {len(names)} outputs, not as many as are named")
            for output, onnx_name in zip(operation.outputs, names):
                self._define(output.name, onnx_name, output.type)

    def _handle(self, operation: Operation) -> None:
        call = Call(operation, self)
        if self.outer is not None:
            raise call.refuse("inside a loop or a condition")
        if operation.kind == _CLASSIFY:
            self._classify(call)
            return
        (state,) = call.arguments("state" if operation.kind == "coreml_update_state" else "input")
        if not isinstance(state, str) or state not in self.states:
            raise ModelFailure(f"the operator {operation.kind} names no state of the model; save it again")
        if operation.kind in _WRITE_STATES:
            value = "value" if operation.kind == "coreml_update_state" else "data"
            if call.type(value).shape != self.types[state].shape:
                raise ModelFailure(f"the state {state!r} is overwritten by a tensor of another shape; save it again")
            written = call.tensor(value)
            self.states[state] = self._round(written) if self.types[state].dtype == "float16" else written
        for output in operation.outputs:
            self._define(output.name, self.states[state], TensorType(self.types[state].dtype, self.types[state].shape))

    def _round(self, value: str) -> str:
        """What is left of a value in a float16 state. Where a part of a state was overwritten, that part is rounded."""
        if value in self.rounded:
            return value
        before, indices, update = self.graph.overwrites.get(value, ("", "", ""))
        if value in self.graph.pieces:
            exact = self.graph.join([self._round(piece) for piece in self.graph.pieces[value]])
        elif before in self.rounded:
            exact = self.graph.overwrite(before, indices, self._round(update))
        else:
            exact = self.graph.cast(self.graph.cast(value, "float16"), "float32")
        self.rounded.add(exact)
        return exact

    def _classify(self, call: Call) -> None:
        label, probabilities = (output.name for output in call.operation.outputs)
        self._define(probabilities, call.tensor("probabilities"), call.type("probabilities"))
        self.classes = Classes(label, probabilities, call.constant("classes").tolist())

    def _is_label(self, name: str) -> bool:
        return self.classes is not None and name == self.classes.label

    def _model(self, inputs: list[Any], outputs: list[Any]) -> tuple[Any, dict[str, Array]]:
        """The ONNX model, and the constants that stay outside it because a protobuf ends at two gigabytes."""
        from onnx import TensorProto, helper, numpy_helper

        initializers, outside = [], {}
        for name, array in self.graph.initializers.items():
            if array.nbytes <= LARGEST_INSIDE_BYTES or array.dtype.kind in "OUS":
                initializers.append(numpy_helper.from_array(array, name))
                continue
            tensor = TensorProto(name=name, dims=array.shape, data_location=TensorProto.EXTERNAL)
            tensor.data_type = helper.np_dtype_to_tensor_dtype(array.dtype)
            tensor.external_data.add(key="location", value="weights")
            initializers.append(tensor)
            outside[name] = array
        for node in self.graph.nodes:
            _rename(node, self.renamed)
        nodes = _needed(self.graph.nodes, {each.name for each in outputs})
        graph = helper.make_graph(nodes, "main", inputs, outputs, initializers)
        opset = helper.make_opsetid("", OPSET)
        return helper.make_model(graph, opset_imports=[opset], ir_version=IR_VERSION), outside


def _rename(node: Any, names: Mapping[str, str]) -> None:
    """Gives values new names, in graphs inside a node too."""
    for listed in (node.input, node.output):
        for index, name in enumerate(listed):
            if name in names:
                listed[index] = names[name]
    for attribute in node.attribute:
        for inside in attribute.g.node:
            _rename(inside, names)


def _needed(nodes: Sequence[Any], outputs: set[str]) -> list[Any]:
    """The nodes that the outputs depend on: ONNX Runtime computes every node, and copies what two of them use."""
    wanted, kept = set(outputs), []
    for node in reversed(nodes):
        if wanted.isdisjoint(node.output):
            continue
        kept.append(node)
        wanted.update(_used(node))
    return kept[::-1]


def _used(node: Any) -> Iterator[str]:
    """The names of values that a node reads, in graphs inside it too."""
    yield from node.input
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield from (output.name for output in attribute.g.output)
            for inside in attribute.g.node:
                yield from _used(inside)


def _value_info(onnx_name: str, type_: TensorType, dimension: str = "") -> Any:
    """An input or output of the graph. Lengths that are not fixed have names of their own, so that they may differ."""
    from onnx import TensorProto, helper

    elements = {"float32": TensorProto.FLOAT, "int32": TensorProto.INT32, "bool": TensorProto.BOOL}
    dtype = working_dtype(type_.dtype)
    if dtype not in elements:
        raise Unsupported(f"{onnx_name}: an input or output of type {type_.dtype}")
    if type_.shape is None:
        raise Unsupported(f"{onnx_name}: an input or output without a fixed number of dimensions")
    shape = [
        length if length is not None else f"{dimension}_{axis}" if dimension else None
        for axis, length in enumerate(type_.shape)
    ]
    return helper.make_tensor_value_info(onnx_name, elements[dtype], shape)
