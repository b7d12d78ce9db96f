"""`--details`: every headline metric of every job by scenario, ratios with their intervals, courses, contrasts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from rich.console import Console

from benchharness.judge.answer import Answer, takes_text
from benchharness.metrics import METRICS, Unit
from benchharness.results.result import (
    EXACT,
    TELLS_APART,
    Basis,
    Contrast,
    Estimate,
    Job,
    MetricResult,
    Result,
    to_show,
)
from benchharness.terminal.budgets import budgets, standings
from benchharness.terminal.cells import ratio_style
from benchharness.terminal.console import tell
from benchharness.terminal.courses import sessions
from benchharness.terminal.grid import REFERENCE
from benchharness.terminal.lines import Group, Line, show_lines
from benchharness.terminal.values import half_of, names_within, one_line, times
from benchharness.units import Scale, common_scale, interval_text, quantity_text, scale_for

#: Shown only where what it stands beside is: a lower bound says too little by itself.
_BESIDE = {"total_variation": "kld_pooled"}
#: Letters of a name in a sentence, and of the one that a row is compared with.
_LONGEST_NAME, _OTHER_NAME = 40, 24


def details(answers: Sequence[Answer], results: Sequence[Result], unmeasured: Sequence[str], console: Console) -> None:
    """A list for each model, workload and scenario, with every headline metric; courses, contrasts, budgets."""
    groups: dict[tuple[str, str, str], list[Result]] = {}
    for result in results:
        job = result.job
        groups.setdefault((job.model, job.workload.name, job.scenario), []).append(result)
    sized: set[tuple[str, str]] = set()
    for group in groups.values():
        _show(group, sized, console)
    sessions(results, console)
    _contrasts(results, console)
    budgets(answers, unmeasured, console)
    for line in standings(answers):
        tell(console, line)
    tell(console, _how_to_read(results), "dim")


def _how_to_read(results: Sequence[Result]) -> str:
    quality = [result for result in results if result.job.of_answers]
    timed = len(results) - len(quality)
    apart = sorted({metric.ratio.tells_apart for result in results for metric in result.metrics if metric.ratio})
    beyond = " or ".join(f"{100 * each:.3g} %" for each in apart or (TELLS_APART,))
    ratio = "Ratios compare with the reference, attempts paired by round; they are coloured where the whole interval "
    ratio = f"{ratio}lies more than {beyond} from 1. " if timed > 1 else ""
    over = ["attempts (fresh processes)"] if timed else []
    over += ["the inputs compared, for quality"] if quality else []
    return f"{ratio}Intervals are 95 %, over {'; over '.join(over)}."


def _show(group: Sequence[Result], sized: set[tuple[str, str]], console: Console) -> None:
    """Rows for each metric; what all results share stands in the title instead of their names. A size is told once."""
    names = _names(group)
    named = list(zip(names, group, strict=True))
    job = group[0].job
    shared = [job.configuration.name] if len({result.job.configuration.name for result in group}) == 1 else []
    groups = [_sizes([each for each in named if (each[1].job.model, each[1].job.variant) not in sized])]
    sized |= {(job.model, result.job.variant) for result in group}
    if measured := [each for each in named if each[1].metrics and _on_device(each[1])]:
        groups += [_metric_rows(name, measured) for name in _columns(group)]
    title = " · ".join([job.model, job.workload.name, job.scenario, *shared])
    tell(console, one_line(title), "bold")
    show_lines(("value ", "interval", "ratio"), groups, console)
    for name, result in named:
        if not result.outcome.ok and not result.metrics and _on_device(result):
            tell(console, f"{_in_a_sentence(name)}: {one_line(result.outcome)}", "red")
    if elsewhere := [_in_a_sentence(name) for name, result in named if not _on_device(result)]:
        tell(console, f"{', '.join(elsewhere)}: reference execution, weights only", "dim")
    for line in _evaluated(group):
        tell(console, line, "dim")


def _in_a_sentence(name: str) -> str:
    return one_line(name.removesuffix(REFERENCE), _LONGEST_NAME)


def _names(group: Sequence[Result]) -> list[str]:
    """A row's variant; where several rows are of one, also what tells rows apart."""
    marks = [
        [result.job.configuration.name for result in group],
        [_page_cache(result) for result in group],
        [result.job.pace or "back to back" for result in group],
    ]
    told_apart = [mark for mark in marks if len(set(mark)) > 1]
    counts = Counter(result.job.variant for result in group)
    names = []
    for at, result in enumerate(group):
        parts = [mark[at] for mark in told_apart if mark[at]] if counts[result.job.variant] > 1 else []
        names.append(" · ".join([result.job.variant, *parts]) + (REFERENCE if result.job.is_reference else ""))
    return names


