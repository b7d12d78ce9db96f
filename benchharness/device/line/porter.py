"""Takes in what a host brings to a device, before anything of ours is there: this file comes through the line itself.

It needs a Python and nothing else, no SFTP server and no shell but for its start. It makes the work folder, says what
the device is, takes files in by name and digest, goes on where a broken line left one, and gives back what the device
side has written. One JSON object a line on standard input, one on standard output; a file's bytes follow theirs.

The work folder is the user's alone, and no link in it is followed: what lies there was put there by us.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import platform
import shutil
import stat
import sys
import time
from pathlib import Path
from typing import Any, BinaryIO

#: A longer request is none of ours.
_LONGEST_REQUEST_BYTES = 1 << 16
_CHUNK_BYTES = 1 << 20
#: The longest file that is given back: a spooled attempt, as long as the protocol's longest line.
_MOST_GIVEN_BYTES = 64 * 1024 * 1024 + 1
#: What a full disk keeps for the system, its logs, and what an attempt writes.
_SPARE_BYTES = 64 << 20
#: A porter whose line is dead hears of it within a moment.
_PATIENCE_S, _POLL_S = 10.0, 0.05
#: Windows knows no other users in a file's mode, and nothing of links that nobody may make.
_POSIX = os.name == "posix"
_NOT_IN_NAMES = set("\0") if _POSIX else set('\0\\:*?"<>|')

Request = dict[str, Any]


class Refused(Exception):
    """What was asked for cannot be done; the reason is for the user."""


class Unfinished(Refused):
    """The same, and the rest of a file is still on the line: nothing after it can be read."""


class Porter:
    """The work folder of one user on one device."""

    def __init__(self, work: str) -> None:
        self.work = Path(work).expanduser().absolute()
        _own_folder(self.work)
        self._part: BinaryIO | None = None  # the half of a file that is being taken in, nobody else's meanwhile

    def contact(self) -> Request:
        """What decides how this device is spoken to, and that it answers."""
        return {
            "work": str(self.work),
            "python": platform.python_version(),
            "executable": sys.executable,
            "system": {"darwin": "macos", "win32": "windows"}.get(sys.platform, "linux"),
            "machine": platform.machine(),
            "user": _user(),
            "free_bytes": shutil.disk_usage(self.work).free,
            "clock_unix_ns": time.time_ns(),
        }

    def offered(self, name: str, size: int, digest: str) -> tuple[Path, int | None]:
        """A file's place, and how many of its bytes came before; None where the whole file is there."""
        path = self._inside(name)
        if _is_known(path, size, digest):
            return path, None
        part = _part_of(path)
        if not _is_plain(part):
            _remove(part)
        self._part = _held(part)
        if not part.exists():  # whoever was writing has put it in its place
            if _is_known(path, size, digest):
                return path, None
            self._part = _held(part)
        have = part.stat().st_size
        if have > size:
            os.truncate(part, 0)
            have = 0
        free = shutil.disk_usage(path.parent).free
        if size - have > free - _SPARE_BYTES:
            part.unlink()
            raise Refused(f"the disk is full: {path.name} takes {size - have} bytes more, and {free} are free")
        return path, have

    def take(self, stream: BinaryIO, path: Path, have: int, size: int, digest: str) -> None:
        """Writes the rest of a file, and puts it in its place if it is what was promised."""
        part, held = _part_of(path), self._part
        assert held is not None
        left = size - have
        try:
            with held as out:
                while left:
                    data = stream.read(min(left, _CHUNK_BYTES))
                    if not data:
                        sys.exit(1)  # the line broke; what came stays for the next time
                    left -= len(data)
                    out.write(data)
        except OSError as error:
            part.unlink(missing_ok=True)  # the disk is wanted for other things
            raise Unfinished(f"{path.name} cannot be written: {_told(error)}") from error
        if _digest(part) != digest:
            part.unlink()  # half of an older one, or bytes that changed on their way
            raise Refused(f"what arrived of {path.name} is not what was sent")
        if not _is_plain(path):
            _remove(path)
        part.chmod(0o400 if _POSIX else 0o666)
        part.replace(path)
        _remember(path, size, digest)

    def given(self, name: str) -> bytes:
        """A file below the work folder."""
        path = self._inside(name, make=False)
        if not _is_plain(path):
            raise Refused(f"{name} is no file")
        with path.open("rb") as stream:
            data = stream.read(_MOST_GIVEN_BYTES + 1)
        if len(data) > _MOST_GIVEN_BYTES:
            raise Refused(f"{name} has over {_MOST_GIVEN_BYTES} bytes")
        return data

    def remove(self, name: str) -> None:
        """Removes a file or folder below the work folder; one that is not there is no error."""
        _remove(self._inside(name, make=False))

    def _inside(self, name: str, *, make: bool = True) -> Path:
        """The path of a relative name; the folders on the way are our own, and made if so wanted."""
        parts = name.split("/")
        if not all(parts) or any(part in (".", "..") or set(part) & _NOT_IN_NAMES for part in parts):
            raise Refused(f"{name!r} is no name inside the work folder")
        folder = self.work
        for part in parts[:-1]:
            folder = folder / part
            if make or folder.exists() or folder.is_symlink():
                _own_folder(folder)
        return folder / parts[-1]


