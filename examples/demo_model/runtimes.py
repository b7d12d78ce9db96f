"""The demo model in every runtime that is installed here: `python examples/demo_model/runtimes.py`.

Makes what is not committed (GGUF, a LiteRT-LM bundle) below `build/demo_model/`, once, and writes the suite that runs
all of them in float32 on one thread, `build/demo_model/suite-runtimes.toml`. An ExecuTorch program is in it where `make
executorch-model` has made one with its environment.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent
ROOT = FOLDER.parents[1]
ARTEFACTS = FOLDER / "artefacts"
OUT = ROOT / "build" / "demo_model"
EXECUTORCH = ROOT / ".venv-executorch" / "bin" / "python"


@dataclass(frozen=True)
class Place:
    """A runtime, where it is installed, and the variants that it opens, first those that another opens too."""

    runtime: str
    modules: tuple[str, ...]  # one of them is installed where it is
    variant: str
    settings: Mapping[str, Any] = field(default_factory=dict)  # beside threads: what makes it compute in float32
    complete: Callable[[], bool] = lambda: True  # whether all else that it needs is here

    @property
    def here(self) -> bool:
        """Whether it can run."""
        return any(importlib.util.find_spec(name) for name in self.modules) and self.complete()


def _has_a_browser() -> bool:
    """Whether a browser is here, and onnxruntime-web's own files."""
    from targets.onnx_runtime_web import OnnxRuntimeWeb

    return OnnxRuntimeWeb().availability().available


#: What computes in something else by itself is asked for float32, or this would compare precisions.
PLACES = (
    Place("onnxruntime", ("onnxruntime",), "onnx"),
    Place("onnxruntime-genai", ("onnxruntime_genai",), "onnx"),
    Place("openvino", ("openvino",), "onnx", {"options": {"INFERENCE_PRECISION_HINT": "f32"}}),
    Place("onnxruntime-web", ("playwright",), "onnx", complete=_has_a_browser),
    Place("tflite", ("ai_edge_litert", "tflite_runtime"), "tflite"),
    Place("litert-lm", ("litert_lm",), "tflite", {"options": {"activation_data_type": "fp32"}}),
    Place(
        "llama-cpp",
        ("llama_cpp", "xllamacpp"),
        "gguf",
        {"options": {"type_k": "f32", "type_v": "f32", "flash_attn": False}},
    ),
    Place("coreml", ("coremltools",), "coreml", {"accelerator": "reference"}),
)
EXPORTED = Place("executorch", (), "pte", {"python": str(EXECUTORCH)})
RECIPES = {
    "onnx": "GroupQueryAttention, as onnxruntime-genai has it",
    "tflite": "litert-torch export, in a LiteRT-LM bundle",
    "gguf": "float32, as llama.cpp's converter names it",
    "coreml": "ML program; weights and cache in float16",
    "pte": "exported for XNNPACK",
}


def build(out: Path = OUT) -> Path:
    """Makes what the runtimes here need, and writes the suite; the suite's path."""
    here = [place for place in PLACES if place.here]
    artefacts = {"onnx": ARTEFACTS / "onnx-gqa-fp32", "coreml": ARTEFACTS / "coreml-fp16"}
    for place in here:
        if place.variant not in artefacts:
            artefacts[place.variant] = MAKERS[place.variant](out)
    program = out / "executorch-fp32" / "model.pte"
    if EXECUTORCH.exists() and program.is_file():
        here.append(EXPORTED)
        artefacts["pte"] = program.parent
    suite = out / "suite-runtimes.toml"
    suite.write_text("\n".join(lines(here, artefacts)) + "\n", encoding="utf-8")
    return suite


def _bundle(out: Path) -> Path:
    folder = out / "litert-lm-fp32"
    if not (folder / "model.litertlm").is_file():
        script("litert_lm_bundle").build(ARTEFACTS / "tflite-fp32", folder)
    return folder


def _gguf(out: Path) -> Path:
    folder = out / "gguf-f32"
    if not (folder / "model.gguf").is_file():
        script("gguf_model").build(out=folder)
    return folder


MAKERS: Mapping[str, Callable[[Path], Path]] = {"tflite": _bundle, "gguf": _gguf}


def script(name: str) -> Any:
    """A script beside this one, as a module: what it imports is wanted only where it runs."""
    spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def lines(here: list[Place], artefacts: Mapping[str, Path]) -> Iterator[str]:
    """The suite: one variant for each format, one configuration for each runtime."""
    variants = dict.fromkeys(place.variant for place in here)
    yield "# The demo model in the runtimes of this machine, in float32 on one thread. Written by runtimes.py.\n"
    yield 'name = "demo-runtimes"\n'
    yield "[models.demo]"
    yield 'task = "causal-lm"'
    yield f"reference = {_value(next(iter(variants)))}"
    yield f"evaluation = {_value(str(FOLDER / 'heldout.txt'))}"
    yield f"tokenizer = {_value(str(ARTEFACTS / 'onnx-fp32' / 'tokenizer.json'))}\n"
    yield "[models.demo.variants]"
    for name in variants:
        told = {"artefact": str(artefacts[name]), "precision": "float", "recipe": RECIPES[name]}
        yield f"{name} = {_value(told)}"
    for place in here:
        yield "\n[[configurations]]"
        yield f"name = {_value(place.runtime)}"
        yield f"runtime = {_value(place.runtime)}"
        if place.settings.get("accelerator") != "reference":
            yield "threads = 1"
        yield from (f"{key} = {_value(value)}" for key, value in place.settings.items())
    # Runtimes with a loop of their own write what the model chooses, so all do.
    yield "\n[[workloads]]"
    yield 'name = "verse"'
    yield 'prompt = { text = "And it came to pass in those days, that there went out a decree from" }'
    yield "output_tokens = 64"
    yield 'continuation = "greedy"\n'
    yield "[scenarios]\nfirst-token = {}\nsteady = {}\nquality = {}"


def _value(value: Any) -> str:
    """TOML's spelling."""
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{key} = {_value(each)}" for key, each in value.items()) + " }"
    return json.dumps(value)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").splitlines()[0], epilog="example: python runtimes.py --out build/demo_model"
    )
    parser.add_argument("--out", type=Path, default=OUT, help="folder to write [build/demo_model]")
    print(build(parser.parse_args().out))


if __name__ == "__main__":
    main()
