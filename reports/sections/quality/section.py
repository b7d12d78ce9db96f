"""What compression lost: quality results -> tables, figures and texts, one section a model.

Rows of one table were held against the same reference on the same inputs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any

from benchharness.metrics import METRICS
from benchharness.records import table_of
from benchharness.results.requested import Opened
from benchharness.results.result import Job, MetricResult, to_show
from benchharness.units import Scale, quantity_text
from reports.figures.figure import Figure
from reports.model.entries import WEIGHTS_ONLY, Colours, Entry, configuration_name, same_key
from reports.model.estimates import quantity, title_of
from reports.model.section import Material, Section, SectionKind, in_a_line
from reports.model.tables import Cell, Column, Quantity, notes_of
from reports.model.visible import name_text, value_text
from reports.sections.quality.one_text import of_one_text
from reports.sections.quality.series import figures_of
from reports.sections.quality.students import LossTable, loss_table, read_on, speaks_another, vocabularies
from reports.sections.quality.texts import Shown, texts_of

#: The columns, where any row of a table has them; of a percentile metric only the one named.
_COLUMNS: Mapping[str, float | None] = {
    "kld": None,
    "kld_pooled": None,
    "kld_percentile": 99.0,
    "perplexity": None,
    "reference_perplexity": None,
    "log_perplexity_ratio": None,
    "same_top_token": None,
    "probability_change": None,
    "probability_change_rms": None,
    "greedy_prefix": None,
    "bits_per_byte": None,
    "reference_bits_per_byte": None,
    "bits_per_byte_loss": None,
    "same_answer": None,
    "same_answer_normalised": None,
    "shared_beginning": None,
    "accuracy": None,
    "reference_accuracy": None,
    "accuracy_change": None,
    "mcnemar_p": None,
    "agreement": None,
    "total_variation": None,
    "cosine": None,
    "similarity_ranks": None,
    "sqnr": None,
    "largest_error": None,
}
#: What is told of tokens, and of no two vocabularies.
_OF_TOKENS = (
    *("kld", "kld_percentile", "perplexity", "log_perplexity_ratio", "same_top_token"),
    *("probability_change", "probability_change_rms", "greedy_prefix"),
)
#: Extremes, p-values and the like, so that an interval is not missing: there is none of them.
NO_MEANS = frozenset(
    ("kld_percentile", "kld_largest", "mcnemar_p", "similarity_ranks", "largest_error", "class_accuracy_change")
)
#: Figures of inputs; they tell how many of how many.
_OF_INPUTS = ("agreement", "cosine", "sqnr")
#: What is told of texts, in a table of its own where a row has no figures of tokens.
_OF_TEXTS = (
    *("bits_per_byte", "reference_bits_per_byte", "bits_per_byte_loss"),
    *("same_answer", "same_answer_normalised", "shared_beginning"),
)
#: What the reference itself reached: it is one figure, told once where all rows agree.
_OF_REFERENCE = ("reference_perplexity", "reference_accuracy")
#: A change of a share is told in points: in percent it would read as a share of the share.
_IN_POINTS = ("accuracy_change", "class_accuracy_change")
_POINTS = Scale(0.01, "points")
#: What stands for a row in one line, the first that it has.
_HEADLINES = ("accuracy_change", "kld", "kld_pooled", "cosine", "sqnr", "agreement", "bits_per_byte_loss")
#: What stands beside it.
_BESIDE = ("same_top_token", "agreement", "same_answer")


@dataclass(frozen=True, kw_only=True)
class QualityRow:
    """What one variant under one configuration lost; one row an output where a model has several to compare."""

    anchor: str  # of the job's details
    variant: str
    configuration: str
    output: str
    runtime: str  # "" where the configuration's name tells
    size: str
    label: str  # reference execution, which says nothing about a device; "" otherwise
    how: str  # evaluation and positions, where the rows of a table differ in them
    cells: tuple[Cell, ...]


@dataclass(frozen=True, kw_only=True)
class QualityTable:
    """Rows that were held against one reference on the same inputs in the same way. `told` says which and how."""

    anchor: str
    data: str
    told: tuple[str, ...]
    columns: tuple[Column, ...]
    rows: tuple[QualityRow, ...]
    losses: LossTable | None  # of language models
    figures: tuple[Figure, ...]
    examples: tuple[Shown, ...]
    continuations: tuple[Shown, ...]

    @property
    def notes(self) -> tuple[str, ...]:
        """What stands beneath the table."""
        return notes_of(cell for row in self.rows for cell in row.cells)


@dataclass(frozen=True, kw_only=True)
class Quality(Section):
    """What compression lost in one model."""

    tables: tuple[QualityTable, ...]


def make(material: Material) -> tuple[Quality, ...]:
    """A section for each model whose loss was measured."""
    models: dict[str, list[Entry]] = {}
    for entry in material.losses:
        models.setdefault(entry.result.job.model, []).append(entry)
    return tuple(
        _quality(f"quality-{number}", model, of_model, material)
        for number, (model, of_model) in enumerate(models.items(), start=1)
    )


def _quality(anchor: str, model: str, entries: Sequence[Entry], material: Material) -> Quality:
    passes: dict[str, list[Entry]] = {}
    for entry in entries:
        job = entry.result.job
        against = job.against and job.against.to_json()
        passes.setdefault(same_key([against, job.workload.to_json(), job.settings]), []).append(entry)
    return Quality(
        anchor=anchor,
        subject=name_text(model),
        finding=in_a_line(_findings(entries), "no job has a value"),
        tables=tuple(
            table
            for number, of_pass in enumerate(passes.values(), start=1)
            for table in _tables(f"{anchor}-{number}", of_pass, material.colours[model])
        ),
    )


def _tables(anchor: str, entries: Sequence[Entry], colours: Colours) -> Iterator[QualityTable]:
    """One of those that are held against the reference token by token; where others are not, one of all by texts."""
    students = [entry for entry in entries if speaks_another(entry)]
    alike = [entry for entry in entries if entry not in students]
    if alike:
        yield _table(anchor, alike, colours)
    if students:
        yield _by_text(f"{anchor}-texts", entries, students)


def _findings(entries: Sequence[Entry]) -> Iterator[str]:
    """One figure a row, in the order of the suite: what ran as reference execution is no rival of what did not."""
    for entry in entries:
        by_name: dict[str, list[MetricResult]] = {}
        for each in entry.result.metrics:
            by_name.setdefault(each.name, []).append(each)
        valued = {name for name, found in by_name.items() if any(each.estimate.value is not None for each in found)}
        headlines = [name for name in _HEADLINES if name in (valued or by_name)]
        metric, output = to_show(by_name[headlines[0]] if headlines else [])
        if metric is not None:
            of = f" of {name_text(output)}, the worst output" if output else ""
            beside = next((by_name[name][0] for name in _BESIDE if name in valued and name != metric.name), None)
            agreed = f", {title_of(beside.name)} {_shown(beside).text}" if beside else ""
            yield f"{entry.who} {title_of(metric.name)} {_shown(metric).text}{of}{agreed}"


def _table(anchor: str, entries: Sequence[Entry], colours: Colours) -> QualityTable:
    job = entries[0].result.job
    found = [(entry, output, _metrics(entry, output)) for entry in entries for output in _outputs(entry)]
    names = _names(set(_COLUMNS) - set(_OF_TEXTS), [each for _, _, each in found])
    reached = {name: shown for name in _OF_REFERENCE if (shown := _agreed(name, [each for _, _, each in found]))}
    names = [name for name in names if name not in reached]
    ways = list(dict.fromkeys(way for entry in entries if (way := how(entry))))
    rows = [(*each, how(each[0]) if len(ways) > 1 else "") for each in found]
    return QualityTable(
        anchor=anchor,
        data=name_text(job.workload.name),
        told=(
            *_told(job, ways, reached, _scores(entries), pooled="kld_pooled" in names),
            *of_one_text({name: row[name] for name in (*names, *reached) if name in row} for _, _, row in found),
        ),
        columns=tuple(_column(name) for name in names),
        rows=tuple(_row(entry, output, metrics, names, way) for entry, output, metrics, way in rows),
        losses=loss_table(entries),
        figures=figures_of([(entry, how(entry) if len(ways) > 1 else "") for entry in entries], colours),
        examples=tuple(texts_of(entries, "examples")),
        continuations=tuple(texts_of(entries, "continuations")),
    )


def _by_text(anchor: str, entries: Sequence[Entry], students: Sequence[Entry]) -> QualityTable:
    """What is told of texts, of every row: those of the reference's vocabulary stand beside the students."""
    found = [(entry, _metrics(entry, None)) for entry in entries]
    names = _names(set(_OF_TEXTS), [metrics for _, metrics in found])
    job = entries[0].result.job
    return QualityTable(
        anchor=anchor,
        data=f"{name_text(job.workload.name)}, by bytes and answers",
        told=(
            *_told(job, (), {}, (), pooled=False),
            *vocabularies(students, [title_of(name) for name in _OF_TOKENS]),
            *of_one_text({name: row[name] for name in names if name in row} for _, row in found),
        ),
        columns=tuple(_column(name) for name in names),
        rows=tuple(_row(entry, None, metrics, names, read_on(entry)) for entry, metrics in found),
        losses=None,
        figures=(),
        examples=(),
        continuations=tuple(texts_of(students, "continuations")),
    )


