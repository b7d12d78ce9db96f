"""Links between pages."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Link:
    """A page beside the one that links to it; "" for that page itself."""

    title: str
    href: str = ""
