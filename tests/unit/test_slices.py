"""Nothing outside a scenario's slice names it: here of `constrained`, which reaches furthest."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
SLICE = (
    "benchharness/scenarios/__init__.py",  # the registry's own row
    "benchharness/scenarios/constrained/",
    "benchharness/device/scenarios/constrained/",
    "reports/sections/constrained/",
)


def test_no_file_outside_its_slice_names_a_scenario() -> None:
    found = [
        path.relative_to(ROOT).as_posix()
        for room in ("benchharness", "targets", "reports")
        for path in sorted((ROOT / room).rglob("*"))
        if path.is_file() and path.suffix != ".pyc" and re.search(rb"\bconstrained\b", path.read_bytes())
    ]
    assert [path for path in found if not path.startswith(SLICE)] == []
    assert {part for part in SLICE if any(path.startswith(part) for path in found)} == set(SLICE)
