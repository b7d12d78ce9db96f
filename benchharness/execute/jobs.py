"""Walks the jobs: launches attempts, decides how many more, saves each as it ends, resumes.

Attempts go in rounds: one of every job that is still due, in an order shuffled anew each round. A machine that drifts
then drifts for all variants alike, and the attempts of one round can be compared as pairs. The jobs of two builds that
are twins follow each other at once, whichever first, and stop together.
"""

from __future__ import annotations

import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import inf
from pathlib import Path
from statistics import fmean
from typing import Any, Protocol

from benchharness.execute.link import DeviceLink
from benchharness.execute.pairs import Looks
from benchharness.execute.stopping import Ending, hopeless, rule_of
from benchharness.judge.derive import derive_one, together
from benchharness.launch import Launcher
from benchharness.metrics import METRICS
from benchharness.results.ids import new_id
from benchharness.results.result import Attempt, Job, Result
from benchharness.results.store import Store
from benchharness.scenarios import SCENARIOS
from benchharness.suite.artefact import Manifest
from benchharness.suite.tables import Attempts

#: A pass holds all of its models in memory at once; those that are left get another, and the reference with them.
_MOST_IN_A_PASS = 12


class Observer(Protocol):
    """Watches a run; the terminal draws it."""

    def begins(self, jobs: Sequence[Job], attempt: int, of: int, left: int, left_s: float | None) -> None:
        """An attempt starts, the `attempt`-th of probably `of`: of one job, or of all that one pass serves.

        `left` attempts are missing in the whole run, what intervals will still take included, and they will take
        `left_s` seconds: None before the first attempt has ended.
        """

    def phase(self, phase: str, done: int, total: int) -> None:
        """What the attempt is doing."""

    def ended(self, job: Job, attempt: Attempt) -> None:
        """An attempt ended and is saved."""

    def done(self, result: Result) -> None:
        """A job gets no more attempts: what it yielded, not yet compared with any other."""


@dataclass
class _State:
    """One job on its way."""

    job: Job
    attempts: list[Attempt] = field(default_factory=list)
    stopped: str = ""
    _found: tuple[int, str, Result] | None = None  # after so many attempts, as far as it had stopped

    @cached_property
    def shares(self) -> str:
        """What the jobs have in common whose attempts are made at once."""
        return self.job.comparison_pass or self.job.key

    @property
    def turn(self) -> str:
        """What the jobs have in common that take turns: twins do."""
        return self.job.pair or self.job.key

    def width(self) -> float:
        """The widest relative half-interval of the job's headline metrics; infinite where one has none."""
        return _widest(self.result())

    def result(self) -> Result:
        """What the job has yielded so far, not yet compared with any other; derived once after each attempt."""
        if self._found is None or self._found[:2] != (len(self.attempts), self.stopped):
            self._found = (len(self.attempts), self.stopped, derive_one(self.job, self.attempts, self.stopped))
        return self._found[2]


