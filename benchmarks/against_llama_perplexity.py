"""Perplexity and KLD of GGUF files against `llama-perplexity` of the same build, on one text.

The tool reads a text in chunks of `CHUNK_TOKENS`, scores the second half of each, and keeps its base's
log-probabilities in 16 bits. Scenario `quality` does the same through the adapter on the tool's own library, in one
pass a chunk, with the text encoded by the `tokenizer.json` beside the model. What is told may be apart by no more than
the tool's own rounding: of its last digit, of a token's float32, and of its stored base. That base lacks what is less
likely than e^-16, which a KLD shows: ours is held against float64 over the logits, and the tool's against the same with
what its file keeps.
"""

from __future__ import annotations

import math
import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tokenizers import Tokenizer

from benchharness.errors import NothingRan, UsageError
from benchharness.results.result import Estimate
from benchmarks.bars import Bar, Criterion, Finding, Verdict
from benchmarks.built_llama import Build, found
from benchmarks.options import ROOT, Options, run_alone
from benchmarks.processes import load_average, run_program, run_timed
from benchmarks.quality_models import TEXT, Answer, run_text, value
from benchmarks.smollm2 import gguf_in_float32

CHUNK_TOKENS, CHUNKS = 128, 8
QUANTIZED = ("Q8_0", "Q4_0")
_FOLDER = ROOT / "build" / "benchmarks" / "llama-perplexity"
_ADAPTER = ROOT / "benchmarks" / "built"
_SETTINGS = {
    "evaluation": "prefill",
    "chunk_tokens": CHUNK_TOKENS,
    "most_chunks": CHUNKS,
    "context_share": f"{100 * (CHUNK_TOKENS // 2 + 1) / CHUNK_TOKENS} %",  # after it the tool scores the first token
    "continuation_tokens": 2,
    "continuation_prompts": 1,
}
_CONFIGURATION = {"runtime": "llama-cpp-built", "threads": 1, "options": {"n_ctx": 2 * CHUNK_TOKENS}}


