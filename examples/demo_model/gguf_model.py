"""The demo model as GGUF, made from the committed ONNX artefact: `python examples/demo_model/gguf_model.py`.

Writes `build/demo_model/gguf-f32/`, or `--out FOLDER`: `model.gguf` in float32 and `tokenizer.json`. Needs the packages
gguf and onnx, no torch. Smaller variants of it are `benchharness compress`'s to make.
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import onnx
from onnx import numpy_helper

FOLDER = Path(__file__).resolve().parent
SOURCE = FOLDER / "artefacts" / "onnx-fp32"
OUT = FOLDER.parents[1] / "build" / "demo_model" / "gguf-f32"

#: A layer's matrices: GGUF's name, the name in Transformers.
MATRICES = {
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
NORMS = {"attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm"}


def build(source: Path = SOURCE, out: Path = OUT) -> Path:
    """Writes the model and its tokenizer to `out`; the model's path."""
    stored = onnx.load(source / "model.onnx").graph.initializer
    # ONNX multiplies from the other side: rows of a matrix are its inputs.
    weights = {each.name: numpy_helper.to_array(each) for each in stored}
    turned = {name: values.T if name.endswith("_proj.weight") else values for name, values in weights.items()}
    return write(source, out, turned, name="benchharness demo", pre="gpt-2")


def write(source: Path, out: Path, weights: Mapping[str, np.ndarray], *, name: str, pre: str) -> Path:
    """Writes a Llama's weights by their names in Transformers, with what `source` says beside them. The model's path.

    `pre` is what llama.cpp calls the way in which the tokenizer splits a text first.
    """
    out.mkdir(parents=True, exist_ok=True)
    config = json.loads((source / "config.json").read_text(encoding="utf-8"))
    target = out / "model.gguf"
    writer = gguf.GGUFWriter(target, "llama")
    writer.add_name(name)
    add_sizes(writer, config)
    add_tokenizer(writer, json.loads((source / "tokenizer.json").read_text(encoding="utf-8")), pre)
    for each, values in tensors(weights, config):
        writer.add_tensor(each, np.ascontiguousarray(values, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    shutil.copyfile(source / "tokenizer.json", out / "tokenizer.json")
    return target


def add_sizes(writer: gguf.GGUFWriter, config: Mapping[str, Any]) -> None:
    """What llama.cpp builds the graph from."""
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    writer.add_vocab_size(config["vocab_size"])
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_rope_freq_base((config.get("rope_parameters") or config)["rope_theta"])
    writer.add_rope_dimension_count(config["head_dim"])


def add_tokenizer(writer: gguf.GGUFWriter, tokenizer: Mapping[str, Any], pre: str) -> None:
    """The byte-level BPE vocabulary; token 0 ends a text and begins one."""
    ids: Mapping[str, int] = tokenizer["model"]["vocab"]
    names = sorted(ids, key=ids.__getitem__)
    merges = [each if isinstance(each, str) else " ".join(each) for each in tokenizer["model"]["merges"]]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre)
    writer.add_token_list(names)
    writer.add_token_types([gguf.TokenType.CONTROL] + [gguf.TokenType.NORMAL] * (len(names) - 1))
    writer.add_token_merges(merges)
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(0)
    writer.add_add_bos_token(False)


def tensors(weights: Mapping[str, np.ndarray], config: Mapping[str, Any]) -> Iterator[tuple[str, np.ndarray]]:
    """GGUF's names and values. The output matrix is the embedding's, and left out as llama.cpp wants it then."""
    heads = {"attn_q": config["num_attention_heads"], "attn_k": config["num_key_value_heads"]}
    yield "token_embd.weight", weights["model.embed_tokens.weight"]
    yield "output_norm.weight", weights["model.norm.weight"]
    for layer in range(config["num_hidden_layers"]):
        for name, theirs in NORMS.items():
            yield f"blk.{layer}.{name}.weight", weights[f"model.layers.{layer}.{theirs}.weight"]
        for name, theirs in MATRICES.items():
            matrix = weights[f"model.layers.{layer}.{theirs}.weight"]
            yield f"blk.{layer}.{name}.weight", interleaved(matrix, heads[name]) if name in heads else matrix


def interleaved(matrix: np.ndarray, heads: int) -> np.ndarray:
    """Rows (outputs, inputs) in llama.cpp's order: it rotates neighbours, where Transformers rotates two halves."""
    outputs, inputs = matrix.shape
    return matrix.reshape(heads, 2, outputs // heads // 2, inputs).swapaxes(1, 2).reshape(outputs, inputs)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").splitlines()[0], epilog="example: python gguf_model.py --out build/gguf"
    )
    parser.add_argument("--out", type=Path, default=OUT, help="folder to write [build/demo_model/gguf-f32]")
    print(build(out=parser.parse_args().out))


if __name__ == "__main__":
    main()
