"""Every operator of ML programs that the reference execution knows, with what translates it."""

from __future__ import annotations

from targets.core_ml_graph import Translator
from targets.core_ml_operators_arithmetic import ARITHMETIC
from targets.core_ml_operators_control import CONTROL
from targets.core_ml_operators_images import IMAGES
from targets.core_ml_operators_indexing import INDEXING
from targets.core_ml_operators_layers import LAYERS
from targets.core_ml_operators_reductions import REDUCTIONS
from targets.core_ml_operators_shapes import SHAPES

OPERATORS: dict[str, Translator] = {
    **ARITHMETIC,
    **LAYERS,
    **REDUCTIONS,
    **SHAPES,
    **INDEXING,
    **IMAGES,
    **CONTROL,
}
