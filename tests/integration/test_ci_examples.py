"""The workflows in examples/ci: their steps are run, in a repository whose candidate is slower than its base."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import ROOT
from tests.integration.test_compare import GAP_NS, suite

EXAMPLES = ROOT / "examples" / "ci"


def github() -> tuple[list[str], list[str]]:
    """The scripts of the workflow's steps, and what it keeps."""
    workflow = yaml.safe_load((EXAMPLES / "github-actions.yml").read_text())
    steps: Sequence[Any] = workflow["jobs"]["gate"]["steps"]
    kept = next(step["with"]["path"] for step in steps if "upload-artifact" in step.get("uses", ""))
    return [step["run"] for step in steps if "run" in step], kept.split()


def gitlab() -> tuple[list[str], list[str]]:
    job = yaml.safe_load((EXAMPLES / "gitlab-ci.yml").read_text())["gate"]
    return job["script"], [*job["artifacts"]["paths"], job["artifacts"]["reports"]["junit"]]


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Its tag v1 is the base; an environment stands where the workflows make theirs."""

    def git(*words: str) -> None:
        identity = ("-c", "user.name=a", "-c", "user.email=a@b")
        subprocess.run(["git", *identity, *words], cwd=tmp_path, check=True, capture_output=True)

    suite(tmp_path)
    git("init")
    git("add", ".")
    git("commit", "-m", "one")
    git("tag", "v1")
    suite(tmp_path, GAP_NS * 2)
    program = tmp_path / ".venv" / "bin" / "benchharness"
    program.parent.mkdir(parents=True)
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m benchharness "$@"\n')
    program.chmod(0o755)
    return tmp_path


@pytest.mark.parametrize("example", [github, gitlab], ids=["github", "gitlab"])
def test_the_steps_gate_and_leave_what_is_kept(repository: Path, example: Any) -> None:
    scripts, kept = example()
    installs = [line for script in scripts for line in script.splitlines() if "venv" in line and "gate" not in line]
    assert any("pip install" in line for line in installs)
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert any(f"benchharness[{extra}]" in line for line in installs for extra in extras)
    (gate,) = [script for script in scripts if "benchharness gate" in script]
    path = os.pathsep.join((str(ROOT / "tests" / "own_loop"), str(ROOT)))
    environment = {**os.environ, "PYTHONPATH": path, "BASE": "v1"}
    done = subprocess.run(
        ["bash", "-ec", gate], cwd=repository, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert "gate red: 1 of 1 failed" in done.stderr
    for name in kept:
        assert (repository / name).exists(), name
