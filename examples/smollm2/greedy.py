"""Greedy continuation of one chat prompt, by torch and by ONNX Runtime, to hold one against the other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from transformers import AutoConfig, AutoTokenizer, LlamaForCausalLM

QUESTION = "Write two sentences about the sea."
TOKENS = 32

CACHE_TYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16}


def chat_prompt(hf_folder: Path) -> list[int]:
    tokenizer = AutoTokenizer.from_pretrained(hf_folder)
    messages = [{"role": "user", "content": QUESTION}]
    encoded: Any = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=True)
    return list(encoded["input_ids"])


def text_of(hf_folder: Path, tokens: list[int]) -> str:
    return str(AutoTokenizer.from_pretrained(hf_folder).decode(tokens))


def torch_greedy(hf_folder: Path, prompt: list[int]) -> list[int]:
    model = LlamaForCausalLM.from_pretrained(hf_folder)
    ids = torch.tensor([prompt])
    # All ones: there is no padding. Said so because the padding token is also the end-of-text token.
    mask = torch.ones_like(ids)
    output = model.generate(ids, attention_mask=mask, max_new_tokens=TOKENS, do_sample=False)
    return output[0, len(prompt) :].tolist()


def onnx_greedy(model_file: Path, hf_folder: Path, prompt: list[int]) -> list[int]:
    """The continuation by plain `session.run`: each call's cache outputs are the next call's cache inputs."""
    config = AutoConfig.from_pretrained(hf_folder)
    session = onnxruntime.InferenceSession(model_file, providers=["CPUExecutionProvider"])
    inputs = {node.name: node.type for node in session.get_inputs()}
    outputs = [node.name for node in session.get_outputs()]
    empty = (1, config.num_key_value_heads, 0, config.head_dim)
    cache = {name: np.zeros(empty, CACHE_TYPES[kind]) for name, kind in inputs.items() if name.startswith("past_")}
    continuation: list[int] = []
    pending, depth = prompt, 0
    while len(continuation) < TOKENS:
        feeds = {
            "input_ids": np.array([pending], np.int64),
            "attention_mask": np.ones((1, depth + len(pending)), np.int64),
            "position_ids": np.arange(depth, depth + len(pending), dtype=np.int64)[None],
        }
        feeds = {name: values for name, values in feeds.items() if name in inputs}
        results = dict(zip(outputs, session.run(outputs, feeds | cache), strict=True))
        cache = {name: results[name.replace("past_key_values", "present")] for name in cache}
        depth += len(pending)
        token = int(results["logits"][0, -1].argmax())
        continuation.append(token)
        if token == config.eos_token_id:
            break
        pending = [token]
    return continuation
