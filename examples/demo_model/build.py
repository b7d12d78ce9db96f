"""Build the demo model from nothing: text, tokenizer, training, ONNX artefacts, checks, evaluation.json.

Each step is a function of this file or of one module beside it, and `main` is the list of them.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.metadata
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import core_ml
import corpus
import export
import numpy as np
import score
import tflite
import train
from ngram import Trigram
from tokenizers import Tokenizer
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

FOLDER = Path(__file__).resolve().parent
WORK = FOLDER.parents[1] / "build" / "demo_model"

PROMPTS = 5
PROMPT_WORDS = 8
CONTINUATION_TOKENS = 40
CLEARLY_BETTER = 0.95
"""Largest share of the better trigram model's bits that the trained model may need."""

PACKAGES = ("torch", "transformers", "tokenizers", "onnx", "onnxruntime", "onnxruntime-genai")

EXAMPLE = "example: python build.py --retrain"


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], epilog=EXAMPLE)
    parser.add_argument(
        "--text",
        type=Path,
        help="bible.data out of Debian's bible-kjv-text, or a text file with a verse a line as in "
        "'Ge1:1 In the beginning ...'; without it the package is downloaded with apt-get",
    )
    parser.add_argument("--work", type=Path, default=WORK, help="where downloads and the trained model are kept")
    parser.add_argument("--out", type=Path, default=FOLDER, help="where artefacts and figures are written")
    parser.add_argument("--seed", type=int, default=1611, help="of the split, the weights and the batches")
    parser.add_argument("--steps", type=int, default=train.Recipe.steps, help="training steps")
    parser.add_argument("--retrain", action="store_true", help="train even if a trained model is kept in --work")
    return parser.parse_args()


def read_text(path: Path | None, work: Path) -> str:
    """The Bible with its verse references, from `path` or from the package."""
    if path is None:
        return corpus.fetch_text(work)
    data = path.read_bytes()
    return corpus.decompress(data) if data.startswith(corpus.MAGIC) else data.decode("utf-8")


def encode(tokenizer: Tokenizer, text: str) -> np.ndarray:
    """Token ids, int64."""
    return np.array(tokenizer.encode(text).ids, dtype=np.int64)


def train_both(parts: corpus.Corpus, recipe: train.Recipe, seed: int) -> tuple[Tokenizer, LlamaForCausalLM]:
    """Train the tokenizer, then the model on its tokens."""
    text = corpus.as_text(parts.train)
    tokenizer = train.train_tokenizer(text)
    validation = encode(tokenizer, corpus.as_text(parts.validation))
    return tokenizer, train.train_model(encode(tokenizer, text), validation, recipe, seed)


def save(tokenizer: Tokenizer, model: LlamaForCausalLM, hf: Path) -> None:
    """Write a transformers folder."""
    model.save_pretrained(hf)
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=train.END_OF_TEXT,
        eos_token=train.END_OF_TEXT,
        model_max_length=train.CONTEXT,
    ).save_pretrained(hf)


def trigram_bits(train_symbols: Sequence[int], held_out: Sequence[int], vocabulary: int) -> float:
    """Code length of the held-out symbols under a trigram model of the training ones, in bits."""
    return Trigram(train_symbols, vocabulary).bits(held_out)


def bits_per_byte(parts: corpus.Corpus, tokenizer: Tokenizer, models: Mapping[str, score.Forward]) -> dict[str, float]:
    """Held-out bits per byte of UTF-8 text for each model and for the two trigram models."""
    train_text, text = corpus.as_text(parts.train), corpus.as_text(parts.held_out)
    tokens = encode(tokenizer, text)
    bits = {name: score.total_bits(forward, tokens) for name, forward in models.items()}
    train_tokens = encode(tokenizer, train_text)
    bits["token trigram"] = trigram_bits(train_tokens.tolist(), tokens.tolist(), train.VOCABULARY)
    bits["byte trigram"] = trigram_bits(list(train_text.encode()), list(text.encode()), 256)
    return {name: round(total / len(text.encode()), 4) for name, total in bits.items()}


def check_quality(bits: Mapping[str, float]) -> None:
    """Fail unless the model predicts clearly better than counting does: a broken training run must not ship."""
    baseline = min(bits["token trigram"], bits["byte trigram"])
    if not bits["torch"] < CLEARLY_BETTER * baseline:
        raise RuntimeError(f"the model needs {bits['torch']} bits a byte, the better trigram model {baseline}")


