"""Writes tests/golden/demo_logits.npz: torch's float32 logits on the first held-out tokens.

`tokens` is what the model is fed, (48,) int64, the end-of-text token first; `logits`, (48, vocabulary) float32, are
torch's at each of them. Run: python examples/demo_model/golden.py
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import score
from tokenizers import Tokenizer
from transformers import LlamaForCausalLM

FOLDER = Path(__file__).resolve().parent
ROOT = FOLDER.parents[1]
TOKENS = 48


def main() -> None:
    """Write the file."""
    hf = ROOT / "build" / "demo_model" / "hf"
    tokenizer = Tokenizer.from_file(str(hf / "tokenizer.json"))
    text = (FOLDER / "heldout.txt").read_text(encoding="utf-8")
    tokens = np.array([score.START, *tokenizer.encode(text).ids[: TOKENS - 1]], np.int64)
    forward = score.torch_forward(LlamaForCausalLM.from_pretrained(hf).eval())
    target = ROOT / "tests" / "golden" / "demo_logits.npz"
    np.savez_compressed(target, tokens=tokens, logits=forward(tokens[None])[0])
    print(f"{target.relative_to(ROOT)}: {target.stat().st_size} bytes")


if __name__ == "__main__":
    main()
