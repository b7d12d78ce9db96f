"""How a run is made: what was asked for becomes a suite, the suite jobs, and the jobs attempts in a store."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchharness.device import adapters as plug_board
from benchharness.errors import Interrupted, UsageError
from benchharness.execute.devices import Chosen, choose, reached
from benchharness.execute.jobs import Execution, Observer
from benchharness.execute.pairs import Looks
from benchharness.execute.stopping import Ending
from benchharness.launch import Launcher
from benchharness.locations import default_store, devices_folder, digest_cache, state_folder
from benchharness.results.result import Job
from benchharness.results.store import Store
from benchharness.suite import targets
from benchharness.suite.artefact import Manifest
from benchharness.suite.asked import Asked
from benchharness.suite.gating import Gate
from benchharness.suite.hardware import HardwareTarget
from benchharness.suite.materials import gather, suite_from_models, verify
from benchharness.suite.overrides import Overrides, overridden
from benchharness.suite.plan import plan
from benchharness.suite.planning import Materials
from benchharness.suite.sampling import sampling_notes
from benchharness.suite.tables import Suite, load_suite, restore_suite, restore_table, suite_from_table
from benchharness.suite.twins import matched

Watching = AbstractContextManager[Observer]


def requested(
    what: Suite | Mapping[str, Any] | str | Path | Sequence[str | Path],
    reference: str | Path | None,
    task: str | None,
    asked: Asked | None,
    overrides: Overrides | None,
    changes: dict[str, Any],
) -> Suite:
    """The suite that `api.run` was asked for. Raises `BenchharnessError`."""
    suite = _suite(what, reference, task, asked or Asked(**_wishes(changes)))
    return overridden(suite, overrides or Overrides(**changes))


def target_of(on: str) -> targets.Target:
    """What `--on` means. Raises `SuiteError`."""
    return targets.target(on, devices_folder())


def target_of_run(store: Store, run: str) -> targets.Target:
    """The very device that a stored run was on, as it is reached now. Raises `SuiteError`."""
    hardware_json = store.suite_and_hardware(run)[1]
    hardware = targets.as_known_now(HardwareTarget.model_validate_json(hardware_json), devices_folder())
    return targets.Target(hardware, () if hardware.device is None else (hardware.device,))


@contextmanager
def asked(on: str) -> Iterator[Launcher | None]:
    """What reaches a device, for questions; None for this machine, which has the files already."""
    target = target_of(on)
    if not target.devices:
        yield None
        return
    scratch = state_folder(default_store())
    with reached(choose(target, scratch).hardware, scratch) as launcher:
        yield launcher


@dataclass(frozen=True, kw_only=True)
class Ready:
    """A run that may begin: files are read, a device has answered, jobs are planned, and nothing is stored yet."""

    suite: Suite
    hardware: HardwareTarget
    manifests: Mapping[Path, Manifest]
    jobs: Sequence[Job]


def ready(store: Store, suite: Suite, target: targets.Target) -> Ready:
    """Plans a run of a suite on one of a target's devices. Raises `LaunchError` where none can be reached."""
    materials = gather(suite, digest_cache(), tell)
    chosen = choose(target, state_folder(store.url))
    jobs = _plan(suite, chosen, materials)
    return Ready(suite=suite, hardware=chosen.hardware, manifests=materials.manifests, jobs=jobs)


def carry_out(store: Store, asked: Ready, watching: Watching | None, ending: Ending | None = None) -> str:
    """Makes the run that was planned; its id. `ending` may end it sooner."""
    run = store.create_run(**_stored(asked.suite, asked.hardware), planned=asked.jobs)
    _execute(store, run, asked.suite, asked.hardware, asked.manifests, watching, ending)
    return run


def begin(store: Store, suite: Suite, target: targets.Target, watching: Watching | None) -> str:
    """Makes a run of a suite on one of a target's devices; its id. Raises `LaunchError` where none can be reached."""
    return carry_out(store, ready(store, suite, target), watching)


