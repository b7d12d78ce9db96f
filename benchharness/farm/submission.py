"""A submission: a suite, the digests of its files, and where it is to run, as one text that is signed.

Paths in it are its own: `files/3/model.onnx`, below whatever folder an agent makes for it. An interpreter and a library
are named, and each host has a list of what it takes these names for (`allowed`).
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path, PurePosixPath
from typing import Any

from benchharness.errors import SuiteError, UsageError
from benchharness.locations import digest_cache
from benchharness.suite.artefact import DigestCache, Listing, Manifest, manifest_of, whole
from benchharness.suite.materials import gather
from benchharness.suite.scenarios import paths_in_settings
from benchharness.suite.tables import Suite

FORMAT = 1
#: How long agents believe a signature.
GOOD_FOR, NIGHTLY_GOOD_FOR = timedelta(days=30), timedelta(days=366)
_MOST_TOLD, _MOST_FILES, _MOST_BYTES = 16_000_000, 20_000, 1 << 40
_DIGEST = re.compile("[0-9a-f]{64}")
#: Where paths stand in a suite's table: of files that come along, each a file of its own.
_OF_MODEL = ("tokenizer", "evaluation", "calibration")
_OF_VARIANT = ("artefact", "tokenizer")
_OF_WORKLOAD = ("continuation_file", "inputs")
_OF_PROMPT = ("file", "tokens_file")
#: What a host knows by name.
NAMED = ("python", "library")


class Unbelievable(UsageError):
    """A submission that is none, or whose paths lead elsewhere."""


@dataclass(frozen=True, kw_only=True)
class File:
    """A file that comes along, where the suite has it, and by what it is known."""

    path: str
    sha256: str
    bytes: int

    @classmethod
    def read(cls, said: Mapping[str, Any]) -> File:
        """One as it was told. Raises `Unbelievable`, and `KeyError` or `TypeError` for what is none."""
        path, digest, size = _inside(said["path"]), said["sha256"], said["bytes"]
        if not isinstance(digest, str) or not _DIGEST.fullmatch(digest):
            raise Unbelievable(f"a digest that is none: {digest!s:.80}")
        if type(size) is not int or not 0 <= size <= _MOST_BYTES:
            raise Unbelievable(f"a file of {size!s:.20} bytes")
        return cls(path=path, sha256=digest, bytes=size)


@dataclass(frozen=True, kw_only=True)
class Submission:
    """What was signed."""

    id: str
    by: str
    name: str
    suite: Mapping[str, Any]
    base: Mapping[str, Any] | None  # of another build, to be compared with in pairs on one device
    files: Sequence[File]
    wanted: Sequence[Mapping[str, str]]
    until: datetime

    @classmethod
    def read(cls, told: str) -> Submission:
        """A submission from its text. Raises `Unbelievable`."""
        try:
            said = json.loads(told) if len(told) <= _MOST_TOLD else {}
            if said.get("format") != FORMAT:
                raise Unbelievable(f"a submission of format {said.get('format')!s:.20}: this host reads {FORMAT}")
            if len(said["files"]) > _MOST_FILES:
                raise Unbelievable(f"it has {len(said['files'])} files, and {_MOST_FILES} are the most")
            read = cls(
                id=str(uuid.UUID(said["id"])),
                by=str(said["by"]),
                name=str(said["name"]),
                suite=dict(said["suite"]),
                base=None if said["base"] is None else dict(said["base"]),
                files=[File.read(each) for each in said["files"]],
                wanted=[dict(each) for each in said["wanted"]],
                until=datetime.fromisoformat(said["until"]),
            )
            if len({each.path.casefold() for each in read.files}) < len(read.files):
                raise Unbelievable("two of its files have one path, or paths that some disks take for one")
            for table in read.suites:
                for holder, key in paths_in(table):
                    holder[key] = _inside(holder[key])
        except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
            raise Unbelievable(f"it is no submission ({type(error).__name__}: {error!s:.100})") from error
        return read

    @property
    def suites(self) -> list[dict[str, Any]]:
        """Its tables, the suite's and the base's, copied: whoever reads them writes his own paths into them."""
        return [deepcopy(dict(each)) for each in (self.suite, self.base) if each is not None]


@dataclass(frozen=True, kw_only=True)
class Written:
    """A submission that is ready to be signed, and where its files are."""

    id: str
    told: str
    files: Mapping[str, Path]  # by digest
    listed: Sequence[File] = ()


def write(
    suite: Suite,
    *,
    by: str,
    wanted: Sequence[Mapping[str, str]],
    base: Suite | None = None,
    devices: int | None = None,
    priority: int = 0,
    within_s: float | None = None,
    nightly: str | None = None,
    at_home: Path | None = None,
) -> Written:
    """A submission of a suite, and of the build that it is compared with. `at_home` is the suite's own folder.

    Raises `SuiteError` where a path leads to what a host cannot have.
    """
    packing = _Packing(digest_cache(), (at_home or Path.cwd()).absolute())
    id_ = str(uuid.uuid4())
    now = datetime.now(UTC)
    said = {
        "format": FORMAT,
        "id": id_,
        "by": by,
        "name": suite.name,
        "at": now.isoformat(),
        "until": (now + (NIGHTLY_GOOD_FOR if nightly else GOOD_FOR)).isoformat(),
        "suite": packing.table(suite),
        "base": None if base is None else packing.table(base),
        "files": [{"path": each.path, "sha256": each.sha256, "bytes": each.bytes} for each in packing.files],
        "wanted": [dict(each) for each in wanted],
        "devices": devices,
        "priority": priority,
        "within_s": within_s,
        "nightly": nightly,
    }
    packing.cache.save()
    return Written(id=id_, told=json.dumps(said, sort_keys=True), files=packing.where, listed=tuple(packing.files))


def paths_in(table: dict[str, Any]) -> Iterator[tuple[Any, str | int]]:
    """Every path of a suite's table to a file that comes along, as the holder and the key of it."""
    for model in table["models"].values():
        yield from ((model, key) for key in _OF_MODEL if model.get(key))
        for variant in model["variants"].values():
            yield from ((variant, key) for key in _OF_VARIANT if variant.get(key))
    for workload in table["workloads"]:
        yield from ((workload, key) for key in _OF_WORKLOAD if workload.get(key))
        if prompt := workload.get("prompt"):
            yield from ((prompt, key) for key in _OF_PROMPT if prompt.get(key))
    yield from paths_in_settings(table.get("scenarios") or {})


