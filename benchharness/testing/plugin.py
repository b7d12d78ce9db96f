"""A pytest plugin: `bench` measures a model or a function in fresh processes, and holds it to budgets or to a base.

::

    def test_encoder_is_quick(bench):
        bench("model.onnx", budgets={"steady_inference": {"p95": "40 ms"}}, attempts=5)

    def test_tokenizer_is_quick(bench):
        bench(tokenize_a_page, budgets={"steady_inference": {"p50": "2 ms"}})     # a function of a module, no arguments

    def test_not_slower_than_the_last_release(bench):
        bench.compare("v1/model.onnx", "model.onnx", margin="5 %")

What it measures stands in the same store as any run (`--bench-store`, else the user's own). Under pytest-xdist one
worker measures at a time; what other workers do meanwhile disturbs it, and is told as a warning of the run.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from benchharness.api import Findings
    from benchharness.builds import Found

#: Waiting for other workers' measurements.
_PATIENCE_S = 3600.0
_TOLD = pytest.StashKey[list[str]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """The plugin's options."""
    group = parser.getgroup("benchharness")
    group.addoption("--bench-store", metavar="URL", help="where `bench` keeps what it measures (SQLAlchemy URL)")
    group.addoption(
        "--bench-undecided",
        choices=("fail", "pass"),
        default="fail",
        help="what a budget or comparison that could not be decided does to its test [fail]",
    )


@pytest.fixture
def bench(request: pytest.FixtureRequest) -> Bench:
    """Measures models and functions, and fails the test where a budget is missed or a build got worse."""
    return Bench(
        store=request.config.getoption("--bench-store"),
        undecided_fails=request.config.getoption("--bench-undecided") == "fail",
        told=request.config.stash.setdefault(_TOLD, []),
    )


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What was measured, a line a run."""
    lines = terminalreporter.config.stash.get(_TOLD, [])
    if lines:
        terminalreporter.section("benchharness")
        for line in lines:
            terminalreporter.line(line)


class Bench:
    """What the fixture is. Every call measures at once, in fresh processes."""

    def __init__(self, *, store: str | None, undecided_fails: bool, told: list[str]) -> None:
        self._store, self._undecided_fails, self._told = store, undecided_fails, told

    def __call__(
        self,
        what: str | Path | Sequence[str | Path] | Callable[[], Any],
        *,
        budgets: Mapping[str, Any] | None = None,
        **changes: Any,
    ) -> Findings:
        """Runs a model, several, a suite, or a function; what was found.

        `changes` are those of `benchharness.run` (`attempts=5`, `threads=2`, `scenarios=["steady"]`). Fails the test
        where a budget is missed, a job failed, or a budget is undecided and `--bench-undecided` is not `pass`.
        """
        from benchharness import api

        asked: Any = what
        if callable(what):
            asked = _suite_of(what, budgets or {})
        elif budgets:
            changes["budgets"] = budgets
        with self._alone():
            found = api.run(asked, store=self._store, **changes)
        self._told.append(f"run {found.run.id}: {found.run.suite}, {found.run.attempts} attempts")
        _hold(found, undecided_fails=self._undecided_fails)
        return found

    def compare(self, base: str | Path, candidate: str | Path | None = None, **asked: Any) -> Found:
        """Compares two builds, or two environments of one; what was found.

        `asked` are the arguments of `benchharness.builds.compare` (`base_python=…`), and keys of a suite's `[gate]`
        (`margin="3 %"`, `primary=["tpot"]`). Fails the test where the candidate is worse, or undecided as above.
        """
        from benchharness import builds
        from benchharness.judge.pairs import Change
        from benchharness.judge.told import subject_of, told_of

        known = inspect.signature(builds.compare).parameters
        gate = {key: asked.pop(key) for key in list(asked) if key not in known}
        with self._alone():
            found = builds.compare(base, candidate, gate=gate, store=self._store, **asked)
        self._told.append(f"run {found.findings.run.id}: {found.candidate} against {found.base}")
        wrong = [Change.WORSE, *([Change.UNDECIDED] if self._undecided_fails else [])]
        design = found.gate.design()
        lines = [f"{subject_of(each)}: {told_of(each, design)}" for kind in wrong for each in found.changed(kind)]
        if lines or not any(each.primary for each in found.comparisons):
            pytest.fail("\n".join(lines) or "no primary metric is measured by both builds", pytrace=False)
        return found

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """While no other worker measures. What cannot be measured as asked fails the test in a sentence."""
        from filelock import FileLock

        from benchharness.errors import BenchharnessError
        from benchharness.locations import default_store, state_folder

        folder = state_folder(self._store or default_store())
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / "pytest.lock", timeout=_PATIENCE_S):
            try:
                yield
            except BenchharnessError as error:
                raise pytest.fail.Exception(f"bench: {error}", pytrace=False) from None


def _suite_of(function: Callable[[], Any], budgets: Mapping[str, Any]) -> dict[str, Any]:
    """A suite that calls a function in fresh processes. Fails the test for one that no other process can find."""
    name, file = getattr(function, "__qualname__", ""), inspect.getsourcefile(function)
    if file is None or not name or "<" in name:
        told = f"bench: {function!r} is in no file's top level, where a fresh process could find it"
        pytest.fail(told, pytrace=False)
    return {
        "name": name,
        "models": {name: {"variants": {name: {"artefact": file}}}},
        "configurations": [{"runtime": "python", "options": {"function": name}}],
        "budgets": dict(budgets),
    }


def _hold(found: Findings, *, undecided_fails: bool) -> None:
    """Fails the test where something of it is wrong."""
    from benchharness.results.result import VerdictKind

    wrong = (VerdictKind.MISS, *((VerdictKind.UNDECIDED,) if undecided_fails else ()))
    lines = [f"{each.job.title}: {each.outcome}" for each in found.results if not each.outcome.ok]
    for result in found.results:
        for verdict in (each for each in result.verdicts if each.kind in wrong):
            wanted = (verdict.metric, verdict.parameters)
            metric = next(each for each in result.metrics if (each.name, each.parameters) == wanted)
            measured = "nothing" if metric.estimate.value is None else f"{metric.estimate.value:.6g} {metric.unit}"
            why = f" ({verdict.reason})" if verdict.reason else ""
            lines.append(f"{result.job.title}: {verdict.kind} {verdict.budget}, measured {measured}{why}")
    lines += [f"nothing measured {budget.title}" for budget in found.unmeasured_budgets if undecided_fails]
    if lines:
        pytest.fail("\n".join(lines), pytrace=False)
