"""Models of known damage, made where the benchmark of quality needs them, and passes over them."""

from __future__ import annotations

import functools
import logging
import random
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from benchharness.compress import compress
from benchharness.errors import NothingRan
from benchharness.records import TOKEN_DIVERGENCE
from benchmarks.options import ROOT
from benchmarks.plain_logits import figures, logits_of
from benchmarks.processes import run_program
from benchmarks.seeded.seeded_logits import row_after, rows

DEMO = ROOT / "examples" / "demo_model" / "artefacts"
TEXT = ROOT / "examples" / "demo_model" / "heldout.txt"
BUILT = ROOT / "build" / "quality_truth"
_SEEDED = ROOT / "benchmarks" / "seeded"

Floats = NDArray[np.float64]
#: Results of `benchmarks.programs.quality_pass`.
Answer = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """How both sides evaluate: the same chunks of tokens, scored from `first` on."""

    chunks: Sequence[Sequence[int]]
    kind: str = "decode"  # or "prefill"

    @property
    def first(self) -> int:
        """The first position that is scored: the second half is."""
        return len(self.chunks[0]) // 2


def run_pass(
    variants: Mapping[str, Path], evaluation: Evaluation, *, configurations: Sequence[Mapping[str, Any]] = ()
) -> Answer:
    """The harness's answer for variants, the first of them the reference. Raises `NothingRan` where one fails."""
    data = BUILT / "chunks.tokens"
    data.parent.mkdir(parents=True, exist_ok=True)
    data.write_text(" ".join(str(token) for chunk in evaluation.chunks for token in chunk))
    settings = {
        "evaluation": evaluation.kind,
        "chunk_tokens": len(evaluation.chunks[0]),
        "most_chunks": len(evaluation.chunks),
        "context_share": "50 %",
        "continuation_tokens": 2,
        "continuation_prompts": 1,
    }
    return run_text(variants, data, settings, configurations or [{"runtime": "onnxruntime", "threads": 1}])


def run_text(
    variants: Mapping[str, Path],
    data: Path,
    settings: Mapping[str, Any],
    configurations: Sequence[Mapping[str, Any]],
    adapters: Path | None = None,
) -> Answer:
    """The harness's answer for variants on a file of text or tokens. Raises `NothingRan` where one fails."""
    suite = {
        "models": {
            "model": {
                "task": "causal-lm",
                "evaluation": str(data),
                "variants": {name: {"artefact": str(path)} for name, path in variants.items()},
            }
        },
        "configurations": list(configurations),
        "scenarios": {"quality": dict(settings)},
        "attempts": {"timeout": "20 min"},
    }
    answer = run_program("quality_pass", {"suite": suite, "adapters": adapters and str(adapters)}).answer
    for name, result in answer["results"].items():
        if result["outcome"] != "ok":
            raise NothingRan(f"{name}: {result['outcome']}: {result['reason']}")
    return answer


def value(answer: Answer, variant: str, metric: str, percentile: float | None = None) -> float:
    """One figure of the harness."""
    for found in answer["results"][variant]["metrics"]:
        if found["name"] == metric and found["parameters"].get("percentile") == percentile:
            return float(found["value"])
    raise NothingRan(f"{variant}: the harness tells no {metric}")


def by_chunk(answer: Answer, variant: str) -> Floats:
    """Mean KLD of each chunk."""
    result = answer["results"][variant]
    scored = next(each["parameters"]["scored"] for each in result["metrics"] if each["name"] == "token_divergence")
    found: Floats = TOKEN_DIVERGENCE.by_name(np.asarray(result["rows"]))["kld"].reshape(-1, scored).mean(axis=1)
    return found


def noisy(source: Path, target: Path, scale: float, seed: int = 0) -> Path:
    """A copy of a model, each weight matrix with normal noise of `scale` times its own root mean square."""
    generator = np.random.default_rng(seed)
    model = onnx.load(source / "model.onnx")
    for tensor in model.graph.initializer:
        if tensor.data_type != onnx.TensorProto.FLOAT or len(tensor.dims) < 2:
            continue
        weights = numpy_helper.to_array(tensor).astype(np.float64)
        noise = generator.normal(size=weights.shape) * scale * np.sqrt((weights**2).mean())
        tensor.CopyFrom(numpy_helper.from_array((weights + noise).astype(np.float32), tensor.name))
    shutil.copytree(source, target, dirs_exist_ok=True)
    onnx.save_model(model, target / "model.onnx")
    return target


