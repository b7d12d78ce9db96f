"""Tiny ONNX models with random weights, each small enough to compute again in numpy.

A language model here has no normalisation: embedding, two layers of attention and a two-layer perceptron with residual
connections, and an output matrix. `LanguageModel.logits` is the same in float64.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

Array = NDArray[Any]

VOCABULARY, HEAD_SIZE, HEADS, LAYERS, CONTEXT = 37, 16, 2, 2, 160
WIDTH = HEADS * HEAD_SIZE
OPSETS = {"": 17, "com.microsoft": 1}


@dataclass(frozen=True)
class Variant:
    """How the same network is exported."""

    cache: str = "concat"  # concat, shared (GroupQueryAttention) or none
    position_ids: bool = True  # else the graph counts them itself
    attention_mask: bool = True
    cache_branch: bool = False
    dtype: str = "float32"
    config: str = "config.json"  # or genai_config.json, or "" for none
    symbolic_sizes: bool = False  # the cache's head size only in the configuration file
    last_logits_only: bool = False
    past_read_twice: bool = False  # an operator other than the attention looks at the past

    @property
    def kv_heads(self) -> int:
        return 1 if self.cache == "shared" else HEADS


@dataclass(frozen=True)
class LanguageModel:
    """A tiny model on disk and its weights."""

    folder: Path
    variant: Variant
    weights: dict[str, Array]

    @property
    def file(self) -> Path:
        return self.folder / "model.onnx"

    def logits(self, tokens: list[int]) -> Array:
        """Logits after each token in float64, shape (tokens, VOCABULARY)."""
        w = {name: array.astype(np.float64) for name, array in self.weights.items()}
        count = len(tokens)
        x = w["embedding"][tokens]
        if self.variant.cache != "shared":
            x = x + w["position"][:count]
        future = np.triu(np.full((count, count), -np.inf), 1)
        for layer in range(LAYERS):
            q, k, v = (split_heads(x @ w[f"{layer}.{name}"]) for name in "qkv")
            if self.variant.cache == "shared":
                q, k = rotate(q, w), rotate(k, w)
            k, v = (np.repeat(array, HEADS // self.variant.kv_heads, axis=0) for array in (k, v))
            scores = np.exp(q @ k.transpose(0, 2, 1) / HEAD_SIZE**0.5 + future)
            mixed = scores / scores.sum(-1, keepdims=True) @ v
            x = x + mixed.transpose(1, 0, 2).reshape(count, WIDTH) @ w[f"{layer}.o"]
            x = x + np.maximum(x @ w[f"{layer}.up"], 0) @ w[f"{layer}.down"]
        logits: Array = x @ w["output"]
        return logits


def split_heads(x: Array) -> Array:
    """(tokens, heads x size) to (heads, tokens, size)."""
    return x.reshape(len(x), -1, HEAD_SIZE).transpose(1, 0, 2)


def rotate(x: Array, w: dict[str, Array]) -> Array:
    """Rotary position embedding, halves not interleaved: (heads, tokens, size) to the same."""
    cos, sin = w["cos"][: x.shape[1]], w["sin"][: x.shape[1]]
    low, high = np.split(x, 2, axis=-1)
    return np.concatenate([low * cos - high * sin, high * cos + low * sin], axis=-1)


@dataclass
class Graph:
    """Collects nodes and constants."""

    nodes: list[Any] = field(default_factory=list)
    constants: list[Any] = field(default_factory=list)

    def add(self, operator: str, inputs: list[str], outputs: list[str] | None = None, **attributes: Any) -> str:
        outputs = outputs or [f"{operator}_{len(self.nodes)}"]
        self.nodes.append(helper.make_node(operator, inputs, outputs, **attributes))
        return outputs[0]

    def constant(self, name: str, value: Any, dtype: Any = np.int64) -> str:
        self.constants.append(numpy_helper.from_array(np.asarray(value, dtype), name))
        return name

    def save(self, path: Path, inputs: list[Any], outputs: list[Any]) -> None:
        graph = helper.make_graph(self.nodes, "tiny", inputs, outputs, self.constants)
        opsets = [helper.make_opsetid(domain, version) for domain, version in OPSETS.items()]
        path.parent.mkdir(parents=True, exist_ok=True)
        onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8, producer_name="tiny"), path)


def build_language_model(folder: Path, variant: Variant) -> LanguageModel:
    """Writes `model.onnx` and the configuration file that the variant has."""
    weights = make_weights(variant)
    graph = Graph()
    dtype = np.dtype(variant.dtype)
    for name, array in weights.items():
        graph.constant(name, array, dtype)
    for name, value in {"zero": 0, "one": 1, "two": 2, "first": [0], "second": [1], "third": [2]}.items():
        graph.constant(name, value)

    hidden = graph.add("Gather", ["embedding", "input_ids"])
    if variant.cache != "shared":
        hidden = graph.add("Add", [hidden, graph.add("Gather", ["position", add_positions(graph, variant)])])
    for layer in range(LAYERS):
        attend = add_shared_attention if variant.cache == "shared" else add_concat_attention
        mixed = graph.add("MatMul", [attend(graph, variant, layer, hidden), f"{layer}.o"])
        hidden = graph.add("Add", [hidden, mixed])
        wide = graph.add("Relu", [graph.add("MatMul", [hidden, f"{layer}.up"])])
        hidden = graph.add("Add", [hidden, graph.add("MatMul", [wide, f"{layer}.down"])])
    if variant.last_logits_only:
        hidden = graph.add("Gather", [hidden, graph.constant("last", [-1])], axis=1)
    graph.add("MatMul", [hidden, "output"], ["logits"])
    graph.save(folder / "model.onnx", *signature(variant, dtype))
    write_config(folder, variant)
    return LanguageModel(folder, variant, {name: array.astype(dtype) for name, array in weights.items()})


def make_weights(variant: Variant) -> dict[str, Array]:
    random = np.random.default_rng(7)

    def normal(*shape: int) -> Array:
        values: Array = random.normal(size=shape) / shape[0] ** 0.5  # keeps activations near one
        return values

    weights = {"embedding": random.normal(size=(VOCABULARY, WIDTH)), "output": normal(WIDTH, VOCABULARY)}
    for layer in range(LAYERS):
        weights |= {f"{layer}.{name}": normal(WIDTH, WIDTH) for name in "qo"}
        weights |= {f"{layer}.{name}": normal(WIDTH, variant.kv_heads * HEAD_SIZE) for name in "kv"}
        weights |= {f"{layer}.up": normal(WIDTH, 2 * WIDTH), f"{layer}.down": normal(2 * WIDTH, WIDTH)}
    if variant.cache == "shared":
        angles = np.arange(CONTEXT)[:, None] / 10000 ** (np.arange(HEAD_SIZE // 2) * 2 / HEAD_SIZE)
        return weights | {"cos": np.cos(angles), "sin": np.sin(angles)}
    return weights | {"position": random.normal(size=(CONTEXT, WIDTH))}


def add_positions(graph: Graph, variant: Variant) -> str:
    """Position ids as given, or counted from the length of the past."""
    if variant.position_ids:
        return "position_ids"
    new = graph.add("Gather", [graph.add("Shape", ["input_ids"]), "one"])
    if variant.cache == "none":
        return graph.add("Range", ["zero", new, "one"])
    past = graph.add("Gather", [graph.add("Shape", ["past_key_values.0.key"]), "two"])
    return graph.add("Range", [past, graph.add("Add", [past, new]), "one"])


def add_concat_attention(graph: Graph, variant: Variant, layer: int, hidden: str) -> str:
    """Plain operators; the cache is concatenated. Returns (batch, tokens, WIDTH)."""
    split = graph.constant(f"{layer}.split", [0, 0, HEADS, HEAD_SIZE])
    q, k, v = (
        graph.add(
            "Transpose",
            [graph.add("Reshape", [graph.add("MatMul", [hidden, f"{layer}.{name}"]), split])],
            perm=[0, 2, 1, 3],
        )
        for name in "qkv"
    )
    k = add_past(graph, variant, f"{layer}.key", k)
    v = add_past(graph, variant, f"{layer}.value", v)
    scores = graph.add("MatMul", [q, graph.add("Transpose", [k], perm=[0, 1, 3, 2])])
    scores = graph.add("Mul", [scores, graph.constant(f"{layer}.scale", HEAD_SIZE**-0.5, variant.dtype)])
    low = graph.constant(f"{layer}.low", -1e4, variant.dtype)
    scores = graph.add("Where", [add_visible(graph, variant, hidden, k), scores, low])
    mixed = graph.add("MatMul", [graph.add("Softmax", [scores], axis=-1), v])
    merge = graph.constant(f"{layer}.merge", [0, 0, WIDTH])
    return graph.add("Reshape", [graph.add("Transpose", [mixed], perm=[0, 2, 1, 3]), merge])


def add_past(graph: Graph, variant: Variant, name: str, new: str) -> str:
    """The past with the new tokens behind it, which is the present."""
    if variant.cache == "none":
        return new
    past, present = f"past_key_values.{name}", f"present.{name}"
    if not variant.cache_branch:
        return graph.add("Concat", [past, new], [present], axis=2)
    branches = {
        "then_branch": ([past, new], "Concat", {"axis": 2}),
        "else_branch": ([new], "Identity", {}),
    }
    graphs = {
        key: helper.make_graph(
            [helper.make_node(operator, inputs, [f"{name}.{key}"], **attributes)],
            key,
            [],
            [helper.make_tensor_value_info(f"{name}.{key}", TensorProto.FLOAT, None)],
        )
        for key, (inputs, operator, attributes) in branches.items()
    }
    return graph.add("If", ["use_cache_branch"], [present], **graphs)


def add_visible(graph: Graph, variant: Variant, hidden: str, keys: str) -> str:
    """Which keys each new token sees: those not after it, and not masked. Shape (1, 1, new, all)."""
    new = graph.add("Gather", [graph.add("Shape", [hidden]), "one"])
    total = graph.add("Gather", [graph.add("Shape", [keys]), "two"])
    start = graph.add("Sub", [total, new])
    rows = graph.add("Unsqueeze", [graph.add("Range", [start, total, "one"]), "second"])
    visible = graph.add("LessOrEqual", [graph.add("Range", ["zero", total, "one"]), rows])
    if variant.attention_mask:
        kept = graph.add("Cast", ["attention_mask"], to=TensorProto.BOOL)
        visible = graph.add("And", [visible, kept])
    return visible


def add_shared_attention(graph: Graph, variant: Variant, layer: int, hidden: str) -> str:
    """One GroupQueryAttention, which appends to its past. Returns (batch, tokens, WIDTH)."""
    if layer == 0:
        length = graph.add("ReduceSum", ["attention_mask", "second"], keepdims=0)
        graph.add("Cast", [graph.add("Sub", [length, "one"])], ["seqlens_k"], to=TensorProto.INT32)
        total = graph.add("Gather", [graph.add("Shape", ["attention_mask"]), "one"])
        graph.add("Cast", [total], ["total_length"], to=TensorProto.INT32)
    projected = [graph.add("MatMul", [hidden, f"{layer}.{name}"]) for name in "qkv"]
    names = [f"{layer}.key", f"{layer}.value"]
    pasts = [f"past_key_values.{name}" for name in names]
    if variant.past_read_twice:
        pasts = [graph.add("Identity", [past]) for past in pasts]
    return graph.add(
        "GroupQueryAttention",
        [*projected, *pasts, "seqlens_k", "total_length", "cos", "sin"],
        [f"{layer}.mixed", *(f"present.{name}" for name in names)],
        domain="com.microsoft",
        num_heads=HEADS,
        kv_num_heads=variant.kv_heads,
        do_rotary=1,
    )


def signature(variant: Variant, dtype: np.dtype[Any]) -> tuple[list[Any], list[Any]]:
    element = helper.np_dtype_to_tensor_dtype(dtype)
    tokens = helper.make_tensor_value_info
    inputs = [tokens("input_ids", TensorProto.INT64, ["batch", "sequence"])]
    outputs = [tokens("logits", element, ["batch", 1 if variant.last_logits_only else "sequence", VOCABULARY])]
    if variant.attention_mask:
        inputs.append(tokens("attention_mask", TensorProto.INT64, ["batch", "total"]))
    if variant.position_ids and variant.cache != "shared":
        inputs.append(tokens("position_ids", TensorProto.INT64, ["batch", "sequence"]))
    if variant.cache_branch:
        inputs.append(tokens("use_cache_branch", TensorProto.BOOL, [1]))
    if variant.cache != "none":
        size = "size" if variant.symbolic_sizes else HEAD_SIZE
        for layer in range(LAYERS):
            for kind in ("key", "value"):
                past, present = f"past_key_values.{layer}.{kind}", f"present.{layer}.{kind}"
                inputs.append(tokens(past, element, ["batch", variant.kv_heads, "past", size]))
                outputs.append(tokens(present, element, ["batch", variant.kv_heads, "total", size]))
    return inputs, outputs


def write_config(folder: Path, variant: Variant) -> None:
    if variant.config == "config.json":
        content: dict[str, Any] = {
            "architectures": ["TinyForCausalLM"],
            "vocab_size": VOCABULARY,
            "max_position_embeddings": CONTEXT,
            "num_attention_heads": HEADS,
            "num_key_value_heads": variant.kv_heads,
            "hidden_size": WIDTH,
        }
    elif variant.config == "genai_config.json":
        decoder = {
            "filename": "model.onnx",
            "head_size": HEAD_SIZE,
            "num_attention_heads": HEADS,
            "num_key_value_heads": variant.kv_heads,
        }
        content = {"model": {"context_length": CONTEXT, "vocab_size": VOCABULARY, "decoder": decoder}}
    else:
        return
    (folder / variant.config).write_text(json.dumps(content))


def build_image_model(path: Path, *, dtype: Any = np.float32) -> Path:
    """A convolution and a linear layer: `image` (batch, 3, 8, 8) to `scores` (batch, 5)."""
    random = np.random.default_rng(3)
    graph = Graph()
    graph.constant("kernel", random.normal(size=(4, 3, 3, 3)), dtype)
    graph.constant("matrix", random.normal(size=(4, 5)), dtype)
    convolved = graph.add("Relu", [graph.add("Conv", ["image", "kernel"])])
    graph.add("MatMul", [graph.add("ReduceMean", [convolved], axes=[2, 3], keepdims=0), "matrix"], ["scores"])
    element = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    graph.save(
        path,
        [helper.make_tensor_value_info("image", element, ["batch", 3, 8, 8])],
        [helper.make_tensor_value_info("scores", element, ["batch", 5])],
    )
    return path
