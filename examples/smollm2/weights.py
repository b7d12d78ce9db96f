"""From the GGUF file to a Transformers folder: dequantized weights, configuration and tokenizer."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gguf import GGUFReader, TokenType, dequantize
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

# GGUF's name of a tensor inside a block -> its name inside a Transformers decoder layer.
LAYER_TENSORS = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
OUTER_TENSORS = {"token_embd": "model.embed_tokens", "output_norm": "model.norm"}


def dequantize_to_transformers(gguf_file: Path, folder: Path) -> None:
    """Writes `config.json`, float32 `model.safetensors` and the tokenizer's files into `folder`."""
    reader = GGUFReader(gguf_file)
    config = _model_config(reader)
    model = LlamaForCausalLM(config)
    model.load_state_dict(_state_dict(reader), strict=True)
    model.generation_config = GenerationConfig(
        bos_token_id=config.bos_token_id, eos_token_id=config.eos_token_id, pad_token_id=config.pad_token_id
    )
    model.save_pretrained(folder)
    _tokenizer(reader).save_pretrained(folder)


def _field(reader: GGUFReader, key: str) -> Any:
    field = reader.get_field(key)
    if field is None:
        raise KeyError(f"the GGUF file has no field {key!r}: is it the file this example was written for?")
    return field.contents()


def _model_config(reader: GGUFReader) -> LlamaConfig:
    return LlamaConfig(
        vocab_size=_field(reader, "llama.vocab_size"),
        hidden_size=_field(reader, "llama.embedding_length"),
        intermediate_size=_field(reader, "llama.feed_forward_length"),
        num_hidden_layers=_field(reader, "llama.block_count"),
        num_attention_heads=_field(reader, "llama.attention.head_count"),
        num_key_value_heads=_field(reader, "llama.attention.head_count_kv"),
        max_position_embeddings=_field(reader, "llama.context_length"),
        # GGUF stores a float32; its nearest short decimal is the value the model was trained with.
        rms_norm_eps=float(f"{_field(reader, 'llama.attention.layer_norm_rms_epsilon'):.6g}"),
        rope_parameters={"rope_type": "default", "rope_theta": _field(reader, "llama.rope.freq_base")},
        bos_token_id=_field(reader, "tokenizer.ggml.bos_token_id"),
        eos_token_id=_field(reader, "tokenizer.ggml.eos_token_id"),
        pad_token_id=_field(reader, "tokenizer.ggml.padding_token_id"),
        # The file has no separate output matrix.
        tie_word_embeddings=True,
        dtype="float32",
    )


def _state_dict(reader: GGUFReader) -> dict[str, torch.Tensor]:
    state = {name: torch.from_numpy(values) for name, values in _named_weights(reader)}
    state["lm_head.weight"] = state["model.embed_tokens.weight"]
    return state


def _named_weights(reader: GGUFReader) -> Iterator[tuple[str, np.ndarray]]:
    rotated_heads = {
        "attn_q": _field(reader, "llama.attention.head_count"),
        "attn_k": _field(reader, "llama.attention.head_count_kv"),
    }
    for tensor in reader.tensors:
        values = dequantize(tensor.data, tensor.tensor_type).astype(np.float32)
        name = tensor.name.removesuffix(".weight")
        if name in OUTER_TENSORS:
            yield f"{OUTER_TENSORS[name]}.weight", values
            continue
        _, layer, part = name.split(".")
        if part in rotated_heads:
            values = _halves_apart(values, rotated_heads[part])
        yield f"model.layers.{layer}.{LAYER_TENSORS[part]}.weight", values


def _halves_apart(rows: np.ndarray, heads: int) -> np.ndarray:
    """Reorders the rows of a rotary projection from GGUF's order to Transformers' order.

    Rotary embedding turns pairs of rows. GGUF keeps the two rows of a pair side by side; Transformers keeps
    all first rows of a head before all second rows.
    """
    pairs = rows.reshape(heads, -1, 2, rows.shape[1])
    return np.concatenate([pairs[:, :, 0], pairs[:, :, 1]], axis=1).reshape(rows.shape)


def _tokenizer(reader: GGUFReader) -> PreTrainedTokenizerFast:
    tokens: list[str] = _field(reader, "tokenizer.ggml.tokens")
    kinds: list[int] = _field(reader, "tokenizer.ggml.token_type")
    merges = [tuple(merge.split(" ")) for merge in _field(reader, "tokenizer.ggml.merges")]
    tokenizer = Tokenizer(models.BPE(vocab={token: i for i, token in enumerate(tokens)}, merges=merges))
    # What `tokenizer.ggml.pre = smollm` stands for: every digit is its own piece, then GPT-2's splitting.
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    control = [token for token, kind in zip(tokens, kinds, strict=True) if kind == TokenType.CONTROL]
    tokenizer.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in control])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=tokens[_field(reader, "tokenizer.ggml.bos_token_id")],
        eos_token=tokens[_field(reader, "tokenizer.ggml.eos_token_id")],
        pad_token=tokens[_field(reader, "tokenizer.ggml.padding_token_id")],
        unk_token=tokens[_field(reader, "tokenizer.ggml.unknown_token_id")],
        chat_template=_field(reader, "tokenizer.chat_template"),
        model_max_length=_field(reader, "llama.context_length"),
        clean_up_tokenization_spaces=False,
    )
