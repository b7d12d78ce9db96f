"""The demo model as an ExecuTorch program, made from the committed ONNX artefact: `python executorch_model.py`.

Writes `build/demo_model/executorch-fp32/`: `model.pte`, lowered to XNNPACK, and `tokenizer.json`. Needs the packages
executorch, torch and onnx; runs in an environment of its own (`make executorch-model`). What `export_llm` writes beside
a language model is written here too, so that runners know its sizes.
"""

from __future__ import annotations

import argparse
import json
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import onnx
import torch
from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
from executorch.exir import to_edge_transform_and_lower
from onnx import numpy_helper
from torch import nn
from torch.nn import functional

FOLDER = Path(__file__).resolve().parent
SOURCE = FOLDER / "artefacts" / "onnx-fp32"
OUT = FOLDER.parents[1] / "build" / "demo_model" / "executorch-fp32"
_EVERYWHERE_ELSE = -1e9  # added to what a token may not look at


class Attention(nn.Module):
    """Grouped-query attention over a cache of fixed length, which each call writes its own part of."""

    def __init__(self, sizes: Mapping[str, Any], weights: Mapping[str, torch.Tensor], prefix: str) -> None:
        super().__init__()
        self.heads, self.kv_heads = sizes["num_attention_heads"], sizes["num_key_value_heads"]
        self.head_size = sizes["head_dim"]
        self.query, self.key, self.value, self.out = (
            linear(weights[f"{prefix}.{name}_proj.weight"]) for name in "qkvo"
        )
        room = (1, self.kv_heads, sizes["max_position_embeddings"], self.head_size)
        self.register_buffer("keys", torch.zeros(room))
        self.register_buffer("values", torch.zeros(room))

    def forward(self, x: torch.Tensor, at: torch.Tensor, turn: tuple[torch.Tensor, ...]) -> torch.Tensor:
        cosine, sine, mask = turn
        count = x.shape[1]
        query = rotated(self.query(x).view(1, count, self.heads, self.head_size).transpose(1, 2), cosine, sine)
        key = rotated(self.key(x).view(1, count, self.kv_heads, self.head_size).transpose(1, 2), cosine, sine)
        value = self.value(x).view(1, count, self.kv_heads, self.head_size).transpose(1, 2)
        self.keys.index_copy_(2, at, key)
        self.values.index_copy_(2, at, value)
        shared = self.heads // self.kv_heads
        keys, values = (each.repeat_interleave(shared, 1) for each in (self.keys, self.values))
        weights = torch.softmax(query @ keys.transpose(2, 3) * self.head_size**-0.5 + mask, -1)
        return self.out((weights @ values).transpose(1, 2).reshape(1, count, self.heads * self.head_size))


class Layer(nn.Module):
    """Attention and feed-forward, each after a norm and beside what came in."""

    def __init__(self, sizes: Mapping[str, Any], weights: Mapping[str, torch.Tensor], prefix: str) -> None:
        super().__init__()
        self.attention = Attention(sizes, weights, f"{prefix}.self_attn")
        self.gate, self.up, self.down = (
            linear(weights[f"{prefix}.mlp.{name}_proj.weight"]) for name in ("gate", "up", "down")
        )
        self.before, self.between = (
            norm(weights[f"{prefix}.{name}.weight"], sizes["rms_norm_eps"])
            for name in ("input_layernorm", "post_attention_layernorm")
        )

    def forward(self, x: torch.Tensor, at: torch.Tensor, turn: tuple[torch.Tensor, ...]) -> torch.Tensor:
        x = x + self.attention(self.before(x), at, turn)
        h = self.between(x)
        return x + self.down(functional.silu(self.gate(h)) * self.up(h))


