"""Which layers hurt: what a recipe costs in quality, part by part of a model, and a mixed variant that keeps a budget.

::

    from benchharness.sensitivity import sensitivity

    found = sensitivity("model.onnx", "int4", evaluate="heldout.txt", budgets={"kld": "0.1 nats"})
    for hurt in found.ranking:
        print(hurt.part.name, hurt.loss)
    print(found.mixed)          # the smallest variant tried that keeps every budget on quality

Each part (a block or a layer) is compressed alone and compared with the original; then the parts that hurt most for
the bytes that they save are left as they are, more and more of them, until every budget on quality is kept. Every
variant that is named was made and measured: nothing is predicted from the parts.
"""

from __future__ import annotations

from benchharness.compress.parts import By, Part
from benchharness.sensitivity.hurts import Hurt
from benchharness.sensitivity.measuring import Sensitivity, sensitivity
from benchharness.sensitivity.mixing import Mixed

__all__ = ["By", "Hurt", "Mixed", "Part", "Sensitivity", "sensitivity"]
