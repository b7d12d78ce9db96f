"""Where Windows has no modules, functions and signals of POSIX, nothing fails at import and unknowns say why."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from tests.conftest import ROOT

#: What others' packages need of the system they are on is theirs: they are loaded before it is taken away.
LIBRARIES = """
import alembic.command, jinja2, matplotlib.figure, numpy, platformdirs, psutil, pydantic, pytest, rich.console
import ruptures, scipy.stats, sqlalchemy.dialects.sqlite, typer, uuid_utils
"""
#: Makes this process as poor as one on Windows. `os.name` stays: pathlib asks it for every path.
WITHOUT_POSIX = """
import asyncio, concurrent.futures, importlib, io, json, multiprocessing, os, pathlib, pkgutil, platform, select, signal
import shutil, socket, subprocess, sys, tempfile, threading, uuid

for name in ("fcntl", "grp", "pty", "pwd", "resource", "syslog", "termios", "tty"):
    sys.modules[name] = None
GONE = ("O_NONBLOCK", "WNOHANG", "WEXITED", "WNOWAIT", "P_PID", "P_ALL", "chroot", "fork", "forkpty", "getegid",
        "geteuid", "getgid", "getgroups", "getloadavg", "getpgid", "getpgrp", "getpriority", "getuid", "killpg",
        "mkfifo", "nice", "pidfd_open", "posix_fadvise", "posix_spawn", "readv", "register_at_fork",
        "sched_getaffinity", "sched_setaffinity", "setpgid", "setsid", "statvfs", "sysconf", "uname", "wait4",
        "waitid", "writev")
for name in GONE:
    if hasattr(os, name):
        delattr(os, name)
for name in ("SIGALRM", "SIGBUS", "SIGCHLD", "SIGCONT", "SIGHUP", "SIGKILL", "SIGPIPE", "SIGQUIT", "SIGSTOP",
             "SIGUSR1", "SIGUSR2", "SIG_BLOCK", "alarm", "pthread_sigmask", "setitimer", "sigwait"):
    if hasattr(signal, name):
        delattr(signal, name)
for name in ("poll", "epoll"):
    delattr(select, name)
sys.platform = "win32"
HIDDEN = ("onnx", "coremltools", "onnxruntime_genai", "openvino", "lm_eval", "torch")
for name in HIDDEN:
    sys.modules[name] = None
"""
IMPORTS = """
import benchharness, reports, targets
failed = {}
for package in (benchharness, reports, targets):
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + ".", onerror=lambda name: None):
        if module.name.endswith("__main__") or ".migrations." in module.name:
            continue
        try:
            importlib.import_module(module.name)
        except ModuleNotFoundError as error:
            if error.name.partition(".")[0] not in HIDDEN:  # packages of extras
                failed[module.name] = repr(error)
        except Exception as error:
            failed[module.name] = repr(error)
print(json.dumps(failed))
"""


def poor(code: str, libraries: str = "") -> Any:
    """What code prints in such a process, as JSON."""
    command = [sys.executable, "-c", libraries + WITHOUT_POSIX + code]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_every_module_is_imported_without_posix() -> None:
    assert poor(IMPORTS, LIBRARIES) == {}


UNKNOWNS = """
from benchharness.device import conditions
found = {name: getattr(conditions, name)() for name in ("load_average", "cores_allowed")}
print(json.dumps({**found, **conditions.temperature()}))
"""


def test_conditions_are_unknown_with_a_reason() -> None:
    for name, found in poor(UNKNOWNS).items():
        assert found["unknown"], name


LIMITS = """
from benchharness.device.scenarios.constrained.limits import best
way, why_not = best()
print(json.dumps([type(way).__name__, why_not]))
"""


def test_limits_are_not_there_and_say_why() -> None:
    way, (reason,) = poor(LIMITS)
    assert way == "Way"
    assert "win32 does not hold address-space limits" in reason
