"""The rules behind the typed warnings: when a number is less sure than it looks, and what can be done about it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from benchharness.contract import (
    CACHE_COPIED_BY_BINDING,
    EXECUTION_REFERENCE,
    FALLBACK_ALLOW,
    MEMORY_ELSEWHERE,
    PLACE_NOT_TOLD,
)
from benchharness.judge import fed
from benchharness.judge.earlier import warnings_of_before
from benchharness.judge.limits import while_measured
from benchharness.judge.processes import OF_THE_PROCESS
from benchharness.judge.unequal import unlike
from benchharness.judge.unsure_samples import warnings_of_samples
from benchharness.results.result import Attempt, Result, ResultWarning, WarningKind
from benchharness.scenarios import SCENARIOS
from benchharness.units import percent_text

#: Share of time spent waiting for a core from which an attempt counts as disturbed. A hog beside a course raised it by
#: at least this much; undisturbed courses stayed below.
CONTENDED_SHARE = 0.05
#: Metrics by the beginning of their names.
_MEMORY = ("peak_memory", "phase_peak_memory", "model_memory")
#: A quota that stops a group this often is felt; once or twice happens at a group's start.
THROTTLED_TIMES = 3


def warnings_of(result: Result, attempts: Sequence[Attempt]) -> Iterator[ResultWarning]:
    """Every warning that the attempts behind a result give reason for."""
    scenario = SCENARIOS.of_stored(result.job.scenario)
    yield from warnings_of_before(result.job, attempts)
    yield from _too_few(result, attempts)
    yield from _failed_attempts(result, attempts)
    yield from _not_applied(result)
    yield from _fallback(result, attempts)
    yield from _unequal_work(result, attempts)
    yield from _lower_precision(result)
    yield from _reference_execution(attempts)
    yield from _other_device(result)
    yield from fed.shared_samples(result)
    yield from _part_of_pipeline(result)
    yield from fed.leading_token(result)
    yield from fed.dimensions(result)
    yield from fed.unexplained(result)
    yield from fed.states(result)
    yield from fed.only_zeros(attempts)
    yield from fed.tensors(result)
    known = scenario.disturbances(result)
    if not result.job.of_answers or result.job.against is not None:
        yield from _disturbed(attempts) if known is None else known
    yield from _limits_changed(result, attempts)
    yield from _unsettled(attempts)
    yield from scenario.warnings(result)
    yield from _binding_copies(result)
    yield from _memory_elsewhere(result)
    yield from _not_shipped(result)
    for metric in result.metrics:
        yield from warnings_of_samples(metric, result.effective)


def _too_few(result: Result, attempts: Sequence[Attempt]) -> Iterator[ResultWarning]:
    on_device = result.effective.on_device
    by_itself = bool(SCENARIOS.of_stored(result.job.scenario).one_attempt)
    if 0 < len(attempts) < 5 and on_device and not by_itself:
        yield ResultWarning(
            kind=WarningKind.TOO_FEW_SAMPLES,
            message=f"{len(attempts)} attempts: intervals over fewer than 5 fresh processes are wide or missing",
            hint="ask for --attempts 5 or more",
        )
    if result.stopped and "interval not reached" in result.stopped:
        yield ResultWarning(
            kind=WarningKind.NO_INTERVAL,
            message=result.stopped,
            hint="close other programs, or allow more attempts (at_most) or time (--max-time)",
        )


def _failed_attempts(result: Result, attempts: Sequence[Attempt]) -> Iterator[ResultWarning]:
    failed = {kind: count for kind, count in result.outcomes.items() if kind != "ok"}
    if failed and attempts:
        listed = ", ".join(f"{count} {kind}" for kind, count in sorted(failed.items()))
        yield ResultWarning(
            kind=WarningKind.SOME_FAILED,
            message=f"{listed} beside {len(attempts)} good attempts: the numbers stand on the good ones only",
            hint="see the evidence of the failed attempts before trusting this cell",
        )


def _part_of_pipeline(result: Result) -> Iterator[ResultWarning]:
    files = result.job.files  # empty in runs of before
    if files.get("part"):
        others = [str(name) for name in files.get("pipeline", ())]
        yield ResultWarning(
            kind=WarningKind.PART_OF_PIPELINE,
            message=f"{files.get('model')} is the {files['part']} of a pipeline: time, memory and size are of this "
            "part alone",
            hint=f"measure its other parts too: {', '.join(others[:5])}{' and more' if len(others) > 5 else ''}",
        )


def _not_applied(result: Result) -> Iterator[ResultWarning]:
    requested, effective = result.job.configuration, result.effective
    accelerators = effective.accelerators or ()
    wanted = requested.accelerator
    if wanted and accelerators and not {wanted, PLACE_NOT_TOLD} & set(accelerators) and effective.fallback is None:
        yield ResultWarning(
            kind=WarningKind.NOT_APPLIED,
            message=f"{wanted} was requested and the runtime used {', '.join(map(str, accelerators))}",
            hint="see 'benchharness adapters' for what runs here",
        )
    asked = result.job.workload.continuation or "greedy"
    if effective.continuation not in (None, asked):
        yield ResultWarning(
            kind=WarningKind.NOT_APPLIED,
            message=f"a {asked} continuation was asked for, and answers are what the model chooses",
            hint='say continuation = "greedy" in the workload, so that other runtimes do so too',
        )
    bundle = effective.facts.get("bundle")
    if bundle and result.job.settings.get("page_cache") == "evicted":
        yield ResultWarning(
            kind=WarningKind.NOT_APPLIED,
            message=f'page_cache = "evicted": {bundle} was, and the copy of its model that the runtime maps was not',
            hint="unpack the bundle's model and measure the .tflite, if its cold start from disk matters",
        )
    threads = effective.threads
    if requested.threads and threads is not None and threads != requested.threads:
        yield ResultWarning(
            kind=WarningKind.NOT_APPLIED,
            message=f"{requested.threads} threads were requested and the runtime used {threads}",
            hint="the runtime limits its threads; request what it can give",
        )


def _fallback(result: Result, attempts: Sequence[Attempt]) -> Iterator[ResultWarning]:
    """An accelerator that was asked for and did not take everything, unless the configuration allows that.

    No configuration allows that attempts differ in it: their numbers would be of two ways of running.
    """
    told = [attempt.effective.fallback for attempt in attempts]
    fallen = [fallback for fallback in told if isinstance(fallback, Mapping)]
    ways = {str(fallback.get("operators_elsewhere")) if isinstance(fallback, Mapping) else "" for fallback in told}
    mixed = f"in {len(fallen)} of {len(told)} attempts, and not alike in all: " if len(ways) > 1 else ""
    if fallen and (mixed or result.job.configuration.fallback != FALLBACK_ALLOW):
        yield ResultWarning(
            kind=WarningKind.FALLBACK,
            message=f"{mixed}{fallen[-1].get('summary')}",
            hint='compare with a configuration without accelerator; fallback = "fail" makes it an outcome, "allow" '
            "accepts it",
        )


def _unequal_work(result: Result, attempts: Sequence[Attempt]) -> Iterator[ResultWarning]:
    """Attempts of one job that did not do the same: their values are no repeats of one another."""
    apart = unlike(attempts, result.job)
    if apart:
        yield ResultWarning(
            kind=WarningKind.UNEQUAL_WORK,
            message="; ".join(apart),
            hint="these values are of different work and no ratio is taken; run it again without changes in between",
        )


#: Bits of a significand, the hidden one included: what a type keeps of a number.
_SIGNIFICANDS = {
    "float64": 53,
    "float32": 24,
    "tensorfloat32": 11,
    "float16": 11,
    "bfloat16": 8,
    "float8e4m3": 4,
    "float8e5m2": 3,
}
_LABELS = {"fp64": "float64", "fp32": "float32", "fp16": "float16", "bf16": "bfloat16", "tf32": "tensorfloat32"}


def significand(precision: object) -> int | None:
    """Bits that a floating-point type keeps, by its name or a suite's label; the least of several that `+` joins.

    None for whatever is no such type, as `int8`, `original` or `mixed`.
    """
    parts = [part.strip().casefold() for part in str(precision).split("+")]
    bits = [_SIGNIFICANDS.get(_LABELS.get(part, part)) for part in parts]
    return None if None in bits else min(one for one in bits if one is not None)


def _lower_precision(result: Result) -> Iterator[ResultWarning]:
    """A session that computes in less than the file's own types, or than what the suite calls the variant."""
    effective = result.effective.precision
    computed = significand(effective)
    for wanted, where in (
        (result.effective.model_precision, "the model file"),
        (result.job.precision, "the suite"),
    ):
        asked = significand(wanted)
        if computed is not None and asked is not None and computed < asked:
            yield ResultWarning(
                kind=WarningKind.LOWER_PRECISION,
                message=f"{where} says {wanted} and the runtime computed in {effective}",
                hint="set the runtime's own option for precision, or compare it with what computes in the same",
            )
            return


