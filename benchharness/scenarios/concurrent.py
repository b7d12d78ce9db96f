"""Scenario `concurrent`: several requests at once, where the runtime can."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator, BeforeValidator, Field

from benchharness.scenarios.definition import Scenario, ScenarioSettings
from benchharness.suite.fields import Count, Depth, all_different, as_list

if TYPE_CHECKING:
    from benchharness.results.result import Estimate, MetricResult, Result

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
        """What the most at once get together, against the fewest: paired by attempt."""
        whole = by_number(result, "throughput")
        if len(whole) < 2:
            return
        least, most = min(whole), max(whole)
        ratio = _ratio(whole[most], whole[least])
        if ratio.value is None:
            return
        sure = "in one attempt" if ratio.low is None else f"[{ratio.low:.2f}, {ratio.high:.2f}]"
        alone = "one alone" if least == 1 else f"{least}"
        yield f"{most} requests at once get {ratio.value:.2f} {sure} times the tokens a second of {alone}"


def _ratio(these: MetricResult, those: MetricResult) -> Estimate:
    from benchharness.judge.intervals import paired_ratio  # numpy takes long to load

    others = {value.attempt: value.value for value in those.attempts}
    pairs = [(value.value, others[value.attempt]) for value in these.attempts if value.attempt in others]
    return paired_ratio(pairs, statistic="geometric mean of attempts' ratios")


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
