"""Whether two results did the same work, apart from what they are compared in: before any ratio. Pure.

A ratio speaks of one *factor*: the variant, the runtime or the accelerator. Whatever else the two really did (not what
they were asked for) has to be alike: what went in, threads, tokens, context, evaluation, data, precision. Else there is
no ratio, and its place says what differs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from benchharness.contract import CACHE_NONE, EXECUTION_DEVICE
from benchharness.judge import unequal_inputs
from benchharness.judge.unequal_inputs import shortened
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
        told = (id(each.effective), each.conditions.python, page_cache and shortened(page_cache))
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
            counted[shortened(value)] += times
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
                yield f"{title} {shortened(ours.get(name))} against {shortened(theirs.get(name))}"


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
        yield f"{shortened(ours)} execution against {shortened(theirs)} execution"


def _threads(this: Side, other: Side) -> Iterator[str]:
    """Two sessions of one runtime that were asked for the same are alike in what the runtime does not tell."""
    ours, theirs = this.effective.threads, other.effective.threads
    if ours is not None and theirs is not None:
        if ours != theirs:
            yield f"{_threads_text(ours)} against {shortened(theirs)}"
        return
    alike = this.job.configuration.threads == other.job.configuration.threads
    if this.runtime != other.runtime or not alike:
        known = "unknown on both sides" if ours is theirs else f"{_told(ours)} against {_told(theirs)}"
        yield f"threads {known}"


def _threads_text(count: Any) -> str:
    return f"{shortened(count)} thread{'' if count == 1 else 's'}"


def _told(value: Any) -> str:
    return "unknown" if value is None else shortened(value)


def _precision(this: Side, other: Side) -> Iterator[str]:
    """Runtimes at equal precision compute in one. What neither tells is not known to differ."""
    ours, theirs = this.effective.precision, other.effective.precision
    if ours is not None and theirs is not None and ours != theirs:
        yield f"computed in {shortened(ours)} against {shortened(theirs)}"


def _version(this: Side, other: Side) -> Iterator[str]:
    for name, ours, theirs in (
        (f"{this.runtime}", this.effective.runtime_version, other.effective.runtime_version),
        ("Python", this.conditions.python, other.conditions.python),
    ):
        if ours is not None and theirs is not None and ours != theirs:
            yield f"{name} {shortened(ours)} against {shortened(theirs)}"


def _page_cache(this: Side, other: Side) -> Iterator[str]:
    ours, theirs = this.conditions.page_cache, other.conditions.page_cache
    if ours is not None and theirs is not None and ours != theirs:
        yield f"page cache {shortened(ours)} against {shortened(theirs)}"


def _cache(this: Side, other: Side) -> Iterator[str]:
    """How a session keeps its key/value cache is the export's doing."""
    ours, theirs = this.effective.cache, other.effective.cache
    if ours is not None and theirs is not None and ours != theirs:
        yield f"key/value cache {shortened(ours)} against {shortened(theirs)}"


def _without_cache(this: Side, other: Side) -> Iterator[str]:
    """Runtimes keep a cache in their own ways; one without runs over all tokens again at every step."""
    if CACHE_NONE in (this.effective.cache, other.effective.cache):
        yield from _cache(this, other)


def _continuation(this: Side, other: Side) -> Iterator[str]:
    """A runtime with a loop of its own writes what the model chooses, whatever the workload says."""
    ours, theirs = (side.effective.continuation or side.job.workload.continuation for side in (this, other))
    if ours is not None and theirs is not None and ours != theirs:
        yield f"{shortened(ours)} continuation against {shortened(theirs)} continuation"


def _session_facts(this: Side, other: Side) -> Iterator[str]:
    for name in _SESSION_FACTS:
        ours, theirs = this.facts.get(name), other.facts.get(name)
        if ours is not None and theirs is not None and ours != theirs:
            yield f"{name.replace('_', ' ')} {shortened(ours)} against {shortened(theirs)}"


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
    return ", ".join(shortened(value) for value in values)


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


def _of_inputs(differ: Callable[[Effective, Effective], Iterator[str]]) -> Callable[[Side, Side], Iterator[str]]:
    return lambda this, other: differ(this.effective, other.effective)


_EACH = frozenset(Factor)
_ASKED_ALIKE = _EACH - {Factor.SCENARIO}
_ONE_RUNTIME = frozenset((Factor.VARIANT, Factor.ACCELERATOR, Factor.SCENARIO))
#: Each rule, and the comparisons in which what it looks at is not what they are about.
_RULES: tuple[tuple[Callable[[Side, Side], Iterator[str]], frozenset[Factor]], ...] = (
    (_asked, _ASKED_ALIKE),
    (_execution, _EACH),
    (_threads, _EACH - {Factor.CONFIGURATION}),
    (_of_inputs(unequal_inputs.shapes), _EACH),
    (_of_inputs(unequal_inputs.types), frozenset((Factor.ACCELERATOR, Factor.SCENARIO))),
    (_of_inputs(unequal_inputs.invented), _EACH),
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
