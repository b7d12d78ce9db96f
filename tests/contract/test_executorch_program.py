"""What is read of `.pte` files without ExecuTorch: signature, operators, delegates, files; and of bad ones."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from benchharness.api import inspect
from benchharness.contract import Configuration, TensorSpec
from benchharness.errors import ModelFailure, Unsupported
from targets import executorch
from targets.executorch import ExecuTorch
from targets.pte_format.program import read_program
from targets.pte_format.signature import read_signature, why_no_language_model
from tests.contract.program_files import FLOAT32, INT64, Plan, Tensor, language_model, write


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write(tmp_path / "model.pte", language_model())


def test_a_language_model_is_told_by_what_its_exporter_writes(model: Path) -> None:
    told = ExecuTorch().inspect(model)
    assert (told.format, told.task) == ("executorch", "causal-lm")
    assert told.inputs[0] == TensorSpec("input0", "int64", (1, 31))
    assert told.operators == {
        "XnnpackBackend": {"delegate": 2},
        "CPU kernels": {"aten::embedding": 1, "aten::index_put": 1, "aten::copy_": 1},
    }
    (stored,) = told.parameters
    assert (stored.dtype, stored.tensors, stored.numbers, stored.bytes) == ("float32", 2, 408, 1632)
    assert (told.facts["vocabulary_size"], told.facts["context_length"], told.facts["longest_call"]) == (50, 32, 31)
    assert "get_vocab_size" in told.facts["methods"]


def test_inspecting_it_takes_the_adapter_whose_format_it_is(model: Path) -> None:
    """And not the first in the list, which opens such a file where it is named, and cannot look into it."""
    told = inspect(model)
    assert (told["adapter"], told["task"]) == ("executorch", "causal-lm")


def test_how_it_takes_tokens_is_read_from_its_shapes(tmp_path: Path) -> None:
    many = read_signature(read_program(write(tmp_path / "many.pte", language_model())))
    assert (many.longest, many.positions, many.all_logits) == (31, True, True)
    plans = language_model()
    plans["forward"] = replace(
        plans["forward"],
        inputs=[Tensor(INT64, [1, 1]), Tensor(INT64, [1])],
        outputs=[Tensor(FLOAT32, [1, 50])],
    )
    one = read_signature(read_program(write(tmp_path / "one.pte", plans)))
    assert (one.longest, one.positions, one.all_logits, one.context_length) == (1, False, False, 32)


_FORWARD = language_model()["forward"]


@pytest.mark.parametrize(
    ("plans", "reason"),
    [
        ({"forward": _FORWARD}, "no method get_vocab_size"),
        ({"step": _FORWARD, "get_vocab_size": Plan(outputs=[50])}, "no method forward"),
        (language_model(use_kv_cache=0), "without a key/value cache"),
        ({**language_model(), "forward": replace(_FORWARD, inputs=_FORWARD.inputs[:1])}, "without a key/value cache"),
        (
            {**language_model(), "forward": replace(_FORWARD, inputs=[*_FORWARD.inputs, *_FORWARD.inputs])},
            "takes 4 inputs",
        ),
        (
            {**language_model(), "forward": replace(_FORWARD, inputs=[Tensor(FLOAT32, [1, 31]), _FORWARD.inputs[1]])},
            r"takes float32 \(1, 31\) and int64",
        ),
        (
            {**language_model(), "forward": replace(_FORWARD, inputs=[Tensor(INT64, [2, 1]), _FORWARD.inputs[1]])},
            "one text at a time",
        ),
        (
            {**language_model(), "forward": replace(_FORWARD, inputs=[Tensor(INT64, [1, 16]), _FORWARD.inputs[1]])},
            "16 tokens at a time and no fewer",
        ),
    ],
)
def test_what_is_no_language_model_says_why(plans: dict[str, Plan], reason: str, tmp_path: Path) -> None:
    assert re.search(reason, why_no_language_model(read_program(write(tmp_path / "model.pte", plans))))


def test_the_files_of_a_program(model: Path, tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text("{}")
    assert ExecuTorch().files(tmp_path).files == ["model.pte", "tokenizer.json"]
    (tmp_path / "weights.ptd").write_bytes(b"x")
    found = ExecuTorch().files(model)
    assert list(found.files) == ["model.pte", "tokenizer.json", "weights.ptd"]
    assert ExecuTorch().inspect(model).external_files == {"weights.ptd": 1}
    (tmp_path / "more.ptd").write_bytes(b"y")
    with pytest.raises(ModelFailure, match=r"which of the \.ptd files beside it"):
        ExecuTorch().files(model)
    (tmp_path / "model.ptd").write_bytes(b"z")
    assert "model.ptd" in ExecuTorch().files(model).files


@pytest.mark.parametrize(
    "content", [b"", b"x" * 200, b"\x08\x00\x00\x00ET12", b"\x08\x00\x00\x00ET11" + bytes(64)], ids=range(4)
)
def test_bad_files_are_named(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "bad.pte"
    path.write_bytes(content)
    with pytest.raises(ModelFailure, match=r"bad\.pte"):
        ExecuTorch().inspect(path)


def test_half_a_file_or_a_wrong_byte_is_an_error_or_a_program(model: Path) -> None:
    content = model.read_bytes()
    for place in range(0, len(content), 3):
        for damaged in (content[:place], content[:place] + bytes([content[place] ^ 0x55]) + content[place + 1 :]):
            model.write_bytes(damaged)
            try:
                ExecuTorch().inspect(model)
            except ModelFailure:
                continue


def test_an_environment_without_it_says_how_to_get_it(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(executorch, "_missing", executorch._missing or "it wants an environment of its own")
    told = ExecuTorch().availability()
    assert not told.available
    assert "environment" in told.reason
    with pytest.raises(Unsupported, match="environment"), ExecuTorch().open(model, Configuration(runtime="executorch")):
        pass
