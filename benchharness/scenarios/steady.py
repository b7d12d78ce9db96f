"""Scenario `steady`: a warm model at work."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator

from benchharness.scenarios.definition import Scenario, ScenarioSettings, Settings, nanoseconds
from benchharness.suite.fields import Count, Depth, Pause, Seconds, all_different, as_list


class Steady(ScenarioSettings):
    """Settings of scenario `steady`; `think_time` lists pauses after which a request is measured, too."""

    warmup: Depth = 2
    repeats: Count = 3
    most_repeats: Count = 30
    most_inferences: Count = 2000
    min_time: Seconds = 0.5
    think_time: Annotated[tuple[Pause, ...], BeforeValidator(as_list), AfterValidator(all_different)] = ()
    think_repeats: Count = 5

    def expanded(self) -> Iterator[Settings]:
        """All in one."""
        made = self.model_dump(exclude={"min_time", "think_time", "think_repeats"})
        made["min_time_ns"] = nanoseconds(self.min_time)
        if self.think_time:
            made |= {
                "pauses_ns": [nanoseconds(pause) for pause in self.think_time],
                "pause_repeats": self.think_repeats,
            }
        yield made


class SteadyScenario(Scenario):
    """Requests one after another, and after pauses where they are asked for."""

    name = "steady"
    title = "warm speed"
    settings = Steady
    device = "benchharness.device.scenarios.steady"
    opens_only = True
    by_default = True
    percentiled = ("itl", "tpot", "steady_inference")
    summed_up = True


SCENARIO = SteadyScenario()
