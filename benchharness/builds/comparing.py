"""Two builds are compared: what each is, the run that measures both, and what it found."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from benchharness import api, errors, measure
from benchharness.api import Findings
from benchharness.errors import NothingRan, UsageError
from benchharness.judge import stored
from benchharness.judge.builds import Comparison, Twins
from benchharness.judge.pairs import Change
from benchharness.locations import default_store, state_folder
from benchharness.results.result import Estimate, Result
from benchharness.suite.errors import explain
from benchharness.suite.fields import CHECKED_BEFORE, THIS_MACHINE
from benchharness.suite.gating import Compared, Gate, Several
from benchharness.suite.overrides import Overrides
from benchharness.suite.revision import checked_out, is_revision
from benchharness.suite.tables import Suite, restore_suite
from benchharness.suite.targets import Target
from benchharness.suite.twins import matched

if TYPE_CHECKING:
    import pandas as pd

    from benchharness.measure import Watching

#: Progress is watched anew for each run that is made.
Watch = Callable[[], "Watching"]


@dataclass(frozen=True, kw_only=True)
class Found:
    """What a comparison found. `findings` has its run and the results of both builds."""

    findings: Findings
    base: str  # what the two were called by whoever asked
    candidate: str
    gate: Gate
    comparisons: Sequence[Comparison]
    paired: bool = True  # False: of two stored runs, the weaker test

    def changed(self, kind: Change) -> list[Comparison]:
        """The primary metrics that became so."""
        return [each for each in self.comparisons if each.primary and each.kind is kind]

    def ended(self) -> tuple[int, str]:
        """The exit code, and why it is that: 1 where something is worse, 5 where something is open.

        Raises `NothingRan` where nothing could be compared.
        """
        worse, open_ = self.changed(Change.WORSE), self.changed(Change.UNDECIDED)
        primary = [each for each in self.comparisons if each.primary]
        if not worse and not any((each.difference or each.ratio).value is not None for each in primary):
            told = next((each.reason for each in primary), "no primary metric is measured by both; see --primary")
            raise NothingRan(f"nothing could be compared: {told}")
        if worse:
            return errors.GATE_FAILED, f"{len(worse)} of {len(primary)} primary metrics are worse"
        if open_:
            return errors.UNDECIDED, f"{len(open_)} of {len(primary)} primary metrics are undecided"
        return errors.DONE, ""

    @property
    def pair_s(self) -> float:
        """The time that a pair took, of all jobs together; 0.0 where nobody knows."""
        run, made = self.findings.run, max((each.pairs for each in self.comparisons), default=0)
        return (run.finished - run.started).total_seconds() / made if run.finished and made else 0.0

    def frame(self) -> pd.DataFrame:
        """A row for each metric of each job: verdict, ratio with its interval, corrected p-value, smallest change."""
        import pandas as pd

        return pd.DataFrame([_row(each) for each in self.comparisons])

    def to_json(self) -> str:
        """A row for each metric of each job, as `frame`, with what was compared and by which design."""
        told = {"schema": 1, "run": self.findings.run.id, "base": self.base, "candidate": self.candidate}
        design = {key: value for key, value in asdict(self.gate.design()).items() if key != "accepted"}
        rows = [_row(each) for each in self.comparisons]
        return json.dumps({**told, "paired": self.paired, "design": design, "comparisons": rows}, allow_nan=False)


def compare(
    base: str | Path,
    candidate: str | Path | None = None,
    *,
    base_python: str | Path | None = None,
    candidate_python: str | Path | None = None,
    on: str = THIS_MACHINE,
    gate: Mapping[str, Any] | None = None,
    overrides: Overrides | None = None,
    store: str | None = None,
    watching: Watch | None = None,
) -> Found:
    """Compares two builds: each a suite, a model, or `REVISION:SUITE` of the git repository; or two stored runs.

    Without a candidate it is the base's suite in another environment: `base_python` or `candidate_python` names an
    interpreter. `gate` changes keys of the candidate's `[gate]` (`{"margin": "3 %"}`). Raises `BenchharnessError`.
    """
    if _is_stored(base) and candidate is not None and _is_stored(candidate):
        return _of_stored(str(base), str(candidate), gate or {}, store)
    ours = base if candidate is None else candidate
    if candidate is None and base_python == candidate_python:
        raise UsageError("name a candidate too, or an environment for one of the two: --base-python OLD/bin/python")
    asked = ((base, base_python), (ours, candidate_python))
    suites = [suite_of(what, python, overrides, store) for what, python in asked]
    told = [told_as(what, python) for what, python in asked]
    return measured(suites, told, target=measure.target_of(on), gate=gate or {}, store=store, watching=watching)


def resume(name: str = "latest", *, store: str | None = None, watching: Watch | None = None) -> Found:
    """Goes on with an interrupted comparison, repeating nothing: it ends as the undisturbed one would have."""
    findings = api.resume(name, store=store, watching=watching() if watching else None)
    return found_in(findings, stored_suite(findings.run.id, store))


def load(name: str = "latest", *, store: str | None = None) -> Found:
    """What a stored run that compared two builds found. Raises `UsageError` for a run that compared none."""
    findings = api.load(name, store=store)
    return found_in(findings, stored_suite(findings.run.id, store))


def found_in(findings: Findings, suite: Suite) -> Found:
    """The comparison in a run's findings. Raises `UsageError` where there is none."""
    since = findings.since
    if since is None:
        raise UsageError(f"run {findings.run.id} compares no builds; name two runs, or: benchharness show")
    return Found(
        findings=findings,
        base=since.base,
        candidate=since.candidate,
        gate=suite.gate or Gate(),
        comparisons=since.comparisons,
    )


