"""The ecosystem's own tools, on real small models: every recipe, twice, and what is around them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from benchharness import api
from benchharness.compress import RECIPES, Compressed, compress
from benchharness.compress.calibration import sample_digest
from benchharness.compress.process import _ENVIRONMENT
from benchharness.errors import UsageError
from benchharness.suite.artefact import DigestCache, manifest_of
from benchharness.suite.tables import load_suite
from tests.conftest import ARTEFACTS, ROOT

pytest.importorskip("ai_edge_quantizer")

DIGITS = ROOT / "examples" / "digits"
SCRIPT = Path(__file__).with_name("every_recipe.py")


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Calibration pictures: scaled as the digit model was trained, and not those that its suite evaluates on."""
    path = tmp_path_factory.mktemp("data") / "pictures.npz"
    held_out = np.load(DIGITS / "heldout.npz")["images"]
    np.savez(path, image=(held_out[:40, np.newaxis] / 16).astype(np.float32))
    return path


@pytest.fixture(scope="session")
def core_ml(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Core ML program of two matrices, large enough that the tool takes them for weights."""
    folder = tmp_path_factory.mktemp("core_ml")
    code = f"""
import targets.core_ml  # which keeps coremltools from importing every framework
import coremltools as ct, numpy as np
from coremltools.converters.mil import Builder as mb
random = np.random.default_rng(0)
first, second = (random.normal(size=(64, 64)).astype(np.float32) for _ in range(2))
for name, target, opset in (("new", ct.target.iOS18, ct.target.iOS18), ("old", ct.target.iOS16, ct.target.iOS16)):
    @mb.program(input_specs=[mb.TensorSpec(shape=(1, 64))], opset_version=opset)
    def program(x):
        return mb.linear(x=mb.relu(x=mb.linear(x=x, weight=first)), weight=second, name="y")
    ct.convert(program, minimum_deployment_target=target, skip_model_load=True).save(f"{folder}/{{name}}.mlpackage")
"""
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, cwd=ROOT)
    return folder


def every_recipe(format_: str, model: Path, *data: Path) -> dict[str, str]:
    command = [sys.executable, str(SCRIPT), format_, str(model), *map(str, data)]
    environment = {**os.environ, **_ENVIRONMENT, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    made: dict[str, str] = json.loads(done.stdout)
    return made


def twice(format_: str, model: Path, *data: Path) -> dict[str, str]:
    """Digests by recipe of what was made; the same from two processes."""
    first, second = (every_recipe(format_, model, *data) for _ in range(2))
    assert first == second
    made = {name: digest for name, digest in first.items() if not digest.startswith("failed")}
    assert len(set(made.values())) == len(made), "two recipes that make the same are one"
    return first


def failures(made: dict[str, str]) -> dict[str, str]:
    return {name: told for name, told in made.items() if told.startswith("failed")}


def recipes_of(format_: str) -> set[str]:
    return {name for name, recipe in RECIPES.items() if recipe.format == format_}


def test_every_onnx_recipe_gives_the_same_bytes_again(pictures: Path) -> None:
    made = twice(".onnx", DIGITS / "artefacts" / "fp32.onnx", pictures)
    assert set(made) == recipes_of(".onnx")
    # The digit model has no MatMul; the language model below has, and takes no pictures.
    assert set(failures(made)) == {"onnx-int8-block32", "onnx-int4-block32"}
    assert "nothing to compress: no MatMul" in made["onnx-int4-block32"]


@pytest.mark.parametrize("graph", ["onnx-fp32", "onnx-gqa-fp32"])
def test_onnx_language_models_take_every_recipe(graph: str) -> None:
    assert failures(every_recipe(".onnx", ARTEFACTS / graph)) == {}


def test_every_tflite_recipe_gives_the_same_bytes_again(pictures: Path) -> None:
    made = twice(".tflite", DIGITS / "artefacts" / "fp32.tflite", pictures)
    assert set(made) == recipes_of(".tflite")
    assert failures(made) == {
        "tflite-int4-block32": "failed: Quantized dimension 24 in tensor shape (10, 24) is not divisible by block size "
        "32. Try tflite-int4-dynamic, which has no blocks"
    }


def test_tflite_language_models_take_every_recipe_without_data() -> None:
    assert failures(every_recipe(".tflite", ARTEFACTS / "tflite-fp32")) == {}


def test_every_core_ml_recipe_gives_the_same_bytes_again(core_ml: Path) -> None:
    made = twice(".mlpackage", core_ml / "new.mlpackage")
    assert set(made) == recipes_of(".mlpackage")
    assert failures(made) == {}


def test_a_core_ml_program_for_old_systems_takes_no_blocks(core_ml: Path, tmp_path: Path) -> None:
    (made,) = compress(core_ml / "old.mlpackage", ["int4"], out=tmp_path / "out")
    assert "convert it anew with minimum_deployment_target=coremltools.target.iOS18" in made.failure


def outcome(made: list[Compressed]) -> dict[str, str]:
    return {one.recipe: one.failure for one in made}


def read_record(one: Compressed) -> dict[str, Any]:
    assert one.path is not None, one.failure
    found: dict[str, Any] = json.loads((one.path.parent / "recipe.json").read_text())
    return found


def test_what_was_made_is_benchmarked_by_the_suite_beside_it(pictures: Path, tmp_path: Path, store_url: str) -> None:
    model, out = DIGITS / "artefacts" / "fp32.onnx", tmp_path / "out"
    made = compress(model, ["onnx-int8-static", "int4"], out=out, calibrate=pictures)
    static, blocks = made
    assert "nothing to compress" in blocks.failure
    assert 0 < static.bytes < static.source_bytes / 2
    record = read_record(static)
    assert (
        record["artefact"]["digest"] == manifest_of(out / "onnx-int8-static" / "model.onnx", DigestCache(None)).digest
    )
    images = np.load(pictures)["image"]
    assert record["calibration"]["samples"] == [sample_digest({"image": image}) for image in images]
    found = api.run(load_suite(out / "suite.toml"), attempts=1, scenarios=["steady"], store=store_url)
    assert [(result.job.variant, result.outcome.ok) for result in found.results] == [
        ("original", True),
        ("onnx-int8-static", True),
    ]


def test_text_calibrates_a_language_model_and_its_tokenizer_comes_along(tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    text.write_text((ARTEFACTS.parent / "heldout.txt").read_text()[:3000])
    (made,) = compress(ARTEFACTS / "onnx-fp32", ["onnx-int8-static"], out=tmp_path / "out", calibrate=text)
    calibration = read_record(made)["calibration"]
    assert calibration["count"] == len(calibration["samples"]) > 2
    assert len(calibration["lines"]) > 2
    assert made.path is not None
    assert {file.name for file in made.path.iterdir()} == {file.name for file in (ARTEFACTS / "onnx-fp32").iterdir()}


def test_weights_in_a_file_of_their_own_stay_in_one(tmp_path: Path) -> None:
    model = onnx.load(ARTEFACTS / "onnx-fp32" / "model.onnx")
    (tmp_path / "in").mkdir()
    onnx.save_model(model, tmp_path / "in" / "big.onnx", save_as_external_data=True, location="weights.bin")
    made = compress(tmp_path / "in" / "big.onnx", ["int8", "int4", "fp16"], out=tmp_path / "out")
    assert set(outcome(made).values()) == {""}
    for one in made:
        assert one.path is not None
        record = read_record(one)
        assert record["artefact"]["beside"] == ["model.onnx.data"]
        weights = one.path.with_name("model.onnx.data")
        assert one.bytes == one.path.stat().st_size + weights.stat().st_size
        assert weights.stat().st_mode & 0o777 == one.path.stat().st_mode & 0o777
    (tmp_path / "in" / "weights.bin").unlink()
    with pytest.raises(UsageError, match=r"weights outside it that are missing \(weights.bin\); copy the whole folder"):
        compress(tmp_path / "in" / "big.onnx", ["int8"], out=tmp_path / "out")


def test_weights_outside_the_models_folder_are_not_fetched(tmp_path: Path) -> None:
    model = onnx.load(ARTEFACTS / "onnx-fp32" / "model.onnx")
    onnx.external_data_helper.convert_model_to_external_data(model, location="weights.bin", size_threshold=0)
    for tensor in model.graph.initializer:
        del tensor.external_data[:]
        tensor.external_data.add(key="location", value="../../etc/passwd")
        tensor.ClearField("raw_data")
    (tmp_path / "model.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(UsageError, match="a model may only name files in its own folder"):
        compress(tmp_path / "model.onnx", ["int8"], out=tmp_path / "out")


def test_a_language_model_of_tflite_cannot_be_calibrated(pictures: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be calibrated: ranges for a language model's key/value cache differ"):
        compress(ARTEFACTS / "tflite-fp32", ["tflite-int8-static"], out=tmp_path / "out", calibrate=pictures)


def test_a_core_ml_package_in_a_folder_keeps_its_companions(core_ml: Path, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "net.mlpackage").symlink_to(core_ml / "new.mlpackage", target_is_directory=True)
    (folder / "labels.txt").write_text("zero\none\n")
    (made,) = compress(folder, ["int8"], out=tmp_path / "out")
    assert made.path is not None, made.failure
    assert {file.name for file in made.path.iterdir()} == {"net.mlpackage", "labels.txt"}
    assert made.bytes < made.source_bytes


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("cut.onnx", (DIGITS / "artefacts" / "fp32.onnx").read_bytes()[:20_000], "not a readable .onnx model"),
        ("head.tflite", b"aaaaTFL3" + bytes(range(256)) * 8, "LiteRT does not load it"),
    ],
)
def test_a_model_that_cannot_be_read_is_told(tmp_path: Path, name: str, content: bytes, words: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UsageError, match=words):
        compress(tmp_path / name, ["int8"], out=tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_a_model_that_is_quantized_already_is_told(tmp_path: Path) -> None:
    made = compress(DIGITS / "artefacts" / "int8.tflite", ["int8"], out=tmp_path / "out")
    assert "nothing to compress" in outcome(made)["tflite-int8-dynamic"]


def test_calibration_that_does_not_fit_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    with pytest.raises(
        UsageError, match=r"images: is uint8 of shape .*; the model takes image \(float32, batch × 1 × 8 × 8\)"
    ):
        compress(
            DIGITS / "artefacts" / "fp32.onnx",
            ["onnx-int8-static"],
            out=tmp_path / "out",
            calibrate=DIGITS / "heldout.npz",
        )
