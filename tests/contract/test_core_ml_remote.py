"""Core ML on a connected iPhone: coremltools' own classes in full, over stand-ins for Xcode's programs and the phone.

No phone was at hand, and none of this was run on one: what is tried is that coremltools is asked as it wants to be asked,
that what it says is read as it means it, and that nothing of the Mac's is taken for the phone's.
"""

from __future__ import annotations

import importlib
import inspect
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
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

from coremltools.models.ml_program.experimental import (  # noqa: E402 - after it is known to be there
    async_wrapper,
    compute_plan_utils,
    perf_utils,
    remote_device,
)
from coremltools.models.ml_program.experimental.model_structure_path import (  # noqa: E402
    map_model_structure_to_path,
)

from targets.core_ml.description import describe  # noqa: E402
from targets.core_ml.remote import CoreMLRemote, RemoteSession  # noqa: E402
from tests.contract import core_ml_stand_in as stand_in  # noqa: E402

pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="Xcode's programs are stood in for by scripts"),
    pytest.mark.filterwarnings("default"),  # coremltools' own
]

DIGITS = Path(__file__).parent.parent.parent / "examples/digits/artefacts/fp16.mlpackage"
STATEFUL = Path(__file__).parent.parent / "golden/core_ml/tiny-one-token.mlpackage"
PICTURES = STATEFUL.parent / "conv.mlpackage"
UDID = "00008110-00015D4E1439801E"
REQUEST = OwnRequest(repeats=3, prompt_tokens=0, output_tokens=0, context_depth=0)
STEADY = ("steady_inference", "inference_rate")
LISTED = {
    "identifier": "6DEA7AA0-E7CE-4C2F-8706-43464FA2910D",
    "connectionProperties": {"pairingState": "paired", "transportType": "wired", "tunnelState": "connected"},
    "deviceProperties": {
        "name": "Somebody's iPhone",
        "developerModeStatus": "enabled",
        "osBuildUpdate": "22B91",
        "osVersionNumber": "18.1.1",
    },
    "hardwareProperties": {
        "cpuType": {"name": "arm64e", "subType": 2, "type": 16777228},
        "deviceType": "iPhone",
        "hardwareModel": "D63AP",
        "marketingName": "iPhone 13 Pro",
        "platform": "iOS",
        "productType": "iPhone14,2",
        "serialNumber": "TXH6V2HLJQ",
        "udid": UDID,
    },
}


