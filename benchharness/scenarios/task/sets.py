"""What a task is: documents as a file that a device reads, and the scores of what it answered.

A kind of task is a `TaskSet`: lm-eval's (`lm_eval_tasks`), or a dataset with a card (`datasets`).
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from benchharness.device.scenarios.task.asked import Request, written
from benchharness.locations import task_cache

#: What a measure wants of its values.
HIGHER, LOWER = "higher", "lower"


class TaskFailed(Exception):
    """A task's own code failed on answers, or the answers cannot be those to its requests. `evidence`: where."""

    def __init__(self, reason: str, evidence: str = "") -> None:
        super().__init__(reason)
        self.evidence = evidence


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a device answered to one request."""

    log_likelihood: float = 0.0
    greedy: bool = False
    text: str = ""


@dataclass(frozen=True, kw_only=True)
class Document:
    """A document, as it is shown: `key` tells it from all others of its task."""

    key: str
    text: str = ""
    target: str = ""
    answer: str = ""


@dataclass(frozen=True, kw_only=True)
class Measure:
    """A measure of a task over its documents, in their order.

    Its value is the sum of `totals` over that of `weights`, or e to it (`exp`). A measure of the whole that is no such
    quotient has its `value` instead, and `replicates`: the same of documents drawn again (`drawing`).
    """

    name: str
    better: str  # HIGHER, LOWER; "" where the task does not say
    totals: Sequence[float] = ()
    weights: Sequence[float] = ()
    exp: bool = False
    value: float | None = None
    replicates: Sequence[float] = ()


@dataclass(frozen=True, kw_only=True)
class Scores:
    """What became of a task's documents, and what is to be known of how: a normaliser, a filter."""

    documents: Sequence[Document]
    measures: Sequence[Measure]
    told: Mapping[str, Any] = field(default_factory=dict)


class TaskSet(Protocol):
    """A task that has been read."""

    @property
    def name(self) -> str:
        """As results call it."""
        ...

    @property
    def language(self) -> bool:
        """Whether it asks language models; else it feeds tensors."""
        ...

    @property
    def used(self) -> int:
        """How many documents are asked."""
        ...

    @property
    def total(self) -> int:
        """How many there are."""
        ...

    @property
    def kind(self) -> str:
        """Of its file, as data of a workload."""
        ...

    @property
    def path(self) -> Path:
        """Its file, which the device reads."""
        ...

    @property
    def sha256(self) -> str:
        """Of that file."""
        ...

    @property
    def settings(self) -> Mapping[str, Any]:
        """What its jobs say of it beside how they are asked: `documents`, a digest of all that scores depend on."""
        ...

    def scores(self, effective: Mapping[str, Any], rows: Sequence[float]) -> Scores:
        """Of what a device told and its rows. Raises `TaskFailed`."""
        ...


#: The tasks that this process has read.
_KNOWN: dict[tuple[str, str], TaskSet] = {}


def remember(tasks: Iterable[TaskSet]) -> None:
    """Tasks whose answers this process will have to score."""
    _KNOWN.update({_identity(each.name, each.settings): each for each in tasks})


def known(name: str, settings: Mapping[str, Any]) -> TaskSet:
    """The task of a job. Raises `TaskFailed` where its documents are no longer those that were asked."""
    task = _KNOWN.get(_identity(name, settings))
    if task is None:
        raise TaskFailed("the task's documents or its files have changed since this run began; start a new run")
    return task


def _identity(name: str, settings: Mapping[str, Any]) -> tuple[str, str]:
    return name, str(settings.get("documents"))


def kept(requests: Sequence[Request]) -> tuple[Path, str]:
    """Writes requests where a run that is resumed finds them again; the file and its digest."""
    content = written(requests)
    digest = hashlib.sha256(content).hexdigest()
    folder = task_cache()
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{digest[:32]}.json"
    if not path.is_file() or path.stat().st_size != len(content):
        beside = path.with_suffix(".part")
        beside.write_bytes(content)
        beside.replace(path)
    else:
        os.utime(path)  # whoever bounds the folder begins with what was asked longest ago
    return path, digest
