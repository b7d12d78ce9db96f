"""The line to one Android device: each command is a stream of its own through the adb server."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

from benchharness.device.line.shell_frames import ENDED
from benchharness.errors import ConnectionLost, LaunchError
from benchharness.launch.adb import framer
from benchharness.launch.adb.channel import AdbChannel
from benchharness.launch.adb.route import AdbRoute, is_over_network
from benchharness.launch.adb.server import Server, ServerSays
from benchharness.launch.shell import SHELL, past_greeting, started

#: How long a device may take to appear: one that was there comes back when the server starts again, or a cable is
#: plugged in again.
_APPEARING_S, _COMING_BACK_S = 3.0, 12.0
_POLL_S = 0.25
_READY = "device"
#: States that pass by themselves, or by connecting anew.
_PASSING = {"offline", "connecting", "authorizing", "", "unknown"}
#: Of those, the ones in which a new connection helps: it takes one down that is under way.
_DEAD = {"offline", ""}
_BETWEEN_CONNECTS_S = 2.0
#: What the other states want of the user.
_WANTS = {
    "unauthorized": "has not authorised this computer: unlock it and allow USB debugging on its screen; where it asks "
    "nothing, revoke the authorisations in its developer options and plug it in again",
    "no permissions": "may not be used by this user: 'adb devices -l' names the page on udev rules for USB",
    "offline": "is attached and does not answer (offline): unplug it and plug it in again, or 'adb reconnect'",
}
_ELSEWHERE = ("bootloader", "recovery", "rescue", "sideload", "host")


class AdbLine:
    """One device's. Safe to use from several threads: each stream has a connection of its own."""

    def __init__(self, route: AdbRoute) -> None:
        self._route = route
        self._server = Server()
        self._serial = route.serial  # empty until the only device was met, where the route names none
        self._met = False

    def start(self, command: Sequence[str]) -> AdbChannel:
        """Starts a command there. Raises `LaunchError`, `ConnectionLost` where the line broke on the way."""
        try:
            return past_greeting(self._opened(command))
        except ServerSays:
            pass  # it went away since it was seen: it may be back in a moment
        try:
            return past_greeting(self._opened(command))
        except ServerSays as error:
            raise ConnectionLost(f"{self._route.text} cannot be reached: adb says: {error}") from error

    def close(self) -> None:
        """Nothing is held: every stream is its channel's."""

    def _opened(self, command: Sequence[str]) -> AdbChannel:
        serial = self._ready()
        if "shell_v2" in self._server.features(serial):
            return AdbChannel(self._server.open(serial, f"shell,v2,raw:{started(command)}"))
        if command[0] == SHELL:
            raise LaunchError(
                f"{self._route.text}: its adb frames no streams (before Android 7), so nothing can be brought there "
                "without a Python: put one there yourself, and name it as 'python' in its profile"
            )
        program = framer.program()
        text = f"{started(framer.command(command, program), replacing=False)}; echo {ENDED.decode()} $?"
        channel = AdbChannel(self._server.open(serial, f"exec:{text}"), bare=True, told_first=program)
        self._met = True
        return channel

    def _ready(self) -> str:
        """The serial of the device, once it is ready. Raises `LaunchError`: what it wants of its user."""
        deadline_s = time.monotonic() + (_COMING_BACK_S if self._met else _APPEARING_S)
        said, connect_at_s = "", 0.0
        while True:
            states = self._server.states()
            serial = self._serial or _only(states, self._route.name)
            state = states.get(serial, "")
            if state == _READY:
                self._met, self._serial = True, serial  # the only device now is the one from now on
                return serial
            if state not in _PASSING and not self._met:  # a server that starts again asks for authorisation again
                raise LaunchError(self._wants(serial, state, states, said))
            if is_over_network(serial) and state in _DEAD and time.monotonic() >= connect_at_s:
                said = self._server.connect(serial)
                connect_at_s = time.monotonic() + _BETWEEN_CONNECTS_S
                if self._server.states().get(serial) == _READY:
                    continue
            if time.monotonic() > deadline_s:
                kind = ConnectionLost if self._met else LaunchError
                raise kind(self._wants(serial, state, states, said))
            time.sleep(_POLL_S)

    def _wants(self, serial: str, state: str, states: Mapping[str, str], said: str) -> str:
        """What is wrong with a device, and what to do."""
        if not serial:
            return (
                f"{self._route.name}: adb has no device: plug one in, turn USB debugging on in its developer options, "
                "and allow this computer on its screen"
            )
        who = self._route.text if serial == self._route.serial else f"{self._route.name} (adb://{serial})"
        if state in _ELSEWHERE:
            return f"{who} is in {state}, where nothing of Android runs: start it"
        for word, wants in _WANTS.items():
            if state.startswith(word):
                return f"{who} {wants}"
        if state:
            return f"{who} is {state[:80]!r} to adb: see 'adb devices'"
        if said:
            return f"{who} cannot be reached: adb says: {said}; is adb over the network on there?"
        return (
            f"{who} is not attached: plug it in, and turn USB debugging on in its developer options "
            f"(adb has {', '.join(sorted(states)) or 'no device'})"
        )


def _only(states: Mapping[str, str], name: str) -> str:
    """The serial of the only device there is; empty where there is none yet. Raises `LaunchError` for several."""
    if len(states) > 1:
        raise LaunchError(
            f"{name}: several devices are attached ({', '.join(sorted(states))}); say which: adb://{min(states)}"
        )
    return next(iter(states), "")
