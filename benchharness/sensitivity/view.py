"""What the terminal shows: the parts with what each costs, worst first, then the mixed variants that were tried."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.table import Table
from rich.text import Text

from benchharness.compress.parts import Part
from benchharness.metrics import METRICS, Unit
from benchharness.results.result import Estimate
from benchharness.sensitivity.hurts import Hurt
from benchharness.sensitivity.measuring import Sensitivity
from benchharness.sensitivity.mixing import Mixed
from benchharness.terminal.values import estimated, interval, visible
from benchharness.units import percent_text, quantity_text

#: Of the parts that a variant leaves as they are, so many are named.
_NAMED = 4
_NAME_WIDTH = 18


def tables(found: Sensitivity) -> Iterator[Table | Text]:
    """The ranking, what was tried, and in a sentence what came of it."""
    yield _ranking(found)
    if found.left_out:
        yield Text(visible(f"The recipe changes nothing in {_named(found.left_out)}."))
    if found.tried:
        yield _tried(found)
    yield Text(visible(said(found)), style="bold")


def said(found: Sensitivity) -> str:
    """What came of the search for a mixed variant."""
    if not found.budgeted:
        return 'No budget on quality was given, so no mixed variant was looked for; try --budget "kld=0.1 nats".'
    if found.mixed is None:
        return "No variant that was tried keeps every budget on quality."
    if not found.mixed.left:
        return f"{found.recipe} keeps every budget on quality on all parts: nothing needs to be left as it is."
    kept = f"{found.mixed.recipe.name} leaves {_names(found.mixed.left)} as they are"
    return f"{kept}: the smallest of {len(found.tried) + 1} variants tried that keeps every budget on quality."


def _ranking(found: Sensitivity) -> Table:
    title = f"{found.recipe}, one {found.by} at a time: {METRICS[found.metric].title} against the original"
    table = Table(title=visible(title), title_justify="left")
    table.add_column(found.by, overflow="fold", min_width=_NAME_WIDTH)
    for column in (METRICS[found.metric].title, "saves"):
        table.add_column(column, justify="right")
    table.add_column("note")
    for hurt in found.ranking:
        share = percent_text(hurt.saved / max(found.original_bytes, 1))
        table.add_row(
            Text(visible(hurt.part.name)), _loss(found.metric, hurt.loss), _size(hurt.saved), share, _note(hurt)
        )
    return table


def _note(hurt: Hurt) -> Text:
    if hurt.failure:
        return Text(visible(hurt.failure), style="red")
    if hurt.loss.value is None:
        return Text(visible(hurt.loss.reason))
    told = ["not told apart from the one above"] if hurt.alike else []
    return Text("; ".join([*told, *(["not smaller than the original"] if not hurt.saved else [])]))


def _tried(found: Sensitivity) -> Table:
    table = Table(title="mixed variants, as measured", title_justify="left")
    table.add_column("left as they are", overflow="fold", min_width=_NAME_WIDTH)
    for column in ("size", METRICS[found.metric].title):
        table.add_column(column, justify="right")
    table.add_column("budgets on quality")
    for each in sorted((each for each in (found.whole, *found.tried) if each), key=lambda each: len(each.left)):
        style = "green" if each.keeps else "red"
        verdict = Text("kept" if each.keeps else _missed(each), style=style)
        table.add_row(Text(visible(_names(each.left))), _size(each.bytes), _loss(found.metric, each.loss), verdict)
    return table


def _missed(mixed: Mixed) -> str:
    return visible("; ".join(f"{each.budget}: {each.kind}" for each in mixed.verdicts if each.kind != "pass"))


def _names(parts: Sequence[Part]) -> str:
    return _named([part.name for part in parts]) or "none"


def _named(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def _loss(metric: str, estimate: Estimate) -> str:
    if estimate.value is None:
        return "unknown"
    unit = METRICS[metric].unit
    return f"{estimated(estimate, unit)}{interval(estimate, unit)}".replace("\n", " ")


def _size(count: int) -> str:
    return quantity_text(count, Unit.BYTES)
