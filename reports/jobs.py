"""Everything that is known about one job: how it ended, every metric, what was requested and what the runtime did."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import PurePath
from typing import Any

from benchharness.results.result import Job, MetricResult, Result
from reports.conditions import split
from reports.entries import Entry
from reports.estimates import EXACT, metric_title, parameters_text, quantity, ratio
from reports.memory import BY_PHASE, phase_table
from reports.page import Ended, Facts, JobDetail, Warned
from reports.tables import MetricRow, Ratio, Setting
from reports.units import quantity_text
from reports.visible import evidence_text, fact_texts, name_text, value_text

#: Enough of a SHA-256 to tell artefacts apart by eye.
_DIGEST_DIGITS = 16


def job_detail(entry: Entry) -> JobDetail:
    """The details of one job."""
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
        settings=tuple(_settings(result)),
        facts=(*_facts(result), *known),
        unreadable=unreadable,
        warnings=warnings_of(entry),
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
            about=entry.scenario,
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
    if job.against is not None:
        return Ratio(text="none: it is itself a comparison", verdict="none")
    return ratio(metric, is_reference=job.is_reference)


def _samples(metric: MetricResult) -> str:
    """How many samples its attempts hold. An attempt without samples has its one value."""
    if metric.estimate.statistic == EXACT:
        return "none needed"
    if not metric.attempts:
        return "unknown"
    columns = 2 if metric.name == "memory_timeline" else 1  # each look is a time and a size
    return str(sum(max(1, len(value.samples) // columns) for value in metric.attempts))


def _settings(result: Result) -> Iterator[Setting]:
    requested = result.job.configuration.to_json()
    effective = result.effective.to_json()
    facts = _mapping(effective.pop("facts", None))
    # See `placement`, `quality` and `ladders`.
    for told_elsewhere in (
        "placement",
        "placement_unknown",
        "fallback",
        "examples",
        "continuations",
        "constrained",
    ):
        effective.pop(told_elsewhere, None)
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
