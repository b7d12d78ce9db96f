"""Whether two results did the same work, apart from what they are compared in: before any ratio. Pure.

A ratio speaks of one *factor*: the variant, the runtime or the accelerator. Whatever else the two really did (not what
they were asked for) has to be alike: what went in, threads, tokens, context, evaluation, data, precision. Else there is
no ratio, and its place says what differs.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from benchharness.contract import CACHE_NONE, EXECUTION_DEVICE
from benchharness.results.result import Attempt, Job, Result, WarningKind
from benchharness.results.told import Conditions, Effective


class Factor(StrEnum):
    """What a comparison is about, and what may differ for its sake."""

    VARIANT = "variant"
    RUNTIME = "runtime"  # at equal precision and threads
    ACCELERATOR = "accelerator"
    SCENARIO = "scenario"  # one course's steady state over that of another scenario
    BUILD = "build"  # of a product: its artefact and what runs it, asked for the same
    CONFIGURATION = "configuration"  # rows of a table: variant, runtime, accelerator and threads, as the suite says


#: Longer texts of a device are cut in a cell.
_LONGEST = 80
_MOST_INPUTS = 4
#: Counts among a metric's parameters that say how much was done.
_AMOUNTS = {
    "prompt_tokens": "prompt tokens",
    "output_tokens": "output tokens",
    "context_depth": "tokens of context",
    "chunk_tokens": "tokens in a chunk",
    "chunks": "chunks",
    "prefill_chunk": "tokens in a pass",
    "scored_from": "as the first position scored",
    "scored": "positions scored",
    "evaluation": "evaluation",
}
#: Further facts of a session that are a matter of its export and not of the numbers in it.
_SESSION_FACTS = ("cache_capacity", "cache_length", "prefill_lengths", "package", "compile_cache", "system_info")
#: A suite's word, for the names that do not read well.
_ASKED = {"against": "reference of quality"}


@dataclass(frozen=True)
class Side:
    """What one result, or one attempt, did."""

    job: Job
    effective: Effective
    conditions: Conditions
    parameters: Sequence[tuple[str, Mapping[str, Any]]]  # (metric, its parameters)

    @property
    def runtime(self) -> str:
        """Its name, as configured."""
        return self.job.configuration.runtime

    @property
    def facts(self) -> Mapping[str, Any]:
        """What an adapter told beside."""
        return self.effective.facts


def differences(this: Result, other: Result, factor: Factor) -> list[str]:
    """What keeps the two from a ratio over `factor`, in words: `2 threads against 1`. Empty where nothing does.

    The results may be of different runs.
    """
    told = [*_mixed(this, "this"), *_mixed(other, "the other")]
    one, two = _side(this), _side(other)
    for differ, factors in _RULES:
        if factor in factors:
            told += differ(one, two)
    return list(dict.fromkeys(told))


def unlike(attempts: Sequence[Attempt], job: Job) -> list[str]:
    """In what the attempts of one job differ among themselves, in words; a fact that one does not tell is none."""
    sides = _distinct(attempts, job)
    return [told for name, read in _WITHIN.items() if (told := _ways(name, [(read(side), n) for side, n in sides]))]


def _distinct(attempts: Sequence[Attempt], job: Job) -> list[tuple[Side, int]]:
    """What attempts did, and how many of them: most share the very objects, as a store reads them."""
    found: dict[Any, list[Attempt]] = {}
    for each in attempts:
        measured = tuple((one.metric, id(one.parameters)) for one in each.measurements)
        page_cache = each.conditions.page_cache
        told = (id(each.effective), each.conditions.python, page_cache and _text(page_cache))
        found.setdefault((told, measured), []).append(each)
    return [(_side_of(alike[0], job), len(alike)) for alike in found.values()]


def other_amounts(these: Mapping[str, Any], those: Mapping[str, Any]) -> str:
    """What differs between the parameters of one metric on both sides, where that is an amount of work; else ""."""
    if these.keys() != those.keys():
        return ""
    unequal = [name for name in these if these[name] != those[name]]
    if not unequal or not _AMOUNTS.keys() >= set(unequal):
        return ""
    return "; ".join(f"{_amount(name, [these[name]])} against {_plain([those[name]])}" for name in unequal)


def _side_of(attempt: Attempt, job: Job) -> Side:
    parameters = [(one.metric, one.parameters) for one in attempt.measurements]
    return Side(job, attempt.effective, attempt.conditions, parameters)


def _side(result: Result) -> Side:
    parameters = [(metric.name, metric.parameters) for metric in result.metrics]
    return Side(result.job, result.effective, result.conditions, parameters)


def _mixed(result: Result, called: str) -> Iterator[str]:
    for warning in result.warnings:
        if warning.kind is WarningKind.UNEQUAL_WORK:
            yield f"attempts of {called} differ: {warning.message}"


def _ways(name: str, values: Sequence[tuple[Any, int]]) -> str:
    counted: Counter[str] = Counter()
    for value, times in values:
        if value is not None:
            counted[_text(value)] += times
    return f"{name} {', '.join(f'{value} in {count}' for value, count in counted.items())}" if len(counted) > 1 else ""


def _asked(this: Side, other: Side) -> Iterator[str]:
    """Workload, evaluation data and the scenario's settings, as the suite gave them."""
    if this.job.scenario != other.job.scenario:
        yield f"scenario {this.job.scenario} against {other.job.scenario}"
        return
    for ours, theirs in ((_work(this.job), _work(other.job)), (this.job.settings, other.job.settings)):
        for name in dict.fromkeys((*ours, *theirs)):
            if ours.get(name) != theirs.get(name):
                title = _ASKED.get(name, name.replace("_", " "))
                yield f"{title} {_text(ours.get(name))} against {_text(theirs.get(name))}"


