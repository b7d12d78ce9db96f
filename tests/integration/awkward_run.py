"""Runs of the awkward adapter through the command line, in the background too, and the suites that they need."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import psutil

from tests.conftest import CommandLine
from tests.integration.conftest import ADAPTERS

#: What the tests wait for at most; far more than it takes.
PATIENCE_S = 30.0
#: A command that only refuses something is done long before; one that hangs is not.
SOON_S = 30.0


def python_path() -> str:
    """Where the awkward adapter is found, before whatever was set already."""
    return os.pathsep.join(filter(None, (str(ADAPTERS), os.environ.get("PYTHONPATH", ""))))


def awkward_suite(
    folder: Path,
    variants: dict[str, str] | None = None,
    *,
    attempts: int = 1,
    min_time: str = "1 ms",
    configuration: str = "",
    more: str = "",
) -> Path:
    """Writes a suite of one scenario, and a model for each variant from the words it is to follow."""
    lines = []
    for position, (name, words) in enumerate((variants or {"a": "fine"}).items()):
        (folder / f"{position}.awkward").write_text(words)
        lines.append(f"{name} = {{ artefact = '{position}.awkward' }}")
    path = folder / "suite.toml"
    path.write_text(
        f"""
        [[configurations]]
        runtime = "awkward"
        {configuration}
        [scenarios.steady]
        min_time = "{min_time}"
        [attempts]
        at_least = {attempts}
        timeout = "30 s"
        [models.m.variants]
        """
        + "\n".join(lines)
        + f"\n{more}\n"
    )
    return path


class Background:
    """A `benchharness run` of our own; it and its children are known by a mark in their environment."""

    def __init__(self, folder: Path, store_url: str, *arguments: str | Path, name: str = "run") -> None:
        self._mark = uuid.uuid4().hex
        self._out, self._err = folder / f"{name}.out", folder / f"{name}.err"
        environment = {
            **os.environ,
            "BENCHHARNESS_STORE": store_url,
            "PYTHONPATH": python_path(),
            "PYTHONUNBUFFERED": "1",
            "COLUMNS": "300",
            "BENCHHARNESS_TEST_MARK": self._mark,
        }
        command = [sys.executable, "-m", "benchharness", "run", "--no-report", *map(str, arguments)]
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self.process = subprocess.Popen(
                command,
                cwd=folder,
                env=environment,
                stdout=out,
                stderr=err,
                preexec_fn=_listen_to_signals,  # noqa: PLW1509 - signal handlers only
            )

    @property
    def said(self) -> str:
        return self._out.read_text()

    @property
    def complained(self) -> str:
        return self._err.read_text()

    def wait_for_attempts(self, count: int) -> None:
        """Until the user has been told of so many attempts."""
        wait_until(lambda: self.said.count(": attempt ") >= count or self.process.poll() is not None)
        assert self.said.count(": attempt ") >= count, self.said + self.complained

    def send(self, *signals: signal.Signals, gap_s: float = 0.0) -> None:
        for each in signals:
            self.process.send_signal(each)
            time.sleep(gap_s)

    def wait(self) -> int:
        return self.process.wait(PATIENCE_S * 2)

    def leaves_nothing_running(self) -> bool:
        """Whether all its processes are gone within two seconds."""
        deadline = time.monotonic() + 2
        while living := self.living():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.05)
        return not living

    def end(self) -> None:
        for process in self.living():
            with contextlib.suppress(psutil.NoSuchProcess):  # it has ended meanwhile
                process.kill()
        self.process.wait()

    def living(self) -> list[psutil.Process]:
        """Every process that carries our mark and is not a zombie."""
        found = []
        for process in psutil.process_iter():
            try:
                if process.environ().get("BENCHHARNESS_TEST_MARK") == self._mark and process.status() != "zombie":
                    found.append(process)
            except psutil.Error:
                continue
        return found


def _listen_to_signals() -> None:
    """A shell that starts the tests in the background may have them ignore Ctrl-C, and children inherit that."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def wait_until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not true() and time.monotonic() < deadline:
        time.sleep(0.02)


def wrapper(path: Path, *lines: str) -> Path:
    """An interpreter for a configuration's `python`: a shell script that does something first."""
    path.write_text("\n".join(("#!/bin/sh", *lines, f'exec "{sys.executable}" "$@"', "")))
    path.chmod(0o755)
    return path


def without_override() -> Sequence[str] | None:
    """What to put before a command so that file permissions hold for it; None where root cannot give that up."""
    if os.geteuid() != 0:
        return ()
    if shutil.which("setpriv") is None:
        return None
    return ("setpriv", "--bounding-set=-dac_override,-dac_read_search")


def refused(done: subprocess.CompletedProcess[str], *words: str) -> None:
    """A sentence of bearable length that holds the words, and exit code 2."""
    assert "Traceback" not in done.stdout + done.stderr, done.stderr[-2000:]
    assert done.returncode == 2, done.stdout + done.stderr
    assert len(done.stderr) < 4000
    for word in words:
        assert word in done.stderr


def results(benchharness: CommandLine) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(benchharness("export").stdout)["results"]
    return found
