"""Models with the inputs of families from the wild, filled by nobody: bare ONNX Runtime does the whole work on them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import numpy_helper

from benchharness.contract import Configuration
from benchharness.device.inputs.requests import TensorRequest, tensor_request
from benchharness.device.line.orders import Workload
from targets.onnx_runtime import OnnxRuntime

HEAD = '<ir_version: 9, opset_import: ["": 17]>\n'

#: (audio_signal [B, 80, T], length [B]): the first `length` frames count.
NEMO = """g (float[b, 80, t] audio_signal, int64[n] length) => (float[x, y, 80] outputs) {
  turned = Transpose<perm = [0, 2, 1]>(audio_signal)
  longest = ReduceMax<keepdims = 1>(length)
  zero = Constant<value = int64[1] {0}>()
  one = Constant<value = int64[1] {1}>()
  outputs = Slice(turned, zero, longest, one)
}"""
#: piper: phonemes of a table, as many as `input_lengths` says, each `scales[1]` long.
PIPER = """g (int64[b, p] input, int64[b] input_lengths, float[3] scales, int64[b] sid) => (float[x, y, z] output) {
  zero = Constant<value = int64[1] {0}>()
  one = Constant<value = int64[1] {1}>()
  all = Gather(table, input)
  who = Gather(speakers, sid)
  longest = ReduceMax<keepdims = 1>(input_lengths)
  kept = Slice(all, zero, longest, one)
  axis = Constant<value = int64[1] {1}>()
  row = Unsqueeze(who, axis)
  spoken = Add(kept, row)
  two = Constant<value = int64[1] {2}>()
  stretch = Slice(scales, one, two)
  output = Mul(spoken, stretch)
}"""
#: BERT with its ids cast to 32 bits, a table of two segments, and tokens picked by the mask.
BERT = """g (int64[b, s] input_ids, int64[b, s] attention_mask, int64[b, s] token_type_ids) => (float[n, w] kept) {
  narrow = Cast<to = 6>(input_ids)
  words = Gather(table, narrow)
  kinds = Gather(speakers, token_type_ids)
  both = Add(words, kinds)
  places = NonZero(attention_mask)
  turned = Transpose(places)
  kept = GatherND(both, turned)
}"""
#: RT-DETR: boxes between 0 and 1, scaled by width and height of the picture.
RT_DETR = """g (float[b, 3, 48, 64] images, int64[b, 2] orig_target_sizes) => (float[b, 2] corners, float m) {
  size = Cast<to = 1>(orig_target_sizes)
  m = ReduceMax<keepdims = 0>(images)
  corners = Identity(size)
}"""
#: Optimum's merged decoder: the branch without a past takes none of it.
MERGED = """g (int64[b, s] input_ids, float[b, e, 2] encoder_hidden_states,
   float[b, 1, past_decoder_sequence_length, 2] past_key_values_0_decoder_key, bool[1] use_cache_branch)
   => (float[x, y, 2] logits, float[b, h, p, d] present) {
  context = ReduceMean<axes = [1]>(encoder_hidden_states)
  logits = If (use_cache_branch) <
    then_branch = g1 () => (float[x, y, 2] a) {
      z = Constant<value = int64[1] {0}>()
      o = Constant<value = int64[1] {1}>()
      w1 = Gather(table, input_ids)
      a = Slice(w1, z, o, o)
    },
    else_branch = g2 () => (float[x, y, 2] b) {
      w2 = Gather(table, input_ids)
      b = Add(w2, context)
    }
  >
  around = Constant<value = int64[2] {1, 3}>()
  real = Cast<to = 1>(input_ids)
  half = Unsqueeze(real, around)
  new = Concat<axis = 3>(half, half)
  present = Concat<axis = 2>(past_key_values_0_decoder_key, new)
}"""
#: silero-vad: a frame at 16 kHz keeps half of its samples' answer; another rate, a quarter.
SILERO = """g (float[b, t] input, float[2, b, 4] state, int64 sr) => (float[b, t] output, float[2, b, 4] stateN) {
  wanted = Constant<value = int64 {16000}>()
  right = Equal(sr, wanted)
  louder = Cast<to = 1>(right)
  output = Mul(input, louder)
  stateN = Identity(state)
}"""

TABLES = {
    "table": np.arange(260, dtype=np.float32).reshape(130, 2),
    "speakers": np.ones((2, 2), np.float32),
    "columns": np.ones((2, 130), np.float32),
}


def fed(tmp_path: Path, text: str, **dimensions: int) -> tuple[TensorRequest, dict[str, Any]]:
    """What is fed to a model, and what a bare session of ONNX Runtime answers to it."""
    model = onnx.parser.parse_model(HEAD + text)
    model.graph.initializer.extend(
        numpy_helper.from_array(array, name) for name, array in TABLES.items() if f"({name}" in text
    )
    path = tmp_path / "model.onnx"
    onnx.save(model, path)
    workload: Workload = {"dimensions": dimensions, "values": {}, "seed": 0}
    with OnnxRuntime().open(path, Configuration(runtime="onnxruntime")) as session:
        asked = tensor_request(session, workload, session.input_rows())
    bare = onnxruntime.InferenceSession(str(path))
    names = [output.name for output in bare.get_outputs()]
    return asked, dict(zip(names, bare.run(None, dict(asked.inputs)), strict=True))


def test_a_nemo_encoder_works_on_every_frame(tmp_path: Path) -> None:
    asked, outputs = fed(tmp_path, NEMO, t=300)
    assert outputs["outputs"].shape == (1, 300, 80)
    assert asked.invented["length"].explained


def test_a_piper_voice_speaks_the_whole_text(tmp_path: Path) -> None:
    asked, outputs = fed(tmp_path, PIPER, p=500)
    assert outputs["output"].shape == (1, 500, 2)
    assert 100 < asked.inputs["input"].max() < 130  # ids of the whole table, and none beyond
    assert all(filling.explained for filling in asked.invented.values())
    assert (outputs["output"] == TABLES["table"][asked.inputs["input"]] + 1).all()


def test_a_bert_attends_to_every_token(tmp_path: Path) -> None:
    asked, outputs = fed(tmp_path, BERT, s=200)
    assert outputs["kept"].shape == (200, 2)
    assert 100 < asked.inputs["input_ids"].max() < 130
    assert not asked.inputs["token_type_ids"].any()


def test_an_rt_detr_scales_to_its_picture(tmp_path: Path) -> None:
    _, outputs = fed(tmp_path, RT_DETR)
    assert outputs["corners"].tolist() == [[64, 48]]


def test_a_merged_decoder_takes_the_branch_without_a_past(tmp_path: Path) -> None:
    asked, outputs = fed(tmp_path, MERGED, s=40)
    assert outputs["logits"].shape == (1, 40, 2)
    assert outputs["present"].shape == (1, 1, 40, 2)
    assert asked.inputs["input_ids"].max() > 9  # the table is found from inside the graph


def test_a_voice_detector_hears_at_its_rate(tmp_path: Path) -> None:
    asked, outputs = fed(tmp_path, SILERO)
    assert outputs["output"].shape == (1, 512)
    assert (outputs["output"] == asked.inputs["input"]).all()
    assert not outputs["stateN"].any()


@pytest.mark.parametrize(
    ("nodes", "rows"),
    [
        ("y = Gather(table, x)", 130),
        ("one = Constant<value = int64[1] {1}>()\n  u = Unsqueeze(x, one)\n  y = Gather(table, u)", 130),
        ("y0 = Gather(table, x)\n  y1 = Gather(speakers, x)\n  y = Add(y0, y1)", 2),
        ("y = Gather<axis = 1>(columns, x)", None),
        ("two = Constant<value = int64 {2}>()\n  h = Mul(x, two)\n  y = Gather(table, h)", None),
        ("y = Cast<to = 1>(x)", None),
        ("t = Neg(table)\n  y = Gather(t, x)", None),  # computed: not a table that the file holds
    ],
)
def test_rows_are_read_from_the_file(tmp_path: Path, nodes: str, rows: int | None) -> None:
    text = f"g (int64[n] x) => (float[a, b] y) {{\n  {nodes}\n}}"
    asked, _ = fed(tmp_path, text, n=1)
    how = asked.invented["x"]
    assert (f"{rows} rows" in how.by) is (rows is not None), how.by
    assert how.explained is (rows is not None)


def test_rows_are_found_from_inside_a_branch(tmp_path: Path) -> None:
    text = """g (int64[n] x, bool[1] use_cache_branch) => (float[a, b] y) {
  narrow = Cast<to = 6>(x)
  y = If (use_cache_branch) <
    then_branch = g1 () => (float[c, d] p) { p = Gather(table, narrow) },
    else_branch = g2 () => (float[e, f] q) { q = Gather(table, narrow) }
  >
}"""
    asked, _ = fed(tmp_path, text, n=300)
    assert 100 < asked.inputs["x"].max() < 130
