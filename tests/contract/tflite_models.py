"""Tiny `.tflite` models made operator by operator, with what they must answer computed in float64.

Written with the schema that ships in `ai_edge_litert`, so that no converter is needed. Weights are seeded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]

VOCABULARY, WIDTH, LAYERS, CONTEXT = 67, 16, 2, 24
FAR_BELOW = -1e9  # what a masked score becomes

_TYPES = {
    "float32": schema.TensorType.FLOAT32,
    "float16": schema.TensorType.FLOAT16,
    "int32": schema.TensorType.INT32,
    "int64": schema.TensorType.INT64,
    "int8": schema.TensorType.INT8,
    "uint8": schema.TensorType.UINT8,
    "bool": schema.TensorType.BOOL,
}


@dataclass(frozen=True)
class Scale:
    """How whole numbers stand for real ones: per tensor, or per row of the first dimension where there are several."""

    scales: Sequence[float]
    zero_points: Sequence[int]


@dataclass
class ModelFile:
    """A model under construction: what its graphs share."""

    model: Any = field(default_factory=schema.ModelT)

    def __post_init__(self) -> None:
        self.model.version = 3
        self.model.description = "tiny"
        self.model.operatorCodes, self.model.subgraphs, self.model.signatureDefs = [], [], []
        self.model.buffers = [schema.BufferT()]  # by convention the first one is empty
        self._stored: dict[int, int] = {}
        self._kept_alive: list[Any] = []

    def graph(self, name: str) -> Graph:
        made = schema.SubGraphT()
        made.name = name
        made.tensors, made.operators, made.inputs, made.outputs = [], [], [], []
        self.model.subgraphs.append(made)
        return Graph(self, made, len(self.model.subgraphs) - 1)

    def buffer(self, array: NDArray[Any]) -> int:
        """The buffer that holds an array; the same array is stored once."""
        if id(array) not in self._stored:
            self._kept_alive.append(array)
            stored = schema.BufferT()
            stored.data = np.frombuffer(array.tobytes(), np.uint8)
            self.model.buffers.append(stored)
            self._stored[id(array)] = len(self.model.buffers) - 1
        return self._stored[id(array)]

    def operator_code(self, operator: int | str, version: int = 1) -> int:
        code = schema.OperatorCodeT()
        if isinstance(operator, str):
            code.builtinCode, code.customCode = schema.BuiltinOperator.CUSTOM, operator
        else:
            code.builtinCode = operator
        code.deprecatedBuiltinCode = min(code.builtinCode, 127)
        code.version = version
        for index, known in enumerate(self.model.operatorCodes):
            if (known.builtinCode, known.customCode, known.version) == (code.builtinCode, code.customCode, version):
                return index
        self.model.operatorCodes.append(code)
        return len(self.model.operatorCodes) - 1

    def write(self, path: Path) -> Path:
        builder = flatbuffers.Builder(1024)
        builder.Finish(self.model.Pack(builder), b"TFL3")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes(builder.Output()))
        return path


@dataclass
class Graph:
    """One subgraph. Values are numbers of tensors."""

    file: ModelFile
    made: Any
    index: int

    def value(
        self,
        name: str,
        shape: Sequence[int],
        dtype: str = "float32",
        *,
        scale: Scale | None = None,
        buffer: int = 0,
        signature: Sequence[int] | None = None,
    ) -> int:
        tensor = schema.TensorT()
        tensor.name, tensor.shape, tensor.type, tensor.buffer = name, list(shape), _TYPES[dtype], buffer
        tensor.hasRank = True
        if signature is not None:
            tensor.shapeSignature = list(signature)
        if scale is not None:
            tensor.quantization = schema.QuantizationParametersT()
            tensor.quantization.scale, tensor.quantization.zeroPoint = list(scale.scales), list(scale.zero_points)
        self.made.tensors.append(tensor)
        return len(self.made.tensors) - 1

    def input(self, name: str, shape: Sequence[int], dtype: str = "float32", **more: Any) -> int:
        self.made.inputs.append(self.value(name, shape, dtype, **more))
        return int(self.made.inputs[-1])

    def constant(self, name: str, array: NDArray[Any], scale: Scale | None = None) -> int:
        return self.value(name, array.shape, array.dtype.name, scale=scale, buffer=self.file.buffer(array))

    def add(
        self,
        operator: int | str,
        inputs: Sequence[int],
        shape: Sequence[int],
        dtype: str = "float32",
        *,
        options: Any = None,
        version: int = 1,
        **more: Any,
    ) -> int:
        """Appends an operator with one output, and gives that."""
        node = schema.OperatorT()
        node.opcodeIndex = self.file.operator_code(operator, version)
        node.inputs = list(inputs)
        output = self.value(f"{self.made.name}/{len(self.made.operators)}", shape, dtype, **more)
        node.outputs = [output]
        if options is not None:
            kind = type(options).__name__[:-1]
            node.builtinOptionsType, node.builtinOptions = getattr(schema.BuiltinOptions, kind), options
        self.made.operators.append(node)
        return output

    def sign(self, key: str, inputs: Mapping[str, int], outputs: Mapping[str, int]) -> None:
        """Declares the outputs, under a signature."""
        self.made.outputs = list(outputs.values())
        signature = schema.SignatureDefT()
        signature.signatureKey, signature.subgraphIndex = key, self.index
        signature.inputs, signature.outputs = _tensor_map(inputs), _tensor_map(outputs)
        self.file.model.signatureDefs.append(signature)


def _tensor_map(values: Mapping[str, int]) -> list[Any]:
    made = []
    for name, index in values.items():
        entry = schema.TensorMapT()
        entry.name, entry.tensorIndex = name, index
        made.append(entry)
    return made


def options_of(kind: str, **fields: Any) -> Any:
    """An options table, such as `FullyConnectedOptions`."""
    made = getattr(schema, f"{kind}T")()
    for name, value in fields.items():
        setattr(made, name, value)
    return made


@dataclass(frozen=True)
class Variant:
    """What a tiny language model is like."""

    prefill: Sequence[int] = (4, 8)
    mask: str | None = "float32"  # additive; "bool"; None: the graph masks by position
    weights: str = "float32"  # "int8": dynamically quantized, a scale for each row; "int8-tensor": one for all
    prefill_logits: bool = False
    token_dtype: str = "int32"
    past_read_twice: bool = False  # by an operator that copies: the cache cannot be one buffer
    scattered: bool = False  # each token is written where its own position says, also a padding one
    past_moved: bool = False  # through an operator that copies, before it is written to
    extra_input: str = ""  # one that no exporter writes
    logits_value: float | None = None  # of every weight of the last matrix


@dataclass(frozen=True)
class LanguageModel:
    """A tiny language model on disk, and what it must answer."""

    file: Path
    variant: Variant
    weights: Mapping[str, Floats]

    def logits(self, tokens: Sequence[int]) -> Floats:
        """Logits after each token, in float64."""
        weights = {name: np.asarray(array, np.float64) for name, array in self.weights.items()}
        state = weights["embedding"][list(tokens)] + weights["positions"][: len(tokens)]
        visible = np.tril(np.ones((len(tokens), len(tokens)), bool))
        for layer in range(LAYERS):
            query, key, value = (state @ weights[f"{layer}.{part}"].T for part in ("query", "key", "value"))
            scores = np.where(visible, query @ key.T / np.sqrt(WIDTH), -np.inf)
            shares = np.exp(scores - scores.max(-1, keepdims=True))
            state = state + (shares / shares.sum(-1, keepdims=True)) @ value @ weights[f"{layer}.output"].T
        return state @ weights["logits"].T


def language_weights(seed: int = 0) -> dict[str, Floats]:
    random = np.random.default_rng(seed)
    shapes = {"embedding": (VOCABULARY, WIDTH), "positions": (CONTEXT, WIDTH), "logits": (VOCABULARY, WIDTH)}
    shapes |= {f"{layer}.{part}": (WIDTH, WIDTH) for layer in range(LAYERS) for part in _PARTS}
    return {name: random.normal(size=shape).astype(np.float32) / 4 for name, shape in shapes.items()}


_PARTS = ("query", "key", "value", "output")


def build_language_model(path: Path, variant: Variant | None = None) -> LanguageModel:
    """Writes a causal language model as LiteRT's exporters lay one out: `prefill_N` and `decode` signatures."""
    variant = variant or Variant()
    weights = language_weights()
    if variant.logits_value is not None:
        weights["logits"] = np.full_like(weights["logits"], variant.logits_value)
    file = ModelFile()
    stored = dict(weights) if variant.weights == "float32" else {}
    if variant.weights != "float32":
        stored = {
            name: array if name in {"embedding", "positions"} else _whole_numbers(array, variant.weights == "int8")
            for name, array in weights.items()
        }
        weights = {name: _meant(array) if isinstance(array, tuple) else array for name, array in stored.items()}
    shared = {"causal": np.where(np.tri(CONTEXT, dtype=bool), 0, FAR_BELOW).astype(np.float32)}
    for length in variant.prefill:
        _add_language_graph(file, f"prefill_{length}", length, variant, {**stored, **shared}, variant.prefill_logits)
    _add_language_graph(file, "decode", 1, variant, {**stored, **shared}, True)
    return LanguageModel(file.write(path), variant, weights)


