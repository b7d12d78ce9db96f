"""The Python API, and the composition root: what the command line does, as functions that return plain objects.

::

    import benchharness

    found = benchharness.run("suite.toml", attempts=5)   # or benchharness.load("latest")
    found.frame()                                        # a row per result and metric
    found.attempts_frame()                               # a row per attempt and metric
    found.compare()                                      # ratios to the reference, with intervals
    found.render("report")                               # one HTML page per hardware target
    benchharness.history(since="90 d").steps()            # over all runs: what changed, when, and the likely cause
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchharness import reading, units
from benchharness.errors import BenchharnessError, LaunchError
from benchharness.judge.answer import Answer, answers
from benchharness.judge.budgets import unmeasured
from benchharness.judge.choice import Choice, choices
from benchharness.judge.ranking import Wish
from benchharness.locations import default_store
from benchharness.metrics.limits import Budget, metric_named
from benchharness.results.export import to_csv, to_json
from benchharness.results.history import Part
from benchharness.results.result import BASE, TELLS_APART, Result, Run, VerdictKind
from benchharness.results.store import Store
from benchharness.results.trends import History
from benchharness.suite.fields import THIS_MACHINE
from benchharness.suite.judging import Rules, stored_rules

if TYPE_CHECKING:
    import pandas as pd

    from benchharness import measure
    from benchharness.judge.builds import Since
    from benchharness.judge.fleet import Fleet
    from benchharness.judge.selftest import SelfTested
    from benchharness.launch.ask import NamedAvailability
    from benchharness.suite.asked import Asked
    from benchharness.suite.overrides import Overrides
    from benchharness.suite.tables import Suite
    from reports.model.found import Found
    from reports.pages.index import Entry
    from reports.pages.site import Devices, Names

    Watching = measure.Watching

#: Runs of several devices that began within this time are of one night; and so many of them are read.
_ONE_NIGHT, _MOST_OF_A_NIGHT = timedelta(hours=18), 100

# What measures and asks devices is imported where it is called: to show what was found takes none of it, and half as
# long.


@dataclass(frozen=True, kw_only=True)
class Findings:
    """A run and what it found. Shown as a table in a notebook; `print` says the verdict and a few rows."""

    run: Run
    results: Sequence[Result]
    hardware: str = THIS_MACHINE  # the target that it was started for
    unmeasured_budgets: Sequence[Budget] = ()
    tells_apart: float = TELLS_APART  # as the suite sets it
    since: Since | None = None  # where the run compares two builds: what became of the candidate
    store: str | None = None  # where it was read from

    def verdicts(self, kind: VerdictKind) -> int:
        """How many budgets were passed, missed or left undecided, over all results; unmeasured ones are undecided."""
        told = sum(verdict.kind is kind for result in self.results for verdict in result.verdicts)
        return told + (len(self.unmeasured_budgets) if kind is VerdictKind.UNDECIDED else 0)

    def frame(self) -> pd.DataFrame:
        """A row per result and metric: what was measured, value, 95 % interval, ratio to the reference, outcome."""
        from benchharness.results import frames

        return frames.results_frame(self.results)

    def attempts_frame(self) -> pd.DataFrame:
        """A row per attempt and metric, with the raw samples."""
        from benchharness.results import frames

        return frames.attempts_frame(self.results)

    def compare(self) -> pd.DataFrame:
        """Ratios to the reference variant: a row per metric, a column per variant."""
        from benchharness.results import frames

        return frames.comparison_frame(self.results)

    def render(self, folder: str | Path) -> list[Path]:
        """Writes one HTML page per hardware target; their paths."""
        return render([self], folder)

    def choices(self, wish: Wish | str = Wish.SMALLEST) -> list[Choice]:
        """The Pareto front and the recommendation for each model, hardware target and workload.

        `wish` is "smallest" or "fastest". Raises `UsageError` for any other.
        """
        told = [f"{budget.title} {budget.text}" for budget in self.unmeasured_budgets]
        return choices(self.shipping, Wish(wish), told, self.tells_apart)

    def answers(self, wish: Wish | str = Wish.SMALLEST) -> list[Answer]:
        """What may ship: for each hardware target, model and workload a headline, what decided it, and one table.

        `wish` is as for `choices`. Raises `UsageError` for any other.
        """
        told = [f"{budget.title} {budget.text}" for budget in self.unmeasured_budgets]
        return answers(self.shipping, Wish(wish), told, self.tells_apart)

    @property
    def shipping(self) -> Sequence[Result]:
        """All but what a comparison holds the candidate against."""
        return [result for result in self.results if result.job.side != BASE]

    def __str__(self) -> str:
        from benchharness.terminal.printed import printed

        return printed(self.run, self.answers())

    def __repr__(self) -> str:
        return f"<Findings of run {self.run.id}: {len(self.results)} results>"

    def to_json(self, *, samples: bool = True) -> str:
        """Schema 1, see `benchharness.results.export`; without samples it is a hundredth as long."""
        return to_json(self.run, self.results, self.choices(), samples=samples)

    def to_csv(self) -> str:
        """A row per result and metric."""
        return to_csv(self.run, self.results)

    def _repr_html_(self) -> str:
        from benchharness.results import frames

        return frames.summary_html(self.run, self.results)


def run(
    what: Suite | Mapping[str, Any] | str | Path | Sequence[str | Path],
    *,
    on: str = THIS_MACHINE,
    reference: str | Path | None = None,
    task: str | None = None,
    asked: Asked | None = None,
    overrides: Overrides | None = None,
    store: str | None = None,
    watching: Watching | None = None,
    **changes: Any,
) -> Findings:
    """Runs a suite (a `Suite`, a table, a path) or models without one (a list of paths), and returns what it found.

    `changes` are the fields of `Overrides` (`attempts=3`, `interval="2%"`, `max_time="5 min"`, `scenarios=["steady"]`)
    and, for models without a suite, of `Asked` (`threads=2`, `runtime="onnxruntime"`, `dimensions={"x[2]": 48}`,
    `inputs="data.npz"`, `budgets={"steady_inference": {"p95": "40 ms"}}`). Without `watching` progress is drawn on the
    terminal or in the notebook. Raises `BenchharnessError`.
    """
    from benchharness import measure

    suite = measure.requested(what, reference, task, asked, overrides, changes)
    target = measure.target_of(on)
    with _opened(store) as opened:
        return _findings(opened, measure.begin(opened, suite, target, watching))


def run_on(
    on: Sequence[str],
    what: Suite | Mapping[str, Any] | str | Path | Sequence[str | Path],
    *,
    watching: Callable[[], Watching] | None = None,
    **asked: Any,
) -> list[Findings]:
    """Runs the same on several hardware targets, one after the other: what each found. Arguments as for `run`.

    One that cannot be reached is told, and the others go on. Raises `BenchharnessError`; `LaunchError` where none can
    be reached.
    """
    from benchharness import measure

    found: list[Findings] = []
    trouble: LaunchError | None = None
    for each in on:
        measure.target_of(each)  # a word that means nothing is said before an hour is spent
    for each in dict.fromkeys(on):
        try:
            found.append(run(what, on=each, watching=watching() if watching else None, **asked))
        except LaunchError as error:
            trouble = error
            if len(set(on)) > 1:  # else it is all that is said, and said once
                measure.tell(f"{each} is left out: {error}")
    if trouble is not None and not found:
        raise trouble
    return found


def resume(
    name: str = "latest",
    *,
    overrides: Overrides | None = None,
    store: str | None = None,
    watching: Watching | None = None,
) -> Findings:
    """Goes on with an interrupted run, repeating nothing. Raises `UsageError` where a model has changed since."""
    from benchharness import measure

    with _opened(store) as opened:
        run_ = opened.find(name)
        measure.go_on(opened, run_, overrides, watching)
        return _findings(opened, run_)


def load(name: str = "latest", *, store: str | None = None) -> Findings:
    """What a run found: its id, a unique prefix, or `latest`. Raises `RunNotFound`."""
    with _opened(store) as opened:
        return _findings(opened, opened.find(name))


def fleets(findings: Iterable[Findings]) -> list[Fleet]:
    """What several devices say of each hardware target: the device as a random level, the newest run of each."""
    from benchharness.judge.fleet import Measured
    from benchharness.judge.fleet import fleets as taken_together

    return taken_together(
        Measured(run=each.run, results=each.results, primary=each.since.design.primary if each.since else ())
        for each in findings
    )


def fleets_told(findings: Iterable[Findings], *, headlines: bool = False) -> list[dict[str, Any]]:
    """The same for programs, schema 1; or of figures only those that are looked at first."""
    from benchharness.judge.fleet_json import to_json

    return [to_json(each, headlines=headlines) for each in fleets(findings)]


def runs(*, store: str | None = None) -> list[Run]:
    """Every run in the store, newest first."""
    with _opened(store) as opened:
        return opened.list_runs()


def history(
    *,
    store: str | None = None,
    suite: str | None = None,
    hardware: str | None = None,
    metric: str | None = None,
    since: str | timedelta | datetime | None = None,
    base: Sequence[str] = (),
    bridge: Sequence[str] = (),
) -> History:
    """What the runs of a store say over time: a trend for each figure, its steps with their likely causes, and gaps.

    `since`: only runs no older, such as "90 d". `base`: the beginnings of base builds, of their artefact's digest or
    their runtime's version, that ratios are told against; unless said the newest night's. `bridge`: runs that compared
    an old base with a new one, by which ratios to both are joined; beside those that suites name in `[gate]`. Raises
    `UsageError` for an unknown metric, or a run that compares no builds; `StoreError`.
    """
    since = units.moment(since, datetime.now(UTC))
    part = Part(suite=suite, hardware=hardware, metric=metric and metric_named(metric).name, since=since)
    with _opened(store) as opened:
        return reading.history_in(opened, part, base, bridge)


def selftests(devices: Iterable[str], *, store: str | None = None) -> dict[str, SelfTested]:
    """By device the newest self-test that was made with a store and can be read. Raises `StoreError`."""
    with _opened(store) as opened:
        return reading.selftests_in(opened, devices)


def adapters(on: str = THIS_MACHINE) -> list[NamedAvailability]:
    """Every adapter, and whether it runs on a device. Raises `LaunchError` where that cannot be reached."""
    from benchharness import measure
    from benchharness.launch import ask

    with measure.asked(on) as launcher:
        return list(ask.availabilities(launcher or ask.this_machine()))


def hardware(probe_s: float = 0.0, on: str = THIS_MACHINE) -> dict[str, Any]:
    """What a device is, its sensors and limits, and with a probe of so many seconds how noisy it is."""
    from benchharness import measure
    from benchharness.execute.looks import describe_hardware

    with measure.asked(on) as launcher:
        return describe_hardware(probe_s, launcher)


def inspect(model: str | Path, *, compressed: bool = False, on: str = THIS_MACHINE) -> dict[str, Any]:
    """What a model file holds, read on a device without running it; `compressed`: its download size too."""
    from benchharness import measure
    from benchharness.execute.looks import inspect_model

    with measure.asked(on) as launcher:
        return inspect_model(Path(model), compressed=compressed, launcher=launcher)


def render(findings: Sequence[Findings], folder: str | Path) -> list[Path]:
    """Writes HTML pages over one or several runs, one per hardware target and their jobs beside it; their paths.

    Several runs on one hardware target are compared on one page: as devices, where each is of another one.
    """
    from reports.pages.files import write
    from reports.pages.site import report_pages

    found = [_found(each) for each in findings]
    together = fleets(findings) if len(findings) > 1 else []
    return write(report_pages(found, datetime.now(UTC), together), Path(folder))


def render_history(history: History, file: str | Path) -> Path:
    """Writes a history as one self-contained HTML page; its path. Raises `UsageError` where it cannot be written."""
    from reports.pages.files import write
    from reports.pages.history import render_history as rendered

    (path,) = write({Path(file).name: rendered(history, [], datetime.now(UTC))}, Path(file).parent)
    return path


def render_farm(status: Mapping[str, Any], file: str | Path) -> Path:
    """Writes how a farm stands, as `farm.asking.status` tells it, as one HTML page; its path. Raises `UsageError`."""
    from reports.pages.farm import render_farm as rendered
    from reports.pages.files import write

    (path,) = write({Path(file).name: rendered(status, datetime.now(UTC))}, Path(file).parent)
    return path


def render_field(told: Mapping[str, Any], file: str | Path) -> Path:
    """Writes the field's figures, as `telemetry.told` tells them, as one HTML page; its path. Raises `UsageError`."""
    from reports.pages.field import render_field as rendered
    from reports.pages.files import write

    (path,) = write({Path(file).name: rendered(told, datetime.now(UTC))}, Path(file).parent)
    return path