class Phone:
    """What is connected. Tests change it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        outputs = {each.name: [list(each.shape), "Float32"] for each in describe(DIGITS).outputs}
        self.said: dict[str, Any] = {
            "devices": [LISTED],
            "units": "ALL",
            "load_ns": 41_000_000,
            "predictions_ns": [3_000_000, 1_000_000, 1_200_000, 1_100_000, 1_300_000],
            "outputs": outputs,
            "plan": [],
        }
        self.says()

    def says(self, **changes: Any) -> None:
        self.said.update(changes)
        (self.folder / "phone.json").write_text(json.dumps(self.said))

    def lists(self, **properties: str) -> None:
        """Lists the device with other properties."""
        changed = json.loads(json.dumps(LISTED))
        for table in ("connectionProperties", "deviceProperties", "hardwareProperties"):
            changed[table].update({key: value for key, value in properties.items() if key in changed[table]})
        self.says(devices=[changed])

    def asked(self) -> list[list[str]]:
        file = self.folder / "asked"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


@pytest.fixture
def phone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Phone]:
    stand_in.install(monkeypatch, tmp_path / "home")
    monkeypatch.setattr(stand_in.Plan, "__init__", lambda self, *_: None)  # a remote plan's has no arguments
    monkeypatch.setattr(async_wrapper, "compile_model", lambda model, destination_path: _compiled(model, destination_path))
    importlib.reload(compute_plan_utils)  # its classes are made of the extension's, when it is imported
    monkeypatch.setattr(remote_device._ModelRunnerAppBuilder, "_get_project_path", lambda: _project(tmp_path))
    monkeypatch.setattr(remote_device._DeviceCtl, "_validation_done", False)
    folder = tmp_path / "phone"
    folder.mkdir()
    tools = tmp_path / "bin"
    tools.mkdir()
    text = (Path(__file__).parent / "core_ml_phone.py").read_text().partition("\n")[2]
    for name in ("xcrun", "devicectl", "xcodebuild"):
        (tools / name).write_text(f"#!{sys.executable} -ES\n{text}")
        (tools / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PHONE", str(folder))
    monkeypatch.setenv(CONNECTED_DEVICE, UDID)
    yield Phone(folder)
    monkeypatch.undo()
    importlib.reload(compute_plan_utils)


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
    phone.says(units="CPU_AND_NE")
    team = {"development_team": "A1B2C3D4E5", "optimization_hints": {"specializationStrategy": "FastPrediction"}}
    awkward = tmp_path / "it's; $(touch ran) a model.mlpackage"
    awkward.symlink_to(DIGITS)
    with opened(awkward, accelerator="CPU_AND_NE", options=team) as session:
        runs = int((phone.folder / "runs").read_text())
        assert psutil.pid_exists(runs)
        session.measure(REQUEST, ("first_inference",))
    messages = [json.loads(each.read_text()) for each in (phone.folder / "container").rglob("requests/messages/*/*.json")]
    load = next(each["params"] for each in messages if each["method"] == "MLModelService.Load")
    assert load["optimizationHints"] == {"specializationStrategy": "FastPrediction"}
    build = next(each for each in phone.asked() if each[0] == "xcodebuild")
    assert "DEVELOPMENT_TEAM=A1B2C3D4E5" in build
    assert f"platform=iOS,id={UDID}" in build
    assert not list((tmp_path / "temporary").iterdir())
    assert not (tmp_path / "ran").exists()
    _ends(runs)
    with opened(options=team | {"optimization_hints": {}}, accelerator="CPU_AND_NE"):
        pass
    assert [each[0] for each in phone.asked()].count("xcodebuild") == 1, "the model runner is kept"


def _ends(process: int) -> None:
    deadline = time.monotonic() + 10
    while psutil.pid_exists(process) and psutil.Process(process).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline, "the model runner goes on"
        time.sleep(0.05)


def test_operators_stand_where_the_phones_plan_says(phone: Phone, tmp_path: Path) -> None:
    compiled = stand_in.compile_to_temporary(DIGITS)
    computing = [
        (structure, path)
        for structure, path in map_model_structure_to_path(stand_in.structure(compiled), components=[])
        if getattr(structure, "operator_name", "const") != "const"
    ]
    places = [{"neuralEngine": {"totalCoreCount": 16}}] + [{"cpu": {}}] * (len(computing) - 1)
    phone.says(
        plan=[
            {"deviceUsage": {"preferred": place, "supported": [place]}, "estimatedCost": 0.5, "path": path.to_dict()}
            for place, (_, path) in zip(places, computing, strict=True)
        ]
    )
    with opened() as session:
        placed = session.placement()
    assert {place: sum(each.values()) for place, each in placed.items()} == {
        "NeuralEngine": 1,
        "CPU": len(computing) - 1,
    }
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
    phone.says(fails={method: "no room"})
    with pytest.raises(kind, match=words), opened() as session:
        session.measure(REQUEST, STEADY)


@pytest.mark.parametrize("told", [0, -5, None, "soon", True, 1e300, float("nan")])
def test_a_time_that_cannot_be_is_refused(phone: Phone, told: Any) -> None:
    phone.says(predictions_ns=[told] * 5)
    with opened() as session, pytest.raises(InvalidOutput, match="a prediction took"):
        session.measure(REQUEST, STEADY)
    phone.says(load_ns=told)
    with pytest.raises(InvalidOutput, match="the load took"), opened():
        pass


def test_an_answer_that_is_none_is_refused(phone: Phone) -> None:
    phone.says(value=float("nan"))
    with opened() as session, pytest.raises(InvalidOutput, match="holds NaN"):
        session.measure(REQUEST, STEADY)
    phone.says(value=0.5, outputs={"other": [[1], "Float32"]})
    with opened() as session, pytest.raises(InvalidOutput, match="gives no output"):
        session.measure(REQUEST, STEADY)


def test_what_cannot_be_measured_so_is_refused_before_anything_is_built(
    phone: Phone, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "hands none to a model on a device" in refused(STATEFUL)
    assert "coremltools hands a device arrays of" in refused(PICTURES)  # its own benchmarker fails: coremltools#2678
    assert "leave it out" in refused(threads=2)
    assert "computes on this machine" in refused(accelerator="reference")
    assert "did you mean 'CPU_AND_NE'" in refused(accelerator="CPU_AND_NP")
    assert "goes into a shell" in refused(options={"development_team": "X; rm -rf ~"})
    assert "goes into a shell" in refused(options={"bundle_identifier": "com.x$(id)"})
    assert "compiled each time" in refused(options={"compile_cache": "cold"})
    assert "cannot hand it" in refused(options={"optimization_hints": {"allowLowPrecisionAccumulationOnGPU": True}})
    monkeypatch.setenv("HOME", "/tmp/a b")
    assert "more than plain characters" in refused()
    assert phone.asked() == []


def test_a_device_that_is_not_ready_is_told_with_what_helps(phone: Phone, monkeypatch: pytest.MonkeyPatch) -> None:
    phone.lists(tunnelState="disconnected")
    assert "is not connected to it (disconnected): unlock it" in refused()
    phone.lists(developerModeStatus="disabled")
    assert "turn it on under Privacy & Security" in refused()
    phone.says(devices=[])
    assert "connect it by cable" in refused()
    phone.says(devices=[{"hardwareProperties": {}}])  # as devicectl lists what has iOS 16 and earlier
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


def test_the_machine_tells_of_the_phone_and_of_nothing_of_its_own(phone: Phone) -> None:
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
def test_what_xcode_does_not_tell_of_a_phone_is_unknown(phone: Phone, listed: Any, words: str) -> None:
    phone.says(devices=listed)
    facts = describe_device.describe()["facts"]
    assert words in facts["model"]["unknown"]
    assert words in facts["os"]["unknown"]


def test_other_runtimes_would_compute_on_the_mac(phone: Phone) -> None:
    with pytest.raises(Unsupported, match="'onnxruntime' would compute on the Mac itself"):
        adapters.load("onnxruntime")
    assert adapters.load("coreml-remote").name == "coreml-remote"
