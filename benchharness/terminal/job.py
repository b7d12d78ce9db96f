"""`show --job`: everything that is known of one job."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import Console

from benchharness.errors import UsageError
from benchharness.metrics import METRICS
from benchharness.results.result import AttemptValue, MetricResult, Parameters, Result, Verdict
from benchharness.terminal.budgets import MARKS_IN_WORDS
from benchharness.terminal.console import tell
from benchharness.terminal.courses import sessions
from benchharness.terminal.lines import Group, Line, show_lines
from benchharness.terminal.values import estimated, one_line, plus_minus, times, visible
from benchharness.units import scale_for

_MOST_NAMED = 12
_LONGEST = 400
#: How a key without a name is written; ONNX calls its default operator set so.
_NAMELESS = '""'


def find_job(results: Sequence[Result], named: str) -> Result:
    """The job of that key, a beginning of it, or a part of its title. Raises `UsageError` where it is not just one."""
    words = named.casefold()
    found = [result for result in results if result.job.key == named or result.job.title.casefold() == words]
    found = found or [result for result in results if named and result.job.key.startswith(named)]
    found = found or [result for result in results if words in result.job.title.casefold()]
    if len(found) == 1:
        return found[0]
    listed = "".join(
        f"\n  {result.job.key}  {one_line(result.job.title)}" for result in (found or results)[:_MOST_NAMED]
    )
    more = len(found or results) - _MOST_NAMED
    listed += f"\n  … and {more} more" if more > 0 else ""
    told = f"{len(found)} jobs are" if found else "no job is"
    raise UsageError(f"{told} named {one_line(named, 80)!r}; name one by its key or a part of its title:{listed}")


def show_job(result: Result, console: Console) -> None:
    """Outcome and evidence, what was asked and what was done, metrics with attempts, verdicts, warnings, conditions."""
    tell(console, one_line(result.job.title), "bold")
    tell(console, f"key {result.job.key}", "dim")
    _outcome(result, console)
    _facts("requested", _requested(result), console)
    _facts("effective", result.effective.to_json(), console)
    if result.metrics:
        _metrics(result, console)
    sessions([result], console)
    for verdict in result.verdicts:
        tell(console, _verdict(verdict))
    for warning in result.warnings:
        hint = f"; {warning.hint}" if warning.hint else ""
        tell(console, f"{warning.kind}: {one_line(f'{warning.message}{hint}', 2000)}", "yellow")
    _facts("conditions", result.conditions.to_json(), console)


def _outcome(result: Result, console: Console) -> None:
    counted = ", ".join(f"{count} {kind}" for kind, count in result.outcomes.items())
    stopped = f"; {one_line(result.stopped)}" if result.stopped else ""
    line = f"{one_line(result.outcome, 2000)} ({counted or 'no attempt'}{stopped})"
    tell(console, line, "green" if result.outcome.ok else "red")
    for evidence in visible(result.outcome.evidence).splitlines():
        tell(console, f"| {evidence}", "dim", indent=2)


def _requested(result: Result) -> dict[str, Any]:
    job = result.job
    size = "unknown" if job.files.get("unknown") else job.artefact_bytes
    artefact = {"path": job.artefact, "digest": job.digest, "bytes": size, "recipe": job.recipe}
    return {
        "artefact": artefact,
        "configuration": job.configuration.to_json(),
        "workload": job.workload.to_json(),
        "settings": dict(job.settings),
        "device": ", ".join(result.devices),
    }


def _facts(title: str, facts: Mapping[str, Any], console: Console) -> None:
    """A name and what it is on a line; below it where there is no room. Ids and digests are never cut."""
    tell(console, title, "bold")
    rows = [Line(name=name, note=one_line(value, _LONGEST)) for name, value in _flat(facts)]
    show_lines((), [Group(heading="", rows=rows)], console)


def _flat(facts: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, str]]:
    """What is nested in rows of its own; what says nothing left out."""
    for name, value in facts.items():
        if isinstance(value, Mapping) and list(value) == ["unknown"]:
            yield f"{above}{name or _NAMELESS}", f"unknown: {value['unknown']}"
        elif isinstance(value, Mapping) and value:
            yield from _flat(value, f"{above}{name or _NAMELESS}.")
        elif value not in (None, "", {}, []):
            yield f"{above}{name or _NAMELESS}", ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _metrics(result: Result, console: Console) -> None:
    """A metric, its value and its ratio, and what each attempt behind it had; in the unit of its budget."""
    wishes = {verdict.metric: verdict.unit for verdict in result.verdicts}
    tell(console, "metrics", "bold")
    for metric in result.metrics:
        tell(console, _named(metric))
        tell(console, "; ".join(_said(metric, wishes.get(metric.name, ""))), indent=2)
        for value in metric.attempts:
            tell(console, _attempt(value, metric.unit, wishes.get(metric.name, "")), "dim", indent=4)


def _attempt(value: AttemptValue, unit: str, wish: str) -> str:
    """Its id, its value with more digits than an estimate has, and how many samples are behind it."""
    scale = scale_for(unit, value.value, wish)
    count = len(value.samples)
    told = [f"{value.value / scale.divisor:,.6g} {scale.symbol}".rstrip()]
    told += [f"{count:,} sample{'' if count == 1 else 's'}"] if count else []
    told += [value.why_no_samples] if value.why_no_samples else []
    return "  ".join([one_line(value.attempt), *told])


def _said(metric: MetricResult, wish: str) -> Iterator[str]:
    estimate, ratio = metric.estimate, metric.ratio
    if estimate.value is None:
        yield f"unknown ({one_line(estimate.reason)})"
    else:
        scale = scale_for(metric.unit, estimate.value, wish)
        yield f"{estimated(estimate, metric.unit, wish)} {plus_minus(estimate, metric.unit, scale)}".rstrip()
    if ratio is not None:
        told = f"no ratio: {one_line(ratio.reason)}" if ratio.value is None else times(ratio)
        yield f"{told} to the reference" if ratio.value is not None else told


def _named(metric: MetricResult) -> str:
    return " ".join(filter(None, (METRICS[metric.name].title, _parameters(metric.parameters))))


def _parameters(parameters: Parameters) -> str:
    return ", ".join(f"{one_line(name)} {one_line(value, 80)}" for name, value in parameters.items())


def _verdict(verdict: Verdict) -> str:
    reason = f": {one_line(verdict.reason)}" if verdict.reason else ""
    return f"budget {one_line(verdict.budget)} (set by the {verdict.origin}): {MARKS_IN_WORDS[verdict.kind]}{reason}"