def _held(part: Path) -> BinaryIO:
    """A half of a file, opened for more, and locked: a porter at the end of a dead line may still be writing to it."""
    stream = part.open("ab")
    try:
        import fcntl
    except ImportError:
        return stream
    deadline_s = time.monotonic() + _PATIENCE_S
    while True:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return stream
        except OSError as error:
            if time.monotonic() > deadline_s:
                stream.close()
                raise Refused(f"{part.name} is being written by somebody else") from error
            time.sleep(_POLL_S)


def _own_folder(folder: Path) -> None:
    """Makes a folder that only this user can use, with those above it; refuses one that is a link or another's."""
    try:
        if not folder.is_symlink() and not folder.exists():
            folder.parent.mkdir(parents=True, exist_ok=True)
            folder.mkdir(mode=0o700, exist_ok=True)
        found = os.lstat(folder)
        if not stat.S_ISDIR(found.st_mode):
            raise Refused(f"{folder} is not a folder; links are not followed: remove it, or name another work folder")
        if _POSIX and found.st_uid != os.getuid():
            raise Refused(f"{folder} belongs to another user; name another work folder")
        if _POSIX and stat.S_IMODE(found.st_mode) & 0o077:
            folder.chmod(0o700)
    except OSError as error:
        raise Refused(f"{folder}: {_told(error)}") from error


def _is_known(path: Path, size: int, digest: str) -> bool:
    """Whether the file is there and was seen to be this one; it is read again where it has changed since."""
    if not _is_plain(path) or not path.exists() or path.stat().st_size != size:
        return False
    try:
        if _note(path).read_text() == _looks(path, digest):
            return True
    except (OSError, ValueError):
        pass
    if _digest(path) != digest:
        return False
    _remember(path, size, digest)
    return True


def _remember(path: Path, size: int, digest: str) -> None:
    """Hashing a large file takes seconds on a board: it is done once."""
    note = _note(path)
    if not _is_plain(note):
        _remove(note)
    note.write_text(_looks(path, digest))


def _looks(path: Path, digest: str) -> str:
    found = path.stat()
    return json.dumps([digest, found.st_size, found.st_mtime_ns, found.st_ino])


def _note(path: Path) -> Path:
    return path.with_name(f"{path.name}.sha256")


def _part_of(path: Path) -> Path:
    return path.with_name(f"{path.name}.part")


def _is_plain(path: Path) -> bool:
    """Whether it is a file, or nothing yet: not a link, a folder or a pipe."""
    try:
        return stat.S_ISREG(os.lstat(path).st_mode)
    except FileNotFoundError:
        return True


def _remove(path: Path) -> None:
    """Whatever it is; a link goes and what it leads to stays."""
    try:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    except FileNotFoundError:
        pass


def _digest(path: Path) -> str:
    found = hashlib.sha256()
    with path.open("rb") as stream:
        while data := stream.read(_CHUNK_BYTES):
            found.update(data)
    return found.hexdigest()


def _user() -> str:
    try:
        import getpass

        return getpass.getuser()
    except (KeyError, OSError, ImportError):  # a user without an entry in the system's list
        return str(os.getuid()) if _POSIX else "unknown"


def _told(error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "the disk is full"
    return error.strerror or type(error).__name__


def serve(requests: BinaryIO, answers: BinaryIO) -> None:
    """Answers a host's requests until it has no more."""
    porter: Porter | None = None
    while line := requests.readline(_LONGEST_REQUEST_BYTES):
        try:
            request = json.loads(line)
            if porter is None:
                porter = Porter(str(request["work"]))
            data = _answer(porter, request, requests, answers)
        except Unfinished as error:
            _say(answers, {"refused": str(error)})
            return
        except Refused as error:
            _say(answers, {"refused": str(error)})
        except OSError as error:
            _say(answers, {"refused": f"{error.filename or 'the work folder'}: {_told(error)}"})
        else:
            answers.write(data)
            answers.flush()


def _answer(porter: Porter, request: Request, requests: BinaryIO, answers: BinaryIO) -> bytes:
    """Does what a request wants, and says so; what it returns follows on the line."""
    wants = request["wants"]
    if wants == "contact":
        _say(answers, porter.contact())
    elif wants == "put":
        size, digest = int(request["size"]), str(request["digest"])
        path, have = porter.offered(str(request["name"]), size, digest)
        _say(answers, {"have": size if have is None else have})
        if have is not None:
            porter.take(requests, path, have, size, digest)
        _say(answers, {"path": str(path)})
    elif wants == "give":
        data = porter.given(str(request["name"]))
        _say(answers, {"bytes": len(data)})
        return data
    elif wants == "remove":
        porter.remove(str(request["name"]))
        _say(answers, {})
    else:
        raise Refused(f"{wants!r} is nothing that a porter does")
    return b""


def _say(answers: BinaryIO, answer: Request) -> None:
    answers.write(json.dumps(answer).encode() + b"\n")
    answers.flush()


if __name__ == "__main__":
    os.umask(0o077)
    serve(sys.stdin.buffer, sys.stdout.buffer)
