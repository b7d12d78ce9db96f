"""Commands that look after stores, as people and nightly jobs give them."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest
import typer

from benchharness.commands.prune import prune
from benchharness.results.store import Store
from tests.conftest import CommandLine

GOLDEN = Path(__file__).parent.parent / "golden"


@pytest.fixture
def golden(store_url: str) -> str:
    """The tests' store, with runs of every scenario."""
    shutil.copy(GOLDEN / "earlier.sqlite", store_url.removeprefix("sqlite:///"))
    return store_url


def pruned_runs(url: str) -> int:
    store = Store(url)
    try:
        return sum(run.pruned is not None for run in store.list_runs())
    finally:
        store.close()


def test_prune_says_what_goes_and_what_went(benchharness: CommandLine, golden: str) -> None:
    would = benchharness("prune", "--keep", "0 d", "--dry-run")
    assert (would.returncode, pruned_runs(golden)) == (0, 0)
    assert "samples of 34 measurements in 4 runs, " in would.stdout
    shown = benchharness("show").stdout
    done = benchharness("prune", "--keep", "0d")  # no terminal: nobody is asked
    assert (done.returncode, done.stderr) == (0, "")
    assert "dropped: samples of 34 measurements in 4 runs, " in done.stdout
    assert "the store took " in done.stdout
    assert pruned_runs(golden) == 4
    assert benchharness("show").stdout == shown
    assert "pruned 20" in benchharness("runs").stdout
    again = benchharness("prune", "--keep", "0d")
    assert again.returncode == 0
    assert "has samples to drop" in again.stdout
    assert "dropped" not in again.stdout


def test_prune_keeps_what_is_younger(benchharness: CommandLine, golden: str) -> None:
    assert "has samples to drop" in benchharness("prune", "--keep", "900 weeks").stdout
    assert pruned_runs(golden) == 0


@pytest.mark.parametrize("age", ["90", "1 fortnight", "-3d", "99999999999 weeks"])
def test_an_age_that_is_none_is_refused(benchharness: CommandLine, golden: str, age: str) -> None:
    done = benchharness("prune", f"--keep={age}")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert pruned_runs(golden) == 0


class Terminal:
    """Standard input of somebody who sits there."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("answer", "yes", "went"), [(False, False, 0), (True, False, 4), (None, True, 4)])
def test_whoever_sits_at_a_terminal_is_asked_once(
    golden: str, monkeypatch: pytest.MonkeyPatch, answer: bool | None, yes: bool, went: int
) -> None:
    asked = []

    def confirm(question: str, **_: object) -> bool | None:
        asked.append(question)
        return answer

    monkeypatch.setattr(sys, "stdin", Terminal())
    monkeypatch.setattr(typer, "confirm", confirm)
    prune(keep="0d", yes=yes, store=golden)
    assert len(asked) == (not yes)
    assert pruned_runs(golden) == went
