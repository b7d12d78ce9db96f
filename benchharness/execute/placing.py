"""Puts on a device what a session there is opened with: an artefact's files, and those that a configuration names."""

from __future__ import annotations

from pathlib import Path

from benchharness.launch import Launcher
from benchharness.suite.artefact import Manifest


def put_artefact(launcher: Launcher, artefact: Path, manifest: Manifest) -> tuple[str, list[str]]:
    """An artefact's path on the device and its files' there, where they are from now on."""
    prefix, root = manifest.digest[:16], manifest.listing.root
    placed = [launcher.put(root / entry.path, f"{prefix}/{entry.path}", entry.sha256) for entry in manifest.entries]
    there = placed[0][: -len(manifest.entries[0].path) - 1]
    inside = artefact.relative_to(root).as_posix()
    return (there if inside == "." else f"{there}/{inside}"), placed
