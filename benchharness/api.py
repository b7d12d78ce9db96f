"""The Python API, and the composition root: what the command line does, as functions that return plain objects.

::

    import benchharness

    found = benchharness.run("suite.toml", attempts=5)   # or benchharness.load("latest")
    found.frame()                                        # a row per result and metric
    found.attempts_frame()                               # a row per attempt and metric
    found.compare()                                      # ratios to the reference, with intervals
    found.render("report")                               # one HTML page per hardware target
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchharness.device import adapters as plug_board
from benchharness.errors import LaunchError, UsageError
from benchharness.execute.devices import Chosen, choose, reached
from benchharness.execute.jobs import Execution, Observer
from benchharness.execute.looks import describe_hardware, inspect_model
from benchharness.judge.answer import Answer, answers
from benchharness.judge.budgets import judged, unmeasured
from benchharness.judge.choice import Choice, choices
from benchharness.judge.derive import derive
from benchharness.judge.evidence import told_apart
from benchharness.judge.ranking import Wish
from benchharness.launch import Launcher, ask
from benchharness.launch.ask import NamedAvailability
from benchharness.locations import default_store, devices_folder, digest_cache, state_folder
from benchharness.metrics.limits import Budget, parse
from benchharness.results.export import to_csv, to_json
from benchharness.results.result import TELLS_APART, Job, Result, Run, VerdictKind
from benchharness.results.store import Store
from benchharness.suite import targets
from benchharness.suite.artefact import Manifest
from benchharness.suite.asked import Asked
from benchharness.suite.device import THIS_MACHINE
from benchharness.suite.hardware import HardwareTarget
from benchharness.suite.materials import gather, verify
from benchharness.suite.overrides import Overrides, overridden
from benchharness.suite.plan import plan
from benchharness.suite.planning import Materials
from benchharness.suite.request import suite_of
from benchharness.suite.sampling import sampling_notes
from benchharness.suite.tables import Suite, restore_suite

if TYPE_CHECKING:
    import pandas as pd

    from reports.model.found import Found

Watching = AbstractContextManager[Observer]


@dataclass(frozen=True, kw_only=True)
class Findings:
    """A run and what it found. Shown as a table in a notebook; `print` says the verdict and a few rows."""

    run: Run
    results: Sequence[Result]
    hardware: str = THIS_MACHINE  # the target that it was started for
    unmeasured_budgets: Sequence[Budget] = ()
    tells_apart: float = TELLS_APART  # as the suite sets it

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
        return choices(self.results, Wish(wish), told, self.tells_apart)

    def answers(self, wish: Wish | str = Wish.SMALLEST) -> list[Answer]:
        """What may ship: for each hardware target, model and workload a headline, what decided it, and one table.

        `wish` is as for `choices`. Raises `UsageError` for any other.
        """
        told = [f"{budget.title} {budget.text}" for budget in self.unmeasured_budgets]
        return answers(self.results, Wish(wish), told, self.tells_apart)

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
    suite = suite_of(what, reference, task, asked or Asked(**_wishes(changes)))
    suite = overridden(suite, overrides or Overrides(**changes))
    target = targets.target(on, devices_folder())
    with opened(store) as kept:
        materials = gather(suite, digest_cache(), _tell)
        chosen = choose(target, state_folder(kept.url))
        hardware = chosen.hardware
        jobs = _plan(suite, chosen, materials)
        run_ = kept.create_run(**_stored(suite, hardware), planned=jobs)
        _execute(kept, run_, suite, hardware, materials.manifests, watching)
        return findings_of(kept, run_)


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
    found: list[Findings] = []
    trouble: LaunchError | None = None
    for each in dict.fromkeys(on):
        targets.target(each, devices_folder())  # a word that means nothing is said before an hour is spent
    for each in dict.fromkeys(on):
        try:
            found.append(run(what, on=each, watching=watching() if watching else None, **asked))
        except LaunchError as error:
            if len(on) == 1:
                raise
            _tell(f"{each} is left out: {error}")
            trouble = error
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
    with opened(store) as kept:
        run_ = kept.find(name)
        suite, hardware = _as_stored(kept, run_)
        hardware = targets.as_known_now(hardware, devices_folder())
        suite = overridden(suite, overrides or Overrides())
        materials = gather(suite, digest_cache())
        verify(materials.manifests, [job for job, _ in kept.jobs(run_)])
        _execute(kept, run_, suite, hardware, materials.manifests, watching)
        return findings_of(kept, run_)


def load(name: str = "latest", *, store: str | None = None) -> Findings:
    """What a run found: its id, a unique prefix, or `latest`. Raises `RunNotFound`."""
    with opened(store) as kept:
        return findings_of(kept, kept.find(name))


def runs(*, store: str | None = None) -> list[Run]:
    """Every run in the store, newest first."""
    with opened(store) as kept:
        return kept.list_runs()


def adapters(on: str = THIS_MACHINE) -> list[NamedAvailability]:
    """Every adapter, and whether it runs on a device. Raises `LaunchError` where that cannot be reached."""
    with _asked(on) as launcher:
        return list(ask.availabilities(launcher or ask.this_machine()))


def hardware(probe_s: float = 0.0, on: str = THIS_MACHINE) -> dict[str, Any]:
    """What a device is, its sensors and limits, and with a probe of so many seconds how noisy it is."""
    with _asked(on) as launcher:
        return describe_hardware(probe_s, launcher)


def inspect(model: str | Path, *, compressed: bool = False, on: str = THIS_MACHINE) -> dict[str, Any]:
    """What a model file holds, read on a device without running it; `compressed`: its download size too."""
    with _asked(on) as launcher:
        return inspect_model(Path(model), compressed=compressed, launcher=launcher)


@contextmanager
def _asked(on: str) -> Iterator[Launcher | None]:
    """What reaches a device, for questions; None for this machine, which has the files already."""
    target = targets.target(on, devices_folder())
    if not target.devices:
        yield None
        return
    scratch = state_folder(default_store())
    with reached(choose(target, scratch).hardware, scratch) as launcher:
        yield launcher


def render(findings: Sequence[Findings], folder: str | Path) -> list[Path]:
    """Writes HTML pages over one or several runs, one per hardware target and their jobs beside it; their paths.

    Several runs on one hardware target are compared on one page.
    """
    from reports.pages.files import write
    from reports.pages.site import report_pages

    return write(report_pages([found_of(each) for each in findings], datetime.now(UTC)), Path(folder))


@contextmanager
def opened(url: str | None) -> Iterator[Store]:
    """The store at a URL, or the user's own, as long as it is wanted. Raises `StoreError`."""
    kept = open_store(url)
    try:
        yield kept
    finally:
        kept.close()


