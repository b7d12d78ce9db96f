"""What is in a `.tflite` file: its graphs, operators, stored tensors and signatures. Reads no weights.

The files are not trusted: a reader here raises `ValueError` for whatever cannot be, and never runs long (see
`wire`). It goes through every table that a runtime reads, so it serves runtimes that do not check files as well.
Format: https://github.com/google-ai-edge/LiteRT/blob/main/tflite/converter/schema/schema.fbs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from targets.tflite.schema import IDENTIFIER, read_code, read_names
from targets.wire.flatbuffers import Table, Wire

# Field numbers of schema.fbs.
_MODEL_VERSION, _MODEL_CODES, _MODEL_GRAPHS, _MODEL_DESCRIPTION, _MODEL_BUFFERS = 0, 1, 2, 3, 4
_MODEL_METADATA_BUFFERS, _MODEL_METADATA, _MODEL_SIGNATURES, _MODEL_GROUPS, _MODEL_EXTERNAL = 5, 6, 7, 8, 9
_GRAPH_TENSORS, _GRAPH_INPUTS, _GRAPH_OUTPUTS, _GRAPH_OPERATORS, _GRAPH_NAME = 0, 1, 2, 3, 4
_TENSOR_SHAPE, _TENSOR_TYPE, _TENSOR_BUFFER, _TENSOR_NAME, _TENSOR_QUANTIZATION = 0, 1, 2, 3, 4
_TENSOR_VARIABLE, _TENSOR_SPARSITY, _TENSOR_OPEN_SHAPE, _TENSOR_VARIANTS, _TENSOR_EXTERNAL = 5, 6, 7, 9, 10
_QUANTIZATION_MIN, _QUANTIZATION_MAX, _QUANTIZATION_SCALE, _QUANTIZATION_ZERO = 0, 1, 2, 3
_QUANTIZATION_KIND, _QUANTIZATION_DETAILS, _QUANTIZATION_AXIS = 4, 5, 6
_KIND_CUSTOM, _KIND_BLOCKWISE = 1, 2
_BLOCKS_SCALES, _BLOCKS_ZEROS, _BLOCKS_SIZE = 0, 1, 2
_SPARSITY_ORDER, _SPARSITY_BLOCKS, _SPARSITY_DIMENSIONS = 0, 1, 2
_OPERATOR_CODE, _OPERATOR_INPUTS, _OPERATOR_OUTPUTS, _OPERATOR_OPTIONS_KIND, _OPERATOR_OPTIONS = 0, 1, 2, 3, 4
_OPERATOR_CUSTOM, _OPERATOR_MUTATING, _OPERATOR_INTERMEDIATES = 5, 7, 8
_OPERATOR_LARGE_START, _OPERATOR_LARGE_BYTES, _OPERATOR_OPTIONS2_KIND, _OPERATOR_OPTIONS2 = 9, 10, 11, 12
_BUFFER_DATA, _BUFFER_START, _BUFFER_BYTES = 0, 1, 2
_SIGNATURE_INPUTS, _SIGNATURE_OUTPUTS, _SIGNATURE_KEY, _SIGNATURE_GRAPH = 0, 1, 2, 4
_METADATA_NAME, _METADATA_BUFFER = 0, 1
_GROUP_NAME = 0
_EXTERNAL_ID, _EXTERNAL_GROUP, _EXTERNAL_START, _EXTERNAL_BYTES = 0, 1, 2, 3

#: Numbers of `TensorType`: numpy's name, or the schema's where numpy has none, and bits.
TYPES = {
    0: ("float32", 32),
    1: ("float16", 16),
    2: ("int32", 32),
    3: ("uint8", 8),
    4: ("int64", 64),
    5: ("str", 0),
    6: ("bool", 8),
    7: ("int16", 16),
    8: ("complex64", 64),
    9: ("int8", 8),
    10: ("float64", 64),
    11: ("complex128", 128),
    12: ("uint64", 64),
    13: ("resource", 0),
    14: ("variant", 0),
    15: ("uint32", 32),
    16: ("uint16", 16),
    17: ("int4", 4),
    18: ("bfloat16", 16),
    19: ("int2", 2),
    20: ("uint4", 4),
    21: ("float8e4m3fn", 8),
    22: ("float8e5m2", 8),
}
_MIN_VERSION, _LONGEST_VERSION = "min_runtime_version", 32

#: Vectors (bytes of an item) inside operators' options, by number of the options' type and of the field.
_OPTION_VECTORS: Mapping[int, Mapping[int, int]] = {
    3: {1: 4, 2: 4},  # ConcatEmbeddings
    17: {0: 4},  # Reshape
    30: {0: 4},  # Squeeze
    111: {0: 1, 1: 1},  # VarHandle: two texts
    115: {0: 4},  # Bucketize
}
_OPTION2_VECTORS: Mapping[int, Mapping[int, int]] = {
    2: {0: 8},  # BroadcastInDim
    3: {0: 8, 1: 8, 2: 8},  # Slice
    4: {0: 8, 1: 8, 2: 8, 3: 8, 4: 1, 7: 8, 10: 8, 13: 8, 16: 4},  # Convolution
    5: {0: 1, 2: 1, 4: 4, 5: 1},  # CustomCall
    6: {0: 8},  # Reduce
    7: {1: 8, 2: 8, 3: 8},  # Scatter
    9: {0: 8},  # DynamicSlice
    10: {0: 8, 1: 8, 2: 8},  # Pad
    12: {0: 8, 1: 8, 2: 8, 3: 8, 4: 4},  # DotGeneral
    13: {0: 8, 1: 8, 2: 8, 3: 8, 4: 8},  # ReduceWindow
    16: {0: 8, 1: 8, 2: 8, 4: 8},  # Gather
    17: {0: 8},  # Transpose
    21: {0: 1, 2: 1},  # Composite: its name and its attributes
    23: {0: 4},  # Case
}

#: More dimensions than any tensor has, and more inputs or outputs than any operator or graph.
_MOST_DIMENSIONS, _MOST_TENSORS = 64, 1_000_000
#: Zero points longer than this are not looked at.
_MOST_ZERO_POINTS = 1 << 17
LEFT_OUT = -1  # an operator's input that is not given


@dataclass(frozen=True)
class Quantized:
    """How whole numbers of a tensor stand for real ones."""

    scales: int  # how many; 0 where a table of their own holds them
    axis: int
    block: int  # numbers that share a scale; 0: no blocks
    symmetric: bool | None  # whether every zero point is zero; None: cannot be told
    scales_tensor: int | None = None  # of the same graph, for blocks


@dataclass(frozen=True)
class Tensor:
    """A value of a graph. `bytes` is what a stored one takes up in the file or outside it; 0: it is computed."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    open_shape: tuple[int | None, ...]  # None: a length that the file leaves open
    bytes: int
    buffer: int
    quantized: Quantized | None
    variable: bool
    group: str | None = None  # of a buffer outside the file

    @property
    def stored(self) -> bool:
        """Whether the file, or one beside it, holds its numbers."""
        return self.bytes > 0

    @property
    def numbers(self) -> int:
        """How many numbers it has."""
        total = 1
        for length in self.shape:
            total *= length
        return total