def _names(among: Set[str], rows: Sequence[Mapping[str, MetricResult]]) -> list[str]:
    return [name for name in _COLUMNS if name in among and any(name in row for row in rows)]


def _agreed(name: str, rows: Sequence[Mapping[str, MetricResult]]) -> str:
    """A figure of the reference that every row has alike, in words; "" where rows differ or none has it."""
    told = {_told_of(row[name]) for row in rows if name in row}
    return told.pop() if len(told) == 1 else ""


def _told_of(metric: MetricResult) -> str:
    shown = _shown(metric)
    return f"{title_of(metric.name)} {shown.text}{f' ({shown.interval})' if shown.interval else ''}"


def _told(
    job: Job, ways: Sequence[str], reached: Mapping[str, str], scores: Sequence[str], *, pooled: bool
) -> Iterator[str]:
    against = job.against or Opened()
    on = configuration_name(against.configuration) if against.configuration else ""
    variant = name_text(against.variant or "not recorded")
    itself = f" {_capital('; '.join(reached.values()))}." if reached else ""
    yield f"Reference: {variant}{f' on {on}' if on else ''}. Every row is held against it on the same inputs.{itself}"
    if len(ways) == 1:
        yield f"Evaluation: {ways[0]}."
    elif ways:
        yield "Rows were evaluated differently, as each says; they do not compare with each other."
    yield from scores
    if pooled:
        yield (
            "KLD, pooled (≥): where a variant rounds classes to zero, KLD would be infinite or whatever stands in for "
            "zero. These classes are pooled into one first, so it is a lower bound; agreement and total variation "
            "stand beside it."
        )
    data = job.workload.data
    if data and data.shared_samples is not None and data.shared_samples > 0:
        yield f"{data.shared_samples} of the inputs were also calibrated on: what is shown here may flatter."


