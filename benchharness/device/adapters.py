"""The plug board: names of adapters to their classes. Built-in ones stand here; others come by entry point.

`python -m benchharness.device.adapters NAME` prints one adapter's availability as JSON, in a process of its own,
because a broken runtime can end the process that imports it.
"""

from __future__ import annotations

import difflib
import importlib
import json
import sys
from typing import TYPE_CHECKING

from benchharness.errors import Unsupported

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

    from benchharness.contract import Adapter

ENTRY_POINT_GROUP = "benchharness.targets"

BUILT_IN = {
    "onnxruntime": "targets.onnx_runtime:OnnxRuntime",
    "tflite": "targets.tflite:TFLite",
    "coreml": "targets.core_ml:CoreML",
    "null": "targets.null:Null",
}

#: Formats of the built-in adapters, known without importing a runtime (a test compares them with the classes).
BUILT_IN_FORMATS = {
    "onnxruntime": (".onnx", ".ort"),
    "tflite": (".tflite", ".litertlm"),
    "coreml": (".mlpackage", ".mlmodelc", ".mlmodel"),
    "null": (".null",),
}


def third_party() -> dict[str, EntryPoint]:
    """Installed adapters of other packages, by name."""
    from importlib.metadata import entry_points  # 20 ms that a worker with a built-in adapter does not need

    found = entry_points()
    # Python 3.9 returns a plain dict of groups, later versions an object with select().
    group = found.select(group=ENTRY_POINT_GROUP) if hasattr(found, "select") else found.get(ENTRY_POINT_GROUP, ())
    return {point.name: point for point in group if point.name not in BUILT_IN}


def names() -> list[str]:
    """Every adapter that can be named in a configuration."""
    return [*BUILT_IN, *sorted(third_party())]


def usable() -> list[str]:
    """The adapters whose formats can be told: all built-in ones, and those of others that load here."""
    found = []
    for name in names():
        try:
            formats(name)
        except Unsupported:
            continue
        found.append(name)
    return found


def load(name: str) -> Adapter:
    """The adapter of that name, its runtime imported. Raises `Unsupported` where there is none or it cannot load."""
    if name in BUILT_IN:
        module, _, attribute = BUILT_IN[name].partition(":")
        try:
            adapter: Adapter = getattr(importlib.import_module(module), attribute)()
        except ImportError as error:
            raise Unsupported(f"the adapter {name!r} cannot be loaded here: {error}") from error
        return adapter
    points = third_party()
    if name in points:
        return _load_third_party(points[name])
    nearest = difflib.get_close_matches(name, names(), n=1)
    hint = f"; did you mean {nearest[0]!r}?" if nearest else ""
    raise Unsupported(f"no adapter is called {name!r}{hint} (there are: {', '.join(names())})")


def _load_third_party(point: EntryPoint) -> Adapter:
    """An adapter of another package: whatever goes wrong in it is its own failure and not the harness's."""
    try:
        adapter: Adapter = point.load()()
        endings = adapter.formats
    except Exception as error:
        raise Unsupported(
            f"the adapter {point.name!r} cannot be loaded here: {type(error).__name__}: {error}"
        ) from error
    if isinstance(endings, str):
        raise Unsupported(f"the adapter {point.name!r}: its formats are one text, {endings!r}; make them a sequence")
    return adapter


def formats(name: str) -> tuple[str, ...]:
    """File endings that an adapter takes; of a third party's adapter it has to be loaded to know."""
    return BUILT_IN_FORMATS.get(name) or tuple(load(name).formats)


def main() -> None:
    """Prints the availability of the adapter named on the command line."""
    try:
        found = load(sys.argv[1]).availability()
        answer = {
            "available": found.available,
            "version": found.version,
            "accelerators": list(found.accelerators),
            "reason": found.reason,
            "units": {accelerator: list(units) for accelerator, units in found.units.items()},
        }
    except Unsupported as error:
        answer = {"available": False, "version": "unknown", "accelerators": [], "reason": str(error)}
    sys.stdout.write(json.dumps(answer) + "\n")


if __name__ == "__main__":
    main()
