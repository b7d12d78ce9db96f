"""What several test modules share: small models, and a way to run the command line as a user does."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
DEMO = ROOT / "examples" / "demo_model"
ARTEFACTS = DEMO / "artefacts"

CommandLine = Callable[..., "subprocess.CompletedProcess[str]"]

# A shell's background job ignores Ctrl-C, and so would every program that a test starts from one.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def store_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'store.db'}"


@pytest.fixture
def benchharness(tmp_path: Path, store_url: str) -> CommandLine:
    """Runs `python -m benchharness ...` in a folder of the test's own, with a store of its own."""

    def run(*arguments: str | Path, timeout: float = 120) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "BENCHHARNESS_STORE": store_url, "COLUMNS": "200", "NO_COLOR": "1"}
        command = [sys.executable, "-m", "benchharness", *map(str, arguments)]
        return subprocess.run(
            command, capture_output=True, text=True, timeout=timeout, cwd=tmp_path, env=environment, check=False
        )

    return run