def _reference_execution(attempts: Sequence[Attempt]) -> Iterator[ResultWarning]:
    if any(attempt.effective.execution == EXECUTION_REFERENCE for attempt in attempts):
        yield ResultWarning(
            kind=WarningKind.REFERENCE_EXECUTION,
            message="reference execution, weights only: sizes, operators and quality, never latency or memory",
            hint="measure on a device that has the runtime",
        )


def _other_device(result: Result) -> Iterator[ResultWarning]:
    """A session that a worker here drives elsewhere, such as a page in a phone's browser."""
    where = result.effective.facts.get("computed_on")
    if where:
        yield ResultWarning(
            kind=WarningKind.OTHER_DEVICE,
            message=f"computed on {str(where)[:200]}: hardware, temperatures, clocks and power are told of the machine "
            "that drives it",
            hint="keep its results in a store of their own, and read no condition of them",
        )


def _disturbed(attempts: Sequence[Attempt]) -> Iterator[ResultWarning]:
    """Attempts that had to wait for a core, or that a CPU quota stopped. A reference execution times nothing."""
    waiting = [attempt.conditions.waiting_share for attempt in attempts if attempt.effective.on_device]
    contended = [share for share in waiting if share is not None and share >= CONTENDED_SHARE]
    if contended:
        share = percent_text(max(contended))
        several = f"{len(contended)} of {len(attempts)} attempts waited for a core, up to {share} of their time"
        yield ResultWarning(
            kind=WarningKind.CONTENDED,
            message=several if len(attempts) > 1 else f"its one attempt waited for a core {share} of its time",
            hint="close other programs, use fewer threads, or measure on a device that does nothing else",
        )
    stopped = [attempt.conditions.times_throttled for attempt in attempts]
    throttled = [times for times in stopped if times is not None and times >= THROTTLED_TIMES]
    if throttled:
        yield ResultWarning(
            kind=WarningKind.THROTTLED,
            message=f"a CPU quota stopped {len(throttled)} of {len(attempts)} attempts up to {max(throttled)} times",
            hint="raise the container's CPU limit, or say in the report that the quota belongs to the product",
        )


