"""Unpacks the rest of a Python that was brought to a device, run by that Python itself: `portable FOLDER`.

Its modules come in one archive, from which it starts. Afterwards they lie in files, compiled, as in any other Python: a
cold start is not to have them compiled again. Prints `{"unpacked": names}`.
"""

from __future__ import annotations

import compileall
import json
import sys
import zipfile
from pathlib import Path

#: What Python looks for modules in before there are any files, where these are then, and in it what is no module.
ARCHIVE, MODULES, LIBRARIES = "lib/python311.zip", "lib/python3.11", "libraries/"
#: In the folder, when all of it is there.
COMPLETE = "complete"


def unpack(folder: Path) -> int:
    """Modules and libraries into their places, then the archive goes; how many files there were."""
    archive = folder / ARCHIVE
    with zipfile.ZipFile(archive) as packed:
        names = packed.namelist()
        for name in names:
            # Names are ours: the archive has the digest that the host knows, or it would not be here.
            place = folder / (f"lib/{name[len(LIBRARIES) :]}" if name.startswith(LIBRARIES) else f"{MODULES}/{name}")
            place.parent.mkdir(parents=True, exist_ok=True)
            if place.exists():
                place.unlink()
            place.write_bytes(packed.read(name))
    compileall.compile_dir(str(folder / MODULES), quiet=2)
    (folder / COMPLETE).touch()
    archive.unlink()
    return len(names)


def main() -> None:
    """Unpacks one folder."""
    sys.stdout.write(json.dumps({"unpacked": unpack(Path(sys.argv[1]))}) + "\n")


if __name__ == "__main__":
    main()
