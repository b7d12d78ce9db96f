"""What `benchharness device list` shows: for each device how it is reached, and what was found there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.cells import cell_len

from benchharness.metrics import Unit
from benchharness.suite.device import Device
from benchharness.terminal.values import one_line
from benchharness.units import quantity_text

_LONGEST = 60
_GAP = "  "
#: As a profile says it, and as it is shown among other words.
_NONE_FOUND, _NO_RUNTIME = "none", "no runtime yet"


def device_lines(devices: Sequence[Device]) -> Iterator[str]:
    """Name, hardware target and address in columns; below each what was found when it was added."""
    rows = [("device", "hardware target", "connect"), *(_row(device) for device in devices)]
    widths = [max(cell_len(row[at]) for row in rows) for at in range(len(rows[0]))]
    for row, found in zip(rows, ["", *map(_found, devices)], strict=True):
        cells = [f"{cell}{' ' * (width - cell_len(cell))}" for cell, width in zip(row, widths, strict=True)]
        yield _GAP.join(cells).rstrip()
        if found:
            yield f"{_GAP}{found}"


def has_runtimes(device: Device) -> bool:
    """Whether a runtime was found there, or nobody has looked."""
    return device.found.get("runtimes") != _NONE_FOUND


def _row(device: Device) -> tuple[str, str, str]:
    return one_line(device.name, _LONGEST), one_line(device.hardware, _LONGEST), one_line(device.connect, _LONGEST)


def _found(device: Device) -> str:
    found = device.found
    memory = found.get("memory_bytes")
    words = [
        found.get("processor"),
        f"{found['cores']} cores" if "cores" in found else None,
        quantity_text(memory, Unit.BYTES) if isinstance(memory, int) else None,
        found.get("os"),
        _NO_RUNTIME if not has_runtimes(device) else found.get("runtimes"),
    ]
    return ", ".join(one_line(word, _LONGEST) for word in words if word)
