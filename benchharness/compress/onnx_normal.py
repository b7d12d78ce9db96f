"""Brings an ONNX model into the form that the tools of onnxruntime expect, without changing what it computes.

The tools take weights from the initializers of the graph that they work on. What people have keeps them elsewhere: in
`Constant` operators (PaddlePaddle, older exporters), in the branches of an `If` (silero-vad), in functions of the model
(torch.onnx), among the inputs (IR version 3), or has an operator set from before the operators that a tool writes.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import inliner, numpy_helper, version_converter

from benchharness.compress.onnx_graph import FLOATS, graphs_in, graphs_of, is_standard, weighted
from benchharness.errors import Unsupported

#: Files up to here list initializers among the inputs; a default that a caller may override is something else.
_LAST_IR_WITH_WEIGHTS_AS_INPUTS = 3
#: What a model of such an old file becomes: the first where that is not needed.
_IR = 4
#: Layers whose third input is a bias.
_BIASED = ("Conv", "ConvTranspose", "Gemm")
#: Equal weights of so many bytes become one: inlining a function that is called twice doubles its weights.
_LARGE_ENOUGH_TO_SHARE = 1024


def normalised(source: Path, least_opset: int, *, external: bool) -> Path:
    """The model as the tools want it: itself, or a copy beside it. Raises `Unsupported` where that can't be.

    `source` lies in a scratch folder, with its weights.
    """
    graph = onnx.load(source, load_external_data=False)
    if not _wants(graph, least_opset):
        return source
    model = onnx.load(source)
    if model.functions:
        model = _inlined(model, source.name)
    _drop_weights_from_inputs(model)
    lift_constants(model)
    keep_weights_where_they_are_used(model)
    name_nodes(model)
    if opset_of(model) < least_opset:
        model = _converted(model, least_opset, source.name)
    place = source.with_name(f"normal-{source.name}")
    onnx.save_model(model, place, save_as_external_data=external, location=f"{place.name}.data")
    return place


def opset_of(model: onnx.ModelProto) -> int:
    """The version of ONNX's own operators that a model uses."""
    return max((each.version for each in model.opset_import if each.domain in ("", "ai.onnx")), default=1)


def _wants(model: onnx.ModelProto, least_opset: int) -> bool:
    inputs = {value.name for value in model.graph.input}
    return (
        bool(model.functions)
        or opset_of(model) < least_opset
        or any(_float_constant(node) is not None for scope in graphs_of(model) for node in scope.graph.node)
        or any(weighted(model).nested.values())
        or (
            model.ir_version <= _LAST_IR_WITH_WEIGHTS_AS_INPUTS
            and any(tensor.name in inputs for tensor in model.graph.initializer)
        )
    )


def _inlined(model: onnx.ModelProto, name: str) -> onnx.ModelProto:
    called = len(model.functions)
    try:
        return inliner.inline_local_functions(model, convert_version=True)
    except Exception as error:  # the tool's own, of no common class
        raise Unsupported(
            f"{name}: its {called} functions cannot be replaced by their operators, which the tools need "
            f"({error}); export the model anew without functions"
        ) from error


def _converted(model: onnx.ModelProto, least: int, name: str) -> onnx.ModelProto:
    words = f"{name}: written for ONNX's operator set {opset_of(model)}, and this recipe needs {least} or later"
    try:
        converted = version_converter.convert_version(model, least)
        onnx.checker.check_model(converted)
    except Exception as error:  # the tool's own, of no common class
        raise Unsupported(f"{words}; it cannot be converted ({error}); export the model anew") from error
    converted.ir_version = max(converted.ir_version, _IR)
    return converted


def _drop_weights_from_inputs(model: onnx.ModelProto) -> None:
    if model.ir_version > _LAST_IR_WITH_WEIGHTS_AS_INPUTS:
        return
    stored = {tensor.name for tensor in model.graph.initializer}
    kept = [value for value in model.graph.input if value.name not in stored]
    del model.graph.input[:]
    model.graph.input.extend(kept)
    model.ir_version = _IR


# Constants.


def lift_constants(model: onnx.ModelProto) -> None:
    """Makes initializers of `Constant` operators of floats, each in its own graph, under a name met nowhere else."""
    taken = Counter(name for scope in graphs_of(model) for name in _defined(scope.graph))
    for scope in graphs_of(model, functions=False):
        _lift(scope.graph, taken, nested=scope.depth > 0)


