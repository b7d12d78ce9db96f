"""Scenario `first-token`: how long a user waits for the first answer, with warm files and with cold ones."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from benchharness.scenarios.definition import Scenario, ScenarioSettings, Settings, nanoseconds
from benchharness.suite.fields import Count, Depth, Seconds, all_different, as_list


class FirstToken(ScenarioSettings):
    """Settings of scenario `first-token`."""

    page_cache: Annotated[
        tuple[Literal["warm", "evicted"], ...],
        BeforeValidator(as_list),
        Field(min_length=1),
        AfterValidator(all_different),
    ] = ("warm",)
    warmup: Depth = 3
    repeats: Count = 5
    most_repeats: Count = 100
    min_time: Seconds = 0.3

    def expanded(self) -> Iterator[Settings]:
        """One for each state of the page cache."""
        for page_cache in self.page_cache:
            shared = self.model_dump(exclude={"min_time", "page_cache"})
            yield {**shared, "min_time_ns": nanoseconds(self.min_time), "page_cache": page_cache}


class FirstTokenScenario(Scenario):
    """A fresh process loads the model and answers for the first time, and then again."""

    name = "first-token"
    title = "how long the first answer takes, cold or warm"
    settings = FirstToken
    device = "benchharness.device.scenarios.first_token"
    opens_only = True
    by_default = True
    percentiled = ("model_ttft", "request_ttft")
    summed_up = True


SCENARIO = FirstTokenScenario()
