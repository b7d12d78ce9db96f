"""Llama as a Core ML model that keeps its key/value cache as state, in two conventions.

Flexible, as Apple's own stateful language models are made: any number of new tokens a call.

    inputIds    int32 (1, Q)          Q new tokens
    causalMask  (1, 1, Q, K)          added to the scores: 0 where row may see column, else a large negative number
    keyCache, valueCache              states, float16 (layers, 1, key/value heads, context, head size)
    logits      (1, 1, vocabulary)    of the last of the Q tokens

K counts the tokens in the cache with the new ones among them: the graph writes these at [K - Q, K), reads [0, K), and
takes the positions of the new tokens from the same numbers. One token, with every shape fixed:

    input_ids   int32 (1, 1)
    position    int32 (1,)            where the token stands
    mask        (1, 1, 1, context)
    key_cache, value_cache            as above
    logits      (1, 1, vocabulary)

Masks and logits have the precision of the conversion, float16 or float32. States are float16 at either: Core ML knows
no others.
"""

from __future__ import annotations

import warnings
from typing import Any, ClassVar

import coremltools
import numpy as np
import torch
from transformers import LlamaForCausalLM

TARGET = coremltools.target.iOS18
"""The first release with states. It is macOS 15 too."""

TABLES = ("cosines_to_fp16", "sines_to_fp16")
"""Constants of the float16 program that hold angles: no weights, so nothing to compress."""

SMALL = 2.0**-10
"""The smallest divisor of activations: an epsilon divided by it twice is still a small number."""

FLOAT16, FLOAT32 = coremltools.precision.FLOAT16, coremltools.precision.FLOAT32


