"""Runs of the awkward adapter through the command line, in the background too, and the suites that they need."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from tests.command_line import STARTER, Process
from tests.conftest import CommandLine
from tests.integration.conftest import ADAPTERS
from tests.looks import so_within

#: What the tests wait for at most; far more than it takes, also on a machine that does much else.
PATIENCE_S = 180.0
#: A command that only refuses something is done long before; one that hangs is not.
SOON_S = 120.0


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
        timeout = "120 s"
        [models.m.variants]
        """
        + "\n".join(lines)
        + f"\n{more}\n"
    )
    return path


class Background:
    """A `benchharness run`, or another command, of our own; with its children known by a mark in their environment."""

    def __init__(
        self, folder: Path, store_url: str, *arguments: str | Path, name: str = "run", command: str = "run"
    ) -> None:
        self._mark, self._store = uuid.uuid4().hex, store_url.removeprefix("sqlite:///")
        self._out, self._err = folder / f"{name}.out", folder / f"{name}.err"
        environment = {
            **os.environ,
            "BENCHHARNESS_STORE": store_url,
            "PYTHONPATH": python_path(),
            "COLUMNS": "300",
            "BENCHHARNESS_TEST_MARK": self._mark,
        }
        words = [command, *(["--no-report"] if command == "run" else []), *map(str, arguments)]
        self.process = STARTER.start(words, cwd=folder, env=environment, out=self._out, err=self._err)

    @property
    def said(self) -> str:
        return self._out.read_text()

    @property
    def complained(self) -> str:
        return self._err.read_text()

    def wait_for_attempts(self, count: int) -> None:
        """Until so many attempts are stored."""
        wait_until(lambda: self.stored() >= count or self.process.poll() is not None)
        assert self.stored() >= count, self.said + self.complained

    def stored(self) -> int:
        """How many attempts of any run its store has."""
        try:
            with contextlib.closing(sqlite3.connect(f"file:{self._store}?mode=ro", uri=True)) as connection:
                return int(connection.execute("SELECT count(*) FROM attempts").fetchone()[0])
        except sqlite3.OperationalError:  # it is not made yet, or written just now
            return 0

    def send(self, *signals: signal.Signals, gap_s: float = 0.0) -> None:
        for each in signals:
            self.process.send_signal(each)
            time.sleep(gap_s)

    def wait(self) -> int:
        return self.process.wait(PATIENCE_S)

    def leaves_nothing_running(self) -> bool:
        """Whether all its processes are gone within two seconds."""
        return so_within(2, lambda: not self.living())

    def end(self) -> None:
        for process in self.living():
            with contextlib.suppress(psutil.NoSuchProcess):  # it has ended meanwhile
                process.kill()
        self.process.wait()

    def living(self) -> list[psutil.Process]:
        """Every process of it that is not a zombie."""
        return living(self._mark, self.process)


def living(mark: str, harness: Process | None) -> list[psutil.Process]:
    """The harness first, if it lives, then every process that carries its mark; no zombies.

    A process that was forked shows the environment of where it was forked.
    """
    found = []
    for process in psutil.process_iter():
        try:
            marked = process.environ().get("BENCHHARNESS_TEST_MARK") == mark
            if marked and process.status() != "zombie" and (harness is None or process.pid != harness.pid):
                found.append(process)
        except psutil.Error:
            continue
    with contextlib.suppress(psutil.Error):
        if harness is not None and harness.poll() is None:
            found.insert(0, psutil.Process(harness.pid))
    return found


def wait_until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not true() and time.monotonic() < deadline:
        time.sleep(0.02)


def wrapper(path: Path, *lines: str) -> Path:
    """An interpreter for a configuration's `python`: a shell script that does something first."""
    path.write_text("\n".join(("#!/bin/sh", *lines, f'exec "{sys.executable}" "$@"', "")))
    path.chmod(0o755)
    return path


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
