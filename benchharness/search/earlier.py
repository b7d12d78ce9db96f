"""Whether an earlier run answers: of the same artefact and jobs, on the same device, runtime and in the same state.

What cannot be told apart is not taken for the same: an interpreter of a configuration's own, whose runtime nobody asks
from here, is measured anew. Temperature, load and what else moves by itself are no state; they are the noise.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from benchharness import __version__
from benchharness.judge.hopeless import HOPELESS, Hopeless
from benchharness.launch import Launcher, ask
from benchharness.results.result import Job, OutcomeKind, Result, Run
from benchharness.suite.tables import Attempts

#: Outcomes that the same artefact would have again.
_FINAL = (OutcomeKind.OK, OutcomeKind.UNSUPPORTED, OutcomeKind.INVALID)
#: Of a device's conditions: where a program may be of another opinion from one moment to the next.
_MOVES = ("battery_percent",)
#: Options that name files beside the model, of which a job knows the names alone.
_FILES = ("custom_op_libraries", "program")


def why_other_jobs(then: Sequence[Job], now: Sequence[Job]) -> str:
    """What sets jobs apart that are the same by cell and artefact: whose verdicts count, and what else is read."""
    if _shipping(then) != _shipping(now):
        return "another variant was the one that ships"
    if _tokenizers(then) != _tokenizers(now):
        return "a variant's own tokenizer is another"
    if any(each.configuration.library or set(_FILES) & each.configuration.options.keys() for each in now):
        return "a library or program that the suite names may be another behind the same name"
    return ""


def _shipping(jobs: Sequence[Job]) -> list[tuple[str, str]]:
    return sorted((job.cell, job.digest) for job in jobs if job.ships)


def _tokenizers(jobs: Sequence[Job]) -> list[tuple[str, str, str]]:
    return sorted((job.cell, job.digest, job.own_tokenizer_digest or "") for job in jobs)


def why_not_alike(run: Run, asked: tuple[Attempts, Attempts], results: Sequence[Result], ending: Hopeless) -> str:
    """What keeps an earlier run from answering, as far as the store tells; "" where nothing does.

    `asked` are the rules of attempts then and now.
    """
    then, now = (each.model_dump(exclude={"tells_apart"}) for each in asked)
    if run.version != __version__:
        return f"it was measured by benchharness {run.version}"
    if then != now:
        return "other attempts were asked for"
    failed = next((each.outcome for each in results if each.outcomes and each.outcome.kind not in _FINAL), None)
    if failed is not None:
        return f"it ended otherwise: {failed.kind}"
    ended = any(result.stopped.startswith(HOPELESS) for result in results)
    if not ended and not all(result.outcomes for result in results):
        return "its time was over before all of it was tried"
    if ended and ending.reason_to_end(results) is None:
        return "its measuring ended early, for other budgets"
    return ""


def why_another_state(results: Sequence[Result], launcher: Launcher) -> str:
    """What is not as it was on the device; "" where all is. Raises `LaunchError` where it cannot be asked."""
    return next(_changes(results, launcher), "")


def _changes(results: Sequence[Result], launcher: Launcher) -> Iterator[str]:
    told = ask.description_of_device(launcher, 0)
    device = _object(told, "facts").get("device")
    now = _object(told, "conditions")
    for result in results:
        if set(result.devices) - {device}:
            yield "it was measured on another device"
        yield from _moved(result.conditions.to_json(), now)
    for result in results:
        if result.job.configuration.python is not None:
            yield "a runtime in an interpreter of its own is not asked for its version"
    versions = dict(each for result in results for each in _versions(result))
    if not versions:
        yield "nobody knows which version of its runtime that was"
    for runtime, before in versions.items():
        found = ask.availability(launcher, runtime)
        if not found.available or found.version != before:
            yield f"{runtime} was {before}, and is {found.version if found.available else 'not there'}"


def _versions(result: Result) -> Iterator[tuple[str, str]]:
    """Runtimes, each with the version that it told: of a comparison the reference's too."""
    if result.effective.runtime_version is not None:
        yield result.job.configuration.runtime, result.effective.runtime_version
    reference = result.effective.reference
    if result.job.against is not None and reference is not None and reference.runtime_version is not None:
        yield result.job.against.configuration.runtime, reference.runtime_version


def _object(told: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """A device is not trusted to tell what is due."""
    found = told.get(key)
    return found if isinstance(found, Mapping) else {}


def _moved(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    """States and limits that are others now. Readings, which are never the same twice, are fractions."""
    for name in sorted((before.keys() & now.keys()) - set(_MOVES)):
        then, there = before[name], now[name]
        if isinstance(then, float) or isinstance(there, float) or then == there:
            continue
        if isinstance(then, Mapping) and isinstance(there, Mapping):
            continue  # unknown then and now
        yield f"{name} was {str(then)[:60]}, and is {str(there)[:60]}"
