"""A device that is connected to the machine that speaks for it, and computes in its place: an iPhone at a Mac."""

from __future__ import annotations

#: Its id in the environment of the device side, which then tells of that device and of nothing else.
CONNECTED_DEVICE = "BENCHHARNESS_CONNECTED_DEVICE"