def _work(job: Job) -> dict[str, Any]:
    """A workload without its names; evaluation data and the reference of quality are what their digests say."""
    asked = {key: told for key, told in job.workload.to_json().items() if key not in ("name", "models", "asks", "data")}
    if job.workload.data is not None:
        asked["data"] = job.workload.data.sha256[:_DIGITS]
    if job.against is not None:
        asked["against"] = job.against.digest[:_DIGITS]
    return asked


_DIGITS = 12


def _execution(this: Side, other: Side) -> Iterator[str]:
    ours, theirs = (side.effective.execution or EXECUTION_DEVICE for side in (this, other))
    if ours != theirs:
        yield f"{_text(ours)} execution against {_text(theirs)} execution"


def _threads(this: Side, other: Side) -> Iterator[str]:
    """Two sessions of one runtime that were asked for the same are alike in what the runtime does not tell."""
    ours, theirs = this.effective.threads, other.effective.threads
    if ours is not None and theirs is not None:
        if ours != theirs:
            yield f"{_threads_text(ours)} against {_text(theirs)}"
        return
    alike = this.job.configuration.threads == other.job.configuration.threads
    if this.runtime != other.runtime or not alike:
        known = "unknown on both sides" if ours is theirs else f"{_told(ours)} against {_told(theirs)}"
        yield f"threads {known}"


def _threads_text(count: Any) -> str:
    return f"{_text(count)} thread{'' if count == 1 else 's'}"


def _told(value: Any) -> str:
    return "unknown" if value is None else _text(value)


def _precision(this: Side, other: Side) -> Iterator[str]:
    """Runtimes at equal precision compute in one. What neither tells is not known to differ."""
    ours, theirs = this.effective.precision, other.effective.precision
    if ours is not None and theirs is not None and ours != theirs:
        yield f"computed in {_text(ours)} against {_text(theirs)}"


def _version(this: Side, other: Side) -> Iterator[str]:
    for name, ours, theirs in (
        (f"{this.runtime}", this.effective.runtime_version, other.effective.runtime_version),
        ("Python", this.conditions.python, other.conditions.python),
    ):
        if ours is not None and theirs is not None and ours != theirs:
            yield f"{name} {_text(ours)} against {_text(theirs)}"


def _page_cache(this: Side, other: Side) -> Iterator[str]:
    ours, theirs = this.conditions.page_cache, other.conditions.page_cache
    if ours is not None and theirs is not None and ours != theirs:
        yield f"page cache {_text(ours)} against {_text(theirs)}"


def _cache(this: Side, other: Side) -> Iterator[str]:
    """How a session keeps its key/value cache is the export's doing."""
    ours, theirs = this.effective.cache, other.effective.cache
    if ours is not None and theirs is not None and ours != theirs:
        yield f"key/value cache {_text(ours)} against {_text(theirs)}"


