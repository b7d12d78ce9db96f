"""An OpenSSH server on loopback that makes this machine a device far away: another user where that can be, another
root in which this checkout is not to be seen, and the system's own Python."""

from __future__ import annotations

import contextlib
import itertools
import os
import pwd
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from benchharness.suite.device import Device

ROOT = Path(__file__).parent.parent
SYSTEM_PYTHON = "/usr/bin/python3"
_STARTING_S = 120.0
#: Numbers of users, so that two at a time are two.
_USERS = itertools.count()


def missing() -> str:
    """What a test with a server cannot have here; nothing where it can."""
    if sys.platform != "linux":
        return "needs Linux"
    if os.getuid() != 0 or _sshd() is None or shutil.which("unshare") is None:
        return "needs root and an SSH server (OpenSSH)"
    told = [SYSTEM_PYTHON, "-c", "import sys, venv; print(*sys.version_info[:2])"]
    done = subprocess.run(told, capture_output=True, check=False)
    if done.stdout.split() != [str(each).encode() for each in sys.version_info[:2]]:
        return "needs a system Python as old as this one"
    return ""


def _sshd() -> str | None:
    return shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


@dataclass(frozen=True, kw_only=True)
class Server:
    """A running server, and what a profile of the device behind it says."""

    port: int
    user: str
    home: Path
    key: Path
    host_key: str
    process: subprocess.Popen[bytes]

    def device(self, **changes: object) -> Device:
        """The device, reached as it should be but for the changes."""
        table = {
            "name": "loopback",
            "hardware": "test-board",
            "connect": f"ssh://{self.user}@127.0.0.1:{self.port}",
            "key": self.key,
            "host_key": self.host_key,
            "python": str(self.home / "env/bin/python"),
        }
        return Device.model_validate({**table, **changes})

    def processes(self) -> list[str]:
        """Every process of the device's user but the server's own."""
        return [line for line in processes_of(self.user) if "sshd" not in line]

    def drop_lines(self) -> None:
        """Ends every connection, as a cable that is pulled does."""
        subprocess.run(["pkill", "-KILL", "-u", self.user, "-x", "sshd"], check=False)


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[Server]:
    """A server for as long as it is wanted, with a user of its own."""
    with a_user() as (user, home), _running(folder, user, home) as server:
        yield server


@contextlib.contextmanager
def a_user() -> Iterator[tuple[str, Path]]:
    """A user of this machine, who has nothing but a home with a Python in it, as long as it is wanted."""
    user = f"benchdev{os.getpid() % 1_000_000}x{next(_USERS)}"  # a phone of the same test has one too
    subprocess.run(
        ["useradd", "--create-home", "--password", "*", "--shell", "/bin/bash", user], check=True, capture_output=True
    )
    home = Path(pwd.getpwnam(user).pw_dir)
    try:
        install_python(home, user)
        yield user, home
    finally:
        subprocess.run(["pkill", "-KILL", "-u", user], check=False)
        until(lambda: subprocess.run(["userdel", "--remove", user], capture_output=True, check=False).returncode == 0)


def processes_of(user: str) -> list[str]:
    """Every living process of a user: its id and command line."""
    command = ["ps", "-ww", "-u", user, "-o", "pid=,args="]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return [line for line in done.stdout.splitlines() if "<defunct>" not in line]


def install_python(home: Path, user: str) -> None:
    """An environment of the system's Python that finds numpy and the runtimes in a folder of its own root."""
    (home / "site").mkdir()
    as_user = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups"]
    subprocess.run([*as_user, SYSTEM_PYTHON, "-m", "venv", "--without-pip", str(home / "env")], check=True)
    paths = next((home / "env/lib").glob("python3*/site-packages")) / "site.pth"
    paths.write_text(f"{home / 'site'}\n")


@contextlib.contextmanager
def _running(folder: Path, user: str, home: Path) -> Iterator[Server]:
    key, host_key = folder / "key", folder / "host_key"
    for path in (key, host_key):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True)
    Path("/run/sshd").mkdir(exist_ok=True)  # of Debian's, which starts it as a service
    authorized = home / "authorized_keys"
    shutil.copy(f"{key}.pub", authorized)
    port = free_port()
    config = folder / "sshd_config"
    config.write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {host_key}\nAuthorizedKeysFile {authorized}\nStrictModes no\n"
        f"PasswordAuthentication no\nKbdInteractiveAuthentication no\nUsePAM no\nAllowUsers {user}\nMaxStartups 100\n"
        f"PidFile none\nMaxSessions 20\n"
    )
    site = Path(np.__file__).parent.parent
    hidden = " && ".join(f"mount -t tmpfs hidden {each}" for each in (ROOT,))
    (home / "full").mkdir()
    full = f"mount -t tmpfs -o size=100k,mode=700,uid={pwd.getpwnam(user).pw_uid} small {home / 'full'}"
    script = f"mount --bind {site} {home / 'site'} && {full} && {hidden} && exec {_sshd()} -D -e -f {config}"
    with (folder / "sshd.log").open("wb") as log:
        process = subprocess.Popen(["unshare", "--mount", "sh", "-c", script], stderr=log, stdout=log)
    try:
        until(lambda: listens(port) or process.poll() is not None)
        assert process.poll() is None, (folder / "sshd.log").read_text()
        told = Path(f"{host_key}.pub").read_text().split()
        yield Server(port=port, user=user, home=home, key=key, host_key=" ".join(told[:2]), process=process)
    finally:
        process.terminate()
        process.wait(120)


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


def listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


def until(holds: object) -> None:
    deadline_s = time.monotonic() + _STARTING_S
    while not holds():  # type: ignore[operator]
        if time.monotonic() > deadline_s:
            pytest.fail("it did not come about in time")
        time.sleep(0.05)
