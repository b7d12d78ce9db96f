"""A fleet: one job on several devices of a hardware target, and what they say of the target together. Pure.

Each device has a run of its own. A figure of the fleet is the device as a random level over the devices' own figures
(`over_devices`); where two builds were compared, pairs stay on their device, and it is the ratios that are taken
together. What devices did not do alike is not taken together, and the figure says what differs.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from benchharness.judge.builds import Twins, failed, primary_of, twins
from benchharness.judge.compare import identity
from benchharness.judge.fleet_whole import farthest_of, is_computed, ratio_of, unlike, whole_of
from benchharness.judge.over_devices import FEWEST_TOLD_APART, Farthest, Level
from benchharness.judge.pairs import rounds_of
from benchharness.judge.unequal import Factor, differences
from benchharness.metrics import METRICS, Better
from benchharness.results.result import (
    CANDIDATE,
    Estimate,
    Job,
    MetricResult,
    Parameters,
    Result,
    Run,
)

#: What a device says of itself that makes it another kind of device.
_MACHINE = {"processor": "processor", "model": "model", "cores": "cores", "memory_bytes": "memory"}
#: Memory that a kernel keeps for itself differs between boots: by less than this share it is the same.
_SAME_MEMORY = 0.05
_LONGEST_NAME = 60


@dataclass(frozen=True, kw_only=True)
class Unit:
    """A device of a fleet, and the run that tells of it. `name` is what its farm calls it, else its id."""

    device: str
    name: str
    run: Run


@dataclass(frozen=True, kw_only=True)
class FleetFigure:
    """One figure of one job: of each device, in the fleet's order, and of all of them.

    `change`: it is a ratio of two builds, candidate / base. `ratio` and `ratios` are to the reference variant.
    """

    job: Job
    metric: str
    unit: str
    parameters: Parameters
    change: bool
    of: Sequence[Estimate]
    whole: Estimate
    farthest: Farthest | None
    ratio: Estimate | None = None
    ratios: Sequence[Estimate | None] = ()

    @property
    def devices(self) -> int:
        """How many devices have it."""
        return sum(each.value is not None for each in self.of)

    @property
    def headline(self) -> bool:
        """Whether it is among those that are shown first: whoever stands out is looked for in these alone."""
        known = METRICS.get(self.metric)  # a metric of a later version, or of another package, is shown all the same
        return self.change or (known is not None and known.headline)

    @property
    def title(self) -> str:
        """The metric's, or its name where this version does not know it."""
        return METRICS[self.metric].title if self.metric in METRICS else self.metric

    @property
    def better(self) -> Better:
        """Which direction is."""
        return METRICS[self.metric].better if self.metric in METRICS else Better.NEITHER


@dataclass(frozen=True, kw_only=True)
class Fleet:
    """A hardware target by several of its devices; `told` is what must be known of them."""

    hardware: str
    units: Sequence[Unit]
    figures: Sequence[FleetFigure]
    told: Sequence[str]

    @property
    def odd(self) -> dict[str, list[FleetFigure]]:
        """By the name of a device the headline figures in which it stands out."""
        found: dict[str, list[FleetFigure]] = {}
        for figure in self.figures:
            if figure.headline and figure.farthest is not None and figure.farthest.stands_out:
                found.setdefault(self.units[figure.farthest.at].name, []).append(figure)
        return dict(sorted(found.items(), key=lambda each: -len(each[1])))

    @property
    def together(self) -> bool:
        """Whether several devices have figures of one job, so that there is something to be taken together."""
        return any(figure.devices > 1 and figure.whole.value is not None for figure in self.figures)


@dataclass(frozen=True, kw_only=True)
class Measured:
    """A run and its results. `primary` are the metrics that decide, where it compares two builds."""

    run: Run
    results: Sequence[Result]
    primary: Sequence[str] = ()


def fleets(measured: Iterable[Measured]) -> list[Fleet]:
    """A fleet for each hardware target, one of a single device too; of each device its newest run counts."""
    by_hardware: dict[str, list[Measured]] = {}
    for each in sorted(measured, key=lambda one: one.run.started):
        for hardware in dict.fromkeys(result.job.hardware for result in each.results):
            mine = [result for result in each.results if result.job.hardware == hardware]
            by_hardware.setdefault(hardware, []).append(Measured(run=each.run, results=mine, primary=each.primary))
    return [_fleet(hardware, several) for hardware, several in by_hardware.items()]


