"""Looks at a model, or makes one artefact, in a process of its own: tools print, hang and crash.

`python -P -m benchharness.compress.one` reads an order, a line of JSON, from standard input, and answers with a line
on standard output: `{"found": {...}}`, `{"made": {...}}`, or `{"failed": "why"}`, with `"by_tool": true` where the
words are a tool's. What tools print goes to standard error.
"""

from __future__ import annotations

import importlib
import json
import os
import random
import shutil
import sys
import tempfile
import traceback
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from types import ModuleType
from typing import Any

from benchharness.compress import calibration
from benchharness.compress.calibration import Sample, Text
from benchharness.compress.draws import half_of
from benchharness.compress.look import Look
from benchharness.compress.recipes import CORE_ML, GGUF, ONNX, RECIPES, SEED, TFLITE, frozen, plain
from benchharness.compress.source import companions, is_lone
from benchharness.device.line import protocol
from benchharness.device.processes.lifeline import die_with_parent
from benchharness.errors import BenchharnessError, UsageError

_TOOLS = {ONNX: "onnx_tools", TFLITE: "tflite_tools", CORE_ML: "core_ml_tools", GGUF: "gguf_tools"}
#: What an artefact is called: the folder, or the file with the ending of its format.
_MODEL = "model"
_TOKENIZER = "tokenizer.json"


def main() -> None:
    """Carries out the order on standard input."""
    answers = os.fdopen(protocol.claim_standard_output(), "wb")
    try:
        answer = _carried_out(json.loads(sys.stdin.readline()))
    except BenchharnessError as error:
        answer = {"failed": protocol.text(error)}
    except MemoryError:
        answer = {"failed": "out of memory", "by_tool": True}
    except Exception as error:  # a tool's own: its words are the evidence, its traceback goes to standard error
        traceback.print_exc()
        answer = {"failed": protocol.text(f"the tool failed: {type(error).__name__}: {error}"), "by_tool": True}
    answers.write(protocol.encode(answer))
    answers.flush()


def _carried_out(order: dict[str, Any]) -> dict[str, Any]:
    import numpy as np

    die_with_parent(order["parent"])
    random.seed(SEED)
    np.random.seed(SEED)
    artefact = Path(order["artefact"])
    tools = _load_tools(order["format"])
    found: Look = tools.look(artefact)
    data = _read_data(found, Path(order["calibrate"])) if order.get("calibrate") else None
    if order["do"] == "look":
        return {"found": _described(found, data)}
    return {"made": _made(tools, found, artefact, order, data)}


def _load_tools(format_: str) -> ModuleType:
    try:
        return importlib.import_module(f"benchharness.compress.{_TOOLS[format_]}")
    except ImportError as error:
        raise UsageError(
            f"the tools for {format_} cannot be loaded: {error}; install them: pip install 'benchharness[compress]'"
        ) from error


def _described(found: Look, data: Sequence[Sample] | Text | None) -> dict[str, Any]:
    return {
        "precision": found.precision,
        "beside": list(found.beside),
        "bytes": _size(found.model) + sum(_size(found.model.parent / name) for name in found.beside),
        "why_no_static": found.why_no_static,
        "weights": [asdict(each) for each in found.weights],
        "calibration": None if data is None else _calibration(data),
    }


def _made(
    tools: ModuleType, found: Look, artefact: Path, order: dict[str, Any], data: Sequence[Sample] | Text | None
) -> dict[str, Any]:
    """Fills the order's folder with the artefact; where in it the artefact is, and what there is to say."""
    folder = Path(order["folder"])
    lone = is_lone(artefact)
    name = f"{_MODEL}{artefact.suffix}" if lone else _MODEL
    target = folder / name if lone else folder / name / found.model.relative_to(artefact)
    target.parent.mkdir(parents=True, exist_ok=True)
    known = RECIPES[order["recipe"]]
    settings = frozen(order.get("settings", plain(known.settings)))
    recipe = replace(known, settings=settings, left=tuple(order.get("left", ())))
    if data is not None and order.get("draw"):
        data = half_of(data, order["draw"])
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        notes = tools.compress(found, recipe, target, Path(scratch), data if recipe.needs_calibration else None)
    written = sorted(target.parent.iterdir())
    for file in written:
        if file.is_file():  # some tools write weights for the eyes of their owner only
            shutil.copymode(target, file)
    size = sum(_size(file) for file in written)
    for file in companions(artefact, found.model):
        place = folder / file.name if lone else folder / name / file.relative_to(artefact)
        if file.name not in found.beside and not place.exists():
            shutil.copyfile(file, place)
    return {
        "artefact": name,
        "beside": [file.name for file in written if lone and file != target],
        "bytes": size,
        "notes": notes,
    }


def _size(path: Path) -> int:
    files = [path] if path.is_file() else [each for each in path.rglob("*") if each.is_file()]
    return sum(file.stat().st_size for file in files)


def _read_data(found: Look, path: Path) -> Sequence[Sample] | Text:
    if found.why_no_static:
        raise UsageError(f"{found.model.name} cannot be calibrated: {found.why_no_static}")
    if path.suffix == ".txt" and found.context_length is not None:
        return calibration.read_text(path, found.model.parent / _TOKENIZER, found.context_length)
    return calibration.read_samples(path, found.inputs)


def _calibration(data: Sequence[Sample] | Text) -> dict[str, Any]:
    import numpy as np

    if isinstance(data, Text):
        return calibration.describe(
            [{"tokens": np.array(chunk, np.int64)} for chunk in data.chunks], data.lines, data.used
        )
    return calibration.describe(data)


if __name__ == "__main__":
    main()
