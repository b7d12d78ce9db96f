"""What runs beside trials: background loads of ours, and applications in the foreground that the suite starts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from benchharness.device import foreground, hogs

BUSY_CORE, MEMORY_BANDWIDTH, FOREGROUND = "busy core", "memory bandwidth", "foreground"
_BACKGROUND = {hogs.BUSY_CORE: BUSY_CORE, hogs.MEMORY_BANDWIDTH: MEMORY_BANDWIDTH}


class Load(Protocol):
    """Something that is on while its context lasts."""

    by: str  # what it is
    says: str  # what was seen of it when it was on
    left: str  # what is wrong with its end; empty where it is over

    def lost(self) -> str:
        """Why it is no longer on; empty while it is."""


class Beside(NamedTuple):
    """A load, the name of its constraint, and where it is."""

    constraint: str
    load: Any  # a `Load`, and the context of it
    told: str

    @property
    def context(self) -> AbstractContextManager[Load]:
        """The load, on."""
        return self.load  # type: ignore[no-any-return]


def loads(settings: Mapping[str, Any], cores: Sequence[int], bundle: str | None) -> Iterator[Beside]:
    """What the settings ask for: a busy core beside the first of our cores, traffic on the last, then applications."""
    for kind in settings["background"]:
        core = None if not cores else cores[0] if kind == hogs.BUSY_CORE else cores[-1]
        yield Beside(_BACKGROUND[kind], hogs.Hog(kind, core, bundle=bundle), f"{kind}, on core {core}")
    for name, told in settings.get("foreground", {}).items():
        made = foreground.application(name, told, Path.cwd())  # the scratch folder, gone with the attempt
        yield Beside(f"{FOREGROUND} {name}", made, f"{FOREGROUND} {name}")
