"""A gate: a comparison with a pinned base, repeated where it is red, with budgets, limits and what was accepted."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from benchharness import api, ci, errors, measure
from benchharness.builds.comparing import Found, Watch, compare, load, measured, resume, stored_suite, suite_of
from benchharness.ci.report import GateReport
from benchharness.ci.summary import commands
from benchharness.errors import NothingRan, UsageError
from benchharness.judge import selftest
from benchharness.judge.gate import Colour, Gated, gated, headline
from benchharness.judge.pairs import Change
from benchharness.suite.fields import THIS_MACHINE
from benchharness.suite.gating import Gate
from benchharness.suite.overrides import Overrides
from benchharness.suite.revision import is_revision
from benchharness.suite.tables import restore_table


@dataclass(frozen=True, kw_only=True)
class Gating:
    """What a gate found: its verdict, the comparison, and the one that repeated it where it was red."""

    verdict: Gated
    first: Found
    repeated: Found | None = None
    machine: str = ""  # what the newest self-test of its device says

    def ended(self) -> tuple[int, str]:
        """The exit code, 0 green, 1 red or 5 undecided, and why it is that. Raises `NothingRan` where no job ran."""
        results = self.first.findings.results
        if not any(result.outcome.ok for result in results):
            told = f"; the first: {results[0].outcome}" if results else ""
            raise NothingRan(f"neither build gave a result{told}")
        codes = {Colour.GREEN: errors.DONE, Colour.RED: errors.GATE_FAILED, Colour.UNDECIDED: errors.UNDECIDED}
        return codes[self.verdict.colour], headline(self.verdict)

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
        return list(commands(self._report()))

    def _report(self) -> GateReport:
        return GateReport(
            gated=self.verdict,
            run=self.first.findings.run,
            base=self.first.base,
            candidate=self.first.candidate,
            design=self.first.gate.design(),
            comparisons=self.first.comparisons,
            results=self.first.findings.results,
            machine=self.machine,
        )


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
    asked = suite_of(suite, None, overrides, store).gate or Gate()
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


def resume_gate(
    name: str = "latest", *, today: date | None = None, store: str | None = None, watching: Watch | None = None
) -> Gating:
    """Goes on with an interrupted gate, whether its first comparison or the one that repeats it was interrupted."""
    with closing(api.open_store(store)) as kept:
        run = kept.find(name)
    suite = stored_suite(run, store)
    repeats = None if suite.compared is None else suite.compared.repeats
    if repeats is None:
        return _gating(resume(run, store=store, watching=watching), today, store, watching)
    again = resume(run, store=store, watching=watching)
    return _verdict(load(repeats, store=store), again, today, store)


def _gating(first: Found, today: date | None, store: str | None, watching: Watch | None) -> Gating:
    """The verdict on a comparison; where it is red a second one is made that has to say so too."""
    verdict = _verdict(first, None, today, store)
    if verdict.verdict.colour is not Colour.RED or not first.gate.repeat or not first.changed(Change.WORSE):
        return verdict
    suite = stored_suite(first.findings.run.id, store)
    assert suite.compared is not None
    base = restore_table(suite.compared.base)
    told = [suite.compared.base_told, suite.compared.candidate_told]
    run = first.findings.run.id
    with closing(api.open_store(store)) as kept:
        target = measure.target_of_run(kept, run)  # the same device, whatever else its target has
    again = measured([base, suite], told, target=target, gate={}, store=store, watching=watching, repeats=run)
    return _verdict(first, again, today, store)


def _verdict(first: Found, repeated: Found | None, today: date | None, store: str | None) -> Gating:
    verdict = gated(
        first.comparisons,
        None if repeated is None else repeated.comparisons,
        first.findings.results,
        design=first.gate.design(),
        today=today or date.today(),
        pair_s=first.pair_s,
    )
    device = next((each for result in first.findings.results for each in result.devices), "")
    sees = selftest.told(api.selftests([device], store=store).get(device), datetime.now(UTC))
    return Gating(verdict=verdict, first=first, repeated=repeated, machine=sees)


def _from_folder(base: str | Path, folder: Path, *, written: bool) -> str | Path:
    """A base as a suite writes it is relative to the suite's folder; a revision's path is to the repository's."""
    if not written or (isinstance(base, str) and is_revision(base)):
        return base
    return folder / base
