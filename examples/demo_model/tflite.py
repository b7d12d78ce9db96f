"""The demo model as LiteRT files, made from the trained transformers folder; checks; figures for evaluation.json.

`build` does all of it. Run alone: python examples/demo_model/tflite.py
"""

from __future__ import annotations

import importlib.metadata
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import score
from tokenizers import Tokenizer
from transformers import LlamaForCausalLM

FOLDER = Path(__file__).resolve().parent
sys.path.append(str(FOLDER.parent))  # what this example shares with the other language model

import tflite_export  # noqa: E402
from tflite_model import LanguageModel  # noqa: E402

SHAPE = tflite_export.Shape(prefill_lengths=(32, 128), cache_length=512)
"""The cache is as long as the model's context. Two prefill lengths share their weights: the second costs 28 kB."""

PACKAGES = ("litert-torch", "ai-edge-litert", "ai-edge-quantizer")
CONTINUATION_TOKENS = 40
CLOSE = 1e-3
"""Largest difference between float32 logits, of torch and of prefill signatures too; measured: 0.00004."""
WORSE = 0.1
"""Bits a byte that a quantized artefact may lose; measured: 0.06 at 4 bits."""


def build(hf: Path, out: Path) -> None:
    """Make the folders below `out`/artefacts, check them, and add their figures to `out`/evaluation.json."""
    folders = tflite_export.export_all(hf, out / "artefacts", SHAPE, compacted=True)
    models = {folder.name: LanguageModel(folder / "model.tflite") for folder in folders}
    tokenizer = Tokenizer.from_file(str(hf / "tokenizer.json"))
    torch_forward = score.torch_forward(LlamaForCausalLM.from_pretrained(hf).eval())
    text = (out / "heldout.txt").read_text(encoding="utf-8")
    lines = (out / "prompts.txt").read_text(encoding="utf-8").splitlines()
    prompts = [tokenizer.encode(line).ids for line in lines]

    figures: dict[str, Any] = {
        "versions": {package: importlib.metadata.version(package) for package in PACKAGES},
        "bits_per_byte": bits_per_byte(models, tokenizer, text),
        "largest_logit_difference": {"tflite-fp32": differences(models["tflite-fp32"], torch_forward, tokenizer, text)},
        "model_bytes": {folder.name: (folder / "model.tflite").stat().st_size for folder in folders},
        "continuations": {
            name: [tokenizer.decode(model.greedy(prompt, CONTINUATION_TOKENS)) for prompt in prompts]
            for name, model in models.items()
        },
    }
    print(json.dumps(figures, indent=2))
    expected = [tokenizer.decode(torch_greedy(torch_forward, prompt, CONTINUATION_TOKENS)) for prompt in prompts]
    check(figures, expected)
    add_figures(out / "evaluation.json", figures)


def bits_per_byte(models: Mapping[str, LanguageModel], tokenizer: Tokenizer, text: str) -> dict[str, float]:
    """As score.total_bits has it, each window token by token through the cache."""
    tokens = np.array(tokenizer.encode(text).ids)
    return {
        name: round(score.total_bits(model.forward, tokens) / len(text.encode()), 4) for name, model in models.items()
    }


def differences(model: LanguageModel, reference: score.Forward, tokenizer: Tokenizer, text: str) -> dict[str, float]:
    """Largest absolute differences of logits: to torch over all windows of the text, and after each prefill."""
    tokens = np.array(tokenizer.encode(text).ids)
    return {
        "torch": score.largest_difference(reference, model.forward, tokens),
        "prefill": model.prefill_difference(tokens[:300].tolist()),
    }


def torch_greedy(forward: score.Forward, prompt: list[int], count: int) -> list[int]:
    """The `count` most likely next tokens after `prompt`, without a cache."""
    tokens = list(prompt)
    for _ in range(count):
        tokens.append(int(forward(np.array([tokens]))[0, -1].argmax()))
    return tokens[len(prompt) :]


def check(figures: Mapping[str, Any], expected: list[str]) -> None:
    """Fail where the float32 artefact is not torch's model, or a quantized one has lost its mind."""
    for kind, difference in figures["largest_logit_difference"]["tflite-fp32"].items():
        if not difference <= CLOSE:
            raise RuntimeError(f"tflite-fp32, {kind}: logits differ by {difference}, limit {CLOSE}")
    if figures["continuations"]["tflite-fp32"] != expected:
        raise RuntimeError(f"tflite-fp32 must continue the prompts as torch does, which wrote {expected}")
    bits = figures["bits_per_byte"]
    for name, value in bits.items():
        if not value <= bits["tflite-fp32"] + WORSE:
            raise RuntimeError(f"{name}: {value} bits a byte, more than {WORSE} above tflite-fp32")


def add_figures(file: Path, figures: Mapping[str, Mapping[str, Any]]) -> None:
    """Put the figures of these artefacts beside those of the others."""
    evaluation = json.loads(file.read_text(encoding="utf-8"))
    for key, values in figures.items():
        evaluation.setdefault(key, {}).update(values)
    file.write_text(json.dumps(evaluation, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    build(FOLDER.parents[1] / "build" / "demo_model" / "hf", FOLDER)
