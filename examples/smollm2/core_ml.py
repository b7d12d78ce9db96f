"""SmolLM2 as Core ML packages that keep their cache as state, at five precisions, and their checks.

`build` does it, on any operating system. Run alone: python examples/smollm2/core_ml.py [NAME ...]
"""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import greedy
import numpy as np
import torch
from transformers import AutoConfig, AutoTokenizer, LlamaForCausalLM
from variants import BuildError

sys.path.append(str(Path(__file__).resolve().parents[1]))  # modules that the examples share

import core_ml_checks
import core_ml_llama
import core_ml_package

FOLDER = Path(__file__).resolve().parent

CONTEXT = 512
"""Tokens that a state holds. The graph reads only as many places as are filled, so that a longer one costs memory only:
11.8 MB for both states."""

CHANNELS = 32
"""Output channels that share a palette. For fewer than 10,000 weights coremltools clusters in another, worse way."""

RECIPES = {
    "coreml-fp32": None,
    "coreml-fp16": lambda half: half,
    "coreml-int8": lambda half: core_ml_package.compress_int8(half, core_ml_llama.TABLES),
    "coreml-int4": lambda half: core_ml_package.compress_int4(half, core_ml_llama.TABLES),
    "coreml-palette4": lambda half: core_ml_package.compress_palette4(half, core_ml_llama.TABLES, CHANNELS),
}
"""What is made of the float16 conversion; fp32 is a conversion of its own."""

USUAL = ("coreml-fp32", "coreml-fp16", "coreml-int8", "coreml-int4")
"""Not the palettes: they take ten minutes, and what is made with them writes nonsense."""

TEXT = FOLDER.parent / "demo_model" / "heldout.txt"
TOKENS = 384
"""Of the start of TEXT: bits per byte are measured on them, token by token."""
CHUNKS = (128, 37, 1, 1, 90)
"""Calls in which the float32 conversion is given the first of these tokens, to be held against torch."""

CLOSE = 0.02
"""Largest difference of a logit between the float32 conversion and torch with a cache in float16, as a state is. Seen:
0.005, from numbers that fall on the other side of a rounding step; the float16 cache itself made 0.03. A mistake
would make whole numbers."""


def build(hf: Path, out: Path, names: Sequence[str] = USUAL, *, force: bool = False) -> None:
    """Make those of the named folders that are not below `out`, and check all named ones.

    Raises `BuildError` if float32 is not torch's model, or if float16 cannot carry its activations.
    """
    model = LlamaForCausalLM.from_pretrained(hf).eval()
    missing = [name for name in names if force or not (out / name / "model.mlpackage").exists()]
    half = core_ml_llama.convert_flexible(model, CONTEXT) if set(missing) - {"coreml-fp32"} else None
    for name in missing:
        started = time.monotonic()
        save(convert(name, model, half), hf, out / name)
        size = core_ml_package.size(out / name / "model.mlpackage")
        print(f"[{name}] built in {time.monotonic() - started:.0f} s, {size / 1e6:.0f} MB", flush=True)
    check(model, hf, out, names)


def convert(name: str, model: LlamaForCausalLM, half: Any) -> Any:
    """The Core ML model of one recipe."""
    recipe = RECIPES[name]
    return recipe(half) if recipe else core_ml_llama.convert_flexible(model, CONTEXT, core_ml_llama.FLOAT32)


def save(converted: Any, hf: Path, folder: Path) -> None:
    """Write a folder ready to load. The package comes last: where it is, the folder is whole."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(hf / "tokenizer.json", folder)
    core_ml_package.save(converted, folder / "model.mlpackage")


def check(model: LlamaForCausalLM, hf: Path, out: Path, names: Sequence[str]) -> None:
    """Print how well each predicts the text, and what it writes."""
    tokens = AutoTokenizer.from_pretrained(hf)(TEXT.read_text(encoding="utf-8"))["input_ids"][:TOKENS]
    prompt = greedy.chat_prompt(hf)
    with torch.no_grad():
        logits = model(torch.tensor([tokens]), use_cache=False).logits[0].numpy()
    expected = greedy.torch_greedy(hf, prompt)
    say(hf, "torch", tokens, logits, expected)
    check_float16_range(model, prompt)
    for name in names:
        runner = core_ml_checks.Runner(out / name)
        continuation = core_ml_checks.greedy(runner, prompt, greedy.TOKENS, AutoConfig.from_pretrained(hf).eos_token_id)
        if name == "coreml-fp32":
            check_agreement(model, runner, tokens[: sum(CHUNKS)])
            if continuation != expected:
                raise BuildError(f"{name} must give torch's tokens and does not: check the versions of the packages")
        runner.reset()
        say(hf, name, tokens, np.stack([runner.extend([token]) for token in tokens]), continuation)


def check_agreement(model: LlamaForCausalLM, runner: core_ml_checks.Runner, tokens: Sequence[int]) -> None:
    """Fail where the float32 conversion is not torch's model."""
    with torch.no_grad():
        transformers = model(torch.tensor([tokens]), use_cache=False).logits[0].numpy()
    exact = core_ml_checks.torch_logits(model, tokens, cache=torch.float32)
    rounded = core_ml_checks.torch_logits(model, tokens, cache=torch.float16)
    module = float(np.abs(exact - transformers).max())
    cache = float(np.abs(rounded - transformers).max())
    converted = core_ml_checks.difference(runner, rounded, tokens, CHUNKS)
    print(
        f"[coreml-fp32] logits: the module to convert differs by {module:.2g} from Transformers, with its cache in "
        f"float16 by {cache:.2g}; the conversion by {converted:.2g} from that",
        flush=True,
    )
    if not max(module, converted) <= CLOSE:
        raise BuildError(f"coreml-fp32: logits differ by {module:g} and {converted:g}; limit {CLOSE}")


def check_float16_range(model: LlamaForCausalLM, prompt: Sequence[int]) -> None:
    """Fail where activations leave float16's range: a device computes in float16, the reference execution does not."""
    with torch.no_grad():
        expected = model(torch.tensor([prompt]), use_cache=False).logits[0, -1].numpy()
    half = core_ml_checks.half_precision_logits(model, prompt)
    print(f"[torch] activations in float16 change logits by {np.abs(half - expected).max():.2g}", flush=True)
    if not np.isfinite(half).all() or half.argmax() != expected.argmax():
        raise BuildError("with activations in float16 the next token is another one: some leave its range")


def say(hf: Path, name: str, tokens: Sequence[int], logits: np.ndarray, continuation: list[int]) -> None:
    """Print how well a model predicts the text, and what it writes."""
    size_bytes = len(greedy.text_of(hf, list(tokens[1:])).encode())
    bits = core_ml_checks.code_length(logits[:-1], np.array(tokens[1:])) / size_bytes
    print(f"[{name}] {bits:.3f} bits a byte; {greedy.text_of(hf, continuation)!r}", flush=True)


if __name__ == "__main__":
    folder = FOLDER.parents[1] / "build" / "smollm2"
    build(folder / "hf", folder, sys.argv[1:] or USUAL)