def _without_cache(this: Side, other: Side) -> Iterator[str]:
    """Runtimes keep a cache in their own ways; one without runs over all tokens again at every step."""
    if CACHE_NONE in (this.effective.cache, other.effective.cache):
        yield from _cache(this, other)


def _continuation(this: Side, other: Side) -> Iterator[str]:
    """A runtime with a loop of its own writes what the model chooses, whatever the workload says."""
    ours, theirs = (side.effective.continuation or side.job.workload.continuation for side in (this, other))
    if ours is not None and theirs is not None and ours != theirs:
        yield f"{_text(ours)} continuation against {_text(theirs)} continuation"


def _session_facts(this: Side, other: Side) -> Iterator[str]:
    for name in _SESSION_FACTS:
        ours, theirs = this.facts.get(name), other.facts.get(name)
        if ours is not None and theirs is not None and ours != theirs:
            yield f"{name.replace('_', ' ')} {_text(ours)} against {_text(theirs)}"


def _amounts(this: Side, other: Side) -> Iterator[str]:
    """Tokens, context and evaluation, as the metrics were measured over them."""
    for name in _AMOUNTS:
        ours, theirs = _amounts_of(this, name), _amounts_of(other, name)
        for metric in ours.keys() & theirs.keys():
            if ours[metric] != theirs[metric]:
                yield f"{_amount(name, ours[metric])} against {_plain(theirs[metric])}"


def _amounts_of(side: Side, name: str) -> dict[str, list[Any]]:
    found: dict[str, set[Any]] = {}
    for metric, parameters in side.parameters:
        if name in parameters:
            found.setdefault(metric, set()).add(parameters[name])
    return {metric: sorted(values, key=str) for metric, values in found.items()}


def _amount(name: str, values: Sequence[Any]) -> str:
    words = _AMOUNTS[name]
    return f"{words} {_plain(values)}" if name == "evaluation" else f"{_plain(values)} {words}"


def _plain(values: Sequence[Any]) -> str:
    return ", ".join(_text(value) for value in values)


def _vocabularies(this: Side, other: Side) -> Iterator[str]:
    """A token of one vocabulary is more or less text than one of another. What is told of texts is alike."""
    if this.job.of_answers:
        return
    # Words, and behind them how they cut a text: that only where variants of that run differ in it.
    (ours, _, our_cut), (theirs, _, their_cut) = (side.job.vocabulary.partition("-") for side in (this, other))
    if ours and theirs and ours != theirs:
        yield "tokens of another vocabulary"
    elif our_cut and their_cut and our_cut != their_cut:
        yield "a text in other tokens of one vocabulary"


def _inputs(this: Side, other: Side) -> Iterator[str]:
    """Shapes. Quantized variants may take other types, and runtimes other names and orders of axes."""
    ours, theirs = _shapes(this), _shapes(other)
    if ours is None or theirs is None:
        return
    if ours.keys() == theirs.keys():
        apart = [name for name in ours if not _alike(ours[name], theirs[name])]
        for name in apart[:_MOST_INPUTS]:
            yield f"input {_text(name)} {_shape(ours[name])} against {_shape(theirs[name])}"
        return
    left, right = dict(ours), dict(theirs)
    for alike in (_same, _alike):
        for name in list(left):
            match = next((other for other in right if alike(ours[name], theirs[other])), None)
            if match is not None:
                del left[name], right[match]
    if left or right:
        yield f"inputs {_list_of(left)} against {_list_of(right)}"


def _types(this: Side, other: Side) -> Iterator[str]:
    """One artefact takes one type, wherever it runs."""
    ours, theirs = (side.effective.inputs or {} for side in (this, other))
    for name in ours.keys() & theirs.keys():
        kinds = [
            entry[0] if isinstance(entry, list | tuple) and entry else None for entry in (ours[name], theirs[name])
        ]
        if kinds[0] != kinds[1]:
            yield f"input {_text(name)} of {_text(kinds[0])} against {_text(kinds[1])}"


def _invented(this: Side, other: Side) -> Iterator[str]:
    """What the harness filled inputs with that nobody gave. Old results do not tell."""
    ours, theirs = (side.effective.invented_inputs for side in (this, other))
    if ours is None or theirs is None:
        return
    if ours.keys() != theirs.keys() and not ours.keys() & theirs.keys():
        # Other names: what was made up has to be alike as a whole.
        if Counter(map(_made, ours.values())) != Counter(map(_made, theirs.values())):
            yield "inputs made up differently"
        return
    for name in dict.fromkeys((*ours, *theirs)):
        if _made(ours.get(name)) != _made(theirs.get(name)):
            yield f"input {_text(name)} made up as {_made(ours.get(name))} against {_made(theirs.get(name))}"


