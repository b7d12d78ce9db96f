"""What a configuration names is put on a phone and used there: a delegate's library, a program, its reader."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchharness import api
from benchharness.results.result import OutcomeKind
from benchharness.suite.device import written
from tests import adb_device
from tests.adb_device import Phone
from tests.conftest import ROOT
from tests.contract import test_tflite_delegates as delegates
from tests.far import DIGITS
from tests.ssh_server import SYSTEM_PYTHON

pytestmark = pytest.mark.skipif(bool(adb_device.missing()), reason=adb_device.missing() or "a device can be had")

PROGRAM = f"""#!{SYSTEM_PYTHON} -IS
import sys
print("times:", *(f"{{at}}.5" for at in range(1, 4)), sys.argv[1:])
import time
time.sleep(0.05)
"""
READER = r"""
formats = [".onnx"]
rows = "text"
patterns = { first = 'times: (\S+)' }
[[commands]]
arguments = ["--model", "{model}"]
figures = [{ metric = "first_inference", times = "first", unit = "ms" }]
"""


@pytest.fixture(scope="module")
def phone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Phone]:
    with adb_device.phone(tmp_path_factory.mktemp("phone")) as found:
        yield found


library, additions = delegates.library, delegates.additions  # fixtures


@pytest.fixture
def unseen() -> Iterator[Path]:
    """A folder that the phone does not see: it lies in this checkout."""
    (ROOT / "build").mkdir(exist_ok=True)
    folder = Path(tempfile.mkdtemp(dir=ROOT / "build"))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def name(phone: Phone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    with adb_device.adb_server(tmp_path) as server:
        monkeypatch.setenv("ANDROID_ADB_SERVER_PORT", str(server.port))
        monkeypatch.setenv("BENCHHARNESS_DEVICES", str(tmp_path / "devices"))
        monkeypatch.setenv("BENCHHARNESS_STORE", f"sqlite:///{tmp_path / 'store.db'}")
        (tmp_path / "devices").mkdir()
        (tmp_path / "devices" / "phone.toml").write_text(written(phone.device()))
        yield "phone"


def suite(model: Path, scenario: str, **configuration: Any) -> dict[str, Any]:
    return {
        "models": {"m": {"variants": {"v": {"artefact": str(model)}}}},
        "configurations": [configuration],
        "attempts": {"at_least": 1, "at_most": 1},
        "scenarios": {scenario: {"min_time": "1 ms"}},
    }


def test_a_delegate_is_put_there_loaded_and_judged(
    phone: Phone,
    name: str,
    unseen: Path,
    library: str,
    additions: Path,
) -> None:
    here = Path(shutil.copy(library, unseen / "libadder.so"))
    asked = {"runtime": "tflite", "accelerator": "adder", "library": str(here)}
    (whole,) = api.run(suite(additions, "steady", **asked), on=name).results
    assert whole.outcome.kind is OutcomeKind.OK, whole.outcome
    assert whole.effective.placement == {"adder": {"ADD": delegates.ADDITIONS}, "XNNPACK": {"EXP": 1}}
    assert whole.effective.fallback["operators_elsewhere"] == 1
    (there,) = (phone.work / "files" / "libraries").glob("*/libadder.so")
    assert there.read_bytes() == here.read_bytes()
    (strict,) = api.run(suite(additions, "steady", **asked, fallback="fail"), on=name).results
    assert strict.outcome.kind is OutcomeKind.UNSUPPORTED
    assert f"1 of {delegates.ADDITIONS + 1} operators do not run on adder" in strict.outcome.reason
    refused = {**asked, "accelerator_options": {"mode": "create"}, "fallback": "fail"}
    (nothing,) = api.run(suite(additions, "steady", **refused), on=name).results
    assert "the test delegate finds no device" in nothing.outcome.reason


def test_a_program_and_its_reader_are_put_there_and_it_is_started(phone: Phone, name: str, unseen: Path) -> None:
    (unseen / "bench").write_text(PROGRAM)  # which nobody may start
    (unseen / "bench.toml").write_text(READER)
    options = {"program": str(unseen / "bench"), "reader": str(unseen / "bench.toml")}
    asked = suite(DIGITS, "first-token", runtime="native-program", options=options)
    (found,) = api.run(asked, on=name).results
    assert found.outcome.kind is OutcomeKind.OK, found.outcome
    values = {each.name: each.estimate.value for each in found.metrics}
    assert values["first_inference"] == 1_500_000
    (line,) = found.effective.facts["commands"]
    assert line.startswith("/data/local/tmp/benchharness/files/libraries/")
    assert line.endswith("/fp32.onnx")
    assert phone.processes() == []
