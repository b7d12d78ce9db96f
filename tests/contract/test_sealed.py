"""Sealed models in the runtimes that open bytes: the plain model's answers, and not one byte written anywhere.

The sessions run in a process that may write to no file at all: the kernel refuses it, whoever asks, native code too.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchharness.contract import Configuration, OpensBytes
from benchharness.device import adapters
from benchharness.device.opening import opened
from benchharness.device.sealed import Unsealed
from benchharness.errors import AttemptError, ModelFailure, Unsupported
from tests.conftest import ARTEFACTS, ROOT

pytest.importorskip("onnxruntime")

MODELS = {
    "onnxruntime": ARTEFACTS / "onnx-int8" / "model.onnx",
    "onnxruntime, appending in place": ARTEFACTS / "onnx-gqa-fp32" / "model.onnx",
    "tflite": ARTEFACTS / "tflite-int8" / "model.tflite",
}

ANSWERS = """
import hashlib, json, os, resource, signal, sys
from pathlib import Path
from benchharness.contract import Configuration
from benchharness.device import adapters
from benchharness.device.opening import opened
from benchharness.device.sealed import Unsealed

runtime, plain, sealed = sys.argv[1], Path(sys.argv[2]), sys.argv[3] == "sealed"
content = plain.read_bytes()
# What stands for it is not there; the configuration beside it is.
there = Path(sys.argv[4]) / plain.name if sealed else plain
adapter = adapters.load(runtime)
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
try:
    Path("one byte").write_bytes(b"x")
    refused = False
except OSError:
    refused = True
unsealed = Unsealed(content, there, 0, 0, 0, 0) if sealed else None
with opened(adapter, {"artefact": str(there)}, Configuration(runtime=runtime, threads=1), unsealed) as session:
    logits, chosen = session.extend([1, 2, 3, 4, 5, 6, 7, 8]), []
    for _ in range(16):
        chosen.append(int(logits.argmax()))
        logits = session.decode(chosen[-1])
    descriptors = [f"/proc/self/fd/{each}" for each in os.listdir("/proc/self/fd")]
    held = sorted({os.readlink(each) for each in descriptors if os.path.exists(each)})
    print(json.dumps({"refused": refused, "chosen": chosen, "bits": hashlib.sha256(logits.tobytes()).hexdigest(),
                      "facts": {key: str(value) for key, value in session.effective.facts.items()}, "held": held}))
    sys.stdout.flush()
    os._exit(0)
"""


def answered(folder: Path, runtime: str, model: Path, kind: str) -> dict[str, Any]:
    beside = folder / "beside"
    beside.mkdir(exist_ok=True)
    for name in ("config.json", "genai_config.json"):
        if (model.parent / name).is_file():
            (beside / name).write_bytes((model.parent / name).read_bytes())
    command = [sys.executable, "-c", ANSWERS, runtime, str(model), kind, str(beside)]
    environment = {"PYTHONPATH": str(ROOT), "TMPDIR": str(folder), "HOME": str(folder), "PATH": "/usr/bin:/bin"}
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=folder, env=environment)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.skipif(sys.platform == "win32", reason="limits of files are POSIX's; not tried on Windows")
@pytest.mark.parametrize("named", MODELS)
def test_a_sealed_model_answers_as_the_plain_one_and_writes_nothing(tmp_path: Path, named: str) -> None:
    runtime, model = named.partition(",")[0], MODELS[named]
    if not adapters.load(runtime).availability().available:
        pytest.skip(f"{runtime} is not installed")
    plain = answered(tmp_path, runtime, model, "plain")
    sealed = answered(tmp_path, runtime, model, "sealed")
    assert sealed["refused"] is True
    assert sealed["chosen"] == plain["chosen"]
    assert sealed["bits"] == plain["bits"]
    assert sealed["facts"]["opened_from"] == "memory"
    assert sealed["facts"]["content_kept"] != "not known"
    differing = {key for key in plain["facts"] | sealed["facts"] if plain["facts"].get(key) != sealed["facts"].get(key)}
    assert differing <= {"opened_from", "content_kept", "binding_copy_ns_per_token"}
    files = [name for name in sealed["held"] if name.startswith("/") and not name.startswith(("/dev", "/proc"))]
    assert [name for name in files if model.suffix in name or "memfd" in name or "deleted" in name] == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["beside", "one byte"]
    assert (tmp_path / "one byte").stat().st_size == 0


def refusal(runtime: str, path: str, content: bytes, **asked: Any) -> AttemptError:
    unsealed = Unsealed(content, Path(path), 0, 0, 0, 0)
    configuration = Configuration(runtime=runtime, **asked)
    with (
        pytest.raises(AttemptError) as caught,
        opened(adapters.load(runtime), {"artefact": path}, configuration, unsealed),
    ):
        pass
    return caught.value


@pytest.mark.parametrize(
    ("runtime", "path", "asked", "words"),
    [
        ("onnxruntime", "m.onnx", {"accelerator": "OpenVINOExecutionProvider"}, "may keep a compiled copy"),
        ("onnxruntime", "m.onnx", {"options": {"session_config": {"ep.context_enable": "1"}}}, "ep.context_enable"),
        ("tflite", "m.tflite", {"accelerator": "/lib/delegate.so"}, "may keep a compiled copy"),
        ("tflite", "m.litertlm", {}, "is unpacked to the disk"),
    ],
)
def test_what_could_write_the_model_is_refused(runtime: str, path: str, asked: dict[str, Any], words: str) -> None:
    found = refusal(runtime, path, b"never looked at", **asked)
    assert isinstance(found, Unsupported)
    assert words in str(found)


@pytest.mark.parametrize(("runtime", "path"), [("onnxruntime", "none/m.onnx"), ("tflite", "none/m.tflite")])
def test_what_is_no_model_is_told_as_that_of_a_file(runtime: str, path: str) -> None:
    found = refusal(runtime, path, b"no model at all")
    assert isinstance(found, ModelFailure)
    assert path in str(found)


def test_weights_outside_a_sealed_model_are_refused(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    model = onnx.load(MODELS["onnxruntime"])
    onnx.save(model, tmp_path / "m.onnx", save_as_external_data=True, location="weights.bin", size_threshold=0)
    content = (tmp_path / "m.onnx").read_bytes()
    found = refusal("onnxruntime", str(tmp_path / "m.onnx"), content)
    assert "weights.bin with its weights is not" in str(found)
    assert isinstance(found, Unsupported)


def test_those_that_read_files_only_do_not_say_otherwise() -> None:
    able = {
        name
        for name in adapters.BUILT_IN
        if name in ("onnxruntime", "tflite", "null", "python", "native-program", "llama-cpp")
        and isinstance(adapters.load(name), OpensBytes)
    }
    assert able == {"onnxruntime", "tflite"}
