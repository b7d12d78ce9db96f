"""A suite's word on how another build of its models is compared with it: `[gate]`.

::

    [gate]
    base = "v1.4:suite.toml"        # a suite, a model, or REVISION:SUITE of this git repository
    primary = ["steady_inference", "peak_memory"]
    margin = "5 %"

    [[gate.accepted]]
    metric = "peak_memory"
    worse_by = "12 %"
    owner = "ann@example.org"
    reason = "the new tokenizer keeps its table in memory"
    until = 2027-03-01
"""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator, model_validator

from benchharness import units as quantity
from benchharness.errors import UsageError
from benchharness.judge.design import ALPHA, BETA, LEAST, LOOKS, MARGIN, PRIMARY, Accepted, Design
from benchharness.metrics import METRICS, Better
from benchharness.metrics.limits import NO_RATIO, metric_named
from benchharness.suite.fields import CHECKED_BEFORE, Name, Share, Table, all_different, as_list

_MOST_PAIRS = 500


def _metric(name: str) -> str:
    """A metric's whole name, from that or a short one."""
    try:
        return metric_named(name).name
    except UsageError as error:
        raise ValueError(str(error)) from error


def _limits(table: Any, info: ValidationInfo) -> Any:
    """`artefact_size = "2 %"` is a share of the base's; `kld = "0.01 nats"`, `accuracy = "1 %"` are differences."""
    if not isinstance(table, dict) or info.context == CHECKED_BEFORE:
        return table
    found = {}
    for given, text in table.items():
        name = _metric(given)
        unit = METRICS[name].unit
        if not isinstance(text, str):
            raise ValueError(f'{name}: {text!r} has no unit: write it as text, such as "2 %"')
        try:
            found[name] = quantity.limit(text, unit) if unit in NO_RATIO else quantity.share(text)
        except UsageError as error:
            raise ValueError(f"{name}: {error}") from error
    return found


class AcceptedTable(Table):
    """A known change for the worse; see `judge.design.Accepted`."""

    metric: Name
    owner: Name
    reason: Annotated[str, Field(min_length=1, max_length=500)]
    until: date
    worse_by: Share | None = None
    model: Name | None = None
    variant: Name | None = None
    configuration: Name | None = None
    scenario: Name | None = None

    @field_validator("metric")
    @classmethod
    def _known(cls, name: str) -> str:
        return _metric(name)

    @model_validator(mode="after")
    def _has_a_size(self) -> AcceptedTable:
        if self.worse_by is not None and METRICS[self.metric].unit in NO_RATIO:
            raise ValueError(f"{self.metric} has no ratio, so leave worse_by out; [gate.limits] says what it may lose")
        return self


class Gate(Table):
    """What is decided on, how surely, and against what."""

    base: str | None = None  # as the suite writes it; see `builds.build`
    base_python: str | None = None  # the interpreter of the base's environment
    bridge: tuple[Name, ...] = ()  # runs that compared an older base with a newer one: history tells by them
    primary: tuple[Name, ...] = PRIMARY
    margin: Share = MARGIN
    least: Share = LEAST
    alpha: Share = ALPHA
    beta: Share = BETA
    family: Annotated[int, Field(ge=1, le=_MOST_PAIRS, strict=True)] = 1  # gates of other devices that alpha is of, too
    looks: Annotated[tuple[Annotated[int, Field(ge=1, le=_MOST_PAIRS, strict=True)], ...], Field(min_length=1)] = LOOKS
    repeat: bool = True  # a red one is repeated with fresh pairs before it is told
    allow: tuple[Name, ...] = ()  # words of differences between the builds that do not matter
    limits: Annotated[dict[Name, float], BeforeValidator(_limits)] = Field(default_factory=dict)
    accepted: tuple[AcceptedTable, ...] = ()

    @field_validator("primary", "allow", "bridge", mode="before")
    @classmethod
    def _one_or_many(cls, value: Any) -> Any:
        return as_list(value)

    @field_validator("bridge")
    @classmethod
    def _one_run_for_ever(cls, names: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        if "latest" in names and info.context != CHECKED_BEFORE:
            raise ValueError(
                "'latest' is another run every night; name the bridge run by its id (see: benchharness runs)"
            )
        return names

    @field_validator("primary")
    @classmethod
    def _comparable(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        names = tuple(_metric(name) for name in names)
        for name in names:
            metric = METRICS[name]
            if metric.unit in NO_RATIO or metric.better is Better.NEITHER:
                raise ValueError(f"{name} has no better ratio: it is a difference, or may be zero; set a budget on it")
        return all_different(names)

    @model_validator(mode="after")
    def _goes_together(self) -> Gate:
        self.design()
        return self

    def design(self) -> Design:
        """What is fixed before the first pair."""
        told = self.model_dump(exclude={"base", "base_python", "bridge", "repeat", "accepted"})
        return Design(**told, accepted=tuple(Accepted(**each.model_dump()) for each in self.accepted))


class Several(Table):
    """One command's gates on several devices, as each of its runs keeps it. Nobody writes it by hand."""

    command: str  # the same for all of them, and for no other command's
    places: tuple[str, ...]  # the devices as they were named, in their order
    where: str  # this run's


class Compared(Table):
    """What a run that compares two builds keeps beside the candidate's suite. Nobody writes it by hand."""

    base: dict[str, Any]  # the base's suite, checked
    base_told: str  # what the two were called by whoever asked
    candidate_told: str
    repeats: str | None = None  # the run that this one repeats
    several: Several | None = None