def site(folder: str | Path, *, store: str | None = None) -> list[Path]:
    """Writes linked pages over a whole store: an index, and for each suite all of its targets; the pages' paths.

    Of a suite on a hardware target the newest run is shown in full, earlier ones are listed, and what several say over
    time is a page of its own. A run that cannot be read stands in the index with the reason.
    """
    from reports.pages.files import write
    from reports.pages.site import index_pages, names_of, suite_pages

    now = datetime.now(UTC)
    entries: list[Entry] = []
    paths: list[Path] = []
    with _opened(store) as opened:
        by_key = opened.runs_by_suite_and_hardware()
        told = reading.told_history(opened)
        names = names_of(list(by_key), history=told is not None)
        for suite in dict.fromkeys(suite for suite, _ in by_key):
            keys = {hardware: runs for (one, hardware), runs in by_key.items() if one == suite}
            shown, lines = _newest(opened, keys, names)
            entries += lines
            several = {hardware: one for hardware in keys if (one := _devices_of(opened, hardware, keys[hardware]))}
            paths += write(suite_pages(shown, names, now, several), Path(folder)) if shown else []
    return [*write(index_pages(entries, now, told), Path(folder)), *paths]


def _newest(store: Store, by_hardware: Mapping[str, Sequence[Run]], names: Names) -> tuple[list[Found], list[Entry]]:
    """The newest run of one suite on each hardware target, and what the index says of it."""
    from reports.model.found import by_hardware as each_target
    from reports.pages.index import Entry, entry_of

    shown: list[Found] = []
    told: list[Entry] = []
    read: dict[str, list[Found]] = {}
    for hardware, (newest, *earlier) in by_hardware.items():
        place = names.targets[newest.suite, hardware]
        try:
            if newest.id not in read:
                findings = _findings(store, newest.id)
                _look_at_samples(findings.results)
                read[newest.id] = each_target(_found(findings, store))
        except BenchharnessError as error:
            why = f"it cannot be read: {error}"
            told.append(Entry(suite=newest.suite, hardware=hardware, run=newest, earlier=tuple(earlier), trouble=why))
            continue
        # Names are cut where the store lists them.
        found = next(each for each in read[newest.id] if each.hardware[: len(hardware)] == hardware)
        shown.append(found)
        all_targets = names.suites[newest.suite] if len(by_hardware) > 1 else ""
        told.append(entry_of(found, place.page, all_targets, earlier))
    return shown, told