def check_agreement(
    reference: score.Forward, artefacts: Mapping[str, score.OnnxModel], tokens: np.ndarray
) -> dict[str, dict[str, float]]:
    """Measure how far the float32 artefacts are from torch and from themselves; fail above the limits.

    All figures are largest absolute differences of logits. The quantized artefacts are held to bits per byte
    instead: they differ from torch by design, and dynamic int8 scales depend on how the text is cut.
    """
    piece = tokens[None, : score.WINDOW]
    single, mixed = [1] * score.WINDOW, [100, 1, 55, 1, 1, 98]
    found = {}
    for name in ("onnx-fp32", "onnx-gqa-fp32"):
        model = artefacts[name]
        found[name] = {
            "torch": score.largest_difference(reference, model.forward, tokens),
            "token_by_token": score.cache_difference(model, piece, single),
            "chunks": score.cache_difference(model, piece, mixed),
        }
    found["onnx-fp32"]["padded_batch"] = score.padding_difference(artefacts["onnx-fp32"], piece, 37)
    limits = {"torch": 1e-3, "token_by_token": 1e-4, "chunks": 1e-4, "padded_batch": 1e-4}
    for name, differences in found.items():
        for kind, difference in differences.items():
            if not difference <= limits[kind]:
                raise RuntimeError(f"{name}, {kind}: logits differ by {difference}, limit {limits[kind]}")
    return found


def continuations(
    artefacts: Mapping[str, score.OnnxModel], tokenizer: Tokenizer, prompts: Sequence[str]
) -> dict[str, list[str]]:
    """What each artefact writes after each prompt when it always takes the likeliest token."""
    texts: dict[str, list[str]] = {}
    for name, model in artefacts.items():
        texts[name] = []
        for prompt in prompts:
            chosen = score.greedy(model, tokenizer.encode(prompt).ids, CONTINUATION_TOKENS)
            texts[name].append(tokenizer.decode(chosen))
            print(f"[{name}] {prompt} |{texts[name][-1]}")
    return texts


def write_samples(parts: corpus.Corpus, out: Path, seed: int) -> list[str]:
    """Write heldout.txt and prompts.txt; return the prompts."""
    prompts = corpus.choose_prompts(parts.held_out, count=PROMPTS, words=PROMPT_WORDS, seed=seed)
    (out / "heldout.txt").write_text(corpus.as_text(parts.held_out), encoding="utf-8")
    (out / "prompts.txt").write_text("\n".join(prompts) + "\n", encoding="utf-8")
    return prompts


def describe(parts: corpus.Corpus, text: str, tokenizer: Tokenizer) -> dict[str, object]:
    """What the model was trained and measured on."""
    sizes = {}
    for name, chapters in asdict(parts).items():
        part = corpus.as_text(chapters)
        sizes[name] = {
            "chapters": len(chapters),
            "bytes": len(part.encode()),
            "tokens": len(encode(tokenizer, part)),
        }
    return {
        "sha256": hashlib.sha256(text.encode()).hexdigest(),
        "parts": sizes,
        "held_out_verses_also_in_train": round(corpus.repeated_verses(parts), 4),
    }


def main() -> None:
    """Run all steps; what was trained before is kept unless told otherwise."""
    arguments = parse_arguments()
    recipe = replace(train.Recipe(), steps=arguments.steps)
    text = read_text(arguments.text, arguments.work)
    parts = corpus.split(corpus.parse_chapters(text), arguments.seed)
    arguments.out.mkdir(parents=True, exist_ok=True)
    prompts = write_samples(parts, arguments.out, arguments.seed)
    hf = arguments.work / "hf"
    if arguments.retrain or not (hf / "model.safetensors").exists():
        save(*train_both(parts, recipe, arguments.seed), hf)
    tokenizer = Tokenizer.from_file(str(hf / "tokenizer.json"))
    model = LlamaForCausalLM.from_pretrained(hf).eval()

    folders = export.export_all(model, hf, arguments.out / "artefacts", arguments.work)
    artefacts = {folder.name: score.OnnxModel(folder) for folder in folders}
    reference = score.torch_forward(model)
    held_out = encode(tokenizer, corpus.as_text(parts.held_out))
    models = {"torch": reference, **{name: artefact.forward for name, artefact in artefacts.items()}}
    bits = bits_per_byte(parts, tokenizer, models)
    check_quality(bits)
    evaluation = {
        "seed": arguments.seed,
        "versions": {package: importlib.metadata.version(package) for package in PACKAGES},
        "text": describe(parts, text, tokenizer),
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "recipe": asdict(recipe),
        "bits_per_byte": bits,
        "largest_logit_difference": check_agreement(reference, artefacts, held_out),
        "model_bytes": {folder.name: (folder / "model.onnx").stat().st_size for folder in folders},
        "prompts": prompts,
        "continuations": continuations(artefacts, tokenizer, prompts),
    }
    print(json.dumps(evaluation, indent=2))
    (arguments.out / "evaluation.json").write_text(json.dumps(evaluation, indent=2) + "\n", encoding="utf-8")
    tflite.build(hf, arguments.out)  # both add their figures to the file
    core_ml.build(hf, arguments.out, arguments.work)


if __name__ == "__main__":
    main()
