"""The tasks that a suite names, read before anything is planned."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchharness.errors import SuiteError
from benchharness.scenarios.task.datasets import datasets_of
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
