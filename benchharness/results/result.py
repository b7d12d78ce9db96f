"""What a run leaves behind: attempts as measured, results as derived from them. Frozen plain data.

Schema history
    1  first version: see `benchharness.results.export` for its JSON form.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from enum import StrEnum
from typing import Any, Self

from benchharness.metrics import METRICS, Better
from benchharness.results.cell import cell_of
from benchharness.results.courses import Course, Ladder
from benchharness.results.objects import written
from benchharness.results.requested import Configuration, Opened, Workload
from benchharness.results.told import Conditions, Effective

SCHEMA = 1

#: The statistic of a value that no attempt can change.
EXACT = "exact"

#: How far beyond 1 the whole interval of a ratio lies before it is called better or worse, unless the suite sets it.
TELLS_APART = 0.01


class OutcomeKind(StrEnum):
    """How an attempt, and with it a job, ended."""

    OK = "ok"
    TIMEOUT = "timeout"
    OUT_OF_MEMORY = "out-of-memory"
    KILLED = "killed"
    CRASHED = "crashed"
    RUNTIME_ERROR = "runtime-error"
    UNSUPPORTED = "unsupported"
    INVALID = "invalid"


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How it ended, why in one sentence, and the evidence (the end of the worker's standard error)."""

    kind: OutcomeKind
    reason: str = ""
    evidence: str = ""

    @property
    def ok(self) -> bool:
        """Whether there is something to measure."""
        return self.kind is OutcomeKind.OK

    @property
    def exported(self) -> str:
        """Both in one field of a table, `timeout(no result within 3 s)`: what exports and frames have always held."""
        return f"{self.kind}({self.reason})" if self.reason else str(self.kind)

    def __str__(self) -> str:
        return f"{self.kind}: {self.reason}" if self.reason else str(self.kind)


class WarningKind(StrEnum):
    """The kinds of typed warnings that a result can carry."""

    UNSTABLE = "unstable"
    SOME_FAILED = "some-attempts-failed"
    THROTTLED = "throttled"
    CONTENDED = "contended"
    SLOW_FIRST_ITERATION = "slow-first-iteration"
    TOO_FEW_SAMPLES = "too-few-samples"
    BELOW_TIMER_RESOLUTION = "below-timer-resolution"
    BINDING_COPIES = "binding-copies"
    NOT_APPLIED = "not-applied"  # something requested that the runtime did not do
    FALLBACK = "fallback"  # an accelerator took only part of the model, or nothing
    SHARED_SAMPLES = "shared-samples"  # evaluated on what a variant was fitted to
    REFERENCE_EXECUTION = "reference-execution"  # another runtime computed what the weights say
    ASSUMED_INPUT = "assumed-input"  # an input's length that nobody gave
    UNEXPLAINED_INPUT = "unexplained-input"  # an input was filled, and nothing says what it means
    ASSUMED_STATE = "assumed-state"  # what an inference gives goes into the next, because the names say so
    CARRIED_STATE = "carried-state"  # the model answered an input with what it kept from those before
    ONLY_ZEROS = "only-zeros"  # the model answered nothing but zeros: it found nothing, or it was not run
    SATURATED = "saturated"  # data beyond the range of a quantized input
    NOT_COMPARED = "not-compared"  # an output of reference or variant that has no partner
    UNSURE_PAIRING = "unsure-pairing"  # tensors paired by names that converters made up, where shapes allow another way
    LEADING_TOKEN = "leading-token"  # noqa: S105 - token ids lack what the tokenizer puts before a text
    NOT_CHARGED = "not-charged"  # memory that a limit did not count, because other processes held it
    NOT_STEADY = "not-steady"  # a session that slowed for another reason than a quota, heat or other programs
    UNSETTLED = "unsettled"  # went in before the device had cooled down or settled
    PART_OF_PIPELINE = "part-of-pipeline"  # one of several models that work together
    LEFT_RUNNING = "left-running"  # processes that ran on when their attempt was over, and were ended
    NO_INTERVAL = "interval-not-reached"  # stopped before the interval asked for was reached
    LIMITS_CHANGED = "limits-changed"  # group, quota, cores or memory limit of the process, while it was measured
    UNEQUAL_WORK = "unequal-work"  # attempts of one job did not do the same
    LOWER_PRECISION = "lower-precision"  # computed in less than the model file or the suite says
    LATE_NETWORK = "late-network"  # a simulated network delivered later than it should have
    MEMORY_ELSEWHERE = "memory-elsewhere"  # an accelerator's own memory is in no figure
    NOT_SHIPPED = "not-shipped"  # start and memory hold what a product with this runtime does without
    OTHER_DEVICE = "other-device"  # computed on another device than the one that the result is of
    EARLIER_RULE = "earlier-rule"  # measured by a rule that has been mended since


