"""Which turns a context holds, and what a turn has to read. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from benchharness.device.scenarios.conversation.turns import TurnTokens

STOP, DROP_OLDEST = "stop", "drop-oldest"


@dataclass(frozen=True)
class Reading:
    """What a turn feeds before its answer begins. `anew`: into an emptied cache. `dropped`: older turns made room."""

    tokens: Sequence[int]
    anew: bool
    dropped: bool = False


@dataclass
class Context:
    """A cache of so many tokens, and the turns in it. The last token of an answer is fed with the turn after it."""

    length: int
    when_full: str
    keeps: bool = True  # whether the cache stays between turns; else every turn reads all of it again
    _turns: list[TurnTokens] = field(default_factory=list)

    @property
    def used(self) -> int:
        """Tokens of all turns in it."""
        return sum(map(len, self._turns))

    def next(self, turn: TurnTokens) -> Reading | None:
        """What the turn reads; None where it has no room, even alone."""
        if self.used + len(turn) <= self.length:
            if self.keeps and self._turns:
                return Reading([self._turns[-1].answer[-1], *turn.said], anew=False)
            return Reading([*self._all(), *turn.said], anew=not self.keeps and bool(self._turns))
        if self.when_full == STOP or len(turn) > self.length:
            return None
        while self._turns and self.used + len(turn) > self.length:
            del self._turns[0]
        return Reading([*self._all(), *turn.said], anew=True, dropped=True)

    def took(self, turn: TurnTokens) -> None:
        """The turn is over, and in it."""
        self._turns.append(turn)

    def _all(self) -> list[int]:
        return [token for turn in self._turns for token in (*turn.said, *turn.answer)]
