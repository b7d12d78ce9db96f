"""Core ML on a connected iPhone: coremltools' own classes in full, over stand-ins for Xcode's programs and a phone.

No phone was at hand, and none of this was run on one: what is tried is that coremltools is asked as it wants to be
asked, that what it says is read as it means it, and that nothing of the Mac's is taken for the phone's.
"""

from __future__ import annotations

import asyncio
import importlib
import inspect
import json
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from benchharness.contract import (
    EXECUTION_REFERENCE,
    Configuration,
    MeasuresItself,
    OwnRequest,
    ReportsPlacement,
)
from benchharness.contract.connected import CONNECTED_DEVICE
from benchharness.device import adapters, conditions
from benchharness.device.questions import describe_device
from benchharness.errors import AttemptError, InvalidOutput, ModelFailure, Unsupported

pytest.importorskip("coremltools", reason="coremltools is not installed")

from coremltools.models.compute_plan import (
    MLModelStructure,
    MLModelStructureProgramNamedValueType,
)
from coremltools.models.ml_program.experimental import (
    async_wrapper,
    compute_plan_utils,
    perf_utils,
    remote_device,
)
from coremltools.models.ml_program.experimental.model_structure_path import (
    map_model_structure_to_path,
)

from targets.core_ml.description import describe
from targets.core_ml_remote import CoreMLRemote, RemoteSession
from tests.contract import core_ml_stand_in as stand_in
from tests.contract.core_ml_phone import LISTED, UDID, Phone
from tests.contract.test_core_ml_pictures import model

pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="Xcode's programs are stood in for by scripts"),
    pytest.mark.filterwarnings("default"),  # coremltools' own
]

DIGITS = Path(__file__).parent.parent.parent / "examples/digits/artefacts/fp16.mlpackage"
STATEFUL = Path(__file__).parent.parent / "golden/core_ml/tiny-one-token.mlpackage"
REQUEST = OwnRequest(repeats=3, prompt_tokens=0, output_tokens=0, context_depth=0)
STEADY = ("steady_inference", "inference_rate")


