"""The digit classifier as Core ML packages: float16, int8 and 4-bit weights."""

from __future__ import annotations

import sys
from pathlib import Path

import coremltools
import numpy as np
import torch
from numpy.typing import NDArray

sys.path += [str(Path(__file__).resolve().parents[level]) for level in (1, 2)]  # shared modules; benchharness itself

import core_ml_package

from targets.core_ml.reference.execution import ReferenceModel

Inputs = NDArray[np.float32]
"""Pictures as the model takes them: (count, 1, 8, 8)."""


def export_all(net: torch.nn.Module, folder: Path) -> dict[str, Path]:
    """Write fp16.mlpackage, int8.mlpackage and int4.mlpackage into `folder`; a package appears there when it is whole.

    All take and give float32 and compute in float16, one picture at a time. The int8 weights have a scale per output
    channel, the 4-bit ones are 16 values a tensor chosen by k-means. Tensors of 2,048 numbers and fewer stay float16:
    the first convolution and the last layer, 348 weights.
    """
    example = torch.zeros(1, 1, 8, 8)
    half = coremltools.convert(
        torch.jit.trace(net, example),
        inputs=[coremltools.TensorType("image", example.shape, dtype=np.float32)],
        outputs=[coremltools.TensorType("scores", dtype=np.float32)],
        minimum_deployment_target=coremltools.target.iOS18,
        compute_precision=coremltools.precision.FLOAT16,
        skip_model_load=True,
    )
    models = {
        "fp16": half,
        "int8": core_ml_package.compress_int8(half),
        "int4": core_ml_package.compress_palette4(half),
    }
    for name, model in models.items():
        core_ml_package.save(model, folder / f"{name}.mlpackage")
    return {f"coreml-{name}": folder / f"{name}.mlpackage" for name in models}


def run(package: Path, inputs: Inputs) -> Inputs:
    """The scores of every picture, (count, 10), computed in float32 by benchharness's reference execution."""
    model = ReferenceModel(package, threads=1)
    return np.concatenate([model.predict({"image": one[None]})["scores"] for one in inputs])
