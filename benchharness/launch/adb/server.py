"""The adb server of this machine, which holds the lines to all Android devices: adbutils talks to it.

Its place is what adb's own variables say: ANDROID_ADB_SERVER_HOST and ANDROID_ADB_SERVER_PORT.
"""

from __future__ import annotations

import socket
import subprocess
import tempfile
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

from benchharness.errors import LaunchError

_STARTING_S, _ANSWERING_S, _CONNECTING_S = 20.0, 15.0, 20.0
_LONGEST_WORDS = 300
_HERE = ("127.0.0.1", "localhost", "::1")


class ServerSays(Exception):
    """The server refuses, or is gone; what it says of it."""


def look_for_adbutils() -> None:
    """It is an extra: whoever has no phone does not need it."""
    if find_spec("adbutils") is None:
        raise LaunchError("devices over adb need adbutils, which is not installed: pip install 'benchharness[adb]'")


class Server:
    """The server, started where it does not run yet."""

    def __init__(self) -> None:
        look_for_adbutils()
        import adbutils

        self._client: Any = adbutils.AdbClient()

    def states(self) -> Mapping[str, str]:
        """Every device that is attached, by serial: `device` where it is ready, else `offline`, `unauthorized`, …"""
        lines = self._asked("host:devices").splitlines()
        return {serial: state for serial, _, state in (line.partition("\t") for line in lines) if serial}

    def connect(self, serial: str) -> str:
        """Has the server connect to `host:port`, a line that is dead taken down first; what it says to that."""
        if serial in self.states():
            self._asked(f"host:disconnect:{serial}")
        return self._asked(f"host:connect:{serial}", _CONNECTING_S)[:_LONGEST_WORDS]

    def features(self, serial: str) -> frozenset[str]:
        """What the daemon on a device can do."""
        return frozenset(self._asked(f"host-serial:{serial}:features").split(","))

    def open(self, serial: str, service: str) -> socket.socket:
        """A stream to a service of a device. Raises `ServerSays`."""
        connection = self._connection(_ANSWERING_S)
        try:
            for each in (f"host:transport:{serial}", service):
                connection.send_command(each)
                connection.check_okay()
            stream: socket.socket = connection.conn
            stream.settimeout(None)
        except Exception as error:
            connection.close()
            raise _said(error) from error
        return stream

    def _asked(self, request: str, patience_s: float = _ANSWERING_S) -> str:
        connection = self._connection(patience_s)
        try:
            connection.send_command(request)
            connection.check_okay()
            return str(connection.read_string_block())
        except Exception as error:
            raise _said(error) from error
        finally:
            connection.close()

    def _connection(self, patience_s: float) -> Any:
        """adbutils would start a server too, and let it write on our standard output."""
        if not self._listens():
            self._start()
        try:
            return self._client.make_connection(timeout=patience_s)
        except Exception as error:
            raise _said(error) from error

    def _listens(self) -> bool:
        try:
            socket.create_connection((self._client.host, self._client.port), _ANSWERING_S).close()
        except OSError:
            return False
        return True

    def _start(self) -> None:
        where = f"{self._client.host}:{self._client.port}"
        if self._client.host not in _HERE:
            raise LaunchError(f"no adb server answers at {where} (ANDROID_ADB_SERVER_HOST); start it there")
        import adbutils

        with tempfile.TemporaryFile() as words:  # a pipe would stay open as long as the server runs
            try:
                command = [adbutils.adb_path(), "-P", str(self._client.port), "start-server"]
                code = subprocess.run(
                    command, stdin=subprocess.DEVNULL, stdout=words, stderr=words, timeout=_STARTING_S, check=False
                ).returncode
            except (OSError, adbutils.AdbError) as error:
                raise LaunchError(
                    f"no adb can be started here ({error}); install Android's platform tools, or Debian's package adb"
                ) from error
            except subprocess.TimeoutExpired as error:
                raise LaunchError(f"'adb start-server' did not end within {_STARTING_S:g} s; try it by hand") from error
            words.seek(0)
            told = words.read(_LONGEST_WORDS).decode("utf-8", "replace").strip()
        if code:
            raise LaunchError(f"the adb server cannot be started at {where}: {told}")


def _said(error: Exception) -> ServerSays:
    """adbutils raises errors of its own, those of sockets, and `ValueError` for half an answer."""
    return ServerSays(" ".join(str(error).split())[:_LONGEST_WORDS] or type(error).__name__)
