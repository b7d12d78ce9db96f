"""What a converted Llama answers where there is no Mac, to hold it against torch.

The converted program runs by benchharness's own reference execution: what the weights say, computed in float32. What
float16 does to activations on a device is tried in torch.
"""

from __future__ import annotations

import copy
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from core_ml_llama import FlexibleLlama
from transformers import LlamaForCausalLM

sys.path.append(
    str(Path(__file__).resolve().parents[1])
)  # the builders run from a clone, without benchharness installed

from targets.core_ml.reference.execution import ReferenceModel

HIDDEN = -1e4
"""Added to the score of a token that must not be seen: its exponential is zero, and float16 can hold it."""


class Runner:
    """A folder with a flexible `model.mlpackage`, and how many tokens its cache holds."""

    def __init__(self, folder: Path) -> None:
        self.model = ReferenceModel(folder / "model.mlpackage", threads=2)
        self.reset()

    def reset(self) -> None:
        self.state, self.seen = self.model.make_state(), 0

    def extend(self, tokens: Sequence[int]) -> np.ndarray:
        """Append tokens; logits of the next one, (vocabulary,), float32."""
        ids = np.array([tokens], np.int32)
        self.seen += len(tokens)
        inputs = {"inputIds": ids, "causalMask": causal_mask(len(tokens), self.seen)}
        return self.model.predict(inputs, self.state)["logits"][0, -1]


class OneTokenRunner(Runner):
    """A folder whose `model.mlpackage` takes one token a call."""

    def extend(self, tokens: Sequence[int]) -> np.ndarray:
        """The same, token by token."""
        places = self.model.inputs[-1].shape[-1]
        for token in tokens:
            inputs = {
                "input_ids": np.array([[token]], np.int32),
                "position": np.array([self.seen], np.int32),
                "mask": np.where(np.arange(places) <= self.seen, 0, HIDDEN)[None, None, None],
            }
            self.seen += 1
            logits = self.model.predict(inputs, self.state)["logits"][0, -1]
        return logits


def causal_mask(new: int, seen: int) -> np.ndarray:
    """(1, 1, new, seen): the last `new` of `seen` tokens see themselves and what is before them."""
    rows = np.arange(seen - new, seen)[:, None]
    return np.where(np.arange(seen) <= rows, 0, HIDDEN).astype(np.float32)[None, None]


def greedy(runner: Runner, prompt: Sequence[int], count: int, end: int | None = None) -> list[int]:
    """The `count` likeliest next tokens after `prompt`, or fewer where `end` is one of them."""
    runner.reset()
    logits = runner.extend(prompt)
    chosen = [int(logits.argmax())]
    while len(chosen) < count and chosen[-1] != end:
        chosen.append(int(runner.extend(chosen[-1:]).argmax()))
    return chosen


def code_length(logits: np.ndarray, targets: np.ndarray) -> float:
    """Bits that `targets` (S,) take under logits (S, vocabulary); the logarithms are taken in float64."""
    logits = logits.astype(np.float64)
    nats = np.logaddexp.reduce(logits, axis=1) - logits[np.arange(len(targets)), targets]
    return float(nats.sum() / np.log(2))


def difference(runner: Runner, expected: np.ndarray, tokens: Sequence[int], chunks: Sequence[int]) -> float:
    """Largest absolute difference to the `expected` logits (tokens, vocabulary), after chunks of the given lengths."""
    runner.reset()
    largest = 0.0
    for length in chunks:
        logits = runner.extend(tokens[runner.seen : runner.seen + length])
        largest = max(largest, float(np.abs(logits - expected[runner.seen - 1]).max()))
    return largest


@torch.no_grad()
def torch_logits(model: LlamaForCausalLM, tokens: Sequence[int], *, cache: torch.dtype) -> np.ndarray:
    """Logits after each of `tokens`, (tokens, vocabulary), by the module that is converted, one token a call.

    With a cache in float32 it should give what Transformers gives; in float16, what the converted model gives.
    """
    llama = FlexibleLlama(model, len(tokens)).eval()
    llama.keyCache, llama.valueCache = llama.keyCache.to(cache), llama.valueCache.to(cache)
    rows = [llama(torch.tensor([[token]]), torch.zeros(1, 1, 1, at + 1)) for at, token in enumerate(tokens)]
    return torch.cat(rows, dim=1)[0].numpy()


@torch.no_grad()
def half_precision_logits(model: LlamaForCausalLM, tokens: Sequence[int]) -> np.ndarray:
    """Logits after the last of `tokens`, (vocabulary,), with every activation rounded to float16.

    A number beyond float16's range would make them infinite or not a number, as on a device.
    """
    half = FlexibleLlama(copy.deepcopy(model).half(), len(tokens)).half().eval()
    mask = torch.from_numpy(causal_mask(len(tokens), len(tokens))).half()
    return half(torch.tensor([tokens]), mask)[0, -1].float().numpy()
