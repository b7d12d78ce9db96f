"""Students beside their teacher: the loss by alpha, and which rows speak another vocabulary than their reference."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from reports.model.entries import Entry
from reports.model.estimates import quantity
from reports.model.tables import Cell, notes_of
from reports.model.visible import value_text

_MOST_ALPHAS = 21


@dataclass(frozen=True, kw_only=True)
class LossRow:
    """One variant's loss at each alpha."""

    who: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True, kw_only=True)
class LossTable:
    """The loss that a student is trained with, of every row that shares its reference's vocabulary."""

    alphas: tuple[str, ...]
    rows: tuple[LossRow, ...]
    temperature: str  # "" where it is 1

    @property
    def notes(self) -> tuple[str, ...]:
        """What stands beneath it."""
        return notes_of(cell for row in self.rows for cell in row.cells)


def loss_table(entries: Sequence[Entry]) -> LossTable | None:
    """Of entries that have the loss; None where none does."""
    found, temperatures = [], set()
    for entry in entries:
        told = (each for each in entry.result.metrics if each.name == "distillation_loss")
        losses = [each for each in told if "alpha" in each.parameters]
        if any(each.estimate.value is not None for each in losses):
            found.append((entry, {f"{each.parameters['alpha']:g}": each for each in losses[:_MOST_ALPHAS]}))
            temperatures |= {each.parameters.get("temperature", 1.0) for each in losses}
    if not found:
        return None
    alphas = tuple(dict.fromkeys(alpha for _, losses in found for alpha in losses))
    rows = tuple(
        LossRow(
            who=entry.who,
            cells=tuple(
                Cell(state="value", quantity=quantity(losses[alpha].estimate, losses[alpha].unit))
                if alpha in losses
                else Cell(state="absent", note="not asked for")
                for alpha in alphas
            ),
        )
        for entry, losses in found
    )
    temperature = ", ".join(value_text(each) for each in sorted(temperatures, key=str))
    return LossTable(alphas=alphas, rows=rows, temperature="" if temperatures == {1.0} else temperature)


def speaks_another(entry: Entry) -> bool:
    """Whether a row reads texts in other tokens than its reference."""
    return bool(entry.result.effective.of_scenario("vocabularies").get("differ"))


def read_on(entry: Entry) -> str:
    """On how much of the data a row's bits per byte are: `32 of 86 windows, 12034 of 98085 bytes scored`."""
    found = next((each for each in entry.result.metrics if each.name == "scored_texts"), None)
    return value_text(found.parameters.get("used", "")) if found else ""


def vocabularies(students: Sequence[Entry], of_tokens: Sequence[str]) -> Iterator[str]:
    """How texts are compared, which rows read them in other tokens, and what none of those has."""
    yield (
        "Each model reads the text through its own tokenizer, and is scored on stretches between places where a token "
        "of both it and the reference ends: bits of the same bytes after the same text."
    )
    apart: dict[str, list[str]] = {}
    for entry in students:
        why = value_text(entry.result.effective.of_scenario("vocabularies").get("differ", ""))
        apart.setdefault(why, []).append(entry.who)
    for why, rows in apart.items():
        yield f"In other tokens than the reference's: {', '.join(rows)} ({why})."
    yield f"Of those not comparable with the reference, and so unknown: {', '.join(of_tokens)}."