def _scores(entries: Sequence[Entry]) -> list[str]:
    """What the classes' scores were taken for and by what, each way once, with the rows where there are several."""
    ways: dict[tuple[str, str], list[str]] = {}
    for entry in entries:
        told = entry.result.effective.scores
        if told.get("are"):
            way = name_text(told["are"]), value_text(told.get("by", ""))
            ways.setdefault(way, []).append(entry.who)
    found = []
    for (are, by), rows in ways.items():
        whose = f" of {', '.join(rows)}" if len(ways) > 1 else ""
        found.append(f"Scores{whose}: {are}, {by}.")
    return found


def _capital(words: str) -> str:
    return words[:1].upper() + words[1:]


def how(entry: Entry) -> str:
    """How a job evaluated, what it scored and how much of the data that is; "" where unknown.

    Such as `decode, scored at positions 128 to 255 of 256 in each chunk, 32 of 86 chunks, 8192 of 22263 tokens`.
    """
    for metric in entry.result.metrics:
        parameters = metric.parameters
        if metric.name in ("token_divergence", "kld") and "evaluation" in parameters:
            return ", ".join((_evaluation(parameters), *_positions(parameters), *_leading(parameters)))
        if metric.name in _OF_INPUTS and "used" in parameters:
            return value_text(parameters["used"])
        if metric.name in ("class_decisions", "tensor_error") and metric.attempts:
            value = metric.attempts[0]
            return f"{table_of(metric.name, value.row_length).count(value.samples)} inputs"
    return ""


