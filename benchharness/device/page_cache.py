"""Whether a model's files are in the page cache when a cold start begins, and making it so or not so.

What is asked for and what was reached are two facts: the share of resident pages is read back with mincore.
"""

from __future__ import annotations

import mmap
import os
import sys
from collections.abc import Iterable
from pathlib import Path

_READ_BYTES = 1 << 20


def warm(files: Iterable[Path]) -> None:
    """Reads every file once, so that the kernel holds its pages."""
    for file in files:
        with file.open("rb", buffering=0) as stream:
            while stream.read(_READ_BYTES):
                pass


def evict(files: Iterable[Path]) -> None:
    """Asks the kernel to drop every file's pages. The system's own libraries and the runtime's stay warm."""
    if not hasattr(os, "posix_fadvise"):
        return
    for file in files:
        descriptor = os.open(file, os.O_RDONLY)
        try:
            os.fsync(descriptor)  # dirty pages cannot be dropped
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(descriptor)


def resident_share(files: Iterable[Path]) -> float | None:
    """Share of the files' pages that are in memory, 0 to 1; None where the system does not tell."""
    if not sys.platform.startswith("linux"):
        return None
    pages = resident = 0
    for file in files:
        counted = _resident_pages(file)
        if counted is None:
            return None
        pages += counted[1]
        resident += counted[0]
    return resident / pages if pages else None


def _resident_pages(file: Path) -> tuple[int, int] | None:
    import ctypes

    size = file.stat().st_size
    if not size:
        return 0, 0
    count = -(-size // mmap.PAGESIZE)
    flags = (ctypes.c_ubyte * count)()
    with file.open("rb") as stream:
        mapped = mmap.mmap(stream.fileno(), size, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ | mmap.PROT_WRITE)
        try:
            start = ctypes.c_char.from_buffer(mapped)
            address = ctypes.c_void_p(ctypes.addressof(start))
            failed = ctypes.CDLL(None).mincore(address, ctypes.c_size_t(size), flags)
            del start, address  # the map cannot be closed while something points into it
        finally:
            mapped.close()
    return None if failed else (sum(flag & 1 for flag in bytes(flags)), count)
