"""Runs the model and its exports over tokens: bits per byte, agreement, greedy text."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from transformers import LlamaForCausalLM

WINDOW = 256
STRIDE = 128
"""Each scored token has at least WINDOW - STRIDE tokens of context, but for the first ones of the text."""

START = 0
"""The end-of-text token stands before the text, so that its first token is scored too."""

Forward = Callable[[np.ndarray], np.ndarray]
"""Token ids (B, S) -> logits (B, S, vocabulary), float32, without any cache."""


def torch_forward(model: LlamaForCausalLM) -> Forward:
    """The reference."""

    @torch.no_grad()
    def forward(tokens: np.ndarray) -> np.ndarray:
        return model(torch.from_numpy(tokens), use_cache=False).logits.numpy()

    return forward


class OnnxModel:
    """An exported folder in ONNX Runtime on the CPU; inputs that a graph does not declare are not fed."""

    def __init__(self, folder: Path) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 2
        self.session = onnxruntime.InferenceSession(folder / "model.onnx", options, providers=["CPUExecutionProvider"])
        self.inputs = {spec.name for spec in self.session.get_inputs()}
        self.outputs = [spec.name for spec in self.session.get_outputs()]
        # The head size comes from the configuration: onnxruntime-genai's graph leaves that dimension open.
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        self.heads, self.head_size = config["num_key_value_heads"], config["head_dim"]

    def empty_cache(self, batch: int) -> dict[str, np.ndarray]:
        """A cache of length 0."""
        empty = np.zeros((batch, self.heads, 0, self.head_size), np.float32)
        return {name: empty for name in self.inputs if name.startswith("past_key_values.")}

    def step(
        self, tokens: np.ndarray, cache: dict[str, np.ndarray], mask: np.ndarray | None = None
    ) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Append `tokens` (B, S) to `cache`; return their logits and the longer cache.

        `mask` (B, T) marks real tokens; zeros, for padding, may stand on the left only.
        """
        batch, new = tokens.shape
        past = next(iter(cache.values())).shape[2]
        mask = np.ones((batch, past + new), np.int64) if mask is None else mask
        positions = np.maximum(np.cumsum(mask, axis=1) - 1, 0)[:, -new:]
        feeds = {"input_ids": tokens, "attention_mask": mask, "position_ids": positions, **cache}
        known = {name: array for name, array in feeds.items() if name in self.inputs}
        results = dict(zip(self.outputs, self.session.run(None, known), strict=True))
        grown = {name: results[name.replace("past_key_values", "present")] for name in cache}
        return results["logits"], grown

    def forward(self, tokens: np.ndarray) -> np.ndarray:
        """All logits in one pass."""
        return self.step(tokens, self.empty_cache(len(tokens)))[0]


def windows(tokens: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Overlapping pieces of `tokens`: inputs (1, up to WINDOW), and the targets of the last of them."""
    stream = np.concatenate([[START], tokens]).astype(np.int64)
    pieces = []
    scored = 0
    while scored < len(tokens):
        end = min(max(WINDOW, scored + STRIDE), len(tokens))
        pieces.append((stream[None, max(0, end - WINDOW) : end], stream[scored + 1 : end + 1]))
        scored = end
    return pieces


def total_bits(forward: Forward, tokens: np.ndarray) -> float:
    """Code length of `tokens` in bits; the logarithms are taken in float64."""
    bits = 0.0
    for inputs, targets in windows(tokens):
        logits = forward(inputs)[0, -len(targets) :].astype(np.float64)
        logits -= logits.max(axis=-1, keepdims=True)
        chosen = np.take_along_axis(logits, targets[:, None], axis=-1)[:, 0]
        bits += (np.log(np.exp(logits).sum(axis=-1)) - chosen).sum() / np.log(2)
    return float(bits)


def largest_difference(one: Forward, other: Forward, tokens: np.ndarray) -> float:
    """Largest absolute difference between two models' logits over all windows of a text."""
    return max(float(np.abs(one(inputs) - other(inputs)).max()) for inputs, _ in windows(tokens))


def cache_difference(model: OnnxModel, tokens: np.ndarray, chunks: Sequence[int]) -> float:
    """Feed `tokens` (B, S) in pieces of the given lengths; largest difference to the logits of one pass."""
    cache = model.empty_cache(len(tokens))
    pieces = []
    at = 0
    for length in chunks:
        logits, cache = model.step(tokens[:, at : at + length], cache)
        pieces.append(logits)
        at += length
    return float(np.abs(np.concatenate(pieces, axis=1) - model.forward(tokens[:, :at])).max())


def padding_difference(model: OnnxModel, tokens: np.ndarray, padding: int) -> float:
    """A sequence (1, S) padded on the left beside itself in a batch of two, against the sequence alone."""
    filler = np.full((1, padding), START, np.int64)
    length = tokens.shape[1] - padding
    batch = np.concatenate([tokens, np.concatenate([filler, tokens[:, :length]], axis=1)])
    mask = np.ones_like(batch)
    mask[1, :padding] = 0
    logits, _ = model.step(batch, model.empty_cache(2), mask)
    alone = model.forward(tokens)
    plain, padded = logits[0] - alone[0], logits[1, padding:] - alone[0, :length]
    return float(max(np.abs(plain).max(), np.abs(padded).max()))


def greedy(model: OnnxModel, prompt: Sequence[int], count: int) -> list[int]:
    """The `count` most likely next tokens after `prompt`, one by one through the cache."""
    tokens = np.array([prompt], np.int64)
    cache = model.empty_cache(1)
    chosen: list[int] = []
    for _ in range(count):
        logits, cache = model.step(tokens, cache)
        chosen.append(int(logits[0, -1].argmax()))
        tokens = np.array([[chosen[-1]]], np.int64)
    return chosen
