"""What `benchharness device list` shows: a row for each device that has a profile."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table

from benchharness.metrics import Unit
from benchharness.suite.device import Device
from benchharness.terminal.values import one_line
from benchharness.units import quantity_text

_LONGEST = 60


def device_table(devices: Sequence[Device]) -> Table:
    """Name, hardware target, how each is reached, and what was found when it was added."""
    table = Table(box=None, pad_edge=False)
    for head in ("device", "hardware target", "connect", "found"):
        table.add_column(head, overflow="fold")
    for device in devices:
        words = (device.name, device.hardware, device.connect)
        table.add_row(*(one_line(word, _LONGEST) for word in words), _found(device))
    return table


def _found(device: Device) -> str:
    found = device.found
    memory = found.get("memory_bytes")
    words = [
        found.get("processor"),
        f"{found['cores']} cores" if "cores" in found else None,
        quantity_text(memory, Unit.BYTES) if isinstance(memory, int) else None,
        found.get("os"),
        found.get("runtimes"),
    ]
    return ", ".join(one_line(word, _LONGEST) for word in words if word)