#: Tokens that both score: the first half of a chunk is context, and after its last token nothing follows.
_SCORED = CHUNKS * (CHUNK_TOKENS // 2 - 1)
#: How far a token's figure is off at most: log-probabilities of a base are kept in 65,535 steps of 16 nats, others are
#: differences of float32 numbers below 32.
_STORED, _FLOAT32 = 16 / 65535 / 2, 2.0**-19


@dataclass(frozen=True)
class _Compared:
    """A figure of the harness, and what the tool prints of it: by a pattern, in what unit, how exactly."""

    metric: str
    printed: str
    step: float  # of its last digit
    each: float  # how far a token's is off at most, in ours; evenly spread within it
    unit: float = 1.0  # how many of the tool's make one of ours

    def apart(self, theirs: float) -> float:
        """How far the tool's figure may be from the true one: half a digit, and three deviations of the mean."""
        each = self.each * (abs(theirs) if self.metric == "perplexity" else 1.0)
        return self.step / self.unit / 2 + 3 * each / math.sqrt(3 * _SCORED)


_OF_A_BASE = (_Compared("perplexity", r"Final estimate: PPL = ([\d.]+)", 1e-4, _FLOAT32),)
_KLD = _Compared("kld", r"Mean +KLD: +(-?[\d.]+)", 1e-6, _FLOAT32)
_OF_A_VARIANT = (
    _Compared("perplexity", r"Mean PPL\(Q\)\s*: +([\d.]+)", 1e-6, _FLOAT32),
    _Compared("log_perplexity_ratio", r"Mean ln\(PPL\(Q\)/PPL\(base\)\)\s*: +(-?[\d.]+)", 1e-6, _STORED),
    _Compared("same_top_token", r"Same top p: +([\d.]+)", 1e-3, 0.0, unit=100),
)


def measure(options: Options) -> Bar:
    """Ratios harness / tool of what both tell."""
    before = load_average()
    claim = "perplexity and KLD of GGUF files are llama-perplexity's, within its own rounding"
    try:
        build = found("llama-perplexity", "llama-quantize")
        model = gguf_in_float32(options)
    except UsageError as error:
        return Bar(
            name="against_llama_perplexity", claim=claim, findings=[], conditions=[str(error)], load=(before, before)
        )
    variants = {"F32": model, **{kind: _quantized(build, model, kind) for kind in QUANTIZED}}
    text, chunks = _text(model.with_name("tokenizer.json"))
    printed = _printed(build, variants, text)
    answer = run_text(variants, text, _SETTINGS, [_CONFIGURATION], _ADAPTER)
    plain = _plain(variants, chunks)
    return Bar(
        name="against_llama_perplexity",
        claim=claim,
        findings=[*_findings(printed, answer), *_of_divergence(printed, answer, plain)],
        conditions=[
            f"{CHUNKS} chunks of {CHUNK_TOKENS} tokens of {TEXT.name}, the second half of each scored; one thread",
            f"{model}; the library in {build.library.parent}",
        ],
        load=(before, load_average()),
    )


def _text(tokenizer: Path) -> tuple[Path, list[list[int]]]:
    """A text of so many chunks and a few words, which neither uses; and the chunks."""
    whole = TEXT.read_text(encoding="utf-8")
    encoded = Tokenizer.from_file(str(tokenizer)).encode(whole)
    path = _FOLDER / "text.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    end, _ = encoded.offsets[CHUNK_TOKENS * CHUNKS + CHUNK_TOKENS // 2]
    path.write_text(whole[:end], encoding="utf-8")
    return path, [encoded.ids[start : start + CHUNK_TOKENS] for start in range(0, CHUNK_TOKENS * CHUNKS, CHUNK_TOKENS)]


def _quantized(build: Build, model: Path, kind: str) -> Path:
    path = _FOLDER / kind.lower() / "model.gguf"
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(model.with_name("tokenizer.json"), path.parent)
        run_timed([str(build.tool("llama-quantize")), str(model), str(path), kind])
    return path


def _printed(build: Build, variants: Mapping[str, Path], text: Path) -> dict[str, str]:
    """What the tool says of each variant; the first is the base."""
    asked = ["-f", str(text), "-c", str(CHUNK_TOKENS), "-b", str(CHUNK_TOKENS), "--chunks", str(CHUNKS), "-t", "1"]
    base = _FOLDER / "base.kld"
    said: dict[str, str] = {}
    for name, path in variants.items():
        how = ["--kl-divergence"] if said else []
        command = [str(build.tool("llama-perplexity")), "-m", str(path), *asked, "--kl-divergence-base", str(base)]
        said[name] = run_timed([*command, *how], with_errors=True)[1]
    base.unlink()
    if f"over {CHUNKS} chunks" not in said["F32"]:
        raise NothingRan(f"llama-perplexity did not read {CHUNKS} chunks: {said['F32'][-300:]}")
    return said


def _plain(variants: Mapping[str, Path], chunks: list[list[int]]) -> Mapping[str, Mapping[str, float]]:
    base, *others = variants
    asked = {
        "base": str(variants[base]),
        "variants": {name: str(variants[name]) for name in others},
        "chunks": chunks,
        "first": CHUNK_TOKENS // 2,
    }
    return run_program("stored_divergence", asked).answer


def _findings(printed: Mapping[str, str], answer: Answer) -> Iterator[Finding]:
    for name, said in printed.items():
        for compared in _OF_A_VARIANT if name in QUANTIZED else _OF_A_BASE:
            ours = value(answer, name, compared.metric) if name in QUANTIZED else _of_the_base(answer)
            yield _finding(f"{name}: {compared.metric}", ours, _told(said, compared), compared)


def _of_divergence(
    printed: Mapping[str, str], answer: Answer, plain: Mapping[str, Mapping[str, float]]
) -> Iterator[Finding]:
    for name, truth in plain.items():
        yield _finding(
            f"{name}: kld, against float64 over the logits", value(answer, name, "kld"), truth["whole"], _KLD
        )
        told = _told(printed[name], _KLD)
        yield _finding(f"{name}: kld with what the tool's file keeps, against the tool", truth["stored"], told, _KLD)


def _told(said: str, compared: _Compared) -> float:
    """What the tool prints of it, in our unit."""
    found = re.search(compared.printed, said)
    if found is None:
        raise NothingRan(f"llama-perplexity tells no {compared.metric}: {said[-300:]}")
    return float(found[1]) / compared.unit


def _of_the_base(answer: Answer) -> float:
    """The reference's perplexity: what a variant is told against it by."""
    first = QUANTIZED[0]
    return value(answer, first, "perplexity") / math.exp(value(answer, first, "log_perplexity_ratio"))


def _finding(label: str, ours: float, theirs: float, compared: _Compared) -> Finding:
    within, ratio = compared.apart(theirs) / abs(theirs), ours / theirs
    verdict = Verdict.PASS if abs(ratio - 1) <= within else Verdict.MISS
    return Finding(
        label=label,
        ratio=Estimate(value=ratio, count=1, statistic="computed", reason="computed, not timed"),
        per_round=[ratio],
        absolute=f"{ours:.9g} against {theirs:.9g}",
        criterion=Criterion(says=f"within {within:.1e}", low=1 - within, high=1 + within, judge=lambda _: verdict),
    )


if __name__ == "__main__":
    run_alone(
        measure,
        description=__doc__ or "",
        example="BENCHHARNESS_LLAMA_CPP=~/llama.cpp python -m benchmarks.against_llama_perplexity",
    )
