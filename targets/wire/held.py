"""Files whose content is in memory and not on the disk, by the path that stands for them.

An adapter's readers each open a model by its path. Of a sealed one there is no file to open: what was decrypted is held
here while its session lives, and they read that.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Union

Buffer = Union[bytes, mmap.mmap]

_HELD: dict[Path, bytes] = {}


@contextmanager
def holding(path: Path, content: bytes) -> Iterator[None]:
    """Within, the path stands for this content."""
    _HELD[path] = content
    try:
        yield
    finally:
        del _HELD[path]


def content_of(path: Path) -> bytes | None:
    """What is held for a path; None where it is a file's like any other."""
    return _HELD.get(path)


@contextmanager
def looked_into(path: Path) -> Iterator[Buffer]:
    """What is held, or a file through a memory map: what is stepped over stays on the disk. `OSError`, `ValueError`."""
    held = content_of(path)
    if held is not None:
        yield held
        return
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        yield content