def measured(
    suites: Sequence[Suite],
    told: Sequence[str],
    *,
    target: Target,
    gate: Mapping[str, Any],
    store: str | None,
    watching: Watch | None,
    repeats: str | None = None,
    several: Several | None = None,
) -> Found:
    """Makes the run that compares the suites of base and candidate, which are called as `told`; what it found."""
    base, candidate = suites
    kept = base.model_dump(mode="json", by_alias=True, exclude={"compared"})
    comparison = Compared(base=kept, base_told=told[0], candidate_told=told[1], repeats=repeats, several=several)
    suite = candidate.model_copy(update={"compared": comparison, "gate": _changed(candidate.gate, gate)})
    with closing(api.open_store(store)) as opened:
        run = measure.begin_comparison(opened, base, suite, target, watching() if watching else None)
    return found_in(api.load(run, store=store), suite)


def stored_suite(run: str, store: str | None) -> Suite:
    """The suite of a run; of one that compares builds the candidate's."""
    with closing(api.open_store(store)) as opened:
        return restore_suite(opened.suite_and_hardware(run)[0])


def _changed(own: Gate | None, changes: Mapping[str, Any]) -> Gate:
    """A gate with other values for some keys. Raises `UsageError`."""
    try:
        given = Gate.model_validate(dict(changes)).model_dump(exclude_unset=True)
        return Gate.model_validate({**(own or Gate()).model_dump(), **given}, context=CHECKED_BEFORE)
    except ValidationError as error:
        raise UsageError(explain(error, Gate, "gate")) from error


def _is_stored(what: str | Path) -> bool:
    """Whether this names a run: it is no path, and no revision's."""
    return isinstance(what, str) and not Path(what).exists() and not is_revision(what) and not Path(what).suffix


def suite_of(what: str | Path, python: str | Path | None, overrides: Overrides | None, store: str | None) -> Suite:
    """A build as somebody named it, with its interpreter. Raises `UsageError`."""
    if _is_stored(what):
        raise UsageError(f"{what}: no such file; a stored run is compared with another stored run")
    path = Path(what)
    if isinstance(what, str) and is_revision(what):
        path = checked_out(what, state_folder(store or default_store()) / "revisions")
    suite = measure.requested(path, None, None, None, overrides or Overrides(), {})
    if python is None:
        return suite
    environment = Path(python).expanduser().absolute()
    if not environment.is_file():
        raise UsageError(f"{python}: is no interpreter; name one such as old/bin/python")
    configurations = tuple(each.model_copy(update={"python": environment}) for each in suite.configurations)
    return suite.model_copy(update={"configurations": configurations})


def told_as(what: str | Path, python: str | Path | None) -> str:
    """What a build is called."""
    return f"{what}{f' with {python}' if python else ''}"


def _of_stored(base: str, candidate: str, gate: Mapping[str, Any], store: str | None) -> Found:
    """Two runs that were made at different times."""
    theirs, ours = api.load(base, store=store), api.load(candidate, store=store)
    rules = _changed(stored_suite(ours.run.id, store).gate, gate)
    return Found(
        findings=replace(ours, results=[*theirs.results, *ours.results]),
        base=f"run {theirs.run.id}",
        candidate=f"run {ours.run.id}",
        gate=rules,
        comparisons=stored.compared(_twins(theirs.results, ours.results), rules.design()),
        paired=False,
    )


def _twins(base: Sequence[Result], candidate: Sequence[Result]) -> list[Twins]:
    theirs, ours = ({each.job.key: each for each in side} for side in (base, candidate))
    found = matched([each.job for each in base], [each.job for each in candidate]).twins
    return [Twins(base=theirs[one.key], candidate=ours[other.key]) for one, other in found]


def _row(comparison: Comparison) -> dict[str, Any]:
    job, ratio = comparison.job, comparison.ratio
    return {
        "model": job.model,
        "variant": job.variant,
        "configuration": job.configuration.name,
        "workload": job.workload.name,
        "scenario": job.scenario,
        "metric": comparison.metric,
        **{f"parameter_{name}": value for name, value in comparison.parameters.items()},
        "primary": comparison.primary,
        "verdict": str(comparison.kind),
        "ratio": ratio.value,
        "low": ratio.low,
        "high": ratio.high,
        **_difference(comparison.difference),
        "p_value": comparison.p_value,
        "smallest_visible_change": comparison.visible,
        "pairs": comparison.pairs,
        "base": comparison.base,
        "candidate": comparison.candidate,
        "reason": comparison.reason,
    }


def _difference(found: Estimate | None) -> dict[str, float | None]:
    if found is None:
        return {}
    return {"difference": found.value, "difference_low": found.low, "difference_high": found.high}
