"""A bundle with its bytecode in it: `python -m benchharness.device.bytecode BUNDLE` prints what kind there is now.

Python keeps what it compiles beside the sources, but not inside a zip file: every worker that ran out of a bundle
compiled 50 to 90 modules anew before it could load a model, in the `start` and `import` of each cold start. So the
bundle is copied once on a device, for each kind of interpreter, with the bytecode beside every source. An interpreter
that cannot use it compiles the source, as before. Format of the bytecode: PEP 552, its check left out, as nobody
changes a bundle.

A copy that lies there is believed when it has every file of the bundle and no byte of it is damaged. Who may write
into that folder may write into the bundle itself.
"""

from __future__ import annotations

import contextlib
import importlib.util
import marshal
import os
import struct
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import IO

_HASHED_UNCHECKED = struct.pack("<I", 0b01)
#: Of all entries: a clock that nobody has set says 1970, and a zip file's times begin in 1980.
_EPOCH = (1980, 1, 1, 0, 0, 0)
#: Of a file that is not finished: tidying knows these by their end.
_PART = ".part"


def kind() -> str:
    """Which interpreters can use the same bytecode: builds of one version before its release cannot."""
    return f"{sys.implementation.cache_tag}-{importlib.util.MAGIC_NUMBER.hex()}"


def compiled(bundle: Path) -> Path:
    """The bundle for this interpreter, beside the other, and made where it is not there whole. Raises `OSError`."""
    path = bundle.with_name(f"{bundle.name}.{kind()}")
    if not _is_whole(path, bundle):
        _make(path, bundle)
    return path


def _is_whole(path: Path, bundle: Path) -> bool:
    """Whether the copy was made of this bundle and has kept every byte: a power cut may leave zeros for what it had."""
    try:
        with zipfile.ZipFile(bundle) as sources, zipfile.ZipFile(path) as both:
            found = {entry.filename: entry.CRC for entry in both.infolist()}
            complete = all(
                found.get(entry.filename) == entry.CRC
                and (not entry.filename.endswith(".py") or f"{entry.filename}c" in found)
                for entry in sources.infolist()
            )
            return complete and both.testzip() is None
    except Exception:  # however it is damaged; a bundle that is itself is told when the copy is made
        return False


def _make(path: Path, bundle: Path) -> None:
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f"{path.name}.", suffix=_PART)
    part = Path(name)
    try:
        with os.fdopen(descriptor, "w+b") as stream:
            _write(bundle, stream)
            stream.flush()
            # On the disk before anything is measured: the system would write it out beside the first cold start.
            os.fsync(stream.fileno())
        if not _is_whole(path, bundle):  # else another was faster, and its workers may read from there already
            part.replace(path)
    finally:
        with contextlib.suppress(OSError):  # it has its name, or cannot be removed
            part.unlink()


def _write(bundle: Path, stream: IO[bytes]) -> None:
    with zipfile.ZipFile(bundle) as sources, zipfile.ZipFile(stream, "w") as both:  # as they are: 5 MB
        for entry in sources.infolist():
            content = sources.read(entry)
            both.writestr(zipfile.ZipInfo(entry.filename, _EPOCH), content)
            if entry.filename.endswith(".py"):
                code = _bytecode(content, f"{bundle}/{entry.filename}")
                both.writestr(zipfile.ZipInfo(f"{entry.filename}c", _EPOCH), code)


def _bytecode(source: bytes, name: str) -> bytes:
    # The same whoever makes it: PYTHONOPTIMIZE would leave checks out for all others.
    code = compile(source, name, "exec", dont_inherit=True, optimize=0)
    return importlib.util.MAGIC_NUMBER + _HASHED_UNCHECKED + importlib.util.source_hash(source) + marshal.dumps(code)


def main() -> None:
    """Makes the copy and prints its kind, which is all of its name that the bundle's does not have."""
    compiled(Path(sys.argv[1]))
    sys.stdout.write(f"{kind()}\n")


if __name__ == "__main__":
    main()