@dataclass(frozen=True)
class Operator:
    """One operator of a graph; tensors by number."""

    name: str
    custom: bool
    version: int
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


@dataclass(frozen=True)
class Graph:
    """One subgraph."""

    name: str
    tensors: Sequence[Tensor]
    operators: Sequence[Operator]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


@dataclass(frozen=True)
class SignatureEntry:
    """A declared way to run a graph: names of its tensors."""

    key: str
    graph: int
    inputs: Mapping[str, int]
    outputs: Mapping[str, int]


@dataclass
class Contents:
    """A whole file. The first graph is the main one."""

    version: int = 0
    description: str = ""
    graphs: list[Graph] = field(default_factory=list)
    signatures: list[SignatureEntry] = field(default_factory=list)
    metadata: dict[str, int] = field(default_factory=dict)  # bytes by name
    min_runtime_version: str = ""  # the oldest runtime that knows all operators, as the converter thought
    groups: dict[str, int] = field(default_factory=dict)  # bytes of buffers outside the file, by the group's name
    buffers: int = 0


def read_contents(wire: Wire) -> Contents:
    """Reads a whole file. Raises `ValueError` where it is no TFLite model."""
    model = wire.root(IDENTIFIER)
    contents = Contents(version=model.number(_MODEL_VERSION, "u32"), description=model.text(_MODEL_DESCRIPTION))
    groups = [group.text(_GROUP_NAME) for group in model.children(_MODEL_GROUPS)]
    external: dict[int, tuple[str, int]] = {}
    for one in model.children(_MODEL_EXTERNAL):
        group = _pick(groups, one.number(_EXTERNAL_GROUP, "u32"), "group of external buffers")
        external[one.number(_EXTERNAL_ID, "u32")] = (group, one.number(_EXTERNAL_BYTES, "u64"))
        contents.groups[group] = contents.groups.get(group, 0) + one.number(_EXTERNAL_BYTES, "u64")
    buffers = [_read_buffer(wire, buffer) for buffer in model.children(_MODEL_BUFFERS)]
    contents.buffers = len(buffers)
    codes = [read_code(code) for code in model.children(_MODEL_CODES)]
    for graph in model.children(_MODEL_GRAPHS):
        contents.graphs.append(_read_graph(wire, graph, codes, buffers, external))
    if not contents.graphs:
        raise ValueError("it holds no graph")
    contents.signatures = [_read_signature(entry, contents.graphs) for entry in model.children(_MODEL_SIGNATURES)]
    for entry in model.children(_MODEL_METADATA):
        name = entry.text(_METADATA_NAME)
        start, length = _pick(buffers, entry.number(_METADATA_BUFFER, "u32"), "metadata's buffer")
        contents.metadata[name] = length
        if name == _MIN_VERSION:
            contents.min_runtime_version = _printable(wire, start, min(length, _LONGEST_VERSION))
    for buffer in model.numbers(_MODEL_METADATA_BUFFERS, _MOST_TENSORS):
        _pick(buffers, buffer, "metadata's buffer")
    return contents


