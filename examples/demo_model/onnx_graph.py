"""Writes a transformers Llama as an ONNX graph of plain operators, with a key/value cache as in- and output.

Written by hand and not traced, so that names stay readable and no dead mask or cache code is left. Inputs and
outputs are named as in a Hugging Face Optimum export. Their shapes, for B sequences, S new tokens, P cached
tokens, T = P + S, and H key/value heads of D values:

    input_ids, position_ids (B, S)  attention_mask (B, T)  past_key_values.N.key/value (B, H, P, D)
    logits (B, S, vocabulary)       present.N.key/value (B, H, T, D)

Any of B, S and P may change between calls, and P may be 0. Padding stands on the left, masked by zeros.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from transformers import LlamaForCausalLM

OPSET = 18
IR_VERSION = 9

MASKED_SCORE = -65504.0
"""Score of a forbidden position: finite, so that a row of padding gives no NaN, and a float16 value."""


class GraphWriter:
    """Collects nodes and initializers; each method adds one and returns the name of its output."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: dict[str, onnx.TensorProto] = {}
        self.scope = ""

    def weight(self, name: str, array: np.ndarray) -> str:
        """A weight under the name transformers gives it."""
        self.initializers[name] = numpy_helper.from_array(np.ascontiguousarray(array), name)
        return name

    def constant(self, value: float | Sequence[int]) -> str:
        """A float scalar or a list of int64; equal ones are shared."""
        name = f"constant.{value}".replace(" ", "")
        array = np.array(value, dtype=np.float32 if isinstance(value, float) else np.int64)
        return self.weight(name, array)

    def add(self, operator: str, inputs: Sequence[str], name: str, outputs: int = 1, **attributes: object) -> str:
        """One node called `scope` + `name`; with several outputs these are `name.0`, `name.1`, ..."""
        full = self.scope + name
        names = [full] if outputs == 1 else [f"{full}.{index}" for index in range(outputs)]
        self.nodes.append(helper.make_node(operator, inputs, names, name=full, **attributes))
        return full


