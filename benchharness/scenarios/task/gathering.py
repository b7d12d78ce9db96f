"""The tasks that a suite names, read before anything is planned."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from benchharness.errors import SuiteError
from benchharness.scenarios.task.datasets import datasets_of
from benchharness.scenarios.task.datasets.after import file_of
from benchharness.scenarios.task.datasets.card import read_card
from benchharness.scenarios.task.lm_eval_tasks import lm_eval_tasks
from benchharness.scenarios.task.sets import TaskSet, remember

if TYPE_CHECKING:
    from benchharness.scenarios.task import Task


def sets_of(settings: Task) -> list[TaskSet]:
    """Every task that a suite names. Raises `SuiteError` for the first that cannot be read."""
    found: list[TaskSet] = [*lm_eval_tasks(settings)] if settings.tasks else []
    found += datasets_of(settings)
    names = [each.name for each in found]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise SuiteError(f"scenarios.task: two tasks are called {twice!r}; name each once")
    remember(found)
    return found


def code_of(settings: Task) -> Iterator[Path]:
    """The files of a suite's tasks that run here: lm-eval's take templates and functions from any file beside them."""
    if settings.task_folder is not None:
        yield from (path for path in sorted(settings.task_folder.rglob("*")) if path.is_file())
    for folder in settings.datasets:
        if after := read_card(folder).after:
            yield file_of(folder, after)
