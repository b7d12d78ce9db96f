"""Whether this machine speaks for another device that is connected to it, and what follows for adapters."""

from __future__ import annotations

import os

from benchharness.contract.connected import CONNECTED_DEVICE, REACHES_CONNECTED
from benchharness.errors import Unsupported


def udid() -> str:
    """The id of the device for which this machine speaks; empty where it speaks for itself."""
    return os.environ.get(CONNECTED_DEVICE, "")


def refuse_others(adapter: str) -> None:
    """Raises `Unsupported` for an adapter that would compute on the Mac what is to be measured on the device."""
    if udid() and adapter != REACHES_CONNECTED:
        raise Unsupported(
            f"on a device that is connected to a Mac only the runtime {REACHES_CONNECTED!r} computes: {adapter!r} "
            "would compute on the Mac itself"
        )
