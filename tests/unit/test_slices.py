"""Nothing outside a scenario's slice names it: here of `constrained`, which reaches furthest."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
SLICE = (
    "benchharness/scenarios/__init__.py",  # the registry's own row
    "benchharness/scenarios/constrained/",
    "benchharness/device/scenarios/constrained/",
    "benchharness/metrics/",  # its metrics' rows
    "reports/",  # its section; see `reports.sections.constrained`
)


def test_no_file_outside_its_slice_names_a_scenario() -> None:
    found = [
        path.relative_to(ROOT).as_posix()
        for room in ("benchharness", "targets")
        for path in sorted((ROOT / room).rglob("*.py"))
        if re.search(r"\bconstrained\b", path.read_text(encoding="utf-8"))
    ]
    assert [path for path in found if not path.startswith(SLICE)] == []
    assert any(path.startswith("benchharness/scenarios/constrained/") for path in found)
