"""What a device keeps up over time, after a pause, and when it runs short."""

from __future__ import annotations

from benchharness.metrics.definition import Better, Metric, Unit

_OURS = "benchharness"

#: What is shown; all but the first three is derived from raw rows (see `benchharness.records`).
SESSIONS = (
    Metric(
        name="ttft_after_pause",
        title="TTFT after a pause",
        unit=Unit.NANOSECONDS,
        better=Better.LOWER,
        definition="model TTFT of a warm model's request after pause_s seconds of nothing",
        source=_OURS,
    ),
    Metric(
        name="decode_rate_after_pause",
        title="decode rate after a pause",
        unit=Unit.TOKENS_PER_SECOND,
        better=Better.HIGHER,
        definition="decode rate of that request's answer",
        source=_OURS,
    ),
    Metric(
        name="inference_after_pause",
        title="inference after a pause",
        unit=Unit.NANOSECONDS,
        better=Better.LOWER,
        definition="one inference of a warm model after pause_s seconds of nothing",
        source=_OURS,
    ),
    Metric(
        name="burst_decode_rate",
        title="burst decode rate",
        unit=Unit.TOKENS_PER_SECOND,
        better=Better.HIGHER,
        definition="decode rate in the first windows of a sustained session, median: what a short benchmark would show",
        source=_OURS,
    ),
    Metric(
        name="settled_decode_rate",
        title="steady-state decode rate",
        unit=Unit.TOKENS_PER_SECOND,
        better=Better.HIGHER,
        definition="decode rate in the last windows of a sustained session, median",
        source=_OURS,
        headline=True,
    ),
    Metric(
        name="burst_inference_rate",
        title="burst inference rate",
        unit=Unit.INFERENCES_PER_SECOND,
        better=Better.HIGHER,
        definition="inferences a second in the first windows of a sustained session, median",
        source=_OURS,
    ),
    Metric(
        name="settled_inference_rate",
        title="steady-state inference rate",
        unit=Unit.INFERENCES_PER_SECOND,
        better=Better.HIGHER,
        definition="inferences a second in the last windows of a sustained session, median",
        source=_OURS,
        headline=True,
    ),
    Metric(
        name="retention",
        title="retention",
        unit=Unit.SHARE,
        better=Better.HIGHER,
        definition="steady-state rate over burst rate of the same session; over sessions their geometric mean",
        source="MLPerf Mobile's and arXiv 2603.23640's drop, from the other side",
        headline=True,
    ),
    Metric(
        name="retention_of_steady",
        title="retention of the cool rate",
        unit=Unit.SHARE,
        better=Better.HIGHER,
        definition="steady-state rate of a session over the rate that scenario steady measured with the same variant, "
        "configuration and workload: the decode rate, or inferences over the time they took; geometric means of both",
        source=_OURS,
    ),
    Metric(
        name="time_to_loss",
        title="time to a loss",
        unit=Unit.NANOSECONDS,
        better=Better.HIGHER,
        definition="from a session's start until its rate had fallen by `percent` of the burst rate and stayed there",
        source=_OURS,
    ),
    Metric(
        name="energy_per_inference",
        title="energy per inference",
        unit=Unit.JOULES,
        better=Better.LOWER,
        definition="energy over a session, by inference or token; `of` says what took it: packages, board or battery",
        source=_OURS,
    ),
    Metric(
        name="memory_floor",
        title="memory floor",
        unit=Unit.BYTES,
        better=Better.LOWER,
        definition="smallest cgroup memory limit in which 4 of 5 fresh processes answer within 10 x the usual time",
        decided_by="a smaller `bracket` of its scenario would decide it",
        source=_OURS,
        headline=True,
    ),
    Metric(
        name="address_space_floor",
        title="address-space floor",
        unit=Unit.BYTES,
        better=Better.LOWER,
        definition="the same with an address-space limit, which counts what is mapped and never touched, too",
        decided_by="a smaller `bracket` of its scenario would decide it",
        source="setrlimit(2): RLIMIT_AS",
    ),
    Metric(
        name="fallback_time",
        title="time with fallback",
        unit=Unit.NANOSECONDS,
        better=Better.LOWER,
        definition="from the first try until some variant of the fallback chain had answered, under a memory limit",
        source=_OURS,
    ),
    Metric(
        name="fallback_time_lost",
        title="time lost to falling back",
        unit=Unit.NANOSECONDS,
        better=Better.LOWER,
        definition="what the variants that failed took of it",
        source=_OURS,
    ),
)
