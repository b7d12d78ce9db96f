"""From the Transformers folder to each ONNX variant: one function a recipe, and a table of them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import DynamicCache, LlamaForCausalLM

LOG_TAIL_LINES = 15


class BuildError(Exception):
    """A step failed; the message says which one and what it printed last."""


@dataclass(frozen=True, kw_only=True)
class Variant:
    recipe: str
    is_fp32: bool
    build: Callable[[Path, Path], None]
    """Takes the Transformers folder and an empty folder to fill."""


def _genai_builder(precision: str, provider: str = "cpu") -> Callable[[Path, Path], None]:
    def build(hf_folder: Path, folder: Path) -> None:
        log = folder.parent / "logs" / f"genai-builder-{precision}.log"
        log.parent.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as cache, log.open("w") as output:
            command = [sys.executable, "-m", "onnxruntime_genai.models.builder"]
            command += ["-i", str(hf_folder), "-o", str(folder), "-p", precision, "-e", provider, "-c", cache]
            offline = os.environ | {"HF_HUB_OFFLINE": "1"}
            ended = subprocess.run(command, stdout=output, stderr=subprocess.STDOUT, env=offline, check=False)
        if ended.returncode != 0:
            tail = "\n".join(log.read_text(errors="replace").splitlines()[-LOG_TAIL_LINES:])
            raise BuildError(f"the model builder failed at precision {precision}; all of {log.name} ends:\n{tail}")

    return build


def _fp16(hf_folder: Path, folder: Path) -> None:
    # Asked for a CPU, the builder writes another fp16 graph than at fp32: it runs only with memory reuse and
    # memory patterns off, and cannot append a second chunk to its cache. What it writes for CUDA has the same
    # operators as the fp32 graph, and ONNX Runtime's CPU provider runs it.
    _genai_builder("fp16", provider="cuda")(hf_folder, folder)
    config_file = folder / "genai_config.json"
    config = json.loads(config_file.read_text())
    config["model"]["decoder"]["session_options"]["provider_options"] = []
    config_file.write_text(json.dumps(config, indent=4))


class _DecoderWithCache(torch.nn.Module):
    """The model with its cache as plain tensors, so that they become inputs and outputs of the graph."""

    def __init__(self, model: LlamaForCausalLM) -> None:
        super().__init__()
        self.model = model

    def forward(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        position_ids: torch.Tensor,
        past: list[tuple[torch.Tensor, torch.Tensor]],
    ) -> tuple[torch.Tensor, ...]:
        result = self.model(
            input_ids=input_ids,
            attention_mask=attention_mask,
            position_ids=position_ids,
            past_key_values=DynamicCache(past, config=self.model.config),
            use_cache=True,
        )
        present = [tensor for layer in result.past_key_values.layers for tensor in (layer.keys, layer.values)]
        return result.logits, *present


def _optimum_fp32(hf_folder: Path, folder: Path) -> None:
    model = LlamaForCausalLM.from_pretrained(hf_folder).eval()
    config = model.config
    layers = config.num_hidden_layers
    # The example's sizes differ from each other and from 1, so that the exporter ties no axes by accident.
    batch, sequence, past = 2, 3, 5
    cache_shape = (batch, config.num_key_value_heads, past, config.head_dim)
    example = (
        torch.ones(batch, sequence, dtype=torch.int64),
        torch.ones(batch, past + sequence, dtype=torch.int64),
        torch.arange(past, past + sequence).repeat(batch, 1),
        [(torch.zeros(cache_shape), torch.zeros(cache_shape)) for _ in range(layers)],
    )
    batch_axis, sequence_axis, past_axis = map(
        torch.export.Dim, ("batch_size", "sequence_length", "past_sequence_length")
    )
    cache_axes = {0: batch_axis, 2: past_axis}
    cache_names = [f"{layer}.{part}" for layer in range(layers) for part in ("key", "value")]
    with torch.no_grad():
        program = torch.onnx.export(
            _DecoderWithCache(model).eval(),
            example,
            dynamo=True,
            dynamic_shapes={
                "input_ids": {0: batch_axis, 1: sequence_axis},
                "attention_mask": {0: batch_axis, 1: torch.export.Dim.DYNAMIC},
                "position_ids": {0: batch_axis, 1: sequence_axis},
                "past": [(cache_axes, cache_axes)] * layers,
            },
            input_names=["input_ids", "attention_mask", "position_ids"]
            + [f"past_key_values.{name}" for name in cache_names],
            output_names=["logits"] + [f"present.{name}" for name in cache_names],
            opset_version=18,
            verbose=False,
        )
    if program is None:
        raise BuildError("torch.onnx.export returned no program")
    # The exporter cannot be told that this axis is a sum of two others, and gives it an invented name.
    mask = next(value for value in program.model.graph.inputs if value.name == "attention_mask")
    mask.shape[1] = "past_sequence_length + sequence_length"
    program.save(folder / "model.onnx", external_data=True)
    for file in hf_folder.iterdir():
        if file.suffix != ".safetensors":
            shutil.copyfile(file, folder / file.name)


VARIANTS = {
    "onnx-fp32": Variant(
        recipe="model builder, -p fp32 -e cpu",
        is_fp32=True,
        build=_genai_builder("fp32"),
    ),
    "onnx-int8": Variant(
        recipe="model builder, -p int8 -e cpu (MatMulNBits 8 bits, blocks of 32, symmetric; embedding fp32)",
        is_fp32=False,
        build=_genai_builder("int8"),
    ),
    "onnx-int4": Variant(
        recipe="model builder, -p int4 -e cpu (MatMulNBits 4 bits, blocks of 32, symmetric; embedding too)",
        is_fp32=False,
        build=_genai_builder("int4"),
    ),
    "onnx-fp16": Variant(
        recipe="model builder, -p fp16 -e cuda, provider options removed",
        is_fp32=False,
        build=_fp16,
    ),
    "onnx-optimum-fp32": Variant(
        recipe="torch.onnx.export (dynamo), opset 18, standard operators only",
        is_fp32=True,
        build=_optimum_fp32,
    ),
}
