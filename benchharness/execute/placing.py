"""Puts on a device what a session there is opened with: an artefact's files, and those that a configuration names."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from benchharness.launch import Launcher
from benchharness.results.requested import Configuration
from benchharness.suite.artefact import Manifest


class Whose(StrEnum):
    """Whose a path in a configuration is."""

    DEVICE = "the device's own"
    PUT = "put there"


#: Every path that a configuration can hold, by its key and the option below it. One that is put there is read here; if
#: it is no file here, it is the device's own too: a vendor's libraries came with the device.
PATHS: Mapping[tuple[str, ...], Whose] = {
    ("python",): Whose.DEVICE,  # an interpreter is nothing without what is installed with it
    ("accelerator",): Whose.DEVICE,  # a delegate's library; its path is also its name in every result
    ("library",): Whose.PUT,
    ("options", "custom_op_libraries"): Whose.PUT,
    ("options", "program"): Whose.PUT,
    ("options", "reader"): Whose.PUT,
}


class Libraries:
    """Puts on a device, once, the libraries that configurations name."""

    def __init__(self, launcher: Launcher) -> None:
        self._launcher = launcher
        self._placed: dict[str, str] = {}

    def put(self, configuration: Configuration) -> Configuration:
        """The configuration with the paths that the device knows."""
        placed: dict[str, Any] = {}
        for (key, *below), whose in PATHS.items():
            if whose is Whose.PUT and (named := placed.get(key, getattr(configuration, key))):
                placed[key] = self._in_option(named, *below) if below else self._one(named)
        return replace(configuration, **placed)

    def _in_option(self, options: Mapping[str, Any], name: str) -> Mapping[str, Any]:
        if name not in options:
            return options
        paths = options[name]
        return {**options, name: [*map(self._one, paths)] if isinstance(paths, list) else self._one(paths)}

    def _one(self, path: Any) -> Any:
        if not isinstance(path, str) or not Path(path).is_absolute() or not Path(path).is_file():
            return path
        if path not in self._placed:
            digest = hashlib.sha256(Path(path).read_bytes()).hexdigest()
            name = f"libraries/{digest[:16]}/{Path(path).name}"
            self._placed[path] = self._launcher.put(Path(path), name, digest)
        return self._placed[path]


def put_artefact(launcher: Launcher, artefact: Path, manifest: Manifest) -> tuple[str, list[str]]:
    """An artefact's path on the device and its files' there, where they are from now on."""
    prefix, root = manifest.digest[:16], manifest.listing.root
    placed = [launcher.put(root / entry.path, f"{prefix}/{entry.path}", entry.sha256) for entry in manifest.entries]
    there = placed[0][: -len(manifest.entries[0].path) - 1]
    inside = artefact.relative_to(root).as_posix()
    return (there if inside == "." else f"{there}/{inside}"), placed