def _page_cache(result: Result) -> str:
    cache = result.job.settings.get("page_cache", "")
    return f"page cache {cache}" if cache else ""


def _on_device(result: Result) -> bool:
    """Whether what it costs was measured; quality is told by a reference execution too."""
    return bool(result.effective.on_device) or result.job.of_answers


def _tells(result: Result) -> bool:
    return bool(result.metrics) and _on_device(result)


def _sizes(named: Sequence[tuple[str, Result]]) -> Group:
    sizes = [result.job.artefact_bytes for _, result in named if not result.job.files.get("unknown")]
    scale = _scale("artefact_size", Unit.BYTES, [result for _, result in named], [float(size) for size in sizes])
    rows = [_size(name, result, scale) for name, result in named]
    return Group(heading=_heading("size", scale), rows=rows)


def _size(name: str, result: Result, scale: Scale | None) -> Line:
    if result.job.files.get("unknown"):
        return Line(name=name, cells=(("unknown", "dim"),))
    cells = ((_number(result.job.artefact_bytes, Unit.BYTES, scale), ""), ("", ""))
    ratio = next((each.ratio for each in result.metrics if each.name == "artefact_size"), None)
    return Line(name=name, cells=cells if ratio is None else (*cells, _times(ratio, "artefact_size")))


def _times(ratio: Estimate, name: str) -> tuple[str, str]:
    return times(ratio), ratio_style(ratio, METRICS[name].better)


def _metric_rows(name: str, named: Sequence[tuple[str, Result]]) -> Group:
    found = [(who, result, *_headline(result, name)) for who, result in named]
    metrics = [metric for _, _, metric, _ in found if metric is not None]
    values = [metric.estimate.value for metric in metrics if metric.estimate.value is not None]
    scale = _scale(name, metrics[0].unit, [result for _, result in named], values) if metrics else None
    rows = [_row(who, metric, output, scale, _instead(result, name)) for who, result, metric, output in found]
    return Group(heading=_heading(METRICS[name].title, scale), rows=rows)


def _heading(title: str, scale: Scale | None) -> str:
    return f"{title}, {scale.symbol}" if scale and scale.symbol else title


def _scale(name: str, unit: str, results: Sequence[Result], values: Sequence[float]) -> Scale | None:
    """One multiple for a metric of several rows: the one that its budget is written in, if there is one."""
    wish = next(filter(None, (_wish(result, name) for result in results)), "")
    return scale_for(unit, 0.0, wish) if wish else common_scale(unit, list(values))


def _row(who: str, metric: MetricResult | None, output: str, scale: Scale | None, otherwise: str) -> Line:
    if metric is None:
        return Line(name=who, cells=(("unknown", "dim"),), note=otherwise)
    estimate = metric.estimate
    of = f"of {output}" if output else ""
    if estimate.value is None:
        return Line(name=who, cells=(("unknown", "dim"),), note="; ".join(filter(None, (of, estimate.reason))))
    scale = scale or scale_for(metric.unit, estimate.value)
    value = quantity_text(estimate.value, metric.unit, scale, half_of(estimate))
    value = value if scale.symbol and value.startswith("≈") else value.removesuffix(scale.symbol).rstrip()
    ratio, why = ("", ""), ""
    if metric.ratio is not None and metric.ratio.value is not None:
        ratio = _times(metric.ratio, metric.name)
    elif metric.ratio is not None:
        why = _no_ratio(metric.ratio)
    return Line(
        name=who,
        cells=((value, ""), (_ends(estimate, metric.unit, scale), "dim"), ratio),
        note="; ".join(filter(None, (of, why))),
    )


def _number(value: float, unit: str, scale: Scale | None) -> str:
    """A value in its column's multiple, with its unit where the column has none."""
    text = quantity_text(value, unit, scale)
    return text if scale is None else text.removesuffix(scale.symbol).rstrip()