class LlamaGraph:
    """The graph of one model; `tied` keeps one copy of the embedding, turned around for the output layer."""

    def __init__(self, model: LlamaForCausalLM, *, tied: bool) -> None:
        self.config = model.config
        self.weights = {name: tensor.detach().numpy() for name, tensor in model.state_dict().items()}
        self.tied = tied
        self.writer = GraphWriter()

    def build(self) -> onnx.ModelProto:
        """The whole model, checked."""
        writer = self.writer
        embedding = self._weight("model.embed_tokens.weight")
        hidden = writer.add("Gather", [embedding, "input_ids"], "embedding")
        rotation = self._rotation()
        allowed = self._allowed()
        for layer in range(self.config.num_hidden_layers):
            writer.scope = f"layers.{layer}."
            hidden = self._attention(layer, hidden, rotation, allowed)
            hidden = self._feed_forward(layer, hidden)
        writer.scope = ""
        self._logits(self._normalise(hidden, "model.norm", "norm"), embedding)
        graph = helper.make_graph(
            writer.nodes, "llama", self._inputs(), self._outputs(), list(writer.initializers.values())
        )
        opset = helper.make_opsetid("", OPSET)
        proto = helper.make_model(graph, opset_imports=[opset], ir_version=IR_VERSION, producer_name="demo_model")
        onnx.checker.check_model(proto, full_check=True)
        return proto

    def _weight(self, name: str) -> str:
        return self.writer.weight(name, self.weights[name])

    def _linear(self, hidden: str, weight: str, name: str) -> str:
        """torch stores (out, in), MatMul wants (in, out): turned here, so that quantizers find a constant."""
        return self.writer.add("MatMul", [hidden, self.writer.weight(weight, self.weights[weight].T)], name)

    def _normalise(self, hidden: str, weight: str, name: str) -> str:
        """Root-mean-square norm: x / sqrt(mean(x^2) + epsilon) * gain."""
        writer = self.writer
        square = writer.add("Pow", [hidden, writer.constant(2.0)], f"{name}.square")
        mean = writer.add("ReduceMean", [square, writer.constant([-1])], f"{name}.mean")
        epsilon = writer.constant(float(self.config.rms_norm_eps))
        root = writer.add("Sqrt", [writer.add("Add", [mean, epsilon], f"{name}.shifted")], f"{name}.root")
        unit = writer.add("Div", [hidden, root], f"{name}.unit")
        return writer.add("Mul", [unit, self._weight(f"{weight}.weight")], name)

    def _rotation(self) -> tuple[str, str]:
        """Cosine and sine of the rotary angles, each (B, S, 1, D): one for all heads."""
        writer, size = self.writer, self.config.head_dim
        theta = self.config.rope_parameters["rope_theta"]
        frequencies = (1.0 / theta ** (np.arange(0, size, 2, dtype=np.float32) / size)).astype(np.float32)
        both_halves = writer.weight("rotary.frequencies", np.concatenate([frequencies, frequencies]))
        position = writer.add("Cast", ["position_ids"], "rotary.position", to=TensorProto.FLOAT)
        column = writer.add("Unsqueeze", [position, writer.constant([2, 3])], "rotary.column")
        angle = writer.add("Mul", [column, both_halves], "rotary.angle")
        return writer.add("Cos", [angle], "rotary.cos"), writer.add("Sin", [angle], "rotary.sin")

    def _allowed(self) -> str:
        """Which of the T cached and new positions each new token may look at, bool (B, 1, 1, S, T)."""
        writer = self.writer
        zero, one = writer.weight("zero", np.array(0, np.int64)), writer.weight("one", np.array(1, np.int64))
        scalar = writer.constant([])
        total = writer.add("Shape", ["attention_mask"], "mask.total_list", start=1, end=2)
        total = writer.add("Reshape", [total, scalar], "mask.total")
        new = writer.add("Shape", ["input_ids"], "mask.new_list", start=1, end=2)
        new = writer.add("Reshape", [new, scalar], "mask.new")
        past = writer.add("Sub", [total, new], "mask.past")
        keys = writer.add("Range", [zero, total, one], "mask.keys")
        queries = writer.add("Range", [past, total, one], "mask.queries")
        column = writer.add("Unsqueeze", [queries, writer.constant([1])], "mask.query_column")
        causal = writer.add("LessOrEqual", [keys, column], "mask.causal")
        real = writer.add("Cast", ["attention_mask"], "mask.real_flat", to=TensorProto.BOOL)
        real = writer.add("Unsqueeze", [real, writer.constant([1, 2, 3])], "mask.real")
        return writer.add("And", [causal, real], "mask.allowed")

    def _rotate(self, heads: str, rotation: tuple[str, str], name: str) -> str:
        """Turn the pairs (x_i, x_{i + D/2}) of every head, (B, S, heads, D), by the rotary angles."""
        writer = self.writer
        halves = writer.add("Split", [heads], f"{name}.halves", outputs=2, axis=-1, num_outputs=2)
        negated = writer.add("Neg", [f"{halves}.1"], f"{name}.negated")
        swapped = writer.add("Concat", [negated, f"{halves}.0"], f"{name}.swapped", axis=-1)
        along = writer.add("Mul", [heads, rotation[0]], f"{name}.along")
        across = writer.add("Mul", [swapped, rotation[1]], f"{name}.across")
        return writer.add("Add", [along, across], name)

    def _heads(self, hidden: str, layer: int, kind: str) -> str:
        """Project to queries, keys or values and part the heads: (B, S, heads, D)."""
        writer = self.writer
        flat = self._linear(hidden, f"model.layers.{layer}.self_attn.{kind}_proj.weight", f"{kind}_proj")
        return writer.add("Reshape", [flat, writer.constant([0, 0, -1, self.config.head_dim])], f"{kind}_heads")

    def _cached(self, heads: str, layer: int, kind: str) -> str:
        """Append (B, S, H, D) to the cache and return all of it as (B, H, 1, T, D)."""
        writer = self.writer
        turned = writer.add("Transpose", [heads], f"{kind}.turned", perm=[0, 2, 1, 3])
        present = f"present.{layer}.{kind}"
        past = f"past_key_values.{layer}.{kind}"
        writer.nodes.append(helper.make_node("Concat", [past, turned], [present], name=present, axis=2))
        return writer.add("Unsqueeze", [present, writer.constant([2])], f"{kind}.all")

    def _attention(self, layer: int, hidden: str, rotation: tuple[str, str], allowed: str) -> str:
        """Grouped-query attention with its residual; the heads of a group meet their key by broadcasting."""
        writer, size, groups = self.writer, self.config.head_dim, self.config.num_key_value_heads
        per_group = self.config.num_attention_heads // groups
        normal = self._normalise(hidden, f"model.layers.{layer}.input_layernorm", "input_norm")
        query = self._rotate(self._heads(normal, layer, "q"), rotation, "query")
        key = self._rotate(self._heads(normal, layer, "k"), rotation, "key.new")
        value = self._heads(normal, layer, "v")
        query = writer.add("Mul", [query, writer.constant(float(size) ** -0.5)], "query.scaled")
        grouped = writer.constant([0, 0, groups, per_group, size])
        query = writer.add("Reshape", [query, grouped], "query.grouped")
        query = writer.add("Transpose", [query], "query.turned", perm=[0, 2, 3, 1, 4])
        keys, values = self._cached(key, layer, "key"), self._cached(value, layer, "value")
        keys = writer.add("Transpose", [keys], "key.columns", perm=[0, 1, 2, 4, 3])
        scores = writer.add("MatMul", [query, keys], "scores")
        scores = writer.add("Where", [allowed, scores, writer.constant(MASKED_SCORE)], "scores.masked")
        share = writer.add("Softmax", [scores], "attention", axis=-1)
        mixed = writer.add("MatMul", [share, values], "mixed")
        mixed = writer.add("Transpose", [mixed], "mixed.turned", perm=[0, 3, 1, 2, 4])
        flat = writer.constant([0, 0, per_group * groups * size])
        mixed = writer.add("Reshape", [mixed, flat], "mixed.flat")
        output = self._linear(mixed, f"model.layers.{layer}.self_attn.o_proj.weight", "o_proj")
        return writer.add("Add", [hidden, output], "attention.residual")

    def _feed_forward(self, layer: int, hidden: str) -> str:
        """down(silu(gate(x)) * up(x)) with its residual."""
        writer, prefix = self.writer, f"model.layers.{layer}"
        normal = self._normalise(hidden, f"{prefix}.post_attention_layernorm", "post_attention_norm")
        gate = self._linear(normal, f"{prefix}.mlp.gate_proj.weight", "gate_proj")
        up = self._linear(normal, f"{prefix}.mlp.up_proj.weight", "up_proj")
        silu = writer.add("Mul", [gate, writer.add("Sigmoid", [gate], "gate.sigmoid")], "gate.silu")
        down = self._linear(writer.add("Mul", [silu, up], "gated"), f"{prefix}.mlp.down_proj.weight", "down_proj")
        return writer.add("Add", [hidden, down], "feed_forward.residual")

    def _logits(self, hidden: str, embedding: str) -> None:
        if self.tied:
            matrix = self.writer.add("Transpose", [embedding], "embedding.columns", perm=[1, 0])
        else:
            matrix = self.writer.weight("lm_head.weight", self.weights["model.embed_tokens.weight"].T)
        self.writer.add("MatMul", [hidden, matrix], "logits")

    def _cache_values(self, prefix: str, length: str) -> list[onnx.ValueInfoProto]:
        shape = ["batch_size", self.config.num_key_value_heads, length, self.config.head_dim]
        return [
            helper.make_tensor_value_info(f"{prefix}.{layer}.{kind}", TensorProto.FLOAT, shape)
            for layer in range(self.config.num_hidden_layers)
            for kind in ("key", "value")
        ]

    def _inputs(self) -> list[onnx.ValueInfoProto]:
        batch, new, total = "batch_size", "sequence_length", "total_sequence_length"
        shapes = {"input_ids": [batch, new], "attention_mask": [batch, total], "position_ids": [batch, new]}
        tokens = [helper.make_tensor_value_info(name, TensorProto.INT64, shape) for name, shape in shapes.items()]
        return tokens + self._cache_values("past_key_values", "past_sequence_length")

    def _outputs(self) -> list[onnx.ValueInfoProto]:
        shape = ["batch_size", "sequence_length", self.config.vocab_size]
        logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, shape)
        return [logits, *self._cache_values("present", "total_sequence_length")]
