"""Makes smaller variants of a model with the tools of its ecosystem, by named recipes.

::

    from benchharness.compress import RECIPES, compress

    for made in compress("model.onnx", ["int8", "int4"], out="variants"):
        print(made.recipe, made.path, made.bytes / made.source_bytes, made.failure)

Each recipe runs in a process of its own, so that a tool that crashes, hangs or wants too much memory is one failure
among the others. The arithmetic is the tools'; here is only what is around it.
"""

from __future__ import annotations

from benchharness.compress.making import Compressed, Progress, compress
from benchharness.compress.recipes import RECIPES, Recipe

__all__ = ["RECIPES", "Compressed", "Progress", "Recipe", "compress"]