@dataclass(frozen=True, kw_only=True)
class ResultWarning:
    """Something that makes a result less sure: what was seen, and what the user can do about it."""

    kind: WarningKind
    message: str
    hint: str = ""


Parameters = Mapping[str, int | float | str]


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """One metric of one attempt.

    `value` is in the metric's base unit; `samples` in the order taken, empty where the value is the only one.
    `row_length` cuts the samples into rows of equal meaning, such as the gaps of one answer (0: no rows).
    """

    metric: str
    parameters: Parameters
    value: float
    samples: Sequence[float] = ()
    row_length: int = 0


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """One execution of a job in a fresh process."""

    id: str
    job: str  # the job's key
    round: int  # 0-based; attempts of one round ran close together in time and are compared as pairs
    device: str
    host: str
    started: datetime
    duration_ns: int
    outcome: Outcome
    measurements: Sequence[Measurement] = ()
    effective: Effective = field(default_factory=Effective)
    conditions: Conditions = field(default_factory=Conditions)
    warnings: Sequence[ResultWarning] = ()


#: Sums of floats that are equal on paper differ by less than this, in whatever unit; figures of any use by more.
_ROUNDING = 1e-12


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A value and its 95 % interval. A missing value or interval says why in `reason`."""

    value: float | None
    low: float | None = None
    high: float | None = None
    count: int = 0  # attempts behind it
    statistic: str = ""
    reason: str = ""
    drawn: int = 0  # inputs, chunks or prompts that the interval is over; 0: it is over attempts
    drawn_unit: str = ""
    tells_apart: float = TELLS_APART  # of a ratio: see `apart`

    @property
    def apart(self) -> int:
        """Of a ratio: -1 or 1 where its whole interval lies below or above 1 by more than `tells_apart`, else 0."""
        if self.low is None or self.high is None:
            return 0
        return (self.low > 1 + self.tells_apart) - (self.high < 1 - self.tells_apart)

    def clearly_below(self, other: Estimate, tells_apart: float) -> bool:
        """Whether the whole interval lies below the other's, by more than `tells_apart` of the larger end.

        Exact values need no room. Without an interval nothing is clear, and what only rounding of floats tells apart is
        not either.
        """
        if self.high is None or other.low is None:
            return False
        exact = self.statistic == EXACT == other.statistic
        room = 0.0 if exact else tells_apart * max(abs(self.high), abs(other.low))
        return other.low - self.high > max(room, _ROUNDING)

    @property
    def relative_half_width(self) -> float | None:
        """Half the interval over the value, or None where either is missing or the value is zero."""
        if self.low is None or self.high is None or not self.value:
            return None
        return abs((self.high - self.low) / 2 / self.value)


@dataclass(frozen=True, kw_only=True)
class AttemptValue:
    """What one attempt contributes to a metric."""

    attempt: str
    device: str
    round: int
    value: float
    samples: Sequence[float] = ()
    row_length: int = 0

    @property
    def why_no_samples(self) -> str:
        """Why those that it had are gone; empty where they are there, be there any or none."""
        from benchharness.results.samples import pruned, told_of  # numpy, which who only plans needs none of

        when = pruned(self.samples)
        return told_of(when) if when else ""


@dataclass(frozen=True, kw_only=True)
class MetricResult:
    """One metric of a result, with the attempts it stands on, and its ratio to the reference variant."""

    name: str
    parameters: Parameters
    unit: str
    estimate: Estimate
    attempts: Sequence[AttemptValue]
    # this / reference; None on the reference itself or where there is none. Without a value where the two did not do
    # the same work: its reason says what differs.
    ratio: Estimate | None = None


def part_of(parameters: Mapping[str, object]) -> str:
    """Which of several figures of one name this is: an output's, a task's measure, or that of an alpha; "" for what
    stands alone.
    """
    if "output" in parameters:
        return str(parameters["output"])
    if isinstance(parameters.get("alpha"), int | float):
        return f"{parameters['alpha']:g}"
    return " ".join(str(parameters[key]) for key in ("task", "measure") if key in parameters)


def is_of(parameters: Mapping[str, object], part: str) -> bool:
    """Whether a figure is of this part, which may be a task with all its measures."""
    return part in (part_of(parameters), parameters.get("task"))


def to_show(metrics: Sequence[MetricResult]) -> tuple[MetricResult | None, str]:
    """Which of several metrics of one name stands where one is shown, and the name of the part it is of.

    What a model is about has no part's name; else the worst part is shown, and named where there are others.
    """
    whole = next((metric for metric in metrics if not part_of(metric.parameters)), None)
    if whole is not None or not metrics:
        return whole, ""
    valued = [metric for metric in metrics if metric.estimate.value is not None]
    lower = METRICS[metrics[0].name].better is not Better.HIGHER
    worst = (max if lower else min)(valued, key=lambda each: each.estimate.value or 0.0) if valued else metrics[0]
    return worst, part_of(worst.parameters) if len(metrics) > 1 else ""


class VerdictKind(StrEnum):
    """Whether a budget is kept."""

    PASS = "pass"  # noqa: S105 - a verdict, not a secret
    MISS = "miss"
    UNDECIDED = "undecided"


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What a result says about one budget; `limit` is in the metric's base unit."""

    budget: str  # "model_ttft 250 ms"
    origin: str  # "suite" or "hardware target"
    metric: str
    parameters: Parameters
    limit: float
    kind: VerdictKind
    reason: str = ""  # why it is undecided
    unit: str = ""  # that the limit was written in: values beside it are printed in it, too
    unit_worth: float = 0.0  # of that unit, in the metric's base unit; 0: none is known
    against: str = ""  # "reference" or "base": the limit is by what share the metric may be worse than that


