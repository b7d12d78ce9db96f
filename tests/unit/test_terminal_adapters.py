"""What `benchharness adapters` prints where a window is narrow, or there is none."""

from __future__ import annotations

import io

from rich.console import Console

from benchharness.launch.ask import NamedAvailability
from benchharness.terminal.adapters import show_adapters

MISSING = "onnxruntime-genai cannot be imported (No module named 'onnxruntime_genai'); install benchharness[genai]"


def found(name: str, *accelerators: str, version: str = "1.32.0", reason: str = "") -> NamedAvailability:
    return NamedAvailability(
        name=name,
        formats=(".onnx", ".ort"),
        available=not reason,
        version=version,
        accelerators=accelerators,
        reason=reason,
        units={},
    )


def shown(*availabilities: NamedAvailability, width: int = 80) -> list[str]:
    console = Console(file=io.StringIO(), width=width)
    show_adapters(availabilities, console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


def test_how_to_get_a_missing_one_is_never_cut() -> None:
    lines = shown(
        found("onnxruntime", "AzureExecutionProvider", "CPUExecutionProvider"),
        found("onnxruntime-genai", reason=MISSING),
        found("onnxruntime-web", version="1.30.0 in Chromium 156.0.8078.108"),
    )
    assert f"onnxruntime-genai: {MISSING}" in " ".join(lines)
    (row,) = [line for line in lines if "onnxruntime-genai" in line and "│" in line]
    assert [cell.strip() for cell in row.split("│")[1:4]] == ["onnxruntime-genai", "no", ""]
    assert not [line for line in lines if "…" in line]
    assert max(map(len, lines)) <= 80


def test_a_reason_cannot_act_on_a_terminal() -> None:
    assert not [line for line in shown(found("odd", reason="\x1b[2J[red]gone[/red]")) if "\x1b" in line]
