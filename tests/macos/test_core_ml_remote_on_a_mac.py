"""Connected iPhones on a real Mac with Xcode and no iPhone: what can be tried of them there.

`devicectl` and coremltools' classes are the real ones; a device would be needed for the rest.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from benchharness.contract import Configuration
from benchharness.contract.connected import CONNECTED_DEVICE
from benchharness.device.questions import describe_device
from benchharness.errors import Unsupported
from targets.core_ml import system
from targets.core_ml_remote import CoreMLRemote

DIGITS = Path(__file__).parent.parent.parent / "examples/digits/artefacts/fp16.mlpackage"
NOBODYS = "00008110-FFFFFFFFFFFFFFFF"

pytestmark = [
    pytest.mark.macos,
    pytest.mark.skipif(not system.on_macos(), reason="Core ML predicts on macOS only"),
    pytest.mark.filterwarnings("default"),  # coremltools' own
]


@pytest.fixture(autouse=True)
def with_xcode(monkeypatch: pytest.MonkeyPatch) -> None:
    if shutil.which("devicectl") is None:
        pytest.skip("this Mac has no Xcode")
    monkeypatch.setenv(CONNECTED_DEVICE, NOBODYS)


def test_xcode_is_found() -> None:
    found = CoreMLRemote().availability()
    assert found.available, found.reason
    assert found.accelerators == ("ALL", "CPU_ONLY", "CPU_AND_GPU", "CPU_AND_NE")


def test_devicectl_lists_what_is_connected_and_not_a_device_that_is_not() -> None:
    with (
        pytest.raises(Unsupported, match="connect it by cable"),
        CoreMLRemote().open(DIGITS, Configuration(runtime="coreml-remote")),
    ):
        pytest.fail("nobody's device was opened")


def test_a_device_that_is_not_there_is_not_this_mac() -> None:
    told = describe_device.describe()
    assert "does not list it" in told["facts"]["model"]["unknown"]
    assert all("unknown" in each for each in told["conditions"].values())


def test_coremltools_can_tell_a_devices_plan_here() -> None:
    from coremltools.models.ml_program.experimental import compute_plan_utils

    assert compute_plan_utils._MLComputePlanRemoteProxy is not None
