"""Models with weights large enough to be compressed, and every compression that coremltools makes of them off a Mac."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tests.contract.mil_programs import Array, ct, mb, save

_random = np.random.default_rng(7)


def compressible(precision: str, tmp_path: Path, *, opset: Any = ct.target.iOS18) -> tuple[Path, Array, Array]:
    """A program with a linear layer and a convolution large enough to be compressed; their weights."""
    dtype = np.dtype(precision.lower())
    linear, conv = _random.uniform(-1, 1, (64, 96)).astype(dtype), _random.uniform(-1, 1, (32, 16, 3, 3)).astype(dtype)

    def build(x: Any, image: Any) -> Any:
        return mb.linear(x=x, weight=linear, name="l"), mb.conv(x=image, weight=conv, pad_type="valid", name="c")

    inputs = {"x": np.zeros((2, 96), dtype), "image": np.zeros((1, 16, 5, 5), dtype)}
    return save(build, inputs, tmp_path, opset=opset, precision=precision), linear, conv


def optimized(path: Path, *steps: Callable[[Any], Any]) -> Path:
    """A compressed copy of a model."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = ct.models.MLModel(str(path), skip_model_load=True)
        for step in steps:
            model = step(model)
        made = path.with_name("compressed.mlpackage")
        model.save(str(made))
    return made


def settings(config: Any) -> Any:
    import coremltools.optimize.coreml as cto

    return cto.OptimizationConfig(global_config=config(cto))


def linearly(joint: bool = False, **arguments: Any) -> Callable[[Any], Any]:
    import coremltools.optimize.coreml as cto

    more = {"joint_compression": True} if joint else {}
    return lambda model: cto.linear_quantize_weights(
        model, settings(lambda cto: cto.OpLinearQuantizerConfig(weight_threshold=0, **arguments)), **more
    )


def palettized(joint: bool = False, **arguments: Any) -> Callable[[Any], Any]:
    import coremltools.optimize.coreml as cto

    more = {"joint_compression": True} if joint else {}
    return lambda model: cto.palettize_weights(
        model, settings(lambda cto: cto.OpPalettizerConfig(mode="uniform", weight_threshold=0, **arguments)), **more
    )


def pruned(model: Any) -> Any:
    import coremltools.optimize.coreml as cto

    return cto.prune_weights(
        model, settings(lambda cto: cto.OpMagnitudePrunerConfig(target_sparsity=0.5, weight_threshold=0))
    )


COMPRESSIONS: dict[str, list[Callable[[Any], Any]]] = {
    "int8": [linearly(mode="linear_symmetric")],
    "int8 with zero points": [linearly(mode="linear")],
    "int8 per tensor": [linearly(mode="linear_symmetric", granularity="per_tensor")],
    "int4 in blocks": [linearly(mode="linear_symmetric", dtype="int4", granularity="per_block", block_size=4)],
    "uint4 in blocks": [linearly(mode="linear", dtype="uint4", granularity="per_block", block_size=8)],
    **{f"palette of {bits} bits": [palettized(nbits=bits)] for bits in (1, 2, 3, 4, 6, 8)},
    "palettes of groups": [palettized(nbits=4, granularity="per_grouped_channel", group_size=8)],
    "pruned": [pruned],
    "pruned and quantized": [pruned, linearly(joint=True, mode="linear_symmetric")],
    "pruned and palettized": [pruned, palettized(joint=True, nbits=4)],
}