def _fleet(hardware: str, several: Sequence[Measured]) -> Fleet:
    newest: dict[str, Measured] = {}
    names: dict[str, set[str]] = {}
    told: list[str] = []
    for each in several:
        devices = sorted({device for result in each.results for device in result.devices})
        if len(devices) == 1:
            newest[devices[0]] = each
            names.setdefault(devices[0], set()).add(_called(each.results) or devices[0])
        else:
            why = f"{len(devices)} devices took part in it" if devices else "no device answered"
            told.append(f"run {each.run.id[:13]} is left out: {why}")
    older = len(several) - len(newest) - len(told)
    if older:
        told.append(
            f"{older} earlier run{'' if older == 1 else 's'} of these devices left out: the newest of each counts"
        )
    told += [
        f"{' and '.join(sorted(alike))} are one device, {device}" for device, alike in names.items() if len(alike) > 1
    ]
    units = _units(newest)
    order = [newest[unit.device] for unit in units]
    figures = [*_values(order), *_changes(order)]
    return Fleet(
        hardware=hardware,
        units=units,
        figures=figures,
        told=[*_of_number(hardware, units), *_of_kinds(units, order), *_apart(figures), *told],
    )


def _units(newest: Mapping[str, Measured]) -> list[Unit]:
    """In the order of their names; two that are called alike keep their ids."""
    called = {device: _called(each.results) or device for device, each in newest.items()}
    names = list(called.values())
    return sorted(
        (
            Unit(
                device=device,
                name=called[device] if names.count(called[device]) == 1 else f"{called[device]} ({device})",
                run=each.run,
            )
            for device, each in newest.items()
        ),
        key=lambda unit: unit.name,
    )


def _called(results: Sequence[Result]) -> str:
    """What a farm calls the device that it gave a job."""
    for result in results:
        farm = result.conditions.others.get("farm")
        if isinstance(farm, Mapping) and isinstance(name := farm.get("device"), str) and name:
            return name[:_LONGEST_NAME]
    return ""


# Figures


_Key = tuple[str, str, str, str]


def _values(order: Sequence[Measured]) -> Iterator[FleetFigure]:
    """What each job measured; of a comparison the builds' own values are the comparison's matter."""
    by_job: dict[_Key, dict[int, Result]] = {}
    for at, each in enumerate(order):
        for result in each.results:
            job = result.job
            if not job.side:
                by_job.setdefault((job.cell, job.model, job.variant, job.reference), {})[at] = result
    for results in by_job.values():
        yield from _of_job(results, len(order))


def _of_job(results: Mapping[int, Result], count: int) -> Iterator[FleetFigure]:
    first = next(iter(results.values()))
    apart = unlike(results.values())
    metrics = {at: {identity(metric): metric for metric in result.metrics} for at, result in results.items()}
    for key in dict.fromkeys(key for known in metrics.values() for key in known):
        have = {at: known[key] for at, known in metrics.items() if key in known}
        one = next(iter(have.values()))
        of = [have[at].estimate if at in have else _missing(results.get(at)) for at in range(count)]
        ratios = [have[at].ratio if at in have else None for at in range(count)]
        computed = any(is_computed(each) for each in of)
        whole, levels = whole_of(of, apart)
        yield FleetFigure(
            job=first.job,
            metric=one.name,
            unit=one.unit,
            parameters=one.parameters,
            change=False,
            of=of,
            whole=whole,
            farthest=farthest_of(levels),
            ratio=None if apart else ratio_of(ratios, computed=computed),
            ratios=ratios,
        )


def _missing(result: Result | None) -> Estimate:
    if result is None:
        return Estimate(value=None, reason="its run has no such job")
    reason = "not measured there" if result.outcome.ok else f"its job ended with {result.outcome.kind}"
    return Estimate(value=None, reason=reason)


# Two builds