def _defined(graph: Any) -> set[str]:
    names = {tensor.name for tensor in graph.initializer} if hasattr(graph, "initializer") else set()
    return names.union(*(node.output for node in graph.node)) - {""}


def _lift(graph: Any, taken: Counter[str], *, nested: bool) -> None:
    given_out = {value.name for value in graph.output}
    known: dict[tuple[int, tuple[int, ...], bytes], str] = {}
    renamed: dict[str, str] = {}
    for tensor in graph.initializer if nested else ():
        new = tensor.name if tensor.name in given_out else _free(tensor.name, taken)
        if new != tensor.name:
            renamed[tensor.name] = new
            tensor.name = new
    kept = []
    for node in graph.node:
        tensor = _float_constant(node)
        if tensor is None or node.output[0] in given_out:
            kept.append(node)
            continue
        old = node.output[0]
        new = _free(old, taken)
        key = _content(tensor)
        if key is not None and known.setdefault(key, new) != new:
            renamed[old] = known[key]
            continue
        lifted = graph.initializer.add()
        lifted.CopyFrom(tensor)
        lifted.name = new
        if new != old:
            renamed[old] = new
    if len(kept) != len(graph.node):
        lifted_names = {node.output[0] for node in graph.node if _float_constant(node) is not None} - given_out
        kept_values = [value for value in graph.value_info if value.name not in lifted_names]
        kept = [_copied(node) for node in kept]
        del graph.node[:], graph.value_info[:]
        graph.node.extend(kept)
        graph.value_info.extend(kept_values)
    _rename(graph, renamed)


def _copied(node: Any) -> Any:
    copy = onnx.NodeProto()
    copy.CopyFrom(node)
    return copy


def _float_constant(node: Any) -> Any | None:
    """The floats that a `Constant` operator gives; None for any other."""
    if not is_standard(node, "Constant") or not node.output:
        return None
    for attribute in node.attribute:
        if attribute.name == "value" and attribute.t.data_type in FLOATS:
            return attribute.t
        if attribute.name == "value_float":
            return numpy_helper.from_array(np.array(attribute.f, np.float32))
        if attribute.name == "value_floats":
            return numpy_helper.from_array(np.array(attribute.floats, np.float32))
    return None


def _free(name: str, taken: Counter[str]) -> str:
    """The name itself where one graph alone has it (branches may share one), else one with a number."""
    if taken[name] <= 1:
        return name
    number = 1
    while taken[f"{name}.{number}"]:
        number += 1
    taken[name] -= 1
    taken[f"{name}.{number}"] += 1
    return f"{name}.{number}"


def _content(tensor: Any) -> tuple[int, tuple[int, ...], bytes] | None:
    values = numpy_helper.to_array(tensor)
    if values.nbytes < _LARGE_ENOUGH_TO_SHARE:
        return None
    return tensor.data_type, tuple(tensor.dims), hashlib.sha256(values.tobytes()).digest()


def _rename(graph: Any, names: Mapping[str, str]) -> None:
    """Renames what a graph and those nested in it take in."""
    if not names:
        return
    for node in graph.node:
        for position, name in enumerate(node.input):
            node.input[position] = names.get(name, name)
        for inner in graphs_in(node):
            _rename(inner, names)
            for value in inner.output:  # a branch may give out a value of the graph around it
                value.name = names.get(value.name, value.name)


# Where weights lie.


def keep_weights_where_they_are_used(model: onnx.ModelProto) -> None:
    """Moves weights that one nested graph alone takes into it: the tools look for them there."""
    used: dict[str, list[Any]] = {}
    given_out: set[str] = set()
    for scope in graphs_of(model, functions=False):
        given_out.update(value.name for value in scope.graph.output)
        for name in {name for node in scope.graph.node for name in node.input if name}:
            used.setdefault(name, []).append(scope.graph)
    main = model.graph
    staying = []
    for tensor in main.initializer:
        users = used.get(tensor.name, [])
        alone = len(users) == 1 and users[0] is not main and tensor.name not in given_out
        if alone and tensor.data_type in FLOATS:
            users[0].initializer.add().CopyFrom(tensor)
        else:
            copy = onnx.TensorProto()
            copy.CopyFrom(tensor)
            staying.append(copy)
    if len(staying) != len(main.initializer):
        del main.initializer[:]
        main.initializer.extend(staying)


