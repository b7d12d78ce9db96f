"""The Python API of comparing two builds: what got slower, where, and is it real?

::

    from benchharness import builds

    found = builds.compare("v1/suite.toml", "v2/suite.toml")    # interleaved pairs of fresh processes
    found = builds.compare("suite.toml", base_python="old/bin/python")
    found.frame()                                               # a row per metric: verdict, ratio, interval, p-value
    gate = builds.gate("suite.toml")                            # the base and everything else from its [gate] table
    gate.verdict.colour                                         # green, red, undecided
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from benchharness import api, ci, measure
from benchharness.api import Findings
from benchharness.errors import UsageError
from benchharness.judge import stored
from benchharness.judge.builds import Change, Comparison, Twins, compared, twins
from benchharness.judge.gate import Colour, Gated, gated
from benchharness.locations import default_store, state_folder
from benchharness.results.result import Result
from benchharness.suite.errors import explain
from benchharness.suite.fields import CHECKED_BEFORE, THIS_MACHINE
from benchharness.suite.gating import Compared, Gate
from benchharness.suite.overrides import Overrides
from benchharness.suite.revision import checked_out, is_revision
from benchharness.suite.tables import Suite, restore_suite, restore_table
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


@dataclass(frozen=True, kw_only=True)
class Gating:
    """What a gate found: its verdict, the comparison, and the one that repeated it where it was red."""

    verdict: Gated
    first: Found
    repeated: Found | None = None

    def files(self) -> Mapping[str, str]:
        """JUnit XML, Markdown, Bencher Metric Format and what github-action-benchmark reads, by their names."""
        return ci.written(self._report())

    def write(self, folder: str | Path) -> list[Path]:
        """Writes these files; their paths. Raises `UsageError` where they cannot be written."""
        try:
            Path(folder).mkdir(parents=True, exist_ok=True)
            paths = [(Path(folder) / name, text) for name, text in self.files().items()]
            for path, text in paths:
                path.write_text(text, encoding="utf-8")
        except OSError as error:
            raise UsageError(f"{folder}: cannot be written ({error.strerror})") from error
        return [path for path, _ in paths]

    def annotations(self) -> list[str]:
        """GitHub's workflow commands for what is not green."""
        from benchharness.ci import summary

        return list(summary.commands(self._report()))

    def _report(self) -> ci.GateReport:
        return ci.GateReport(
            gated=self.verdict,
            run=self.first.findings.run,
            base=self.first.base,
            candidate=self.first.candidate,
            design=self.first.gate.design(),
            comparisons=self.first.comparisons,
            results=self.first.findings.results,
        )


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
    suites = [_suite(what, python, overrides, store) for what, python in asked]
    told = [_told(what, python) for what, python in asked]
    return _measured(suites, told, on=on, gate=gate or {}, store=store, watching=watching)


def gate(
    suite: str | Path,
    *,
    base: str | Path | None = None,
    on: str = THIS_MACHINE,
    gate: Mapping[str, Any] | None = None,
    overrides: Overrides | None = None,
    today: date | None = None,
    store: str | None = None,
    watching: Watch | None = None,
) -> Gating:
    """Gates a suite by its `[gate]` table; a red one is repeated with fresh pairs. Raises `BenchharnessError`."""
    asked = _suite(suite, None, overrides, store).gate or Gate()
    against = base or asked.base
    folder = Path(suite).parent
    if against is None and asked.base_python is None:
        raise UsageError(f'{suite}: say what to compare with: base = "v1.4:suite.toml" under [gate], or --base')
    against = suite if against is None else _from_folder(against, folder, written=base is None)
    python = None if asked.base_python is None else folder / Path(asked.base_python).expanduser()
    first = compare(
        against,
        suite,
        base_python=python,
        on=on,
        gate=gate,
        overrides=overrides,
        store=store,
        watching=watching,
    )
    return _gating(first, today, store, watching)


def resume(name: str = "latest", *, store: str | None = None, watching: Watch | None = None) -> Found:
    """Goes on with an interrupted comparison, repeating nothing: it ends as the undisturbed one would have."""
    findings = api.resume(name, store=store, watching=watching() if watching else None)
    return found_in(findings, _stored_suite(findings.run.id, store))


