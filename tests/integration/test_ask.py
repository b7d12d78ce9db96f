"""One-shot questions: they answer alike for this machine and for a device far away, with a line that drops."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from benchharness import api
from benchharness.errors import LaunchError, ModelFailure
from benchharness.execute.looks import describe_hardware, inspect_model
from benchharness.launch import ask
from benchharness.launch.local import LocalLauncher
from tests.awkward_launcher import AwkwardLauncher
from tests.contract.tiny_models import build_image_model
from tests.integration.conftest import ADAPTERS


@pytest.fixture
def far(tmp_path: Path) -> AwkwardLauncher:
    return AwkwardLauncher(tmp_path / "device", ADAPTERS)


def test_adapters_answer_for_a_device_far_away(far: AwkwardLauncher, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchharness.device.adapters.names", lambda: ["onnxruntime", "awkward"])
    onnxruntime, awkward = ask.availabilities(far)
    assert onnxruntime.available
    assert "CPUExecutionProvider" in onnxruntime.accelerators
    assert (awkward.version, awkward.accelerators) == ("1.0", ("mood",))  # installed there, and not here
    assert [question.arguments for question in far.questions] == [("onnxruntime",), ("awkward",)]
    assert not next(each for each in api.adapters() if each.name == "awkward").available


def test_a_model_is_read_where_the_device_is(far: AwkwardLauncher, tmp_path: Path) -> None:
    path = build_image_model(tmp_path / "image.onnx")
    here, there = api.inspect(path), inspect_model(path, launcher=far)
    assert there == here
    (question,) = far.questions
    assert Path(question.arguments[1]).is_relative_to(tmp_path / "device" / "files")


def test_hardware_is_described_by_the_device(far: AwkwardLauncher, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchharness.device.adapters.names", lambda: ["awkward"])
    found = describe_hardware(0, far)
    assert found["accelerators"] == {"awkward": ["mood"]}
    assert found["facts"]["device"]


def test_files_are_listed_by_the_device(far: AwkwardLauncher, tmp_path: Path) -> None:
    path = build_image_model(tmp_path / "device" / "image.onnx")
    (answer,) = ask.files_of_artefacts(far, [(path, ["onnxruntime"])])
    assert answer["files"]["files"] == ["image.onnx"]


def test_an_answer_that_gets_lost_is_asked_for_again(tmp_path: Path) -> None:
    far = AwkwardLauncher(tmp_path / "device", ADAPTERS, drop_after=0, drops=2)
    assert ask.description_of_device(far, 0)["facts"]["device"]
    assert len(far.questions) == 3


def test_a_line_that_never_holds_ends_in_words(tmp_path: Path) -> None:
    far = AwkwardLauncher(tmp_path / "device", ADAPTERS, drop_after=0, drops=1000)
    with pytest.raises(LaunchError, match="broke 3 times: the cable was pulled"):
        ask.description_of_device(far, 0)


def test_another_interpreter_answers_out_of_the_bundle(tmp_path: Path) -> None:
    found: dict[str, Any] = ask.description_of_device(LocalLauncher(tmp_path, python=sys.executable), 0)
    assert found["facts"]["device"]
    assert list(tmp_path.glob("device-*.pyz"))


def test_an_interpreter_that_is_none_is_an_error_in_words(tmp_path: Path) -> None:
    with pytest.raises(LaunchError, match="cannot be started"):
        ask.description_of_device(LocalLauncher(tmp_path, python=str(tmp_path / "gone")), 0)


def test_a_damaged_model_ends_its_reader_and_nothing_else(far: AwkwardLauncher, tmp_path: Path) -> None:
    (tmp_path / "bad.onnx").write_bytes(b"no model")
    with pytest.raises(ModelFailure):
        inspect_model(tmp_path / "bad.onnx", launcher=far)
