"""What a device is, and what a model file holds, found without running anything. As plain data.

A model file is not trusted: an adapter reads it in a process of its own (`launch.ask`).
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchharness.device import adapters
from benchharness.errors import LaunchError, UsageError
from benchharness.execute.placing import put_artefact
from benchharness.judge.noise import judge
from benchharness.launch import Launcher, ask
from benchharness.locations import digest_cache
from benchharness.suite.artefact import Manifest, manifest_of, whole
from benchharness.suite.listing import list_files, listing_from
from benchharness.suite.materials import notes
from benchharness.suite.planning import artefact_format

#: How hard a download is compressed: zip's own default.
_ZIP_LEVEL = 6
_CHUNK_BYTES = 1 << 20


def describe_hardware(probe_s: float, launcher: Launcher | None = None) -> dict[str, Any]:
    """The description of a device (`device.questions.describe_device`); with a probe its verdict under `noise`.

    Under `accelerators` what each adapter finds there, a line for each accelerator and each unit of it.

    `probe_s` is how long the noise probe takes, in seconds; 0 leaves it out. Raises `LaunchError`.
    """
    device = launcher or ask.this_machine()
    description = ask.description_of_device(device, probe_s)
    if "probe" in description:
        try:
            description["noise"] = asdict(judge(description["probe"]))
        except ValueError as error:
            raise LaunchError(f"the device does not say how noisy it is: {error}") from error
    found = [each for each in ask.availabilities(device) if each.available]
    description["accelerators"] = {each.name: each.lines for each in found}
    return description


def inspect_model(path: Path, *, launcher: Launcher | None = None, compressed: bool = False) -> dict[str, Any]:
    """What an artefact holds, JSON values only: an adapter's `ModelDescription`, its size in bytes and its digest.

    A `launcher` gets the files, and its device reads them. `compressed` adds `compressed_bytes`, the size of a zip of
    it, which takes about 15 s for 500 MB. Raises `UsageError` for a path that no adapter opens, `Unsupported` where its
    adapter cannot inspect, `ModelFailure` for a file that is no model or ends the process that reads it.
    """
    path = path.expanduser().absolute()
    whole(path)  # raises where there is nothing
    cache = digest_cache()
    adapter = _adapter_for(path)
    if launcher is None:  # the device has the files: one process tells both
        description, files = ask.description_of_model(ask.this_machine(), adapter, path, str(path))
        listing = listing_from(path, files)
        manifest = manifest_of(path, cache, listing)
    else:
        listing = list_files({path: [adapter]})[path]
        manifest = manifest_of(path, cache, listing)
        there, _ = put_artefact(launcher, path, manifest)
        description, _ = ask.description_of_model(launcher, adapter, path, there)
    cache.save()
    found = {
        "artefact": str(path),
        "adapter": adapter,
        "digest": manifest.digest,
        "bytes": manifest.bytes,
        "model": listing.model,
        "files": [{"path": entry.path, "bytes": entry.bytes} for entry in manifest.entries],
        "part": listing.part,
        "pipeline": list(listing.pipeline),
        "siblings": list(listing.siblings),
        **description,
        "warnings": _warnings(path, description, manifest),
    }
    if compressed:
        found["compressed_bytes"] = _compressed_bytes(manifest)
    return found


def _adapter_for(path: Path) -> str:
    """The adapter whose own format it is; where it is nobody's, the first that opens it where it is named."""
    known = {name: adapters.formats(name) for name in adapters.usable()}
    for name, formats in (*((name, adapters.own_formats(name)) for name in known), *known.items()):
        if artefact_format(path, formats) is not None:
            return name
    endings = ", ".join(sorted({ending for formats in known.values() for ending in formats}))
    raise UsageError(f"{path}: no adapter opens it; models end in {endings}, or are folders that hold such a file")


def _warnings(path: Path, description: Mapping[str, Any], manifest: Manifest) -> list[str]:
    files: Mapping[str, int | None] = description.get("external_files", {})
    missing = [name for name, size in files.items() if size is None]
    warnings = []
    if manifest.listing.unknown:
        told = manifest.listing.unknown
        warnings.append(f"it will not run, and size and digest are of {path.name} alone: {told}")
    elif missing:
        warnings.append(f"weights are missing: {', '.join(missing)}; copy the whole folder")
    return warnings + notes(path, manifest)


def _compressed_bytes(manifest: Manifest) -> int:
    """What a zip archive of it would take, names and headers not counted."""
    total = 0
    for file in manifest.files:
        squeezer = zlib.compressobj(_ZIP_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
        with file.open("rb") as stream:
            while chunk := stream.read(_CHUNK_BYTES):
                total += len(squeezer.compress(chunk))
        total += len(squeezer.flush())
    return total
