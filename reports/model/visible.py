"""Untrusted text and values as a reader may see them: nothing hidden, nothing that acts.

Names, evidence and conditions come from devices and imported files. What a terminal, an XML parser or a bidirectional
layout would act on is shown as an escape instead. Escaping for HTML is not done here but by the template engine.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from benchharness.units import percent_text, quantity_text

#: Of the last lines of a worker's standard error, this many characters are shown.
LONGEST_EVIDENCE = 20_000
#: A name or value longer than this is cut, and says so.
LONGEST_VALUE = 400
LONGEST_NAME = 120
#: Of a list, this many items are shown.
_MOST_ITEMS = 12
#: How a key without a name is written; ONNX calls its default operator set so.
_NAMELESS = '""'
#: What the ending of a name tells about its number: what makes it a base unit, or the sign behind it.
_UNIT_ENDINGS = {"_bytes": (1.0, "bytes"), "_ns": (1.0, "ns"), "_us": (1e3, "ns")}
_SIGN_ENDINGS = {"_percent": "%", "_pressure": "%", "_celsius": "°C"}
#: Control characters but tab and line feed; surrogates and non-characters, which UTF-8 or XML cannot hold;
#: characters without width and those that turn the direction of text, which make a name look like another.
_HIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufffe\uffff\ud800-\udfff]"
)


def visible(text: str, longest: int = LONGEST_VALUE) -> str:
    """The same text on one or more lines, hidden characters replaced by escapes, cut in the middle where too long."""
    if len(text) > longest:
        kept = longest // 2
        text = f"{text[:kept]} … ({len(text) - 2 * kept} characters left out) … {text[-kept:]}"
    return _HIDDEN.sub(_sign, text)


def name_text(text: object) -> str:
    """A name on one line."""
    return visible(str(text), LONGEST_NAME).replace("\n", "\\n").replace("\t", "\\t")


def words_of(name: object) -> str:
    """A name of ours, which is one word for programs, as people write it: `first_request` is first request."""
    return name_text(name).replace("_", " ")


def evidence_text(text: str) -> str:
    """The end of a worker's standard error: the last part is kept, since an error's cause stands at its end."""
    text = text.replace("\r\n", "\n").strip("\n")
    left_out = len(text) - LONGEST_EVIDENCE
    if left_out > 0:
        text = f"({left_out} characters left out) …\n{text[-LONGEST_EVIDENCE:]}"
    return _HIDDEN.sub(_sign, text)


def value_text(value: Any, name: str = "") -> str:
    """Any JSON value in words. `{"unknown": reason}` reads as unknown; `name` tells sizes and times by its ending."""
    return visible(_words(value, name))


def fact_texts(facts: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Names and values of a mapping, ready to show."""
    return [(visible(str(name)), value_text(value, str(name))) for name, value in facts.items()]


def _words(value: Any, name: str) -> str:
    if value is None:
        return "not set"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return _number(value, name)
    if isinstance(value, Mapping | Sequence) and not isinstance(value, str | bytes):
        return _several(value)
    return str(value)


def _several(values: Mapping[str, Any] | Sequence[Any]) -> str:
    if not isinstance(values, Mapping):
        return _listed([_words(item, "") for item in values])
    if set(values) == {"unknown"}:
        return f"unknown ({values['unknown']})"
    return _listed([f"{key or _NAMELESS}: {_words(item, str(key))}" for key, item in values.items()])


def _number(value: float, name: str) -> str:
    for ending, (factor, unit) in _UNIT_ENDINGS.items():
        if name.endswith(ending) or f"_{name}" == ending:
            return quantity_text(value * factor, unit)
    for ending, sign in _SIGN_ENDINGS.items():
        if name.endswith(ending):
            return f"{value:g} {sign}"
    if name.endswith(("_resident", "_share")):
        return percent_text(value)
    return str(value) if isinstance(value, int) else f"{value:g}"


def _listed(items: Sequence[str]) -> str:
    if not items:
        return "none"
    more = f", … ({len(items)} in all)" if len(items) > _MOST_ITEMS else ""
    return ", ".join(items[:_MOST_ITEMS]) + more


def _sign(match: re.Match[str]) -> str:
    """As in a Python literal: every font has these characters, and few have Unicode's pictures of controls."""
    code = ord(match[0])
    return f"\\u{code:04x}" if code > 0xFF else f"\\x{code:02x}"
