"""Examples and continuations that a device reported beside its numbers.

They are untrusted: shown where they have the expected form, and left out where they have not.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from reports.model.entries import Entry
from reports.model.visible import name_text, value_text, visible

#: Names of the fields of examples and continuations; others come after them, under their own names.
_FIELDS = {
    "chunk": "chunk",
    "position": "position",
    "sample": "input",
    "prompt": "prompt",
    "context": "text before",
    "target": "the text goes on with",
    "label": "label",
    "reference_top": "reference's top token",
    "variant_top": "variant's top token",
    "reference": "reference",
    "variant": "variant",
    "same": "tokens in common",
    "shared": "characters in common",
    "kld": "KLD (nats)",
    "pooled": "classes pooled in it",
    "total_variation": "total variation",
}
_MOST_EXAMPLES, _MOST_FIELDS, _LONGEST_TEXT = 20, 10, 200


@dataclass(frozen=True, kw_only=True)
class Shown:
    """Texts of one row, such as its worst examples, as a small table."""

    who: str
    columns: tuple[str, ...]
    lines: tuple[tuple[str, ...], ...]


def texts_of(entries: Sequence[Entry], name: str) -> Iterator[Shown]:
    """The texts of this name, a table a job."""
    for entry in entries:
        told = getattr(entry.result.effective, name)
        lines = [line for line in told if isinstance(line, Mapping)] if isinstance(told, list | tuple) else []
        lines = lines[:_MOST_EXAMPLES]
        keys = list(dict.fromkeys(key for line in lines for key in line))
        known = [key for key in _FIELDS if key in keys]
        shown = [*known, *(key for key in keys if key not in _FIELDS)][:_MOST_FIELDS]
        if shown:
            yield Shown(
                who=entry.who,
                columns=tuple(_FIELDS.get(key) or name_text(key) for key in shown),
                lines=tuple(tuple(_text(line.get(key)) for key in shown) for line in lines),
            )


def _text(value: Any) -> str:
    """A text as it is, its line ends visible; a number in three digits."""
    if isinstance(value, float):
        return f"{value:.3g}" if math.isfinite(value) else value_text(value)
    text = visible(value, _LONGEST_TEXT) if isinstance(value, str) else visible(value_text(value), _LONGEST_TEXT)
    return text.replace("\n", "\\n").replace("\t", "\\t")
