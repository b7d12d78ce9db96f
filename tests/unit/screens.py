"""A terminal that tests read: what was printed on it."""

from __future__ import annotations

import io
from typing import Any

from rich.console import Console


def console(width: int = 200, **told: Any) -> tuple[Console, io.StringIO]:
    """A terminal without colours unless it is told of some, and what stands on it."""
    screen = io.StringIO()
    return Console(file=screen, width=width, **{"color_system": None, **told}), screen
