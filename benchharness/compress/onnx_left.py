"""Which operators of an ONNX graph a recipe leaves as they are, and whether its tool really did."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

import onnx

from benchharness.compress.onnx_graph import graphs_of, taking
from benchharness.compress.onnx_normal import name_nodes
from benchharness.errors import Unsupported

#: What onnxruntime calls the MatMul that it makes of a Gemm before it looks which nodes to leave: after it, and this.
_OF_GEMM = "_MatMul"


def named(source: Path, weights: Collection[str], *, external: bool) -> tuple[Path, list[str]]:
    """The model with a name for every node, and what the tools may call the nodes that take these weights.

    The model as it is where no weights are given.

    Raises `Unsupported` for a weight that no operator of the main graph takes.
    """
    if not weights:
        return source, []
    model = onnx.load(source)
    name_nodes(model)
    path = source.with_name(f"left-{source.name}")
    onnx.save_model(model, path, save_as_external_data=external, location=f"{path.name}.data")
    left = taking(model, weights)
    if not left:
        raise Unsupported(
            f"no operator takes the weights {', '.join(sorted(weights)[:3])}: nothing can be left as it is"
        )
    return path, [*left, *(f"{name}{_OF_GEMM}" for name in left)]


def check_left(made: onnx.ModelProto, left: Sequence[str]) -> None:
    """Raises `Unsupported` where a tool has compressed what it was told to leave, or it cannot be found any more."""
    floats = set(taking(made, _stored(made)))
    names = [name for name in left if not name.endswith(_OF_GEMM) or name.removesuffix(_OF_GEMM) not in left]
    gone = [name for name in names if not {name, f"{name}{_OF_GEMM}"} & floats]
    if gone:
        raise Unsupported(f"the tool did not leave {gone[0]!r} as it was ({len(gone)} of {len(names)} such operators)")


def _stored(made: onnx.ModelProto) -> set[str]:
    return {tensor.name for tensor in made.graph.initializer} | {
        node.output[0] for node in made.graph.node if node.op_type == "Constant"
    }


def convolutions_with_weights_elsewhere(model: onnx.ModelProto) -> list[str]:
    """Convolutions in nested graphs whose weights several graphs share: the tool takes their own graph's only."""
    return [
        node.name
        for scope in graphs_of(model, functions=False)
        if scope.depth
        for node in scope.graph.node
        if node.op_type == "Conv" and node.input[1] not in {tensor.name for tensor in scope.graph.initializer}
    ]
