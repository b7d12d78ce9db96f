"""Tasks of lm-eval: their documents as requests, and its own scores of a device's answers.

lm-eval itself runs here and never on a device: it makes requests, and later meets a model that has the answers already.
A task's files are code, and are read only where the suite says that they are trusted.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import math
import os
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchharness.device.scenarios.quality.sampling import evenly
from benchharness.device.scenarios.task.asked import Request
from benchharness.errors import SuiteError, Unsupported
from benchharness.scenarios.task.answers import answers_of
from benchharness.scenarios.task.drawing import redrawn
from benchharness.scenarios.task.sets import HIGHER, LOWER, Answer, Document, Measure, Scores, TaskFailed, kept
from benchharness.suite.data_files import REQUESTS

if TYPE_CHECKING:
    from benchharness.scenarios.task import Task

#: The seed of the examples that stand before a document, lm-eval's own.
_FEWSHOT_SEED = 1234
#: lm-eval's figure of all documents, and ours of each: sums in another order.
_ROUNDING = 1e-9
_INSTALL = "lm-eval is not installed; install benchharness[tasks], or lm_eval 0.4.13 or later"


@dataclass(frozen=True)
class LmEvalTask:
    """A task of lm-eval that has been read, and what it asks."""

    name: str
    task: Any
    samples: Sequence[int] | None  # which documents; None: all
    requests: Sequence[Request]
    path: Path
    sha256: str
    used: int
    total: int
    most_tokens: int
    documents: str  # a digest of all that the scores depend on
    language: bool = True
    kind: str = REQUESTS
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def settings(self) -> Mapping[str, Any]:
        """What a job says of it: with other documents, or scored otherwise, it is another task."""
        return {"documents": self.documents}

    def scores(self, effective: Mapping[str, Any], rows: Sequence[float]) -> Scores:
        """lm-eval's own scores of the answers. Raises `TaskFailed`."""
        answers = answers_of(self.requests, effective, rows)
        try:
            with _quiet():
                return self._scored(dict(zip(self.requests, answers, strict=True)))
        except TaskFailed:
            raise
        except Exception as error:
            words = f"the task {self.name!r} failed on the answers: {type(error).__name__}: {error}"
            raise TaskFailed(words, traceback.format_exc()) from error

    def _scored(self, answers: Mapping[Request, Answer]) -> Scores:
        from lm_eval.evaluator import evaluate

        from benchharness.scenarios.task.lm_eval_model import SessionLM

        self.task.set_fewshot_seed(seed=_FEWSHOT_SEED)
        samples = None if self.samples is None else {self.name: list(self.samples)}
        found = evaluate(
            lm=SessionLM(lambda asked: [answers[each] for each in asked], self.most_tokens),
            task_dict={"tasks": {self.name: self.task}, "groups": {}, "group_map": {}},
            samples=samples,
            bootstrap_iters=0,
            log_samples=True,
        )
        results, told = found["results"][self.name], found["samples"][self.name]
        filters = list(dict.fromkeys(each["filter"] for each in told))
        first = [each for each in told if each["filter"] == filters[0]]
        documents = [_document(each) for each in first]
        measures = [
            measure
            for which in filters
            for measure in self._measures([each for each in told if each["filter"] == which], which, results)
        ]
        return Scores(documents=documents, measures=measures, told={**self.facts, "filters": filters})

    def _measures(self, told: Sequence[Mapping[str, Any]], which: str, results: Mapping[str, Any]) -> Iterator[Measure]:
        """Each measure of one filter, as sums over documents where lm-eval's own figure is such a quotient."""
        for name in dict.fromkeys(name for each in told for name in each["metrics"]):
            if f"{name},{which}" not in results:
                continue
            whole = _number(results[f"{name},{which}"], name)
            items = [each[name] for each in told]
            better = {True: HIGHER, False: LOWER}.get(self.task.higher_is_better().get(name), "")
            shown = name if which == "none" else f"{name} ({which})"
            aggregate = self.task.aggregation()[name]
            yield _as_sums(shown, better, items, whole) or _as_whole(shown, better, items, whole, aggregate)


def lm_eval_tasks(settings: Task) -> list[LmEvalTask]:
    """The tasks of a suite. Raises `SuiteError` for one that is not there, holds nothing, or fails."""
    try:
        from lm_eval.tasks import TaskManager
    except ImportError as error:
        raise SuiteError(f"scenarios.task.tasks: {_INSTALL} ({error})") from error
    folder = settings.task_folder
    if folder is not None and not folder.is_dir():
        raise SuiteError(f"scenarios.task.task_folder: {folder} is no folder; name the one that holds the task files")
    found: list[LmEvalTask] = []
    with _quiet(), _within(folder):
        manager = _read(
            lambda: TaskManager(include_path=None if folder is None else str(folder), include_defaults=folder is None),
            str(folder),
        )
        for name in settings.tasks:
            if name not in manager.all_tasks:
                there = ", ".join(manager.all_tasks[:20]) or "none"
                raise SuiteError(
                    f"scenarios.task.tasks: no task is called {name!r} in {folder or 'lm-eval'} (there are: {there})"
                )
            loaded = _read(partial(manager.load, name), name)["tasks"]
            found += [_read(partial(_made, key, task, settings), key) for key, task in loaded.items()]
    return found