class Basis(StrEnum):
    """What two compared results of one model differ in, beside the variant and its reference."""

    RUNTIME = "runtime"  # the same precision in another runtime
    ACCELERATOR = "accelerator"  # the same variant without the accelerator


@dataclass(frozen=True, kw_only=True)
class Contrast:
    """A result against one that is not its reference: `ratios` are this / other, by metric.

    One without a value says in its reason what differs beside what the comparison is about.
    """

    basis: Basis
    other: str  # the other job's key
    title: str  # the other job's
    ratios: Sequence[tuple[str, Parameters, Estimate]]


#: The builds of a comparison, as jobs name them.
BASE, CANDIDATE = "base", "candidate"


@dataclass(frozen=True, kw_only=True)
class Job:
    """hardware target x variant x configuration x workload x scenario, as planned. `key` is its identity."""

    key: str
    hardware: str
    model: str
    task: str | None
    variant: str
    reference: str  # the name of the variant that this one is compared with
    artefact: str  # path as the user gave it, made absolute
    digest: str  # SHA-256 of the artefact's manifest, or "" where it cannot be read
    artefact_bytes: int  # 0 where it is not known
    recipe: str
    tokenizer: str | None  # path of its tokenizer.json, where the prompt is text
    configuration: Configuration
    workload: Workload
    scenario: str
    settings: Mapping[str, Any]  # the scenario's own settings: warm-up, repeats, page cache
    timeout_s: float
    download_bytes: int | None = None  # what the artefact takes when compressed for a download; None: not computed
    ships: bool = True  # budgets apply
    precision: str | None = None  # as the suite calls it; variants of one precision are compared across runtimes
    # Which files the artefact is: `model`, `files` (path to SHA-256), `count`, `part` of a `pipeline`, `siblings`, and
    # `unknown`, why that is not known. Empty in runs of before: then the artefact is the file or all of the folder.
    files: Mapping[str, Any] = field(default_factory=dict)
    against: Opened | None = None  # scenario quality: the session that this one is compared with
    # What the suite says of this variant's tensors where data is fed: `inputs`, `outputs`, `layouts`.
    tensors: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    # The variants that a product would try in turn.
    chain: Sequence[Opened] = field(default_factory=list)
    tokenizer_digest: str | None = None  # SHA-256 of that file; None in runs of before
    key_from: str | None = None  # of a sealed artefact: where its key is found on the device, never the key
    # Scenario quality: the variant's own tokenizer.json, where it is not known to read as the reference's does.
    own_tokenizer: str | None = None
    own_tokenizer_digest: str | None = None  # SHA-256 of that file
    vocabulary: str = ""  # which one this variant's tokens are of, and how it cuts, where the model's have several
    # Where two builds are compared: which one's job this is, `BASE` or `CANDIDATE`, and what it shares with its partner
    # of the other side. Empty in every other run.
    side: str = ""
    pair: str = ""

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> Self:
        """A job as it was stored. Raises `KeyError` or `TypeError` where it is damaged or of a newer version."""
        typed = {
            "configuration": Configuration.from_json(found["configuration"]),
            "workload": Workload.from_json(found["workload"]),
            "against": found.get("against") and Opened.from_json(found["against"]),
            "chain": [Opened.from_json(each) for each in found.get("chain", ())],
        }
        return cls(**{**found, **typed})

    def to_json(self) -> dict[str, Any]:
        """What is stored of it."""
        return {each.name: written(getattr(self, each.name)) for each in fields(self)}

    @property
    def is_reference(self) -> bool:
        """Whether this job measures the variant that the others of its model are compared with."""
        return self.variant == self.reference

    @property
    def of_answers(self) -> bool:
        """Whether it tells what a model answers to a file of data, and so nothing of time and memory."""
        data = self.workload.data
        return self.against is not None or (data is not None and data.sample is None)

    @property
    def cell(self) -> str:
        """What another result must share with this one's to be compared, in any run, on any machine; see `cell_of`."""
        return cell_of(self.to_json())

    @property
    def comparison_pass(self) -> str | None:
        """What the jobs share that one pass of their reference serves; None for jobs that need no reference."""
        if self.against is None:
            return None
        shared = [self.hardware, self.model, self.against.to_json(), self.workload.to_json(), self.settings]
        return json.dumps(shared, sort_keys=True)

    @property
    def title(self) -> str:
        """A short name for progress lines and tables."""
        asked = f"{self.scenario} {self.pace}".strip()
        told = (self.side, self.model, self.variant, self.configuration.name, self.workload.name, asked)
        return " · ".join(told if self.side else told[1:])

    @property
    def pace(self) -> str:
        """How the requests of a course follow each other, in words; empty where they are back to back."""
        if self.settings.get("every_ns"):
            seconds = self.settings["every_ns"] / 1e9
            return f"every {seconds:g} s" if seconds >= 1 else f"every {seconds * 1000:g} ms"
        return f"at {self.settings['duty'] * 100:g} % duty" if self.settings.get("duty") else ""


