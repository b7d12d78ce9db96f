"""Scenario `task`: what a model gets right, on the artefact that is benchmarked, and what compression took from it.

A *task* is a set of documents, each with what is right, and measures of it: a task of lm-eval, or a dataset of the
suite's own. The host makes requests of the documents, the device answers them, and the host scores the answers, once,
before the attempt is kept: whoever reads a stored run executes no task's code.

`sets` says what a task is, `lm_eval_tasks` and `datasets` are its kinds; `planned` makes jobs, `scored` what an attempt
keeps, `comparison` metrics of it, paired with the reference's by document.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, model_validator

from benchharness.scenarios.definition import Scenario, ScenarioSettings
from benchharness.suite.fields import Count, Depth, Name, all_different, as_list

if TYPE_CHECKING:
    from benchharness.results.courses import Course
    from benchharness.results.result import Attempt, Estimate, Job, MetricResult, Parameters, Result
    from benchharness.suite.planning import Planning
    from benchharness.suite.tables import Model

_Names = Annotated[tuple[Name, ...], BeforeValidator(as_list), AfterValidator(all_different)]
_Folders = Annotated[tuple[Path, ...], BeforeValidator(as_list), AfterValidator(all_different)]


class Task(ScenarioSettings):
    """Settings of scenario `task`: which tasks, and how they are asked.

    Files of tasks and Python files of datasets are code that runs on this machine: `trust_code` says that they may.
    """

    tasks: _Names = ()  # of lm-eval
    task_folder: Path | None = None  # where their files are; None: those that come with lm-eval
    datasets: _Folders = ()  # folders with a card
    trust_code: bool = False
    models: _Names = ()  # whom they are for; none named: every model that they fit
    most_documents: Count = 1000  # of each task, spread evenly over all
    fewshot: Depth | None = None  # examples before each document; None: as each task says
    evaluation: Literal["decode", "prefill"] = "decode"
    prefix_token: Depth | None = None  # before a text that nothing is before; None: as the model's configuration says
    end_tokens: tuple[Depth, ...] | None = None  # that end an answer; None: as the model's configuration says
    most_tokens: Count = 256  # that an answer may have where its task does not say

    @model_validator(mode="after")
    def _names_something(self) -> Task:
        if not self.tasks and not self.datasets:
            raise ValueError('names no task: write tasks = ["…"] for those of lm-eval, or datasets = ["folder"]')
        if self.tasks and not self.trust_code:
            raise ValueError(
                "the files of lm-eval's tasks are code (jinja, !function) that runs on this machine: write "
                "trust_code = true where you know them"
            )
        return self


class TaskScenario(Scenario):
    """Each variant is asked by itself, the reference too; results are paired by document."""

    name = "task"
    title = "what a model gets right, and what compression took from it"
    settings = Task
    device = "benchharness.device.scenarios.task"
    sections = ("reports.sections.task.section",)
    summed_up = True
    values = False
    alone = False
    one_attempt = "answers are computed, not timed"

    def check(self, settings: Task, models: Mapping[str, Model]) -> None:
        """Whether there are the models that it names."""
        from benchharness.scenarios.task.planned import check

        check(settings, models)

    def gathered(self, settings: Task) -> Any:
        """The tasks with their requests, in files."""
        from benchharness.scenarios.task.gathering import sets_of

        return sets_of(settings)

    def executes(self, settings: Task) -> Iterator[Path]:
        """Whatever stands among lm-eval's task files, and the Python that datasets name."""
        from benchharness.scenarios.task.gathering import code_of

        return code_of(settings)

    def jobs(self, planning: Planning, settings: Task) -> Iterator[Job]:
        """Every task that fits the model, for every variant."""
        from benchharness.scenarios.task.planned import planned

        return planned(planning, settings)

    def completed(self, job: Job, attempt: Attempt) -> Attempt:
        """Its answers scored."""
        from benchharness.scenarios.task.scored import scored

        return scored(job, attempt) if attempt.outcome.ok else attempt

    def derived(self, good: Sequence[Attempt], courses: Sequence[Course]) -> Iterator[MetricResult]:
        """The measures of the last attempt's documents."""
        from benchharness.scenarios.task.comparison import measures  # the statistics take long to load

        return measures(good[-1])

    def beside(self, result: Result, others: Sequence[Result]) -> Iterator[MetricResult]:
        """What it lost against the reference, document by document."""
        from benchharness.scenarios.task.comparison import losses

        return losses(result, others)

    def changes(self, base: Result, candidate: Result) -> Iterator[tuple[str, Parameters, Estimate]]:
        """What the candidate lost against the base, document by document."""
        from benchharness.scenarios.task.comparison import changes

        return changes(base, candidate)


SCENARIO = TaskScenario()