def _whole_numbers(array: Floats, by_row: bool) -> Any:
    """int8 with one scale for each row, or for all of them, zero standing for zero."""
    scales = np.abs(array).max(1 if by_row else None, keepdims=not by_row).reshape(-1) / 127
    return np.round(array / scales[:, None]).astype(np.int8), Scale(scales.tolist(), [0] * len(scales))


def _meant(quantized: Any) -> Floats:
    numbers, scale = quantized
    return np.asarray(numbers * np.array(scale.scales, np.float32)[:, None], np.float32)


def _add_language_graph(
    file: ModelFile, key: str, length: int, variant: Variant, stored: Mapping[str, Any], with_logits: bool
) -> None:
    operators = schema.BuiltinOperator
    graph = file.graph(key)

    def weights(name: str) -> int:
        array = stored[name]
        return graph.constant(name, *array) if isinstance(array, tuple) else graph.constant(name, array)

    def dense(value: int, name: str, width: int) -> int:
        options = options_of("FullyConnectedOptions", keepNumDims=True)
        return graph.add(operators.FULLY_CONNECTED, [value, weights(name), -1], (1, length, width), options=options)

    tokens = graph.input("tokens", (1, length), variant.token_dtype)
    position = graph.input("input_pos", (length,), "int32")
    inputs = {"tokens": tokens, "input_pos": position}
    if variant.mask is not None:
        inputs["mask"] = graph.input("mask", (1, 1, length, CONTEXT), variant.mask)
        flat = graph.constant("mask_shape", np.array([1, length, CONTEXT], np.int32))
        mask = graph.add(operators.RESHAPE, [inputs["mask"], flat], (1, length, CONTEXT), variant.mask)
    else:
        rows = graph.add(operators.GATHER, [weights("causal"), position], (length, CONTEXT))
        flat = graph.constant("mask_shape", np.array([1, length, CONTEXT], np.int32))
        mask = graph.add(operators.RESHAPE, [rows, flat], (1, length, CONTEXT))
    cache = {
        f"kv_cache_{kind}_{layer}": graph.input(f"kv_cache_{kind}_{layer}", (1, CONTEXT, WIDTH))
        for layer in range(LAYERS)
        for kind in ("k", "v")
    }
    if variant.extra_input:
        cache[variant.extra_input] = graph.input(variant.extra_input, (1,))
    zero, one = (graph.constant(str(number), np.array([number], np.int32)) for number in (0, 1))
    first = graph.add(operators.SLICE, [position, zero, one], (1,), "int32")
    start = graph.add(
        operators.CONCATENATION, [zero, first, zero], (3,), "int32", options=options_of("ConcatenationOptions")
    )
    outputs = {}
    embedded = graph.add(operators.GATHER, [weights("embedding"), tokens], (1, length, WIDTH))
    placed = graph.add(operators.GATHER, [weights("positions"), position], (length, WIDTH))
    state = graph.add(operators.ADD, [embedded, placed], (1, length, WIDTH), options=options_of("AddOptions"))
    for layer in range(LAYERS):
        query = dense(state, f"{layer}.query", WIDTH)
        kept = []
        for kind, part in (("k", "key"), ("v", "value")):
            name = f"kv_cache_{kind}_{layer}"
            new = dense(state, f"{layer}.{part}", WIDTH)
            if variant.past_read_twice:
                nothing = graph.constant("nothing", np.zeros((1, length, CONTEXT), np.float32))
                unchanged = graph.add(
                    operators.BATCH_MATMUL,
                    [nothing, cache[name]],
                    (1, length, WIDTH),
                    options=options_of("BatchMatMulOptions"),
                )
                new = graph.add(operators.ADD, [new, unchanged], (1, length, WIDTH), options=options_of("AddOptions"))
            past = cache[name]
            if variant.past_moved:
                past = graph.add(operators.ABS, [past], (1, CONTEXT, WIDTH))
            if variant.scattered:
                outputs[name] = _scatter(graph, past, new, position, length)
            else:
                updated = [past, new, start]
                outputs[name] = graph.add(operators.DYNAMIC_UPDATE_SLICE, updated, (1, CONTEXT, WIDTH))
            kept.append(outputs[name])
        scores = graph.add(
            operators.BATCH_MATMUL,
            [query, kept[0]],
            (1, length, CONTEXT),
            options=options_of("BatchMatMulOptions", adjY=True),
        )
        scale = graph.constant("scale", np.array(1 / np.sqrt(WIDTH), np.float32))
        scores = graph.add(operators.MUL, [scores, scale], (1, length, CONTEXT), options=options_of("MulOptions"))
        if variant.mask == "bool":
            below = graph.constant("below", np.array(FAR_BELOW, np.float32))
            scores = graph.add(operators.SELECT_V2, [mask, scores, below], (1, length, CONTEXT))
        else:
            scores = graph.add(operators.ADD, [scores, mask], (1, length, CONTEXT), options=options_of("AddOptions"))
        shares = graph.add(
            operators.SOFTMAX, [scores], (1, length, CONTEXT), options=options_of("SoftmaxOptions", beta=1.0)
        )
        read = graph.add(
            operators.BATCH_MATMUL, [shares, kept[1]], (1, length, WIDTH), options=options_of("BatchMatMulOptions")
        )
        read = dense(read, f"{layer}.output", WIDTH)
        state = graph.add(operators.ADD, [state, read], (1, length, WIDTH), options=options_of("AddOptions"))
    if with_logits:
        outputs["logits"] = dense(state, "logits", VOCABULARY)
    graph.sign(key, {**inputs, **cache}, outputs)


