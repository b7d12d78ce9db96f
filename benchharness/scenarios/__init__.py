"""What is measured, a slice for each scenario: `SCENARIOS`. Built-in ones stand here; others come by entry point.

A slice is one module or package here, one on the device (`benchharness.device.scenarios`), one section of the report
and one page of documentation. Everything else asks this registry and names no scenario. Reading a name loads nothing:
`--help` lists scenarios without their settings.
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Iterator, Mapping
from functools import cache
from typing import TYPE_CHECKING

from benchharness.errors import UsageError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

    from benchharness.scenarios.definition import Scenario

__all__ = ["ALWAYS_SAID", "BUILT_IN", "ENTRY_POINT_GROUP", "SCENARIOS"]

ENTRY_POINT_GROUP = "benchharness.scenarios"

#: In the order in which they are planned.
BUILT_IN = {
    "first-token": "benchharness.scenarios.first_token:SCENARIO",
    "steady": "benchharness.scenarios.steady:SCENARIO",
    "sustained": "benchharness.scenarios.sustained:SCENARIO",
    "constrained": "benchharness.scenarios.constrained:SCENARIO",
    "conversation": "benchharness.scenarios.conversation:SCENARIO",
    "concurrent": "benchharness.scenarios.concurrent:SCENARIO",
    "hybrid": "benchharness.scenarios.hybrid:SCENARIO",
    "quality": "benchharness.scenarios.quality:SCENARIO",
    "task": "benchharness.scenarios.task:SCENARIO",
}

#: Those that every stored suite has said, asked for or not: its digest is of them. What is newer is said where asked.
ALWAYS_SAID = ("first-token", "steady", "sustained", "constrained", "quality")


class Registry(Mapping[str, "Scenario"]):
    """Every scenario that can be named, by name; each is loaded when it is first asked for."""

    def __iter__(self) -> Iterator[str]:
        yield from BUILT_IN
        yield from sorted(_third_party())

    def __len__(self) -> int:
        return len(BUILT_IN) + len(_third_party())

    def __contains__(self, name: object) -> bool:
        return name in BUILT_IN or name in _third_party()

    def __getitem__(self, name: str) -> Scenario:
        """The scenario of that name. Raises `UsageError` where there is none or it cannot be loaded."""
        return _loaded(name)

    def usable(self) -> Iterator[Scenario]:
        """All that load here: a broken package of somebody else's is an error only to who names it."""
        for name in self:
            try:
                yield self[name]
            except UsageError:
                continue

    def of_stored(self, name: str) -> Scenario:
        """The scenario of a stored job, which may be of a package that is not installed here."""
        from benchharness.scenarios.definition import Unknown

        try:
            return self[name]
        except UsageError:
            return Unknown(name)


SCENARIOS = Registry()


@cache
def _third_party() -> dict[str, EntryPoint]:
    """Installed scenarios of other packages, by name."""
    from importlib.metadata import entry_points  # 20 ms that help does not need

    return {point.name: point for point in entry_points(group=ENTRY_POINT_GROUP) if point.name not in BUILT_IN}


@cache
def _loaded(name: str) -> Scenario:
    if name in BUILT_IN:
        module, _, attribute = BUILT_IN[name].partition(":")
        found: Scenario = getattr(importlib.import_module(module), attribute)
        return found
    points = _third_party()
    if name not in points:
        nearest = difflib.get_close_matches(name, SCENARIOS, n=1)
        hint = f"; did you mean {nearest[0]!r}?" if nearest else ""
        raise UsageError(f"no scenario is called {name!r}{hint} (there are: {', '.join(SCENARIOS)})")
    return _of_another_package(points[name])


def _of_another_package(point: EntryPoint) -> Scenario:
    """Whatever goes wrong in it is its own failure and not the harness's. Its metrics join the catalogue."""
    from benchharness.metrics import METRICS
    from benchharness.scenarios.definition import Scenario

    try:
        found = point.load()
        assert isinstance(found, Scenario), f"{point.value} is no Scenario"
        assert found.name == point.name, f"it is registered as {point.name!r} and calls itself {found.name!r}"
        own = {metric.name: metric for metric in found.metrics}
        taken = sorted(own.keys() & METRICS.keys())
        assert not taken, f"there is a metric {taken[0]!r} already"
    except Exception as error:
        raise UsageError(
            f"the scenario {point.name!r} cannot be loaded here: {type(error).__name__}: {error}"
        ) from error
    METRICS.update(own)
    return found
