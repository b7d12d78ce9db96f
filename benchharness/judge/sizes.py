"""What artefacts weigh, night by night: known exactly, so that any other value is a step and no chance is in it. Pure.

A variant has one artefact whatever runs it, so its size is one trend on a device and not one of every job.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from benchharness.judge.bases import Against, against, ran_beside
from benchharness.judge.bridges import Base, base_of
from benchharness.judge.causes import Causes
from benchharness.judge.tracks import NO_BASE, Owner
from benchharness.results.history import NightJob, Told
from benchharness.results.trends import Certainty, Step, Track

#: The metrics, in the order in which they are told.
SIZES = ("artefact_size", "download_size")


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """One size of a variant on a device. `owner` is the job of its newest night, `ratio` to one base, by no bridge."""

    owner: Owner
    metric: str
    absolute: Track
    ratio: Track
    base: Track
    base_build: str
    why_no_ratio: str
    steps: Sequence[Step]


def sizes_of(told: Told, causes: Causes, pinned: Sequence[str] = ()) -> Iterator[Sizes]:
    """Of every variant that was tried: its sizes, where they are known; `pinned` are bases, as `tracks_of` has them."""
    bases = {
        (job.night, job.planned.pair, job.device): job
        for job in told.jobs
        if job.planned.side == "base" and job.good  # of one that failed nobody knows which build it was
    }
    by_variant: dict[tuple[str, ...], dict[int, NightJob]] = {}
    for job in told.jobs:
        if job.planned.side != "base" and job.device:
            suite, planned = told.nights[job.night].suite, job.planned
            whose = (suite, planned.hardware, job.device, planned.model, planned.variant)
            by_variant.setdefault(whose, {}).setdefault(job.night, job)
    for jobs in by_variant.values():
        for metric in SIZES:
            known = {night: size for night in sorted(jobs) if (size := _size(jobs[night], metric)) is not None}
            if known and metric in told.wanted:
                yield _sizes(told, metric, known, jobs, bases, causes, pinned)


def _size(job: NightJob, metric: str) -> int | None:
    return job.planned.artefact_size if metric == "artefact_size" else job.planned.download_size


def _sizes(
    told: Told,
    metric: str,
    known: Mapping[int, int],
    jobs: Mapping[int, NightJob],
    beside_all: Mapping[tuple[int, str, str], NightJob],
    causes: Causes,
    pinned: Sequence[str],
) -> Sizes:
    beside = {night: beside_all.get((night, jobs[night].planned.pair, jobs[night].device)) for night in known}
    sized = {night: job for night, job in beside.items() if job is not None and _size(job, metric)}
    bases = {night: _base(told, job) for night, job in sized.items()}
    owner = causes.owner(jobs[max(known)])
    ran = ran_beside(bases, sized)
    what = against(ran, owner.device, (metric, {}), pinned, ()) if ran else Against(build="", why=NO_BASE)
    mine = {
        night: size for night, base in bases.items() if base in what.offsets if (size := _size(sized[night], metric))
    }
    return Sizes(
        owner=owner,
        metric=metric,
        absolute=_exact(known),
        ratio=_exact({night: known[night] / size for night, size in mine.items()}),
        base=_exact(mine),
        base_build=what.build,
        why_no_ratio=what.why,
        steps=list(_steps(known, jobs, causes)),
    )


def _base(told: Told, job: NightJob) -> Base:
    """Which build a base was, whichever cell ran it."""
    return base_of(job, told.nights[job.night].version)._replace(cell="")


def _exact(known: Mapping[int, float]) -> Track:
    """Every end of an interval is the value."""
    values = list(known.values())
    return Track(nights=list(known), values=values, lows=values, highs=values, counts=[1] * len(values))


def _steps(known: Mapping[int, int], jobs: Mapping[int, NightJob], causes: Causes) -> Iterator[Step]:
    for before, after in itertools.pairwise(known):
        # What is downloaded is as small as the host's compressor makes it: of one artefact that says nothing.
        if known[after] == known[before] or jobs[after].planned.digest == jobs[before].planned.digest:
            continue
        size = known[after] / known[before] - 1
        yield Step(
            night=after,
            first=after,
            last=after,
            size=size,
            low=size,
            high=size,
            relative=True,
            certainty=Certainty.CONFIRMED,
            worse=size > 0,
            causes=causes.between_jobs(jobs[before], jobs[after]),
        )
