"""What the terminal shows: progress while a run goes on, tables of what it found. Plain lines where it is none."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from benchharness.metrics import METRICS, Better, Unit
from benchharness.results.result import (
    TELLS_APART,
    Attempt,
    Basis,
    Contrast,
    Estimate,
    Job,
    MetricResult,
    Result,
    ResultWarning,
    Run,
    Verdict,
    VerdictKind,
    to_show,
)
from benchharness.terminal.courses import sessions
from benchharness.terminal.values import estimated, interval, times, visible
from benchharness.units import duration_text, quantity_text, scale_for

#: Redraws a second: each one costs the measured machine some of its time.
_REDRAWS_PER_S = 2
#: Shown only where what it stands beside is: a lower bound says too little by itself.
_BESIDE = {"total_variation": "kld_pooled"}
_VERDICT_STYLES = {VerdictKind.PASS: "green", VerdictKind.MISS: "red", VerdictKind.UNDECIDED: "yellow"}


class _Console(Console):
    """A console that says when its reader has left, instead of ending the process with a budget's exit code."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


def console(*, stderr: bool = False) -> Console:
    """The terminal, or whatever stands in for it."""
    return _Console(stderr=stderr)


def watch(jobs: int, attempts: int) -> ProgressBar | PlainLines:
    """Progress for wherever this runs: a bar on a terminal or in a notebook, lines elsewhere."""
    made = console()
    if made.is_terminal or made.is_jupyter:
        return ProgressBar(made, jobs, jobs * attempts)
    return PlainLines(made)


class ProgressBar:
    """An `execute.Observer` for a terminal: job, attempt, phase, and an estimate of the time left."""

    def __init__(self, console: Console, jobs: int, attempts: int) -> None:
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[left]}"),
            console=console,
            refresh_per_second=_REDRAWS_PER_S,
            transient=True,
        )
        self._task: TaskID = self._progress.add_task(f"{jobs} jobs", total=attempts, left="")
        self._done = 0
        self._title = ""

    def __enter__(self) -> ProgressBar:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def begins(self, job: Job, attempt: int, of: int, left_s: float | None) -> None:
        """Draws the attempt's title and the time left."""
        self._title = f"{escape(job.title)} · attempt {attempt} of {of}"
        left = "" if left_s is None else f"about {duration_text(left_s)} left"
        self._progress.update(self._task, description=self._title, left=left)

    def phase(self, phase: str, done: int, total: int) -> None:
        """Draws what the attempt is doing."""
        counted = f" {done}/{total}" if 1 < total >= done else ""
        self._progress.update(self._task, description=f"{self._title} · {escape(visible(phase))}{counted}")

    def ended(self, job: Job, attempt: Attempt) -> None:
        """Counts it, and says at once how it failed if it did."""
        self._done += 1
        total = max(self._done, int(self._progress.tasks[0].total or 0))
        self._progress.update(self._task, completed=self._done, total=total)
        if not attempt.outcome.ok:
            self._progress.console.print(f"{escape(job.title)}: {escape(visible(attempt.outcome))}", style="red")