class Execution:
    """One run being executed. `walk` may be called on a run that was interrupted: it goes on where that one ended."""

    def __init__(
        self,
        store: Store,
        run: str,
        *,
        rules: Attempts,
        manifests: Mapping[Path, Manifest],
        observer: Observer,
        looks: Looks | None = None,
        meter: Mapping[str, Any] | None = None,
        ending: Ending | None = None,
    ) -> None:
        self._store = store
        self._run = run
        self._rules = rules
        self._looks = looks  # of a run that compares two builds
        self._ending = ending  # of one that need not go on to its end
        self._stopping = rule_of(rules.interval, rules.at_least, rules.at_most)
        self._manifests = manifests
        self._meter = meter  # an external one of the device's power
        self._observer = observer
        self._states = {job.key: _State(job=job, stopped=stopped) for job, stopped in store.jobs(run)}
        self._started_s = time.monotonic()
        self._spent_s: dict[str, list[float]] = {}  # on the attempts that jobs share
        for attempt in store.attempts(run):
            if attempt.job in self._states:
                self._states[attempt.job].attempts.append(attempt)

    def walk(self, launcher: Launcher, scratch: Path) -> None:
        """Makes attempts until every job has stopped. Raises `LaunchError` where the device cannot be reached."""
        link = DeviceLink(launcher, run=self._run, scratch=scratch, save=self._save, meter=self._meter)
        try:
            link.connect()  # refused where another harness is at this run: nothing of it has been touched yet
        except BaseException:
            link.close()
            raise
        self._store.set_state(self._run, "running")
        try:
            for state in self._states.values():
                self._decide(state)
            self._look()
            while due := self._due():
                self._round(link, due)
                self._look()
        except BaseException:
            link.close()
            self._store.set_state(self._run, "interrupted")
            raise
        link.leave()
        self._store.set_state(self._run, "finished")

    def _due(self) -> list[_State]:
        """The jobs of the next round: those with the fewest attempts, shuffled by the run's id and the round."""
        going = [state for state in self._states.values() if not state.stopped]
        if not going:
            return []
        round_ = min(len(state.attempts) for state in going)
        turns: dict[str, list[_State]] = {}
        for state in going:
            if len(state.attempts) == round_:
                turns.setdefault(state.turn, []).append(state)
        chance = random.Random(f"{self._run} {round_}")
        shuffled = list(turns.values())
        chance.shuffle(shuffled)
        for turn in shuffled:
            chance.shuffle(turn)
        return [state for turn in shuffled for state in turn]

    def _round(self, link: DeviceLink, due: Sequence[_State]) -> None:
        for state in due:
            if state.stopped:
                continue  # measured in another's pass
            if self._time_is_over():
                missing = "" if self._looks is not None else self._stopping.shortfall(state.width)
                self._stop(state, f"time budget of {self._rules.max_time:g} s ended{missing}")
                continue
            made = len(state.attempts)
            alongside = self._alongside(state, due)
            together = [state.job, *(other.job for other in alongside)]
            self._observer.begins(together, made + 1, made + self._missing(state), *self._left())
            before_s = time.monotonic()
            attempt = link.attempt(
                state.job,
                self._manifests,
                attempt=new_id(),
                round_=made,
                progress=self._observer.phase,
                companions={new_id(): other.job for other in alongside},
            )
            self._spent_s.setdefault(state.shares, []).append(time.monotonic() - before_s)
            self._observer.ended(state.job, attempt)
            self._decide(state)
            for other in alongside:
                self._observer.ended(other.job, other.attempts[-1])
                self._decide(other)
            self._end()

    def _alongside(self, state: _State, due: Sequence[_State]) -> list[_State]:
        """The other jobs of this round that the same pass of the reference serves."""
        shared = state.job.comparison_pass
        if shared is None:
            return []
        others = [each for each in due if each is not state and not each.stopped and each.job.comparison_pass == shared]
        return others[: _MOST_IN_A_PASS - 1]

    def _save(self, attempt: Attempt) -> Attempt:
        """Keeps an attempt, with what the host makes of it."""
        state = self._states.get(attempt.job)
        if state is None:
            return attempt  # of no job of this run: a spool tells what it likes
        kept = SCENARIOS.of_stored(state.job.scenario).completed(state.job, attempt)
        self._store.save_attempt(self._run, kept)
        if all(known.id != kept.id for known in state.attempts):
            state.attempts.append(kept)
        return kept

    def _decide(self, state: _State) -> None:
        """Stops a job that has what was asked for, or that will never have it."""
        if state.stopped or not state.attempts:
            return
        trouble = hopeless([attempt.outcome for attempt in state.attempts])
        reason = trouble or self._enough(state)
        if reason:
            self._stop(state, reason)
        if trouble:
            for twin in self._twins(state):
                self._stop(twin, f"the {state.job.side}: {trouble}")

    def _twins(self, state: _State) -> list[_State]:
        """What goes on of the other build's job for the same."""
        others = (other for other in self._states.values() if other is not state and not other.stopped)
        return [other for other in others if other.turn == state.turn]

    def _look(self) -> None:
        """Stops the twins of two builds of which enough is known, where this is the number of pairs to look after."""
        going = [state for state in self._states.values() if state.job.side and not state.stopped]
        if self._looks is None or not going:
            return
        made = {state.job.pair: len(state.attempts) for state in going}
        if not any(self._looks.due(each) for each in made.values()):
            return
        results = [state.result() for state in self._states.values()]
        for pair, reason in self._looks.enough(results).items():
            for state in (state for state in going if state.job.pair == pair):
                self._stop(state, reason)

    def _end(self) -> None:
        """Stops every job where nothing that is still to come would be worth its time."""
        going = [state for state in self._states.values() if not state.stopped]
        if self._ending is None or not going:
            return
        if reason := self._ending.reason_to_end(together([state.result() for state in self._states.values()])):
            for state in going:
                self._stop(state, reason)

    def _enough(self, state: _State) -> str | None:
        last = state.attempts[-1]
        if last.outcome.ok and (one_attempt := SCENARIOS.of_stored(state.job.scenario).one_attempt):
            return f"one attempt: {one_attempt}"
        if last.outcome.ok and not last.effective.on_device:
            return "one attempt: a reference execution has nothing to time"
        if self._looks is not None and state.job.side:
            return None  # `_look` tells
        return self._stopping.reason_to_stop(len(state.attempts), state.width)

    def _stop(self, state: _State, reason: str) -> None:
        state.stopped = reason
        self._store.stop_job(self._run, state.job.key, reason)
        self._observer.done(state.result())

    def _time_is_over(self) -> bool:
        return self._rules.max_time is not None and time.monotonic() - self._started_s > self._rules.max_time

    def _missing(self, state: _State) -> int:
        """How many attempts a job will probably still get, at least one."""
        if SCENARIOS.of_stored(state.job.scenario).one_attempt:
            return 1
        made = len(state.attempts)
        if self._looks is not None and state.job.side:
            return max(1, self._looks.expected(made) - made)
        return max(1, self._stopping.expected(made, state.width) - made)

    def _left(self) -> tuple[int, float | None]:
        """How many attempts are probably missing in the run, and the time for them."""
        going = [(state.shares, self._missing(state)) for state in self._states.values() if not state.stopped]
        seconds = seconds_left(going, self._spent_s)
        if seconds is not None and self._rules.max_time is not None:
            seconds = min(seconds, max(0.0, self._rules.max_time - (time.monotonic() - self._started_s)))
        return sum(missing for _, missing in going), seconds


def seconds_left(going: Sequence[tuple[str, int]], spent_s: Mapping[str, Sequence[float]]) -> float | None:
    """The time for what is missing: attempts of jobs that share them are made once, and take what theirs took so far.

    Where none of theirs has ended yet, the mean of all; None before the first.
    """
    everything = [each for of_one in spent_s.values() for each in of_one]
    if not everything:
        return None
    missing: dict[str, int] = {}
    for shares, count in going:
        missing[shares] = max(count, missing.get(shares, 0))
    return sum(count * fmean(spent_s.get(shares) or everything) for shares, count in missing.items())


def _widest(result: Result) -> float:
    widths = [
        metric.estimate.relative_half_width
        for metric in result.metrics
        if METRICS[metric.name].headline and metric.parameters.get("percentile", 50) == 50
    ]
    return max((inf if width is None else width for width in widths), default=inf)