def open_store(url: str | None = None) -> Store:
    """The store at a URL, or the user's own. Raises `StoreError`."""
    return Store(url or default_store())


def found_of(findings: Findings) -> Found:
    """What pages take of a run."""
    from reports.model.found import Exports, Found

    return Found(
        run=findings.run,
        hardware=findings.hardware,
        results=findings.results,
        answers=findings.answers(),
        exports=Exports(csv=findings.to_csv(), json=findings.to_json(samples=False)),
    )


def _wishes(changes: dict[str, Any]) -> dict[str, Any]:
    """Takes out of the changes what is for models without a suite."""
    return {name: changes.pop(name) for name in list(changes) if name in Asked.__dataclass_fields__}


def _plan(suite: Suite, chosen: Chosen, materials: Materials) -> list[Job]:
    for note in sampling_notes(suite, chosen.hardware):
        _tell(note)
    planned = plan(suite, chosen.hardware, materials, plug_board.formats, threads=chosen.cores)
    if not planned:
        raise UsageError(
            "there is nothing to run: quality needs evaluation data; name it with --evaluate, or in a suite"
        )
    return planned


def _stored(suite: Suite, hardware: HardwareTarget) -> dict[str, str]:
    """What a run keeps of its request."""
    return {
        "suite": suite.name,
        "digest": suite.digest,
        "suite_json": suite.model_dump_json(by_alias=True),
        "hardware_json": hardware.model_dump_json(),
    }


def _tell(what: str) -> None:
    from benchharness.terminal.console import console

    console(stderr=True).print(what, style="dim", markup=False, highlight=False)


def _execute(
    store: Store,
    run_: str,
    suite: Suite,
    hardware: HardwareTarget,
    manifests: Mapping[Path, Manifest],
    watching: Watching | None,
) -> None:
    from benchharness.terminal.progress import watch

    state = state_folder(store.url)
    with watching or watch() as observer, reached(hardware, state, observer.phase) as launcher:
        execution = Execution(store, run_, rules=suite.attempts, manifests=manifests, observer=observer)
        execution.walk(launcher, state)


def _as_stored(store: Store, run_: str) -> tuple[Suite, HardwareTarget]:
    suite_json, hardware_json = store.suite_and_hardware(run_)
    return restore_suite(suite_json), HardwareTarget.model_validate_json(hardware_json)


def findings_of(store: Store, run_: str) -> Findings:
    """What a run in an open store found. Raises `StoreError`."""
    suite, hardware = _as_stored(store, run_)
    budgets = [*parse(suite.budgets, "suite"), *parse(hardware.budgets, "hardware target")]
    derived = derive(store.jobs(run_), store.attempts(run_))
    results = judged(told_apart(derived, suite.attempts.tells_apart), budgets)
    return Findings(
        run=store.run(run_),
        results=results,
        hardware=hardware.name,
        unmeasured_budgets=unmeasured(results, budgets),
        tells_apart=suite.attempts.tells_apart,
    )