def _devices_of(store: Store, hardware: str, runs_: Sequence[Run]) -> Devices | None:
    """What several devices say of a hardware target, of runs of one night; None where one alone tells.

    One that cannot be read is left out: the index says so of the newest.
    """
    from reports.model.found import Found
    from reports.pages.site import Devices

    night = [each for each in runs_ if runs_[0].started - each.started < _ONE_NIGHT][:_MOST_OF_A_NIGHT]
    newest: dict[str, str] = {}
    for run_, device in store.devices_of([each.id for each in night]) if len(night) > 1 else ():
        newest.setdefault(device, run_)
    findings: list[Findings] = []
    for run_ in dict.fromkeys(newest.values()) if len(newest) > 1 else ():
        with suppress(BenchharnessError):
            read = _findings(store, run_)
            findings.append(replace(read, results=[one for one in read.results if one.job.hardware == hardware]))
    told = next((each for each in fleets(findings) if len(each.units) > 1 and each.together), None)
    if told is None:
        return None
    found = [Found(run=each.run, hardware=hardware, results=each.shipping) for each in findings]
    return Devices(fleet=told, found=found)


def _look_at_samples(results: Sequence[Result]) -> None:
    """Raises `StoreError` for damaged samples while it is known whose they are: pages are drawn of several runs."""
    for value in (value for result in results for metric in result.metrics for value in metric.attempts):
        if not value.why_no_samples:
            value.samples[:0]