def _ends(estimate: Estimate, unit: str, scale: Scale) -> str:
    if estimate.statistic == EXACT or estimate.value is None:
        return ""
    if estimate.low is None or estimate.high is None:
        return "± unknown"
    return interval_text(estimate.low, estimate.high, estimate.value, unit, scale)


def _evaluated(group: Sequence[Result]) -> list[str]:
    """How much of the evaluation data was used, and what chunks of text begin with."""
    found: dict[str, None] = {}
    for result in group:
        used = next((each.parameters for each in result.metrics if "used" in each.parameters), {})
        parts = [f"evaluated on {used['used']}"] if used else []
        parts += [f"leading token of each chunk: {used['leading_tokens']}"] if "leading_tokens" in used else []
        found.update(dict.fromkeys(["; ".join(parts)] if parts else []))
    return [one_line(line) for line in found]


def _columns(group: Sequence[Result]) -> list[str]:
    found = {metric.name for result in group for metric in result.metrics}
    found -= {name for name, bound in _BESIDE.items() if bound not in found}
    rows = [{each.name for each in result.metrics if each.estimate.value is not None} for result in group]
    return [name for name, metric in METRICS.items() if metric.is_named(rows) and name in found] or ["model_ttft"]


def _headline(result: Result, name: str) -> tuple[MetricResult | None, str]:
    """The metric that a cell shows; of several outputs the worst, and its name."""
    found = [metric for metric in result.metrics if metric.name == name]
    return to_show([metric for metric in found if metric.parameters.get("percentile", 50) == 50])


def _instead(result: Result, name: str) -> str:
    """Why a result has no such metric."""
    bound = next((each.name for each in result.metrics if METRICS[each.name].bounds == name), None)
    return f"only bounded: {METRICS[bound].title}" if bound else takes_text(name, [result]) or "not measured"


def _wish(result: Result, name: str) -> str:
    """The unit in which a budget on a metric is written; empty where there is none."""
    return next((verdict.unit for verdict in result.verdicts if verdict.metric == name), "")


def _no_ratio(ratio: Estimate) -> str:
    """What stands in place of a ratio: what differs beside what the comparison is about."""
    return f"no ratio: {one_line(ratio.reason)}"


_BASES = {
    Basis.RUNTIME: "runtimes at equal precision: this / the first of them",
    Basis.ACCELERATOR: "accelerators: this / the same variant without",
}


def _contrasts(results: Sequence[Result], console: Console) -> None:
    """For each basis the headline ratios of results that are compared with others than their reference."""
    jobs = {result.job.key: result.job for result in results}
    counts = Counter(variant for variant, _ in {(job.variant, job.configuration.name) for job in jobs.values()})

    def short(job: Job) -> str:
        return job.variant if counts[job.variant] == 1 else f"{job.variant} · {job.configuration.name}"

    for basis, title in _BASES.items():
        pairs = [(result, each) for result in results for each in result.contrasts if each.basis is basis]
        others = {each.other: short(jobs[each.other]) if each.other in jobs else each.title for _, each in pairs}
        shown = dict(zip(others, names_within(list(others.values()), _OTHER_NAME), strict=True))
        groups = [
            Group(heading=f"{METRICS[name].title}, {scenario}", rows=rows)
            for scenario in dict.fromkeys(result.job.scenario for result, _ in pairs)
            for name in METRICS
            if METRICS[name].headline
            and (
                rows := [
                    Line(name=short(result.job), cells=((shown[each.other], ""), cell), note=note)
                    for result, each in pairs
                    if result.job.scenario == scenario and (found := _ratio_cell(each, name)) is not None
                    for cell, note in (found,)
                ]
            )
        ]
        if groups:
            tell(console, title, "bold")
        show_lines(("other", "ratio"), groups, console)


def _ratio_cell(contrast: Contrast, metric: str) -> tuple[tuple[str, str], str] | None:
    """The ratio's text and style, and why there is none; None where nothing is said of that metric."""
    for name, parameters, ratio in contrast.ratios:
        if name == metric and parameters.get("percentile", 50) == 50:
            if ratio.value is None:
                return ("", ""), _no_ratio(ratio)
            return (times(ratio), ratio_style(ratio, METRICS[metric].better)), ""
    return None
