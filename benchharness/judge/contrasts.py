"""Which results of a run are held against each other, beside the reference: runtimes, and the plain processor. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from benchharness.judge.compare import identity, ratios_of
from benchharness.judge.plain import plain_accelerator
from benchharness.judge.unequal import Factor
from benchharness.results.result import Basis, Contrast, Job, Result


def contrasts(result: Result, others: Sequence[Result]) -> Iterator[Contrast]:
    """The result against the same precision in the suite's first runtime, and against itself without accelerator."""
    if result.job.of_answers:
        return  # it is held against its reference's answers, in whatever runtime
    for basis, factor, differs in (
        (Basis.RUNTIME, Factor.RUNTIME, _runtime_peer),
        (Basis.ACCELERATOR, Factor.ACCELERATOR, _without_accelerator),
    ):
        peer = next((other for other in others if differs(result.job, other.job)), None)
        if peer is None or peer is result or (basis is Basis.RUNTIME and _same_runtime(result.job, peer.job)):
            continue
        ratios = ratios_of(result, peer, apart_from=factor, called="other")
        found = [
            (metric.name, metric.parameters, ratio)
            for metric in result.metrics
            if (ratio := ratios.get(identity(metric))) is not None
        ]
        yield Contrast(basis=basis, other=peer.job.key, title=peer.job.title, ratios=found)


def _asks_the_same(job: Job, other: Job) -> bool:
    same = ("side", "hardware", "model", "scenario", "workload", "settings")
    return all(getattr(job, name) == getattr(other, name) for name in same)


def _runtime_peer(job: Job, other: Job) -> bool:
    """Whether another job is the first to measure the same precision with as many threads, whatever runs it."""
    return (
        job.precision is not None
        and job.precision == other.precision
        and job.configuration.asked_threads == other.configuration.asked_threads
        and _asks_the_same(job, other)
    )


def _same_runtime(job: Job, other: Job) -> bool:
    return job.configuration.runtime == other.configuration.runtime


def _without_accelerator(job: Job, other: Job) -> bool:
    """Whether another job is this one on the runtime's own CPU path."""
    ours, theirs, plain = job.configuration, other.configuration, plain_accelerator(job)
    if ours.accelerator == plain or theirs.accelerator != plain:
        return False
    same = ("runtime", "threads", "options", "python")
    alike = all(getattr(ours, name) == getattr(theirs, name) for name in same)
    return alike and job.variant == other.variant and _asks_the_same(job, other)