def _pick(known: Sequence[Any], number: int, what: str) -> Any:
    if not 0 <= number < len(known):
        raise ValueError(f"{what} {number} of {len(known)}")
    return known[number]


def _printable(wire: Wire, start: int, length: int) -> str:
    """A text that zeros may follow."""
    return bytes(wire.content[start : start + length]).partition(b"\0")[0].decode("utf-8", "replace")


def _read_buffer(wire: Wire, buffer: Table) -> tuple[int, int]:
    """A buffer's first byte and length. Files above two gigabytes keep it behind the FlatBuffer, at its own place."""
    start, length = buffer.number(_BUFFER_START, "u64"), buffer.number(_BUFFER_BYTES, "u64")
    if start > 1:  # 0 and 1 mean that it is inside
        if start + length > wire.size:
            raise ValueError(f"a buffer of {length} bytes at byte {start} is not in the file of {wire.size}")
        return start, length
    return buffer.vector(_BUFFER_DATA, 1)


def _read_graph(
    wire: Wire,
    graph: Table,
    codes: Sequence[tuple[str, bool, int]],
    buffers: Sequence[tuple[int, int]],
    external: Mapping[int, tuple[str, int]],
) -> Graph:
    tensors = [_read_tensor(tensor, buffers, external, wire) for tensor in graph.children(_GRAPH_TENSORS)]
    operators = [_read_operator(node, codes, len(tensors), wire) for node in graph.children(_GRAPH_OPERATORS)]
    return Graph(
        name=graph.text(_GRAPH_NAME),
        tensors=tensors,
        operators=operators,
        inputs=_tensor_numbers(graph, _GRAPH_INPUTS, len(tensors)),
        outputs=_tensor_numbers(graph, _GRAPH_OUTPUTS, len(tensors)),
    )


def _tensor_numbers(table: Table, field_number: int, count: int, *, optional: bool = False) -> tuple[int, ...]:
    numbers = table.numbers(field_number, _MOST_TENSORS)
    lowest = LEFT_OUT if optional else 0
    for number in numbers:
        if not lowest <= number < count:
            raise ValueError(f"tensor {number} of {count}, named at byte {table.at}")
    return numbers


def _read_operator(node: Table, codes: Sequence[tuple[str, bool, int]], tensors: int, wire: Wire) -> Operator:
    name, custom, version = _pick(codes, node.number(_OPERATOR_CODE, "u32"), "operator's code")
    inputs = _tensor_numbers(node, _OPERATOR_INPUTS, tensors, optional=True)
    outputs = _tensor_numbers(node, _OPERATOR_OUTPUTS, tensors, optional=True)
    _tensor_numbers(node, _OPERATOR_INTERMEDIATES, tensors, optional=True)
    node.vector(_OPERATOR_MUTATING, 1)
    node.vector(_OPERATOR_CUSTOM, 1)
    start, length = node.number(_OPERATOR_LARGE_START, "u64"), node.number(_OPERATOR_LARGE_BYTES, "u64")
    if start + length > wire.size:
        raise ValueError(f"options of {length} bytes at byte {start} are not in the file of {wire.size}")
    _check_options(node, _OPERATOR_OPTIONS_KIND, _OPERATOR_OPTIONS, _OPTION_VECTORS)
    _check_options(node, _OPERATOR_OPTIONS2_KIND, _OPERATOR_OPTIONS2, _OPTION2_VECTORS)
    return Operator(name, custom, version, inputs, outputs)


def _check_options(node: Table, kind_field: int, options_field: int, vectors: Mapping[int, Mapping[int, int]]) -> None:
    kind, options = node.number(kind_field, "u8"), node.child(options_field)
    if options is not None:
        for number, item_bytes in vectors.get(kind, {}).items():
            options.vector(number, item_bytes)


