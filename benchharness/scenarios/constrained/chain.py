"""The fallback chain of a suite: the variants that a product would try one after another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from benchharness.errors import SuiteError

if TYPE_CHECKING:
    from benchharness.results.requested import Configuration, Opened
    from benchharness.suite.planning import Planning
    from benchharness.suite.tables import Model


def check_chain(names: Sequence[str], models: Mapping[str, Model]) -> None:
    """Some model has all the variants. Raises `SuiteError`."""
    if not any(_has_all(model.variants, names) for model in models.values()):
        raise SuiteError(f"scenarios.constrained.fallback_chain: no model has all the variants {', '.join(names)}")


def chain(names: Sequence[str], planning: Planning, configuration: Configuration) -> list[Opened]:
    """Each variant of the chain as it is opened; none where the chain is another model's. Raises `SuiteError`."""
    variants = planning.model.variants
    if not _has_all(variants, names):
        return []
    closed = [each for each in names if not planning.opens(each, configuration)]
    if len(closed) == len(names):
        return []  # the chain is another runtime's
    if closed:
        raise SuiteError(
            f"scenarios.constrained.fallback_chain: {configuration.name} does not open {closed[0]!r}; a product "
            "falls back within one runtime: name variants of one format"
        )
    return [planning.opened(each, configuration) for each in names]


def _has_all(variants: Mapping[str, Any], names: Sequence[str]) -> bool:
    return all(name in variants for name in names)
