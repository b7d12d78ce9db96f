"""A gate: a comparison with a pinned base, repeated where it is red, with budgets, limits and what was accepted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from benchharness import api, ci, errors, measure
from benchharness.builds.comparing import Found, Watch, compare, load, measured, resume, stored_suite, suite_of
from benchharness.ci.report import GateReport
from benchharness.ci.summary import annotation, commands
from benchharness.errors import LaunchError, NothingRan, UsageError
from benchharness.judge import selftest
from benchharness.judge.gate import Colour, Gated, gated, headline
from benchharness.judge.pairs import Change
from benchharness.locations import digest_cache
from benchharness.results.result import BASE
from benchharness.suite.fields import THIS_MACHINE
from benchharness.suite.gating import Gate
from benchharness.suite.materials import gather
from benchharness.suite.overrides import Overrides
from benchharness.suite.revision import is_revision
from benchharness.suite.tables import restore_table

#: What to do where a base no longer runs.
REBASE = (
    "To go on with a newer base, run both side by side where the old one still runs: benchharness compare OLD NEW; "
    'then write that run under [gate], bridge = "RUN", so that history joins what was told against either '
    "(docs/history.md)"
)


@dataclass(frozen=True, kw_only=True)
class Gating:
    """What a gate found: its verdict, the comparison, and the one that repeated it where it was red."""

    verdict: Gated
    first: Found
    repeated: Found | None = None
    machine: str = ""  # what the newest self-test of its device says
    where: str = ""  # its device as it was named, where a command gates on several

    def ended(self) -> tuple[int, str]:
        """The exit code, 0 green, 1 red or 5 undecided, and why it is that. Raises `NothingRan` where no job ran."""
        results = self.first.findings.results
        if not any(result.outcome.ok for result in results):
            told = f"; the first: {results[0].outcome}" if results else ""
            raise NothingRan(f"neither build gave a result{told}")
        codes = {Colour.GREEN: errors.DONE, Colour.RED: errors.GATE_FAILED, Colour.UNDECIDED: errors.UNDECIDED}
        told = headline(self.verdict)
        if not any(result.outcome.ok for result in results if result.job.side == BASE):
            told = f"{told}; the base {self.first.base} gave no result. {REBASE}"
        return codes[self.verdict.colour], told

    def files(self) -> Mapping[str, str]:
        """As `Gates.files`, of this one alone."""
        return Gates(gatings=[self]).files()

    def write(self, folder: str | Path) -> list[Path]:
        """As `Gates.write`, of this one alone."""
        return Gates(gatings=[self]).write(folder)

    def report(self) -> GateReport:
        """What exports may tell of it."""
        return GateReport(
            gated=self.verdict,
            run=self.first.findings.run,
            base=self.first.base,
            candidate=self.first.candidate,
            design=self.first.gate.design(),
            comparisons=self.first.comparisons,
            results=self.first.findings.results,
            where=self.where,
            machine=self.machine,
        )


@dataclass(frozen=True, kw_only=True)
class Gates:
    """What one command's gates found, a verdict for each device. `unreached` are devices that gave none, with why."""

    gatings: Sequence[Gating]
    unreached: Mapping[str, str] = field(default_factory=dict)

    def ended(self) -> tuple[int, str]:
        """The worst exit code of all, and why: nothing ran before red before undecided before green."""
        told = [(errors.NOTHING_RAN, f"{where} is not gated: {why}") for where, why in self.unreached.items()]
        for each in self.gatings:
            where = f"{each.where}: " if each.where else ""
            try:
                code, why = each.ended()
            except NothingRan as error:
                code, why = error.exit_code, str(error)
            told.append((code, f"{where}{why}"))
        worst = min((code for code, _ in told), key=_WORST.index)
        return worst, "; ".join(why for code, why in told if code == worst)

    def files(self) -> Mapping[str, str]:
        """JUnit XML, Markdown, Bencher Metric Format and what github-action-benchmark reads, by their names.

        Where there are several gates, what each calls its own begins with its device.
        """
        return ci.written([each.report() for each in self.gatings], self.unreached)

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
        found = [line for each in self.gatings for line in commands(each.report())]
        return found + [annotation(f"{where}: not gated", why) for where, why in self.unreached.items()]


#: Of several exit codes the first of these that holds.
_WORST = (errors.NOTHING_RAN, errors.GATE_FAILED, errors.UNDECIDED, errors.DONE)


def gate_on(on: Sequence[str], suite: str | Path, **asked: Any) -> Gates:
    """Gates a suite on several devices, one after the other. Arguments as for `gate`.

    The chance of calling a good build worse is that of all of them together: each has its part of it (Bonferroni). One
    that cannot be reached gives no verdict, which is no green one, and the others go on. Raises `BenchharnessError`.
    """
    places = list(dict.fromkeys(on))
    for each in places:
        measure.target_of(each)  # a word that means nothing is said before an hour is spent
    several = len(places) > 1
    if several:
        asked["gate"] = {**(asked.get("gate") or {}), "family": len(places)}
    found: list[Gating] = []
    unreached: dict[str, str] = {}
    for each in places:
        try:
            gating = gate(suite, on=each, **asked)
            found.append(replace(gating, where=each) if several else gating)
        except LaunchError as error:
            if not several:
                raise
            measure.tell(f"{each} is not gated: {error}")
            unreached[each] = str(error)
    return Gates(gatings=found, unreached=unreached)


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
    _expect_base(against, python, overrides, store)
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


def _expect_base(against: str | Path, python: Path | None, overrides: Overrides | None, store: str | None) -> None:
    """Raises `UsageError` where the base, or an artefact of it, is gone; it says how to go on with a newer one."""
    try:
        gather(suite_of(against, python, overrides, store), digest_cache())
    except UsageError as error:
        raise UsageError(f"the base {against} cannot be run: {error}. {REBASE}") from error


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
