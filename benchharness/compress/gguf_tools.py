"""GGUF recipes: legacy quants by the gguf package, K-quants by an installed `llama-quantize`.

Only the process that makes one artefact imports this.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Collection, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import gguf
import numpy as np

from benchharness.compress.calibration import Sample, Text
from benchharness.compress.look import Look
from benchharness.compress.parts import Weight
from benchharness.compress.programs import LLAMA_QUANTIZE
from benchharness.compress.recipes import Recipe
from benchharness.device.processes.lifeline import die_with_parent
from benchharness.errors import ModelFailure, Unsupported
from targets.gguf_format.contents import read_files
from targets.gguf_format.files import find_model, parts_of

#: Types whose values are copied as they are and can be made smaller.
_FLOATS = (gguf.GGMLQuantizationType.F32, gguf.GGMLQuantizationType.F16, gguf.GGMLQuantizationType.BF16)
#: Matrices that llama-quantize leaves alone: small ones that choose experts or places, and states.
_LEFT_ALONE = ("ffn_gate_inp", "position_embd", "token_types", "ssm_", "time_mix_", "attn_rel_b")
_MADE_BY_WRITER = ("GGUF.", gguf.Keys.General.ARCHITECTURE, gguf.Keys.General.FILE_TYPE)
_ALIGNMENT = gguf.Keys.General.ALIGNMENT
_QUANTIZATION_VERSION = gguf.Keys.General.QUANTIZATION_VERSION


def look(artefact: Path) -> Look:
    """Reads a model's tensors. Raises `ModelFailure` for what is none, `Unsupported` for one in parts."""
    model = find_model(artefact)
    if len(parts_of(model)) > 1:
        raise Unsupported(f"{model}: is one of several parts; merge them first: llama-gguf-split --merge")
    contents = read_files([model])
    if contents.quantized:
        kinds = ", ".join(sorted({tensor.dtype for tensor in contents.tensors if tensor.block > 1}))
        raise Unsupported(
            f"{model}: is quantized already ({kinds}), and quantizing it again loses twice; give the float32 or "
            "float16 one that it was made from"
        )
    sizes: dict[str, int] = {}
    for tensor in contents.tensors:
        sizes[tensor.dtype] = sizes.get(tensor.dtype, 0) + tensor.bytes
    return Look(
        model=model,
        task="causal-lm",
        inputs=(),
        float_bytes={dtype: size for dtype, size in sizes.items() if "float" in dtype},
        why_no_static="recipes for GGUF take no calibration data",
        weights=[
            Weight(each.name, each.name, each.bytes)
            for each in contents.tensors
            if _is_matrix(each.name, len(each.shape))
        ],
    )


def compress(
    found: Look, recipe: Recipe, target: Path, scratch: Path, data: Sequence[Sample] | Text | None
) -> list[str]:
    """Writes the model that a recipe makes to `target`; notes for whoever reads the result.

    Raises `Unsupported` where the recipe's tool is not here or no matrix of the model fits its blocks.
    """
    settings = recipe.settings
    if settings["tool"] == LLAMA_QUANTIZE:
        if recipe.left:
            raise Unsupported(
                f"{LLAMA_QUANTIZE} chooses itself what it makes of each matrix; try gguf-q4_0 or gguf-q8_0"
            )
        return _by_program(found.model, str(settings["type"]), target)
    kind = gguf.GGMLQuantizationType[settings["type"]]
    reader = gguf.GGUFReader(found.model)
    writer = gguf.GGUFWriter(target, str(reader.fields[gguf.Keys.General.ARCHITECTURE].contents()))
    _copy_metadata(reader, writer)
    writer.add_file_type(gguf.LlamaFileType[f"MOSTLY_{settings['type']}"])
    stay = _write_tensors(reader, writer, kind, recipe.left)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    read_files([target])  # what is no GGUF file is not handed on
    return stay


def _copy_metadata(reader: Any, writer: Any) -> None:
    for field in reader.fields.values():
        if field.name.startswith(_MADE_BY_WRITER) or field.name in (_QUANTIZATION_VERSION, _ALIGNMENT):
            continue
        kind = field.types[0]
        part = field.types[-1] if kind == gguf.GGUFValueType.ARRAY else None
        writer.add_key_value(field.name, field.contents(), kind, sub_type=part)
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    if _ALIGNMENT in reader.fields:
        writer.add_custom_alignment(reader.alignment)  # which its tensors then have


def _is_matrix(name: str, axes: int) -> bool:
    return axes > 1 and name.endswith("weight") and not any(word in name for word in _LEFT_ALONE)


def _write_tensors(reader: Any, writer: Any, kind: Any, left: Collection[str]) -> list[str]:
    """Hands every tensor to the writer, matrices in the new type; says which could not be."""
    block, _ = gguf.GGML_QUANT_SIZES[kind]
    quantized, unfit = 0, []
    for tensor in reader.tensors:
        matrix = _is_matrix(tensor.name, tensor.data.ndim) and tensor.name not in left
        wanted = matrix and tensor.tensor_type in _FLOATS
        if wanted and int(tensor.shape[0]) % block == 0:
            values = gguf.quants.dequantize(tensor.data, tensor.tensor_type).astype(np.float32, copy=False)
            writer.add_tensor(tensor.name, gguf.quants.quantize(values, kind), raw_dtype=kind)
            quantized += 1
            continue
        if wanted:
            unfit.append(tensor.name)
        writer.add_tensor(tensor.name, tensor.data, raw_dtype=tensor.tensor_type)
    if not quantized:
        raise Unsupported(f"nothing to compress: no matrix of the model has rows that are multiples of {block}")
    return [f"{len(unfit)} matrices stay floats: their rows are no multiples of {block} ({unfit[0]})"] if unfit else []


def _by_program(model: Path, kind: str, target: Path) -> list[str]:
    program = shutil.which(LLAMA_QUANTIZE)
    if program is None:
        raise Unsupported(
            f"{LLAMA_QUANTIZE} is not on the PATH: it comes with llama.cpp's programs, and alone makes {kind}"
        )
    done = subprocess.run(
        [program, str(model), str(target), kind, "1"],
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        preexec_fn=partial(die_with_parent, os.getpid()) if os.name == "posix" else None,
    )
    told = f"{done.stdout}\n{done.stderr}".strip()
    if done.returncode or not target.is_file():
        raise ModelFailure(f"{LLAMA_QUANTIZE} ended with {done.returncode}: {told[-1500:]}")
    read_files([target])
    fell = [line for line in told.splitlines() if "fallback" in line.lower()]
    return [f"{LLAMA_QUANTIZE} says: {fell[-1].strip()[:300]}"] if fell else []
