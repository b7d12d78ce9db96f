"""Every operator of ML programs that the reference execution knows, with what translates it."""

from __future__ import annotations

from targets.core_ml.reference.graph import Translator
from targets.core_ml.reference.operators.arithmetic import ARITHMETIC
from targets.core_ml.reference.operators.control import CONTROL
from targets.core_ml.reference.operators.images import IMAGES
from targets.core_ml.reference.operators.indexing import INDEXING
from targets.core_ml.reference.operators.layers import LAYERS
from targets.core_ml.reference.operators.reductions import REDUCTIONS
from targets.core_ml.reference.operators.shapes import SHAPES

OPERATORS: dict[str, Translator] = {
    **ARITHMETIC,
    **LAYERS,
    **REDUCTIONS,
    **SHAPES,
    **INDEXING,
    **IMAGES,
    **CONTROL,
}
