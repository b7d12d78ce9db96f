"""The launcher for this machine. Files stay where they are; the supervisor is a child of the harness."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from benchharness.device.processes.child import Answer, ask
from benchharness.errors import LaunchError
from benchharness.launch import Question, question_command, supervisor_command
from benchharness.launch.bundle import put_bundle
from benchharness.launch.pipes import PipeConnection


class LocalLauncher:
    """Runs supervisors on this machine, their files under `state`. `python`: another interpreter for them."""

    detached = False

    def __init__(self, state: Path, python: str | None = None) -> None:
        self._state = state
        self._python = python

    def put(self, file: Path, name: str, digest: str) -> str:
        """The file's own path: nothing is copied."""
        return str(file)

    def ask(self, question: Question) -> Answer:
        """What a child process says."""
        bundle = put_bundle(self, self._state) if self._python else None
        command = question_command(self._python or sys.executable, question, bundle)
        try:
            return ask(command, question.patience_s, told=question.told, most_bytes=question.most_bytes)
        except OSError as error:
            raise LaunchError(f"{command[0]}: cannot be started ({error.strerror})") from error

    def work_folder(self, run: str) -> str:
        """A folder of the run's own, kept until the run is complete."""
        return str(self._state / "runs" / run)

    def start(self, work: str, bundle: str) -> PipeConnection:
        """Starts the supervisor in a session of its own, so that Ctrl-C reaches the harness alone."""
        folder = Path(work)
        log = folder / f"supervisor-{os.getpid()}.log"  # another harness at the same run keeps its own
        command = supervisor_command(self._python or sys.executable, work, bundle, installed=self._python is None)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with log.open("wb") as stderr:
                process = subprocess.Popen(
                    command,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=stderr,
                    cwd=folder,
                    start_new_session=True,
                )
        except OSError as error:
            what = error.filename or command[0]
            raise LaunchError(f"{what}: the supervisor cannot be started ({error.strerror})") from error
        return PipeConnection(process, log)

    def fetch(self, path: str) -> bytes:
        """The content of a file."""
        try:
            return Path(path).read_bytes()
        except OSError as error:
            raise LaunchError(f"{path}: {error.strerror}") from error

    def remove(self, work: str) -> None:
        """Removes a run's work folder."""
        shutil.rmtree(work, ignore_errors=True)
