"""A launcher that makes this machine look like a device far away: another root, no shared files, another clock, and
a line that drops. Whatever works through it does not lean on the host."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from benchharness.device.line.protocol import Message
from benchharness.device.processes.child import Answer, ask
from benchharness.errors import ConnectionLost, LaunchError
from benchharness.launch import Question, question_command, supervisor_command
from benchharness.launch.bundle import put_bundle
from benchharness.launch.pipes import PipeConnection

#: Two hours ahead, and a monotonic clock with another beginning.
SKEWED_CLOCK = """
import time

_unix, _counter, _monotonic = time.time_ns, time.perf_counter_ns, time.monotonic
time.time_ns = lambda: _unix() + 7_200_000_000_000
time.time = lambda: time.time_ns() / 1e9
time.perf_counter_ns = lambda: _counter() + 10**15
time.monotonic = lambda: _monotonic() + 1e6
"""


class AwkwardLauncher:
    """Copies what it is given under `root` and runs the device side out of the bundle there, with nothing else."""

    def __init__(self, root: Path, adapters: Path, drop_after: int | None = None, drops: int = 1) -> None:
        self._root = root
        self._drop_after = drop_after
        self._drops = drops
        self.started = 0
        self.questions: list[Question] = []
        site = root / "site"
        site.mkdir(parents=True)
        (site / "sitecustomize.py").write_text(SKEWED_CLOCK)
        shutil.copytree(adapters, site, dirs_exist_ok=True)

    def put(self, file: Path, name: str, digest: str) -> str:
        assert ".." not in Path(name).parts
        target = self._root / "files" / name
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(file, target)
        return str(target)

    def ask(self, question: Question) -> Answer:
        self.questions.append(question)
        bundle = put_bundle(self, self._root.parent / "host")
        command = question_command(sys.executable, question, bundle)
        folder = self._root / "files"
        patience_s, most = question.patience_s, question.most_bytes
        answer = ask(command, patience_s, told=question.told, cwd=folder, env=self._environment(), most_bytes=most)
        if self._drop_after is not None and len(self.questions) <= self._drops:
            raise ConnectionLost("the cable was pulled")
        return answer

    def _environment(self) -> dict[str, str]:
        return {"PATH": os.environ["PATH"], "PYTHONPATH": str(self._root / "site"), "PYTHONNOUSERSITE": "1"}

    detached = False

    def work_folder(self, run: str) -> str:
        return str(self._root / "work" / run)

    def start(self, work: str, bundle: str) -> DroppingConnection:
        self.started += 1
        folder = Path(work)
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                supervisor_command(sys.executable, work, bundle, installed=False),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                cwd=folder,
                env=self._environment(),
                start_new_session=True,
            )
        drop_after = self._drop_after if self.started <= self._drops else None
        return DroppingConnection(process, folder / "log", drop_after)

    def fetch(self, path: str) -> bytes:
        try:
            return Path(path).read_bytes()
        except OSError as error:
            raise LaunchError(str(error)) from error

    def remove(self, work: str) -> None:
        shutil.rmtree(work, ignore_errors=True)


class DroppingConnection(PipeConnection):
    """Loses the line after so many messages from the device."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path, drop_after: int | None) -> None:
        super().__init__(process, log)
        self._left = drop_after

    def receive(self, timeout_s: float) -> Message | None:
        if self._left == 0:
            self.kill()
            raise ConnectionLost("the cable was pulled")
        message = super().receive(timeout_s)
        if message is not None and self._left is not None:
            self._left -= 1
        return message
