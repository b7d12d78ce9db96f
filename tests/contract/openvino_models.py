"""A tiny language model as Optimum exports them to OpenVINO: its cache in variables, one attention operator a layer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

VOCABULARY, HEADS, HEAD_SIZE = 32, 2, 16
WIDTH = HEADS * HEAD_SIZE


def build_optimum_like(folder: Path) -> Path:
    """Writes `openvino_model.xml`, with Optimum's four inputs, and a `config.json`; the folder."""
    import openvino
    from openvino import opset13 as ops
    from openvino.op.util import Variable, VariableInfo

    random = np.random.default_rng(0)

    def weights(*shape: int) -> Any:
        return ops.constant((random.normal(size=shape) / shape[-1] ** 0.5).astype(np.float32))

    ids = ops.parameter([-1, -1], np.int64, name="input_ids")
    mask = ops.parameter([-1, -1], np.int64, name="attention_mask")
    positions = ops.parameter([-1, -1], np.int64, name="position_ids")
    beams = ops.parameter([-1], np.int32, name="beam_idx")
    zero = ops.constant(np.int64(0))
    x = ops.gather(weights(VOCABULARY, WIDTH), ids, zero)
    x = ops.add(x, ops.gather(weights(128, WIDTH), positions, zero))

    def split(y: Any) -> Any:
        heads = ops.reshape(y, ops.constant([0, 0, HEADS, HEAD_SIZE]), True)
        return ops.transpose(heads, ops.constant([0, 2, 1, 3]))

    query, key, value = (split(ops.matmul(x, weights(WIDTH, WIDTH), False, True)) for _ in range(3))
    batch = ops.gather(ops.shape_of(ids), ops.constant([0]), zero)
    empty = ops.concat([batch, ops.constant([HEADS, 0, HEAD_SIZE])], 0)
    kept, assigned = [], []
    for name, new in (("key", key), ("value", value)):
        info = VariableInfo()
        info.data_shape = openvino.PartialShape([-1, HEADS, -1, HEAD_SIZE])
        info.data_type = openvino.Type.f32
        info.variable_id = name
        variable = Variable(info)
        past = ops.read_value(ops.broadcast(ops.constant(np.float32(0)), empty), variable)
        whole = ops.concat([ops.gather(past, beams, zero), new], 2)
        assigned.append(ops.assign(whole, variable))
        kept.append(whole)
    # 0 for what may be looked at, -inf for what comes after: by position, over all that the mask counts.
    counted = ops.gather(ops.shape_of(mask), ops.constant(np.int64(1)), zero)
    every = ops.range(zero, counted, ops.constant(np.int64(1)), "i64")
    later = ops.greater(ops.unsqueeze(every, ops.constant([0, 1, 2])), ops.unsqueeze(positions, ops.constant([1, 3])))
    hidden = ops.select(later, ops.constant(np.float32(-np.inf)), ops.constant(np.float32(0)))
    mixed = ops.scaled_dot_product_attention(query, kept[0], kept[1], hidden)
    joined = ops.reshape(ops.transpose(mixed, ops.constant([0, 2, 1, 3])), ops.constant([0, 0, WIDTH]), True)
    logits = ops.matmul(ops.add(x, joined), weights(VOCABULARY, WIDTH), False, True)
    logits.output(0).set_names({"logits"})
    for parameter in (ids, mask, positions, beams):
        parameter.output(0).set_names({parameter.get_friendly_name()})
    model = openvino.Model([ops.result(logits)], assigned, [ids, mask, positions, beams], "optimum-like")
    folder.mkdir(parents=True, exist_ok=True)
    openvino.save_model(model, folder / "openvino_model.xml", compress_to_fp16=False)
    (folder / "config.json").write_text('{"architectures": ["LlamaForCausalLM"], "max_position_embeddings": 128}')
    return folder
