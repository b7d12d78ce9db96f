"""One-shot questions to a device: what it is, which adapters run there, what a model holds, which files it is.

Each is answered by a process of its own on the device, near or far, because models are not trusted and a broken
runtime can end the process that imports it. No question changes anything, so one whose answer gets lost is asked again.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchharness.device import adapters
from benchharness.device.processes.child import Answer
from benchharness.errors import ConnectionLost, LaunchError, ModelFailure, Unsupported, UsageError
from benchharness.launch import Launcher, Question
from benchharness.launch.local import LocalLauncher

#: Importing a runtime takes a second at most, a model of 540 MB half a second more; a file made to take longer is not
#: read on.
_PATIENCE_S = 60.0
#: For starting the interpreter and asking a system's own programs; the probe's time comes on top, twice, because a
#: slow machine finishes its fixed number of iterations late.
_DESCRIBING_S = 30.0
#: An honest description of a model has some tens of kilobytes; a file made to say more is not believed.
_LONGEST_DESCRIPTION_BYTES = 64 << 20
#: A package of ten thousand files, each by a long name.
_LONGEST_LIST_BYTES = 16 << 20
#: How often an answer may get lost on its way.
_MOST_LOSSES = 3


@dataclass(frozen=True, kw_only=True)
class NamedAvailability:
    """An adapter, and whether it runs here."""

    name: str
    formats: tuple[str, ...]
    available: bool
    version: str
    accelerators: tuple[str, ...]
    reason: str
    units: Mapping[str, Sequence[str]]  # by accelerator, as a configuration's `unit` names them, and what they are

    @property
    def lines(self) -> list[str]:
        """A line for each accelerator; below one that has units to choose from, those."""
        return [
            line
            for accelerator in self.accelerators
            for line in (accelerator, *(f"  unit {unit}" for unit in self.units.get(accelerator, ())))
        ]


def this_machine() -> Launcher:
    """The device that benchharness runs on, for questions alone."""
    return LocalLauncher(Path(tempfile.gettempdir()))


def ask(launcher: Launcher, question: Question) -> Answer:
    """What a device answers. Raises `LaunchError` where it cannot be reached, or its answers get lost."""
    for _ in range(_MOST_LOSSES - 1):
        try:
            return launcher.ask(question)
        except ConnectionLost:
            continue
    try:
        return launcher.ask(question)
    except ConnectionLost as error:
        raise LaunchError(f"the line to the device broke {_MOST_LOSSES} times: {error}") from error


def availabilities(launcher: Launcher) -> Iterator[NamedAvailability]:
    """Every adapter that is built in or installed."""
    for name in adapters.names():
        yield availability(launcher, name)


def availability(launcher: Launcher, name: str) -> NamedAvailability:
    """One adapter. Raises `LaunchError`."""
    told = _availability(ask(launcher, Question(program="adapters", arguments=(name,), patience_s=_PATIENCE_S)))
    return NamedAvailability(
        name=name,
        formats=_formats(name),
        available=bool(told.get("available")),
        version=str(told.get("version", "unknown")),
        accelerators=tuple(map(str, told.get("accelerators", ()))),
        reason=str(told.get("reason", "")),
        units=_units(told.get("units")),
    )


def _availability(answer: Answer) -> dict[str, Any]:
    if answer.code is None:
        return {"reason": f"its runtime did not load within {_PATIENCE_S:g} s"}
    try:
        told = json.loads(answer.out.splitlines()[-1])
    except (ValueError, IndexError):
        return {"reason": f"loading it ended with exit code {answer.code}: {_last_words(answer)}"}
    return told if isinstance(told, dict) else {}


def _units(told: object) -> dict[str, tuple[str, ...]]:
    """An adapter is not trusted to tell them in the form that is due."""
    if not isinstance(told, dict):
        return {}
    return {str(name): tuple(map(str, units)) for name, units in told.items() if isinstance(units, list)}


def _formats(name: str) -> tuple[str, ...]:
    try:
        return adapters.formats(name)
    except Unsupported:
        return ()


def description_of_device(launcher: Launcher, probe_s: float) -> dict[str, Any]:
    """What a device is (`device.questions.describe_device`), with a noise probe of so many seconds; 0 leaves it out.

    Raises `LaunchError`.
    """
    patience_s = _DESCRIBING_S + 2 * probe_s
    question = Question(program="describe_device", arguments=("--probe", repr(float(probe_s))), patience_s=patience_s)
    answer = ask(launcher, question)
    if answer.code is None:
        raise LaunchError(f"this machine did not describe itself within {patience_s:g} s")
    try:
        told: dict[str, Any] = json.loads(answer.out.splitlines()[-1])
    except (ValueError, IndexError) as error:
        words = _last_words(answer)
        raise LaunchError(f"describing this machine ended with exit code {answer.code}: {words}") from error
    return told


def description_of_model(launcher: Launcher, adapter: str, path: Path, there: str) -> tuple[dict[str, Any], Any]:
    """What an adapter says of a model that is at `there` on the device, and of its files.

    `path` is what the user calls it. Raises `Unsupported` where the adapter cannot inspect, `ModelFailure` for a file
    that is no model or ends the process that reads it.
    """
    most = _LONGEST_DESCRIPTION_BYTES
    question = Question(program="describe_model", arguments=(adapter, there), patience_s=_PATIENCE_S, most_bytes=most)
    answer = ask(launcher, question)
    if answer.code is None:
        raise ModelFailure(f"{path}: reading it did not end within {_PATIENCE_S:g} s; is it really a model?")
    try:
        if len(answer.out) > most:
            raise ModelFailure(f"{path}: what it says of itself has over {most >> 20} MiB; no real model says so much")
        told = json.loads(answer.out)
        if "failed" in told:
            kind = Unsupported if told["failed"] == "unsupported" else ModelFailure
            raise kind(str(told["reason"]))
        description, files = told["description"], told["files"]
    except (ValueError, KeyError, TypeError) as error:
        words = _last_words(answer)
        raise ModelFailure(f"{path}: the process that read it ended with {_ended(answer)}: {words}") from error
    if not isinstance(description, dict):
        raise ModelFailure(f"{path}: the adapter {adapter!r} gave no description")
    return description, files


def files_of_artefacts(launcher: Launcher, asked: Sequence[tuple[Path, Sequence[str]]]) -> list[Any]:
    """What adapters say of the files of each artefact, an answer each, not yet checked (`device.questions.list_files`).

    All are listed in one process. Raises `UsageError`.
    """
    told = json.dumps([[str(path), list(names)] for path, names in asked]).encode()
    most = _LONGEST_LIST_BYTES
    answer = ask(launcher, Question(program="list_files", told=told, patience_s=_PATIENCE_S, most_bytes=most))
    paths = ", ".join(path.name for path, _ in asked[:5])
    if answer.code is None:
        raise UsageError(f"{paths}: reading them did not end within {_PATIENCE_S:g} s; are they really models?")
    try:
        if len(answer.out) > most:
            raise UsageError(f"{paths}: a list of files of over {most} bytes; no real model has so many")
        answers = json.loads(answer.out)["answers"]
    except (ValueError, KeyError, TypeError) as error:
        words = _last_words(answer)
        raise UsageError(f"{paths}: the process that lists files ended with {_ended(answer)}: {words}") from error
    if not isinstance(answers, list) or len(answers) != len(asked):
        raise UsageError(f"{paths}: the process that lists files gave no answer to each")
    return answers


def _last_words(answer: Answer) -> str:
    return " ".join(answer.words.strip().splitlines()[-1:])


def _ended(answer: Answer) -> str:
    code = answer.code or 0
    return f"signal {-code}" if code < 0 else f"exit code {code}"
