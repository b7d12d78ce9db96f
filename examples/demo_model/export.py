"""The ONNX artefacts made from the trained model: one folder each, ready to load."""

from __future__ import annotations

import logging
import shutil
import subprocess
import sys
from pathlib import Path

import onnx
import onnx_graph
from onnxruntime.quantization import QuantType, quantize_dynamic
from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer
from transformers import LlamaForCausalLM

BLOCK = 32
"""Weights that share one scale in the int4 artefact, along the input side of a matrix."""

logging.getLogger("onnxruntime.quantization").setLevel(logging.WARNING)  # it reports every node

SIDE_FILES = ("config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json")


def export_all(model: LlamaForCausalLM, hf: Path, artefacts: Path, work: Path) -> list[Path]:
    """Write every artefact below `artefacts`, replacing what is there, and return their folders."""
    untied = work / "untied.onnx"
    onnx.save(onnx_graph.LlamaGraph(model, tied=False).build(), untied)
    folders = {name: artefacts / name for name in ("onnx-fp32", "onnx-int8", "onnx-int4", "onnx-gqa-fp32")}
    for folder in folders.values():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    onnx.save(onnx_graph.LlamaGraph(model, tied=True).build(), folders["onnx-fp32"] / "model.onnx")
    quantize_int8(untied, folders["onnx-int8"] / "model.onnx")
    quantize_int4(untied, folders["onnx-int4"] / "model.onnx")
    build_grouped_query(hf, folders["onnx-gqa-fp32"] / "model.onnx", work / "genai")
    for folder in folders.values():
        for name in SIDE_FILES:
            shutil.copy(hf / name, folder)
    shutil.copy(work / "genai" / "genai_config.json", folders["onnx-gqa-fp32"])
    return list(folders.values())


def quantize_int8(source: Path, target: Path) -> None:
    """Dynamic int8: weights per output channel, activations and the embedding per tensor."""
    quantize_dynamic(
        source,
        target,
        op_types_to_quantize=["MatMul", "Gather"],
        per_channel=True,
        weight_type=QuantType.QInt8,
        extra_options={"MatMulConstBOnly": True},  # attention multiplies two activations: left in float32
    )
    expect(target, {"MatMulInteger": constant_matmuls(source), "DequantizeLinear": 1})


def quantize_int4(source: Path, target: Path) -> None:
    """Weight-only symmetric int4 in blocks of 32, the output layer included; the embedding int8 per tensor.

    An embedding left in float32 would make this file larger than the int8 one.
    """
    quantize_dynamic(source, target, op_types_to_quantize=["Gather"], weight_type=QuantType.QInt8)
    quantizer = MatMulNBitsQuantizer(str(target), bits=4, block_size=BLOCK, is_symmetric=True)
    quantizer.process()
    quantizer.model.save_model_to_file(str(target), use_external_data_format=False)
    expect(target, {"MatMulNBits": constant_matmuls(source), "DequantizeLinear": 1})


def build_grouped_query(hf: Path, target: Path, work: Path) -> None:
    """The same weights in onnxruntime-genai's graph, whose attention can write into the cache in place."""
    shutil.rmtree(work, ignore_errors=True)
    builder = [sys.executable, "-m", "onnxruntime_genai.models.builder", "-m", str(hf), "-o", str(work)]
    subprocess.run([*builder, "-p", "fp32", "-e", "cpu", "-c", str(work / "cache")], check=True)
    onnx.save(onnx.load(work / "model.onnx"), target)  # one file: takes the external weights in
    expect(target, {"GroupQueryAttention": 4})


def constant_matmuls(path: Path) -> int:
    """How many MatMuls of a graph have a constant right side: those that a quantizer should have replaced."""
    graph = onnx.load(path).graph
    constants = {initializer.name for initializer in graph.initializer}
    return sum(node.op_type == "MatMul" and node.input[1] in constants for node in graph.node)


def expect(path: Path, wanted: dict[str, int]) -> None:
    """Fail unless the graph has exactly these numbers of these operators."""
    operators = [node.op_type for node in onnx.load(path).graph.node]
    found = {operator: operators.count(operator) for operator in wanted}
    if found != wanted:
        raise RuntimeError(f"{path.parent.name}: expected {wanted}, found {found}")
