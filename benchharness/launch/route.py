"""The way to a device: what every one says, however the device is reached."""

from __future__ import annotations

from dataclasses import dataclass

#: In the path of an interpreter: an environment of ours, below the work folder.
ENVIRONMENTS = "/environments/"


@dataclass(frozen=True, kw_only=True)
class Route:
    """A device's name here, and what is found there: `python` and `work` are its own paths."""

    name: str
    python: str = "python3"
    work: str
    system: str = "linux"

    @property
    def text(self) -> str:
        """For messages: the name, and where it leads."""
        return self.name
