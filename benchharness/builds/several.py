"""One command's gates on several devices: a verdict each, and what was killed goes on with all of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

from benchharness import api, measure
from benchharness.builds.comparing import Watch, stored_suite, suite_of
from benchharness.builds.gating import Gates, Gating, finished, gate, made_again, resume_gate
from benchharness.errors import BenchharnessError, Interrupted, LaunchError, UsageError
from benchharness.results.ids import new_id
from benchharness.suite.gating import Gate, Several


def gate_on(on: Sequence[str], suite: str | Path, **asked: Any) -> Gates:
    """Gates a suite on several devices, one after the other. Arguments as for `gate`.

    The chance of calling a good build worse is that of all of them together: each has its part of it (Bonferroni), of
    the suite's own `family` where that is larger. One that cannot be gated gives no verdict, which is no green one, and
    the others go on. Raises `BenchharnessError` where none gives a verdict, and not because it cannot be reached.
    """
    places = list(dict.fromkeys(on))
    if not places:
        raise UsageError("name a device to gate on")
    for each in places:
        measure.target_of(each)  # a word that means nothing is said before an hour is spent
    if len(places) == 1:
        return Gates(gatings=[gate(suite, on=places[0], **asked)])
    own = suite_of(suite, None, asked.get("overrides"), asked.get("store")).gate or Gate()
    asked["gate"] = {**(asked.get("gate") or {}), "family": max(own.family, len(places))}
    command = new_id()

    def gated(place: str) -> Gating:
        several = Several(command=command, places=tuple(places), where=place)
        return gate(suite, on=place, several=several, **asked)

    return _each(places, gated)


def resume_on(
    name: str = "latest", *, today: date | None = None, store: str | None = None, watching: Watch | None = None
) -> Gates:
    """Goes on with an interrupted gate, and with those on other devices that were asked for together with it."""
    with closing(api.open_store(store)) as kept:
        run = kept.find(name)
        compared = stored_suite(run, store).compared
        several = None if compared is None else compared.several
    if several is None:
        return Gates(gatings=[resume_gate(run, today=today, store=store, watching=watching)])
    known, begun = several, _begun(several.command, store)

    def gated(place: str) -> Gating:
        if place in begun:
            return resume_gate(begun[place], today=today, store=store, watching=watching)
        here = known.model_copy(update={"where": place})
        made = made_again(run, measure.target_of(place), store, watching, several=here)
        return finished(made, today, store, watching)

    return _each(known.places, gated)


def _begun(command: str, store: str | None) -> dict[str, str]:
    """By device the newest run of a command: the one that repeats a red comparison, where there is one."""
    found: dict[str, str] = {}
    with closing(api.open_store(store)) as kept:
        theirs = [run.id for run in kept.list_runs() if command in kept.suite_and_hardware(run.id)[0]]
    for run in theirs:
        compared = stored_suite(run, store).compared
        if compared is not None and compared.several is not None:
            found.setdefault(compared.several.where, run)
    return found


def _each(places: Sequence[str], gated: Callable[[str], Gating]) -> Gates:
    found: list[Gating] = []
    trouble: dict[str, BenchharnessError] = {}
    for place in places:
        try:
            found.append(replace(gated(place), where=place))
        except BenchharnessError as error:
            measure.tell(f"{place} is not gated: {error}")
            trouble[place] = error
        except Interrupted:
            raise
        except KeyboardInterrupt as error:  # between two runs: with any of them all are gone on with
            if not found:
                raise
            raise Interrupted(found[-1].first.findings.run.id) from error
    wrong = [error for error in trouble.values() if not isinstance(error, LaunchError)]
    if not found and wrong:
        raise wrong[0]
    return Gates(gatings=found, unreached={place: str(error) for place, error in trouble.items()})
