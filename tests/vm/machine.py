"""A Debian in a virtual machine, made by debootstrap and started by qemu, reached over SSH like any device.

It is made once, into a folder whose name is its recipe's digest; a started machine writes to nothing that stays. It
runs under software emulation: its times are not a device's, and outcomes and verdicts alone count.
"""

from __future__ import annotations

import contextlib
import hashlib
import inspect
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchharness.suite.device import Device

MIRROR = os.environ.get("BENCHHARNESS_VM_MIRROR", "http://deb.debian.org/debian")
RELEASE = "bookworm"
USER = "bench"
PACKAGES = (
    *("systemd", "systemd-sysv", "dbus", "dbus-user-session", "libpam-systemd", "udev", "openssh-server"),
    *("python3", "python3-venv", "linux-image-cloud-amd64", "initramfs-tools", "iproute2", "procps", "util-linux"),
)
#: Written into the root before it becomes an image; a path that ends in `/` is a folder.
FILES = {
    "etc/hostname": "device\n",
    "etc/fstab": "/dev/vda / ext4 defaults 0 1\n",
    "etc/systemd/network/10-all.network": "[Match]\nName=en* eth*\n[Network]\nDHCP=yes\n",
    "etc/resolv.conf": "nameserver 10.0.2.3\n",
    "etc/ssh/sshd_config.d/ours.conf": "PermitRootLogin prohibit-password\nMaxStartups 100\n",
}
_TOOLS = ("debootstrap", "qemu-system-x86_64", "mkfs.ext4", "ssh-keygen", "chroot")
_SIZE = "3G"
_MEMORY = "2048"
_CORES = 2
_STARTING_S = {"kvm": 90.0, "tcg": 900.0}


def missing() -> str:
    """What is not here; nothing where a machine can be made."""
    if os.name != "posix" or os.getuid() != 0:
        return "a virtual machine's root is made by root"
    gone = [name for name in _TOOLS if shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/sbin") is None]
    return f"not installed: {', '.join(gone)} (apt install debootstrap qemu-system-x86 e2fsprogs)" if gone else ""


def accelerator() -> str:
    """Software emulation, unless KVM is asked for: inside another virtual machine it opens, and the kernel hangs."""
    return os.environ.get("BENCHHARNESS_VM_ACCELERATOR", "tcg")


@dataclass(frozen=True, kw_only=True)
class Machine:
    """A started machine."""

    port: int
    key: Path
    host_key: str
    by: str  # kvm or tcg

    def device(self, user: str = USER, **changes: object) -> Device:
        """It as a device."""
        table = {
            "name": f"vm-{user}",
            "hardware": "virtual-machine",
            "connect": f"ssh://{user}@127.0.0.1:{self.port}",
            "key": self.key,
            "host_key": self.host_key,
        }
        return Device.model_validate({**table, **changes})

    def run(self, command: str, user: str = "root") -> str:
        """What a command there prints. Raises `CalledProcessError`."""
        options = ["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR"]
        ssh = ["ssh", "-i", str(self.key), "-p", str(self.port), *options, f"{user}@127.0.0.1", command]
        return subprocess.run(ssh, capture_output=True, text=True, check=True, timeout=600).stdout


def made(cache: Path) -> Path:
    """The folder of the image, its kernel and its keys; made where it is not there yet, which takes some minutes."""
    recipe = repr((RELEASE, PACKAGES, FILES, _SIZE, inspect.getsource(_furnish)))
    folder = cache / hashlib.sha256(recipe.encode()).hexdigest()[:16]
    if (folder / "complete").is_file():
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    root = folder / "root"
    include = f"--include={','.join(PACKAGES)}"
    with (folder / "debootstrap.log").open("wb") as log:
        command = ["debootstrap", "--variant=minbase", include, RELEASE, str(root), MIRROR]
        subprocess.run(command, stdout=log, stderr=log, check=True)
    _furnish(root, folder)
    for name in ("vmlinuz", "initrd.img"):
        shutil.copy(next((root / "boot").glob(f"{name}-*")), folder / name)
    subprocess.run(["mkfs.ext4", "-q", "-d", str(root), str(folder / "disk"), _SIZE], check=True)
    shutil.rmtree(root)
    (folder / "complete").touch()
    return folder


def _furnish(root: Path, folder: Path) -> None:
    for name, content in FILES.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        path.write_text(content, encoding="utf-8")
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / "key")], check=True)
    subprocess.run(["chroot", str(root), "useradd", "--create-home", "--shell", "/bin/bash", USER], check=True)
    subprocess.run(["chroot", str(root), "usermod", "--password", "*", USER], check=True)
    subprocess.run(["chroot", str(root), "systemctl", "enable", "-q", "systemd-networkd", "ssh"], check=True)
    for home, owner in ((root / "root", 0), (root / "home" / USER, 1000)):
        (home / ".ssh").mkdir(mode=0o700, exist_ok=True)
        shutil.copy(folder / "key.pub", home / ".ssh" / "authorized_keys")
        for path in (home / ".ssh", home / ".ssh" / "authorized_keys"):
            os.chown(path, owner, owner)
    shutil.copy(root / "etc/ssh/ssh_host_ed25519_key.pub", folder / "host_key.pub")


@contextlib.contextmanager
def running(cache: Path) -> Iterator[Machine]:
    """A started machine, as long as it is wanted. What it writes is lost when it ends."""
    folder, by, port = made(cache), accelerator(), _free_port()
    command = ["qemu-system-x86_64", "-accel", by, "-cpu", "host" if by == "kvm" else "max", "-smp", str(_CORES)]
    command += ["-m", _MEMORY, "-nographic", "-snapshot", "-kernel", str(folder / "vmlinuz")]
    command += ["-initrd", str(folder / "initrd.img"), "-append", "root=/dev/vda rw console=ttyS0 quiet"]
    command += ["-drive", f"file={folder / 'disk'},if=virtio,format=raw"]
    command += ["-nic", f"user,model=virtio,hostfwd=tcp:127.0.0.1:{port}-:22"]
    with (folder / "console.log").open("wb") as console:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=console, stderr=console)
    host_key = " ".join((folder / "host_key.pub").read_text().split()[:2])
    machine = Machine(port=port, key=folder / "key", host_key=host_key, by=by)
    try:
        _wait(machine, process, folder / "console.log")
        yield machine
    finally:
        process.terminate()
        process.wait(30)


def _wait(machine: Machine, process: subprocess.Popen[bytes], console: Path) -> None:
    deadline_s = time.monotonic() + _STARTING_S[machine.by]
    while time.monotonic() < deadline_s and process.poll() is None:
        with contextlib.suppress(subprocess.SubprocessError):
            machine.run("systemctl is-system-running --wait || true")
            return
        time.sleep(1)
    words = console.read_bytes()[-2000:].decode("utf-8", "replace")
    raise TimeoutError(f"the machine did not come up ({process.poll()}): {words}")


def _free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])
