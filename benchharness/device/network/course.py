"""When the bytes of a simulated connection arrive. Pure: the same seed and the same bytes give the same moments."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

from benchharness.device.network.profiles import Network, Span

#: Bytes that share one draw of jitter and loss: about one event of a streamed answer. Draws go by the place in the
#: stream, so that it does not matter in which pieces the system hands it over.
STRETCH_BYTES = 256
DOWN, UP = "down", "up"


@dataclass(frozen=True)
class Fate:
    """What a connection drew when it was opened. Seconds since then."""

    refused: bool
    stall_from_s: float  # infinity: never
    stall_until_s: float
    cut_s: float  # infinity: never

    @classmethod
    def drawn(cls, network: Network, seed: str) -> Fate:
        """The fate of the connection with this seed. Always so many draws, whatever the network is."""
        generator = random.Random(f"{seed} fate")
        refused = generator.random() < network.refused
        starts, lasts, cut = (generator.random() for _ in range(3))
        begin = _between(network.stall_after_ms, starts)
        return cls(
            refused=refused,
            stall_from_s=begin,
            stall_until_s=begin + _between(network.stall_ms, lasts),
            cut_s=_between(network.cut_after_ms, cut),
        )


class Course:
    """One direction of a connection. Moments are seconds since it was opened."""

    def __init__(self, network: Network, seed: str, direction: str, fate: Fate) -> None:
        self._network, self._fate = network, fate
        self._draws = random.Random(f"{seed} {direction}")
        self._bytes_a_s = (network.down_kbit if direction == DOWN else network.up_kbit) * 125
        self._position = 0
        self._extra_s = 0.0  # of the present stretch, beside the delay
        self._free_s = 0.0  # when the line has sent what it was given
        self._last_s = 0.0

    def arrivals(self, now_s: float, count: int) -> Iterator[tuple[float, int]]:
        """(moment, bytes) in which so many bytes arrive that were handed over now."""
        while count:
            if self._position % STRETCH_BYTES == 0:
                self._draw()
            size = min(count, STRETCH_BYTES - self._position % STRETCH_BYTES)
            self._position += size
            count -= size
            self._free_s = max(self._free_s, now_s) + (size / self._bytes_a_s if self._bytes_a_s else 0.0)
            due_s = max(self._last_s, self._free_s + self._network.delay_ms / 1e3 + self._extra_s)
            if self._fate.stall_from_s <= due_s < self._fate.stall_until_s:
                due_s = self._fate.stall_until_s
            self._last_s = due_s
            yield due_s, size

    def _draw(self) -> None:
        jitter, lost = self._draws.uniform(-1, 1), self._draws.random()
        network = self._network
        late_ms = network.loss_ms if lost < network.loss else 0.0
        self._extra_s = max(-network.delay_ms, jitter * network.jitter_ms) / 1e3 + late_ms / 1e3


def _between(span: Span | None, share: float) -> float:
    """Seconds; infinity for no span."""
    return float("inf") if span is None else (span[0] + share * (span[1] - span[0])) / 1e3