def _changes(order: Sequence[Measured]) -> Iterator[FleetFigure]:
    """Of runs that compared two builds, what became of each metric on each device and on all of them."""
    known: dict[tuple[str, str, tuple[str, str]], dict[int, tuple[Twins, MetricResult, Estimate]]] = {}
    for at, each in enumerate(order):
        for pair in twins(each.results):
            if failed(pair) or differences(pair.candidate, pair.base, Factor.BUILD):
                continue
            for base, candidate in primary_of(pair, each.primary):
                job = pair.candidate.job
                key = (job.cell, f"{job.digest} {pair.base.job.digest}", identity(candidate))
                known.setdefault(key, {})[at] = pair, candidate, _of_pairs(base, candidate)
    for devices in known.values():
        pair, metric, _ = next(iter(devices.values()))
        pairs = [each for each, _, _ in devices.values()]
        builds = {"candidate": [each.candidate for each in pairs], "base": [each.base for each in pairs]}
        apart = "; ".join(f"{side}: {told}" for side, results in builds.items() if (told := unlike(results)))
        nothing = Estimate(value=None, reason="its run did not compare this")
        of = [devices[at][2] if at in devices else nothing for at in range(len(order))]
        whole, levels = whole_of(of, apart)
        yield FleetFigure(
            job=pair.candidate.job,
            metric=metric.name,
            unit=metric.unit,
            parameters=metric.parameters,
            change=True,
            of=of,
            whole=whole,
            farthest=farthest_of(levels),
        )


def _of_pairs(base: MetricResult, candidate: MetricResult) -> Estimate:
    """One device's ratio of the best of each process, candidate / base, over its pairs."""
    logs = [math.log(ours / theirs) for theirs, ours in rounds_of(base, candidate).values()]
    statistic = f"geometric mean of {CANDIDATE} / base over pairs, the best of each process"
    if len(logs) < 2:
        reason = "one pair says nothing about spread" if logs else "no pair"
        return Estimate(value=math.exp(logs[0]) if logs else None, count=len(logs), statistic=statistic, reason=reason)
    level = Level(mean=fmean(logs), error=stdev(logs) / math.sqrt(len(logs)), count=len(logs))
    return _alone(level, statistic)


def _alone(level: Level, statistic: str) -> Estimate:
    """A device's own estimate, with the interval that `level_of` reads back."""
    from benchharness.judge import student

    assert level.error is not None
    half = min(student.quantile(level.count - 1) * level.error, 700.0)
    low, value, high = (math.exp(level.mean + end) for end in (-half, 0.0, half))
    return Estimate(value=value, low=low, high=high, count=level.count, statistic=statistic)


# What must be known


def _of_number(hardware: str, units: Sequence[Unit]) -> Iterator[str]:
    """What so many devices can say at all."""
    if len(units) == 1:
        yield (
            f"One device: every interval speaks of {units[0].name} alone. How far other units of {hardware} are from "
            "it is not known"
        )
    elif len(units) == 2:
        yield (
            "Two devices: an interval over them is 12.7 times as wide as the two are apart, as two units say next to "
            "nothing of how far off a third may be (Student's t with one degree of freedom); over three that lie no "
            "farther apart it is a fifth of that"
        )
    elif len(units) == FEWEST_TOLD_APART:
        yield (
            "Three devices: one is said to stand out only where it is 33 times as far from the two others as these are "
            "from each other; of more devices less is asked"
        )


def _of_kinds(units: Sequence[Unit], order: Sequence[Measured]) -> Iterator[str]:
    """In what the devices are no units of one model: what a target's name hides."""
    for key, word in _MACHINE.items():
        by_value: dict[str, list[str]] = {}
        values: list[object] = []
        for unit, each in zip(units, order, strict=True):
            value = next((told for result in each.results if (told := _fact(result, key)) is not None), None)
            if value is not None:
                values.append(value)
                by_value.setdefault(str(value)[:_LONGEST_NAME], []).append(unit.name)
        if key == "memory_bytes" and _is_one_size(values):
            continue
        if len(by_value) > 1:
            said = "; ".join(f"{value} on {', '.join(names)}" for value, names in by_value.items())
            yield f"These are not units of one model: {word} {said}. Their figures are of several kinds of devices"


def _fact(result: Result, key: str) -> object:
    value = result.conditions.others.get(key)
    return value if isinstance(value, str | int | float) and not isinstance(value, bool) else None


def _is_one_size(values: Sequence[object]) -> bool:
    sizes = [float(each) for each in values if isinstance(each, int | float)]
    return bool(sizes) and max(sizes) - min(sizes) <= _SAME_MEMORY * max(sizes)


def _apart(figures: Sequence[FleetFigure]) -> Iterator[str]:
    """Why figures are not taken together, each reason once."""
    counted: dict[str, int] = {}
    for figure in figures:
        if figure.whole.value is None and figure.whole.reason.startswith("not taken together"):
            counted[figure.whole.reason] = counted.get(figure.whole.reason, 0) + 1
    for reason, count in counted.items():
        yield f"{count} figure{' is' if count == 1 else 's are'} {reason}"