def _inside(path: Any) -> str:
    """A path below the submission's folder. Raises `Unbelievable`."""
    parts = PurePosixPath(path).parts if isinstance(path, str) else ()
    if len(parts) < 2 or parts[0] != "files" or ".." in parts or "\\" in path or "\0" in path:
        raise Unbelievable(f"a path outside of its own files: {path!s:.100}")
    return str(path)


def commands_in(suite: Suite) -> Iterator[tuple[str, Sequence[str]]]:
    """Every command of a suite's scenarios that would be run on a device, with the scenario's name."""
    for scenario, settings in suite.scenarios.asked():
        yield from ((scenario.name, command) for command in scenario.starts(settings))


def _refuse_commands(suite: Suite) -> None:
    """Raises `SuiteError` where a scenario starts one on its device."""
    for name, command in commands_in(suite):
        raise SuiteError(f"scenarios.{name} starts {command[0]!r}: commands of a suite are not run on a farm's devices")


def _without_leavings(listing: Listing) -> Listing:
    """Without what Python leaves beside a dataset's own files when it has run them."""
    return replace(
        listing, files=tuple(name for name in listing.files if "__pycache__" not in PurePosixPath(name).parts)
    )


@dataclass
class _Packing:
    """Numbers what comes along: `files/0/…` for the first artefact or file."""

    cache: DigestCache
    at_home: Path
    files: list[File] = field(default_factory=list)
    where: dict[str, Path] = field(default_factory=dict)
    _known: dict[Path, str] = field(default_factory=dict)
    _count: int = 0

    def table(self, suite: Suite) -> dict[str, Any]:
        manifests = gather(suite, self.cache).manifests
        table = suite.model_dump(mode="json", by_alias=True, exclude={"compared"})
        for holder, key in paths_in(table):
            path = Path(holder[key])
            holder[key] = self._packed(path, manifests.get(path) if key == "artefact" else None)
        for configuration in table["configurations"]:
            for key in NAMED:
                if configuration.get(key):
                    configuration[key] = self._name(Path(configuration[key]), key)
        _refuse_commands(suite)
        return table

    def _packed(self, path: Path, manifest: Manifest | None) -> str:
        """Where a path of the suite's is in the submission."""
        if path not in self._known:
            manifest = manifest or manifest_of(path, self.cache, _without_leavings(whole(path)))
            folder, self._count = f"files/{self._count}", self._count + 1
            for entry in manifest.entries:
                self.files.append(File(path=f"{folder}/{entry.path}", sha256=entry.sha256, bytes=entry.bytes))
                self.where[entry.sha256] = manifest.listing.root / entry.path
            inside = path.relative_to(manifest.listing.root).as_posix()
            self._known[path] = folder if inside == "." else f"{folder}/{inside}"
        return self._known[path]

    def _name(self, path: Path, key: str) -> str:
        if path.parent != self.at_home or path.exists():
            table = "interpreters" if key == "python" else "libraries"
            raise SuiteError(
                f"{key} = {str(path)!r}: each host of a farm has its own; give a name, "
                f'{key} = "{path.stem}", and have it among the [{table}] of their agent.toml'
            )
        return path.name
