"""What a run that compared two bases says of them: new / old of each metric, which joins ratios to both. Pure.

The ratio is that of the nights themselves: a geometric mean over pairs of one round on one device, with Student's
interval, so that what is multiplied is alike.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from benchharness.judge.builds import DECIDED, Twins, twins
from benchharness.judge.compare import ratios_of
from benchharness.judge.unequal import Factor
from benchharness.results.history import NightJob
from benchharness.results.result import BASE, Estimate, Result, Run

_BUILD_DIGITS = 12


class Base(NamedTuple):
    """A base build as one cell runs it."""

    cell: str
    build: str


@dataclass(frozen=True, kw_only=True)
class Bridge:
    """One pair of jobs of a run that ran two bases side by side. `ratios` are new / old, by `ratios.identity`."""

    run: str
    device: str
    old: Base
    new: Base
    ratios: Mapping[tuple[str, str], Estimate]
    early: str = ""  # that its pairs ended when they had decided, before the most that were planned


def build_id(digest: str, runtime: str | None, interpreter: str | None, harness: str) -> str:
    """The identity of a build that was run: artefact, runtime, interpreter and harness, by digest."""
    told = "\n".join((digest, runtime or "?", interpreter or "?", harness))
    return hashlib.sha256(told.encode()).hexdigest()[:_BUILD_DIGITS]


def base_of(job: NightJob, version: str) -> Base:
    """What a job of a night ran that a harness of this version drove. A job without a good attempt has no facts."""
    runtime, interpreter, *_ = job.facts
    return Base(cell=job.planned.cell, build=build_id(job.planned.digest, runtime, interpreter, version))


def bridges_of(run: Run, results: Sequence[Result], most: int | None = None) -> Iterator[Bridge]:
    """What a run can join; nothing where it compared no builds, or neither build ran. `most`: the pairs planned."""
    for pair in twins(results):
        if pair.base.outcome.ok and pair.candidate.outcome.ok:
            yield from _of_pair(run, pair, most or pair.made)


def _of_pair(run: Run, pair: Twins, most: int) -> Iterator[Bridge]:
    stopped = pair.candidate.stopped
    early = f"{stopped}, of {most} at most" if stopped.startswith(DECIDED) and pair.made < most else ""
    ratios = ratios_of(pair.candidate, pair.base, apart_from=Factor.BUILD, called=BASE)
    old, new = (_base(each, run.version) for each in (pair.base, pair.candidate))
    for device in {*pair.base.devices} & {*pair.candidate.devices}:
        yield Bridge(run=run.id, device=device, old=old, new=new, ratios=ratios, early=early)


def _base(result: Result, version: str) -> Base:
    told = (result.job.digest, result.effective.runtime_version, result.conditions.python, version)
    return Base(cell=result.job.cell, build=build_id(*told))
