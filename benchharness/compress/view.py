"""What the terminal shows of compressing: a line a recipe, a table at the end, and the table of all recipes."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType

from rich.console import Console
from rich.markup import escape
from rich.status import Status
from rich.table import Table
from rich.text import Text

from benchharness.compress import RECIPES, Compressed
from benchharness.metrics import Unit
from benchharness.terminal.values import visible
from benchharness.units import duration_text, percent_text, quantity_text


class ProgressLines:
    """Prints a line for each recipe as it ends, and on a terminal the one that is being made."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._status: Status | None = None

    def __enter__(self) -> ProgressLines:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def tells(self, words: str) -> None:
        """Prints a remark."""
        self._print(words)

    def begins(self, recipe: str, position: int, of: int) -> None:
        """Shows what is being made."""
        self._stop()
        if self._console.is_terminal:
            self._status = self._console.status(escape(f"{recipe} ({position} of {of})"))
            self._status.start()

    def ended(self, made: Compressed) -> None:
        """Prints how it went."""
        self._stop()
        took = duration_text(made.seconds)
        if made.failure:
            self._print(f"{made.recipe}: failed after {took}: {made.failure}", "red")
            for line in made.log.splitlines():
                self._print(f"  | {line}", "dim")
            if made.log_file is not None:
                self._print(f"  the tool's log is kept in {made.log_file}")
            return
        size = f"{_size(made.source_bytes)} to {_size(made.bytes)}"
        notes = "".join(f"; {note}" for note in made.notes)
        self._print(f"{made.recipe}: {size} in {took}{notes}")

    def _stop(self) -> None:
        if self._status is not None:
            self._status.stop()
            self._status = None

    def _print(self, words: str, style: str = "") -> None:
        self._console.print(visible(words), style=style or None, markup=False, highlight=False, soft_wrap=True)


def compressed_table(made: Sequence[Compressed]) -> Table:
    """A row for each recipe: size, share of the original's, time, and how it ended."""
    table = Table(title="variants", title_justify="left")
    table.add_column("recipe", no_wrap=True)
    for column in ("size", "of the original", "took"):
        table.add_column(column, justify="right")
    table.add_column("outcome")
    table.add_column("note")
    for one in made:
        outcome = Text("failed", style="red") if one.failure else Text("made", style="green")
        sizes = ("", "") if one.failure else (_size(one.bytes), percent_text(one.bytes / max(one.source_bytes, 1)))
        note = "the reason stands above" if one.failure else visible("; ".join(one.notes))
        table.add_row(one.recipe, *sizes, duration_text(one.seconds), outcome, Text(note))
    return table


def recipe_table() -> Table:
    """Every recipe, by format."""
    table = Table("recipe", "format", "bits", "calibrated", "what it makes", title="recipes", title_justify="left")
    for recipe in RECIPES.values():
        name = Text(recipe.name)
        if recipe.default:
            name.append(f"  (--to {recipe.precision})", style="dim")
        bits = "" if recipe.bits is None else str(recipe.bits)
        table.add_row(name, recipe.format, bits, "yes" if recipe.needs_calibration else "", Text(recipe.description))
    return table


def _size(count: int) -> str:
    return quantity_text(count, Unit.BYTES)
