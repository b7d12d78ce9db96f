"""The line to one device: an SSH connection in a thread of its own, opened when it is wanted, and again when it broke.

Keys are the user's agent's or in a file; nothing is forwarded. A host key is the one in the device's profile, else one
in the user's known hosts: there is no way around it.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Coroutine, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, TypeVar

from benchharness.errors import ConnectionLost, LaunchError
from benchharness.launch.shell import past_greeting, started
from benchharness.launch.ssh.channel import SshChannel
from benchharness.launch.ssh.route import Address, SshRoute

if TYPE_CHECKING:
    import asyncssh

_CONNECTING_S = 30.0
#: A line that says nothing is asked every so often, so many times: then it is gone.
_KEEPALIVE_S = 15
_MOST_SILENT = 3

T = TypeVar("T")


class SshLine:
    """One device's. Safe to use from several threads; `close` when it is no longer wanted."""

    def __init__(self, route: SshRoute) -> None:
        look_for_asyncssh()
        self._route = route
        self._connection: asyncssh.SSHClientConnection | None = None
        self._jump: asyncssh.SSHClientConnection | None = None
        self._loop = asyncio.new_event_loop()
        self._loop.set_exception_handler(_heard)
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True, name=f"ssh {route.name}")
        self._thread.start()

    def start(self, command: Sequence[str]) -> SshChannel:
        """Starts a command there. Raises `LaunchError`, `ConnectionLost` where the line broke on the way."""
        return past_greeting(self._wait(self._start(started(command, self._route.system))))

    def close(self) -> None:
        """Ends the line and its thread; safe to call twice."""
        if self._loop.is_closed():
            return
        with contextlib.suppress(LaunchError):
            self._wait(self._finish())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_CONNECTING_S)
        self._loop.close()

    def _wait(self, wanted: Coroutine[Any, Any, T]) -> T:
        """What a coroutine in the line's own thread returns."""
        import asyncssh

        future = asyncio.run_coroutine_threadsafe(wanted, self._loop)
        try:
            return future.result(4 * _CONNECTING_S)
        except asyncssh.HostKeyNotVerifiable as error:
            raise LaunchError(self._of_host_key()) from error
        except asyncssh.PermissionDenied as error:
            raise LaunchError(
                f"{self._route.text} lets nobody in with the keys at hand ({error.reason}); {_KEYS}"
            ) from error
        except (asyncssh.KeyImportError, asyncssh.KeyEncryptionError) as error:
            raise LaunchError(f"{self._route.key}: no key that can be used: {error}; {_KEYS}") from error
        except asyncssh.ConfigParseError as error:
            raise LaunchError(f"the SSH configuration cannot be read: {error}") from error
        except TimeoutError as error:
            future.cancel()
            raise LaunchError(f"{self._route.text} does not answer within {_CONNECTING_S:g} s; is it on?") from error
        except (OSError, asyncssh.Error) as error:
            raise ConnectionLost(f"{self._route.text} cannot be reached: {error}") from error

    async def _start(self, command: str) -> SshChannel:
        import asyncssh

        if self._connection is not None:
            try:
                return await SshChannel.open(self._connection, command)
            except (OSError, asyncssh.Error):
                await self._hang_up()  # it broke since
        self._connection = await self._connect()
        return await SshChannel.open(self._connection, command)

    async def _connect(self) -> asyncssh.SSHClientConnection:
        import asyncssh

        route = self._route
        if route.key is not None and not route.key.is_file():
            raise LaunchError(f"{route.text}: there is no key {route.key} here; {_KEYS}")
        settings: dict[str, Any] = {
            "connect_timeout": _CONNECTING_S,
            "keepalive_interval": _KEEPALIVE_S,
            "keepalive_count_max": _MOST_SILENT,
            "agent_forwarding": False,
            "client_keys": [str(route.key)] if route.key else (),
        }
        if route.jump is not None:
            self._jump = await asyncssh.connect(**_place(route.jump), **settings)
            settings["tunnel"] = self._jump
        if route.host_key is not None:
            settings["known_hosts"] = ([asyncssh.import_public_key(route.host_key)], [], [])
        return await asyncssh.connect(**_place(route.address), **settings)

    async def _finish(self) -> None:
        """Hangs up, and sees every watcher of a command to its end."""
        await self._hang_up()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        await asyncio.wait(others, timeout=_CONNECTING_S) if others else None

    async def _hang_up(self) -> None:
        for connection in (self._connection, self._jump):
            if connection is not None:
                connection.abort()
                await connection.wait_closed()
        self._connection = self._jump = None

    def _of_host_key(self) -> str:
        if self._route.host_key is None:
            return (
                f"{self._route.text}: its host key is in no list of known hosts; write it into the profile with: "
                f"benchharness device add ssh://{self._route.address.text} --name {self._route.name}"
            )
        again = f"benchharness device add ssh://{self._route.address.text} --name {self._route.name} --again"
        return (
            f"{self._route.text}: its host key is not the one in its profile. Either it was set up anew, and then "
            f"'{again}' takes the new one, or somebody stands between: nothing was sent"
        )


_KEYS = "name a private key as 'key' in its profile, or start an SSH agent that has it"


def _heard(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Tells what went wrong in the loop, but for the one thing that is nothing.

    A command's input that is closed in the moment in which the command ends: asyncssh (2.24) has let go of that stream
    and looks for it once more, under the name None.
    """
    trouble = context.get("exception")
    if not (isinstance(trouble, KeyError) and trouble.args == (None,)):
        loop.default_exception_handler(context)


def look_for_asyncssh() -> None:
    """It is an extra: whoever measures here alone does not need it."""
    if find_spec("asyncssh") is None:
        raise LaunchError("devices over SSH need asyncssh, which is not installed: pip install 'benchharness[ssh]'")


def _place(where: Address) -> dict[str, Any]:
    """An address as asyncssh takes it; what it leaves open is found in the user's SSH configuration."""
    return {
        "host": where.host,
        **({"port": where.port} if where.port else {}),
        **({"username": where.user} if where.user else {}),
    }