def _made(name: str, task: Any, settings: Task) -> LmEvalTask:
    """A task with its requests."""
    if getattr(task, "UNSAFE_CODE", False):
        raise ValueError("it executes what a model writes, which is not done here")
    if settings.fewshot is not None and task.get_config("num_fewshot") != 0:
        task.set_config(key="num_fewshot", value=settings.fewshot)
    elif task.get_config("num_fewshot") is None:
        task.set_config(key="num_fewshot", value=0)
    task.set_fewshot_seed(seed=_FEWSHOT_SEED)
    total = len(task.eval_docs)
    if not total:
        raise ValueError("it has no documents")
    samples = None if total <= settings.most_documents else evenly(total, settings.most_documents)
    task.build_all_requests(samples=samples, rank=0, world_size=1)
    if any(instance.repeats != 1 for instance in task.instances):
        raise ValueError("it asks for several answers to one document: answers are greedy here, and all alike")
    from benchharness.scenarios.task.lm_eval_model import request_of

    asked = [request_of(each.request_type, each.args, settings.most_tokens) for each in task.instances]
    requests = list(dict.fromkeys(asked))  # an answer is the same to the same question
    path, digest = kept(requests)
    return LmEvalTask(
        name=name,
        task=task,
        samples=samples,
        requests=requests,
        path=path,
        sha256=digest,
        used=total if samples is None else len(samples),
        total=total,
        most_tokens=settings.most_tokens,
        documents=_digest(task, samples, requests),
        facts={"by": "lm-eval", "fewshot": task.get_config("num_fewshot"), "version": str(task.VERSION)},
    )


def _digest(task: Any, samples: Sequence[int] | None, requests: Sequence[Request]) -> str:
    """Of the documents, what is asked of them, and how they are scored."""
    documents = list(task.eval_docs)
    used = documents if samples is None else [documents[place] for place in samples]
    measures = {name: [better, *_kind(task, name)] for name, better in task.higher_is_better().items()}
    told = json.dumps([used, requests, measures, str(task.VERSION)], default=str, sort_keys=True)
    return hashlib.sha256(told.encode("utf-8", "backslashreplace")).hexdigest()[:32]


def _kind(task: Any, name: str) -> Sequence[str]:
    aggregate = task.aggregation().get(name)
    return [str(getattr(aggregate, "__name__", ""))]


def _document(told: Mapping[str, Any]) -> Document:
    """A document as lm-eval logs it. What tells it from others is its place and all that it says."""
    arguments = told["arguments"]
    answers = told["filtered_resps"]
    if all(isinstance(each, tuple | list) and len(each) == 2 for each in answers):
        best = max(range(len(answers)), key=lambda place: answers[place][0])
        answer = str(arguments[best][-1]) if len(answers) > 1 else f"{answers[0][0]:.4g} nats"
    else:
        answer = ", ".join(f"{each:.4g} nats" if isinstance(each, float) else str(each) for each in answers)
    target = told["target"]
    if isinstance(target, int) and len(arguments) > target >= 0:
        target = arguments[target][-1]
    return Document(
        key=json.dumps([told["doc_id"], told["doc_hash"]]), text=str(arguments[0][0]), target=str(target), answer=answer
    )


def _as_sums(name: str, better: str, items: Sequence[Any], whole: float) -> Measure | None:
    """The measure as a quotient of sums that gives lm-eval's own figure; None where none does."""
    for totals, weights, exp in _ways(items):
        divisor = sum(weights)
        if not divisor or not all(math.isfinite(each) for each in (*totals, *weights)):
            continue
        value = sum(totals) / divisor
        value = math.exp(min(value, 700.0)) if exp else value
        if math.isclose(value, whole, rel_tol=_ROUNDING, abs_tol=_ROUNDING):
            return Measure(name=name, better=better, totals=totals, weights=weights, exp=exp)
    return None


def _ways(items: Sequence[Any]) -> Iterator[tuple[list[float], list[float], bool]]:
    """Sums and divisors that lm-eval's aggregations come to: a mean, bits per byte, a perplexity."""
    try:
        pairs = [tuple(map(float, each)) if isinstance(each, tuple | list) else (float(each), 1.0) for each in items]
    except (TypeError, ValueError):
        return
    if any(len(pair) != 2 for pair in pairs):
        return
    weights = [weight for _, weight in pairs]
    yield [total for total, _ in pairs], weights, False
    yield [-total / math.log(2) for total, _ in pairs], weights, False
    yield [-total for total, _ in pairs], weights, True


def _as_whole(name: str, better: str, items: Sequence[Any], whole: float, aggregate: Callable[[Any], Any]) -> Measure:
    """The measure of the whole, and the same of documents drawn again."""

    def of(places: Sequence[int]) -> float:
        return _number(aggregate([items[place] for place in places]), name)

    return Measure(name=name, better=better, value=whole, replicates=redrawn(of, len(items)))


def _number(value: Any, name: str) -> float:
    number = float(value)
    if not math.isfinite(number):
        raise TaskFailed(f"the measure {name} is {number}, which is no figure")
    return number


def _read(read: Callable[[], Any], name: str) -> Any:
    """What reading a task gives; whatever its code does wrong is told with its name."""
    try:
        return read()
    except SuiteError:
        raise
    except Unsupported as error:
        raise SuiteError(f"scenarios.task: {name}: {error}") from error
    except Exception as error:
        words = " ".join(f"{type(error).__name__}: {error}".split())[:600]
        raise SuiteError(f"scenarios.task: the task {name!r} cannot be read: {words}") from error


@contextmanager
def _within(folder: Path | None) -> Iterator[None]:
    """Files that a task names are relative to the folder of tasks."""
    if folder is None:
        yield
        return
    with contextlib.chdir(folder):
        yield


@contextmanager
def _quiet() -> Iterator[None]:
    """Without lm-eval's own progress and notes: the terminal is somebody else's."""
    loggers = [logging.getLogger(name) for name in ("lm_eval", "datasets")]
    before = [each.level for each in loggers]
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stderr(nowhere), contextlib.redirect_stdout(nowhere):  # noqa: PTH123 - no path of ours
        for each in loggers:
            each.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for each, level in zip(loggers, before, strict=True):
                each.setLevel(level)
