"""The terminal, or whatever stands in for it."""

from __future__ import annotations

from rich.console import Console
from rich.text import Text

from benchharness.units import together

#: What a terminal that knows few characters gets instead. Alone a replacement's `?` would read as "undecided".
_PLAIN = str.maketrans(
    {
        "✓": "ok",
        "✗": "MISS",
        "±": "+-",
        "×": "x",
        "≤": "<=",
        "≥": ">=",
        "≈": "~",
        "…": "..",
        "·": "-",
        "−": "-",
        "–": "-",
        "µ": "u",
        "Δ": "d",
        "\u00a0": " ",
    }
)


class _Console(Console):
    """A console that says when its reader has left, instead of ending the process with a budget's exit code."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


def console(*, stderr: bool = False) -> Console:
    """Where standard output or standard error goes."""
    return _Console(stderr=stderr, emoji=False)  # a fingerprint or a name may hold what looks like one, `:abc:`


def spelled(text: str, console: Console) -> str:
    """The text, its signs spelled with plain letters where the terminal's encoding lacks them."""
    try:
        text.encode(console.encoding)
    except (UnicodeEncodeError, LookupError):
        return text.translate(_PLAIN)
    return text


def say(console: Console, line: str, style: str = "") -> None:
    """Prints a line that is no markup, whole: what is copied, a path or a command, must not be wrapped."""
    shown = spelled(line, console)
    console.print(shown, style=style or None, markup=False, highlight=False, soft_wrap=True)


#: Stands for a blank at which no line may end, while lines are made: of no use elsewhere, and as wide.
_GLUE = "\ue000"


def tell(console: Console, text: str, style: str = "", indent: int = 0) -> None:
    """Prints a sentence, wrapped between words."""
    width = max(console.width - indent, 1)
    for line in Text(together(spelled(text, console), _GLUE)).wrap(console, width):
        told = line.plain.rstrip().replace(_GLUE, " ")
        console.print(Text(" " * indent) + Text(told, style=style), soft_wrap=True, highlight=False)
