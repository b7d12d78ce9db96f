"""Ids of a `.tflite` model are below the rows of the table that they pick from, with and without a signature."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert.schema_py_generated import BuiltinOperator as Operators

from benchharness.contract import Configuration
from benchharness.device.inputs.requests import tensor_request
from targets.tflite import TFLite
from targets.tflite.session import TfliteSession
from tests.contract.tflite_models import ModelFile, options_of

ROWS, WIDTH, TOKENS = 57, 3, 400


def build(path: Path, *, signed: bool, stored: bool = True) -> Path:
    file = ModelFile()
    graph = file.graph("main")
    ids = graph.input("words", (1, TOKENS), "int32")
    table = graph.constant("table", np.arange(ROWS * WIDTH, dtype=np.float32).reshape(ROWS, WIDTH))
    if not stored:
        table = graph.add(Operators.NEG, [table], (ROWS, WIDTH), options=options_of("NegOptions"))
    picked = graph.add(Operators.GATHER, [table, ids], (1, TOKENS, WIDTH), options=options_of("GatherOptions"))
    if signed:
        graph.sign("serve", {"input_words": ids}, {"rows": picked})
    graph.made.outputs = [picked]
    return file.write(path)


@pytest.mark.parametrize("signed", [True, False])
def test_ids_are_of_the_whole_table(tmp_path: Path, signed: bool) -> None:
    with TFLite().open(build(tmp_path / "m.tflite", signed=signed), Configuration(runtime="tflite")) as session:
        assert isinstance(session, TfliteSession)
        asked = tensor_request(session, {"dimensions": {}, "values": {}, "seed": 0}, session.input_rows())
        (name,) = asked.inputs
        assert 50 < asked.inputs[name].max() < ROWS
        assert f"{ROWS} rows" in asked.invented[name].by
        (rows,) = session.run(asked.inputs).values()
        assert (rows[0, :, 0] == asked.inputs[name][0] * WIDTH).all()


def test_a_computed_table_tells_nothing(tmp_path: Path) -> None:
    path = build(tmp_path / "m.tflite", signed=True, stored=False)
    with TFLite().open(path, Configuration(runtime="tflite")) as session:
        assert isinstance(session, TfliteSession)
        assert session.input_rows() == {}
