"""A runtime that tells its makers what it runs does not while it is measured, and leaves nothing with the user."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
EXAMPLES = ROOT / "examples"
OPENED = """
import sys
from pathlib import Path
from benchharness.contract import Configuration
from benchharness.device.adapters import load
name, artefact, accelerator = sys.argv[1:]
with load(name).open(Path(artefact), Configuration(runtime=name, accelerator=accelerator or None)) as session:
    session.inputs
"""


@pytest.mark.parametrize(
    ("package", "adapter", "artefact", "accelerator"),
    [
        ("onnxruntime", "onnxruntime", "digits/artefacts/fp32.onnx", ""),
        ("onnxruntime_genai", "onnxruntime-genai", "demo_model/artefacts/onnx-gqa-fp32", ""),
        ("coremltools", "coreml", "digits/artefacts/fp16.mlpackage", "reference"),
    ],
)
def test_nothing_is_left_in_the_users_folder(
    package: str, adapter: str, artefact: str, accelerator: str, tmp_path: Path
) -> None:
    if find_spec(package) is None:
        pytest.skip(f"{package} is not installed")
    told = {key: value for key, value in os.environ.items() if key != "ORT_DISABLE_TELEMETRY"}
    home = {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache"), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", OPENED, adapter, str(EXAMPLES / artefact), accelerator],
        env={**told, **home},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    assert [str(each) for each in tmp_path.rglob("*")] == []
