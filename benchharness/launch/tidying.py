"""Has a device's work folder cleared of what nobody comes back for, and says whose a device is that is held."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchharness.errors import DeviceBusy, LaunchError
from benchharness.launch import Launcher, Question, ask
from benchharness.launch.bundle import put_bundle

_PATIENCE_S = 600.0  # a card takes its time for a gigabyte of files
_MOST_TOLD, _LONGEST = 1000, 300


@dataclass(frozen=True, kw_only=True)
class Tidied:
    """What went, and what waits for its host: by run, finished attempts that `run --resume` fetches."""

    removed: Sequence[str]
    waiting: Mapping[str, int]


def tidy(launcher: Launcher, work: str, scratch: Path, *, everything: bool = False) -> Tidied:
    """Clears a work folder. `scratch`: a folder here. Raises `LaunchError`, `DeviceBusy` where a host has it."""
    bundle = put_bundle(launcher, scratch)
    arguments = ("--work", work, "--bundle", bundle, *(["--all"] if everything else []))
    answer = ask.ask(launcher, Question(program="tidying", arguments=arguments, patience_s=_PATIENCE_S))
    try:
        told: Any = json.loads(answer.out.splitlines()[-1])
        if told["busy"]:
            raise DeviceBusy(held_by(told["busy"]))
        return Tidied(
            removed=[str(each)[:_LONGEST] for each in told["removed"][:_MOST_TOLD]],
            waiting={str(run)[:_LONGEST]: int(count) for run, count in list(told["waiting"].items())[:_MOST_TOLD]},
        )
    except (ValueError, IndexError, KeyError, TypeError, AttributeError) as error:
        words = answer.words[-_LONGEST:]
        raise LaunchError(f"tidying there ended with exit code {answer.code}: {words}") from error


def held_by(busy: Mapping[str, Any]) -> str:
    """Whose a device is, in words. Its clock is not ours: what is told is how long ago by its own."""
    since, now = busy.get("since_unix_ns"), busy.get("now_unix_ns")
    minutes = ""
    if isinstance(since, int) and isinstance(now, int) and 0 < since <= now:
        minutes = f", for {(now - since) / 60e9:.0f} min now"
    holder = str(busy.get("holder"))[:_LONGEST]
    return f"the device is held by {holder}{minutes}: wait, or end that run"