def barely_noisy(source: Path, target: Path, divergence: float, evaluation: Evaluation) -> Path:
    """A copy whose mean KLD is about `divergence`: KLD grows with the square of small noise."""
    reference = logits_of(source, evaluation.chunks, evaluation.first, evaluation.kind)
    scale = 1e-2
    for _ in range(2):
        variant = logits_of(noisy(source, target, scale), evaluation.chunks, evaluation.first, evaluation.kind)
        found = figures(reference, variant, evaluation.chunks, evaluation.first)["kld", None]
        scale *= (divergence / found) ** 0.5
    return noisy(source, target, scale)


def copy_of(source: Path, target: Path) -> Path:
    """The same model under another digest."""
    shutil.copytree(source, target, dirs_exist_ok=True)
    (target / "note.txt").write_text("a copy")
    return target


def by_recipes(source: Path, recipes: Sequence[str], out: Path) -> dict[str, Path]:
    """Variants by `benchharness compress`, kept where they are there. Raises `NothingRan` for one that fails."""
    made = {}
    for each in compress(source, recipes, out=out):
        if each.failure or each.path is None:
            raise NothingRan(f"{each.recipe}: {each.failure}")
        made[each.recipe] = Path(each.path)
    return made


def in_blocks(source: Path, sizes: Sequence[int], out: Path) -> dict[str, Path]:
    """MatMulNBits at 4 bits, as the recipe `onnx-int4-block32` but in blocks of other sizes."""
    from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer

    logging.getLogger("onnxruntime.quantization.matmul_nbits_quantizer").setLevel(logging.WARNING)  # a line a node
    made = {}
    for size in sizes:
        target = out / f"block{size}"
        shutil.copytree(source, target, dirs_exist_ok=True)
        quantizer = MatMulNBitsQuantizer(
            str(source / "model.onnx"), bits=4, block_size=size, is_symmetric=True, op_types_to_quantize=("MatMul",)
        )
        quantizer.process()
        quantizer.model.save_model_to_file(str(target / "model.onnx"), False)
        made[f"block{size}"] = target
    return made


@dataclass(frozen=True, kw_only=True)
class Seeded:
    """A pair of workers that compute nothing, and the tokens they are asked about."""

    vocabulary: int
    scored: int  # tokens, at least
    noise: float = 0.05
    seed: int = 3
    chunk: int = 1000

    @functools.cached_property
    def tokens(self) -> list[int]:
        """Whole chunks of them. The first token of each chunk is context, because a share of nothing is none."""
        order = random.Random(self.seed)
        chunks = -(-self.scored // (self.chunk - 1))
        return [order.randrange(self.vocabulary) for _ in range(chunks * self.chunk)]

    def run(self) -> Answer:
        """The harness's answer."""
        folder = BUILT / "seeded"
        folder.mkdir(parents=True, exist_ok=True)
        variants = {"clean": 0.0, "noisy": self.noise}
        for name, noise in variants.items():
            (folder / f"{name}.seeded").write_text(f"{self.vocabulary} {self.seed} {noise}")
        (folder / "text.tokens").write_text(" ".join(map(str, self.tokens)))
        settings = {
            "chunk_tokens": self.chunk,
            "most_chunks": len(self.tokens) // self.chunk,
            "context_share": "0.05 %",
            "continuation_tokens": 2,
            "continuation_prompts": 1,
        }
        paths = {name: folder / f"{name}.seeded" for name in variants}
        return run_text(paths, folder / "text.tokens", settings, [{"runtime": "seeded-logits"}], _SEEDED)

    def mean_divergence(self) -> float:
        """Mean KLD of all scored tokens, from the rows of logits themselves."""
        clean, damaged = (rows(self.vocabulary, self.seed, noise).astype(np.float64) for noise in (0.0, self.noise))
        p, q = (each - np.log(np.exp(each).sum(axis=1, keepdims=True)) for each in (clean, damaged))
        of_row = (np.exp(p) * (p - q)).sum(axis=1)
        chunks = np.array(self.tokens).reshape(-1, self.chunk)[:, :-1]
        return float(of_row[row_after(chunks, np.arange(self.chunk - 1))].mean())
