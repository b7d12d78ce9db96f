"""A gate: a comparison with a pinned base, repeated where it is red, with budgets, limits and what was accepted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from benchharness import api, ci, errors, measure
from benchharness.builds.comparing import Found, Watch, load, measured, resume, stored_suite, suite_of, told_as
from benchharness.ci.report import GateReport
from benchharness.ci.summary import annotation, commands
from benchharness.errors import Interrupted, NothingRan, UsageError
from benchharness.judge import selftest
from benchharness.judge.gate import Colour, Gated, gated, headline
from benchharness.judge.pairs import Change
from benchharness.locations import digest_cache
from benchharness.results.result import BASE
from benchharness.suite.fields import THIS_MACHINE
from benchharness.suite.gating import Gate, Several
from benchharness.suite.materials import gather
from benchharness.suite.overrides import Overrides
from benchharness.suite.revision import is_revision
from benchharness.suite.tables import Suite, restore_table
from benchharness.suite.targets import Target

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
    several: Several | None = None,
) -> Gating:
    """Gates a suite by its `[gate]` table; a red one is repeated with fresh pairs. Raises `BenchharnessError`.

    `several` is kept with its runs where one command gates on several devices: see `gate_on`.
    """
    candidate = suite_of(suite, None, overrides, store)
    asked = candidate.gate or Gate()
    against = base or asked.base
    folder = Path(suite).parent
    if against is None and asked.base_python is None:
        raise UsageError(f'{suite}: say what to compare with: base = "v1.4:suite.toml" under [gate], or --base')
    against = suite if against is None else _from_folder(against, folder, written=base is None)
    python = None if asked.base_python is None else folder / Path(asked.base_python).expanduser()
    gather(candidate, digest_cache())  # what is wrong with the candidate is not the base's fault
    first = measured(
        [_base(against, python, overrides, store), candidate],
        [told_as(against, python), told_as(suite, None)],
        target=measure.target_of(on),
        gate=gate or {},
        store=store,
        watching=watching,
        several=several,
    )
    return finished(first, today, store, watching)


def _base(against: str | Path, python: Path | None, overrides: Overrides | None, store: str | None) -> Suite:
    """Raises `UsageError` where the base, or an artefact of it, is gone; it says how to go on with a newer one."""
    try:
        base = suite_of(against, python, overrides, store)
        gather(base, digest_cache())
    except UsageError as error:
        raise UsageError(f"the base {against} cannot be run: {error}. {REBASE}") from error
    return base


def resume_gate(
    name: str = "latest", *, today: date | None = None, store: str | None = None, watching: Watch | None = None
) -> Gating:
    """Goes on with an interrupted gate, whether its first comparison or the one that repeats it was interrupted."""
    with closing(api.open_store(store)) as kept:
        run = kept.find(name)
    suite = stored_suite(run, store)
    repeats = None if suite.compared is None else suite.compared.repeats
    if repeats is None:
        return finished(resume(run, store=store, watching=watching), today, store, watching)
    again = resume(run, store=store, watching=watching)
    return _verdict(load(repeats, store=store), again, today, store)


def finished(first: Found, today: date | None, store: str | None, watching: Watch | None) -> Gating:
    """The verdict on a comparison; where it is red a second one is made that has to say so too."""
    verdict = _verdict(first, None, today, store)
    if verdict.verdict.colour is not Colour.RED or not first.gate.repeat or not first.changed(Change.WORSE):
        return verdict
    run = first.findings.run.id
    with closing(api.open_store(store)) as kept:
        target = measure.target_of_run(kept, run)  # the same device, whatever else its target has
    try:
        again = made_again(run, target, store, watching, repeats=run)
    except Interrupted:
        raise
    except KeyboardInterrupt as error:  # before the repetition began: going on with the first run begins it
        raise Interrupted(run) from error
    return _verdict(first, again, today, store)


def judged(run: str, *, today: date | None = None, store: str | None = None) -> Gating:
    """The verdict on a stored run that compared two builds, or repeated that. Raises `UsageError` for any other."""
    compared = stored_suite(run, store).compared
    found = load(run, store=store)
    if compared is None or compared.repeats is None:
        return _verdict(found, None, today, store)
    return _verdict(load(compared.repeats, store=store), found, today, store)


def made_again(
    run: str,
    target: Target,
    store: str | None,
    watching: Watch | None,
    *,
    repeats: str | None = None,
    several: Several | None = None,
) -> Found:
    """A new run of the builds that a stored run compares, on a device. Raises `BenchharnessError`."""
    suite = stored_suite(run, store)
    assert suite.compared is not None
    compared = suite.compared
    return measured(
        [restore_table(compared.base), suite],
        [compared.base_told, compared.candidate_told],
        target=target,
        gate={},
        store=store,
        watching=watching,
        repeats=repeats,
        several=several or compared.several,
    )


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
