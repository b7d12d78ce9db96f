"""The rules behind the typed warnings: when a number is less sure than it looks, and what can be done about it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from statistics import fmean, median, stdev
from typing import Any

from benchharness.contract import CACHE_COPIED_BY_BINDING, EXECUTION_REFERENCE, FALLBACK_ALLOW
from benchharness.device.pairing import toml_line
from benchharness.device.shapes import key as toml_key
from benchharness.judge.earlier import warnings_of_before
from benchharness.judge.unequal import unlike
from benchharness.metrics import METRICS
from benchharness.results.courses import SessionState
from benchharness.results.result import Attempt, MetricResult, Result, ResultWarning, WarningKind
from benchharness.results.told import Effective

#: pyperf calls a benchmark unstable when the standard deviation exceeds this share of the mean.
UNSTABLE_SHARE = 0.10
#: hyperfine's outlier rule: modified z-score beyond this.
OUTLIER_SCORE = 14.8
#: A timed region shorter than this holds more than 1 % of clock: two calls take about 36 ns each.
SHORTEST_TIMED_NS = 7_200
#: The same share of a runtime's own clock, and the metrics that are read from it.
_STEP_SHARE = 0.01
STAMPED = frozenset(("model_ttft", "request_ttft", "itl", "chunk_gap", "tpot", "ttft_after_pause"))
#: Share of time spent waiting for a core from which an attempt counts as disturbed. A hog beside a session raised it by
#: at least this much; undisturbed sessions stayed below.
CONTENDED_SHARE = 0.05
#: Share of a memory floor that may go uncounted.
NOT_CHARGED_SHARE = 0.05
#: A quota that stops a group this often is felt; once or twice happens at a group's start.
THROTTLED_TIMES = 3
#: How many facts there are about a pair of tensors: its two names, how it was found, whether that is certain.
_PAIR = 4
#: So many tensors are named in a warning.
_MOST_TOLD = 5


def warnings_of(result: Result, attempts: Sequence[Attempt]) -> Iterator[ResultWarning]:
    """Every warning that the attempts behind a result give reason for."""
    yield from warnings_of_before(result.job, attempts)
    yield from _too_few(result, attempts)
    yield from _failed_attempts(result, attempts)
    yield from _not_applied(result)
    yield from _fallback(result, attempts)
    yield from _unequal_work(result, attempts)
    yield from _lower_precision(result)
    yield from _reference_execution(attempts)
    yield from _shared_samples(result)
    yield from _part_of_pipeline(result)
    yield from _leading_token(result)
    yield from _dimensions(result)
    yield from _unexplained(result)
    yield from _states(result)
    yield from _only_zeros(attempts)
    yield from _tensors(result)
    yield from _sessions(result) if result.courses else _disturbed(attempts)
    yield from _unsettled(attempts)
    yield from _not_charged(result)
    yield from _binding_copies(result)
    for metric in result.metrics:
        if METRICS[metric.name].headline:
            yield from _unstable(metric)
        yield from _timer(metric)
        yield from _stamped(metric, result.effective)
        yield from _slow_first(metric)


def _too_few(result: Result, attempts: Sequence[Attempt]) -> Iterator[ResultWarning]:
    on_device = result.effective.on_device
    by_itself = result.job.scenario in ("quality", "constrained")  # computed, not timed; or makes its own trials
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
            kind=WarningKind.UNSTABLE,
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
    if wanted and accelerators and wanted not in accelerators and effective.fallback is None:
        yield ResultWarning(
            kind=WarningKind.NOT_APPLIED,
            message=f"{wanted} was requested and the runtime used {', '.join(map(str, accelerators))}",
            hint="see 'benchharness adapters' for what runs here",
        )
    asked = result.job.workload.continuation or "greedy"
    if effective.continuation not in (None, asked):
        yield ResultWarning(
            kind=WarningKind.NOT_APPLIED,
            message=f"a {asked} continuation was asked for, and the runtime's own loop writes what the model chooses",
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


def _shared_samples(result: Result) -> Iterator[ResultWarning]:
    data = result.job.workload.data
    if data and data.shared_samples:
        yield ResultWarning(
            kind=WarningKind.SHARED_SAMPLES,
            message=f"{data.shared_samples} samples of the evaluation data stand in {data.calibration} too",
            hint="evaluate on data that chose no scales; quality reads too good on these",
        )


def _leading_token(result: Result) -> Iterator[ResultWarning]:
    """Token ids without the token that the model expects first: some models are lost without it."""
    without = result.effective.evaluated.get("documents_without_them")
    if isinstance(without, int) and without > 0:
        yield ResultWarning(
            kind=WarningKind.LEADING_TOKEN,
            message=f"{without} documents of token ids do not begin with the token that the tokenizer puts before text",
            hint="put it first in each of them, or give the text itself: without it perplexity may be absurd",
        )


def _dimensions(result: Result) -> Iterator[ResultWarning]:
    """Input lengths that nobody asked for, and lengths asked for that no input has."""
    assumed = result.effective.assumed_dimensions
    if assumed:
        listed = ", ".join(f"{name} = {length}" for name, length in assumed.items())
        yield ResultWarning(
            kind=WarningKind.ASSUMED_INPUT,
            message=f"input lengths were assumed: {listed}",
            hint="set them to what the product feeds: --dimension NAME=LENGTH, or 'dimensions' in a suite's workload",
        )
    unused = result.effective.unused_dimensions
    if unused:
        yield ResultWarning(
            kind=WarningKind.NOT_APPLIED,
            message=f"dimensions that no input has: {', '.join(map(str, unused))}",
            hint="compare with: benchharness inspect MODEL",
        )


def _unexplained(result: Result) -> Iterator[ResultWarning]:
    """Inputs that were filled without knowing what they mean: the model may have done other work than it is for."""
    guessed = {
        name: f"{name} = {_mapping(fact).get('value')} ({_mapping(fact).get('by')})"
        for name, fact in (result.effective.invented_inputs or {}).items()
        if _mapping(fact).get("explained") is False
    }
    if guessed:
        line = ", ".join(f"{toml_key(name)} = …" for name in guessed)
        yield ResultWarning(
            kind=WarningKind.UNEXPLAINED_INPUT,
            message=f"inputs were filled with what may mean other work: {', '.join(guessed.values())}",
            hint=f'say what the product feeds in the suite\'s workload: values = {{ {line} }}, or inputs = "real.npz"',
        )


def _states(result: Result) -> Iterator[ResultWarning]:
    """What goes from one inference to the next because names say so, and what names call so and does not fit."""
    state = result.effective.state
    if state.get("by") == "suite":
        return
    pairs = {str(given): str(taken) for given, taken in _mapping(state.get("carried")).items()}
    left = _mapping(state.get("not_carried"))
    told = []
    if pairs:
        told.append(f"state was fed back as names tell: {_few([f'{one} → {two}' for one, two in pairs.items()], ', ')}")
    if left:
        told.append(f"not fed back: {_few([str(why) for why in left.values()], '; ')}")
    if told:
        line = toml_line("state", pairs) if pairs else "state = { output = … }"
        yield ResultWarning(
            kind=WarningKind.ASSUMED_STATE,
            message="; ".join(told),
            hint=f"say it under the model in the suite: {line}, or state = {{}} for none",
        )


def _only_zeros(attempts: Sequence[Attempt]) -> Iterator[ResultWarning]:
    """A model that found nothing in what it was fed, or a runtime that did not run it."""
    told = [fact for attempt in attempts if (fact := attempt.effective.only_zeros) is not None]
    if not told:
        return
    message = f"in {len(told)} of {len(attempts)} attempts every output was all zeros on what was fed"
    tried = max((one["tried"] for one in told if isinstance(one.get("tried"), int)), default=0)
    if all(one.get("answers") is True for one in told):
        message += ", and not on other made-up input: the model runs, and found nothing"
    else:
        also = f", and on {tried} other made-up inputs" if tried else ""
        message += f"{also}: a model that found nothing, or a runtime that did not run it"
    yield ResultWarning(
        kind=WarningKind.ONLY_ZEROS,
        message=message,
        hint='feed it data in which there is something to find: inputs = "real.npz" in the suite\'s workload',
    )


def _tensors(result: Result) -> Iterator[ResultWarning]:
    """Data that saturated a quantized input, pairs that may be wrong, inputs that are none of their own, left-outs."""
    ours = result.effective.tensors
    theirs = result.effective.reference.tensors if result.effective.reference else {}
    for whose, told in (("", ours), ("of the reference ", theirs)):
        for name, done in _mapping(told.get("conversion")).items():
            count, values = _mapping(done).get("saturated"), _mapping(done).get("values")
            if isinstance(count, int) and isinstance(values, int) and count > 0:
                yield ResultWarning(
                    kind=WarningKind.SATURATED,
                    message=f"{count:,} of {values:,} numbers fed to input {name} {whose}are beyond its range, and are "
                    "fed as the end of it",
                    hint="feed data scaled as in training, or calibrate on data like it",
                )
        for kind, key in (("inputs", "pairing"), ("outputs", "outputs")):
            unsure = [f"{pair[0]} with {pair[1]}" for pair in _rows(told.get(key)) if pair[3] is False]
            if unsure:
                yield ResultWarning(
                    kind=WarningKind.UNSURE_PAIRING,
                    message=f"{kind} {whose}paired by names that tell nothing: {_few(unsure, ', ')}",
                    hint=f"say which is which with '{kind}' under the model or the variant",
                )
    if True in (ours.get("keeps_state"), theirs.get("keeps_state")):
        yield ResultWarning(
            kind=WarningKind.CARRIED_STATE,
            message="the model keeps a state inside that its runtime cannot reset: each input was answered after those "
            "before it, on both sides in the same order",
            hint="let the data be one recording in the order of time, or export the state as an input and an output",
        )
    left_out = _mapping(ours.get("not_compared"))
    if left_out:
        yield ResultWarning(
            kind=WarningKind.NOT_COMPARED,
            message=f"outputs not compared: {_few([f'{name}: {why}' for name, why in left_out.items()], '; ')}",
            hint="say which is which with 'outputs' under the model or the variant",
        )


def _few(told: Sequence[str], between: str) -> str:
    more = f" and {len(told) - _MOST_TOLD} more" if len(told) > _MOST_TOLD else ""
    return between.join(told[:_MOST_TOLD]) + more


def _mapping(told: object) -> Mapping[str, Any]:
    """What a device told, where it has the expected form: it is not trusted."""
    return told if isinstance(told, Mapping) else {}


def _rows(told: object) -> list[Sequence[Any]]:
    rows = told if isinstance(told, list | tuple) else ()
    return [row for row in rows if isinstance(row, list | tuple) and len(row) >= _PAIR]


def _disturbed(attempts: Sequence[Attempt]) -> Iterator[ResultWarning]:
    """Attempts that had to wait for a core, or that a CPU quota stopped."""
    waiting = [attempt.conditions.waiting_share for attempt in attempts]
    contended = [share for share in waiting if share is not None and share >= CONTENDED_SHARE]
    if contended:
        count = f"{len(contended)} of {len(attempts)} attempts"
        yield ResultWarning(
            kind=WarningKind.CONTENDED,
            message=f"{count} waited for a core, up to {max(contended):.0%} of their time",
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


#: Which warning a course's verdict is, and what can be done about it.
_VERDICTS = {
    SessionState.QUOTA: (
        WarningKind.THROTTLED,
        "raise the container's CPU limit, or say that the quota is the product's",
    ),
    SessionState.HEAT: (WarningKind.THROTTLED, "this is what the device keeps up: plan with the steady-state rate"),
    SessionState.CONTENTION: (
        WarningKind.CONTENDED,
        "close other programs, or measure on a device that does nothing else",
    ),
    SessionState.STEAL: (WarningKind.CONTENDED, "the hypervisor gives the cores to others: use a machine of its own"),
    SessionState.SLOW_CORE: (WarningKind.NOT_STEADY, "heat does this, and so does a neighbour that uses the memory"),
    SessionState.UNKNOWN: (WarningKind.NOT_STEADY, "measure for longer, from a settled device"),
}


def _sessions(result: Result) -> Iterator[ResultWarning]:
    """Sustained attempts that were not steady, by verdict, in the words of the last of each."""
    for state, (kind, hint) in _VERDICTS.items():
        found = [course for course in result.courses if course.state is state]
        if found:
            yield ResultWarning(
                kind=kind,
                message=f"{state} in {len(found)} of {len(result.courses)} sessions: {'; '.join(found[-1].evidence)}",
                hint=hint,
            )


def _not_charged(result: Result) -> Iterator[ResultWarning]:
    """A memory floor that would be higher where the device does nothing else."""
    charged = result.effective.constrained.get("not_charged_bytes")
    most = charged[-1] if isinstance(charged, list) and charged else 0
    floors = [ladder.floor_bytes for ladder in result.ladders if ladder.floor_bytes is not None]
    if floors and isinstance(most, int | float) and most > NOT_CHARGED_SHARE * floors[-1]:
        yield ResultWarning(
            kind=WarningKind.NOT_CHARGED,
            message=f"up to {most / 2**20:.0f} MiB of the model's and the runtime's files were held by other processes,"
            " and no limit counted them: the memory floor is that much too low at most",
            hint="stop what else uses the runtime, or measure as a user who may make mounts",
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


def _unstable(metric: MetricResult) -> Iterator[ResultWarning]:
    values = [value.value for value in metric.attempts]
    if len(values) < 2 or stdev(values) <= UNSTABLE_SHARE * fmean(values):
        return
    share = stdev(values) / fmean(values)
    yield ResultWarning(
        kind=WarningKind.UNSTABLE,
        message=f"{METRICS[metric.name].title}: attempts spread by {share:.0%} of their mean (pyperf's limit is 10 %)",
        hint="close other programs, or ask for a narrower interval with --ci-target",
    )


def _timer(metric: MetricResult) -> Iterator[ResultWarning]:
    shortest = min((min(value.samples) for value in metric.attempts if value.samples), default=None)
    if metric.unit == "ns" and shortest is not None and shortest < SHORTEST_TIMED_NS:
        if metric.parameters.get("percentile", 50) != 50:
            return
        yield ResultWarning(
            kind=WarningKind.BELOW_TIMER_RESOLUTION,
            message=f"{METRICS[metric.name].title}: a sample of {shortest:.0f} ns; reading the clock takes 36 ns twice",
            hint="measure a larger workload",
        )


def _stamped(metric: MetricResult, effective: Effective) -> Iterator[ResultWarning]:
    """Times by a runtime's own stamps in which a step of its clock is more than `_STEP_SHARE`."""
    step = effective.clock_resolution_ns
    shortest = min((min(value.samples) for value in metric.attempts if value.samples), default=None)
    if metric.name not in STAMPED or step is None or shortest is None:
        return
    tokens = metric.parameters.get("output_tokens")
    # TPOT is a mean: what was timed for it is the whole answer.
    timed = shortest * (tokens - 1) if metric.name == "tpot" and isinstance(tokens, int) else shortest
    if timed * _STEP_SHARE < step and metric.parameters.get("percentile", 50) == 50:
        yield ResultWarning(
            kind=WarningKind.BELOW_TIMER_RESOLUTION,
            message=f"{METRICS[metric.name].title}: {timed:.0f} ns by {effective.timed_by}, in steps of {step}",
            hint="measure a larger workload",
        )


def _slow_first(metric: MetricResult) -> Iterator[ResultWarning]:
    in_rows = any(value.row_length for value in metric.attempts)
    if in_rows or metric.parameters.get("percentile", 50) != 50:
        return  # the first gap of an answer is not the first iteration of a session
    slow = sum(_first_is_outlier(value.samples) for value in metric.attempts)
    attempts = len(metric.attempts)
    if slow * 2 > attempts > 0:
        yield ResultWarning(
            kind=WarningKind.SLOW_FIRST_ITERATION,
            message=f"{METRICS[metric.name].title}: the first sample is far slower in {slow} of {attempts} attempts",
            hint="raise 'warmup' in the scenario's settings",
        )


def _first_is_outlier(samples: Sequence[float]) -> bool:
    if len(samples) < 5:
        return False
    middle = median(samples)
    spread = median(abs(sample - middle) for sample in samples)
    return spread > 0 and samples[0] > middle and (samples[0] - middle) / spread > OUTLIER_SCORE