def begin_comparison(
    store: Store, base: Suite, candidate: Suite, target: targets.Target, watching: Watching | None
) -> str:
    """Makes a run that compares two builds, the candidate's suite with the base's in `compared`; its id.

    Raises as `begin`, and `UsageError` where the two have no job in common.
    """
    materials = [gather(suite, digest_cache(), tell) for suite in (base, candidate)]
    chosen = choose(target, state_folder(store.url))
    planned = matched(*(_plan(suite, chosen, each) for suite, each in zip((base, candidate), materials, strict=True)))
    for told in planned.alone:
        tell(f"left out: {told}")
    run = store.create_run(**_stored(candidate, chosen.hardware), planned=planned.jobs())
    _execute(store, run, candidate, chosen.hardware, _manifests(materials), watching)
    return run


def _manifests(materials: Sequence[Materials]) -> dict[Path, Manifest]:
    return {path: manifest for each in materials for path, manifest in each.manifests.items()}


def go_on(store: Store, run: str, overrides: Overrides | None, watching: Watching | None) -> None:
    """Makes what a run still lacks. Raises `UsageError` where a model has changed since, and for an imported run."""
    if origin := store.run(run).origin:
        raise UsageError(
            f"run {run} was imported from {origin}: what others measured is shown and compared, and never executed "
            "here; go on with it where it was begun"
        )
    hardware = target_of_run(store, run).hardware
    suite = overridden(restore_suite(store.suite_and_hardware(run)[0]), overrides or Overrides())
    builds = [suite] if suite.compared is None else [restore_table(suite.compared.base), suite]
    manifests = _manifests([gather(each, digest_cache()) for each in builds])
    verify(manifests, [job for job, _ in store.jobs(run)])
    _execute(store, run, suite, hardware, manifests, watching)


def _wishes(changes: dict[str, Any]) -> dict[str, Any]:
    """Takes out of the changes what is for models without a suite."""
    return {name: changes.pop(name) for name in list(changes) if name in Asked.__dataclass_fields__}


def _suite(
    what: Suite | Mapping[str, Any] | str | Path | Sequence[str | Path],
    reference: str | Path | None,
    task: str | None,
    asked: Asked,
) -> Suite:
    beside = [*(["reference"] if reference else []), *(["task"] if task else []), *asked.given]
    if isinstance(what, Suite | Mapping):
        _refuse_beside_a_suite(beside)
        return what if isinstance(what, Suite) else suite_from_table(what)
    paths = [Path(what)] if isinstance(what, str | Path) else [Path(path) for path in what]
    if not paths:
        raise UsageError("name a suite (suite.toml) or one or more models (model.onnx); or try: benchharness demo")
    if not any(path.suffix == ".toml" for path in paths):
        formats = plug_board.formats if asked.runtimes else plug_board.own_formats
        known = {name: formats(name) for name in plug_board.usable()}
        reference = Path(reference) if reference else None
        return suite_from_models(paths, known, reference=reference, task=task, asked=asked)
    if len(paths) > 1:
        raise UsageError("name one suite, or models; not both, and not two suites")
    _refuse_beside_a_suite(beside)
    return load_suite(paths[0])


def _refuse_beside_a_suite(given: Sequence[str]) -> None:
    if given:
        raise UsageError(
            f"{' and '.join(given)}: for models without a suite; a suite says it in its own tables "
            "([models], [[configurations]], [[workloads]], [budgets])"
        )


def _plan(suite: Suite, chosen: Chosen, materials: Materials) -> list[Job]:
    for note in sampling_notes(suite, chosen.hardware):
        tell(note)
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


def tell(what: str) -> None:
    """Says something by the way, on standard error."""
    from benchharness.terminal.console import console

    console(stderr=True).print(what, style="dim", markup=False, highlight=False)


def _execute(
    store: Store,
    run_: str,
    suite: Suite,
    hardware: HardwareTarget,
    manifests: Mapping[Path, Manifest],
    watching: Watching | None,
    ending: Ending | None = None,
) -> None:
    from benchharness.terminal.progress import watch

    state = state_folder(store.url)
    try:
        with watching or watch() as observer, reached(hardware, state, observer.phase) as launcher:
            looks = None if suite.compared is None else Looks((suite.gate or Gate()).design())
            execution = Execution(
                store,
                run_,
                rules=suite.attempts,
                manifests=manifests,
                observer=observer,
                looks=looks,
                ending=ending,
                meter=hardware.declared_meter,
            )
            execution.walk(launcher, state)
    except (KeyboardInterrupt, BrokenPipeError) as error:  # which run it was: a store may be many people's
        raise Interrupted(run_) from error
