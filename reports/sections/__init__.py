"""The sections of a page: a package each, with its data, its figures, its template, and what a page knows of it.

A package has a module `section` whose `make` turns a page's material into frozen sections, and which says of what kind
they are in `SECTION`. Beside it is `section.html.j2` with the macro `section`, which is what a page unfolds under the
heading and the finding. What every page may have stands here; a scenario names its own (`Scenario.sections`), ours and
those of other packages alike. On a page they stand by their `order`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib import import_module

from benchharness.scenarios import BUILT_IN, SCENARIOS
from reports.model.section import SectionKind

#: What is about every scenario.
COMMON = tuple(
    f"reports.sections.{name}.section"
    for name in ("failures", "builds", "warnings", "start", "latency", "memory", "operators", "conditions", "methods")
)


@dataclass(frozen=True)
class Sections:
    """The kinds that a page may have, in its order; `broken`: what other packages' scenarios cannot show, and why."""

    kinds: tuple[SectionKind, ...]
    broken: tuple[str, ...] = ()

    @property
    def tells(self) -> frozenset[str]:
        """What was in effect that some section shows itself."""
        return frozenset(name for kind in self.kinds for name in kind.tells)

    def __iter__(self) -> Iterator[SectionKind]:
        return iter(self.kinds)


@cache
def all_sections() -> Sections:
    """Those of every page and of the scenarios that can be loaded here, by their order."""
    kinds, broken = [_kind(name) for name in COMMON], []
    for scenario in SCENARIOS.usable():
        for name in scenario.sections:
            try:
                kinds.append(_kind(name))
            except Exception as error:
                if scenario.name in BUILT_IN:
                    raise
                broken.append(f"scenario {scenario.name}: {name}: {type(error).__name__}: {error}")
    return Sections(tuple(sorted(kinds, key=lambda kind: kind.order)), tuple(broken))


def _kind(module: str) -> SectionKind:
    found = import_module(module).SECTION
    if not isinstance(found, SectionKind):
        raise TypeError(f"its SECTION is no {SectionKind.__name__}")
    return found
