"""Which job of a base is which of a candidate: planned apart, run beside each other. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from benchharness.errors import UsageError
from benchharness.results.objects import written
from benchharness.results.result import BASE, CANDIDATE, Job


@dataclass(frozen=True, kw_only=True)
class Matched:
    """The jobs of both builds that ask for the same, base first, and the titles of those that nothing matches."""

    twins: Sequence[tuple[Job, Job]]
    alone: Sequence[str]

    def jobs(self) -> list[Job]:
        """The twins as one run's jobs: each tells its side and its partner, and has a key of its own."""
        return [job for base, candidate in self.twins for job in _told_apart(base, candidate)]


def matched(base: Sequence[Job], candidate: Sequence[Job]) -> Matched:
    """Twins ask for the same: model, variant, configuration, workload and scenario, each by its name.

    Where both sides have one variant of one model each, they are twins whatever they are called: two files.
    Raises `UsageError` where no job has a twin.
    """
    one_each = len(_models(base)) == len(_models(candidate)) == 1
    theirs = {_asked(job, by_name=not one_each): job for job in base}
    ours = {_asked(job, by_name=not one_each): job for job in candidate}
    twins = [(theirs[asked], job) for asked, job in ours.items() if asked in theirs]
    if not twins:
        raise UsageError(
            f"base and candidate have no job in common: {_first(base)} against {_first(candidate)}; "
            "models, variants, configurations and workloads are matched by their names"
        )
    alone = [
        f"{side} alone: {job.title}"
        for side, asked, others in ((BASE, theirs, ours), (CANDIDATE, ours, theirs))
        for key, job in asked.items()
        if key not in others
    ]
    return Matched(twins=twins, alone=alone)


def _models(jobs: Iterable[Job]) -> set[tuple[str, str]]:
    return {(job.model, job.variant) for job in jobs}


def _asked(job: Job, *, by_name: bool) -> str:
    named = [job.model, job.variant] if by_name else []
    what = [*named, job.configuration.name, job.workload.name, job.scenario, written(job.settings)]
    return json.dumps(what, sort_keys=True)


def _told_apart(base: Job, candidate: Job) -> tuple[Job, Job]:
    pair = _digest(base.key, candidate.key)
    return (
        replace(base, key=_digest(BASE, base.key, pair), side=BASE, pair=pair),
        replace(candidate, key=_digest(CANDIDATE, candidate.key, pair), side=CANDIDATE, pair=pair),
    )


def _digest(*words: str) -> str:
    return hashlib.sha256(" ".join(words).encode()).hexdigest()[:16]


def _first(jobs: Sequence[Job]) -> str:
    return jobs[0].title if jobs else "nothing"
