"""What a scenario is: all that the rest of the harness may ask of one, said in its own module and nowhere else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchharness.suite.fields import Table

if TYPE_CHECKING:
    from benchharness.metrics.definition import Metric
    from benchharness.results.courses import Course, Ladder
    from benchharness.results.requested import Configuration
    from benchharness.results.result import Attempt, Estimate, Job, MetricResult, Parameters, Result, ResultWarning
    from benchharness.suite.planning import Planning
    from benchharness.suite.tables import Model

Settings = dict[str, Any]
#: Where something stands in a table: keys, and places in lists.
Location = tuple[str | int, ...]


def nanoseconds(seconds: float) -> int:
    """As settings travel to the device."""
    return round(seconds * 1e9)


class ScenarioSettings(Table):
    """What a suite says under `[scenarios.NAME]`."""

    def expanded(self) -> Iterator[Settings]:
        """As they travel to the device, times in ns: one for each that a job is planned with."""
        yield self.model_dump(mode="json")

    def paths(self) -> Iterator[tuple[Location, Path]]:
        """Every file and folder that they name, and where: what is a `Path` is one, and nothing else is."""
        return _paths(self.model_dump(by_alias=True), ())


def _paths(value: Any, where: Location) -> Iterator[tuple[Location, Path]]:
    if isinstance(value, Path):
        yield where, value
    elif isinstance(value, Mapping):
        for key, each in value.items():
            yield from _paths(each, (*where, key))
    elif isinstance(value, list | tuple):
        for at, each in enumerate(value):
            yield from _paths(each, (*where, at))


class Scenario:
    """One scenario. A new one sets what stands without a value here and overrides what is different about it.

    It is registered by name (`benchharness.scenarios`), and its modules are imported when a suite is read.
    """

    name: str
    title: str  # what it tells, in a few words: "speed over minutes, when a device grows hot"
    settings: type[ScenarioSettings]
    #: Dotted name of its module on the device, which has `measure`, or `conduct` where it conducts others.
    device: str
    by_default: bool = False  # run where a suite names no scenario
    evaluates: bool = False  # on the models' evaluation data, which is read and checked before
    conducts: bool = False  # its process on the device opens no model itself, and starts others that do
    #: Starts no program of a suite's but what `starts` names, and asks nobody else: a farm's host takes it unasked.
    opens_only: bool = False
    sensors: bool = False  # the device's sensors are read all through an attempt
    one_attempt: str = ""  # why one good attempt says it all; "": attempts as the suite asks for
    alone: bool = True  # measures each variant by itself, on each workload; else `jobs` says what is planned
    values: bool = True  # what attempts report are results; else raw rows, of which `derived` makes them
    percentiled: Sequence[str] = ()  # metrics of which it takes as many samples as a budget's percentile needs
    #: Whether of samples, those of raw tables apart, it asks nothing but what a store keeps beside them (see
    #: `benchharness.results.samples`): then they can be pruned. Another package's has to say so.
    summed_up: bool = False
    metrics: Sequence[Metric] = ()  # of its own, beside those of `benchharness.metrics`
    sections: Sequence[str] = ()  # dotted names of the modules whose SECTION shows its results on a page

    def check(self, settings: Any, models: Mapping[str, Model]) -> None:
        """Holds its settings against the suite's models. Raises `SuiteError`."""

    def gathered(self, settings: Any) -> Any:
        """What the files that its settings name hold, read and hashed before anything is planned.

        `planning.materials.of_scenarios` has it. Unless a scenario knows better each is a file of data, by its path.
        Raises `SuiteError` for what cannot be read.
        """
        from benchharness.suite.data_files import data_file

        return {path: data_file(path) for _, path in settings.paths()}

    def executes(self, settings: Any) -> Iterator[Path]:
        """Those of these files that are code, and run on the host. Raises `SuiteError` for what cannot be read."""
        return iter(())

    def starts(self, settings: Any) -> Iterator[Sequence[str]]:
        """The commands of its settings that are run on the device: a farm's host takes none of them."""
        return iter(())

    def adds(self, planning: Planning, settings: Any, variant: str, configuration: Configuration) -> Settings:
        """Facts of a job beside the common ones: `chain` or `against`."""
        return {}

    def jobs(self, planning: Planning, settings: Any) -> Iterator[Job]:
        """The jobs of one model where they are not each variant's own; planned after those."""
        return iter(())

    def completed(self, job: Job, attempt: Attempt) -> Attempt:
        """An attempt as it is kept: with what the host makes of it, once, that needs more than what is stored."""
        return attempt

    def courses(self, good: Sequence[Attempt]) -> Iterator[Course]:
        """What happened over time in its good attempts."""
        return iter(())

    def ladders(self, good: Sequence[Attempt]) -> Iterator[Ladder]:
        """What its good attempts tell step by step."""
        return iter(())

    def derived(self, good: Sequence[Attempt], courses: Sequence[Course]) -> Iterator[MetricResult]:
        """Metrics that are made of raw rows, beside those that attempts reported as values."""
        return iter(())

    def beside(self, result: Result, others: Sequence[Result]) -> Iterator[MetricResult]:
        """Metrics that hold a result against another job's."""
        return iter(())

    def changes(self, base: Result, candidate: Result) -> Iterator[tuple[str, Parameters, Estimate]]:
        """From one build to another: by metric the difference, candidate less base, paired input by input.

        Only what a ratio says nothing of; the others are compared pair by pair of processes.
        """
        return iter(())

    def told(self, result: Result) -> Iterator[str]:
        """What it comes to, in a line each that stands by itself: a decision, no figure that a table has."""
        return iter(())

    def disturbances(self, result: Result) -> Iterator[ResultWarning] | None:
        """What disturbed it, where it knows better than the conditions of whole attempts do; None where not."""
        return None

    def warnings(self, result: Result) -> Iterator[ResultWarning]:
        """What makes its results less sure, and no other scenario's."""
        return iter(())


class Unknown(Scenario):
    """A scenario of a stored run that is not installed here: what its attempts reported as values is shown."""

    title = "not installed here"
    settings = ScenarioSettings
    device = ""

    def __init__(self, name: str) -> None:
        self.name = name
