"""Scenario `concurrent`: several requests at once, where the runtime can."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator, BeforeValidator, Field

from benchharness.scenarios.definition import Scenario, ScenarioSettings
from benchharness.suite.fields import Count, Depth, all_different, as_list

if TYPE_CHECKING:
    from benchharness.results.result import MetricResult, Result

#: Each request has figures of its own: more of them nobody reads.
_MOST_AT_ONCE = 16
_Number = Annotated[Count, Field(le=_MOST_AT_ONCE)]


class Concurrent(ScenarioSettings):
    """Settings of scenario `concurrent`: how many requests at once, each number in turn in every repeat."""

    at_once: Annotated[
        tuple[_Number, ...], BeforeValidator(as_list), AfterValidator(all_different), Field(min_length=1)
    ] = (1, 2, 4)
    warmup: Depth = 1
    repeats: Count = 3


class ConcurrentScenario(Scenario):
    """One session that answers several requests together."""

    name = "concurrent"
    title = "several requests at once"
    settings = Concurrent
    device = "benchharness.device.scenarios.concurrent"
    opens_only = True
    summed_up = True
    sections = ("reports.sections.concurrent.section",)

    def told(self, result: Result) -> Iterator[str]:
        """What the most at once get together, against one alone."""
        whole = by_number(result, "throughput")
        if len(whole) < 2:
            return
        least, most = min(whole), max(whole)
        alone, together = whole[least].estimate.value, whole[most].estimate.value
        if alone and together:
            yield f"{most} requests at once get {together / alone:.2f} times the tokens a second that {least} get"


def by_number(result: Result, name: str) -> Mapping[int, MetricResult]:
    """A metric of all requests together, by how many there are at once."""
    return {
        number: metric
        for metric in result.metrics
        if metric.name == name and isinstance(number := metric.parameters.get("at_once"), int)
    }


def by_place(result: Result, name: str) -> Mapping[tuple[int, int], MetricResult]:
    """A metric of each request, by how many there are at once, and its place among them from 1."""
    return {
        (number, place): metric
        for metric in result.metrics
        if metric.name == name
        and isinstance(number := metric.parameters.get("at_once"), int)
        and isinstance(place := metric.parameters.get("place"), int)
    }


SCENARIO = ConcurrentScenario()
