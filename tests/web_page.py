"""What tests of onnxruntime-web share: the library, fetched once, and a browser; or a skip that says so."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from benchharness.errors import Unsupported
from targets.onnx_runtime_web.fetch import fetch

NAMES = ("chromium", "chromium-browser", "google-chrome")


def library() -> Path:
    """onnxruntime-web's files, fetched from npm where they are not here."""
    if not any(map(shutil.which, NAMES)):
        pytest.skip(f"NOT TESTED: pages in a browser; none of {', '.join(NAMES)} is installed")
    try:
        return fetch()
    except Unsupported as reason:
        pytest.skip(f"NOT TESTED: onnxruntime-web cannot be fetched: {reason}")


def opened_browsers(mark: str) -> list[str]:
    """Command lines of living processes that name a folder."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            state = (folder / "stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            continue
        if mark in words and state not in "ZX":
            found.append(words[:200])
    return found
