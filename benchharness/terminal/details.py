"""`--details`: every headline metric of every job by scenario, ratios with their intervals, courses, contrasts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from benchharness.judge.answer import Answer
from benchharness.metrics import METRICS, Unit
from benchharness.results.result import TELLS_APART, Basis, Contrast, Estimate, MetricResult, Result, to_show
from benchharness.terminal.budgets import budgets, standings
from benchharness.terminal.cells import ratio_style
from benchharness.terminal.console import tell
from benchharness.terminal.courses import sessions
from benchharness.terminal.values import estimated, interval, times, visible
from benchharness.units import quantity_text, scale_for

#: Shown only where what it stands beside is: a lower bound says too little by itself.
_BESIDE = {"total_variation": "kld_pooled"}


def details(answers: Sequence[Answer], results: Sequence[Result], unmeasured: Sequence[str], console: Console) -> None:
    """A table for each model, workload and scenario, with every headline metric; courses, contrasts, budgets."""
    groups: dict[tuple[str, str, str], list[Result]] = {}
    for result in results:
        job = result.job
        groups.setdefault((job.model, job.workload.name, job.scenario), []).append(result)
    for group in groups.values():
        console.print(_table(group))
    sessions(results, console)
    _contrasts(results, console)
    budgets(answers, unmeasured, console)
    for line in standings(answers):
        tell(console, line)
    tell(console, _how_to_read(results), "dim")


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
        text.append(f"\n{times(metric.ratio)}", style=ratio_style(metric.ratio, METRICS[metric.name].better))
    elif metric.ratio is not None:
        text.append(f"\n{_no_ratio(metric.ratio)}", style="dim")
    return text


def _no_ratio(ratio: Estimate) -> str:
    """What stands in place of a ratio: what differs beside what the comparison is about."""
    return f"no ratio: {visible(ratio.reason)}"


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
            return Text(times(ratio), style=ratio_style(ratio, METRICS[metric].better))
    return Text("")
