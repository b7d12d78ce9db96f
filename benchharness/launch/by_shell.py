"""A device with nothing but a shell: what it is, and files brought there by the shell's own means.

It takes `cat`, `chmod`, `id`, `ls`, `mkdir`, `mv`, `rm`, `sha256sum`, `uname` and `wc`, which Android's toybox, busybox
and coreutils all have. Like the porter, which takes over once there is a Python, it puts files by size and SHA-256,
goes on where a broken line left one, and follows no link to the work folder.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchharness.errors import ConnectionLost, LaunchError
from benchharness.launch import Sent
from benchharness.launch.channel import Channel
from benchharness.launch.line import Line
from benchharness.launch.shell import SHELL

_CHUNK_BYTES = 1 << 18
#: For sending ten megabytes over a slow line, and hashing them on a slow card.
_PATIENCE_S = 600.0
_ENDING_S = 10.0
_LONGEST_LINE_BYTES = 1 << 12
#: How often a line may break under one file.
_MOST_LOSSES = 3

_LOOK = """
umask 077
case "$1" in '~'/*) work="$HOME/${1#??}" ;; *) work="$1" ;; esac
if [ -h "$work" ]; then echo "$work is a link; links are not followed" >&2; exit 3; fi
mkdir -p "$work" && cd "$work" || exit 3
set -- $(ls -ldn .)
if [ "$3" != "$(id -u)" ]; then echo "$work belongs to another user" >&2; exit 3; fi
chmod 700 . || exit 3
echo "$(uname -s) $(uname -m)"
for each in /system/bin/sh /bin/sh /usr/bin/sh; do if [ -x $each ]; then echo $each; break; fi; done
pwd -P
"""
_PUT = """
umask 077
path="$1" size="$2" digest="$3"
is_it() { [ -f "$1" ] && set -- $(sha256sum < "$1") && [ "$1" = "$digest" ]; }
if is_it "$path"; then echo there; exit 0; fi
mkdir -p "${path%/*}" || exit 3
have=0
if [ -f "$path.part" ]; then have=$(wc -c < "$path.part"); fi
if [ "$have" -gt "$size" ]; then rm -f "$path.part"; have=0; fi
echo $have
cat >> "$path.part" || exit 3
now=$(wc -c < "$path.part")
if [ "$now" -lt "$size" ]; then exit 4; fi
if ! is_it "$path.part"; then rm -f "$path.part"; echo "it is not what was sent" >&2; exit 3; fi
chmod 500 "$path.part" && mv -f "$path.part" "$path" && echo put
"""


@dataclass(frozen=True, kw_only=True)
class Bare:
    """What a device's shell says: untrusted words, bounded."""

    system: str  # "Linux"
    machine: str  # "aarch64"
    shell: str  # its path
    work: str  # the work folder, as it is there


def look(line: Line, name: str, work: str) -> Bare:
    """Makes the work folder, and says what is there. Raises `LaunchError`, `ConnectionLost`."""
    with _running(line, _LOOK, work) as channel:
        told = [_line(channel) for _ in range(3)]
        channel.ends_within(_ENDING_S)
        system, _, machine = told[0].partition(" ")
        if channel.code or not (system and machine and told[1].startswith("/") and told[2].startswith("/")):
            raise LaunchError(f"{name}: its shell does not say what it is: {channel.words()[:300] or told}")
    return Bare(system=system, machine=machine, shell=told[1], work=told[2])


def is_there(line: Line, path: str) -> bool:
    """Whether there is a file at an absolute path. Raises `LaunchError`, `ConnectionLost`."""
    with _running(line, '[ -f "$1" ] && echo there', path) as channel:
        return _line(channel) == "there"


def put(line: Line, file: Path, path: str, digest: str, sent: Sent) -> None:
    """Brings what is missing of a program or library to an absolute path there.

    Raises `LaunchError`, `ConnectionLost`.
    """
    for _ in range(_MOST_LOSSES - 1):
        with contextlib.suppress(ConnectionLost):
            return _put(line, file, path, digest, sent)
    return _put(line, file, path, digest, sent)


def _put(line: Line, file: Path, path: str, digest: str, sent: Sent) -> None:
    size = file.stat().st_size
    with _running(line, _PUT, path, str(size), digest) as channel:
        have = _line(channel)
        if have == "there":
            return
        if not have.isdecimal() or int(have) > size:
            raise _trouble(channel, path)
        _send(channel, file, int(have), size, sent)
        if _line(channel) != "put":
            raise _trouble(channel, path)


def _send(channel: Channel, file: Path, have: int, size: int, sent: Sent) -> None:
    """The rest of a file, then the end of the stream."""
    with contextlib.suppress(OSError), file.open("rb") as stream:  # it does not listen: what it says tells why
        stream.seek(have)
        while data := stream.read(_CHUNK_BYTES):
            view = memoryview(data)
            while view:
                view = view[channel.stdin.write(view) :]
            have += len(data)
            sent(f"sending {file.name}, MiB", have >> 20, size >> 20)
    with contextlib.suppress(OSError):
        channel.stdin.close()


def _trouble(channel: Channel, path: str) -> LaunchError:
    channel.ends_within(_ENDING_S)
    if channel.code is None or channel.code == 4:
        return ConnectionLost(f"{path}: the line broke; {channel.words()}")
    return LaunchError(f"{path} cannot be put there: {channel.words()[:300] or f'exit code {channel.code}'}")


def _line(channel: Channel) -> str:
    return channel.stdout.readline(_LONGEST_LINE_BYTES).decode("utf-8", "replace").strip()


@contextlib.contextmanager
def _running(line: Line, script: str, *arguments: str) -> Iterator[Channel]:
    """The script at work in the device's shell, ended where it takes too long."""
    channel = line.start([SHELL, "-c", script, SHELL, *arguments])
    timer = threading.Timer(_PATIENCE_S, channel.end)
    timer.daemon = True
    timer.start()
    try:
        yield channel
    finally:
        timer.cancel()
        channel.close()
