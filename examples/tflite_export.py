"""From a Hugging Face folder of a Llama to LiteRT files: float32, int8 and int4. Both language models use it.

Run as a script it does the first step, the conversion: litert-torch replaces parts of transformers when it is
imported, so it gets a process of its own, and torch in the builder's process stays what it is held against.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import types
from dataclasses import dataclass
from pathlib import Path

import flatbuffers
import numpy as np
from ai_edge_litert.tools import flatbuffer_utils
from ai_edge_quantizer import quantizer, recipe

RECIPES = {"tflite-fp32": None, "tflite-int8": "dynamic_wi8_afp32", "tflite-int4": "dynamic_wi4b32_afp32"}
"""Folder -> what ai-edge-quantizer calls the recipe: weights int8 with a scale per output channel, weights int4
with a scale for every 32; both quantize activations to int8 while running, and the embedding like all the rest."""

FLOAT, BUNDLE = "model.tflite", "model.litertlm"
"""What the conversion writes."""

LOG_TAIL_LINES = 15
ALIGNMENT = 16
"""Bytes. Kernels read weights in vectors of this size."""


@dataclass(frozen=True, kw_only=True)
class Shape:
    """What the conversion fixes for good: one `prefill_N` signature a length, and the places in the cache."""

    prefill_lengths: tuple[int, ...]
    cache_length: int


def convert(hf: Path, folder: Path, shape: Shape, *, bundle_recipe: str | None = None) -> None:
    """Fill `folder` with model.tflite, and with model.litertlm too, quantized so, where `bundle_recipe` names how."""
    command = [sys.executable, __file__, str(hf), str(folder), "--cache", str(shape.cache_length)]
    command += ["--prefill", *map(str, shape.prefill_lengths)]
    if bundle_recipe:
        command += ["--bundle", bundle_recipe]
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "conversion.log"
    with log.open("w") as output:
        offline = os.environ | {"HF_HUB_OFFLINE": "1"}
        ended = subprocess.run(command, stdout=output, stderr=subprocess.STDOUT, env=offline, check=False)
    if ended.returncode != 0:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-LOG_TAIL_LINES:])
        raise RuntimeError(f"the conversion failed; all of {log} ends:\n{tail}")


def quantize(source: Path, target: Path, recipe_name: str | None) -> None:
    """Write `source`, a float32 model, to `target` by a named recipe of ai-edge-quantizer; None copies it."""
    if recipe_name is None:
        shutil.copyfile(source, target)
        return
    tool = quantizer.Quantizer(str(source))
    tool.load_quantization_recipe(getattr(recipe, recipe_name)())
    with contextlib.redirect_stdout(sys.stderr):  # its summary is no result of ours
        tool.quantize().export_model(str(target), overwrite=True)
    target.chmod(source.stat().st_mode)  # the quantizer makes its files executable


def compact(file: Path) -> None:
    """Rewrite a model smaller: short tensor names, and vectors that are equal stored once.

    A name as converted spells out every Python class on the way to a tensor. The signatures keep their scales and
    zero points apart although they share their weights. Together that is nearly half of the demo model's int8 file.
    """
    model = flatbuffer_utils.read_model(str(file))
    for graph in model.subgraphs:
        for tensor in graph.tensors:
            tensor.name = short_name(tensor.name.decode()).encode()
    for buffer in model.buffers:
        if buffer.data is not None:  # the builder packs bytes of any other type one by one
            buffer.data = np.frombuffer(buffer.data, np.uint8)
    builder = _SharingBuilder(1024)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    file.write_bytes(builder.Output())


def short_name(name: str) -> str:
    """The last three modules of a tensor's path without their classes, such as `3/mlp/down_proj`."""
    first = name.split(";", maxsplit=1)[0]
    modules = [module.rsplit(".", 1)[-1] for module in first.split("/")]
    return "/".join(module.split("_", 1)[-1] for module in modules[-3:]) if len(modules) > 1 else first


class _SharingBuilder(flatbuffers.Builder):  # type: ignore[misc]  # flatbuffers has no types
    """Stores equal strings and equal arrays once, and every array where a vector instruction may read it."""

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self._stored: dict[tuple[str, bytes], int] = {}

    def CreateString(self, s: str | bytes, encoding: str = "utf-8", errors: str = "strict") -> int:  # noqa: N802
        data = s.encode(encoding, errors) if isinstance(s, str) else bytes(s)
        key = ("string", data)
        if key not in self._stored:
            self._stored[key] = super().CreateString(data)
        return self._stored[key]

    def CreateNumpyVector(self, x: np.ndarray) -> int:  # noqa: N802
        key = (x.dtype.str, x.tobytes())
        if key not in self._stored:
            self.Prep(ALIGNMENT, x.nbytes)
            self._stored[key] = super().CreateNumpyVector(x)
        return self._stored[key]


def export_all(hf: Path, out: Path, shape: Shape, *, compacted: bool = False, bundle: str | None = None) -> list[Path]:
    """Make every folder of RECIPES below `out`, replacing what is there: model.tflite and tokenizer.json each.

    `compacted` files are rewritten as `compact` has it, the others are as the tools wrote them. `bundle` is the name
    of one more folder, for the `.litertlm` file of the int8 model that litert-torch makes.
    """
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out, prefix=".tflite-") as work:
        converted = Path(work) / "converted"
        convert(hf, converted, shape, bundle_recipe=RECIPES["tflite-int8"] if bundle else None)
        for name, recipe_name in RECIPES.items():
            model = Path(work) / name / "model.tflite"
            model.parent.mkdir()
            quantize(converted / FLOAT, model, recipe_name)
            if compacted:
                compact(model)
            shutil.copyfile(hf / "tokenizer.json", model.with_name("tokenizer.json"))
        if bundle:
            (Path(work) / bundle).mkdir()
            (converted / BUNDLE).rename(Path(work) / bundle / BUNDLE)
        names = [*RECIPES, bundle] if bundle else [*RECIPES]
        for name in names:  # all are whole by now
            shutil.rmtree(out / name, ignore_errors=True)
            (Path(work) / name).rename(out / name)
    return [out / name for name in RECIPES]


def main() -> None:
    """Convert, with litert-torch."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("hf", help="folder with config.json, model.safetensors and the tokenizer")
    parser.add_argument("folder", help="where model.tflite is written")
    parser.add_argument("--prefill", type=int, nargs="+", required=True, metavar="TOKENS")
    parser.add_argument("--cache", type=int, required=True, metavar="TOKENS")
    parser.add_argument("--bundle", metavar="RECIPE", help="also write model.litertlm, quantized by this recipe")
    options = parser.parse_args()
    _stand_in_for_tensorflow()
    from litert_torch.generative.export_hf import export

    export.export(
        model=options.hf,
        output_dir=options.folder,
        keep_temporary_files=True,
        prefill_lengths=options.prefill,
        cache_length=options.cache,
        quantization_recipe=options.bundle or "none",
        bundle_litert_lm=bool(options.bundle),
    )


def _stand_in_for_tensorflow() -> None:
    """litert-torch 0.10.0 imports a module of TensorFlow, for an image model, that LiteRT has under another name."""
    from ai_edge_litert import schema_py_generated

    package = types.ModuleType("tensorflow.lite.python")
    package.schema_py_generated = schema_py_generated  # type: ignore[attr-defined]
    # Only this deepest package: torch and transformers look for `tensorflow` itself and must not find one.
    sys.modules[package.__name__] = package


if __name__ == "__main__":
    main()
