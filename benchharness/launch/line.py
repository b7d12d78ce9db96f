"""A line to a device: it starts commands there. One row for each kind, found by the scheme of the device's address."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from benchharness.launch.adb.route import AdbRoute
from benchharness.launch.channel import Channel
from benchharness.launch.core_ml.route import CoreMLRoute
from benchharness.launch.route import Route


class Line(Protocol):
    """One device's. Safe to use from several threads; opened when it is wanted, and again when it broke."""

    def start(self, command: Sequence[str]) -> Channel:
        """Starts a command there. Raises `LaunchError`, `ConnectionLost` where the line broke on the way."""
        ...

    def close(self) -> None:
        """Gives the line back; safe to call twice."""
        ...


def line_to(route: Route) -> Line:
    """The line that a route means; its library is loaded here. Raises `LaunchError` where that is not installed."""
    if isinstance(route, AdbRoute):
        from benchharness.launch.adb.line import AdbLine

        return AdbLine(route)
    if isinstance(route, CoreMLRoute):
        from benchharness.launch.core_ml.line import HereLine

        return HereLine(route)
    from benchharness.launch.ssh.line import SshLine
    from benchharness.launch.ssh.route import SshRoute

    assert isinstance(route, SshRoute)
    return SshLine(route)
