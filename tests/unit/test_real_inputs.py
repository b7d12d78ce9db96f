"""A sample of real data as what a model is fed while it is timed: which rows, of which file, for which inputs."""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchharness.device.inputs.real_inputs import MOST_BYTES, Sample
from benchharness.device.inputs.requests import tensor_request
from benchharness.device.line.orders import Data, Workload
from benchharness.errors import SuiteError, Unsupported
from tests.unit.made_up import jobs_of, loaded
from tests.unit.test_invented import NEMO, Model

SOUND = np.arange(3 * 80 * 5, dtype=np.float32).reshape(3, 80, 5)
LENGTHS = np.array([5, 4, 3])
SUITE = """
[models.m.variants]
a = { artefact = "fp32.onnx" }
[[workloads]]
inputs = "real.npz"
sample = [0, 2]
[scenarios]
steady = {}
"""


def data_of(path: Path, sample: int = 0, **arrays: Any) -> Data:
    np.savez_compressed(path, **arrays)
    return named(path, sample)


def named(path: Path, sample: int = 0) -> Data:
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return {"path": str(path), "kind": "npz", "sha256": digest, "sample": sample}


@pytest.mark.parametrize("sample", [0, 1, 2])
def test_the_sample_asked_for_is_fed(tmp_path: Path, sample: int) -> None:
    read = Sample(data_of(tmp_path / "d.npz", sample, audio_signal=SOUND, length=LENGTHS, labels=np.zeros(3)))
    arrays, how = read.inputs(Model(NEMO), {}, {})
    assert (arrays["audio_signal"] == SOUND[sample : sample + 1]).all()
    assert arrays["length"].tolist() == [LENGTHS[sample]]
    assert how["pairing"] == [["audio_signal", "audio_signal", "name", True], ["length", "length", "name", True]]
    assert read.fact()["sample"] == sample
    assert read.fact()["of"] == 3


def test_a_transposed_array_is_read_right(tmp_path: Path) -> None:
    turned = np.asfortranarray(SOUND)
    assert turned.flags.f_contiguous
    read = Sample(data_of(tmp_path / "d.npz", 2, x=turned))
    assert (read.arrays["x"] == SOUND[2]).all()


def test_values_stand_beside_data_and_lengths_come_from_it(tmp_path: Path) -> None:
    read = Sample(data_of(tmp_path / "d.npz", audio_signal=SOUND))
    workload: Workload = {"dimensions": {}, "values": {"length": 4}, "seed": 0}
    arrays, _ = read.inputs(Model(NEMO), {}, workload["values"])
    asked = tensor_request(Model(NEMO), workload, real=arrays)
    assert asked.inputs["length"].tolist() == [4]
    assert asked.inputs["audio_signal"].shape == (1, 80, 5)
    assert (asked.invented, asked.shapes.assumed) == ({}, {"length_dynamic_axes_1": 1})


def test_arrays_that_are_not_the_models_inputs_are_refused_with_both_lists(tmp_path: Path) -> None:
    read = Sample(data_of(tmp_path / "d.npz", audio=SOUND, n=LENGTHS))
    with pytest.raises(Unsupported, match=r"(?s)audio_signal \(float32.*length \(int64.*audio \(float32.*n \(int64"):
        read.inputs(Model(NEMO), {}, {})
    arrays, _ = read.inputs(Model(NEMO), {"inputs": {"audio_signal": "audio", "length": "n"}}, {})
    assert arrays["length"].tolist() == [5]


def test_a_value_that_an_input_cannot_hold_is_refused(tmp_path: Path) -> None:
    read = Sample(data_of(tmp_path / "d.npz", x=np.full((1, 4), 300)))
    with pytest.raises(Unsupported, match="300"):
        read.inputs(Model({"x": ("int8", (1, 4))}), {}, {})


@pytest.mark.parametrize(
    ("arrays", "sample", "said"),
    [
        ({"x": np.zeros((3, 2))}, 3, "has 3 samples, counted from 0, and sample = 3"),
        ({"x": np.zeros((3, 2)), "y": np.zeros(2)}, 0, "x 3, y 2"),
        ({"x": np.zeros(())}, 0, "x 0"),
        ({}, 0, "there are: nothing"),
        ({"labels": np.zeros(3)}, 0, "labels 3"),
        ({"x": np.array([{}, {}], dtype=object)}, 0, "objects"),
    ],
)
def test_data_that_is_no_sample_is_refused(tmp_path: Path, arrays: Any, sample: int, said: str) -> None:
    with pytest.raises(Unsupported, match=said):
        Sample(data_of(tmp_path / "d.npz", sample, **arrays))


def test_a_file_that_is_another_now_is_refused(tmp_path: Path) -> None:
    data = data_of(tmp_path / "d.npz", x=SOUND)
    np.savez(tmp_path / "d.npz", x=SOUND + 1)
    with pytest.raises(Unsupported, match="has changed"):
        Sample(data)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"text"])
def test_a_file_that_is_no_npz_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "d.npz"
    path.write_bytes(content)
    with pytest.raises(Unsupported, match=r"not an \.npz file"):
        Sample(named(path))


def test_a_header_that_promises_more_than_a_sample_may_take_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "d.npz"
    header = str({"descr": "<f4", "fortran_order": False, "shape": (1, MOST_BYTES)}).encode() + b"\n"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.npy", b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header)
    with pytest.raises(Unsupported, match="at most"):
        Sample(named(path))


def test_each_sample_is_a_job_and_the_data_is_part_of_it(tmp_path: Path) -> None:
    np.savez(tmp_path / "real.npz", x=SOUND)
    suite = loaded(tmp_path, SUITE)
    assert [job.workload.name for job in jobs_of(suite)] == ["real.npz sample 0", "real.npz sample 2"]
    keys = [job.key for job in jobs_of(suite)]
    assert len(set(keys)) == 2
    told = jobs_of(suite)[1].workload.to_json()["data"]
    assert told == named(tmp_path / "real.npz", 2)
    assert jobs_of(suite)[0].workload.asks == "tensor"
    np.savez(tmp_path / "real.npz", x=SOUND + 1)
    assert not set(keys) & {job.key for job in jobs_of(suite)}


def test_what_the_suite_says_of_tensors_goes_with_the_data(tmp_path: Path) -> None:
    text = SUITE.replace("[models.m.variants]", '[models.m]\ninputs = { x = "y" }\n[models.m.variants]')
    np.savez(tmp_path / "real.npz", y=SOUND)
    assert jobs_of(loaded(tmp_path, text))[0].tensors == {"inputs": {"x": "y"}}


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("sample = [0, 2]", "dimensions = { n = 3 }", "leave out 'dimensions'"),
        ("sample = [0, 2]", "prompt = { tokens = 8 }", "not both"),
        ('inputs = "real.npz"', "", "name the .npz file"),
        ("real.npz", "real.txt", "holds no arrays"),
        ("real.npz", "gone.npz", "no such file"),
    ],
)
def test_what_makes_no_sense_with_data_is_refused(tmp_path: Path, old: str, new: str, said: str) -> None:
    np.savez(tmp_path / "real.npz", x=SOUND)
    (tmp_path / "real.txt").write_text("words")
    with pytest.raises(SuiteError, match=said):
        jobs_of(loaded(tmp_path, SUITE.replace(old, new)))
