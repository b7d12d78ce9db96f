"""File trees of real devices, from what their owners published.

Each listing in `trees/` says where its values come from, and what was not to be found there and is left out. A line is
`path = content` or `path -> target of a symbolic link`; `#` begins a remark.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

_LISTINGS = Path(__file__).parent / "trees"


def grown(listing: str, root: Path) -> Path:
    """Makes a listing's files below a folder, which then stands for the root of that device."""
    for line in (_LISTINGS / f"{listing}.txt").read_text(encoding="utf-8").splitlines():
        if not line or line.startswith("#"):
            continue
        path, link, target = line.partition(" -> ")
        if link:
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).symlink_to(target)
            continue
        path, _, content = line.partition(" = ")
        planted(root, {path: content})
    return root


def planted(root: Path, files: Mapping[str, str]) -> Path:
    """Writes files below a folder, each with the line end that the kernel writes."""
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content + "\n", encoding="utf-8")
    return root


def failing(root: Path, name: str, error: int) -> None:
    """A file that can be opened and whose reading ends in a real error of this kernel: EIO or EINVAL."""
    target = {5: "/proc/self/mem", 22: "/proc/self/attr/fscreate"}[error]
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).unlink(missing_ok=True)
    (root / name).symlink_to(target)