def name_nodes(model: onnx.ModelProto) -> None:
    """Gives every node without a name one: the tools are told by names what to leave alone."""
    taken = {node.name for scope in graphs_of(model) for node in scope.graph.node}
    number = 0
    for scope in graphs_of(model):
        for node in scope.graph.node:
            while not node.name:
                number += 1
                if f"node_{number}" not in taken:
                    node.name = f"node_{number}"


# What single tools stumble over.


def settle_biases(model: onnx.ModelProto) -> bool:
    """Gives every layer of the main graph a bias of its own, of one axis: a number a column, the same by broadcasting.

    `quantize_static` takes no others for `Gemm`, and the optimizer that runs before it makes them ("truth value of an
    array"). For a bias that layers share it invents names, which may be those of other tensors. A bias that differs
    from row to row becomes an addition of its own. Says whether there was anything to change.
    """
    stored = {tensor.name: tensor for tensor in model.graph.initializer}
    uses = Counter(name for scope in graphs_of(model) for node in scope.graph.node for name in node.input)
    taken = {name for scope in graphs_of(model) for node in scope.graph.node for name in (*node.input, *node.output)}
    nodes: list[Any] = []
    changed = False
    for node in model.graph.node:
        nodes.append(_copied(node))
        if node.op_type not in _BIASED or len(node.input) < 3 or node.input[2] not in stored:
            continue
        bias = numpy_helper.to_array(stored[node.input[2]])
        columns = _columns(node, stored) if is_standard(node, "Gemm") else bias.size
        if columns is None or (bias.shape == (columns,) and uses[node.input[2]] == 1):
            continue
        changed = True
        name = _another(node.input[2], taken)
        if bias.size not in (1, columns) or (bias.size == columns != 1 and bias.shape[-1] != columns):
            _add_apart(nodes, model, bias, name)
            continue
        flat = np.ascontiguousarray(np.broadcast_to(bias.reshape(-1), (columns,)))
        model.graph.initializer.append(numpy_helper.from_array(flat, name))
        nodes[-1].input[2] = name
    if not changed:
        return False
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    _drop_unused(model)
    return True


def _columns(gemm: Any, stored: Mapping[str, Any]) -> int | None:
    weights = stored.get(gemm.input[1])
    if weights is None or len(weights.dims) != 2:
        return None
    transposed = any(each.name == "transB" and each.i for each in gemm.attribute)
    return int(weights.dims[0] if transposed else weights.dims[1])


def _another(name: str, taken: set[str]) -> str:
    number = 1
    while f"{name}.{number}" in taken:
        number += 1
    taken.add(f"{name}.{number}")
    return f"{name}.{number}"


def _add_apart(nodes: list[Any], model: onnx.ModelProto, bias: Any, name: str) -> None:
    gemm = nodes[-1]
    beta = next((each.f for each in gemm.attribute if each.name == "beta"), 1.0)
    product, output = f"{name}.product", gemm.output[0]
    model.graph.initializer.append(numpy_helper.from_array((bias * beta).astype(bias.dtype), name))
    del gemm.input[2:]
    gemm.output[0] = product
    nodes.append(onnx.helper.make_node("Add", [product, name], [output], name=f"{gemm.name}.bias"))


def _drop_unused(model: onnx.ModelProto) -> None:
    used = {name for scope in graphs_of(model) for node in scope.graph.node for name in node.input}
    used.update(value.name for value in model.graph.output)
    kept = [tensor for tensor in model.graph.initializer if tensor.name in used]
    if len(kept) != len(model.graph.initializer):
        copies = [onnx.TensorProto.FromString(tensor.SerializeToString()) for tensor in kept]
        del model.graph.initializer[:]
        model.graph.initializer.extend(copies)


def nodes_where(model: onnx.ModelProto, condition: Callable[[Any, Mapping[str, Any]], bool]) -> list[str]:
    """Names of nodes of which something holds, told with the tensors that their own graph stores."""
    found = []
    for scope in graphs_of(model, functions=False):
        stored = {tensor.name: tensor for tensor in scope.graph.initializer}
        found += [node.name for node in scope.graph.node if node.name and condition(node, stored)]
    return found