def _limits_changed(result: Result, attempts: Sequence[Attempt]) -> Iterator[ResultWarning]:
    """Attempts whose process was moved, or given other limits, while it was measured. Quality does not depend on it."""
    if result.job.of_answers:
        return
    of_courses = [[event.told for event in course.events] for course in result.courses]
    found = of_courses or [[change.told for change in while_measured(attempt)] for attempt in attempts]
    changed = [told for told in found if told]
    if changed:
        told = changed[-1]
        more = f", and {len(told) - 1} more" if len(told) > 1 else ""
        yield ResultWarning(
            kind=WarningKind.LIMITS_CHANGED,
            message=f"{len(changed)} of {len(found)} attempts: while it was measured the process was {told[0]}{more}",
            hint="keep the process where it is (a system moves what goes to the background), or measure it there "
            "from the start",
        )


def _unsettled(attempts: Sequence[Attempt]) -> Iterator[ResultWarning]:
    """Attempts that began before the entry gate had seen the device cool and settled."""
    gates = [attempt.conditions.entry_gate for attempt in attempts]
    early = [gate for gate in gates if gate is not None and gate.get("settled") is not True]
    if early:
        yield ResultWarning(
            kind=WarningKind.UNSETTLED,
            message=f"{len(early)} of {len(attempts)} attempts began unsettled: {early[-1].get('reason')}",
            hint="raise entry_gate, cool the device, or stop what else runs on it",
        )


def left_running(attempts: Sequence[Attempt]) -> Iterator[ResultWarning]:
    """Processes that were still there when their attempt was over, be it one that failed."""
    told = [attempt.conditions.left_running for attempt in attempts]
    left = [found for found in told if found is not None and any(type(n) is int for n in found.values())]
    counts: Counter[str] = Counter()
    for found in left:
        counts.update({str(name): n for name, n in found.items() if type(n) is int})
    if left:
        listed = ", ".join(f"{count} × {name}" for name, count in counts.most_common())
        yield ResultWarning(
            kind=WarningKind.LEFT_RUNNING,
            message=f"{len(left)} of {len(attempts)} attempts left processes running, which were ended: {listed}",
            hint="they may have taken time from what was measured: switch telemetry and helpers of the runtime off, or "
            "let the adapter end them when a session closes",
        )


def _binding_copies(result: Result) -> Iterator[ResultWarning]:
    if result.effective.cache == CACHE_COPIED_BY_BINDING:
        yield ResultWarning(
            kind=WarningKind.BINDING_COPIES,
            message="the language binding copies the key/value cache at every token; the runtime alone is faster",
            hint="measure with a native runner before deciding on these numbers",
        )


def _memory_elsewhere(result: Result) -> Iterator[ResultWarning]:
    """Of a session that keeps tensors where no reading of the process looks."""
    where = result.effective.facts.get(MEMORY_ELSEWHERE)
    if where and any(metric.name.startswith(_MEMORY) for metric in result.metrics):
        yield ResultWarning(
            kind=WarningKind.MEMORY_ELSEWHERE,
            message=f"memory is the host's alone: what lies in {str(where)[:200]} memory is in no figure",
            hint="read the accelerator's own memory beside it before deciding on memory",
        )


def _not_shipped(result: Result) -> Iterator[ResultWarning]:
    """Of a runtime whose Python brings along what products leave out: start and memory are this program's."""
    brought = result.effective.facts.get("python_runtime")
    if brought and any(metric.name.startswith(OF_THE_PROCESS) for metric in result.metrics):
        yield ResultWarning(
            kind=WarningKind.NOT_SHIPPED,
            message=f"cold start and memory are not a product's: {brought}",
            hint="compare rates and quality, and measure start and memory in the program that ships",
        )
