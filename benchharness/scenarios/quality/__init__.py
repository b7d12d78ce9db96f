"""Scenario `quality`: what compression lost, a reference and its variants compared on the model's evaluation data.

`passes` plans who is compared with whom, `comparison` makes metrics of the rows that an attempt reports, `changes` what
two builds differ in.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from benchharness.scenarios.definition import Scenario, ScenarioSettings
from benchharness.suite.fields import Count, Depth, Share, Table, all_different, as_list

if TYPE_CHECKING:
    from benchharness.results.courses import Course
    from benchharness.results.result import Attempt, Estimate, Job, MetricResult, Parameters, Result
    from benchharness.suite.planning import Planning


class Distillation(Table):
    """A student's loss as a figure: alpha cross-entropy + (1 - alpha) T² KLD at temperature T."""

    alpha: Annotated[
        tuple[Annotated[float, Field(ge=0, le=1)], ...],
        BeforeValidator(as_list),
        AfterValidator(all_different),
        Field(min_length=1, max_length=21),
    ] = (0.0, 0.25, 0.5, 0.75, 1.0)
    temperature: Annotated[float, Field(gt=0, le=100)] = 1.0


class Quality(ScenarioSettings):
    """Settings of scenario `quality`: what compression lost, on the models' evaluation data."""

    evaluation: Literal["decode", "prefill"] = "decode"  # token by token, or each chunk in one pass
    chunk_tokens: Annotated[int, Field(ge=2, le=1_000_000, strict=True)] = 256
    most_chunks: Count = 32
    context_share: Share = 0.5  # of each chunk, read and not scored
    continuation_tokens: Depth = 32
    continuation_prompts: Depth = 8
    most_samples: Count = 2000  # of models that are no language models
    distillation: Distillation | None = None  # None: the usual alphas, at temperature 1

    def told(self) -> dict[str, Any]:
        """As they travel to the device. What nobody asked for is left out: it changes no job of before."""
        return self.model_dump(mode="json", exclude={"distillation"} if self.distillation is None else None)


class QualityScenario(Scenario):
    """One pass of the reference serves all the variants that are compared with it."""

    name = "quality"
    title = "what compression lost in the answers"
    settings = Quality
    device = "benchharness.device.scenarios.quality.conductor"
    opens_only = True
    sections = ("reports.sections.quality.section",)
    evaluates = True
    conducts = True
    summed_up = True
    values = False
    alone = False
    one_attempt = "quality is computed, not timed"

    def jobs(self, planning: Planning, settings: Quality) -> Iterator[Job]:
        """Every variant that is not the reference itself, where the model has evaluation data."""
        from benchharness.scenarios.quality.passes import compared

        return compared(planning, settings.told())

    def changes(self, base: Result, candidate: Result) -> Iterator[tuple[str, Parameters, Estimate]]:
        """Of every input its difference."""
        from benchharness.scenarios.quality.changes import changes

        return changes(base, candidate)

    def derived(self, good: Sequence[Attempt], courses: Sequence[Course]) -> Iterator[MetricResult]:
        """Everything that can be said of the last attempt's rows."""
        from benchharness.scenarios.quality.comparison import quality_metrics  # the statistics take long to load

        return quality_metrics(good[-1])


SCENARIO = QualityScenario()
