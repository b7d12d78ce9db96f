"""Datasets of a suite's own: a folder with a card, documents, and for models of tensors their inputs.

`card` reads and checks them, `after` is the suite's own Python that makes answers of what a model gives, and each
measure is a function in `MEASURES`: documents and answers in, scores by document out.
"""

from __future__ import annotations

import hashlib
import json
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchharness.device.scenarios.quality.sampling import evenly
from benchharness.device.scenarios.task.asked import GENERATE, Request
from benchharness.errors import SuiteError
from benchharness.scenarios.task.answers import answers_of, arrays_of
from benchharness.scenarios.task.datasets.after import After
from benchharness.scenarios.task.datasets.card import LANGUAGE, MEASURES, Card, read_card, read_documents, samples_of
from benchharness.scenarios.task.sets import Document, Scores, TaskFailed, kept
from benchharness.suite.data_files import REQUESTS

if TYPE_CHECKING:
    from benchharness.scenarios.task import Task

#: A measure: the card, the documents, the answers to them -> their scores.
Score = Callable[[Card, Sequence[Mapping[str, Any]], Sequence[Any]], Scores]


@dataclass(frozen=True)
class Dataset:
    """A dataset that has been read."""

    card: Card
    documents: Sequence[Mapping[str, Any]]
    samples: Sequence[int] | None  # which rows of the inputs; None: all
    requests: Sequence[Request]
    after: After | None
    path: Path
    sha256: str
    total: int

    @property
    def name(self) -> str:
        """As its card says."""
        return self.card.name

    @property
    def language(self) -> bool:
        """Whether its measure is of what a language model writes."""
        return self.card.measure in LANGUAGE

    @property
    def kind(self) -> str:
        """Requests of text, or arrays."""
        return REQUESTS if self.language else "npz"

    @property
    def used(self) -> int:
        """How many documents are asked."""
        return len(self.documents)

    @property
    def settings(self) -> Mapping[str, Any]:
        """What a device is told of it. The documents are part of it: other labels are another task."""
        told = {"documents": self.card.digest}
        if self.language:
            return told
        return {
            **told,
            "rows": None if self.samples is None else list(self.samples),
            "outputs": list(self.card.outputs),
        }

    def scores(self, effective: Mapping[str, Any], rows: Sequence[float]) -> Scores:
        """The measure of the answers. Raises `TaskFailed`."""
        given: Sequence[Any]
        if self.language:
            by_request = dict(zip(self.requests, answers_of(self.requests, effective, rows), strict=True))
            given = [by_request[_request(self.card, each)].text for each in self.documents]
        else:
            given = arrays_of(effective.get("outputs"), len(self.documents))
        answers = given if self.after is None else self.after.of_each(given, self.documents)
        module, _, function = MEASURES[self.card.measure].partition(":")
        score: Score = getattr(import_module(module), function)
        try:
            found = score(self.card, self.documents, answers)
        except TaskFailed:
            raise
        except Exception as error:
            words = f"the measure {self.card.measure!r} failed: {type(error).__name__}: {error}"
            raise TaskFailed(words, traceback.format_exc()) from error
        return Scores(documents=found.documents, measures=found.measures, told={**self.card.told, **found.told})


def datasets_of(settings: Task) -> list[Dataset]:
    """The datasets of a suite. Raises `SuiteError` for one that is not whole."""
    return [_read(folder, settings) for folder in settings.datasets]


def _read(folder: Path, settings: Task) -> Dataset:
    card = read_card(folder)
    if card.after and not settings.trust_code:
        raise SuiteError(
            f"{folder}: {card.after} is Python that runs on this machine: write trust_code = true under "
            "[scenarios.task] where you know it"
        )
    after = After.of(folder, card.after) if card.after else None
    documents = read_documents(folder, card)
    total = len(documents)
    picked = None
    if total > settings.most_documents:
        if card.measure == "retrieval":
            raise SuiteError(
                f"{folder}: {total} documents and queries, and most_documents = {settings.most_documents}: a search "
                "among fewer is another one; raise it"
            )
        picked = evenly(total, settings.most_documents)
        documents = [documents[number] for number in picked]
    if card.measure in LANGUAGE:
        requests = list(dict.fromkeys(_request(card, each) for each in documents))
        path, digest = kept(requests)
        return Dataset(card, documents, picked, requests, after, path, digest, total)
    path = samples_of(folder, card, total)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return Dataset(card, documents, picked, (), after, path, digest, total)


def _request(card: Card, document: Mapping[str, Any]) -> Request:
    prompt = document[card.column("prompt")]
    return Request(GENERATE, str(prompt), "", tuple(card.until), card.most_tokens)


def shown(card: Card, document: Mapping[str, Any], target: str, answer: str) -> Document:
    """A document as a report shows it."""
    text = document.get(card.column("prompt")) or document.get("title") or document.get(card.column("id"))
    key = json.dumps(document, sort_keys=True)  # with another label it is another document
    return Document(key=key, text=str(text), target=target, answer=answer)
