"""Whether this machine speaks for another device that is connected to it, and what follows for adapters."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from benchharness.contract.connected import CONNECTED_DEVICE
from benchharness.errors import Unsupported

if TYPE_CHECKING:
    from benchharness.contract import AdapterRow


def udid() -> str:
    """The id of the device for which this machine speaks; empty where it speaks for itself."""
    return os.environ.get(CONNECTED_DEVICE, "")


def refuse_others(name: str, row: AdapterRow) -> None:
    """Raises `Unsupported` for an adapter that would compute on the Mac what is to be measured on the device."""
    if udid() and not row.reaches_connected:
        raise Unsupported(
            f"on a device that is connected to a Mac only a runtime that reaches it computes (coreml-remote): {name!r} "
            "would compute on the Mac itself"
        )
