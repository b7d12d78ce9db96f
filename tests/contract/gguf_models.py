"""The demo model as GGUF, made for the tests: float32 by the example's script, smaller ones by the recipes' tool."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

from tests.conftest import ROOT

SCRIPT = ROOT / "examples" / "demo_model" / "gguf_model.py"


def float_model(folder: Path) -> Path:
    """The model in float32, with its tokenizer beside it."""
    spec = importlib.util.spec_from_file_location("gguf_model", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    script: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    made: Path = script.build(out=folder)
    return made


def smaller_model(model: Path, recipe: str, folder: Path) -> Path:
    """The model by a recipe of `compress`."""
    from benchharness.compress import RECIPES, gguf_tools

    target = folder / f"{recipe}.gguf"
    gguf_tools.compress(gguf_tools.look(model), RECIPES[recipe], target, folder, None)
    return target
