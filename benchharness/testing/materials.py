"""What the adapters' test suite works with: tokens, inputs made from a signature, and files that are no models."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from benchharness.contract import LanguageSession, TensorSpec

#: The length that a dynamic dimension is given in inputs made from a signature.
DYNAMIC_LENGTH = 2

#: An artefact larger than this is not copied to be cut short.
LARGEST_COPY_BYTES = 256 << 20


def prompt(session: LanguageSession) -> list[int]:
    """Nine tokens spread over the vocabulary, the same ones each time."""
    return spread_tokens(session.vocabulary_size)


def spread_tokens(vocabulary_size: int) -> list[int]:
    """Nine tokens spread over a vocabulary of that size."""
    return [(7 * index + 3) % vocabulary_size for index in range(9)]


def make_inputs(specs: Sequence[TensorSpec]) -> Mapping[str, NDArray[np.generic]]:
    """Arrays for a signature: seeded normal values for floats, zeros for all else."""
    random = np.random.default_rng(0)
    return {spec.name: _make_input(spec, random) for spec in specs}


def _make_input(spec: TensorSpec, random: np.random.Generator) -> NDArray[np.generic]:
    shape = [length if isinstance(length, int) else DYNAMIC_LENGTH for length in spec.shape]
    if spec.dtype == "str":
        return np.full(shape, "text", dtype=object)
    if spec.dtype.startswith("float"):
        return random.normal(size=shape).astype(spec.dtype)
    return np.zeros(shape, spec.dtype)


def write_no_model(path: Path, content: bytes | str | None) -> Path:
    """Makes a file of some bytes, an empty folder for a text, nothing for None."""
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        path.mkdir()
    return path


def truncated_copy(artefact: Path, folder: Path) -> tuple[Path, Path]:
    """A copy of a file, or of a folder, whose largest file is cut in half: the copy, and that file of it."""
    files = [path for path in artefact.rglob("*") if path.is_file()] if artefact.is_dir() else [artefact]
    if sum(path.stat().st_size for path in files) > LARGEST_COPY_BYTES:
        pytest.skip("the artefact is too large to be copied")
    folder.mkdir()
    copy = folder / artefact.name
    if artefact.is_dir():
        shutil.copytree(artefact, copy)
    else:
        shutil.copyfile(artefact, copy)
    largest = max(files, key=lambda path: path.stat().st_size)
    cut = copy / largest.relative_to(artefact) if artefact.is_dir() else copy
    with cut.open("r+b") as stream:
        stream.truncate(largest.stat().st_size // 2)
    return copy, cut
