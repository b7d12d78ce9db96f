"""SmolLM2 as LiteRT files: three precisions, one of them as a `.litertlm` bundle too; and their checks.

`build` does all of it. Run alone: python examples/smollm2/tflite.py
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import greedy
import numpy as np
import torch
from transformers import AutoTokenizer, LlamaForCausalLM
from variants import BuildError

FOLDER = Path(__file__).resolve().parent
sys.path.append(str(FOLDER.parent))  # what this example shares with the other language model

import tflite_export  # noqa: E402
from tflite_model import LanguageModel  # noqa: E402

SHAPE = tflite_export.Shape(prefill_lengths=(8, 32, 128), cache_length=512)
"""A chat prompt such as the suite's, 37 tokens, takes one chunk of 32 and one of 8; one of 500 takes four of 128.
Every call reads the whole cache, so that a longer one would cost all prompts."""

BUNDLE = "litertlm-int8"
FOLDERS = (*tflite_export.RECIPES, BUNDLE)

TEXT = FOLDER.parent / "demo_model" / "heldout.txt"
TOKENS = 384
"""Of the start of TEXT: bits per byte are measured on them, token by token."""
CHARACTERS = 4000
"""Enough of TEXT for them."""

CLOSE = 1e-3
"""Largest difference of a float32 logit from torch's, over all of them; measured: 0.00011."""


@dataclass(frozen=True, kw_only=True)
class Expected:
    """What torch gives, to hold the artefacts against."""

    prompt: list[int]
    continuation: list[int]
    tokens: np.ndarray
    logits: np.ndarray


def build(hf: Path, out: Path, *, force: bool = False) -> None:
    """Make the folders below `out` unless all are there, and check them. Fails if float32 is not torch's model."""
    if force or not all((out / name).exists() for name in FOLDERS):
        try:
            tflite_export.export_all(hf, out, SHAPE, bundle=BUNDLE)
        except RuntimeError as error:
            raise BuildError(str(error)) from error
    expected = expect(hf)
    say(hf, "torch", expected.tokens, expected.logits, expected.continuation)
    for name in tflite_export.RECIPES:
        model = LanguageModel(out / name / "model.tflite")
        logits = model.forward(expected.tokens[None])[0]
        continuation = model.greedy(expected.prompt, greedy.TOKENS, end=AutoTokenizer.from_pretrained(hf).eos_token_id)
        say(hf, name, expected.tokens, logits, continuation)
        if name == "tflite-fp32":
            check(expected, logits, continuation, model.prefill_difference(expected.tokens.tolist()))


def expect(hf: Path) -> Expected:
    """Run torch."""
    prompt = greedy.chat_prompt(hf)
    text = TEXT.read_text(encoding="utf-8")[:CHARACTERS]
    tokens = np.array(AutoTokenizer.from_pretrained(hf)(text)["input_ids"][:TOKENS])
    with torch.no_grad():
        logits = LlamaForCausalLM.from_pretrained(hf).eval()(torch.from_numpy(tokens[None])).logits[0].numpy()
    return Expected(prompt=prompt, continuation=greedy.torch_greedy(hf, prompt), tokens=tokens, logits=logits)


def check(expected: Expected, logits: np.ndarray, continuation: list[int], prefill: float) -> None:
    """Fail where the float32 artefact is not torch's model."""
    difference = float(np.abs(logits - expected.logits).max())
    print(f"[tflite-fp32] logits differ by {difference:.2g} from torch's, by {prefill:.2g} after a prefill", flush=True)
    if not max(difference, prefill) <= CLOSE:
        raise BuildError(f"tflite-fp32: logits differ by {difference:g}, after a prefill by {prefill:g}; limit {CLOSE}")
    if continuation != expected.continuation:
        raise BuildError("tflite-fp32 must give torch's tokens and does not: check the versions of the packages")


def say(hf: Path, name: str, tokens: np.ndarray, logits: np.ndarray, continuation: list[int]) -> None:
    """Print how well a model predicts the text, and what it writes."""
    size_bytes = len(greedy.text_of(hf, tokens[1:].tolist()).encode())
    bits = total_bits(logits[:-1], tokens[1:]) / size_bytes
    print(f"[{name}] {bits:.3f} bits a byte; {greedy.text_of(hf, continuation)!r}", flush=True)


def total_bits(logits: np.ndarray, targets: np.ndarray) -> float:
    """Code length of `targets` (S,) under logits (S, vocabulary), in bits; the logarithms are taken in float64."""
    logits = logits.astype(np.float64)
    logits -= logits.max(axis=-1, keepdims=True)
    chosen = np.take_along_axis(logits, targets[:, None], axis=-1)[:, 0]
    return float((np.log(np.exp(logits).sum(axis=-1)) - chosen).sum() / np.log(2))


if __name__ == "__main__":
    folder = FOLDER.parents[1] / "build" / "smollm2"
    build(folder / "hf", folder, force=True)