def resume_gate(
    name: str = "latest", *, today: date | None = None, store: str | None = None, watching: Watch | None = None
) -> Gating:
    """Goes on with an interrupted gate, whether its first comparison or the one that repeats it was interrupted."""
    with closing(api.open_store(store)) as kept:
        run = kept.find(name)
    suite = _stored_suite(run, store)
    repeats = None if suite.compared is None else suite.compared.repeats
    if repeats is None:
        return _gating(resume(run, store=store, watching=watching), today, store, watching)
    return _verdict(load(repeats, store=store), resume(run, store=store, watching=watching), today)


def load(name: str = "latest", *, store: str | None = None) -> Found:
    """What a stored run that compared two builds found. Raises `UsageError` for a run that compared none."""
    findings = api.load(name, store=store)
    return found_in(findings, _stored_suite(findings.run.id, store))


def found_in(findings: Findings, suite: Suite) -> Found:
    """The comparison in a run's findings. Raises `UsageError` where there is none."""
    if suite.compared is None:
        raise UsageError(f"run {findings.run.id} compares no builds; name two runs, or: benchharness show")
    rules = suite.gate or Gate()
    return Found(
        findings=findings,
        base=suite.compared.base_told,
        candidate=suite.compared.candidate_told,
        gate=rules,
        comparisons=compared(twins(findings.results), rules.design()),
    )


def _measured(
    suites: Sequence[Suite],
    told: Sequence[str],
    *,
    on: str,
    gate: Mapping[str, Any],
    store: str | None,
    watching: Watch | None,
    repeats: str | None = None,
) -> Found:
    base, candidate = suites
    kept = base.model_dump(mode="json", by_alias=True, exclude={"compared"})
    comparison = Compared(base=kept, base_told=told[0], candidate_told=told[1], repeats=repeats)
    suite = candidate.model_copy(update={"compared": comparison, "gate": _changed(candidate.gate, gate)})
    target = measure.target_of(on)
    with closing(api.open_store(store)) as opened:
        run = measure.begin_comparison(opened, base, suite, target, watching() if watching else None)
    return found_in(api.load(run, store=store), suite)


def _gating(first: Found, today: date | None, store: str | None, watching: Watch | None) -> Gating:
    """The verdict on a comparison; where it is red a second one is made that has to say so too."""
    verdict = _verdict(first, None, today)
    if verdict.verdict.colour is not Colour.RED or not first.gate.repeat or not first.changed(Change.WORSE):
        return verdict
    suite = _stored_suite(first.findings.run.id, store)
    assert suite.compared is not None
    base = restore_table(suite.compared.base)
    told = [suite.compared.base_told, suite.compared.candidate_told]
    on = first.findings.hardware
    again = _measured(
        [base, suite], told, on=on, gate={}, store=store, watching=watching, repeats=first.findings.run.id
    )
    return _verdict(first, again, today)


def _verdict(first: Found, repeated: Found | None, today: date | None) -> Gating:
    verdict = gated(
        first.comparisons,
        None if repeated is None else repeated.comparisons,
        first.findings.results,
        design=first.gate.design(),
        today=today or date.today(),
        pair_s=first.pair_s,
    )
    return Gating(verdict=verdict, first=first, repeated=repeated)


def _stored_suite(run: str, store: str | None) -> Suite:
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


def _suite(what: str | Path, python: str | Path | None, overrides: Overrides | None, store: str | None) -> Suite:
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


def _from_folder(base: str | Path, folder: Path, *, written: bool) -> str | Path:
    """A base as a suite writes it is relative to the suite's folder; a revision's path is to the repository's."""
    if not written or (isinstance(base, str) and is_revision(base)):
        return base
    return folder / base


def _told(what: str | Path, python: str | Path | None) -> str:
    return f"{what}{f' with {python}' if python else ''}"


def _of_stored(base: str, candidate: str, gate: Mapping[str, Any], store: str | None) -> Found:
    """Two runs that were made at different times."""
    theirs, ours = api.load(base, store=store), api.load(candidate, store=store)
    rules = _changed(_stored_suite(ours.run.id, store).gate, gate)
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
        "p_value": comparison.p_value,
        "smallest_visible_change": comparison.visible,
        "pairs": comparison.pairs,
        "base": comparison.base,
        "candidate": comparison.candidate,
        "reason": comparison.reason,
    }
