"""An interpreter that is asked for and cannot run a worker: told with its path and why, of its own cell only."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT, CommandLine
from tests.integration.awkward_run import awkward_suite, python_path

DIGITS = ROOT / "examples" / "digits"
#: By a signal for real time, which has no name.
ENDS_ITSELF = f"#!{sys.executable} -IS\nimport os\nos.kill(os.getpid(), 40)\n"


def program(path: Path, content: str, mode: int = 0o755) -> Path:
    path.write_text(content)
    path.chmod(mode)
    return path


@pytest.mark.skipif(os.name != "posix", reason="shell scripts stand for interpreters")
def test_an_interpreter_that_runs_no_worker_is_told_and_the_rest_goes_on(
    benchharness: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", python_path())
    made = {
        "not-there": ("unsupported", "No such file or directory", tmp_path / "gone" / "python"),
        "not-executable": ("unsupported", "Permission denied", program(tmp_path / "plain", "", 0o644)),
        "no-program": ("unsupported", "Exec format error", program(tmp_path / "bytes", "\0\1\2")),
        "moved": (
            "unsupported",
            "the interpreter that its first line",
            program(tmp_path / "moved", "#!/gone/python\n"),
        ),
        "ends-itself": ("killed", "signal 40 in phase start", program(tmp_path / "ends", ENDS_ITSELF)),
        "no-python": ("crashed", "not JSON", program(tmp_path / "speaks", "#!/bin/sh\necho good morning\n")),
        "too-old": (
            "crashed",
            "exit code 1 in phase start: SyntaxError: what is that?",
            program(tmp_path / "old", "#!/bin/sh\necho Traceback >&2\necho 'SyntaxError: what is that?' >&2\nexit 1\n"),
        ),
    }
    tables = [
        f'[[configurations]]\nname = "{name}"\nruntime = "awkward"\npython = "{python}"'
        for name, (_, _, python) in made.items()
    ]
    suite = awkward_suite(tmp_path, configuration='name = "good"', more="\n".join(tables))
    done = benchharness("run", suite)
    assert done.returncode == 3, done.stdout + done.stderr
    found = {each["configuration"]["name"]: each for each in json.loads(benchharness("export").stdout)["results"]}
    assert found.pop("good")["outcome"] == "ok"
    assert {name: found[name]["outcome"] for name in found} == {name: kind for name, (kind, _, _) in made.items()}
    for name, (_, why, python) in made.items():
        assert found[name]["reason"].startswith(f"the worker could not be started: {python}: "), name
        assert why in found[name]["reason"], name


@pytest.mark.skipif(os.name != "posix", reason="shell scripts stand for interpreters")
def test_an_interpreter_that_runs_no_scorer_takes_no_other_out_of_the_pass(
    benchharness: CommandLine, tmp_path: Path
) -> None:
    speaks = program(tmp_path / "speaks", "#!/bin/sh\necho good morning\n")
    (tmp_path / "suite.toml").write_text(
        f"""
        [models.digits]
        task = "classifier"
        evaluation = "{DIGITS}/evaluation.npz"
        reference = "fp32"
        [models.digits.variants]
        fp32 = {{ artefact = "{DIGITS}/artefacts/fp32.onnx" }}
        int8 = {{ artefact = "{DIGITS}/artefacts/int8.onnx" }}
        [[configurations]]
        name = "good"
        [[configurations]]
        name = "gone"
        python = "gone"
        [[configurations]]
        name = "speaks"
        python = "speaks"
        [scenarios.quality]
        """
    )
    done = benchharness("run", "suite.toml", "--no-report")
    assert done.returncode == 3, done.stdout + done.stderr
    results = json.loads(benchharness("export").stdout)["results"]
    found = {each["configuration"]["name"]: each for each in results if each["variant"] == "int8"}
    assert {name: each["outcome"] for name, each in found.items()} == {
        "good": "ok",
        "gone": "unsupported",
        "speaks": "crashed",
    }
    gone = tmp_path / "gone"
    assert found["gone"]["reason"] == f"the worker could not be started: {gone}: No such file or directory"
    assert found["speaks"]["reason"].endswith(f" (python = {speaks})")
