"""Everything that is known about one job: how it ended, every metric, what was requested and what the runtime did."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from benchharness.records import MEMORY_TIMELINE
from benchharness.results.result import EXACT, Job, MetricResult, Result
from benchharness.units import quantity_text
from reports.model.conditions import Facts, Unreadable, split
from reports.model.entries import Entry
from reports.model.estimates import metric_title, parameters_text, quantity, ratio
from reports.model.memory import BY_PHASE, phase_table
from reports.model.tables import Quantity, QuantityTable, Ratio
from reports.model.visible import evidence_text, fact_texts, name_text, value_text

#: Enough of a SHA-256 to tell artefacts apart by eye.
_DIGEST_DIGITS = 16


@dataclass(frozen=True, kw_only=True)
class Warned:
    """A typed warning of a job."""

    kind: str
    message: str
    hint: str


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How a job ended: its outcome, and how many attempts ended how."""

    job: str  # anchor of the job's details
    scenario: str
    ok: bool
    kind: str
    reason: str
    evidence: str
    attempts: str
    clean: bool  # not one attempt ended otherwise than ok


@dataclass(frozen=True, kw_only=True)
class MetricRow:
    """A metric in full."""

    title: str
    parameters: str
    statistic: str
    quantity: Quantity
    ratio: Ratio
    attempts: str
    samples: str


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What was requested and what the runtime did; `differs` where both say something and not the same."""

    name: str
    requested: str
    effective: str
    differs: bool


@dataclass(frozen=True, kw_only=True)
class JobDetail:
    """Everything that is known about one job."""

    anchor: str
    who: str
    scenario: str
    ended: Ended
    stopped: str
    metrics: tuple[MetricRow, ...]
    memory: QuantityTable | None  # by phase
    settings: tuple[Setting, ...]
    facts: Facts
    unreadable: tuple[Unreadable, ...]
    warnings: tuple[Warned, ...]
    attempts: tuple[str, ...] = ()  # the ids of those that its metrics stand on


@dataclass(frozen=True, kw_only=True)
class Missing:
    """A job without anything to show: why."""

    anchor: str
    who: str
    reason: str


def job_detail(entry: Entry, told_elsewhere: Collection[str] = ()) -> JobDetail:
    """The details of one job; `told_elsewhere` names what was in effect that a section of the page shows itself."""
    result = entry.result
    known, unreadable = split(result.conditions.to_json())
    return JobDetail(
        anchor=entry.anchor,
        who=entry.who,
        scenario=entry.scenario,
        ended=ended_of(entry),
        stopped=value_text(result.stopped or "not recorded"),
        metrics=tuple(_metric_row(metric, result.job) for metric in result.metrics if metric.name not in BY_PHASE),
        memory=phase_table(entry),
        settings=tuple(_settings(result, told_elsewhere)),
        facts=(*_facts(result), *known),
        unreadable=unreadable,
        warnings=warnings_of(entry),
        attempts=tuple(
            dict.fromkeys(name_text(value.attempt) for metric in result.metrics for value in metric.attempts)
        ),
    )


def ended_of(entry: Entry) -> Ended:
    """How a job ended, with its evidence."""
    outcome = entry.result.outcome
    counts = ", ".join(f"{count} {name_text(kind)}" for kind, count in entry.result.outcomes.items())
    return Ended(
        job=entry.anchor,
        scenario=entry.scenario,
        ok=outcome.ok,
        kind=name_text(outcome.kind),
        reason=value_text(outcome.reason),
        evidence=evidence_text(outcome.evidence),
        attempts=counts or "no attempt",
        clean=outcome.ok and set(entry.result.outcomes) <= {outcome.kind},
    )


def warnings_of(entry: Entry) -> tuple[Warned, ...]:
    """The typed warnings of one job."""
    return tuple(
        Warned(
            kind=name_text(warning.kind),
            message=value_text(warning.message),
            hint=value_text(warning.hint),
        )
        for warning in entry.result.warnings
    )


def _metric_row(metric: MetricResult, job: Job) -> MetricRow:
    return MetricRow(
        title=metric_title(metric),
        parameters=parameters_text(metric.parameters) or "none",
        statistic=value_text(metric.estimate.statistic or "not recorded"),
        quantity=quantity(metric.estimate, metric.unit),
        ratio=_ratio(metric, job),
        attempts="none needed" if metric.estimate.statistic == EXACT else str(metric.estimate.count),
        samples=_samples(metric),
    )


def _ratio(metric: MetricResult, job: Job) -> Ratio:
    if job.of_answers:
        return Ratio(text="none: it is itself a comparison", verdict="none")
    return ratio(metric, is_reference=job.is_reference)


def _samples(metric: MetricResult) -> str:
    """How many samples its attempts hold. An attempt without samples has its one value."""
    if metric.estimate.statistic == EXACT:
        return "none needed"
    if not metric.attempts:
        return "unknown"
    count = MEMORY_TIMELINE.count if metric.name == MEMORY_TIMELINE.metric else len
    return str(sum(max(1, count(value.samples)) for value in metric.attempts))


def _settings(result: Result, told_elsewhere: Collection[str]) -> Iterator[Setting]:
    requested = result.job.configuration.to_json()
    effective = {name: value for name, value in result.effective.to_json().items() if name not in told_elsewhere}
    facts = _mapping(effective.pop("facts", None))
    requested.pop("name", None)
    invented = _mapping(effective.pop("invented_inputs", None))
    yield _setting("runtime", requested.pop("runtime", None), effective.pop("runtime_version", None), "version ")
    accelerators = effective.pop("accelerators", None)
    wanted = requested.pop("accelerator", None)
    yield _setting(
        "accelerator", wanted, accelerators, differs=bool(wanted and accelerators) and not _among(wanted, accelerators)
    )
    yield _compared("threads", requested.pop("threads", None), effective.pop("threads", None))
    options = _mapping(requested.pop("options", None))
    for name, value in options.items():
        yield _compared(name, value, facts.pop(name, None))
    for name, value in requested.items():
        if value not in (None, {}, []):
            yield _compared(name, value, effective.pop(name, None))
    for name, value in {**effective, **facts}.items():
        if value is not None:
            yield _setting(name, None, value)
    for name, fact in invented.items():
        told = _mapping(fact)
        guess = " (nothing says what it means)" if told.get("explained") is False else ""
        yield _setting(f"invented for {name}", None, f"{told.get('value')}: {told.get('by')}{guess}")


def _compared(name: str, requested: Any, effective: Any) -> Setting:
    both = requested is not None and effective is not None
    return _setting(name, requested, effective, differs=both and _spelled(requested) != _spelled(effective))


def _among(wanted: Any, accelerators: Any) -> bool:
    return wanted in accelerators if isinstance(accelerators, list | tuple) else wanted == accelerators


def _spelled(value: Any) -> str:
    """Runtimes echo options with other capitals and types: `True`, `"true"` and `"TRUE"` are one value."""
    return str(value).casefold()


def _setting(name: str, requested: Any, effective: Any, prefix: str = "", *, differs: bool = False) -> Setting:
    return Setting(
        name=name_text(name),
        requested="not set" if requested is None else value_text(requested, name),
        effective="the runtime does not tell" if effective is None else prefix + value_text(effective, name),
        differs=differs,
    )


def _facts(result: Result) -> Facts:
    job = result.job
    facts: dict[str, Any] = {
        # A path tells more about its owner than about the model, and the digest names the content.
        "artefact": PurePath(job.artefact).name or job.artefact,
        "artefact size": quantity_text(job.artefact_bytes, "bytes") if job.artefact_bytes > 0 else "unknown",
        "download size": _download_text(job),
        "artefact SHA-256": f"{job.digest[:_DIGEST_DIGITS]}…" if job.digest else {"unknown": "it cannot be read"},
        "recipe": job.recipe or "not given",
        "devices": list(result.devices),
        "time limit of an attempt": f"{job.timeout_s:g} s",
    }
    settings = {f"setting {name}": value for name, value in job.settings.items()}
    return (*fact_texts(facts), *fact_texts(settings))


def _download_text(job: Job) -> Any:
    return {"unknown": "not computed"} if job.download_bytes is None else quantity_text(job.download_bytes, "bytes")


def _mapping(value: Any) -> dict[str, Any]:
    return dict(value) if isinstance(value, Mapping) else {}


def missing(entries: Sequence[Entry], has: Callable[[Entry], bool], nothing: str) -> Iterator[Missing]:
    """The jobs without anything to show, and why."""
    for entry in entries:
        if not has(entry):
            outcome = entry.result.outcome
            yield Missing(
                anchor=entry.anchor,
                who=entry.who_and_how,
                reason=nothing if outcome.ok else value_text(": ".join(filter(None, (outcome.kind, outcome.reason)))),
            )
