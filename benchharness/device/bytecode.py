"""A bundle with its bytecode in it: `python -m benchharness.device.bytecode BUNDLE` prints where it lies.

Python keeps what it compiles beside the sources, but not inside a zip file: every worker that ran out of a bundle
compiled 50 to 90 modules anew before it could load a model, in the `start` and `import` of each cold start. So the
bundle is copied once on a device, for each kind of interpreter, with the bytecode beside every source. An interpreter
that cannot use it compiles the source, as before. Format of the bytecode: PEP 552, its check left out, as nobody
changes a bundle.
"""

from __future__ import annotations

import importlib.util
import marshal
import os
import struct
import sys
import zipfile
from pathlib import Path

_HASHED_UNCHECKED = struct.pack("<I", 0b01)


def compiled(bundle: Path) -> Path:
    """The bundle for this interpreter, beside the other, and made where it is not there yet. Raises `OSError`."""
    path = bundle.with_name(f"{bundle.name}.{sys.implementation.cache_tag}")
    if not path.is_file():
        part = path.with_name(f"{path.name}.{os.getpid()}")
        try:
            _write(bundle, part)
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
    return path


def _write(bundle: Path, path: Path) -> None:
    with zipfile.ZipFile(bundle) as sources, zipfile.ZipFile(path, "w") as both:  # as they are: 5 MB
        for entry in sources.infolist():
            content = sources.read(entry)
            both.writestr(entry.filename, content)
            if entry.filename.endswith(".py"):
                both.writestr(f"{entry.filename}c", _bytecode(content, f"{bundle}/{entry.filename}"))


def _bytecode(source: bytes, name: str) -> bytes:
    code = compile(source, name, "exec", dont_inherit=True)
    return importlib.util.MAGIC_NUMBER + _HASHED_UNCHECKED + importlib.util.source_hash(source) + marshal.dumps(code)


def main() -> None:
    """Prints the path."""
    sys.stdout.write(f"{compiled(Path(sys.argv[1]))}\n")


if __name__ == "__main__":
    main()