def _made(value: Any) -> str:
    """What an input holds. By which rule it was made up is no part of the work: a quantized one is by another."""
    if value is None:
        return "nothing"
    return _text(value.get("value", value)) if isinstance(value, Mapping) else _text(value)


def _shapes(side: Side) -> dict[str, tuple[Any, ...]] | None:
    """Lengths by input; None where the result does not tell, as those of language models."""
    told = side.effective.inputs
    if told is None:
        return None
    return {
        str(name): tuple(entry[1:]) if isinstance(entry, list | tuple) else (str(entry),)
        for name, entry in told.items()
    }


def _same(one: tuple[Any, ...], other: tuple[Any, ...]) -> bool:
    return one == other


def _alike(one: tuple[Any, ...], other: tuple[Any, ...]) -> bool:
    """The same lengths, or the same behind the first axis in another order: channels stand first or last."""
    if len(one) != len(other) or len(one) < 3:
        return one == other
    return one[0] == other[0] and sorted(map(str, one[1:])) == sorted(map(str, other[1:]))


def _shape(lengths: Sequence[Any]) -> str:
    return "×".join(_text(length) for length in lengths) or "scalar"


def _list_of(shapes: Mapping[str, Sequence[Any]]) -> str:
    more = f" and {len(shapes) - _MOST_INPUTS} more" if len(shapes) > _MOST_INPUTS else ""
    told = (f"{_text(name)} {_shape(shape)}" for name, shape in list(shapes.items())[:_MOST_INPUTS])
    return (", ".join(told) or "none") + more


def _text(value: Any) -> str:
    told = value if isinstance(value, str) else json.dumps(value, sort_keys=True, default=str)
    return told if len(told) <= _LONGEST else f"{told[:_LONGEST]}…"


_EACH = frozenset(Factor)
_ASKED_ALIKE = _EACH - {Factor.SCENARIO}
_ONE_RUNTIME = frozenset((Factor.VARIANT, Factor.ACCELERATOR, Factor.SCENARIO))
#: Each rule, and the comparisons in which what it looks at is not what they are about.
_RULES: tuple[tuple[Callable[[Side, Side], Iterator[str]], frozenset[Factor]], ...] = (
    (_asked, _ASKED_ALIKE),
    (_execution, _EACH),
    (_threads, _EACH - {Factor.CONFIGURATION}),
    (_inputs, _EACH),
    (_types, frozenset((Factor.ACCELERATOR, Factor.SCENARIO))),
    (_invented, _EACH),
    (_amounts, _ASKED_ALIKE),
    (_vocabularies, _EACH),
    (_continuation, frozenset((Factor.RUNTIME, Factor.CONFIGURATION))),
    (_page_cache, _ASKED_ALIKE),
    (_precision, frozenset((Factor.RUNTIME, Factor.SCENARIO))),
    (_version, _ONE_RUNTIME),
    (_cache, _ONE_RUNTIME),
    (_without_cache, frozenset((Factor.RUNTIME,))),
    (_session_facts, _ONE_RUNTIME),
)


def _every_amount(name: str) -> Callable[[Side], Any]:
    return lambda side: _amounts_of(side, name) or None


#: What the attempts of one job have to have alike.
_WITHIN: Mapping[str, Callable[[Side], Any]] = {
    "threads": lambda side: side.effective.threads,
    "precision": lambda side: side.effective.precision,
    "inputs": lambda side: side.effective.inputs,
    "made-up inputs": lambda side: side.effective.invented_inputs,
    "key/value cache": lambda side: side.effective.cache,
    "execution": lambda side: side.effective.execution,
    "runtime version": lambda side: side.effective.runtime_version,
    "Python": lambda side: side.conditions.python,
    "page cache": lambda side: side.conditions.page_cache,
    **{f"{words}:": _every_amount(name) for name, words in _AMOUNTS.items()},
    **{name.replace("_", " "): lambda side, name=name: side.facts.get(name) for name in _SESSION_FACTS},  # type: ignore[misc]
}
