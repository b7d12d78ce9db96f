"""What a stored run is judged by: its budgets, and from where on a ratio is a difference.

That is all that showing a run takes of its suite: the rest was checked when it ran, and reading it takes longer than
deriving results.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from benchharness.errors import BenchharnessError, SuiteError
from benchharness.judge.design import Design
from benchharness.metrics import METRICS
from benchharness.metrics.limits import ALIASES, Budget, parse
from benchharness.results.result import TELLS_APART
from benchharness.scenarios import SCENARIOS
from benchharness.suite.errors import explain
from benchharness.suite.fields import CHECKED_BEFORE, Name, Share

S = TypeVar("S", bound=BaseModel)


@dataclass(frozen=True, kw_only=True)
class Rules:
    """What results of one run are judged by."""

    hardware: str  # the target's name
    budgets: Sequence[Budget]
    tells_apart: float
    builds: tuple[str, str] | None = None  # what base and candidate were called, where two builds are compared
    design: Design | None = None  # by which they are
    repeats: str | None = None  # the run whose comparison this one repeats


class _Stored(BaseModel):
    """A part of what was stored, whatever stands beside it."""

    model_config = ConfigDict(extra="ignore", frozen=True)
    budgets: dict[str, Any] = Field(default_factory=dict)


class _Attempts(BaseModel):
    tells_apart: Share = TELLS_APART


class _Compared(BaseModel):
    base_told: str
    candidate_told: str
    repeats: str | None = None


class _Suite(_Stored):
    attempts: _Attempts = _Attempts()
    compared: _Compared | None = None
    gate: Any = None


class _Bridged(BaseModel):
    bridge: tuple[str, ...] = ()


class _Gated(BaseModel):
    gate: _Bridged = _Bridged()


class _Hardware(_Stored):
    name: Name


def stored_rules(suite_json: str, hardware_json: str) -> Rules:
    """The rules of a run, of the suite and the hardware target that it stored. Raises `BenchharnessError`."""
    suite, hardware = _read(_Suite, suite_json, "suite"), _read(_Hardware, hardware_json, "hardware target")
    if not {*suite.budgets, *hardware.budgets} <= {*METRICS, *ALIASES}:
        list(SCENARIOS.usable())  # metrics of another package are known when it is loaded
    budgets = [*parse(suite.budgets, "suite"), *parse(hardware.budgets, "hardware target")]
    rules = Rules(hardware=hardware.name, budgets=budgets, tells_apart=suite.attempts.tells_apart)
    return rules if suite.compared is None else _comparing(rules, suite, suite.compared)


def _comparing(rules: Rules, suite: _Suite, compared: _Compared) -> Rules:
    from benchharness.suite.gating import Gate  # few runs compare builds

    gate = _read(Gate, json.dumps(suite.gate or {}), "gate")
    told = (compared.base_told, compared.candidate_told)
    return replace(rules, builds=told, design=gate.design(), repeats=compared.repeats)


def stored_budgets(
    stored: Mapping[tuple[str, str], tuple[str, str]],
) -> tuple[dict[tuple[str, str], Sequence[Budget]], list[str]]:
    """By the names of a suite and a target the budgets of both as they are stored, and why some cannot be read."""
    found: dict[tuple[str, str], Sequence[Budget]] = {}
    unread = []
    for key, (suite_json, hardware_json) in stored.items():
        try:
            found[key] = stored_rules(suite_json, hardware_json).budgets
        except BenchharnessError as error:
            unread.append(f"budgets of {' on '.join(key)} are unknown: {error}")
    return found, unread


def stored_bridges(suite_json: str) -> tuple[str, ...]:
    """The runs that a stored suite names as bridges between bases; none where that cannot be read."""
    try:
        return _read(_Gated, suite_json, "suite").gate.bridge
    except SuiteError:
        return ()


def _read(kind: type[S], text: str, what: str) -> S:
    try:
        return kind.model_validate_json(text, context=CHECKED_BEFORE)
    except ValidationError as error:
        raise SuiteError(explain(error, kind, f"the stored {what}")) from error