def _scatter(graph: Graph, past: int, new: int, position: int, length: int) -> int:
    """The cache with new rows (1, length, WIDTH) at their positions; rows at one position add up."""
    operators = schema.BuiltinOperator
    depth = graph.constant("depth", np.array(CONTEXT, np.int32))
    ones, zeros = (graph.constant(str(value), np.array(value, np.float32)) for value in (1, 0))
    places = graph.add(
        operators.ONE_HOT,
        [position, depth, ones, zeros],
        (length, CONTEXT),
        options=options_of("OneHotOptions", axis=-1),
    )
    shape = graph.constant("places", np.array([1, length, CONTEXT], np.int32))
    places = graph.add(operators.RESHAPE, [places, shape], (1, length, CONTEXT))
    written = graph.add(
        operators.BATCH_MATMUL,
        [places, new],
        (1, CONTEXT, WIDTH),
        options=options_of("BatchMatMulOptions", adjX=True),
    )
    axis = graph.constant("axis", np.array([1], np.int32))
    taken = graph.add(
        operators.REDUCE_MAX, [places, axis], (1, CONTEXT), options=options_of("ReducerOptions", keepDims=False)
    )
    column = graph.constant("column", np.array([1, CONTEXT, 1], np.int32))
    taken = graph.add(operators.RESHAPE, [taken, column], (1, CONTEXT, 1))
    free = graph.add(operators.SUB, [ones, taken], (1, CONTEXT, 1), options=options_of("SubOptions"))
    kept = graph.add(operators.MUL, [past, free], (1, CONTEXT, WIDTH), options=options_of("MulOptions"))
    return graph.add(operators.ADD, [kept, written], (1, CONTEXT, WIDTH), options=options_of("AddOptions"))


