"""What a variant was calibrated on, by the record beside it, against what it is evaluated on."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from benchharness.compress.calibration import describe
from benchharness.errors import SuiteError
from benchharness.suite.data_files import data_file, shared_with
from benchharness.suite.materials import evaluation_data
from benchharness.suite.tables import Suite, check_suite

PICTURES = np.arange(6 * 4, dtype=np.float32).reshape(6, 1, 4)
LINES = [f"the line number {number} of a longer text" for number in range(6)]


@pytest.fixture
def artefact(tmp_path: Path) -> Path:
    path = tmp_path / "onnx-int8-static" / "model.onnx"
    path.parent.mkdir()
    path.write_bytes(b"model")
    return path


def calibrated(artefact: Path, count: int, *, lines: bool = False) -> None:
    """Writes the record that `benchharness compress` writes: the last `count` samples or lines."""
    samples = [{"image": PICTURES[number : number + 1]} for number in range(6)][6 - count :]
    told = describe([] if lines else samples, LINES[6 - count :] if lines else ())
    (artefact.parent / "recipe.json").write_text(json.dumps({"schema": 1, "calibration": told}))


def suite(artefact: Path, data: Path, **model: object) -> Suite:
    table = {
        "name": "calibrated",
        "models": {"m": {"evaluation": data, "variants": {"static": {"artefact": artefact}}, **model}},
        "scenarios": {"quality": {}},
    }
    return check_suite(table, where="test")


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    np.savez(tmp_path / "heldout.npz", picture=PICTURES, labels=np.arange(6))
    return tmp_path / "heldout.npz"


@pytest.fixture
def text(tmp_path: Path) -> Path:
    (tmp_path / "heldout.txt").write_text("\n".join(f"  {line}" for line in LINES))
    return tmp_path / "heldout.txt"


def test_samples_are_found_again_whatever_the_input_is_called(artefact: Path, pictures: Path) -> None:
    calibrated(artefact, 2)
    assert shared_with(data_file(pictures), artefact) == 2


def test_lines_are_found_again_whatever_blanks_are_around_them(artefact: Path, text: Path) -> None:
    calibrated(artefact, 3, lines=True)
    assert shared_with(data_file(text), artefact) == 3


def test_a_suite_that_evaluates_on_them_is_refused(artefact: Path, pictures: Path) -> None:
    calibrated(artefact, 2)
    told = r"models.m: 2 samples of heldout.npz calibrated variants.static, as recipe.json beside it says"
    with pytest.raises(SuiteError, match=told):
        evaluation_data(suite(artefact, pictures))


def test_where_that_is_allowed_it_is_counted(artefact: Path, pictures: Path) -> None:
    calibrated(artefact, 2)
    (found,) = evaluation_data(suite(artefact, pictures, allow_overlap=True)).values()
    assert found.shared_samples == 2


@pytest.mark.parametrize(
    "record", [None, "", "{", "[1]", '{"calibration": null}', '{"calibration": 3}', '{"calibration": {"samples": 3}}']
)
def test_no_record_or_a_strange_one_says_nothing(artefact: Path, pictures: Path, record: str | None) -> None:
    if record is not None:
        (artefact.parent / "recipe.json").write_text(record)
    (found,) = evaluation_data(suite(artefact, pictures)).values()
    assert found.shared_samples == 0
