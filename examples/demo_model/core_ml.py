"""The Core ML artefacts made from the trained model, and what they answer; on any operating system.

`build` is the last step of build.py. Alone it builds from what that left behind: python examples/demo_model/core_ml.py
"""

from __future__ import annotations

import importlib.metadata
import json
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import score
import torch
from tokenizers import Tokenizer
from transformers import LlamaForCausalLM

sys.path.append(str(Path(__file__).resolve().parents[1]))  # modules that the examples share

import core_ml_checks
import core_ml_llama
import core_ml_package

FOLDER = Path(__file__).resolve().parent
WORK = FOLDER.parents[1] / "build" / "demo_model"

CONTINUATION_TOKENS = 40
LIMITS = {
    "module_and_transformers": 1e-4,
    "float16_cache": 0.05,
    "token_by_token": 5e-3,
    "chunks": 5e-3,
    "one_token_convention": 5e-3,
    "float16_activations": 0.25,
}
"""Largest differences of a logit; logits reach 23. Where a cache is float16, a number that falls on the other side of a
rounding step changes logits by up to 2e-3: no limit can be tighter."""


def build(hf: Path, out: Path, work: Path) -> None:
    """Write artefacts below `out` and, for comparison only, below `work`; add their figures to evaluation.json."""
    model = LlamaForCausalLM.from_pretrained(hf).eval()
    artefacts = export_artefacts(model, hf, out / "artefacts")
    comparisons = export_comparisons(model, hf, work)
    figures = evaluate(model, Tokenizer.from_file(str(hf / "tokenizer.json")), artefacts, comparisons, out)
    add_figures(out / "evaluation.json", figures)


def export_artefacts(model: LlamaForCausalLM, hf: Path, artefacts: Path) -> dict[str, Path]:
    """Float16, int8 and int4 of the flexible convention, by the names of their folders."""
    half = core_ml_llama.convert_flexible(model, model.config.max_position_embeddings)
    keep = core_ml_llama.TABLES
    models = {
        "coreml-fp16": half,
        "coreml-int8": core_ml_package.compress_int8(half, keep),
        "coreml-int4": core_ml_package.compress_int4(half, keep, symmetric=False),
    }
    return {name: save(converted, hf, artefacts / name) for name, converted in models.items()}


def export_comparisons(model: LlamaForCausalLM, hf: Path, work: Path) -> dict[str, Path]:
    """Float32, to be held against torch, and the one-token convention."""
    context = model.config.max_position_embeddings
    models = {
        "coreml-fp32": core_ml_llama.convert_flexible(model, context, core_ml_llama.FLOAT32),
        "coreml-fp16-one-token": core_ml_llama.convert_one_token(model, context),
    }
    return {name: save(converted, hf, work / name) for name, converted in models.items()}


def save(converted: Any, hf: Path, folder: Path) -> Path:
    """Write a folder ready to load."""
    core_ml_package.save(converted, folder / "model.mlpackage")
    shutil.copy(hf / "tokenizer.json", folder)
    return folder


def evaluate(
    model: LlamaForCausalLM,
    tokenizer: Tokenizer,
    artefacts: Mapping[str, Path],
    comparisons: Mapping[str, Path],
    out: Path,
) -> dict[str, Any]:
    """Entries for evaluation.json, by its keys. Fails where a conversion is wrong."""
    held_out = (out / "heldout.txt").read_text(encoding="utf-8")
    prompts = (out / "prompts.txt").read_text(encoding="utf-8").splitlines()
    tokens = tokenizer.encode(held_out).ids
    runners = {name: core_ml_checks.Runner(folder) for name, folder in artefacts.items()}
    check_texts(model, tokenizer, core_ml_checks.Runner(comparisons["coreml-fp32"]), prompts)
    figures: dict[str, Any] = {
        "versions": {"coremltools": importlib.metadata.version("coremltools")},
        "largest_logit_difference": check_agreement(model, tokens[: score.WINDOW], runners["coreml-fp16"], comparisons),
        "model_bytes": {name: core_ml_package.size(path / "model.mlpackage") for name, path in artefacts.items()},
        "bits_per_byte": {},
        "continuations": {},
    }
    for name, runner in runners.items():
        bits = total_bits(runner, np.array(tokens)) / len(held_out.encode())
        figures["bits_per_byte"][name] = round(bits, 4)
        texts = [continuation(runner, tokenizer, prompt) for prompt in prompts]
        figures["continuations"][name] = texts
        print(f"[{name}] {bits:.4f} bits a byte", *texts, sep="\n  ")
    return figures


