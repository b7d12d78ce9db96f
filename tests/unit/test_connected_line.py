"""The line to a device that is connected to this machine: its profile, its processes, and for whom they speak."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from benchharness import devices
from benchharness.contract.connected import CONNECTED_DEVICE
from benchharness.errors import LaunchError, UsageError
from benchharness.execute import adding
from benchharness.launch import Question
from benchharness.launch.ask import description_of_device
from benchharness.launch.core_ml.line import HereLine
from benchharness.launch.core_ml.route import CoreMLRoute, udid_of
from benchharness.launch.far import FarLauncher
from benchharness.launch.line import line_to
from benchharness.suite.device import written

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="devices are connected to Macs")

UDID = "00008110-00015D4E1439801E"
DEVICES = {
    "result": {
        "devices": [
            {
                "deviceProperties": {"osVersionNumber": "18.1.1", "osBuildUpdate": "22B91"},
                "hardwareProperties": {"udid": UDID, "platform": "iOS", "marketingName": "iPhone 13 Pro"},
            }
        ]
    }
}


def route(folder: Path) -> CoreMLRoute:
    return CoreMLRoute(name="iphone", udid=UDID, python=sys.executable, work=str(folder / "work"))


@pytest.mark.parametrize(
    "text",
    ["coreml://", "coreml://iphone", f"coreml:{UDID}", f"coreml://{UDID};id", f"coreml://{UDID}/x", f"adb://{UDID}"],
)
def test_an_address_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="write it as coreml://UDID"):
        udid_of(text)


def test_a_profile_says_which_device_and_nothing_of_ssh() -> None:
    made = devices.asked(f"coreml://{UDID}", name="iphone13", hardware="iphone-13-pro")
    assert isinstance(made.route, CoreMLRoute)
    assert (made.route.udid, made.route.system, made.route.text) == (UDID, "macos", f"iphone13 (coreml://{UDID})")
    assert written(made).splitlines()[:2] == ['hardware = "iphone-13-pro"', f'connect = "coreml://{UDID}"']
    assert made.route.python == sys.executable, "what benchharness is installed in has coremltools, too"
    assert devices.asked(f"coreml://{UDID}", name="x", python="/opt/python").route.python == "/opt/python"
    assert devices.host_key(made) is None
    with pytest.raises(UsageError, match="this Mac needs none"):
        devices.asked(f"coreml://{UDID}", name="iphone13", jump="ssh://x")
    with pytest.raises(UsageError, match="--name NAME"):
        devices.asked(f"coreml://{UDID}")
    with pytest.raises(UsageError, match="write it as coreml://UDID"):
        devices.asked("coreml://mine", name="iphone13")


def test_a_device_that_is_not_there_gets_no_profile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCHHARNESS_DEVICES", str(tmp_path / "devices"))
    monkeypatch.setenv("BENCHHARNESS_STORE", f"sqlite:///{tmp_path / 'store.db'}")
    (tmp_path / "bin").mkdir()
    xcrun = tmp_path / "bin/xcrun"
    xcrun.write_text('#!/bin/sh\nfor last; do :; done\necho \'{"result": {"devices": []}}\' > "$last"\n')
    xcrun.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(adding, "availabilities", lambda _: [])
    asked = devices.asked(f"coreml://{UDID}", name="iphone", work=str(tmp_path / "work"))
    with pytest.raises(LaunchError, match=r"iphone \(coreml://.*does not list it: is it connected"):
        devices.add(asked)
    assert not (tmp_path / "devices").exists()


def test_a_command_is_a_process_here_that_knows_for_whom_it_speaks(tmp_path: Path) -> None:
    line = line_to(route(tmp_path))
    assert isinstance(line, HereLine)
    awkward = ["it's", "$HOME", "two\nlines", ""]
    told = "import json, os, sys; sys.stderr.write('words'); "
    told += f"print(json.dumps([sys.stdin.read(), os.environ[{CONNECTED_DEVICE!r}], sys.argv[1:]])); sys.exit(3)"
    channel = line.start([sys.executable, "-c", told, *awkward])
    channel.stdin.write(b"heard")
    channel.stdin.close()
    assert json.loads(channel.stdout.read()) == ["heard", UDID, awkward]
    assert channel.ends_within(120)
    assert (channel.code, channel.words()) == (3, "words")
    channel.close()
    assert CONNECTED_DEVICE not in os.environ


def test_what_is_not_wanted_any_more_is_ended(tmp_path: Path) -> None:
    channel = HereLine(route(tmp_path)).start([sys.executable, "-c", "import time; time.sleep(600)"])
    channel.end()
    assert channel.ends_within(120)
    assert channel.code == -15
    channel.close()


def test_a_python_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(
        LaunchError, match=r"iphone \(coreml://.*/nowhere/python cannot be started.*name one as 'python'"
    ):
        HereLine(route(tmp_path)).start(["/nowhere/python"])


def test_a_device_is_asked_through_its_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "devices.json").write_text(json.dumps(DEVICES))
    xcrun = tmp_path / "bin/xcrun"
    xcrun.write_text(f'#!/bin/sh\nfor last; do :; done\ncat {tmp_path}/devices.json > "$last"\n')
    xcrun.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    launcher = FarLauncher(route(tmp_path), tmp_path)
    try:
        told = description_of_device(launcher, 0)
        answer = launcher.ask(Question(program="adapters", arguments=("onnxruntime",)))
    finally:
        launcher.close()
    assert told["facts"]["model"] == "iPhone 13 Pro"
    assert told["facts"]["os"] == "iOS 18.1.1 (22B91)"
    runtime = json.loads(answer.out)
    assert (runtime["available"], runtime["accelerators"]) == (False, [])
    assert "would compute on the Mac itself" in runtime["reason"]
