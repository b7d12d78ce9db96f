"""A stand-in for an Android device, for the real adb client and server: a daemon on loopback that runs commands on this
machine as another user, in a root in which this checkout is not to be seen and Android's programs say what a test
wants.

No phone is like it: its kernel, its C library and its Python are this machine's.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shlex
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchharness.suite.device import Device
from tests import ssh_server
from tests.ssh_server import ROOT, SYSTEM_PYTHON, a_user, free_port, listens, processes_of, until

#: adb looks at ports 5555 to 5585 by itself, and would list a device there twice.
_LAST_OF_EMULATORS = 5585
#: What stands in for Android's own programs: they say what lies in a file by the name of what they are asked for.
_PROGRAMS = ("dumpsys", "getprop", "settings")
#: Those by which a program could hold a phone awake or change it, which is not ours to do: calls are written down.
_CHANGING, _TOUCHED = ("svc", "am", "cmd", "input", "pm"), "touched"
_WRITES = '#!/bin/sh\necho "$0 $*" >> /data/local/tmp/' + _TOUCHED + "\n"
_SAYS = '#!/bin/sh\nname=$(echo "${0##*/} $*" | tr " /" "__")\ncat "/system/says/$name" 2>/dev/null\n'


def missing() -> str:
    """What a test with a device cannot have here; nothing where it can."""
    if shutil.which("adb") is None:
        return "NO ADB HERE"
    return ssh_server.missing().replace("root and an SSH server (OpenSSH)", "root and an SSH server's test user")


#: A list of emulators of its own; and processes of its own, because the emulator tells a process another start of
#: itself than the kernel tells everybody else, and whoever looks for strays here would take it for one.
_OF_EMULATED = ["--mount", "--user", "--pid", "--fork", "--kill-child"]
#: Where the root of a bare device lies in the daemon's.
BARE_ROOT = "/bare"


@dataclass(frozen=True, kw_only=True)
class Bare:
    """What a device has that has nothing: Android's shell and a busybox, of its machine. `emulator`: what runs it here.

    busybox's own shell would start its programs as itself, which is the emulator.
    """

    shell: Path
    busybox: Path
    emulator: Path | None = None
    magic: str = ""  # of that machine's programs, as binfmt_misc takes it

    @property
    def emulated(self) -> bool:
        """Whether it is another machine than this."""
        return self.emulator is not None

    def mounts(self, root: Path, home: Path, system: Path) -> Iterator[str]:
        """Its root, in the daemon's: the kernel's folders, Android's programs, and one folder to write into."""
        for name, tool in (("sh", self.shell), ("busybox", self.busybox)):
            shutil.copy(tool, system / "bin" / name)
            (system / "bin" / name).chmod(0o755)
        for name in TOYBOX:
            (system / "bin" / name).symlink_to("busybox")
        there = f"{root}{BARE_ROOT}"
        yield f"mkdir -p {there} && mount -t tmpfs bare {there}"
        yield f"mkdir -p {there}/proc {there}/sys {there}/dev {there}/system {there}/data/local/tmp"
        yield f"mount -t proc proc {there}/proc"
        for name in ("sys", "dev"):
            yield f"mount --rbind /{name} {there}/{name}"
        yield f"mount --bind {system} {there}/system"
        yield f"mount --bind {home / 'tmp'} {there}/data/local/tmp"
        if self.emulator is not None:
            yield f"mkdir {root}/emulators && mount -t binfmt_misc ours {root}/emulators"
            # F: the emulator is opened now, and need not be in any root.
            yield f"printf '%s' ':ours:M::{self.magic}:{self.emulator}:F' > {root}/emulators/register"


#: What of Android's toybox is asked for, by us and by what stands in for Android's programs.
TOYBOX = ("cat", "chmod", "echo", "id", "ls", "mkdir", "mv", "rm", "sha256sum", "tr", "uname", "wc")


