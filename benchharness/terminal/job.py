"""`show --job`: everything that is known of one job."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from benchharness.errors import UsageError
from benchharness.metrics import METRICS
from benchharness.results.result import MetricResult, Parameters, Result, Verdict
from benchharness.terminal.budgets import MARKS_IN_WORDS
from benchharness.terminal.console import tell
from benchharness.terminal.courses import sessions
from benchharness.terminal.values import estimated, interval, one_line, times, visible

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
    console.print(_facts("requested", _requested(result)))
    console.print(_facts("effective", result.effective.to_json()))
    if result.metrics:
        console.print(_metrics(result.metrics))
        console.print(_attempts(result.metrics))
    sessions([result], console)
    for verdict in result.verdicts:
        tell(console, _verdict(verdict))
    for warning in result.warnings:
        hint = f"; {warning.hint}" if warning.hint else ""
        tell(console, f"{warning.kind}: {one_line(f'{warning.message}{hint}', 2000)}", "yellow")
    console.print(_facts("conditions", result.conditions.to_json()))


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


def _facts(title: str, facts: Mapping[str, Any]) -> Table:
    table = _table(title, "", "")
    table.show_header = False
    for name, value in _flat(facts):
        table.add_row(Text(one_line(name)), Text(one_line(value, _LONGEST)))
    return table


def _table(title: str, *columns: str) -> Table:
    """Ids and digests are folded, never cut."""
    table = Table(title=title, title_justify="left")
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _flat(facts: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, str]]:
    """What is nested in rows of its own; what says nothing left out."""
    for name, value in facts.items():
        if isinstance(value, Mapping) and list(value) == ["unknown"]:
            yield f"{above}{name or _NAMELESS}", f"unknown: {value['unknown']}"
        elif isinstance(value, Mapping) and value:
            yield from _flat(value, f"{above}{name or _NAMELESS}.")
        elif value not in (None, "", {}, []):
            yield f"{above}{name or _NAMELESS}", ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _metrics(metrics: Sequence[MetricResult]) -> Table:
    table = _table("metrics", "metric", "value", "ratio to the reference", "attempts")
    for metric in metrics:
        estimate = metric.estimate
        value = f"unknown ({one_line(estimate.reason)})"
        if estimate.value is not None:
            value = " ".join(f"{estimated(estimate, metric.unit)}{interval(estimate, metric.unit)}".split())
        ratio = metric.ratio
        against = (
            "" if ratio is None else f"no ratio: {one_line(ratio.reason)}" if ratio.value is None else times(ratio)
        )
        cells = (_named(metric), value, against, str(estimate.count or len(metric.attempts) or ""))
        table.add_row(*map(Text, cells))
    return table


def _attempts(metrics: Sequence[MetricResult]) -> Table:
    """Each attempt's value of each metric that stands on attempts."""
    table = _table("attempts", "attempt", "metric", "value", "samples")
    for metric in metrics:
        for value in metric.attempts:
            shown = f"{value.value:,.6g} {metric.unit}"
            table.add_row(Text(one_line(value.attempt)), Text(_named(metric)), Text(shown), f"{len(value.samples):,}")
    return table


def _named(metric: MetricResult) -> str:
    return " ".join(filter(None, (METRICS[metric.name].title, _parameters(metric.parameters))))


def _parameters(parameters: Parameters) -> str:
    return ", ".join(f"{one_line(name)} {one_line(value, 80)}" for name, value in parameters.items())


def _verdict(verdict: Verdict) -> str:
    reason = f": {one_line(verdict.reason)}" if verdict.reason else ""
    return f"budget {one_line(verdict.budget)} (set by the {verdict.origin}): {MARKS_IN_WORDS[verdict.kind]}{reason}"
