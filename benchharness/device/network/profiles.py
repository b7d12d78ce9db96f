"""Networks by name. What was simulated by one of them is called so wherever it is told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

#: From a number to a number, in ms; each connection draws its own between them.
Span = tuple[float, float]


@dataclass(frozen=True)
class Network:
    """What happens to the bytes of a connection. Times in ms, one way where it is not said."""

    delay_ms: float = 0.0
    jitter_ms: float = 0.0  # more or less than the delay by up to so much, evenly; order is kept
    down_kbit: float = 0.0  # kilobits a second towards the device; 0: no limit
    up_kbit: float = 0.0
    loss: float = 0.0  # share of stretches of 256 bytes that are late by `loss_ms`, with all that follows them
    loss_ms: float = 0.0
    refused: float = 0.0  # share of connections that are reset at once
    stall_after_ms: Span | None = None  # from so long after the connection was opened nothing passes ...
    stall_ms: Span = (0.0, 0.0)  # ... for so long
    cut_after_ms: Span | None = None  # the connection is reset so long after it was opened
    black_hole: bool = False  # connections are opened, and nothing ever passes

    def to_json(self) -> dict[str, Any]:
        """As it travels."""
        return asdict(self)

    @classmethod
    def from_json(cls, told: Mapping[str, Any]) -> Network:
        """As it was sent."""
        known = {each.name for each in fields(cls)}
        values: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in told.items() if name in known
        }
        return cls(**values)


#: Rates and half the round trip as WebPageTest's profiles of these names have them; jitter, loss, stalls and cuts are
#: ours: they say what is to be withstood, and are no survey of real networks.
NETWORKS: Mapping[str, Network] = {
    "good": Network(delay_ms=10, jitter_ms=2),
    "lte": Network(delay_ms=35, jitter_ms=10, down_kbit=12_000, up_kbit=12_000),
    "3g": Network(delay_ms=150, jitter_ms=40, down_kbit=1_600, up_kbit=768, loss=0.01, loss_ms=600),
    "edge": Network(delay_ms=420, jitter_ms=120, down_kbit=240, up_kbit=200, loss=0.02, loss_ms=1_500),
    "lossy": Network(delay_ms=60, jitter_ms=30, down_kbit=4_000, up_kbit=1_000, loss=0.05, loss_ms=400, refused=0.1),
    "elevator": Network(
        delay_ms=35,
        jitter_ms=10,
        down_kbit=12_000,
        up_kbit=12_000,
        stall_after_ms=(100, 1_500),
        stall_ms=(2_000, 5_000),
    ),
    "cut": Network(delay_ms=35, jitter_ms=10, down_kbit=12_000, up_kbit=12_000, cut_after_ms=(150, 1_500)),
    "dead-zone": Network(black_hole=True),
    "offline": Network(refused=1.0),
}
