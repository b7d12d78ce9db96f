"""Sessions that time their inferences themselves (`TimesInferences`), as pages in browsers do.

A time is what the session says, held against the harness's own clock around the call. Many inferences are one call, so
that they follow each other as an application's would, and not with the way there between each two.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from benchharness.contract import Session, TimesInferences
from benchharness.device.inputs.states import Carried, States
from benchharness.device.own_clock import OwnClock, is_whole
from benchharness.errors import InvalidOutput

if TYPE_CHECKING:
    from benchharness.contract import Array

#: A call that measures is about so long: long beside the way there, short enough to tell how far it is.
_CALL_NS = 250_000_000
_MOST_A_CALL = 10_000


class TimedInferences:
    """Such a session. A model with states that go from one inference to the next makes one a call."""

    def __init__(self, session: Session, clock: OwnClock, states: States) -> None:
        self.inputs, self.outputs, self.effective = session.inputs, session.outputs, session.effective
        self._session: Any = session
        self._clock = clock
        self._last_ns = 0
        self._one_by_one = bool(states.found)
        self._carried = Carried(_OneByOne(self), states)

    @classmethod
    def of(cls, session: Session, states: States) -> TimedInferences | None:
        """A session that times itself; None for any other."""
        return cls(session, OwnClock(session.clock), states) if isinstance(session, TimesInferences) else None

    def run(self, inputs: Mapping[str, Array]) -> Mapping[str, Array]:
        """One inference."""
        return self._carried.run(inputs)

    def one(self, inputs: Mapping[str, Array]) -> tuple[int, Mapping[str, Array]]:
        """What one inference took, in ns, and its outputs. Raises `InvalidOutput`, `Unsupported`."""
        outputs = self.run(inputs)
        return self._last_ns, outputs

    def several(self, inputs: Mapping[str, Array], at_most: int) -> list[int]:
        """What each of some inferences took, in ns: as many as fit in a fraction of a second, judged by the last."""
        if self._one_by_one:
            return [self.one(inputs)[0]]
        fitting = _CALL_NS // max(self._last_ns, 1) if self._last_ns else 1
        return self.made(inputs, max(1, min(at_most, fitting, _MOST_A_CALL)))[0]

    def made(self, inputs: Mapping[str, Array], count: int) -> tuple[list[int], Mapping[str, Array]]:
        """One call: what each inference took, and the last one's outputs."""
        called_ns = time.perf_counter_ns()
        given = self._session.run_timed(inputs, count)
        lasted_ns = time.perf_counter_ns() - called_ns
        taken = list(given.taken_ns)
        if len(taken) != count:
            raise InvalidOutput(f"{count} inferences were asked for, and {len(taken)} are timed")
        wrong = next((each for each in taken if not is_whole(each) or each < 0), None)
        if wrong is not None:
            raise InvalidOutput(f"an inference took {wrong!r} ns")
        self._clock.check_span(sum(taken), lasted_ns)
        self._clock.timed(taken, "an inference")
        self._last_ns = taken[-1]
        return taken, given.outputs

    def facts(self) -> dict[str, Any]:
        """Whose stamps these are, for the result."""
        return self._clock.facts(1)


class _OneByOne:
    """The same as a plain session."""

    def __init__(self, timed: TimedInferences) -> None:
        self.inputs, self.outputs, self.effective = timed.inputs, timed.outputs, timed.effective
        self._timed = timed

    def run(self, inputs: Mapping[str, Array]) -> Mapping[str, Array]:
        return self._timed.made(inputs, 1)[1]
