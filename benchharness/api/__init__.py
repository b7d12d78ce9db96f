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

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchharness import reading, units
from benchharness.api.findings import Findings, findings_in, fleets, fleets_told, open_store, opened
from benchharness.api.pages import render, render_farm, render_field, render_history, site
from benchharness.errors import LaunchError
from benchharness.metrics.limits import metric_named
from benchharness.results.history import Part
from benchharness.results.result import Run
from benchharness.results.trends import History
from benchharness.suite.fields import THIS_MACHINE

if TYPE_CHECKING:
    from benchharness import measure
    from benchharness.judge.selftest import SelfTested
    from benchharness.launch.ask import NamedAvailability
    from benchharness.suite.asked import Asked
    from benchharness.suite.overrides import Overrides
    from benchharness.suite.tables import Suite

    Watching = measure.Watching

__all__ = [
    "Findings",
    "adapters",
    "fleets",
    "fleets_told",
    "hardware",
    "history",
    "inspect",
    "load",
    "open_store",
    "render",
    "render_farm",
    "render_field",
    "render_history",
    "resume",
    "run",
    "run_on",
    "runs",
    "selftests",
    "site",
]

# What measures and asks devices is imported where it is called: to show what was found takes none of it, and half as
# long.


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
    with opened(store) as kept:
        return findings_in(kept, measure.begin(kept, suite, target, watching))


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

    with opened(store) as kept:
        run_ = kept.find(name)
        measure.go_on(kept, run_, overrides, watching)
        return findings_in(kept, run_)


def load(name: str = "latest", *, store: str | None = None) -> Findings:
    """What a run found: its id, a unique prefix, or `latest`. Raises `RunNotFound`."""
    with opened(store) as kept:
        return findings_in(kept, kept.find(name))


def runs(*, store: str | None = None) -> list[Run]:
    """Every run in the store, newest first."""
    with opened(store) as kept:
        return kept.list_runs()


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
    with opened(store) as kept:
        return reading.history_in(kept, part, base, bridge)


def selftests(devices: Iterable[str], *, store: str | None = None) -> dict[str, SelfTested]:
    """By device the newest self-test that was made with a store and can be read. Raises `StoreError`."""
    with opened(store) as kept:
        return reading.selftests_in(kept, devices)


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
