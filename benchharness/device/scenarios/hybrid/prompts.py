"""The file of what is asked: JSON lines, each `{"prompt": TEXT, "expected": TEXT}`.

`expected` may be left out. The file is not trusted and is read within bounds. Its texts go into no message.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchharness.errors import Unsupported

_MOST_BYTES = 16 << 20
_MOST_PROMPTS = 10_000


@dataclass(frozen=True)
class Prompt:
    """What is asked, and a text that a right answer has in it; None where nobody says what is right."""

    text: str
    expected: str | None = None

    def right(self, answer: str) -> int:
        """1 where an answer is right, 0 where not, -1 where nobody says; case and spaces are no matter."""
        return -1 if self.expected is None else int(_plain(self.expected) in _plain(answer))


def read_prompts(file: Path) -> Sequence[Prompt]:
    """The prompts. Raises `Unsupported` that names the line and quotes nothing."""
    if file.stat().st_size > _MOST_BYTES:
        raise Unsupported(f"the file of prompts is larger than {_MOST_BYTES} bytes")
    try:
        lines = file.read_text(encoding="utf-8").split("\n")
    except UnicodeDecodeError:
        raise Unsupported("the file of prompts is no text in UTF-8") from None
    found = [_prompt(line, number) for number, line in enumerate(lines, start=1) if line.strip()]
    if not found or len(found) > _MOST_PROMPTS:
        raise Unsupported(f"the file of prompts has {len(found)} of them; 1 to {_MOST_PROMPTS} are read")
    return found


def _prompt(line: str, number: int) -> Prompt:
    try:
        told = json.loads(line)
    except (ValueError, RecursionError):
        told = None
    if (
        not isinstance(told, dict)
        or set(told) - {"prompt", "expected"}
        or not isinstance(told.get("prompt"), str)
        or not told["prompt"].strip()
        or not isinstance(told.get("expected", ""), str)
        or not (told.get("expected") is None or _plain(told["expected"]))
    ):
        raise Unsupported(f'line {number} of the prompts is not such as {{"prompt": "…", "expected": "…"}}')
    text, expected = told["prompt"], told.get("expected")
    return Prompt(_whole(text), None if expected is None else _whole(expected))


def _whole(text: str) -> str:
    return text.encode("utf-8", "replace").decode()


def _plain(text: str) -> str:
    return " ".join(text.casefold().split())
