"""`python -m benchharness ...` for tests, without importing everything again for each of some hundred commands.

One process imports what every command does and forks for each of them: still a process of its own with its own
streams, environment and exit code, and it ends as an interpreter ends. What a start costs, and what is loaded then, is
tested with real starts (test_help, test_arrows).
"""

from __future__ import annotations

import importlib
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

_LOADED = (
    "alembic.command",
    "benchharness.api",
    *(f"benchharness.commands.{name}" for name in ("compress", "export", "report", "run", "runs", "show", "sweep")),
    "benchharness.execute.jobs",
    "benchharness.results.store",
    "matplotlib.backends.backend_svg",
    "reports.pages.html",
    "rich.console",
    "sqlalchemy.dialects.sqlite",
)


class Starter:
    """The process that forks: started when it is first asked, and gone with the tests."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None

    def run(
        self, arguments: Sequence[str], *, cwd: Path, env: Mapping[str, str], timeout: float
    ) -> subprocess.CompletedProcess[str]:
        """As `subprocess.run` with captured text. Raises `subprocess.TimeoutExpired`."""
        command = [sys.executable, "-m", "benchharness", *arguments]
        if not hasattr(os, "fork") or _brings_scenarios(env):  # which are read when modules are imported
            return subprocess.run(
                command, capture_output=True, text=True, timeout=timeout, cwd=cwd, env=env, check=False
            )
        with tempfile.TemporaryDirectory() as name:
            out, err = Path(name) / "out", Path(name) / "err"
            process = self._answer(
                {"arguments": [*arguments], "cwd": str(cwd), "env": dict(env), "out": str(out), "err": str(err)}
            )
            code = self._answer(None, timeout)
            if code is None:
                os.kill(process, signal.SIGKILL)
                self._answer(None, 10)
                raise subprocess.TimeoutExpired(command, timeout, out.read_text(), err.read_text())
            return subprocess.CompletedProcess(command, code, out.read_text(), err.read_text())

    def _answer(self, order: Mapping[str, Any] | None, timeout: float = 60) -> Any:
        """One line of the process, to an order if there is one; None where it says nothing in time."""
        if self._process is None:
            program = "from tests.command_line import serve; serve()"
            environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
            self._process = subprocess.Popen(
                [sys.executable, "-c", program],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                bufsize=1,
                env=environment,
            )
        assert self._process.stdin
        assert self._process.stdout
        if order is not None:
            self._process.stdin.write(json.dumps(order) + "\n")
        ready, _, _ = select.select([self._process.stdout], [], [], timeout)
        return json.loads(self._process.stdout.readline()) if ready else None

    def end(self) -> None:
        """Ends it."""
        if self._process is not None:
            self._process.communicate()
            self._process = None


STARTER = Starter()


def _brings_scenarios(env: Mapping[str, str]) -> bool:
    folders = filter(None, env.get("PYTHONPATH", "").split(os.pathsep))
    found = (file for folder in folders for file in Path(folder).glob("*.dist-info/entry_points.txt"))
    return any("benchharness.scenarios" in file.read_text() for file in found)


def serve() -> None:
    """Forks for each order that comes in; the child goes on as the command line."""
    for module in _LOADED:
        importlib.import_module(module)
    for line in sys.stdin:
        child = os.fork()
        if not child:
            _become(**json.loads(line))
            return
        print(child, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


def _become(arguments: Sequence[str], cwd: str, env: Mapping[str, str], out: str, err: str) -> None:
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    for number, (file, flags) in enumerate(
        ((os.devnull, os.O_RDONLY), (out, os.O_WRONLY | os.O_CREAT), (err, os.O_WRONLY | os.O_CREAT))
    ):
        os.dup2(os.open(file, flags), number)
    sys.path[:0] = [cwd, *filter(None, env.get("PYTHONPATH", "").split(os.pathsep))]
    sys.argv[:] = ["benchharness", *arguments]
    from benchharness.commands.entry import main

    main()
