"""Stands in for Xcode's programs and for an iPhone with coremltools' model runner on it: the lowest layer alone.

It does what coremltools 9.0 asks of `xcrun`, `devicectl` and `xcodebuild`, as a shell would part its commands, with the
words of `xcrun devicectl` (its JSON as published, shortened: https://github.com/expo/expo/pull/48001, and the fields of
`hardwareProperties` of an iPhone 13 Pro with iOS 18.1.1 in public tests). No process is started, so that it is quick.
"""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

UDID = "00008110-00015D4E1439801E"
LISTED: dict[str, Any] = {
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
_TYPES = {"Float16": np.float16, "Float32": np.float32, "Float64": np.float64, "Int32": np.int32}


class Phone:
    """What is connected: a folder for its application's files, and what it says. Tests change it."""

    PIPE, STDOUT, CalledProcessError = subprocess.PIPE, subprocess.STDOUT, subprocess.CalledProcessError

    def __init__(self, folder: Path, outputs: Mapping[str, tuple[Sequence[int], str]]) -> None:
        self.container = folder
        self.outputs = outputs
        self.devices: Any = [LISTED]
        self.load_ns: Any = 41_000_000
        self.predictions_ns: list[Any] = [3_000_000, 1_000_000, 1_200_000, 1_100_000, 1_300_000]
        self.value = 0.5  # of all its answers
        self.plan: list[Any] = []
        self.fails: dict[str, str] = {}  # by method, what it says
        self.asked: list[list[str]] = []
        self.messages: list[dict[str, Any]] = []
        self.runs = 0

    def lists(self, **properties: str) -> None:
        """Lists the device with other properties."""
        changed = json.loads(json.dumps(LISTED))
        for table in ("connectionProperties", "deviceProperties", "hardwareProperties"):
            changed[table].update({key: value for key, value in properties.items() if key in changed[table]})
        self.devices = [changed]

    # In the place of `subprocess`, for coremltools.

    def run(self, command: str, **_: Any) -> subprocess.CompletedProcess[bytes]:
        """A command to its end."""
        name, *words = shlex.split(command)
        self.asked.append([name, *words])
        if name == "xcodebuild":
            place = next(each.partition("=")[2] for each in words if each.startswith("SYMROOT="))
            (Path(place) / "Release-iphoneos/modelrunnerd.app").mkdir(parents=True)
            return subprocess.CompletedProcess(command, 0)
        words = words[1:] if name == "xcrun" else words
        result = self._devicectl(words)
        if result is None:
            return subprocess.CompletedProcess(command, 1, b"", b"ERROR: The specified file could not be found")
        Path(words[words.index("-j") + 1]).write_text(json.dumps({"info": {"outcome": "success"}, "result": result}))
        return subprocess.CompletedProcess(command, 0)

    def Popen(self, command: str, **_: Any) -> Phone:
        """The model runner, started."""
        words = shlex.split(command)
        assert words[:6] == ["xcrun", "devicectl", "device", "process", "launch", "--console"]
        self.asked.append(words)
        self.runs += 1
        return self

    def terminate(self) -> None:
        self.runs -= 1

    def poll(self) -> int | None:
        return None if self.runs else 0

    # `devicectl`

    def _devicectl(self, words: Sequence[str]) -> Any:
        """What a command results in; None where it fails."""
        if words[:2] == ["list", "devices"]:
            return {"devices": self.devices}
        if words[:3] == ["device", "install", "app"]:
            assert Path(words[5]).is_dir(), words
            return {"installedApplications": [{"bundleID": "com.coremltools.modelrunnerd", "databaseUUID": "A1"}]}
        assert words[:2] == ["device", "copy"], words
        source, destination = words[words.index("--source") + 1], words[words.index("--destination") + 1]
        came = Path(source) if words[2] == "to" else self.container / source
        goes = self.container / destination if words[2] == "to" else Path(destination)
        if not came.exists():
            return None
        goes.parent.mkdir(parents=True, exist_ok=True)
        if came.is_dir():
            shutil.copytree(came, goes)
        else:
            shutil.copyfile(came, goes)
        if words[2] == "to" and goes.name == "message.json":
            self._answer(goes)
        return {"source": source, "destination": destination}

    # coremltools' model runner

    def _answer(self, message: Path) -> None:
        asked = json.loads(message.read_text())
        self.messages.append(asked)
        served = message.parents[3]
        place = served / "responses" / asked["id"]
        place.mkdir(parents=True)
        resource = served / "requests" / "resources" / asked["id"] / asked.get("resource", "nothing")
        method = asked["method"].partition(".")[2]
        found: dict[str, Any] = {"jsonrpc": "2.0", "id": asked["id"]}
        if method in self.fails:
            found["error"] = {"code": -32000, "message": self.fails[method]}
        else:
            found["result"] = {"modelID": asked["params"]["modelID"], **self._result(method, asked, resource)}
        if method == "Prediction" and method not in self.fails:
            (place / "outputs.bin").write_bytes(self._tensors()[1])
            found["resource"] = "outputs.bin"
        (place / "message.json").write_text(json.dumps(found))

    def _result(self, method: str, asked: Mapping[str, Any], resource: Path) -> dict[str, Any]:
        if method == "Load":
            assert (resource / "coremldata.bin").is_file(), "no compiled model came"
            return {"duration": self.load_ns}
        if method == "Prediction":
            data = resource.read_bytes()
            for tensor in asked["params"]["inputs"].values():
                size = np.dtype(_TYPES[tensor["dataType"]]).itemsize * int(np.prod(tensor["shape"]))
                assert tensor["storage"]["size"] == size <= len(data)
            return {"outputs": self._tensors()[0], "duration": self.predictions_ns.pop(0)}
        return {"infos": self.plan} if method == "ComputePlan" else {}

    def _tensors(self) -> tuple[dict[str, Any], bytes]:
        """Its answer, as a table of tensors and the file that they lie in."""
        table, told = {}, b""
        for name, (shape, kind) in self.outputs.items():
            array = np.full(shape, self.value, _TYPES[kind])
            strides = [each // array.itemsize for each in array.strides]
            storage = {"offset": len(told), "size": array.nbytes}
            table[name] = {"shape": list(shape), "strides": strides, "dataType": kind, "storage": storage}
            told += array.tobytes()
        return table, told
