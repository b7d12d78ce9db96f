"""Smaller variants of a GGUF model: what is made, what is copied, what is refused."""

from __future__ import annotations

import hashlib
import json
import stat
import subprocess
import sys
from pathlib import Path

import gguf
import numpy as np
import psutil
import pytest

from benchharness.compress import RECIPES, compress, gguf_tools
from benchharness.compress.programs import identity
from benchharness.errors import ModelFailure, Unsupported, UsageError
from tests.contract.gguf_models import float_model
from tests.integration.awkward_run import wait_until
from tests.integration.test_compress import failures, recipes_of, twice

K_QUANT = "gguf-q4_k_m"


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return float_model(tmp_path_factory.mktemp("gguf"))


def test_every_recipe_gives_the_same_bytes_again(model: Path) -> None:
    made = twice(".gguf", model)
    assert set(made) == recipes_of(".gguf")
    assert set(failures(made)) == {K_QUANT}
    assert "llama-quantize is not on the PATH" in made[K_QUANT]


@pytest.mark.parametrize(("recipe", "kind", "within"), [("gguf-q8_0", "Q8_0", 0.01), ("gguf-q4_0", "Q4_0", 0.2)])
def test_matrices_are_rounded_and_all_else_is_kept(
    model: Path, tmp_path: Path, recipe: str, kind: str, within: float
) -> None:
    (made,) = compress(model, [recipe], out=tmp_path / "out")
    assert made.path is not None, made.failure
    before, after = gguf.GGUFReader(model), gguf.GGUFReader(made.path)
    rounded = {"general.file_type", "general.quantization_version"}
    metadata = [
        {name: field.contents() for name, field in reader.fields.items() if not name.startswith("GGUF.")}
        for reader in (before, after)
    ]
    assert {name for name in metadata[1] if metadata[0].get(name) != metadata[1][name]} == rounded
    for old, new in zip(before.tensors, after.tensors, strict=True):
        assert old.name == new.name
        values = gguf.quants.dequantize(new.data, new.tensor_type)
        assert new.tensor_type.name == (kind if old.data.ndim == 2 else "F32")
        assert np.abs(values - old.data).max() <= within * np.abs(old.data).max()


def test_what_is_quantized_already_is_refused(model: Path, tmp_path: Path) -> None:
    (made,) = compress(model, ["gguf-q8_0"], out=tmp_path / "out")
    assert made.path is not None
    with pytest.raises(Unsupported, match=r"is quantized already \(q8_0\), and quantizing it again loses twice"):
        gguf_tools.look(made.path)


def test_rows_that_fit_no_block_stay_floats_and_are_told(tmp_path: Path) -> None:
    path = tmp_path / "odd.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_tensor("fits.weight", np.ones((4, 64), np.float32))
    writer.add_tensor("odd.weight", np.ones((4, 48), np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    found = gguf_tools.look(path)
    notes = gguf_tools.compress(found, RECIPES["gguf-q4_0"], tmp_path / "made.gguf", tmp_path, None)
    assert notes == ["1 matrices stay floats: their rows are no multiples of 32 (odd.weight)"]


def test_tensors_lie_where_a_models_own_alignment_says(tmp_path: Path) -> None:
    path, made = tmp_path / "wide.gguf", tmp_path / "made.gguf"
    values = np.linspace(-1, 1, 4 * 96, dtype=np.float32).reshape(4, 96)
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_custom_alignment(256)
    for name in ("first.weight", "second.weight"):
        writer.add_tensor(name, values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    gguf_tools.compress(gguf_tools.look(path), RECIPES["gguf-q8_0"], made, tmp_path, None)
    reader = gguf.GGUFReader(made)
    assert reader.fields["general.alignment"].contents() == 256
    for tensor in reader.tensors:
        assert tensor.data_offset % 256 == 0
        assert np.abs(gguf.quants.dequantize(tensor.data, tensor.tensor_type) - values).max() < 0.01


def program(folder: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A `llama-quantize` of our own, alone on the PATH beside the system's."""
    path = folder / "llama-quantize"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")


def test_the_program_that_made_a_k_quant_is_part_of_what_it_was_made_from(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for version, words in (("1234 (0a1b2c3)", "version: "), ("1235 (0a1b2c4)", "main: build = ")):
        program(tmp_path, f'test "$1" = --version && echo "{words}{version}" >&2 && exit; cp "$1" "$2"', monkeypatch)
        (made,) = compress(model, [K_QUANT], out=tmp_path / version[:4])
        assert made.path is not None, made.failure
        record = json.loads((made.path.parent / "recipe.json").read_text())
        digest = hashlib.sha256((tmp_path / "llama-quantize").read_bytes()).hexdigest()
        assert record["versions"]["llama-quantize"] == f"{version}, sha256 {digest}"
    with pytest.raises(UsageError, match=r"from other versions \(llama-quantize 1234 .*, now 1235 "):
        compress(model, [K_QUANT], out=tmp_path / "1234")
    program(tmp_path, 'cp "$1" "$2"', monkeypatch)
    assert identity("llama-quantize").startswith("of a version that it does not tell, sha256 ")


def test_words_of_the_program_that_are_no_text_are_told_all_the_same(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(tmp_path, r"printf 'bad \377 name'; exit 3", monkeypatch)
    with pytest.raises(ModelFailure, match="ended with 3: bad \ufffd name"):
        gguf_tools.compress(gguf_tools.look(model), RECIPES[K_QUANT], tmp_path / "made.gguf", tmp_path, None)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux alone ends a child with its parent")
def test_the_program_ends_with_the_process_that_started_it(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(tmp_path, f"echo $$ > {tmp_path}/new && mv {tmp_path}/new {tmp_path}/pid; exec sleep 60", monkeypatch)
    code = (
        "import sys; from pathlib import Path; from benchharness.compress import RECIPES, gguf_tools as tools\n"
        f"tools.compress(tools.look(Path(sys.argv[1])), RECIPES['{K_QUANT}'], Path(sys.argv[2]), Path('.'), None)"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(model), str(tmp_path / "made.gguf")]) as starter:
        wait_until((tmp_path / "pid").is_file)
        started = psutil.Process(int((tmp_path / "pid").read_text()))
        starter.kill()
    assert not psutil.wait_procs([started], timeout=120)[1]


def test_k_quants_are_llama_quantizes(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It stands in for the real one, which is no package: the arguments, and what it says of rows that do not fit."""
    program(
        tmp_path, 'cp "$1" "$2"; echo "$3 $4 WARNING: 4 of 30 tensor(s) required fallback quantization"', monkeypatch
    )
    notes = gguf_tools.compress(gguf_tools.look(model), RECIPES[K_QUANT], tmp_path / "made.gguf", tmp_path, None)
    assert notes == ["llama-quantize says: Q4_K_M 1 WARNING: 4 of 30 tensor(s) required fallback quantization"]
    program(tmp_path, "echo no such architecture; exit 3", monkeypatch)
    with pytest.raises(ModelFailure, match="llama-quantize ended with 3: no such architecture"):
        gguf_tools.compress(gguf_tools.look(model), RECIPES[K_QUANT], tmp_path / "other.gguf", tmp_path, None)