@dataclass(frozen=True, kw_only=True)
class Phone:
    """A running daemon, and what a profile of the device behind it says. `says`: a folder of what its programs say."""

    port: int
    user: str
    home: Path
    says: Path
    process: subprocess.Popen[bytes]

    @property
    def serial(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def work(self) -> Path:
        """Where its work folder, /data/local/tmp/benchharness, lies outside of its root."""
        return self.home / "tmp" / "benchharness"

    def device(self, **changes: object) -> Device:
        """The device, reached as it should be but for the changes."""
        table = {
            "name": "phone",
            "hardware": "test-phone",
            "connect": f"adb://{self.serial}",
            "python": str(self.home / "env/bin/python"),
        }
        return Device.model_validate({**table, **changes})

    def processes(self) -> list[str]:
        """Every process of the device's user."""
        return processes_of(self.user)

    def drop_lines(self) -> None:
        """Ends every connection, as a cable that is pulled does."""
        self.process.send_signal(signal.SIGUSR1)

    def becomes(self, state: str) -> None:
        """As the adb server sees it from now on: `ready`, `unauthorized`, `offline`, or `gone`."""
        (self.says.parent / "state").write_text(state, encoding="utf-8")
        self.drop_lines()

    def touched(self) -> str:
        """What was asked of those of Android's programs that change something there."""
        called = self.home / "tmp" / _TOUCHED
        return called.read_text() if called.exists() else ""

    def tell(self, words: str, said: str) -> None:
        """What one of its programs says from now on, such as `dumpsys battery`."""
        (self.says / words.replace(" ", "_").replace("/", "_")).write_text(said, encoding="utf-8")


@contextlib.contextmanager
def phone(
    folder: Path,
    *,
    state: str = "ready",
    shell: str = "v2",
    says: Mapping[str, str] | None = None,
    bare: Bare | None = None,
) -> Iterator[Phone]:
    """A device for as long as it is wanted, with a user of its own."""
    with a_user() as (user, home):
        (home / "tmp").mkdir()
        shutil.chown(home / "tmp", user, user)
        with running(folder, user, home, state=state, shell=shell, bare=bare) as found:
            for words, said in (says or {}).items():
                found.tell(words, said)
            yield found


@contextlib.contextmanager
def running(
    folder: Path, user: str, home: Path, *, state: str = "ready", shell: str = "v2", bare: Bare | None = None
) -> Iterator[Phone]:
    """A daemon for that user's device; a second one may run beside it. `bare`: commands run in a root of their own."""
    system, root, port = folder / "system", folder / "root", _port()
    (system / "bin").mkdir(parents=True)
    (system / "says").mkdir()
    root.mkdir()
    for name, program in {**dict.fromkeys(_PROGRAMS, _SAYS), **dict.fromkeys(_CHANGING, _WRITES)}.items():
        (system / "bin" / name).write_text(program if bare is None else program.replace("/bin/sh", "/system/bin/sh", 1))
        (system / "bin" / name).chmod(0o755)
    shutil.copy(Path(__file__).with_name("adbd.py"), system / "adbd.py")
    uid = pwd.getpwnam(user).pw_uid
    daemon = [SYSTEM_PYTHON, "/system/adbd.py", str(port), str(uid), state, shell]
    mounts = [*_mounts(root, home, system)]
    if bare is not None:
        mounts += bare.mounts(root, home, system)
        daemon.append(BARE_ROOT)
    script = "\n".join(["read go", *mounts, f"exec chroot {root} {shlex.join(daemon)}"])
    own = _OF_EMULATED if bare is not None and bare.emulated else ["--mount"]
    with (folder / "adbd.log").open("wb") as log:
        process = subprocess.Popen(
            ["unshare", *own, "sh", "-ec", script], stderr=log, stdout=log, stdin=subprocess.PIPE
        )
    _let_begin(process, maps="--user" in own)
    try:
        until(lambda: listens(port) or process.poll() is not None)
        assert process.poll() is None, (folder / "adbd.log").read_text()
        yield Phone(port=port, user=user, home=home, says=system / "says", process=process)
    finally:
        process.kill()  # whoever waits for a namespace's first process hears of nothing less
        process.wait(120)


def _let_begin(process: subprocess.Popen[bytes], *, maps: bool) -> None:
    """In a user namespace of its own every user is who he is outside: it is there for its own list of emulators."""
    assert process.stdin is not None
    if maps:
        theirs = Path(f"/proc/{process.pid}/ns/user")
        until(lambda: theirs.readlink() != Path("/proc/self/ns/user").readlink())
        for name in ("uid_map", "gid_map"):
            Path(f"/proc/{process.pid}/{name}").write_text("0 0 4294967295\n")
    process.stdin.write(b"go\n")
    process.stdin.close()


def _mounts(root: Path, home: Path, system: Path) -> Iterator[str]:
    """A root that is this machine's, without this checkout, and with Android's folders in it."""
    (home / "site").mkdir(exist_ok=True)
    yield f"mount --bind {Path(np.__file__).parent.parent} {home / 'site'}"
    yield f"mount -t tmpfs root {root}"
    for entry in sorted(Path("/").iterdir()):
        if entry.is_symlink():
            yield f"ln -s {entry.readlink()} {root}{entry}"
        elif entry.is_dir():
            yield f"mkdir {root}{entry} && mount --rbind {entry} {root}{entry}"
    yield f"mount -t tmpfs hidden {root}{ROOT}"
    yield f"mkdir -p {root}/data/local/tmp {root}/system"
    yield f"mount --bind {home / 'tmp'} {root}/data/local/tmp"
    yield f"mount --bind {system} {root}/system"


def _port() -> int:
    while (port := free_port()) <= _LAST_OF_EMULATORS:
        pass
    return port


@dataclass(frozen=True, kw_only=True)
class AdbServer:
    """An adb server of a test's own, on a port of its own."""

    port: int
    process: subprocess.Popen[bytes]

    def kill(self) -> None:
        """Ends it as a crash does; devices must be found again."""
        self.process.kill()
        self.process.wait(120)


@contextlib.contextmanager
def adb_server(folder: Path) -> Iterator[AdbServer]:
    """A server as long as it is wanted; whichever listens there then, the one that took its place too, ends."""
    port = _port()
    environment = {**os.environ, "HOME": str(folder), "ANDROID_ADB_SERVER_PORT": str(port)}
    with (folder / "adb.log").open("wb") as log:
        process = subprocess.Popen(
            ["adb", "-P", str(port), "server", "nodaemon"],
            env=environment,
            stdout=log,
            stderr=log,
            stdin=subprocess.DEVNULL,
        )
    try:
        until(lambda: listens(port))
        yield AdbServer(port=port, process=process)
    finally:
        subprocess.run(["adb", "-P", str(port), "kill-server"], env=environment, capture_output=True, check=False)
        process.kill()
        process.wait(120)
        until(lambda: not listens(port))
