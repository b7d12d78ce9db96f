"""The plug board: names of adapters to their rows. Built-in ones stand here; others come by entry point.

`python -m benchharness.device.adapters NAME` prints one adapter's availability as JSON, in a process of its own,
because a broken runtime can end the process that imports it.
"""

from __future__ import annotations

import difflib
import importlib
import json
import sys
from operator import attrgetter
from typing import TYPE_CHECKING

from benchharness.contract import AdapterRow
from benchharness.device import connected
from benchharness.errors import Unsupported

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

    from benchharness.contract import Adapter

ENTRY_POINT_GROUP = "benchharness.targets"

#: A test compares them with the classes.
BUILT_IN = {
    "onnxruntime": AdapterRow(
        "targets.onnx_runtime:OnnxRuntime",
        (".onnx", ".ort"),
        requires=("onnxruntime>=1.20", "tokenizers>=0.20"),
        runs_with=("onnxruntime",),
        opens_only=True,
    ),
    "tflite": AdapterRow(
        "targets.tflite:TFLite",
        (".tflite", ".litertlm"),
        requires=("ai-edge-litert>=2.3", "tokenizers>=0.20"),
        runs_with=("ai_edge_litert", "tflite_runtime"),
        opens_only=True,
    ),
    "coreml": AdapterRow(
        "targets.core_ml:CoreML",
        (".mlpackage", ".mlmodelc", ".mlmodel"),
        "CPU_ONLY",
        requires=("coremltools>=9.0", "onnx>=1.17", "onnxruntime>=1.20", "tokenizers>=0.20"),
        runs_with=("coremltools",),
        opens_only=True,
    ),
    "coreml-remote": AdapterRow(
        "targets.core_ml_remote:CoreMLRemote",
        (".mlpackage", ".mlmodel"),
        "CPU_ONLY",
        requires=("coremltools>=9.0",),
        on_request=(".mlpackage", ".mlmodel"),
        runs_with=("coremltools",),
        reaches_connected=True,
    ),
    "onnxruntime-genai": AdapterRow(
        "targets.onnx_runtime_genai:OnnxRuntimeGenai",
        (".onnx",),
        requires=("onnxruntime-genai>=0.18", "tokenizers>=0.20"),
        on_request=(".onnx",),
        runs_with=("onnxruntime_genai",),
        opens_only=True,
    ),
    "openvino": AdapterRow(
        "targets.openvino:OpenVINO",
        (".xml", ".onnx"),
        requires=("openvino>=2026.4", "tokenizers>=0.20"),
        on_request=(".onnx",),
        runs_with=("openvino",),
        opens_only=True,
    ),
    "llama-cpp": AdapterRow(
        "targets.llama_cpp:LlamaCpp",
        (".gguf",),
        requires=("xllamacpp==2026.10.11549", "tokenizers>=0.20"),
        runs_with=("llama_cpp", "xllamacpp"),
        opens_only=True,
    ),
    "cloud": AdapterRow("targets.cloud:Cloud", (".endpoint",), requires=("httpx>=0.27",), runs_with=("httpx",)),
    "native-program": AdapterRow(
        "targets.native_program:NativeProgram",
        (".gguf", ".tflite", ".onnx", ".ort", ".pte"),
        on_request=(".gguf", ".tflite", ".onnx", ".ort", ".pte"),
    ),
    "litert-lm": AdapterRow(
        "targets.litert_lm:LiteRtLm",
        (".litertlm",),
        requires=("litert-lm-api>=0.18",),
        on_request=(".litertlm",),
        runs_with=("litert_lm",),
        opens_only=True,
    ),
    "executorch": AdapterRow(
        "targets.executorch:ExecuTorch",
        (".pte",),
        requires=("torch>=2.13", "executorch>=1.5", "tokenizers>=0.20"),
        runs_with=("executorch", "torch"),
        opens_only=True,
    ),
    "onnxruntime-web": AdapterRow(
        "targets.onnx_runtime_web:OnnxRuntimeWeb",
        (".onnx", ".ort"),
        requires=("playwright>=1.45", "tokenizers>=0.20"),
        on_request=(".onnx", ".ort"),
        runs_with=("playwright",),
    ),
    "python": AdapterRow("targets.python_function:PythonFunction", (".py",)),
    "null": AdapterRow("targets.null:Null", (".null",)),
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


def row(name: str) -> AdapterRow:
    """What is registered under a name. Raises `Unsupported` where there is nothing, or nothing that can be read."""
    if name in BUILT_IN:
        return BUILT_IN[name]
    points = third_party()
    if name in points:
        return _row_of(points[name])
    nearest = difflib.get_close_matches(name, names(), n=1)
    hint = f"; did you mean {nearest[0]!r}?" if nearest else ""
    raise Unsupported(f"no adapter is called {name!r}{hint} (there are: {', '.join(names())})")


def _row_of(point: EntryPoint) -> AdapterRow:
    """The row that an entry point names, or that the class it names is."""
    try:
        found = point.load()
        if not isinstance(found, AdapterRow):
            told = found if hasattr(found, "formats") else found()
            found = AdapterRow(
                f"{point.module}:{point.attr}",
                told.formats,
                getattr(told, "plain_accelerator", None),
                on_request=getattr(told, "on_request", ()),
            )
    except Exception as error:
        raise _cannot_load(point.name, error) from error
    if isinstance(found.formats, str):
        raise Unsupported(
            f"the adapter {point.name!r}: its formats are one text, {found.formats!r}; make them a sequence"
        )
    return found


def is_runtime(name: str) -> bool:
    """Whether an adapter is for a runtime; those of ours that need nothing but Python are for none."""
    return name not in BUILT_IN or bool(BUILT_IN[name].requires)


def leaves_numpy_to_us(name: str) -> bool:
    """Whether nothing is measured there that numpy computes: true of ours, but for the one that calls a user's code."""
    return name in BUILT_IN and name != "python"


def load(name: str) -> Adapter:
    """The adapter of that name, its runtime imported. Raises `Unsupported` where there is none or it cannot load.

    Whatever goes wrong in an adapter is its own failure and not the harness's.
    """
    registered = row(name)
    connected.refuse_others(name, registered)
    try:
        module, _, attribute = registered.adapter.partition(":")
        adapter: Adapter = attrgetter(attribute)(importlib.import_module(module))()
    except Exception as error:
        raise _cannot_load(name, error) from error
    return adapter


def _cannot_load(name: str, error: Exception) -> Unsupported:
    return Unsupported(f"the adapter {name!r} cannot be loaded here: {type(error).__name__}: {error}")


def formats(name: str) -> tuple[str, ...]:
    """File endings that an adapter takes. Raises `Unsupported`."""
    return tuple(row(name).formats)


def own_formats(name: str) -> tuple[str, ...]:
    """Those that an adapter opens also where nobody names it. Raises `Unsupported`."""
    found = row(name)
    return tuple(ending for ending in found.formats if ending not in found.on_request)


def plain_accelerator(name: str) -> str | None:
    """The accelerator that is a runtime's plain CPU path; None where that is its default, or nothing is known of it."""
    try:
        return row(name).plain_accelerator
    except Unsupported:
        return None


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
