"""KLD of GGUF files in float64 over their logits, and what becomes of it where the base is kept as by llama-perplexity.

Argument: {"base": a model, "variants": by name, "chunks": token ids, "first": the first position whose logits count}.
Answer: by name {"whole": nats a token, "stored": nats a token}. `stored` follows that tool's file format: a
log-probability is a 16-bit step between the highest and 16 nats below it, and what it keeps as less than -16 is left
out.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from benchharness.contract import Configuration
from benchmarks import built_llama

Rows = np.ndarray[Any, np.dtype[Any]]
_NATS, _STEPS = 16.0, 65535


def main() -> None:
    """Computes, and prints both."""
    asked = json.loads(sys.argv[1])
    built_llama.install()
    base = _rows(asked["base"], asked["chunks"], asked["first"])
    found = {}
    for name, path in asked["variants"].items():
        pairs = [_divergences(*each) for each in zip(base, _rows(path, asked["chunks"], asked["first"]), strict=True)]
        whole, stored = np.array(pairs).mean(axis=0)
        found[name] = {"whole": float(whole), "stored": float(stored)}
    print(json.dumps(found))


def _rows(path: str, chunks: list[list[int]], first: int) -> Rows:
    """Logits (tokens, vocabulary), float32, of each chunk from `first` on but for its last token's."""
    from targets.llama_cpp import LlamaCpp

    found = []
    configuration = Configuration(runtime="llama-cpp", threads=1, options={"n_ctx": 2 * len(chunks[0])})
    with LlamaCpp().open(Path(path), configuration) as session:
        for chunk in chunks:
            session.reset()
            found.append(session.score(chunk)[first:-1].copy())
    return np.concatenate(found)


def _divergences(base: Rows, variant: Rows) -> tuple[float, float]:
    p, q = _log_probabilities(base), _log_probabilities(variant)
    low = max(float(base.min()), float(base.max()) - _NATS)
    step = (float(base.max()) - low) / _STEPS
    stored = p.max() - (float(base.max()) - low) + np.rint(np.maximum(base.astype(np.float64) - low, 0) / step) * step
    kept = stored > -_NATS
    return float((np.exp(p) * (p - q)).sum()), float((np.exp(stored) * (stored - q))[kept].sum())


def _log_probabilities(logits: Rows) -> Rows:
    wide = logits.astype(np.float64) - float(logits.max())
    found: Rows = wide - np.log(np.exp(wide).sum())
    return found


if __name__ == "__main__":
    main()
