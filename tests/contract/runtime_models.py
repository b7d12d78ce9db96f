"""The demo model in formats that are not committed: made once by the examples' scripts, into the ignored `build/`."""

from __future__ import annotations

import importlib.util
import sys
from functools import cache
from pathlib import Path
from typing import Any

from filelock import FileLock

from tests.conftest import DEMO, ROOT

BUILT = ROOT / "build" / "demo_model"


@cache
def script(name: str) -> Any:
    """A script of the demo model, as a module."""
    spec = importlib.util.spec_from_file_location(f"demo_model_{name}", DEMO / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module: Any = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where dataclasses look for it
    spec.loader.exec_module(module)
    return module


def bundle(precision: str) -> Path:
    """The demo model as a LiteRT-LM bundle, as `make runtimes-models` makes it."""
    source, folder = DEMO / "artefacts" / f"tflite-{precision}", BUILT / f"litert-lm-{precision}"
    made = folder / "model.litertlm"
    BUILT.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{folder}.lock"):
        if not made.is_file() or _newest(source, DEMO / "litert_lm_bundle.py") > made.stat().st_mtime:
            script("litert_lm_bundle").build(source, folder)
    return made


def _newest(*paths: Path) -> float:
    files = [file for path in paths for file in (path.rglob("*") if path.is_dir() else [path])]
    return max(file.stat().st_mtime for file in files)
