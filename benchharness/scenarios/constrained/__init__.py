"""Scenario `constrained`: how much a model needs, found by taking it away.

`chain` is the suite's fallback chain, `ladder` makes steps and a floor of an attempt's trials.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from benchharness.scenarios.constrained.foreground import Foreground
from benchharness.scenarios.definition import Scenario, ScenarioSettings, Settings
from benchharness.suite.fields import Bytes, Count, Name, Share, all_different, as_list

if TYPE_CHECKING:
    from benchharness.results.courses import Course, Ladder
    from benchharness.results.requested import Configuration
    from benchharness.results.result import Attempt, MetricResult, Result, ResultWarning
    from benchharness.suite.planning import Planning
    from benchharness.suite.tables import Model


#: A constraint's name stands in tables.
_ShortName = Annotated[Name, Field(max_length=25)]


class Constrained(ScenarioSettings):
    """Settings of scenario `constrained`: what is taken away, and what still counts as an answer.

    `memory` searches the memory floor; `limits` are tried beside it. `quotas` are shares of the time of the cores that
    the configuration's threads can use. `fallback_chain` names variants in the order in which a product would try them.
    `foreground` has applications by name, each of them started on the device beside some trials.
    """

    memory: bool = True
    limits: Annotated[tuple[Bytes, ...], BeforeValidator(as_list), AfterValidator(all_different)] = ()
    quotas: Annotated[tuple[Share, ...], BeforeValidator(as_list), AfterValidator(all_different)] = (0.75, 0.5, 0.25)
    cores: Annotated[tuple[Count, ...], BeforeValidator(as_list), AfterValidator(all_different)] = (1,)
    background: Annotated[
        tuple[Literal["busy-core", "memory-bandwidth"], ...], BeforeValidator(as_list), AfterValidator(all_different)
    ] = ("busy-core", "memory-bandwidth")
    foreground: dict[_ShortName, Foreground] = Field(default_factory=dict, max_length=10)
    trials: Annotated[int, Field(ge=1, le=100, strict=True)] = 5
    needed: Annotated[int, Field(ge=1, le=100, strict=True)] = 4
    slowest: Annotated[float, Field(gt=1, le=1000)] = 10.0
    bracket: Share = 0.1
    answers: Annotated[int, Field(ge=2, le=1000, strict=True)] = 2
    fallback_chain: Annotated[tuple[Name, ...], AfterValidator(all_different)] = ()

    @model_validator(mode="after")
    def _possible(self) -> Constrained:
        if self.needed > self.trials:
            raise ValueError(f"needed = {self.needed} is more than trials = {self.trials}")
        if len(self.fallback_chain) == 1:
            raise ValueError("a fallback_chain has two variants or more: the one to try, and what to fall back to")
        return self

    def expanded(self) -> Iterator[Settings]:
        """All in one."""
        unsaid = set() if self.foreground else {"foreground"}  # a job is the one that it was before there were any
        made = self.model_dump(exclude={"limits", "fallback_chain", *unsaid}, mode="json")
        # A trial starts as after a reboot: what the page cache holds costs no group anything.
        yield {**made, "limits_bytes": [round(limit) for limit in self.limits], "page_cache": "evicted"}


class ConstrainedScenario(Scenario):
    """Trials without a constraint first, then one constraint after another: each trial a fresh process."""

    name = "constrained"
    title = "behaviour under tight memory"
    settings = Constrained
    device = "benchharness.device.scenarios.constrained.conductor"
    opens_only = True
    sections = ("reports.sections.constrained.section",)
    conducts = True
    summed_up = True
    values = False
    one_attempt = "it makes its own trials"

    def check(self, settings: Constrained, models: Mapping[str, Model]) -> None:
        """Some model has the fallback chain. Raises `SuiteError`."""
        from benchharness.scenarios.constrained.chain import check_chain

        check_chain(settings.fallback_chain, models)

    def starts(self, settings: Constrained) -> Iterator[Sequence[str]]:
        """How applications are started and stopped."""
        for each in settings.foreground.values():
            yield from filter(None, (each.start, each.stop))

    def adds(self, planning: Planning, settings: Constrained, variant: str, configuration: Configuration) -> Settings:
        """The fallback chain, with the job of the variant that a product would try first."""
        from benchharness.scenarios.constrained.chain import chain

        found = chain(settings.fallback_chain, planning, configuration)
        return {"chain": found} if found and found[0].variant == variant else {}

    def ladders(self, good: Sequence[Attempt]) -> Iterator[Ladder]:
        """One for each attempt that made trials."""
        from benchharness.scenarios.constrained.ladder import ladder_of

        return (ladder for attempt in good if (ladder := ladder_of(attempt)) is not None)

    def derived(self, good: Sequence[Attempt], courses: Sequence[Course]) -> Iterator[MetricResult]:
        """Floors and what a fallback takes, of the last attempt."""
        from benchharness.scenarios.constrained.ladder import constrained_metrics

        return constrained_metrics(good[-1])

    def warnings(self, result: Result) -> Iterator[ResultWarning]:
        """A floor that would be higher where the device does nothing else."""
        from benchharness.scenarios.constrained.warnings import not_charged

        return not_charged(result)


SCENARIO = ConstrainedScenario()