class PlainLines:
    """An `execute.Observer` for logs: one line an attempt."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._started_s = 0.0
        self._prefix = ""

    def __enter__(self) -> PlainLines:
        return self

    def __exit__(self, *_: object) -> None:
        return

    def begins(self, job: Job, attempt: int, of: int, left_s: float | None) -> None:
        """Remembers what the line will be about."""
        self._started_s = time.monotonic()
        left = "" if left_s is None else f", about {duration_text(left_s)} left before it"
        self._prefix = f"{job.title}: attempt {attempt} of {of}{left}"

    def phase(self, phase: str, done: int, total: int) -> None:
        """Nothing: a log wants results, not phases."""

    def ended(self, job: Job, attempt: Attempt) -> None:
        """Prints the line."""
        took = duration_text(time.monotonic() - self._started_s)
        self._console.print(
            f"{self._prefix}: {visible(attempt.outcome)} after {took}", markup=False, highlight=False, soft_wrap=True
        )


def summary(run: Run, results: Sequence[Result], console: Console) -> None:
    """A table per model and workload: variants and configurations down, headline metrics across; then the warnings."""
    console.print(f"run {run.id} · {escape(run.suite)} · {run.state} · {run.attempts} attempts in {run.jobs} jobs")
    groups: dict[tuple[str, str, str], list[Result]] = {}
    for result in results:
        job = result.job
        groups.setdefault((job.model, job.workload.name, job.scenario), []).append(result)
    for group in groups.values():
        console.print(_table(group))
    sessions(results, console)
    _contrasts(results, console)
    _verdicts(results, console)
    _warnings(results, console)
    console.print(_how_to_read(results), style="dim")


def _how_to_read(results: Sequence[Result]) -> str:
    quality = [result for result in results if result.job.against is not None]
    timed = len(results) - len(quality)
    apart = sorted({metric.ratio.tells_apart for result in results for metric in result.metrics if metric.ratio})
    beyond = " or ".join(f"{100 * each:.3g} %" for each in apart or (TELLS_APART,))
    ratio = "Ratios compare with the reference, attempts paired by round; they are coloured where the whole interval "
    ratio = f"{ratio}lies more than {beyond} from 1. " if timed > 1 else ""
    over = ["attempts (fresh processes)"] if timed else []
    over += ["the inputs compared, for quality"] if quality else []
    return f"{ratio}Intervals are 95 %, over {'; over '.join(over)}."


def _table(group: Sequence[Result]) -> Table:
    """Rows are results; whatever all of them share stands in the title instead of a column."""
    marks = {
        "configuration": [result.job.configuration.name for result in group],
        "page cache": [str(result.job.settings.get("page_cache", "")) for result in group],
        "pace": [result.job.pace or "back to back" for result in group],
    }
    told_apart = {name: marks[name] for name in marks if len(set(marks[name])) > 1}
    job = group[0].job
    shared = [job.configuration.name] if "configuration" not in told_apart else []
    title = " · ".join([job.model, job.workload.name, job.scenario, *shared])
    metrics = _columns(group)
    table = Table("variant", *told_apart, title=Text(title), title_justify="left", **_evaluated(group))
    table.add_column("size", justify="right")
    for name in metrics:
        table.add_column(METRICS[name].title, justify="right")
    for row, result in enumerate(group):
        variant = f"{result.job.variant} (reference)" if result.job.is_reference else result.job.variant
        known = not result.job.files.get("unknown")
        size = _size(result) if known else "unknown"
        cells = [Text(text) for text in (variant, *(column[row] for column in told_apart.values()), size)]
        table.add_row(*cells, *_measured(result, metrics))
    return table


def _evaluated(group: Sequence[Result]) -> dict[str, Any]:
    """A caption: how much of the evaluation data was used, and what chunks of text begin with."""
    found: dict[str, None] = {}
    for result in group:
        used = next((each.parameters for each in result.metrics if "used" in each.parameters), {})
        parts = [f"evaluated on {used['used']}"] if used else []
        parts += [f"leading token of each chunk: {used['leading_tokens']}"] if "leading_tokens" in used else []
        found.update(dict.fromkeys(["; ".join(parts)] if parts else []))
    return {"caption": Text(visible("\n".join(found))), "caption_justify": "left"} if found else {}


def _measured(result: Result, metrics: Sequence[str]) -> list[Text]:
    """A result's cells; one that failed says how in the first of them."""
    on_device = result.effective.on_device
    if not on_device and result.job.against is None:  # quality it can tell
        return [Text("reference execution, weights only", style="dim"), *[Text("")] * (len(metrics) - 1)]
    if result.metrics:
        return [_cell(*_headline(result, name), _instead(result, name), _wish(result, name)) for name in metrics]
    return [Text(visible(result.outcome), style="red"), *[Text("")] * (len(metrics) - 1)]


def _columns(group: Sequence[Result]) -> list[str]:
    found = {metric.name for result in group for metric in result.metrics}
    found -= {name for name, bound in _BESIDE.items() if bound not in found}
    return [name for name, metric in METRICS.items() if metric.headline and name in found] or ["model_ttft"]


def _headline(result: Result, name: str) -> tuple[MetricResult | None, str]:
    """The metric that a cell shows; of several outputs the worst, and its name."""
    found = [metric for metric in result.metrics if metric.name == name]
    return to_show([metric for metric in found if metric.parameters.get("percentile", 50) == 50])


def _instead(result: Result, name: str) -> str:
    """Why a result has no such metric."""
    bound = next((each.name for each in result.metrics if METRICS[each.name].bounds == name), None)
    return f"only bounded: {METRICS[bound].title}" if bound else "not measured"


def _size(result: Result) -> str:
    size = result.job.artefact_bytes
    return quantity_text(size, Unit.BYTES, scale_for(Unit.BYTES, size, _wish(result, "artefact_size")))


def _wish(result: Result, name: str) -> str:
    """The unit in which a budget on a metric is written; empty where there is none."""
    return next((verdict.unit for verdict in result.verdicts if verdict.metric == name), "")