class StatefulLlama(torch.nn.Module):
    """The weights of a Transformers Llama, with the cache in two buffers that `forward` writes to."""

    states: ClassVar[tuple[str, str]]
    """Names of the buffers, keys first; the converted model's states have them too."""

    def __init__(self, model: LlamaForCausalLM, context: int) -> None:
        super().__init__()
        config = model.config
        self.heads, self.cached_heads = config.num_attention_heads, config.num_key_value_heads
        self.head_size, self.context = config.head_dim, context
        self.embed, self.layers, self.head = model.model.embed_tokens, model.model.layers, model.lm_head
        self.last_norm, self.epsilon = model.model.norm, torch.tensor(config.rms_norm_eps)
        for name in self.states:
            self.register_buffer(name, torch.zeros(self.state_shape, dtype=torch.float16))
        with torch.no_grad():
            cosines, sines = model.model.rotary_emb(torch.zeros(1), torch.arange(context)[None])
        # Both halves of a head turn by the same angles: half a table is enough.
        self.register_buffer("cosines", cosines[0, :, : self.head_size // 2])
        self.register_buffer("sines", sines[0, :, : self.head_size // 2])

    @property
    def state_shape(self) -> tuple[int, int, int, int, int]:
        """(layers, 1, key/value heads, context, head size)."""
        return len(self.layers), 1, self.cached_heads, self.context, self.head_size

    @property
    def keys(self) -> torch.Tensor:
        return self.get_buffer(self.states[0])

    @property
    def values(self) -> torch.Tensor:
        return self.get_buffer(self.states[1])

    def norm(self, x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        """RMSNorm in a form that float16 can carry.

        Squares are taken of numbers between -1 and 1: a trained Llama has activations in the tens of thousands, and
        float16 ends at 65,504. The formula holds for any divisor, so that a token of zeros is divided by SMALL.
        """
        largest = x.abs().amax(-1, keepdim=True).maximum(torch.tensor(SMALL))
        scaled = x / largest
        mean_square = (scaled * scaled).mean(-1, keepdim=True) + self.epsilon / largest / largest
        return scaled * torch.rsqrt(mean_square) * weight

    def project(
        self, layer: torch.nn.Module, x: torch.Tensor, cosines: torch.Tensor, sines: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Queries (1, heads, Q, head size), keys and values (1, key/value heads, Q, head size), rotated."""

        def split(projected: torch.Tensor, heads: int) -> torch.Tensor:
            return projected.view(1, -1, heads, self.head_size).transpose(1, 2)

        def rotate(heads: torch.Tensor) -> torch.Tensor:
            first, second = heads.chunk(2, dim=-1)
            return torch.cat([first * cosines - second * sines, second * cosines + first * sines], dim=-1)

        attention: Any = layer.self_attn
        queries = split(attention.q_proj(x), self.heads)
        keys, values = (split(project(x), self.cached_heads) for project in (attention.k_proj, attention.v_proj))
        return rotate(queries), rotate(keys), values

    def for_each_query_head(self, cached: torch.Tensor) -> torch.Tensor:
        """(1, key/value heads, K, head size) -> (1, heads, K, head size): neighbouring query heads share one."""
        group = self.heads // self.cached_heads
        cached = cached.to(self.embed.weight.dtype)
        return cached[:, :, None].repeat(1, 1, group, 1, 1).view(1, self.heads, -1, self.head_size)

    def run_layers(
        self, tokens: torch.Tensor, cosines: torch.Tensor, sines: torch.Tensor, **where: Any
    ) -> torch.Tensor:
        """Logits of the last token, (1, 1, vocabulary)."""
        hidden = self.embed(tokens)
        for number, layer in enumerate(self.layers):
            x = self.norm(hidden, layer.input_layernorm.weight)
            queries, keys, values = self.project(layer, x, cosines, sines)
            attended = self.attend(number, queries, keys, values, **where)
            hidden = hidden + layer.self_attn.o_proj(attended.transpose(1, 2).flatten(2))
            hidden = hidden + layer.mlp(self.norm(hidden, layer.post_attention_layernorm.weight))
        return self.head(self.norm(hidden[:, -1:], self.last_norm.weight))

    def attend(
        self, number: int, queries: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, **where: Any
    ) -> torch.Tensor:
        """Write `keys` and `values` into the cache of layer `number`, then attend: (1, heads, Q, head size)."""
        raise NotImplementedError


class FlexibleLlama(StatefulLlama):
    """Any number of new tokens a call."""

    states = ("keyCache", "valueCache")

    def forward(self, tokens: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        end = mask.shape[-1]
        begin = end - tokens.shape[-1]
        return self.run_layers(tokens, self.cosines[begin:end], self.sines[begin:end], mask=mask, begin=begin, end=end)

    def attend(  # type: ignore[override]
        self,
        number: int,
        queries: torch.Tensor,
        keys: torch.Tensor,
        values: torch.Tensor,
        *,
        mask: torch.Tensor,
        begin: int,
        end: int,
    ) -> torch.Tensor:
        self.keys[number, :, :, begin:end] = keys
        self.values[number, :, :, begin:end] = values
        return torch.nn.functional.scaled_dot_product_attention(
            queries,
            self.for_each_query_head(self.keys[number, :, :, :end]),
            self.for_each_query_head(self.values[number, :, :, :end]),
            attn_mask=mask,
        )


class OneTokenLlama(StatefulLlama):
    """One new token a call; no shape ever changes."""

    states = ("key_cache", "value_cache")

    def forward(self, token: torch.Tensor, position: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        here = (torch.arange(self.context, dtype=torch.int32) == position).to(mask.dtype).view(1, 1, -1, 1)
        cosines, sines = (table.index_select(0, position) for table in (self.cosines, self.sines))
        return self.run_layers(token, cosines, sines, mask=mask, here=here)

    def attend(  # type: ignore[override]
        self,
        number: int,
        queries: torch.Tensor,
        keys: torch.Tensor,
        values: torch.Tensor,
        *,
        mask: torch.Tensor,
        here: torch.Tensor,
    ) -> torch.Tensor:
        # Every place is written, the others with what they hold: a slice at a moving place is no fixed graph.
        self.keys[number] = self.keys[number] * (1 - here) + keys * here
        self.values[number] = self.values[number] * (1 - here) + values * here
        keys, values = (self.for_each_query_head(cache[number]) for cache in (self.keys, self.values))
        scores = queries @ keys.transpose(2, 3) * self.head_size**-0.5 + mask
        return torch.softmax(scores, dim=-1) @ values


def convert_flexible(model: LlamaForCausalLM, context: int, precision: Any = FLOAT16) -> Any:
    """The flexible convention, for up to `context` tokens."""
    llama = FlexibleLlama(model, context).eval()
    # Both numbers differ from 1 and from each other, so that the tracer ties nothing to them by accident.
    example = (torch.zeros(1, 3, dtype=torch.int32), torch.zeros(1, 1, 3, 5))
    new = coremltools.RangeDim(lower_bound=1, upper_bound=context, default=1)
    seen = coremltools.RangeDim(lower_bound=1, upper_bound=context, default=1)
    inputs = [
        coremltools.TensorType("inputIds", (1, new), dtype=np.int32),
        coremltools.TensorType("causalMask", (1, 1, new, seen), dtype=_numpy(precision)),
    ]
    return _convert(llama, example, inputs, precision)


def convert_one_token(model: LlamaForCausalLM, context: int, precision: Any = FLOAT16) -> Any:
    """The one-token convention, for up to `context` tokens."""
    llama = OneTokenLlama(model, context).eval()
    example = (
        torch.zeros(1, 1, dtype=torch.int32),
        torch.zeros(1, dtype=torch.int32),
        torch.zeros(1, 1, 1, context),
    )
    inputs = [
        coremltools.TensorType("input_ids", (1, 1), dtype=np.int32),
        coremltools.TensorType("position", (1,), dtype=np.int32),
        coremltools.TensorType("mask", (1, 1, 1, context), dtype=_numpy(precision)),
    ]
    return _convert(llama, example, inputs, precision)


def _numpy(precision: Any) -> type:
    return np.float16 if precision == FLOAT16 else np.float32


def _convert(llama: StatefulLlama, example: tuple[torch.Tensor, ...], inputs: list[Any], precision: Any) -> Any:
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore", torch.jit.TracerWarning)
        traced = torch.jit.trace(llama, example, check_trace=False)  # a second run would meet a filled cache
    states = [
        coremltools.StateType(coremltools.TensorType(shape=llama.state_shape, dtype=np.float16), name=name)
        for name in llama.states
    ]
    return coremltools.convert(
        traced,
        inputs=inputs,
        outputs=[coremltools.TensorType("logits", dtype=_numpy(precision))],
        states=states,
        minimum_deployment_target=TARGET,
        compute_precision=precision,
        skip_model_load=True,
    )
