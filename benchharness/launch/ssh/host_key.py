"""The key by which a server is known again, asked for before anything else is said to it."""

from __future__ import annotations

import asyncio
import socket
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchharness.errors import LaunchError
from benchharness.launch.ssh.line import look_for_asyncssh
from benchharness.launch.ssh.route import SshRoute

_PATIENCE_S = 30.0
_SSH_PORT = 22


@dataclass(frozen=True, kw_only=True)
class HostKey:
    """A server's public key: as a profile keeps it, and as people compare it."""

    text: str  # "ssh-ed25519 AAAA…"
    fingerprint: str  # "SHA256:…", as ssh-keygen -l prints it
    is_known: bool  # it stands in the user's own list of known hosts


def host_key_of(route: SshRoute, known_hosts: Path | None = None) -> HostKey:
    """What a server presents; nobody is logged in for it. Raises `LaunchError`."""
    look_for_asyncssh()
    import asyncssh

    try:
        key = _in_a_loop_of_its_own(route)
    except TimeoutError as error:
        raise LaunchError(f"{route.text} does not answer within {_PATIENCE_S:g} s; is it on?") from error
    except (OSError, asyncssh.Error) as error:
        raise LaunchError(f"{route.text} cannot be reached: {error}") from error
    if key is None:
        raise LaunchError(f"{route.text} shows no host key")
    return HostKey(
        text=" ".join(key.export_public_key().decode().split()[:2]),
        fingerprint=key.get_fingerprint(),
        is_known=_is_known(key, route, known_hosts or Path.home() / ".ssh" / "known_hosts"),
    )


def _in_a_loop_of_its_own(route: SshRoute) -> Any:
    """Asked in another thread: in a notebook, the caller's has a running loop, and that allows no second."""
    with ThreadPoolExecutor(max_workers=1) as thread:
        return thread.submit(lambda: asyncio.run(asyncio.wait_for(_presented(route), _PATIENCE_S))).result()


async def _presented(route: SshRoute) -> Any:
    import asyncssh

    address = route.address
    tunnel = route.jump.text if route.jump else ()
    return await asyncssh.get_server_host_key(address.host, address.port or (), tunnel=tunnel)


def _is_known(key: Any, route: SshRoute, known_hosts: Path) -> bool:
    import asyncssh

    host, port = route.address.host, route.address.port
    if not known_hosts.is_file():
        return False
    try:
        where = socket.gethostbyname(host)
    except OSError:  # the name means something to the jump host alone
        where = ""
    try:
        told = asyncssh.match_known_hosts(str(known_hosts), host, where, None if port == _SSH_PORT else port)
    except (OSError, ValueError):
        return False
    trusted, revoked = told[0], told[2]
    return key in trusted and key not in revoked
