"""SmolLM2 as GGUF in float32, from what `make smollm2` has fetched: `python examples/smollm2/as_gguf.py`.

Writes `build/smollm2/gguf-f32/`, or `--out FOLDER`. Needs the packages gguf, onnx and numpy, no torch. Smaller variants
of it are `benchharness compress`'s to make. Its text is split before it is tokenised as llama.cpp calls `smollm`.
"""

from __future__ import annotations

import argparse
import json
import struct
import sys
from pathlib import Path

import numpy as np

sys.path.append(str(Path(__file__).resolve().parents[1] / "demo_model"))  # a Llama is written as the demo model is

import gguf_model

MODELS = Path(__file__).resolve().parents[2] / "build" / "smollm2"


def build(source: Path = MODELS / "hf", out: Path = MODELS / "gguf-f32") -> Path:
    """Writes the model and its tokenizer to `out`; the model's path."""
    return gguf_model.write(source, out, safetensors(source / "model.safetensors"), name="SmolLM2", pre="smollm")


def safetensors(path: Path) -> dict[str, np.ndarray]:
    """Float32 tensors by name, read where they are looked at: a length, a header in JSON, and the numbers behind it."""
    with path.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        told = json.loads(file.read(length))
    numbers = np.memmap(path, np.uint8, "r", offset=8 + length)
    found = {}
    for name, each in told.items():
        if name != "__metadata__":
            assert each["dtype"] == "F32", f"{name} is {each['dtype']}"
            begin, end = each["data_offsets"]
            found[name] = numbers[begin:end].view(np.float32).reshape(each["shape"])
    return found


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--hf", type=Path, default=MODELS / "hf", help="Transformers' folder [build/smollm2/hf]")
    parser.add_argument("--out", type=Path, default=MODELS / "gguf-f32", help="[build/smollm2/gguf-f32]")
    asked = parser.parse_args()
    print(build(asked.hf, asked.out))


if __name__ == "__main__":
    main()
