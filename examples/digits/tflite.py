"""The digit classifier as LiteRT files: float32, fully quantized int8, and 4-bit weights."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import Any

import litert_torch
import numpy as np
import torch
from ai_edge_litert.interpreter import Interpreter
from ai_edge_quantizer import calibrator, quantizer, recipe, recipe_manager
from ai_edge_quantizer.utils import qsv_utils
from numpy.typing import NDArray

SIGNATURE = "serving_default"

Inputs = NDArray[np.float32]
"""Pictures as the model takes them: (count, 1, 8, 8)."""

Recipe = list[dict[str, Any]]
"""Which operators to quantize, and how, in ai-edge-quantizer's own form."""


class _Named(torch.nn.Module):
    """The net with the names that its ONNX files have: input `image`, output `scores`."""

    def __init__(self, net: torch.nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, image: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"scores": self.net(image)}


def export_all(net: torch.nn.Module, folder: Path, calibration: Inputs) -> dict[str, Path]:
    """Write fp32.tflite, int8.tflite and int4.tflite into `folder`; a file appears there when it is whole.

    The int8 file takes and gives int8; the scales of its activations are chosen on `calibration`. The int4 file takes
    and gives float32, its weights are int4 with a scale per output channel, and it quantizes activations to int8 while
    running. The batch is one picture.
    """
    files = {f"tflite-{name}": folder / f"{name}.tflite" for name in ("fp32", "int8", "int4")}
    with contextlib.redirect_stdout(sys.stderr):  # both tools report every step
        fp32 = files["tflite-fp32"]
        converted = litert_torch.convert(_Named(net).eval(), sample_kwargs={"image": torch.zeros(1, 1, 8, 8)})
        converted.export(str(_unfinished(fp32)))
        _unfinished(fp32).replace(fp32)
        static = recipe.static_wi8_ai8()
        _quantize(fp32, files["tflite-int8"], static, _ranges(fp32, static, calibration))
        _quantize(fp32, files["tflite-int4"], recipe.dynamic_wi4_afp32(), None)
    return files


def _unfinished(file: Path) -> Path:
    return file.with_suffix(".partial.tflite")


def _ranges(fp32: Path, how: Recipe, calibration: Inputs) -> dict[str, Any]:
    """Least and largest value of every tensor over the pictures.

    The quantizer's own way averages them, which cut the largest scores off.
    """
    recipes = recipe_manager.RecipeManager()
    recipes.load_quantization_recipe(how)
    observer = calibrator.Calibrator(str(fp32), qsv_update_func=qsv_utils.min_max_update)
    observer.calibrate({SIGNATURE: [{"image": one[None]} for one in calibration]}, recipes)
    return observer.get_model_qsvs()


def _quantize(fp32: Path, target: Path, how: Recipe, ranges: dict[str, Any] | None) -> None:
    tool = quantizer.Quantizer(str(fp32))
    tool.load_quantization_recipe(how)
    tool.quantize(calibration_result=ranges).export_model(str(_unfinished(target)), overwrite=True)
    _unfinished(target).chmod(fp32.stat().st_mode)  # the quantizer makes its files executable
    _unfinished(target).replace(target)


def run(file: Path, inputs: Inputs) -> NDArray[np.float32]:
    """The scores of every picture as float32, (count, 10), one picture at a time as a device would ask."""
    runner = Interpreter(model_path=str(file), num_threads=1).get_signature_runner(SIGNATURE)
    taken, given = runner.get_input_details()["image"], runner.get_output_details()["scores"]
    return np.concatenate([_to_float(runner(image=_from_float(one[None], taken))["scores"], given) for one in inputs])


def _from_float(values: Inputs, tensor: dict[str, Any]) -> NDArray[Any]:
    if tensor["dtype"] == np.float32:
        return values
    scale, zero = tensor["quantization"]
    limits = np.iinfo(tensor["dtype"])
    return np.clip(np.round(values / scale) + zero, limits.min, limits.max).astype(tensor["dtype"])


def _to_float(values: NDArray[Any], tensor: dict[str, Any]) -> NDArray[np.float32]:
    if tensor["dtype"] == np.float32:
        return values
    scale, zero = tensor["quantization"]
    return (values.astype(np.float32) - zero) * np.float32(scale)
