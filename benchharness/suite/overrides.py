"""What a command line or a Python caller puts over a suite's own word."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from benchharness import units as quantity
from benchharness.errors import UsageError
from benchharness.scenarios import SCENARIOS
from benchharness.suite.errors import explain
from benchharness.suite.fields import CHECKED_BEFORE
from benchharness.suite.scenarios import Scenarios
from benchharness.suite.tables import Attempts, Suite


@dataclass(frozen=True, kw_only=True)
class Overrides:
    """What a command line or a caller puts over a suite's own word. None leaves the suite's."""

    attempts: int | None = None
    interval: str | None = None  # "2 %"
    max_time: str | None = None  # "10 min"
    timeout: str | None = None  # "60 s", for one attempt
    scenarios: Sequence[str] | None = None  # only these


def overridden(suite: Suite, overrides: Overrides) -> Suite:
    """The suite with the overrides in it. Raises `UsageError` for a wrong unit, or a scenario that needs settings."""
    rules: dict[str, Any] = {}
    if overrides.attempts is not None:
        rules |= {"at_least": overrides.attempts, "at_most": max(overrides.attempts, suite.attempts.at_most)}
    if overrides.interval is not None:
        rules["interval"] = quantity.share(overrides.interval)
    if overrides.max_time is not None:
        rules["max_time"] = quantity.seconds(overrides.max_time)
    if overrides.timeout is not None:
        rules["timeout"] = quantity.seconds(overrides.timeout)
    try:
        attempts = Attempts.model_validate({**suite.attempts.model_dump(), **rules}, context=CHECKED_BEFORE)
    except ValidationError as error:
        raise UsageError(explain(error, Attempts, "the command line")) from error
    changed: dict[str, Any] = {"attempts": attempts}
    if overrides.scenarios:
        tables = suite.scenarios.model_dump(by_alias=True)
        chosen = {SCENARIOS[name].name: tables.get(name) or {} for name in overrides.scenarios}
        try:
            changed["scenarios"] = Scenarios.model_validate(chosen, context=CHECKED_BEFORE)
        except ValidationError as error:
            told = explain(error, Scenarios, "--scenario")
            raise UsageError(
                f"{told}; settings that it cannot do without stand in a suite: [scenarios.NAME]"
            ) from error
    return suite.model_copy(update=changed)
