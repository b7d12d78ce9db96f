"""`python -m benchharness ...` for tests, without importing everything again for each of some hundred commands.

One process imports what every command does and forks for each of them: still a process of its own with its own
streams, environment and exit code, and it ends as an interpreter ends. What a start costs, and what is loaded then, is
tested with real starts (test_help, test_arrows).
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

_LOADED = (
    "alembic.command",
    "benchharness.api",
    *(f"benchharness.commands.{name}" for name in ("compress", "export", "report", "run", "runs", "show", "sweep")),
    "benchharness.measure",
    "benchharness.results.store",
    "matplotlib.backends.backend_svg",
    "reports.pages.html",
    "rich.console",
    "sqlalchemy.dialects.sqlite",
)


_WRITING = os.O_WRONLY | os.O_CREAT | os.O_APPEND


class Starter:
    """The process that forks: started when it is first asked, and gone with the tests.

    `before`: the start of its command line, which takes something from it and from all that it forks.
    """

    def __init__(self, before: Sequence[str] = ()) -> None:
        self._before = before
        self._process: subprocess.Popen[str] | None = None

    def run(
        self, arguments: Sequence[str], *, cwd: Path, env: Mapping[str, str], timeout: float
    ) -> subprocess.CompletedProcess[str]:
        """As `subprocess.run` with captured text. Raises `subprocess.TimeoutExpired`."""
        with tempfile.TemporaryDirectory() as name:
            out, err = Path(name) / "out", Path(name) / "err"
            process = self.start(arguments, cwd=cwd, env=env, out=out, err=err)
            try:
                code = process.wait(timeout)
            except subprocess.TimeoutExpired as error:
                process.send_signal(signal.SIGKILL)
                process.wait(120)
                raise subprocess.TimeoutExpired(error.cmd, timeout, out.read_text(), err.read_text()) from None
            return subprocess.CompletedProcess(["benchharness", *arguments], code, out.read_text(), err.read_text())

    def start(self, arguments: Sequence[str], *, cwd: Path, env: Mapping[str, str], out: Path, err: Path) -> Process:
        """A process whose output goes to two files, or to one, in place of what they held."""
        out.write_bytes(b"")
        err.write_bytes(b"")
        if not hasattr(os, "fork") or _brings_scenarios(env):  # which are read when modules are imported
            command = [*self._before, sys.executable, "-m", "benchharness", *arguments]
            with out.open("ab") as stdout, err.open("ab") as stderr:
                return subprocess.Popen(
                    command, stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr, cwd=cwd, env=dict(env)
                )
        told = {"arguments": [*arguments], "cwd": str(cwd), "env": dict(env), "out": str(out), "err": str(err)}
        return _Forked(self, self.answer(told))

    def answer(self, order: Mapping[str, Any]) -> Any:
        """What the process says to an order."""
        if self._process is None:
            program = "from tests.command_line import serve; serve()"
            environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONUNBUFFERED": "1"}
            self._process = subprocess.Popen(
                [*self._before, sys.executable, "-c", program],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                bufsize=1,
                env=environment,
            )
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps(order) + "\n")
        return json.loads(self._process.stdout.readline())

    def end(self) -> None:
        """Ends it."""
        if self._process is not None:
            self._process.communicate()
            self._process = None


STARTER = Starter()


def started_behind(before: Sequence[str]) -> Iterator[Starter]:
    """For a fixture: a starter behind other words, and its end."""
    made = Starter(before)
    yield made
    made.end()


def _brings_scenarios(env: Mapping[str, str]) -> bool:
    folders = filter(None, env.get("PYTHONPATH", "").split(os.pathsep))
    found = (file for folder in folders for file in Path(folder).glob("*.dist-info/entry_points.txt"))
    return any("benchharness.scenarios" in file.read_text() for file in found)


class Process(Protocol):
    """What is used of `subprocess.Popen`."""

    pid: int

    def poll(self) -> int | None: ...

    def wait(self, timeout: float | None = None) -> int: ...

    def send_signal(self, sig: int) -> None: ...


class _Forked:
    """A child of the process that forks."""

    def __init__(self, starter: Starter, pid: int) -> None:
        self._starter = starter
        self._code: int | None = None
        self.pid = pid

    def poll(self) -> int | None:
        return self._ended_within(0)

    def wait(self, timeout: float | None = None) -> int:
        code = self._ended_within(600 if timeout is None else timeout)
        if code is None:
            raise subprocess.TimeoutExpired("benchharness", timeout or 0)
        return code

    def _ended_within(self, seconds: float) -> int | None:
        if self._code is None:
            self._code = self._starter.answer({"pid": self.pid, "seconds": seconds})
        return self._code

    def send_signal(self, sig: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, sig)


def serve() -> None:
    """Forks for each order that names arguments; the child goes on as the command line. Else tells how one ended."""
    for module in _LOADED:
        importlib.import_module(module)
    gc.collect()
    gc.freeze()  # else each child touches, and so copies, all of it when it ends
    for line in sys.stdin:
        order = json.loads(line)
        if "pid" in order:
            print(json.dumps(_ended_within(**order)))
        elif child := os.fork():
            print(child)
        else:
            _become(**order)
            return


def _ended_within(pid: int, seconds: float) -> int | None:
    deadline = time.monotonic() + seconds
    while True:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() >= deadline:
            return None
        time.sleep(0.005)


def _become(arguments: Sequence[str], cwd: str, env: Mapping[str, str], out: str, err: str) -> None:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # which a shell may have its background jobs ignore
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    for number, (file, flags) in enumerate(((os.devnull, os.O_RDONLY), (out, _WRITING), (err, _WRITING))):
        os.dup2(os.open(file, flags), number)
    sys.path[:0] = [cwd, *filter(None, env.get("PYTHONPATH", "").split(os.pathsep))]
    sys.argv[:] = ["benchharness", *arguments]
    from benchharness.commands.entry import main

    main()