PIXELS, CHANNELS, FEATURES, CLASSES = 8, 3, 4, 5
KERNEL = 3
INSIDE = PIXELS - KERNEL + 1  # pixels after a convolution without padding


def image_weights(seed: int = 1) -> tuple[Floats, Floats, Floats]:
    """A kernel (features, height, width, channels), a bias for each feature, a matrix (classes, features)."""
    random = np.random.default_rng(seed)
    shapes = (FEATURES, KERNEL, KERNEL, CHANNELS), (FEATURES,), (CLASSES, FEATURES)
    kernel, bias, matrix = (random.normal(size=shape).astype(np.float32) for shape in shapes)
    return kernel, bias, matrix


def image_features(images: Floats) -> Floats:
    """Features (batch, height, width, features) of images (batch, height, width, channels), in float64."""
    kernel, bias, _ = (np.asarray(array, np.float64) for array in image_weights())
    windows = np.lib.stride_tricks.sliding_window_view(np.asarray(images, np.float64), (KERNEL, KERNEL), axis=(1, 2))
    features: Floats = np.maximum(np.einsum("bxycij,oijc->bxyo", windows, kernel) + bias, 0)
    return features


def image_scores(images: Floats) -> Floats:
    """Scores (batch, classes) of images (batch, height, width, channels), in float64."""
    scores: Floats = image_features(images).mean((1, 2)) @ np.asarray(image_weights()[2], np.float64).T
    return scores


