"""The suite's table of scenarios: a key for each that is registered, with the settings that it declares."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from pydantic import Field, SerializerFunctionWrapHandler, create_model, model_serializer, model_validator

from benchharness.errors import UsageError
from benchharness.scenarios import ALWAYS_SAID, SCENARIOS
from benchharness.scenarios.definition import Scenario, ScenarioSettings
from benchharness.suite.fields import CHECKED_BEFORE, Table


def _key(name: str) -> str:
    return re.sub(r"\W", "_", name)


class ScenarioTables(Table):
    """One that is not named is not run."""

    if TYPE_CHECKING:  # the keys are known when the registry has been asked

        def __getattr__(self, name: str) -> Any: ...

    def asked(self) -> Iterator[tuple[Scenario, ScenarioSettings]]:
        """Every scenario that is named, with its settings, in the registry's order."""
        for scenario in SCENARIOS.usable():
            table = getattr(self, _key(scenario.name), None)
            if table is not None:
                yield scenario, table

    @model_validator(mode="before")
    @classmethod
    def _loadable(cls, tables: Any) -> Any:
        """One that is installed and broken is told as such."""
        for name in tables if isinstance(tables, dict) else ():
            if name in SCENARIOS:
                try:
                    SCENARIOS[name]
                except UsageError as error:
                    raise ValueError(str(error)) from error
        return tables

    @model_serializer(mode="wrap")
    def _without_strangers(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Not what came later, here or in other packages, and this suite does not name: it is the same without them."""
        ours = {*ALWAYS_SAID, *map(_key, ALWAYS_SAID)}
        tables: dict[str, Any] = dump(self)
        return {name: table for name, table in tables.items() if table is not None or name in ours}


def _tables() -> type[ScenarioTables]:
    keys: dict[str, Any] = {
        _key(scenario.name): (scenario.settings | None, Field(default=None, alias=scenario.name))
        for scenario in SCENARIOS.usable()
    }
    return create_model("Scenarios", __base__=ScenarioTables, **keys)


if TYPE_CHECKING:
    Scenarios = ScenarioTables
else:
    Scenarios = _tables()


def usual_scenarios(*, evaluated: bool = False) -> dict[str, Any]:
    """What is run where nobody names scenarios; `evaluated`: with those that need evaluation data."""
    wanted = (each for each in SCENARIOS.usable() if each.by_default or (evaluated and each.evaluates))
    return {scenario.name: {} for scenario in wanted}


def paths_in_settings(tables: dict[str, Any]) -> Iterator[tuple[Any, str | int]]:
    """Every path of a stored suite's `scenarios`, as the holder and the key of it; lists are written out in the table.

    One that is not installed here is left as it is: whoever restores the suite says so. Raises `ValueError`.
    """
    for name, told in tables.items():
        if told is None or name not in SCENARIOS:
            continue
        settings = SCENARIOS[name].settings.model_validate(told, context=CHECKED_BEFORE)
        tables[name] = settings.model_dump(mode="json", by_alias=True)
        for (*holders, key), _ in settings.paths():
            holder: Any = tables[name]
            for each in holders:
                holder = holder[each]
            yield holder, key