@dataclass(frozen=True, kw_only=True)
class Result:
    """What a job yields. Every job yields one, failures too."""

    job: Job
    outcome: Outcome
    devices: Sequence[str]
    outcomes: Mapping[str, int]  # how many attempts ended how
    stopped: str  # why no more attempts were made
    metrics: Sequence[MetricResult] = ()
    effective: Effective = field(default_factory=Effective)
    conditions: Conditions = field(default_factory=Conditions)
    warnings: Sequence[ResultWarning] = ()
    verdicts: Sequence[Verdict] = ()
    contrasts: Sequence[Contrast] = ()
    courses: Sequence[Course] = ()  # of sustained attempts
    ladders: Sequence[Ladder] = ()  # of attempts that took resources away
    told: Sequence[str] = ()  # what its scenario says of it, a line each


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One attempt's value of one metric, and what it is of: what a store is asked for over many runs."""

    run: str
    started: datetime  # the run
    key: str  # the job's, within its run
    cell: str
    model: str
    variant: str
    configuration: str
    scenario: str
    digest: str  # the artefact's
    hardware: str
    device: str
    round: int
    metric: str
    parameters: Parameters
    value: float
    percentiles: Mapping[int, float]  # those that the samples carry


@dataclass(frozen=True, kw_only=True)
class Run:
    """One execution of a suite."""

    id: str  # UUIDv7
    suite: str
    suite_digest: str
    started: datetime
    finished: datetime | None
    state: str  # running, interrupted, finished
    version: str  # benchharness that ran it
    jobs: int
    attempts: int
    pruned: datetime | None = None  # when samples of it were last dropped
    origin: str = ""  # the store that it was imported from; such a run is never executed again