def build_image_model(
    path: Path,
    *,
    batch: int | None = 1,
    signature: str | None = "serving_default",
    matrix_value: float | None = None,
    declared: Sequence[int] | None = None,
    left_open: Sequence[int] | None = None,
) -> Path:
    """Writes a float network: convolution, rectifier, mean, matrix. `batch` None leaves its length open.

    `declared` is another shape of the input than it can be run with, `left_open` its signature.
    """
    file = ModelFile()
    graph = file.graph("main")
    size = batch or 1
    shape = tuple(declared or (size, PIXELS, PIXELS, CHANNELS))
    open_shape = left_open or (None if batch else (-1, *shape[1:]))
    image = graph.input("image", shape, signature=open_shape)
    scores = _add_image_graph(graph, image, size, open_batch=batch is None, matrix_value=matrix_value)
    if signature is None:
        graph.made.outputs = [scores]
        graph.made.tensors[scores].name = "scores"
    else:
        graph.sign(signature, {"image": image}, {"scores": scores})
    return file.write(path)


def _add_image_graph(
    graph: Graph, image: int, size: int, *, open_batch: bool = False, matrix_value: float | None = None
) -> int:
    operators = schema.BuiltinOperator
    kernel, bias, matrix = image_weights()
    if matrix_value is not None:
        matrix = np.full_like(matrix, matrix_value)

    def shaped(*shape: int) -> dict[str, Any]:
        return {"shape": (size, *shape), "signature": (-1, *shape) if open_batch else None}

    features = graph.add(
        operators.CONV_2D,
        [image, graph.constant("kernel", kernel), graph.constant("bias", bias)],
        options=options_of(
            "Conv2DOptions",
            padding=schema.Padding.VALID,
            strideH=1,
            strideW=1,
            fusedActivationFunction=schema.ActivationFunctionType.RELU,
        ),
        **shaped(INSIDE, INSIDE, FEATURES),
    )
    axes = graph.constant("axes", np.array([1, 2], np.int32))
    mean = graph.add(
        operators.MEAN, [features, axes], options=options_of("ReducerOptions", keepDims=False), **shaped(FEATURES)
    )
    return graph.add(
        operators.FULLY_CONNECTED,
        [mean, graph.constant("matrix", matrix), -1],
        options=options_of("FullyConnectedOptions"),
        **shaped(CLASSES),
    )


def build_two_signatures(path: Path, keys: Sequence[str] = ("classify", "again")) -> Path:
    """Writes the float network once for each key, sharing its weights."""
    file = ModelFile()
    for key in keys:
        graph = file.graph(key)
        image = graph.input(f"{key}_image", (1, PIXELS, PIXELS, CHANNELS))
        graph.sign(key, {"image": image}, {"scores": _add_image_graph(graph, image, 1)})
    return file.write(path)


