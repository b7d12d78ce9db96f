"""Scenario `conversation`: a whole session of use, turn by turn, and coming back to it.

`planned` says who talks; `turns` reads the rows of what happened.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator, BeforeValidator

from benchharness.scenarios.definition import Scenario, ScenarioSettings
from benchharness.suite.fields import all_different, as_list

if TYPE_CHECKING:
    from benchharness.results.courses import Course
    from benchharness.results.result import Attempt, Job, MetricResult, Result
    from benchharness.suite.planning import Planning
    from benchharness.suite.tables import Model


class Conversation(ScenarioSettings):
    """Settings of scenario `conversation`: the file of turns, what happens when the context is full, coming back.

    `background` is what a foreground application does meanwhile (`benchharness.device.hogs`).
    """

    file: Path
    when_full: Literal["stop", "drop-oldest"] = "stop"
    thinks: bool = True  # the pauses before turns, as the file has them
    come_back: bool = True
    background: Annotated[
        tuple[Literal["busy-core", "memory-bandwidth"], ...], BeforeValidator(as_list), AfterValidator(all_different)
    ] = ("busy-core", "memory-bandwidth")


class ConversationScenario(Scenario):
    """Each attempt replays the whole conversation in a fresh process, and comes back in another."""

    name = "conversation"
    title = "a whole conversation, turn by turn"
    settings = Conversation
    device = "benchharness.device.scenarios.conversation.conductor"
    sections = ("reports.sections.conversation.section",)
    conducts = True
    opens_only = True
    summed_up = True
    alone = False

    def check(self, settings: Conversation, models: Mapping[str, Model]) -> None:
        """The file holds a conversation. Raises `SuiteError`."""
        from benchharness.scenarios.conversation.planned import turns_of

        turns_of(settings.file)

    def jobs(self, planning: Planning, settings: Conversation) -> Iterator[Job]:
        """A job for each variant and configuration."""
        from benchharness.scenarios.conversation.planned import jobs

        return jobs(planning, settings)

    def derived(self, good: Sequence[Attempt], courses: Sequence[Course]) -> Iterator[MetricResult]:
        """The last attempt's rows, beside what every attempt reported."""
        from benchharness.records import CONVERSATION_TURNS
        from benchharness.scenarios.raw import raw_result

        rows = (each for each in good[-1].measurements if each.metric == CONVERSATION_TURNS.metric)
        return (raw_result(good[-1], each) for each in rows)

    def told(self, result: Result) -> Iterator[str]:
        """How the turns went from the first to the last, and whether the context was full."""
        from benchharness.scenarios.conversation.turns import sentences

        return sentences(result)


SCENARIO = ConversationScenario()
