"""The way to a device over SSH."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from benchharness.launch.route import Route

SCHEME = "ssh"
#: Where a device keeps what is ours, below the home of the user who is logged in there.
WORK = "~/.benchharness"


class Address(NamedTuple):
    """Where an SSH server listens; None where the user's SSH configuration, or the system, knows."""

    host: str
    port: int | None = None
    user: str | None = None

    @property
    def text(self) -> str:
        """As `ssh` takes it."""
        who = f"{self.user}@" if self.user else ""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{who}{host}{f':{self.port}' if self.port else ''}"


def address(text: str) -> Address:
    """An address from `ssh://[user@]host[:port]`. Raises `ValueError`."""
    parts = urlsplit(text)
    if parts.scheme != SCHEME or not parts.hostname or parts.path.strip("/") or parts.query or parts.fragment:
        raise ValueError("write it as ssh://user@host or ssh://user@host:port")
    if parts.password is not None:
        raise ValueError("holds a password; log in with a key: name its file as 'key', or start an SSH agent")
    if parts.hostname.startswith("-") or (parts.username or "").startswith("-"):
        raise ValueError("a host's or a user's name does not begin with a hyphen")
    return Address(parts.hostname, parts.port, parts.username)


@dataclass(frozen=True, kw_only=True)
class SshRoute(Route):
    """Where a device is, and who is let in there."""

    address: Address
    jump: Address | None = None
    key: Path | None = None  # a private key here
    host_key: str | None = None  # "ssh-ed25519 AAAA…"
    work: str = WORK

    @property
    def text(self) -> str:
        """For messages."""
        return f"{self.name} (ssh://{self.address.text})"
