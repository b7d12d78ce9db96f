"""Compiles a Core ML model, apart from loading it, and keeps what came out for the next attempt.

An entry of the cache is a folder of one name for one state of the artefact, of macOS and of coremltools. It is made
under another name and renamed at the end: what a killed attempt leaves behind is never taken for a compiled model.
What Core ML makes of a compiled model when it loads it for one device, macOS keeps in a cache of its own; nothing here
clears that, but a model compiled anew lies in a new place, where it has not been seen.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchharness.errors import ModelFailure
from targets.core_ml import system
from targets.core_ml.files import COMPILED, COMPILED_MARK
from targets.core_ml.options import COLD, WARM

ALREADY = "already compiled"

_MODEL = f"model{COMPILED}"
_RECORD = "compiled.json"
_PARTIAL = ".partial-"
#: Unfinished entries older than this are no one's any more.
_ABANDONED_S = 24 * 3600


@dataclass(frozen=True)
class Compiled:
    """A compiled model, ready to be loaded."""

    path: Path
    cache: str  # COLD: compiled now; WARM: found; ALREADY: the artefact is a compiled model
    compile_ns: int | None  # what compiling took, now or when the entry was made; None: not known


def cache_folder() -> Path:
    """Where compiled models are kept: macOS may empty it when the disk is full."""
    return Path.home() / "Library" / "Caches" / "benchharness" / "core_ml"


@contextlib.contextmanager
def compiled(artefact: Path, wanted: str) -> Iterator[Compiled]:
    """The compiled model of an artefact. `wanted`: COLD compiles into a new place and removes it at the end; WARM
    takes an entry of the cache, and makes one where there is none.

    Raises `ModelFailure` where the model does not compile or the disk does not take it.
    """
    if artefact.suffix == COMPILED:
        yield Compiled(artefact, ALREADY, None)
    elif wanted == COLD:
        with _folder(artefact) as folder:
            compile_ns = _compile(artefact, folder / _MODEL)
            yield Compiled(folder / _MODEL, COLD, compile_ns)
    else:
        yield _from_cache(artefact)


@contextlib.contextmanager
def _folder(artefact: Path) -> Iterator[Path]:
    """A temporary folder, gone afterwards."""
    try:
        folder = Path(tempfile.mkdtemp(prefix="benchharness-core-ml-"))
    except OSError as error:
        raise ModelFailure(f"{artefact}: no room to compile it ({error.strerror or error})") from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _from_cache(artefact: Path) -> Compiled:
    entry = cache_folder() / _key(artefact)
    found = _read_entry(entry)
    if found is not None:
        return found
    try:
        entry.parent.mkdir(parents=True, exist_ok=True)
        _sweep(entry, artefact)
        partial = Path(tempfile.mkdtemp(prefix=f"{entry.name}{_PARTIAL}", dir=entry.parent))
    except OSError as error:
        raise ModelFailure(f"{entry.parent}: cannot keep compiled models ({error.strerror or error})") from error
    try:
        compile_ns = _compile(artefact, partial / _MODEL)
        record = {"artefact": str(artefact.resolve()), "compile_ns": compile_ns}
        (partial / _RECORD).write_text(json.dumps(record))
        with contextlib.suppress(OSError):  # another attempt was faster: its entry is as good
            partial.rename(entry)
    except OSError as error:
        raise ModelFailure(f"{entry.parent}: cannot keep compiled models ({error.strerror or error})") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return Compiled(entry / _MODEL, COLD, compile_ns)


def _read_entry(entry: Path) -> Compiled | None:
    """An entry that is whole; None where there is none."""
    record: Any = None
    with contextlib.suppress(OSError, ValueError):
        record = json.loads((entry / _RECORD).read_bytes())
    if not isinstance(record, dict) or not (entry / _MODEL / COMPILED_MARK).is_file():
        return None
    compile_ns = record.get("compile_ns")
    return Compiled(entry / _MODEL, WARM, compile_ns if isinstance(compile_ns, int) else None)


def _sweep(entry: Path, artefact: Path) -> None:
    """Removes what this entry replaces: itself where it is damaged, older states of the artefact, abandoned work."""
    for other in entry.parent.iterdir():
        partial = _PARTIAL in other.name
        with contextlib.suppress(OSError, ValueError, AttributeError):
            abandoned = partial and time.time() - other.stat().st_mtime > _ABANDONED_S
            of_artefact = not partial and (
                other == entry or json.loads((other / _RECORD).read_bytes()).get("artefact") == str(artefact.resolve())
            )
            if abandoned or of_artefact:
                shutil.rmtree(other, ignore_errors=True)


def _key(artefact: Path) -> str:
    """Names one state of an artefact's files, and what compiles them: SHA-256 of names, sizes, inodes and times.

    Contents are not read: gigabytes of weights would be, before every attempt.
    """
    import coremltools

    files = sorted(path for path in artefact.rglob("*") if path.is_file()) if artefact.is_dir() else [artefact]
    state: list[Any] = [str(artefact.resolve()), system.macos_build(), coremltools.__version__]
    for file in files:
        told = file.stat()
        state.append((file.relative_to(artefact.parent).as_posix(), told.st_size, told.st_mtime_ns, told.st_ino))
    return hashlib.sha256(json.dumps(state).encode("utf-8", "surrogateescape")).hexdigest()[:32]


def _compile(artefact: Path, destination: Path) -> int:
    """Compiles to `destination`; nanoseconds that Core ML took. Raises `ModelFailure` with Core ML's own words."""
    from coremltools.models.utils import compile_model

    started = time.perf_counter_ns()
    try:
        made = compile_model(str(artefact))
    except MemoryError:
        raise
    except Exception as error:  # what coremltools raises shares no base class
        raise ModelFailure(f"{artefact}: Core ML cannot compile it: {error}") from error
    took = time.perf_counter_ns() - started
    shutil.move(made, destination)
    if not (destination / COMPILED_MARK).is_file():
        raise ModelFailure(f"{artefact}: Core ML compiled it to no model that it could load")
    return took