def _found(findings: Findings, kept: Store | None = None) -> Found:
    """What pages take of a run. `kept`: its store, where that is open: to open one on a server takes a page's time."""
    from reports.model.found import Exports, Found

    devices = sorted({device for result in findings.results for device in result.devices})
    machines: dict[str, str] = {}
    if kept is not None:
        machines = reading.machines_in(kept, devices)
    elif findings.store is not None:
        with _opened(findings.store) as opened:
            machines = reading.machines_in(opened, devices)
    return Found(
        run=findings.run,
        hardware=findings.hardware,
        results=findings.shipping,
        answers=findings.answers(),
        since=findings.since,
        exports=Exports(csv=findings.to_csv(), json=findings.to_json(samples=False)),
        machines=machines,
    )


@contextmanager
def _opened(url: str | None) -> Iterator[Store]:
    opened = open_store(url)
    try:
        yield opened
    finally:
        opened.close()


def open_store(url: str | None = None) -> Store:
    """The store at a URL, or the user's own. Raises `StoreError`."""
    return Store(url or default_store())


def _findings(store: Store, run_: str) -> Findings:
    rules = stored_rules(*store.suite_and_hardware(run_))
    results = reading.judged_by(rules, store.jobs(run_), store.attempts(run_))
    return Findings(
        run=store.run(run_),
        results=results,
        hardware=rules.hardware,
        unmeasured_budgets=unmeasured(results, rules.budgets),
        tells_apart=rules.tells_apart,
        since=_since(store, rules, results),
        store=store.url,
    )


def _since(store: Store, rules: Rules, results: Sequence[Result]) -> Since | None:
    if rules.builds is None or rules.design is None:
        return None
    from benchharness.judge.builds import Since, compared, twins
    from benchharness.judge.gate import gated

    base, candidate = rules.builds
    design, today = rules.design, date.today()
    found = compared(twins(results), design)
    verdict = gated(found, None, results, design=design, today=today)
    if rules.repeats is not None:
        with suppress(BenchharnessError):  # the run that it repeats may be of another store
            first = reading.results_in(store, rules.repeats)
            verdict = gated(compared(twins(first), design), found, first, design=design, today=today)
    return Since(base=base, candidate=candidate, design=design, comparisons=found, gated=verdict)