def _read_tensor(
    tensor: Table, buffers: Sequence[tuple[int, int]], external: Mapping[int, tuple[str, int]], wire: Wire
) -> Tensor:
    kind = tensor.number(_TENSOR_TYPE, "i8")
    dtype, bits = TYPES.get(kind, (f"type {kind}", 0))
    shape = tensor.numbers(_TENSOR_SHAPE, _MOST_DIMENSIONS)
    declared = tensor.numbers(_TENSOR_OPEN_SHAPE, _MOST_DIMENSIONS)
    number = tensor.number(_TENSOR_BUFFER, "u32")
    _, size = _pick(buffers, number, "tensor's buffer")
    group = None
    if tensor.number(_TENSOR_EXTERNAL, "u32"):
        group, size = external.get(tensor.number(_TENSOR_EXTERNAL, "u32"), ("", 0))
    _read_variants(tensor)
    sparse = _read_sparsity(tensor)
    found = Tensor(
        name=tensor.text(_TENSOR_NAME),
        dtype=dtype,
        shape=shape,
        open_shape=tuple(length if length >= 0 else None for length in declared) if declared else shape,
        bytes=size,
        buffer=number,
        quantized=_read_quantization(tensor, len(shape), wire),
        variable=bool(tensor.number(_TENSOR_VARIABLE, "u8")),
        group=group,
    )
    if size and bits and not sparse and group is None and -(-found.numbers * bits // 8) != size:
        raise ValueError(f"tensor {found.name!r} of {dtype} {list(shape)} has {size} bytes")
    return found


def _read_variants(tensor: Table) -> None:
    for variant in tensor.children(_TENSOR_VARIANTS):
        variant.numbers(0, _MOST_DIMENSIONS)


def _read_sparsity(tensor: Table) -> bool:
    """Checks the tables of a sparse tensor; whether it is one."""
    sparsity = tensor.child(_TENSOR_SPARSITY)
    if sparsity is None:
        return False
    sparsity.numbers(_SPARSITY_ORDER, _MOST_DIMENSIONS)
    sparsity.numbers(_SPARSITY_BLOCKS, _MOST_DIMENSIONS)
    for dimension in sparsity.children(_SPARSITY_DIMENSIONS):
        for kind_field in (2, 4):  # of the segments and of the indices: int32, uint16 or uint8
            kind, values = dimension.number(kind_field, "u8"), dimension.child(kind_field + 1)
            if values is not None:
                values.vector(0, {1: 4, 2: 2, 3: 1}.get(kind, 1))
    return True


def _read_quantization(tensor: Table, rank: int, wire: Wire) -> Quantized | None:
    """How a tensor is quantized; None where the file only notes the range of its values, or nothing."""
    table = tensor.child(_TENSOR_QUANTIZATION)
    if table is None:
        return None
    table.vector(_QUANTIZATION_MIN, 4)
    table.vector(_QUANTIZATION_MAX, 4)
    _, scales = table.vector(_QUANTIZATION_SCALE, 4)
    start, zeros = table.vector(_QUANTIZATION_ZERO, 8)
    axis = table.number(_QUANTIZATION_AXIS, "i32")
    details = table.child(_QUANTIZATION_DETAILS)
    kind = table.number(_QUANTIZATION_KIND, "u8")
    if details is not None and kind == _KIND_BLOCKWISE:
        return Quantized(
            scales=0,
            axis=axis,
            block=max(details.number(_BLOCKS_SIZE, "i32"), 0),
            symmetric=details.number(_BLOCKS_ZEROS, "i32", -1) < 0,
            scales_tensor=details.number(_BLOCKS_SCALES, "i32"),
        )
    if details is not None and kind == _KIND_CUSTOM:
        details.vector(0, 1)
    if not scales:
        return None
    if zeros not in (0, scales):
        raise ValueError(f"{scales} scales and {zeros} zero points at byte {table.at}")
    if scales > 1 and not 0 <= axis < max(rank, 1):
        raise ValueError(f"scales along dimension {axis} of {rank}")
    symmetric = None if zeros > _MOST_ZERO_POINTS else not any(wire.content[start : start + 8 * zeros])
    return Quantized(scales, axis, 0, symmetric)


def _read_signature(entry: Table, graphs: Sequence[Graph]) -> SignatureEntry:
    number = entry.number(_SIGNATURE_GRAPH, "u32")
    graph = _pick(graphs, number, "signature's graph")
    return SignatureEntry(
        key=entry.text(_SIGNATURE_KEY),
        graph=number,
        inputs=read_names(entry, _SIGNATURE_INPUTS, len(graph.tensors)),
        outputs=read_names(entry, _SIGNATURE_OUTPUTS, len(graph.tensors)),
    )