def build_quantized_image_model(path: Path) -> Path:
    """Writes the same network in int8 throughout, its scales taken from seeded images: what microcontrollers run."""
    operators = schema.BuiltinOperator
    kernel, bias, matrix = image_weights()
    sample = np.random.default_rng(2).uniform(-1, 1, (64, PIXELS, PIXELS, CHANNELS)).astype(np.float32)
    highest, scores = float(image_features(sample).max()), image_scores(sample)
    pixel = Scale([1 / 127], [0])
    feature = Scale([highest / 255], [-128])
    score = Scale([float(np.ptp(scores)) / 255], [int(np.round(-128 - scores.min() * 255 / np.ptp(scores)))])
    file = ModelFile()
    graph = file.graph("main")
    image = graph.input("image", (1, PIXELS, PIXELS, CHANNELS), "int8", scale=pixel)
    rows = np.abs(kernel).reshape(FEATURES, -1).max(1) / 127
    whole = np.round(kernel / rows[:, None, None, None]).astype(np.int8)
    steps = rows * pixel.scales[0]
    whole_bias = np.round(bias / steps).astype(np.int32)
    features = graph.add(
        operators.CONV_2D,
        [
            image,
            graph.constant("kernel", whole, Scale(rows.tolist(), [0] * FEATURES)),
            graph.constant("bias", whole_bias, Scale(steps.tolist(), [0] * FEATURES)),
        ],
        (1, INSIDE, INSIDE, FEATURES),
        "int8",
        scale=feature,
        version=3,
        options=options_of(
            "Conv2DOptions",
            padding=schema.Padding.VALID,
            strideH=1,
            strideW=1,
            fusedActivationFunction=schema.ActivationFunctionType.RELU,
        ),
    )
    mean = graph.add(
        operators.AVERAGE_POOL_2D,
        [features],
        (1, 1, 1, FEATURES),
        "int8",
        scale=feature,
        version=2,
        options=options_of(
            "Pool2DOptions",
            padding=schema.Padding.VALID,
            strideH=1,
            strideW=1,
            filterHeight=INSIDE,
            filterWidth=INSIDE,
        ),
    )
    flat = graph.constant("flat", np.array([1, FEATURES], np.int32))
    row = graph.add(operators.RESHAPE, [mean, flat], (1, FEATURES), "int8", scale=feature)
    step = float(np.abs(matrix).max() / 127)
    result = graph.add(
        operators.FULLY_CONNECTED,
        [row, graph.constant("matrix", np.round(matrix / step).astype(np.int8), Scale([step], [0])), -1],
        (1, CLASSES),
        "int8",
        scale=score,
        version=4,
        options=options_of("FullyConnectedOptions"),
    )
    graph.sign("serving_default", {"image": image}, {"scores": result})
    return file.write(path)


def build_chain(path: Path, operators: Sequence[int | str], *, version: int = 1, length: int = 4) -> Path:
    """Writes operators of one input and one output after each other, floats throughout, without a signature."""
    file = ModelFile()
    graph = file.graph("main")
    value = graph.input("x", (length,))
    for operator in operators:
        value = graph.add(operator, [value], (length,), version=version)
    graph.made.outputs = [value]
    return file.write(path)


def build_outsized_constant(path: Path) -> Path:
    """Writes a network whose constant claims more numbers than the file holds."""
    file = ModelFile()
    graph = file.graph("main")
    size = 1 << 22
    value = graph.input("x", (size,))
    constant = graph.constant("c", np.ones(4, np.float32))
    graph.made.tensors[constant].shape = [size]
    graph.made.outputs = [
        graph.add(schema.BuiltinOperator.ADD, [value, constant], (size,), options=options_of("AddOptions"))
    ]
    return file.write(path)


def build_additions(path: Path, count: int = 3) -> Path:
    """Writes x + x, and that doubled again and again: a network of one kind of operator, for delegates."""
    file = ModelFile()
    graph = file.graph("main")
    value = graph.input("x", (4,))
    for _ in range(count):
        value = graph.add(schema.BuiltinOperator.ADD, [value, value], (4,), options=options_of("AddOptions"))
    value = graph.add(schema.BuiltinOperator.EXP, [value], (4,))
    graph.made.outputs = [value]
    return file.write(path)


def build_recurrent_model(path: Path) -> Path:
    """Writes a network that answers x plus the x before: an SVDF operator with its memory in a variable tensor."""
    file = ModelFile()
    graph = file.graph("main")
    x = graph.input("x", (1, 4))
    memory = graph.value("memory", (1, 8))
    graph.made.tensors[memory].isVariable = True
    result = graph.add(
        schema.BuiltinOperator.SVDF,
        [
            x,
            graph.constant("features", np.eye(4, dtype=np.float32)),
            graph.constant("time", np.ones((4, 2), np.float32)),
            -1,  # no bias
            memory,
        ],
        (1, 4),
        options=options_of("SVDFOptions", rank=1),
    )
    graph.made.outputs = [result]
    return file.write(path)
