#!/usr/bin/env python3
"""Stands in for Xcode's programs and for an iPhone with coremltools' model runner on it: the lowest layer, and no more.

Copied under the names `xcrun`, `devicectl` and `xcodebuild`, it does what coremltools 9.0 asks of them, with the words of
`xcrun devicectl` (its JSON as published, shortened: https://github.com/expo/expo/pull/48001, and the fields of
`hardwareProperties` of the iPhone 13 Pro with iOS 18.1.1 in the same tool's users' tests). The phone is a folder, $PHONE:
`phone.json` says what it does, `container` is its application's, `asked` every command.
"""

import json
import os
import shutil
import struct
import sys
import time
from pathlib import Path

PHONE = Path(os.environ["PHONE"])
CONTAINER = PHONE / "container"
SIZES = {"Float16": 2, "Float32": 4, "Float64": 8, "Int32": 4}
FORMATS = {"Float16": "e", "Float32": "f", "Float64": "d", "Int32": "i"}


def script() -> dict:
    return json.loads((PHONE / "phone.json").read_text())


def answer(words: list[str], result: object) -> None:
    at = next(words.index(each) for each in ("-j", "--json-output") if each in words)
    Path(words[at + 1]).write_text(json.dumps({"info": {"outcome": "success"}, "result": result}))


def after(words: list[str], name: str) -> str:
    found = next((each for each in words if each.startswith(f"{name}=")), None)
    return found.partition("=")[2] if found else words[words.index(name) + 1]


def devicectl(words: list[str]) -> None:
    said = script()
    if words[:2] == ["list", "devices"]:
        answer(words, {"devices": said["devices"]})
    elif words[:3] == ["device", "install", "app"]:
        assert Path(words[5]).is_dir(), words
        answer(words, {"installedApplications": [{"bundleID": "com.coremltools.modelrunnerd", "databaseUUID": "A1"}]})
    elif words[:3] == ["device", "process", "launch"]:
        (PHONE / "runs").write_text(str(os.getpid()))
        time.sleep(600)
    elif words[:3] == ["device", "copy", "to"]:
        source, destination = Path(after(words, "--source")), after(words, "--destination")
        there = CONTAINER / destination
        there.parent.mkdir(parents=True, exist_ok=True)
        (shutil.copytree if source.is_dir() else shutil.copyfile)(source, there)
        if destination.endswith("message.json"):
            runner(there, said)
        answer(words, {"source": str(source), "destination": destination})
    elif words[:3] == ["device", "copy", "from"]:
        source = CONTAINER / after(words, "--source")
        if not source.exists():
            sys.exit("ERROR: The specified file could not be found")
        shutil.copyfile(source, after(words, "--destination"))
        answer(words, {"source": str(source), "destination": after(words, "--destination")})
    else:
        sys.exit(f"devicectl: {words}")


def runner(message: Path, said: dict) -> None:
    """What coremltools' model runner does with a message."""
    asked = json.loads(message.read_text())
    served = message.parents[3]
    place = served / "responses" / asked["id"]
    place.mkdir(parents=True)
    found = {"jsonrpc": "2.0", "id": asked["id"]}
    resource = served / "requests" / "resources" / asked["id"] / asked.get("resource", "nothing")
    method = asked["method"].partition(".")[2]
    if failure := said.get("fails", {}).get(method):
        found["error"] = {"code": -32000, "message": failure}
    else:
        found["result"] = {"modelID": asked["params"]["modelID"], **globals()[method.lower()](asked, resource, place, found)}
    (place / "message.json").write_text(json.dumps(found))


def load(asked: dict, resource: Path, place: Path, found: dict) -> dict:
    assert (resource / "coremldata.bin").is_file(), "no compiled model came"
    assert asked["params"]["computeUnits"] == script()["units"]
    return {"duration": script()["load_ns"]}


def prediction(asked: dict, resource: Path, place: Path, found: dict) -> dict:
    data = resource.read_bytes()
    for tensor in asked["params"]["inputs"].values():
        count = 1
        for length in tensor["shape"]:
            count *= length
        assert tensor["storage"]["size"] == count * SIZES[tensor["dataType"]] <= len(data)
    said, told, outputs = script(), b"", {}
    for name, (shape, kind) in said["outputs"].items():
        strides, count = [], 1
        for length in reversed(shape):
            strides.insert(0, count)
            count *= length
        values = struct.pack(f"<{count}{FORMATS[kind]}", *[said.get("value", 0.5)] * count)
        outputs[name] = {
            "shape": shape, "strides": strides, "dataType": kind, "storage": {"offset": len(told), "size": len(values)}
        }  # fmt: skip
        told += values
    (place / "outputs.bin").write_bytes(told)
    found["resource"] = "outputs.bin"
    number = len(list((PHONE / "container").rglob("outputs.bin"))) - 1
    return {"outputs": outputs, "duration": said["predictions_ns"][number]}


def computeplan(asked: dict, resource: Path, place: Path, found: dict) -> dict:
    return {"infos": script()["plan"]}


def unload(asked: dict, resource: Path, place: Path, found: dict) -> dict:
    return {}


def xcodebuild(words: list[str]) -> None:
    (Path(after(words, "SYMROOT")) / "Release-iphoneos/modelrunnerd.app").mkdir(parents=True)


if __name__ == "__main__":
    name, words = Path(sys.argv[0]).name, sys.argv[1:]
    with (PHONE / "asked").open("a") as file:
        file.write(json.dumps([name, *words]) + "\n")
    if name == "xcodebuild":
        xcodebuild(words)
    else:
        devicectl(words[1:] if name == "xcrun" else words)
