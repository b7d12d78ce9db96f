"""Tools that are programs and no packages: which one on the PATH made an artefact."""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchharness.device.processes.child import ask

#: The tool of recipes for what the gguf package does not make; it comes with llama.cpp's programs.
LLAMA_QUANTIZE = "llama-quantize"
#: A program that does not know `--version` says how it is used, at once.
_PATIENCE_S = 10.0
_MOST_BYTES = 1 << 16
#: As llama.cpp's programs write it: "version: 4567 (0a1b2c3)", or "main: build = 4567 (0a1b2c3)" before their work.
_VERSION = re.compile(r"\b(?:version:|build =) *([\w.()+ -]{1,60})")


def versions_of_programs(settings: Mapping[str, Any]) -> dict[str, str]:
    """The identity, by name, of the program that a recipe of these settings uses; nothing where it uses none."""
    return {LLAMA_QUANTIZE: identity(LLAMA_QUANTIZE)} if settings.get("tool") == LLAMA_QUANTIZE else {}


def identity(program: str) -> str:
    """A program's own word for its version, and the SHA-256 of its file: "4567 (0a1b2c3), sha256 0d4f…"."""
    path = shutil.which(program)
    if path is None:
        return "not on the PATH"
    try:
        with Path(path).open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        told = ask([path, "--version"], _PATIENCE_S, most_bytes=_MOST_BYTES)
    except OSError as error:
        return f"unreadable ({error.strerror})"
    found = _VERSION.search(f"{told.out[:_MOST_BYTES].decode('utf-8', 'replace')}\n{told.words}")
    return f"{found[1].strip() if found else 'of a version that it does not tell'}, sha256 {digest}"
