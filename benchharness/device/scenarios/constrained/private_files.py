"""A trial's own copies of the libraries that it maps, in the places of the originals, seen by that trial alone.

A group is charged for what it reads first; what another process holds already costs it nothing. Where others had mapped
the runtime, a model answered in 32 MiB that needs 49 MiB where it is alone. Copies that nobody else maps can be dropped
before every trial. They are put in place by bind mounts in a mount namespace of the trial's own (mount(2), unshare(2);
Linux, with CAP_SYS_ADMIN), which is gone when the trial is.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from benchharness.device.sensors.readings import ON_LINUX

_CLONE_NEWNS, _MS_BIND, _MS_PRIVATE_ALL = 0x20000, 0x1000, (1 << 18) | (1 << 14)
#: More is not copied, nor more than a quarter of what the disk has left.
_MOST_BYTES = 2 << 30


class PrivateFiles:
    """Copies of some files in a folder. `reason` says why there are none."""

    def __init__(self, originals: Sequence[Path], folder: Path) -> None:
        self.originals = originals
        self._pairs: list[tuple[bytes, bytes]] = []
        self.reason = ""
        try:
            size = sum(path.stat().st_size for path in originals)
            if not ON_LINUX or size > min(_MOST_BYTES, shutil.disk_usage(folder.parent).free / 4):
                self.reason = f"{size >> 20} MiB of libraries are too much to copy" if ON_LINUX else "only on Linux"
                return
            folder.mkdir(exist_ok=True)
            for number, path in enumerate(originals):
                copy = folder / str(number)
                shutil.copy(path, copy)
                self._pairs.append((os.fsencode(copy), os.fsencode(path.resolve())))
            subprocess.run([sys.executable, "-c", ""], preexec_fn=self.bind, check=True)
        except (OSError, subprocess.SubprocessError) as error:
            self.reason = f"private copies of the libraries cannot be made ({type(error).__name__})"
            self._pairs = []

    @property
    def copies(self) -> list[Path]:
        """The copies' own paths."""
        return [Path(os.fsdecode(copy)) for copy, _ in self._pairs]

    def bind(self) -> None:
        """In the child: puts the copies in the places of the originals. Raises `OSError`."""
        if not self._pairs:
            return
        library = ctypes.CDLL(None, use_errno=True)
        _check(library.unshare(_CLONE_NEWNS))
        _check(library.mount(None, b"/", None, ctypes.c_ulong(_MS_PRIVATE_ALL), None))
        for copy, original in self._pairs:
            _check(library.mount(copy, original, None, ctypes.c_ulong(_MS_BIND), None))


def _check(failed: int) -> None:
    if failed:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
