"""What attempts tell beyond metrics: courses over time, and ladders of what was taken away. Frozen plain data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum


class SessionState(StrEnum):
    """What a course went through, as a whole or in one window."""

    STEADY = "steady"
    QUOTA = "throttled (quota)"
    CORES = "throttled (cores)"  # cores were taken from it, by affinity or its group
    HEAT = "throttled (heat)"  # only with a sensor's word
    SLOW_CORE = "slow-core"
    CONTENTION = "disturbed (contention)"
    STEAL = "disturbed (steal)"
    UNKNOWN = "unknown"


@dataclass(frozen=True, kw_only=True)
class Window:
    """A stretch of a course. Seconds count from the first measured request; None is unknown."""

    start_s: float
    end_s: float
    inferences: int  # a language model's are its tokens after the first
    rate: float  # inferences a second of the time they took
    latency_ns: Mapping[int, float]  # percentile -> ns, those that the count carries
    ttft_ns: float | None  # median of the requests in it
    cpu_ns: float | None  # mean CPU time of an inference, all threads
    least_cpu_ns: float | None
    wait_share: float | None  # of the time that threads were ready to run
    throttled: float | None  # times that a quota stopped it
    steal_share: float | None
    celsius: float | None
    clock_khz: float | None
    watts: float | None
    state: SessionState


@dataclass(frozen=True, kw_only=True)
class Event:
    """What happened to the process from outside, at the second of a course at which it was seen."""

    second: float
    kinds: Sequence[str]  # of: group, quota, cpuset, affinity, memory
    told: str


@dataclass(frozen=True, kw_only=True)
class Course:
    """One sustained attempt: its windows, and the verdict with the evidence for it."""

    attempt: str
    device: str
    unit: str  # of the rates
    windows: Sequence[Window]
    baseline: tuple[int, int]  # windows, end exclusive
    settled: tuple[int, int]
    state: SessionState
    evidence: Sequence[str]
    burst_rate: float  # in the baseline
    settled_rate: float | None  # at the end; None where the course has none, being too short
    retention: float | None
    below_10_s: float | None  # when the rate was first 10 % below the burst rate, and stayed there a while
    below_25_s: float | None
    change_s: float | None  # where a change-point search splits the course; never decides
    events: Sequence[Event] = ()  # in order of time
    drained_watts: float | None = None  # what left the battery, by its charge counter, over the whole course
    power_of: str = ""  # what the windows' watts are of: see `power_of`
    sensors: Mapping[str, Sequence[tuple[float, float]]] = field(default_factory=dict)  # channel -> (second, value)
    sensors_unknown: Mapping[str, str] = field(default_factory=dict)


#: From this many times the usual time on, as printed with two decimals, a step is slower; below it is fine.
SLOWER_FROM = 1.1


class StepOutcome(StrEnum):
    """How a model fared under one constraint."""

    FINE = "fine"
    SLOWER = "slower"
    THRASHING = "thrashing"
    ERROR = "error"
    KILLED = "killed"
    TIMEOUT = "timeout"
    NOT_APPLIED = "not applied"
    UNKNOWN = "unknown"  # what it was to run beside was not there to the end


@dataclass(frozen=True, kw_only=True)
class Step:
    """Some trials under one constraint, each a fresh process."""

    constraint: str  # none, memory, address space, cpu quota, cores, busy core, memory bandwidth, foreground NAME
    amount: float | None  # bytes; share of the cores' time; cores
    trials: int
    answered: int  # within the time that counts as an answer
    outcome: StepOutcome
    slower: float | None  # median of those that answered / the unconstrained median
    time_ns: float | None  # median
    page_ins: float | None  # median of major page faults
    peak_bytes: float | None
    reason: str


@dataclass(frozen=True, kw_only=True)
class ChainLink:
    """One variant that was tried in its turn."""

    variant: str
    outcome: StepOutcome
    time_ns: float
    reason: str


@dataclass(frozen=True, kw_only=True)
class Chain:
    """What a product that falls back would have done under one memory limit."""

    limit_bytes: float
    links: Sequence[ChainLink]
    answered_by: str | None
    time_ns: float  # until the answer, all tries
    lost_ns: float  # on variants that failed


@dataclass(frozen=True, kw_only=True)
class Ladder:
    """One attempt under ever tighter constraints: every step, and the memory floor that they bracket."""

    attempt: str
    device: str
    by: str  # how the limit was set
    unconstrained_ns: float
    steps: Sequence[Step]
    floor_bytes: float | None
    failing_bytes: float | None  # the largest limit that failed: the floor lies above it
    floor_name: str  # memory floor, or address-space floor
    reason: str  # why there is no floor
    chains: Sequence[Chain] = ()
