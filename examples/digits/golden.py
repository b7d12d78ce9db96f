"""Writes tests/golden/digits_scores.npz: torch's scores of the first 16 held-out pictures.

`inputs`, (16, 1, 8, 8) float32, is what the model takes; `scores`, (16, 10) float32, is what torch gives. The weights
are those of artefacts/fp32.onnx. Run: python examples/digits/golden.py
"""

from __future__ import annotations

from pathlib import Path

import build
import numpy as np
import onnx
import torch
from onnx import numpy_helper

FOLDER = Path(__file__).resolve().parent
ROOT = FOLDER.parents[1]
PICTURES = 16


def main() -> None:
    """Write the file."""
    weights = onnx.load(FOLDER / "artefacts" / "fp32.onnx").graph.initializer
    net = build.make_net()
    net.load_state_dict({one.name: torch.from_numpy(numpy_helper.to_array(one).copy()) for one in weights})
    inputs = build.as_input(np.load(FOLDER / "heldout.npz")["images"][:PICTURES])
    with torch.no_grad():
        scores = net.eval()(torch.from_numpy(inputs)).numpy()
    target = ROOT / "tests" / "golden" / "digits_scores.npz"
    np.savez_compressed(target, inputs=inputs, scores=scores)
    print(f"{target.relative_to(ROOT)}: {target.stat().st_size} bytes")


if __name__ == "__main__":
    main()
