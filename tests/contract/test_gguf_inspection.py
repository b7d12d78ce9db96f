"""What a GGUF file says of itself, and files that lie."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchharness.errors import ModelFailure, Unsupported
from targets.gguf_format.contents import TYPES, read_files
from targets.llama_cpp import LlamaCpp


def written(path: Path, add: Callable[[Any], None], architecture: str = "llama") -> Path:
    writer = gguf.GGUFWriter(path, architecture)
    add(writer)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def two_tensors(writer: Any) -> None:
    writer.add_block_count(3)
    writer.add_context_length(77)
    writer.add_token_list(["a", "b", "c"])
    writer.add_float32("odd.number", float("nan"))
    writer.add_tensor("token_embd.weight", np.zeros((3, 64), np.float32))
    values = gguf.quants.quantize(np.ones((5, 64), np.float32), gguf.GGMLQuantizationType.Q4_1)
    writer.add_tensor("output.weight", values, raw_dtype=gguf.GGMLQuantizationType.Q4_1)


def test_types_are_those_of_the_gguf_package() -> None:
    known = {kind.value: gguf.GGML_QUANT_SIZES[kind] for kind in gguf.GGMLQuantizationType}
    assert {kind: (block, size) for kind, (_, block, size) in TYPES.items()}.items() <= known.items()


def test_a_file_is_described_as_it_was_written(tmp_path: Path) -> None:
    described = LlamaCpp().inspect(written(tmp_path / "two.gguf", two_tensors))
    facts = described.facts
    assert (facts["layers"], facts["context_length"], facts["vocabulary_size"]) == (3, 77, 3)
    stored = {each.dtype: (each.tensors, each.numbers, each.bytes) for each in described.parameters}
    assert stored == {"float32": (1, 192, 768), "q4_1": (1, 320, 200)}
    (scheme,) = described.quantization
    assert (scheme.dtype, scheme.granularity, scheme.symmetric) == ("q4_1", "blocks of 32", False)
    json.dumps(dict(facts), allow_nan=False)


@pytest.mark.parametrize(
    ("add", "architecture", "told"),
    [
        (lambda writer: writer.add_type("adapter"), "llama", "of type 'adapter', not a whole model"),
        (lambda writer: writer.add_causal_attention(False), "bert", "looks ahead in its architecture, 'bert'"),
    ],
)
def test_what_is_no_language_model_says_so(
    tmp_path: Path, add: Callable[[Any], None], architecture: str, told: str
) -> None:
    def content(writer: Any) -> None:
        two_tensors(writer)
        add(writer)

    described = LlamaCpp().inspect(written(tmp_path / "other.gguf", content, architecture))
    assert described.task == "tensor"
    assert told in described.facts["no_language_model"]


def parts(folder: Path, numbers: Sequence[int], of: int = 3) -> list[Path]:
    return [written(folder / f"big-{number:05}-of-{of:05}.gguf", two_tensors) for number in numbers]


def test_a_split_model_is_all_of_its_parts(tmp_path: Path) -> None:
    parts(tmp_path, [1, 2, 3])
    (tmp_path / "mmproj-big.gguf").write_bytes(b"another model's eyes")
    listed = LlamaCpp().files(tmp_path)
    assert listed.model == "big-00001-of-00003.gguf"
    assert [name for name in listed.files if name.startswith("big-")] == sorted(listed.files)
    assert len(listed.files) == 3
    described = LlamaCpp().inspect(tmp_path)
    assert sum(each.tensors for each in described.parameters) == 6
    assert len(described.external_files) == 2


def test_a_part_that_is_missing_or_not_the_first_is_named(tmp_path: Path) -> None:
    first, third = parts(tmp_path, [1, 3])
    with pytest.raises(ModelFailure, match=r"big-00002-of-00003\.gguf: no such file"):
        LlamaCpp().files(first)
    with pytest.raises(ModelFailure, match="is part 3 of 3; name the first part"):
        LlamaCpp().files(third)


def test_several_models_in_a_folder_are_named(tmp_path: Path) -> None:
    for name in ("a.gguf", "b.gguf"):
        written(tmp_path / name, two_tensors)
    with pytest.raises(ModelFailure, match=r"several models \(a.gguf, b.gguf\)"):
        LlamaCpp().files(tmp_path)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return written(tmp_path_factory.mktemp("whole") / "two.gguf", two_tensors).read_bytes()


def test_every_shortened_file_is_an_error(whole: bytes, tmp_path: Path) -> None:
    path = tmp_path / "short.gguf"
    last = len(whole.rstrip(b"\0")) - 1  # zeros may pad the end
    for length in range(1, last, 7):
        path.write_bytes(whole[:length])
        with pytest.raises(ModelFailure, match=r"short\.gguf"):
            read_files([path])


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(at=st.integers(4, 400), value=st.binary(min_size=1, max_size=8))
def test_whatever_stands_in_a_file_is_read_or_refused(whole: bytes, at: int, value: bytes) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "changed.gguf"
        path.write_bytes(whole[:at] + value + whole[at + len(value) :])
        try:
            described = LlamaCpp().inspect(path)
        except (ModelFailure, Unsupported):
            return
        json.dumps(dict(described.facts), allow_nan=False)
        assert all(isinstance(count, int) for kinds in described.operators.values() for count in kinds.values())


@pytest.mark.parametrize("length", [2**63, 2**64 - 1])
def test_an_array_longer_than_the_file_is_refused_at_once(tmp_path: Path, length: int) -> None:
    path = tmp_path / "long.gguf"
    entry = struct.pack("<Q", 3) + b"key" + struct.pack("<IIQ", 9, 8, length)
    path.write_bytes(b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + entry + bytes(64))
    with pytest.raises(ModelFailure, match=r"long\.gguf"):
        read_files([path])
