"""What else was another on the night of a step: artefact, runtime, interpreter, system, host, suite, harness. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from benchharness.judge.tracks import Owner
from benchharness.results.history import NightJob, Told
from benchharness.results.night_rows import FACTS
from benchharness.results.trends import Cause

_DIGEST_DIGITS = 12
#: What is told of a job, in the order in which it is the likelier cause.
_FACTS = ("artefact", *FACTS, "host", "suite", "harness")


class Causes:
    """The nights of every owner, each with what it was made of."""

    def __init__(self, told: Told) -> None:
        self._told = told
        self._jobs: dict[Owner, dict[int, NightJob]] = {}
        self._newest: dict[Owner, NightJob] = {}
        for job in told.jobs:
            if job.planned.side != "base":
                self._jobs.setdefault(self.owner(job), {})[job.night] = job

    def owner(self, job: NightJob) -> Owner:
        """Whose job it is, over all nights."""
        return Owner(
            suite=self._told.nights[job.night].suite,
            hardware=job.planned.hardware,
            device=job.device,
            cell=job.planned.cell,
            variant=job.planned.variant,
        )

    def newest(self, owner: Owner) -> NightJob:
        """The owner's job of its newest night, after which its figures are called."""
        if owner not in self._newest:
            jobs = self._jobs[owner]
            self._newest[owner] = jobs[max(jobs)]
        return self._newest[owner]

    def near(
        self, owner: Owner, nights: Sequence[int], at: int, first: int, last: int
    ) -> tuple[int, tuple[Cause, ...]]:
        """Of the places from `first` to `last` the one nearest to `at` where something changed, and what.

        Places are into `nights`; where nothing changed at any of them it is `at` itself, and nothing.
        """
        for place in sorted(range(max(first, 1), last + 1), key=lambda each: abs(each - at)):
            if changed := self.between(owner, nights[place - 1], nights[place]):
                return place, changed
        return at, ()

    def between(self, owner: Owner, before: int, after: int) -> tuple[Cause, ...]:
        """What was another on night `after` than on night `before`. What is unknown of either is no change."""
        return self.between_jobs(self._jobs[owner][before], self._jobs[owner][after])

    def between_jobs(self, before: NightJob, after: NightJob) -> tuple[Cause, ...]:
        """The same of two jobs."""
        pairs = zip(_FACTS, self._facts(before), self._facts(after), strict=True)
        return tuple(Cause(what=what, before=old, after=new) for what, old, new in pairs if old and new and old != new)

    def _facts(self, job: NightJob) -> tuple[str | None, ...]:
        made = self._told.nights[job.night]
        return (
            job.planned.digest[:_DIGEST_DIGITS],
            *job.facts,
            job.host,
            made.suite_digest[:_DIGEST_DIGITS],
            made.version,
        )
