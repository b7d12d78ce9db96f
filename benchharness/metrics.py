"""The registry of metrics: what each name means, its unit, which direction is better, and where it comes from.

A name carries no numbers: prompt length, depth and percentile are parameters of a measurement.
Units in storage and export are the base ones: nanoseconds, bytes, per second.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Unit(StrEnum):
    """Base units; `reports` and the terminal choose a readable multiple."""

    NANOSECONDS = "ns"
    BYTES = "bytes"
    TOKENS_PER_SECOND = "tokens/s"
    INFERENCES_PER_SECOND = "inferences/s"


#: Units of what a device does in what time and memory: nothing else than a device can say it.
OF_DEVICE = (Unit.NANOSECONDS, Unit.BYTES, Unit.TOKENS_PER_SECOND, Unit.INFERENCES_PER_SECOND)


class Better(StrEnum):
    """Which direction a user wants."""

    LOWER = "lower"
    HIGHER = "higher"


@dataclass(frozen=True, kw_only=True)
class Metric:
    """One measured quantity.

    `percentiles` are read from the samples of an attempt, where there are enough of them; without percentiles an
    attempt's value stands as the worker stored it (the median of its samples, or the one value it has).
    """

    name: str
    title: str
    unit: Unit
    better: Better
    definition: str
    source: str
    headline: bool = False  # named in the summary, and what an interval asked for applies to
    percentiles: tuple[int, ...] = ()


_OURS = "benchharness"
_PROC = "proc(5): VmHWM, VmRSS, RssAnon, RssFile, smaps_rollup"

METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric(
            name="model_ttft",
            title="model TTFT",
            unit=Unit.NANOSECONDS,
            better=Better.LOWER,
            definition="prompt's tokens handed to the runtime until the first token's logits are on the host",
            source="winml-cli's model/request split",
            headline=True,
        ),
        Metric(
            name="request_ttft",
            title="request TTFT",
            unit=Unit.NANOSECONDS,
            better=Better.LOWER,
            definition="prompt text until the first token is chosen: tokenisation, session reset, prefill, sampling",
            source="winml-cli's model/request split",
        ),
        Metric(
            name="cold_start_ttft",
            title="cold-start TTFT",
            unit=Unit.NANOSECONDS,
            better=Better.LOWER,
            definition="process start until the first token: interpreter, imports, load, first request",
            source=_OURS,
            headline=True,
        ),
        Metric(
            name="cold_start_inference",
            title="cold-start inference",
            unit=Unit.NANOSECONDS,
            better=Better.LOWER,
            definition="process start until the first inference's outputs: interpreter, imports, load, inference",
            source=_OURS,
            headline=True,
        ),
        Metric(
            name="cold_start_phase",
            title="cold-start phase",
            unit=Unit.NANOSECONDS,
            better=Better.LOWER,
            definition="a phase of the cold start: start (interpreter, worker), import (runtime), load, first_request",
            source=_OURS,
        ),
        Metric(
            name="refused_load",
            title="refused load",
            unit=Unit.NANOSECONDS,
            better=Better.LOWER,
            definition="what trying an accelerator took that refused the model, before it was loaded without it",
            source=_OURS,
        ),
        Metric(
            name="itl",
            title="ITL",
            unit=Unit.NANOSECONDS,
            better=Better.LOWER,
            definition="inter-token latency: each gap between consecutive tokens of one answer",
            source="MLPerf LoadGen, vLLM",
            percentiles=(50, 90, 95, 99),
        ),
        Metric(
            name="tpot",
            title="TPOT",
            unit=Unit.NANOSECONDS,
            better=Better.LOWER,
            definition="time per output token: (end to end - TTFT) / (tokens out - 1)",
            source="MLPerf LoadGen",
        ),
        Metric(
            name="prefill_rate",
            title="prefill rate (pp)",
            unit=Unit.TOKENS_PER_SECOND,
            better=Better.HIGHER,
            definition="prompt tokens / time until their logits, after context_depth tokens",
            source="llama-bench ppN",
            headline=True,
        ),
        Metric(
            name="decode_rate",
            title="decode rate (tg)",
            unit=Unit.TOKENS_PER_SECOND,
            better=Better.HIGHER,
            definition="tokens after the first / time from the first to the last, after context_depth tokens",
            source="llama-bench tgN",
            headline=True,
        ),
        Metric(
            name="first_inference",
            title="first inference",
            unit=Unit.NANOSECONDS,
            better=Better.LOWER,
            definition="first inference of a fresh process: inputs handed to the runtime until outputs on the host",
            source="TFLite benchmark_model's first inference",
            headline=True,
        ),
        Metric(
            name="steady_inference",
            title="steady inference",
            unit=Unit.NANOSECONDS,
            better=Better.LOWER,
            definition="one warm inference: inputs handed to the runtime until outputs on the host",
            source="TFLite benchmark_model",
            headline=True,
            percentiles=(50, 90, 95, 99),
        ),
        Metric(
            name="inference_rate",
            title="inference rate",
            unit=Unit.INFERENCES_PER_SECOND,
            better=Better.HIGHER,
            definition="warm inferences / the time they took, back to back",
            source="TFLite benchmark_model",
        ),
        Metric(
            name="peak_memory",
            title="peak memory",
            unit=Unit.BYTES,
            better=Better.LOWER,
            definition="highest resident memory of the worker process, runtime and Python included",
            source=_PROC,
            headline=True,
        ),
        Metric(
            name="model_memory",
            title="model memory",
            unit=Unit.BYTES,
            better=Better.LOWER,
            definition="peak memory minus what was resident after the runtime's import: what loading and running took",
            source=_PROC,
        ),
        Metric(
            name="runtime_memory",
            title="runtime memory",
            unit=Unit.BYTES,
            better=Better.LOWER,
            definition="resident after the import of adapter and runtime (numpy included) minus resident before it",
            source=_PROC,
        ),
        Metric(
            name="phase_peak_memory",
            title="peak memory by phase",
            unit=Unit.BYTES,
            better=Better.LOWER,
            definition="highest resident memory within a phase: start, import, load, first_request, measure",
            source=_PROC,
        ),
        Metric(
            name="settled_memory",
            title="memory at phase end",
            unit=Unit.BYTES,
            better=Better.LOWER,
            definition="held when a phase ended, by kind: rss, pss, uss, anonymous, file (mapped weights are file)",
            source=_PROC,
        ),
        Metric(
            name="memory_timeline",
            title="memory over time",
            unit=Unit.BYTES,
            better=Better.LOWER,
            definition="resident memory seen from outside ten times a second; its value is the highest one seen",
            source=_PROC,
        ),
        Metric(
            name="artefact_size",
            title="size",
            unit=Unit.BYTES,
            better=Better.LOWER,
            definition="the artefact on disk, all its files",
            source=_OURS,
        ),
        Metric(
            name="download_size",
            title="download size",
            unit=Unit.BYTES,
            better=Better.LOWER,
            definition="the artefact's files compressed one by one with DEFLATE, level 6, as app packages are",
            source="RFC 1951",
        ),
        Metric(
            name="runtime_libraries",
            title="runtime libraries",
            unit=Unit.BYTES,
            better=Better.LOWER,
            definition="shared libraries, on disk, that the runtime's import and the load mapped; numpy's not counted",
            source="proc(5): maps",
        ),
    )
}
