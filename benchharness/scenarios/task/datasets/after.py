"""A function of the suite's own Python file, which makes an answer of what a model gives: boxes, a text, a vector.

It is trusted code, named in a dataset's card, and runs on the host as part of this program.
"""

from __future__ import annotations

import importlib.util
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchharness.errors import SuiteError
from benchharness.scenarios.task.sets import TaskFailed


def file_of(folder: Path, name: str) -> Path:
    """The file of a function that a card names, in the card's folder. Raises `SuiteError`."""
    file, _, attribute = name.partition(":")
    path = folder / file
    inside = path.resolve().is_relative_to(folder.resolve())
    if not attribute or not inside or not path.is_file() or path.suffix != ".py":
        raise SuiteError(
            f'{folder}: after = "{name}": write a Python file in this folder and a function, "post.py:boxes"'
        )
    return path


@dataclass(frozen=True)
class After:
    """`function(given, document)`; `given` is a text, or arrays by name."""

    name: str  # "after.py:boxes"
    function: Callable[[Any, Mapping[str, Any]], Any]

    @classmethod
    def of(cls, folder: Path, name: str) -> After:
        """The function that a card names. Raises `SuiteError` where there is none, or its file fails."""
        path, attribute = file_of(folder, name), name.partition(":")[2]
        spec = importlib.util.spec_from_file_location(f"_benchharness_after_{path.stem}", path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        try:
            spec.loader.exec_module(module)
        except Exception as error:
            raise SuiteError(f"{path}: fails when it is imported: {type(error).__name__}: {error}") from error
        function = getattr(module, attribute, None)
        if not callable(function):
            raise SuiteError(f"{path}: has no function {attribute!r}")
        return cls(name, function)

    def of_each(self, given: Sequence[Any], documents: Sequence[Mapping[str, Any]]) -> list[Any]:
        """Its answer for each document. Raises `TaskFailed` where it fails on one."""
        found = []
        for number, (each, document) in enumerate(zip(given, documents, strict=True)):
            try:
                found.append(self.function(each, document))
            except Exception as error:
                words = f"{self.name} failed on document {number}: {type(error).__name__}: {error}"
                raise TaskFailed(words, traceback.format_exc()) from error
        return found
