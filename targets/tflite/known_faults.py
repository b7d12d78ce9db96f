"""What tflite-runtime is known to compute wrongly without saying so.

Found by running operators alone against numpy, in 2.14.0, the last release. ai-edge-litert computes all of it right.
Behind other operators such an answer looks like any other, so no check of a model's outputs would find it.
"""

from __future__ import annotations

from benchharness.contract import Quantization
from targets.tflite.contents import Contents
from targets.tflite.quantization import find_quantization


def known_fault(contents: Contents) -> str:
    """What a model has that tflite-runtime computes wrongly, empty where nothing is known."""
    faults = (_fault(scheme) for scheme in find_quantization(contents))
    return next((fault for fault in faults if fault), "")


def _fault(scheme: Quantization) -> str:
    if scheme.method == "block-wise weights":
        return "quantized weights with a scale for each block, which it does not know"
    if scheme.method != "dynamic weights":
        return ""
    if "FULLY_CONNECTED" in scheme.operators and scheme.granularity == "per-channel":
        return f"FULLY_CONNECTED with {scheme.dtype} weights, a scale for each channel and float inputs: it gives zeros"
    if "CONV_2D" in scheme.operators and scheme.dtype == "int4":
        return "CONV_2D with int4 weights and float inputs: it gives NaN"
    return ""
