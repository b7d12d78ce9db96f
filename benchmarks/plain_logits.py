"""What two language models lose against each other, computed without benchharness: onnxruntime, numpy, tokenizers.

Logits are stored whole, and the formulas are written out in float64 over them. Knows the layouts of Optimum and of
onnxruntime-genai's model builder.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from tokenizers import Tokenizer

Floats = NDArray[np.float64]
Tokens = Sequence[Sequence[int]]

_ERRORS_ONLY = 3
_DTYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16}
KLD_PERCENTILES = (50.0, 90.0, 95.0, 99.0, 99.9)
CHANGE_PERCENTILES = (0.1, 1.0, 5.0, 25.0, 50.0, 75.0, 95.0, 99.0, 99.9)


def read_chunks(text: Path, tokenizer: Path, *, length: int, count: int) -> list[list[int]]:
    """The text's first `count` chunks of `length` tokens."""
    ids = Tokenizer.from_file(str(tokenizer)).encode(text.read_text(encoding="utf-8")).ids
    return [ids[start : start + length] for start in range(0, length * count, length)]


def logits_of(folder: Path, chunks: Tokens, first: int, evaluation: str) -> Floats:
    """Logits that predict tokens `first` to the last of each chunk, shape (chunks, scored, vocabulary).

    `decode`: token by token, each answer's cache handed back with the next token. `prefill`: one pass a chunk.
    """
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _ERRORS_ONLY
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(folder / "model.onnx", options, providers=["CPUExecutionProvider"])
    head_size = _head_size(folder)
    found = []
    for chunk in chunks:
        if evaluation == "prefill":
            found.append(_step(session, chunk, 0, _empty_cache(session, head_size))[0][first - 1 : -1])
            continue
        cache = _empty_cache(session, head_size)
        rows = []
        for position, token in enumerate(chunk[:-1]):
            logits, cache = _step(session, [token], position, cache)
            rows.append(logits[-1])
        found.append(np.stack(rows[first - 1 :]))
    return np.stack(found).astype(np.float64)


def _step(
    session: Any, tokens: Sequence[int], depth: int, cache: Mapping[str, Any]
) -> tuple[NDArray[Any], dict[str, Any]]:
    """Logits (tokens, vocabulary) after tokens that follow `depth` others, and the cache that holds them too."""
    fed = {
        "input_ids": np.array([tokens], np.int64),
        "attention_mask": np.ones((1, depth + len(tokens)), np.int64),
        "position_ids": np.arange(depth, depth + len(tokens), dtype=np.int64)[None],
    }
    wanted = {node.name for node in session.get_inputs()}
    names = [node.name for node in session.get_outputs()]
    given = {name: array for name, array in fed.items() if name in wanted}
    answers = dict(zip(names, session.run(None, {**given, **cache}), strict=True))
    return answers["logits"][0], {name: answers[name.replace("past_key_values", "present")] for name in cache}


def _empty_cache(session: Any, head_size: int | None) -> dict[str, NDArray[Any]]:
    return {
        node.name: np.zeros((1, node.shape[1], 0, head_size or node.shape[3]), _DTYPES[node.type])
        for node in session.get_inputs()
        if node.name.startswith("past_key_values")
    }


def _head_size(folder: Path) -> int | None:
    """What the model builder wrote beside a graph that leaves it open."""
    beside = folder / "genai_config.json"
    return int(json.loads(beside.read_text())["model"]["decoder"]["head_size"]) if beside.is_file() else None


def figures(reference: Floats, variant: Floats, chunks: Tokens, first: int) -> dict[tuple[str, float | None], float]:
    """By metric and percentile, from logits (chunks, scored, vocabulary) and the tokens that the text goes on with."""
    targets = np.array([chunk[first:] for chunk in chunks])[..., None]
    ours, theirs = _log_softmax(variant), _log_softmax(reference)
    divergence = (np.exp(theirs) * (theirs - ours)).sum(axis=-1)
    log_p, log_q = (np.take_along_axis(rows, targets, axis=-1)[..., 0] for rows in (theirs, ours))
    change = np.exp(log_q) - np.exp(log_p)
    found: dict[tuple[str, float | None], Any] = {
        ("kld", None): divergence.mean(),
        ("kld_largest", None): divergence.max(),
        ("perplexity", None): np.exp(-log_q.mean()),
        ("reference_perplexity", None): np.exp(-log_p.mean()),
        ("log_perplexity_ratio", None): (log_p - log_q).mean(),
        ("probability_change", None): change.mean(),
        ("probability_change_rms", None): np.sqrt((change**2).mean()),
        ("same_top_token", None): (reference.argmax(-1) == variant.argmax(-1)).mean(),
    }
    found |= {("kld_percentile", each): np.percentile(divergence, each) for each in KLD_PERCENTILES}
    found |= {("probability_change_percentile", each): np.percentile(change, each) for each in CHANGE_PERCENTILES}
    return {name: float(value) for name, value in found.items()}


def _log_softmax(logits: Floats) -> Floats:
    shifted = logits - logits.max(axis=-1, keepdims=True)
    found: Floats = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return found