@pytest.fixture
def phone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Phone]:
    stand_in.install(monkeypatch, tmp_path / "home")
    monkeypatch.setattr(stand_in.Plan, "__init__", lambda self, *_: None)  # a remote plan's has no arguments
    monkeypatch.setattr(async_wrapper, "compile_model", _compiled)
    importlib.reload(compute_plan_utils)  # its classes are made of the extension's, when it is imported
    monkeypatch.setattr(remote_device._ModelRunnerAppBuilder, "_get_project_path", lambda: _project(tmp_path))
    made = Phone(tmp_path / "phone", {each.name: (_fixed(each.shape), "Float32") for each in describe(DIGITS).outputs})
    monkeypatch.setattr(remote_device, "_subprocess", made)
    monkeypatch.setattr(asyncio, "sleep", _soon)
    (tmp_path / "bin").mkdir()
    for name in ("xcrun", "devicectl", "xcodebuild"):
        (tmp_path / "bin" / name).write_text(f'#!/bin/sh\nfor last; do :; done\ncat {tmp_path}/listed > "$last"\n')
        (tmp_path / "bin" / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv(CONNECTED_DEVICE, UDID)
    yield made
    monkeypatch.undo()
    importlib.reload(compute_plan_utils)


_SLEEP = asyncio.sleep


async def _soon(delay: float, *_: Any) -> None:
    """coremltools waits a second for the end of a line that shows how far it is."""
    await _SLEEP(min(delay, 0.005))


def _fixed(shape: Sequence[int | None]) -> tuple[int, ...]:
    return tuple(length or 1 for length in shape)


def _project(folder: Path) -> Path:
    (folder / "modelrunner/ModelRunner.xcworkspace").mkdir(parents=True, exist_ok=True)
    return folder / "modelrunner"


def _compiled(model: str, destination_path: str) -> str:
    stand_in.compile_to_temporary(Path(model)).rename(destination_path)
    return destination_path


def opened(path: Path = DIGITS, **fields: Any) -> Any:
    return CoreMLRemote().open(path, Configuration(runtime="coreml-remote", **fields))


def refused(path: Path = DIGITS, **fields: Any) -> str:
    with pytest.raises(AttemptError) as error, opened(path, **fields):
        pytest.fail("it was opened")
    return str(error.value)


def test_times_are_the_phones_own(phone: Phone) -> None:
    with opened() as session:
        assert isinstance(session, RemoteSession)
        assert isinstance(session, MeasuresItself)
        assert isinstance(session, ReportsPlacement)
        assert session.effective.facts["load_on_device_ns"] == 41_000_000
        report = session.measure(REQUEST, STEADY)
        (steady,) = report.figures
        assert (steady.metric, steady.value) == ("steady_inference", 1_100_000)
        assert list(steady.samples) == [1_000_000, 1_200_000, 1_100_000]
        assert "seconds apart" in report.unknown["inference_rate"]
        assert sum(steady.samples) < report.took_ns
        assert session.effective.facts["predictions"] == 4
    assert session.effective.runtime_version.endswith("on iphone 18.1.1 (22B91)")
    assert session.effective.execution == EXECUTION_REFERENCE, "what a stand-in does is no measurement of a phone"


def test_the_first_inference_is_the_first_after_the_load(phone: Phone) -> None:
    with opened() as session:
        (first,) = session.measure(REQUEST, ("model_ttft", "first_inference")).figures
    assert (first.metric, first.value, list(first.samples)) == ("first_inference", 3_000_000, [3_000_000])


def test_the_request_reaches_the_phone_and_nothing_stays_behind(
    phone: Phone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    team = {"development_team": "A1B2C3D4E5", "optimization_hints": {"specializationStrategy": "FastPrediction"}}
    awkward = tmp_path / "it's; $(touch ran) a model.mlpackage"
    awkward.symlink_to(DIGITS)
    with opened(awkward, accelerator="CPU_AND_NE", options=team) as session:
        assert phone.runs == 1
        session.measure(REQUEST, ("first_inference",))
    load = phone.messages[0]["params"]
    assert load["computeUnits"] == "CPU_AND_NE"
    assert load["optimizationHints"] == {"specializationStrategy": "FastPrediction"}
    assert [each["method"].partition(".")[2] for each in phone.messages] == ["Load", "Prediction", "Unload"]
    build = next(each for each in phone.asked if each[0] == "xcodebuild")
    assert "DEVELOPMENT_TEAM=A1B2C3D4E5" in build
    assert f"platform=iOS,id={UDID}" in build
    assert phone.runs == 0
    assert not list((tmp_path / "temporary").iterdir())
    kept = tmp_path / "home/Library/Caches/benchharness/core_ml_remote"
    assert [each.name for each in kept.iterdir()] == [UDID]
    with opened(accelerator="CPU_AND_NE"):
        pass
    assert [each[0] for each in phone.asked].count("xcodebuild") == 1, "the model runner is kept"


def test_operators_stand_where_the_phones_plan_says(phone: Phone, monkeypatch: pytest.MonkeyPatch) -> None:
    """As coremltools finds them: by the names of their outputs, which the stand-in's structure has not."""

    def structure(compiled: Path) -> MLModelStructure:
        found = without_names(compiled)
        for number, operation in enumerate(stand_in._operations(found)):
            operation.outputs.append(MLModelStructureProgramNamedValueType(f"value_{number}", None))
        return found

    without_names = stand_in.structure
    monkeypatch.setattr(stand_in, "structure", structure)
    computing = [
        path
        for operation, path in map_model_structure_to_path(structure(stand_in.compile_to_temporary(DIGITS)), [])
        if operation.operator_name != "const"
    ]
    places = [{"neuralEngine": {"totalCoreCount": 16}}, *[{"cpu": {}}] * (len(computing) - 1)]
    phone.plan = [
        {"deviceUsage": {"preferred": place, "supported": [place]}, "estimatedCost": 0.5, "path": path.to_dict()}
        for place, path in zip(places, computing, strict=True)
    ]
    with opened() as session:
        placed = session.placement()
    assert {place: sum(each.values()) for place, each in placed.items()} == {
        "NeuralEngine": 1,
        "CPU": len(computing) - 1,
    }
    assert len(computing) > 2
    assert session.effective.accelerators == ("ALL", "NeuralEngine", "GPU", "CPU")


def test_a_phone_that_tells_no_plan_is_believed_nothing(phone: Phone) -> None:
    with opened() as session, pytest.raises(Unsupported, match="names no device"):
        session.placement()


@pytest.mark.parametrize(
    ("method", "kind", "words"),
    [
        ("Load", ModelFailure, "cannot be loaded on .* with ALL: .*Error Code -32000.*no room"),
        ("Prediction", ModelFailure, "failed while running: .*no room"),
    ],
)
def test_what_the_phone_says_of_a_failure_is_told(
    phone: Phone, method: str, kind: type[AttemptError], words: str
) -> None:
    phone.fails = {method: "no room"}
    with pytest.raises(kind, match=words), opened() as session:
        session.measure(REQUEST, STEADY)


@pytest.mark.parametrize("told", [0, -5, None, "soon", True, 1e300, float("nan")])
def test_a_time_that_cannot_be_is_refused(phone: Phone, told: Any) -> None:
    phone.predictions_ns = [told] * 5
    with opened() as session, pytest.raises(InvalidOutput, match="a prediction took"):
        session.measure(REQUEST, STEADY)
    phone.load_ns = told
    with pytest.raises(InvalidOutput, match="the load took"), opened():
        pass


def test_an_answer_that_is_none_is_refused(phone: Phone) -> None:
    phone.value = float("nan")
    with opened() as session, pytest.raises(InvalidOutput, match="holds NaN"):
        session.measure(REQUEST, STEADY)
    phone.value, phone.outputs = 0.5, {"other": ((1,), "Float32")}
    with opened() as session, pytest.raises(InvalidOutput, match="gives no output"):
        session.measure(REQUEST, STEADY)


def test_what_cannot_be_measured_so_is_refused_before_anything_is_built(
    phone: Phone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "hands none to a model on a device" in refused(STATEFUL)
    assert "coremltools hands a device arrays of" in refused(
        model(tmp_path)
    )  # its own benchmarker fails: coremltools#2678
    assert "leave it out" in refused(threads=2)
    assert "computes on this machine" in refused(accelerator="reference")
    assert "did you mean 'CPU_AND_NE'" in refused(accelerator="CPU_AND_NP")
    assert "goes into a shell" in refused(options={"development_team": "X; rm -rf ~"})
    assert "goes into a shell" in refused(options={"bundle_identifier": "com.x$(id)"})
    assert "compiled each time" in refused(options={"compile_cache": "cold"})
    assert "cannot hand it" in refused(options={"optimization_hints": {"allowLowPrecisionAccumulationOnGPU": True}})
    monkeypatch.setenv("HOME", "/tmp/a b")
    assert "more than plain characters" in refused()
    assert phone.asked == []


def test_a_device_that_is_not_ready_is_told_with_what_helps(phone: Phone, monkeypatch: pytest.MonkeyPatch) -> None:
    phone.lists(tunnelState="disconnected")
    assert "is not connected to it (disconnected): unlock it" in refused()
    phone.lists(developerModeStatus="disabled")
    assert "turn it on under Privacy & Security" in refused()
    phone.devices = []
    assert "connect it by cable" in refused()
    # As devicectl lists what has iOS 16 and earlier: https://github.com/sweetpad-dev/sweetpad/pull/224
    phone.devices = [{"hardwareProperties": {}}]
    assert "needs iOS or iPadOS 17 or later" in refused()
    monkeypatch.delenv(CONNECTED_DEVICE)
    assert "benchharness device add coreml://" in refused()
    monkeypatch.setenv("PATH", "/nowhere")
    assert "needs Xcode 15 or later" in refused()
    monkeypatch.undo()
    assert "through a Mac with Xcode" in CoreMLRemote().availability().reason


# What coremltools must go on to have: it is experimental, and says so.


def test_coremltools_is_asked_as_it_wants_to_be_asked() -> None:
    def names(function: Any) -> list[str]:
        return list(inspect.signature(function).parameters)

    assert [each.name for each in inspect.signature(remote_device.AppSigningCredentials).parameters.values()] == [
        "development_team",
        "provisioning_profile_uuid",
        "bundle_identifier",
    ]
    assert names(remote_device.Device.get_devices) == []
    assert names(remote_device.Device.prepare_for_model_debugging) == [
        "self",
        "credentials",
        "working_directory",
        "clean",
    ]
    assert {"name", "type", "udid", "os_version", "os_build_number", "developer_mode_state", "state", "session"} <= set(
        remote_device.Device.__dataclass_fields__
    )
    assert [each.value for each in remote_device.DeviceState][:2] == ["connecting", "connected"]
    assert names(async_wrapper.MLModelAsyncWrapper.from_spec_or_path) == [
        "spec_or_path",
        "weights_dir",
        "compute_units",
        "function_name",
        "optimization_hints",
        "device",
    ]
    assert names(async_wrapper.RemoteMLModelAsyncWrapper.predict) == ["self", "inputs", "state"]
    for name in ("load", "predict", "retrieve_compute_plan", "unload"):
        assert inspect.iscoroutinefunction(getattr(async_wrapper.RemoteMLModelAsyncWrapper, name))
    for name in ("load_duration_in_nano_seconds", "last_predict_duration_in_nano_seconds"):
        assert isinstance(inspect.getattr_static(async_wrapper.MLModelAsyncWrapper, name), property)
    assert async_wrapper.RemoteMLModelAsyncWrapper.make_state_if_needed(None) is None, "it can hand out states now"
    source = inspect.getsource(perf_utils.MLModelBenchmarker._benchmark_model_predict)
    assert "last_predict_duration_in_nano_seconds" in source, "what it measures is what is measured here"


# Nothing of the Mac's is the phone's.


def test_the_machine_tells_of_the_phone_and_of_nothing_of_its_own(phone: Phone, tmp_path: Path) -> None:
    (tmp_path / "listed").write_text(json.dumps({"result": {"devices": [LISTED]}}))
    told = describe_device.describe(probe_s=0.1)
    facts = told["facts"]
    assert (facts["os"], facts["model"], facts["machine"]) == ("iOS 18.1.1 (22B91)", "iPhone 13 Pro", "arm64e")
    assert len(facts["device"]) == 12
    for name in ("kernel", "processor", "cores", "memory_bytes"):
        assert "nobody tells it" in facts[name]["unknown"]
    assert "Somebody" not in json.dumps(told)
    assert UDID not in json.dumps(told)
    assert "TXH6V2HLJQ" not in json.dumps(told)
    assert {json.dumps(each) for each in told["conditions"].values()} == {
        json.dumps({"unknown": "of a device that is connected to a Mac nobody tells it"})
    }
    assert (told["sensors"], told["physical_cores"], "probe" in told) == ({}, None, False)
    assert conditions.device_id() == facts["device"]


@pytest.mark.parametrize(
    ("listed", "words"),
    [
        ([], "does not list it"),
        ([LISTED, LISTED], "does not list it"),
        ("devices", "does not list it"),
        (None, "something else"),
        ([{"hardwareProperties": {"udid": UDID, "marketingName": 5, "platform": None}}], "does not say"),
    ],
)
def test_what_xcode_does_not_tell_of_a_phone_is_unknown(phone: Phone, tmp_path: Path, listed: Any, words: str) -> None:
    (tmp_path / "listed").write_text(json.dumps({"result": {"devices": listed}}))
    facts = describe_device.describe()["facts"]
    assert words in facts["model"]["unknown"]
    assert words in facts["os"]["unknown"]


def test_other_runtimes_would_compute_on_the_mac(phone: Phone) -> None:
    with pytest.raises(Unsupported, match="'onnxruntime' would compute on the Mac itself"):
        adapters.load("onnxruntime")
    assert adapters.load("coreml-remote").name == "coreml-remote"
