"""A sealed variant beside the plain one in one suite: the same answers, what it costs, and no key anywhere."""

from __future__ import annotations

import json
import secrets
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from benchharness.compress.sealing import seal
from benchharness.device.sealed import FRAME_BYTES, HEADER_BYTES, TAG_BYTES
from tests.conftest import ARTEFACTS, command_line

pytest.importorskip("onnxruntime")
pytest.importorskip("tokenizers")

ONNX, TFLITE = ARTEFACTS / "onnx-int8", ARTEFACTS / "tflite-int8"
#: Prints the key, and notes what every process here was called with just then.
COMMAND = """
import pathlib, sys
lines = [each.read_bytes().replace(b"\\0", b" ") for each in pathlib.Path("/proc").glob("[0-9]*/cmdline")]
pathlib.Path(sys.argv[2]).write_bytes(b"\\n".join(lines))
print(pathlib.Path(sys.argv[1]).read_text())
"""
SUITE = """
[attempts]
at_least = 1
[[configurations]]
runtime = "onnxruntime"
threads = 1
[[workloads]]
prompt = {{ tokens = 8 }}
[scenarios.first-token]
[scenarios.quality]
[models.m]
evaluation = "{evaluation}"
[models.m.variants]
plain = {{ artefact = "model.onnx" }}
sealed = {{ artefact = "model.onnx.sealed", key_from = "{key_from}" }}
"""
EVALUATION = "In the beginning God created the heaven and the earth. And the earth was without form, and void."


def metrics(result: Mapping[str, Any]) -> dict[tuple[str, str], float]:
    """By name and the one parameter that tells them apart."""
    return {
        (metric["name"], str(metric["parameters"].get("part") or metric["parameters"].get("phase") or "")): metric[
            "value"
        ]
        for metric in result["metrics"]
        if metric["parameters"].get("kind") in (None, "anonymous")
    }


def everything_under(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.skipif(sys.platform != "linux", reason="looks at processes and memory as Linux tells them")
def test_a_sealed_variant_beside_the_plain_one(tmp_path: Path) -> None:
    key, folder, temporary = secrets.token_hex(32), tmp_path / "suite", tmp_path / "temporary"
    hidden = tmp_path / "hidden"
    for each in (folder, temporary, hidden):
        each.mkdir()
    for name in ("model.onnx", "config.json", "tokenizer.json"):
        (folder / name).write_bytes((ONNX / name).read_bytes())
    (folder / "text.txt").write_text(EVALUATION)
    (hidden / "key").write_text(key)
    (folder / "print_key.py").write_text(COMMAND)
    words = " ".join(map(str, (sys.executable, folder / "print_key.py", hidden / "key", tmp_path / "processes")))
    (folder / "suite.toml").write_text(SUITE.format(evaluation="text.txt", key_from=f"command:{words}"))
    sealed_file = seal(folder / "model.onnx", folder / "model.onnx.sealed", key_from=f"command:{words}")

    harness = command_line(folder, f"sqlite:///{folder / 'store.db'}", TMPDIR=str(temporary))
    ran = harness("run", "suite.toml")
    assert ran.returncode == 0, ran.stderr
    exported = harness("export", "latest")
    results = {(each["scenario"], each["variant"]): each for each in json.loads(exported.stdout)["results"]}

    # What it answered.
    agreement = metrics(results["quality", "sealed"])
    assert agreement["same_top_token", ""] == 1
    assert agreement["kld", ""] == 0
    # What it cost.
    plain, sealed = (metrics(results["first-token", variant]) for variant in ("plain", "sealed"))
    parts = [sealed["sealed_load", part] for part in ("library", "key", "read", "decrypt", "open")]
    assert all(part > 0 for part in parts)
    assert sum(parts) <= sealed["cold_start_phase", "load"]
    assert not any(name == "sealed_load" for name, _ in plain)
    size = (folder / "model.onnx").stat().st_size
    copy = sealed["settled_memory", "unseal"] - sealed["settled_memory", "key"]
    assert 0.9 * size < copy < 1.5 * size
    assert {phase for name, phase in sealed if name == "phase_peak_memory"} == {
        *(phase for name, phase in plain if name == "phase_peak_memory"),
        "key",
        "unseal",
    }
    frames = -(-size // FRAME_BYTES)
    assert sealed_file.stat().st_size == size + HEADER_BYTES + frames * TAG_BYTES
    assert sealed["artefact_size", ""] - plain["artefact_size", ""] == HEADER_BYTES + frames * TAG_BYTES
    (cost,) = [each for each in results["first-token", "sealed"]["metrics"] if each["name"] == "cold_start_ttft"]
    assert cost["ratio"]["value"] == pytest.approx(sealed["cold_start_ttft", ""] / plain["cold_start_ttft", ""])

    # What is nowhere: the key; and of the model's content anything but itself.
    written = everything_under(tmp_path)
    written[Path("standard output")] = f"{ran.stdout}{ran.stderr}{exported.stdout}{exported.stderr}".encode()
    assert key.encode() not in b"".join(data for path, data in written.items() if path != hidden / "key")
    assert bytes.fromhex(key) not in b"".join(written.values())
    assert str(sys.executable).encode() in written[tmp_path / "processes"]
    inside = (folder / "model.onnx").read_bytes()[size // 2 : size // 2 + 64]
    assert len(set(inside)) > 16, "no bytes that could not be there by chance"
    assert [path for path, data in written.items() if inside in data] == [folder / "model.onnx"]


REFUSALS = """
[attempts]
at_least = 1
[[configurations]]
name = "{runtime}"
runtime = "{runtime}"
[[workloads]]
prompt = {{ tokens = 8 }}
[scenarios.first-token]
[models.m.variants]
sealed = {{ artefact = "{artefact}", key_from = "env:SEAL_KEY" }}
"""


@pytest.mark.parametrize(
    ("runtime", "artefact", "variables", "outcome", "words"),
    [
        ("onnxruntime", "model.onnx.sealed", {"SEAL_KEY": "0" * 64}, "runtime-error", "frame 1 of 11 does not open"),
        ("onnxruntime", "model.onnx.sealed", {}, "unsupported", "SEAL_KEY, which is to hold the key, is not set"),
        ("native-program", "model.onnx.sealed", {}, "unsupported", "opens models from files only"),
    ],
)
def test_what_cannot_be_opened_is_a_result_that_says_why(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    runtime: str,
    artefact: str,
    variables: dict[str, str],
    outcome: str,
    words: str,
) -> None:
    monkeypatch.setenv("ANOTHER_KEY", secrets.token_hex(32))
    seal(ONNX / "model.onnx", tmp_path / "model.onnx.sealed", key_from="env:ANOTHER_KEY")
    (tmp_path / "config.json").write_bytes((ONNX / "config.json").read_bytes())
    (tmp_path / "suite.toml").write_text(REFUSALS.format(runtime=runtime, artefact=artefact))
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    harness = command_line(tmp_path, f"sqlite:///{tmp_path / 'store.db'}")
    ran = harness("run", "suite.toml")
    assert ran.returncode == 4, ran.stdout
    (result,) = json.loads(harness("export", "latest").stdout)["results"]
    assert result["outcome"] == outcome
    assert words in result["reason"]