class Demo(nn.Module):
    """The demo model: tokens (1, n) and their positions (n,) in, logits (1, n, vocabulary) out."""

    def __init__(self, sizes: Mapping[str, Any], weights: Mapping[str, torch.Tensor]) -> None:
        super().__init__()
        embedding = weights["model.embed_tokens.weight"]
        self.embedding = nn.Embedding.from_pretrained(embedding)
        self.head = linear(embedding.T)
        self.layers = nn.ModuleList(
            Layer(sizes, weights, f"model.layers.{number}") for number in range(sizes["num_hidden_layers"])
        )
        self.norm = norm(weights["model.norm.weight"], sizes["rms_norm_eps"])
        base = (sizes.get("rope_parameters") or sizes)["rope_theta"]
        context = sizes["max_position_embeddings"]
        frequencies = base ** -(torch.arange(0, sizes["head_dim"], 2).float() / sizes["head_dim"])
        angles = torch.outer(torch.arange(context).float(), frequencies).repeat(1, 2)
        self.register_buffer("cosines", angles.cos())
        self.register_buffer("sines", angles.sin())
        self.register_buffer("places", torch.arange(context))

    def forward(self, tokens: torch.Tensor, at: torch.Tensor) -> torch.Tensor:
        mask = torch.where(self.places[None, :] <= at[:, None], 0.0, _EVERYWHERE_ELSE)
        turn = (self.cosines[at], self.sines[at], mask)
        x = self.embedding(tokens)
        for layer in self.layers:
            x = layer(x, at, turn)
        return self.head(self.norm(x))


def linear(weight: torch.Tensor) -> nn.Linear:
    """A product without bias; the weight as ONNX has it, (in, out)."""
    made = nn.Linear(weight.shape[0], weight.shape[1], bias=False)
    made.weight = nn.Parameter(weight.T.contiguous(), requires_grad=False)
    return made


def norm(weight: torch.Tensor, epsilon: float) -> nn.RMSNorm:
    """A norm by the root of the mean square."""
    made = nn.RMSNorm(weight.shape[0], eps=epsilon)
    made.weight = nn.Parameter(weight, requires_grad=False)
    return made


def rotated(x: torch.Tensor, cosine: torch.Tensor, sine: torch.Tensor) -> torch.Tensor:
    """Queries or keys turned by their positions, halves against halves as Transformers does it."""
    half = x.shape[-1] // 2
    return x * cosine + torch.cat([-x[..., half:], x[..., :half]], -1) * sine


def build(source: Path = SOURCE, out: Path = OUT, longest: int = 0) -> Path:
    """Writes the program and its tokenizer to `out`; the program's path.

    `longest`: tokens that one call takes, as many or fewer; 0: one less than the context, which is the most.
    """
    out.mkdir(parents=True, exist_ok=True)
    sizes = json.loads((source / "config.json").read_text(encoding="utf-8"))
    stored = onnx.load(source / "model.onnx").graph.initializer
    weights = {each.name: torch.from_numpy(numpy_helper.to_array(each).copy()) for each in stored}
    model = Demo(sizes, weights).eval()
    context = sizes["max_position_embeddings"]
    single = longest == 1
    example = (torch.zeros((1, 1 if single else 5), dtype=torch.long), torch.arange(1 if single else 5))
    count = None if single else torch.export.Dim("count", min=1, max=longest or context - 1)
    shapes = None if single else ({1: count}, {0: count})
    with torch.no_grad():
        exported = torch.export.export(model, example, dynamic_shapes=shapes, strict=False)
        lowered = to_edge_transform_and_lower(
            exported,
            partitioner=[XnnpackPartitioner()],
            constant_methods={
                "get_vocab_size": sizes["vocab_size"],
                "get_max_context_len": context,
                "get_max_seq_len": longest or context - 1,
                "use_kv_cache": True,
                "enable_dynamic_shape": not single,
            },
        )
    target = out / "model.pte"
    target.write_bytes(lowered.to_executorch().buffer)
    shutil.copyfile(source / "tokenizer.json", out / "tokenizer.json")
    return target


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").splitlines()[0], epilog="example: python executorch_model.py --longest 1"
    )
    parser.add_argument("--out", type=Path, default=OUT, help="folder to write [build/demo_model/executorch-fp32]")
    parser.add_argument("--longest", type=int, default=0, help="tokens that one call takes [all of the context's]")
    found = parser.parse_args()
    began = time.monotonic()
    print(build(out=found.out, longest=found.longest), f"{time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