def _evaluation(parameters: Mapping[str, Any]) -> str:
    chunk = parameters.get("prefill_chunk")
    return f"prefill({value_text(chunk)})" if chunk else name_text(parameters["evaluation"])


def _positions(parameters: Mapping[str, Any]) -> Iterator[str]:
    first, scored = parameters.get("scored_from"), parameters.get("scored")
    if isinstance(first, int | float) and isinstance(scored, int | float):
        of = f" of {value_text(parameters['chunk_tokens'])}" if "chunk_tokens" in parameters else ""
        yield f"scored at positions {first:g} to {first + scored - 1:g}{of} in each chunk"
    elif "chunk_tokens" in parameters:
        yield f"scored at the later positions of each chunk of up to {value_text(parameters['chunk_tokens'])} tokens"
    if "used" in parameters:
        yield value_text(parameters["used"])
    elif "chunks" in parameters:
        yield f"{value_text(parameters['chunks'])} chunks"


def _leading(parameters: Mapping[str, Any]) -> Iterator[str]:
    if "leading_tokens" in parameters:
        yield f"leading token of each chunk: {value_text(parameters['leading_tokens'])}"


def _outputs(entry: Entry) -> list[str | None]:
    """The outputs that a job compares, each a row; before them one without a name for what the model is about."""
    shown = [metric for metric in entry.result.metrics if metric.name in _COLUMNS]
    named = [str(metric.parameters["output"]) for metric in shown if "output" in metric.parameters]
    whole = len(named) < len(shown) or not named
    return [*([None] if whole else []), *dict.fromkeys(named)]


def _metrics(entry: Entry, output: str | None) -> dict[str, MetricResult]:
    return {
        metric.name: metric
        for metric in entry.result.metrics
        if metric.name in _COLUMNS
        and (str(metric.parameters["output"]) if "output" in metric.parameters else None) == output
        and (_COLUMNS[metric.name] is None or metric.parameters.get("percentile") == _COLUMNS[metric.name])
    }


def _column(name: str) -> Column:
    better = METRICS[name].better
    percentile = _COLUMNS[name]
    title = METRICS[name].title if percentile is None else f"KLD p{percentile:g}"
    unit = METRICS[name].unit
    return Column(
        title=title,
        parameters=str(unit) if unit in ("nats", "dB", "tokens", "bits/byte") else "",
        better=f"{better} is better" if str(better) != "neither" else "for comparison",
    )


def _row(
    entry: Entry, output: str | None, metrics: Mapping[str, MetricResult], names: Sequence[str], way: str
) -> QualityRow:
    job = entry.result.job
    outcome = entry.result.outcome
    failed = not outcome.ok and not metrics
    return QualityRow(
        anchor=entry.anchor,
        variant=name_text(job.variant),
        configuration=configuration_name(job.configuration),
        output="" if output is None else name_text(output),
        runtime=_runtime(job),
        size=quantity_text(job.artefact_bytes, "bytes") if job.artefact_bytes > 0 else "unknown",
        label=WEIGHTS_ONLY if entry.weights_only else "",
        how=way,
        cells=(Cell(state="failed", note=name_text(outcome.kind), span=max(1, len(names))),)
        if failed
        else tuple(_cell(metrics.get(name)) for name in names),
    )


def _runtime(job: Job) -> str:
    """The runtime, where the configuration's name does not begin with it."""
    runtime = name_text(job.configuration.runtime or "not recorded")
    return "" if configuration_name(job.configuration).startswith(runtime) else runtime


def _cell(metric: MetricResult | None) -> Cell:
    if metric is None:
        return Cell(state="absent", note="not reported")
    return Cell(state="value", quantity=_shown(metric))


def _shown(metric: MetricResult) -> Quantity:
    shown = quantity(metric.estimate, metric.unit, _POINTS if metric.name in _IN_POINTS else None)
    if metric.name in NO_MEANS and metric.estimate.value is not None:
        return Quantity(text=shown.text)
    return shown


SECTION = SectionKind(
    name="quality", heading="What compression lost", make=make, order=30, tells=("examples", "continuations")
)