def _cell(metric: MetricResult | None, output: str, otherwise: str, wish: str) -> Text:
    if metric is None:
        return Text(f"unknown ({otherwise})", style="dim")
    estimate = metric.estimate
    of = f"\nof {visible(output)}" if output else ""
    if estimate.value is None:
        return Text(f"unknown ({visible(estimate.reason)}){of}", style="dim")
    text = Text(estimated(estimate, metric.unit, wish))
    text.append(f"{interval(estimate, metric.unit, wish)}{of}", style="dim")
    if metric.ratio is not None and metric.ratio.value is not None:
        text.append(f"\n{times(metric.ratio)}", style=_ratio_style(metric.ratio, metric.name))
    elif metric.ratio is not None:
        text.append(f"\n{_no_ratio(metric.ratio)}", style="dim")
    return text


def _no_ratio(ratio: Estimate) -> str:
    """What stands in place of a ratio: what differs beside what the comparison is about."""
    return f"no ratio: {visible(ratio.reason)}"


def _ratio_style(ratio: Estimate, metric: str) -> str:
    """Green or red only where the whole interval of the ratio is far enough from 1, and a direction is better."""
    better = METRICS[metric].better
    if not ratio.apart or better is Better.NEITHER:
        return "dim"
    return "green" if (ratio.apart < 0) == (better is Better.LOWER) else "red"


_BASES = {
    Basis.RUNTIME: "runtimes at equal precision: this / the first of them",
    Basis.ACCELERATOR: "accelerators: this / the same variant without",
}


def _contrasts(results: Sequence[Result], console: Console) -> None:
    """A table per basis: the headline ratios of results that are compared with others than their reference."""
    for basis, title in _BASES.items():
        pairs = [
            (result, contrast)
            for result in results
            for contrast in result.contrasts
            if contrast.basis is basis and any(METRICS[name].headline for name, _, _ in contrast.ratios)
        ]
        found = {name for _, contrast in pairs for name, _, _ in contrast.ratios if METRICS[name].headline}
        names = [name for name in METRICS if name in found]
        if not names:
            continue
        table = Table("this", "other", title=title, title_justify="left")
        for name in names:
            table.add_column(METRICS[name].title, justify="right")
        for result, contrast in pairs:
            cells = [_ratio_cell(contrast, name) for name in names]
            table.add_row(Text(visible(result.job.title)), Text(visible(contrast.title)), *cells)
        console.print(table)


def _ratio_cell(contrast: Contrast, metric: str) -> Text:
    for name, parameters, ratio in contrast.ratios:
        if name == metric and parameters.get("percentile", 50) == 50:
            if ratio.value is None:
                return Text(_no_ratio(ratio), style="dim")
            return Text(times(ratio), style=_ratio_style(ratio, metric))
    return Text("")


def _verdicts(results: Sequence[Result], console: Console) -> None:
    if not any(result.verdicts for result in results):
        return
    table = Table("budget", "set by", "result", "value", "verdict", title="budgets", title_justify="left")
    for result in results:
        for verdict in result.verdicts:
            words = f"{verdict.kind}: {verdict.reason}" if verdict.reason else str(verdict.kind)
            shown = Text(visible(words), style=_VERDICT_STYLES[verdict.kind])
            title, value = Text(visible(result.job.title)), Text(_judged_value(result, verdict))
            table.add_row(Text(verdict.budget), verdict.origin, title, value, shown)
    console.print(table)


def _judged_value(result: Result, verdict: Verdict) -> str:
    """What a verdict is about, in the unit of the budget."""
    same = (each for each in result.metrics if (each.name, each.parameters) == (verdict.metric, verdict.parameters))
    metric = next(same, None)
    if metric is None or metric.estimate.value is None:
        return "unknown"
    found = metric.estimate
    return f"{estimated(found, metric.unit, verdict.unit)}{interval(found, metric.unit, verdict.unit)}"


def _warnings(results: Sequence[Result], console: Console) -> None:
    concerned: dict[ResultWarning, list[str]] = {}
    for result in results:
        for warning in result.warnings:
            concerned.setdefault(warning, []).append(result.job.title)
    for warning, titles in concerned.items():
        where = titles[0] if len(titles) == 1 else f"{len(titles)} results"
        line = f"{warning.kind}: {where}: {warning.message}" + (f"; {warning.hint}" if warning.hint else "")
        console.print(visible(line), style="yellow", markup=False, highlight=False)


def run_table(runs: Sequence[Run]) -> Table:
    """A table of runs, newest first."""
    table = Table("run", "suite", "started", "state", "jobs", "attempts")
    for run in runs:
        started = run.started.astimezone().strftime("%Y-%m-%d %H:%M")
        table.add_row(run.id, Text(run.suite), started, run.state, str(run.jobs), str(run.attempts))
    return table
