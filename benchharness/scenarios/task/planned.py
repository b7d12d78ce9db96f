"""Which model is asked which task: the jobs of one model."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchharness.contract import CAUSAL_LM
from benchharness.errors import SuiteError
from benchharness.results.requested import Configuration, Workload
from benchharness.results.result import Job
from benchharness.scenarios.task.sets import TaskSet

if TYPE_CHECKING:
    from benchharness.scenarios.task import Task
    from benchharness.suite.planning import Planning
    from benchharness.suite.tables import Model

#: Files beside a model that say which of its tokens begin and end a text, the first that does.
_CONFIGURATIONS = ("generation_config.json", "config.json", "genai_config.json")
_MOST_BYTES = 4 << 20


def check(settings: Task, models: Mapping[str, Model]) -> None:
    """Raises `SuiteError` for a model that is not there."""
    for name in settings.models:
        if name not in models:
            nearest = difflib.get_close_matches(name, models, n=1)
            hint = f"did you mean {nearest[0]!r}?" if nearest else f"there are: {', '.join(models)}"
            raise SuiteError(f"scenarios.task.models: no model is called {name!r}; {hint}")


def planned(planning: Planning, settings: Task) -> Iterator[Job]:
    """Every task for every variant, against the model's first reference in any runtime; threads change no answer."""
    model = planning.model
    if settings.models and planning.name not in settings.models:
        return
    tasks: Sequence[TaskSet] = planning.materials.of_scenarios["task"]
    reference = (model.reference or tuple(model.variants))[0]
    for task in tasks:
        if model.task is not None and (model.task == CAUSAL_LM) != task.language:
            continue
        workload = _workload(task)
        seen: set[str] = set()
        for variant, configuration in planning.pairs:
            if (what := _apart_from_threads(variant, configuration)) not in seen:
                seen.add(what)
                speaks = _speaks(planning, variant, reference)
                asked = {**task.settings, **(_settings(settings, planning, *speaks) if task.language else {})}
                yield planning.job(variant, reference, configuration, workload, "task", asked, adds={})


def _apart_from_threads(variant: str, configuration: Configuration) -> str:
    return json.dumps([variant, configuration.apart_from_threads], sort_keys=True)


def _workload(task: TaskSet) -> Workload:
    said = {
        "name": task.name,
        "asks": "language" if task.language else "tensor",
        "prompt": {"length": 1, "seed": 0},
        "output_tokens": 1,
        "context_depth": 0,
        "continuation": "greedy",
        "dimensions": {},
        "values": {},
        "seed": 0,
        "data": {"path": str(task.path), "kind": task.kind, "sha256": task.sha256, "used": [task.used, task.total]},
    }
    return Workload.from_json(said)


def _speaks(planning: Planning, variant: str, reference: str) -> tuple[str, bool]:
    """Whose files say which tokens begin and end a text, and whether the suite's ids are of that vocabulary.

    Where only the cut of a text differs, an id means the same in both.
    """
    spoken = planning.materials.vocabularies
    ours, theirs = (spoken.get(planning.model.variants[name].artefact) for name in (variant, reference))
    other = ours is not None and (theirs is None or ours.words != theirs.words)
    return (variant, False) if other else (reference, True)


def _settings(settings: Task, planning: Planning, variant: str, named: bool) -> dict[str, Any]:
    """As they travel to the device: how it is asked. Which tokens begin and end a text the model's files say.

    The ids that a suite names are of the reference's vocabulary, and say nothing in another.
    """
    tokenizer = planning.materials.tokenizers.get(planning.model.variants[variant].artefact)
    begins, ends = _said(tokenizer.parent) if tokenizer else (None, ())
    prefix, closing = (settings.prefix_token, settings.end_tokens) if named else (None, None)
    return {
        "evaluation": settings.evaluation,
        "prefix_token": begins if prefix is None else prefix,
        "end_tokens": list(ends if closing is None else closing),
    }


def _said(folder: Path) -> tuple[int | None, tuple[int, ...]]:
    """The token before a text and those that end one, by the first file that names an end; it is not trusted."""
    for name in _CONFIGURATIONS:
        said = _read(folder / name)
        told = [said, said.get("model")]
        found = next((each for each in told if isinstance(each, dict) and "eos_token_id" in each), None)
        if found is not None:
            ends = _tokens(found["eos_token_id"])
            begins = _tokens(found.get("bos_token_id"))
            return next(iter((*begins, *ends)), None), ends
    return None, ()


def _read(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > _MOST_BYTES:
            return {}
        said = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}


def _tokens(said: Any) -> tuple[int, ...]:
    listed = said if isinstance(said, list) else [said]
    return tuple(each for each in listed if type(each) is int and each >= 0)