def check_agreement(
    model: LlamaForCausalLM,
    tokens: Sequence[int],
    half: core_ml_checks.Runner,
    comparisons: Mapping[str, Path],
) -> dict[str, dict[str, float]]:
    """Largest absolute differences of logits, from Transformers to the float16 artefact; fail above the limits.

    The float16 cache makes a difference of its own, so the float32 artefact is held against torch with such a cache.
    """
    with torch.no_grad():
        transformers = model(torch.tensor([tokens]), use_cache=False).logits[0].numpy()
    exact = core_ml_checks.torch_logits(model, tokens, cache=torch.float32)
    rounded = core_ml_checks.torch_logits(model, tokens, cache=torch.float16)
    half_activations = core_ml_checks.half_precision_logits(model, tokens)
    half.reset()
    half_weights = np.stack([half.extend([token]) for token in tokens])
    full = core_ml_checks.Runner(comparisons["coreml-fp32"])
    one_token = core_ml_checks.OneTokenRunner(comparisons["coreml-fp16-one-token"])
    single, mixed = [1] * len(tokens), [100, 1, 55, 1, 1, len(tokens) - 158]
    found = {
        "coreml-fp32": {
            "module_and_transformers": float(np.abs(exact - transformers).max()),
            "float16_cache": float(np.abs(rounded - transformers).max()),
            "token_by_token": core_ml_checks.difference(full, rounded, tokens, single),
            "chunks": core_ml_checks.difference(full, rounded, tokens, mixed),
        },
        "coreml-fp16": {
            "one_token_convention": core_ml_checks.difference(one_token, half_weights, tokens, single),
            "float16_activations": float(np.abs(half_activations - transformers[-1]).max()),
        },
    }
    for name, differences in found.items():
        for kind, difference in differences.items():
            limit = LIMITS[kind]
            if not difference <= limit:
                raise RuntimeError(f"{name}, {kind}: logits differ by {difference}, limit {limit}")
    return found


def check_texts(
    model: LlamaForCausalLM, tokenizer: Tokenizer, runner: core_ml_checks.Runner, prompts: Sequence[str]
) -> None:
    """Fail unless the float32 artefact continues every prompt as torch does."""
    for prompt in prompts:
        ids = tokenizer.encode(prompt).ids
        whole = model.generate(
            torch.tensor([ids]),
            attention_mask=torch.ones(1, len(ids)),
            max_new_tokens=CONTINUATION_TOKENS,
            do_sample=False,
        )
        expected, found = whole[0, len(ids) :].tolist(), core_ml_checks.greedy(runner, ids, CONTINUATION_TOKENS)
        if found != expected:
            raise RuntimeError(f"coreml-fp32 continues {prompt!r} with {tokenizer.decode(found)!r}, torch otherwise")


def total_bits(runner: core_ml_checks.Runner, tokens: np.ndarray) -> float:
    """Code length of `tokens` in bits, in the windows of `score.total_bits`, each scored token by a call of its own."""
    bits = 0.0
    for inputs, targets in score.windows(tokens):
        runner.reset()
        first = inputs.shape[1] - len(targets) + 1
        rows = [runner.extend(inputs[0, :first]), *(runner.extend([token]) for token in inputs[0, first:])]
        bits += core_ml_checks.code_length(np.stack(rows), targets)
    return bits


def continuation(runner: core_ml_checks.Runner, tokenizer: Tokenizer, prompt: str) -> str:
    """What the artefact writes after a prompt when it always takes the likeliest token."""
    return str(tokenizer.decode(core_ml_checks.greedy(runner, tokenizer.encode(prompt).ids, CONTINUATION_TOKENS)))


def add_figures(path: Path, figures: Mapping[str, Mapping[str, Any]]) -> None:
    """Put each entry under its key of evaluation.json, beside what is there."""
    evaluation = json.loads(path.read_text(encoding="utf-8"))
    for key, entries in figures.items():
        evaluation.setdefault(key, {}).update(entries)
    path.write_text(json.dumps(evaluation, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    build(WORK / "hf", FOLDER, WORK)
