"""Commands that look after stores, as people and nightly jobs give them."""

from __future__ import annotations

import json
import shutil
import sqlite3
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import typer

import benchharness as module
from benchharness import stores
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


def test_import_says_what_came_and_what_was_here_and_runs_says_where_from(
    benchharness: CommandLine, store_url: str, tmp_path: Path
) -> None:
    other = Path(shutil.copy(GOLDEN / "store-0001.sqlite", tmp_path / "board.db"))
    before = other.read_bytes()
    done = benchharness("import", other, GOLDEN / "earlier.sqlite")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        f"{other}: 1 run added, 6 attempts added",
        f"{GOLDEN / 'earlier.sqlite'}: 4 runs added, 23 attempts added",
    ]
    assert benchharness("import", other).stdout == f"{other}: 1 run here already\n"
    assert other.read_bytes() == before
    listed = benchharness("runs").stdout
    assert listed.count("from board.db") == 1
    assert listed.count("from earlier.sqlite") == 4
    assert benchharness("show").returncode == 0
    refused = benchharness("run", "--resume")
    assert refused.returncode == 2
    assert "was imported from" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert benchharness("runs").stdout == listed


def test_import_names_what_it_refuses_and_ends_with_3(benchharness: CommandLine, tmp_path: Path) -> None:
    other = Path(shutil.copy(GOLDEN / "earlier.sqlite", tmp_path / "board.db"))
    connection = sqlite3.connect(other)
    with connection:
        hostile = json.dumps("\x1b[31mred\n=cmd()" * 100)
        some = "SELECT rowid FROM attempts ORDER BY started LIMIT 1"
        connection.execute(f"UPDATE attempts SET outcome = ?, reason = ? WHERE rowid = ({some})", (hostile, hostile))
        connection.execute("UPDATE runs SET suite = '\x1b[31mred' WHERE started = (SELECT max(started) FROM runs)")
    connection.close()
    done = benchharness("import", other)
    assert done.returncode == 3
    assert "3 runs added" in done.stdout
    (line,) = (line for line in done.stdout.splitlines() if line.startswith("refused: run "))
    assert "outcome" in line
    assert "\x1b" not in done.stdout + benchharness("runs").stdout


@pytest.mark.parametrize("kind", ["missing", "no store", "a folder"])
def test_import_of_what_is_no_store_ends_with_2_and_a_sentence(
    benchharness: CommandLine, store_url: str, tmp_path: Path, kind: str
) -> None:
    path = tmp_path / "other.db"
    if kind == "no store":
        path.write_text("hello")
    elif kind == "a folder":
        path.mkdir()
    done = benchharness("import", path)
    assert done.returncode == 2
    assert done.stderr.startswith("benchharness: sqlite:///")
    assert done.stderr.count("\n") == 1
    assert str(path) in done.stderr
    assert pruned_runs(store_url) == 0


def test_verify_counts_and_ends_with_0_or_1(benchharness: CommandLine, store_url: str) -> None:
    path = Path(store_url.removeprefix("sqlite:///"))
    shutil.copy(GOLDEN / "store-0003.sqlite", path)
    before = path.read_bytes()
    done = benchharness("verify")
    assert (done.returncode, done.stderr) == (0, "")
    assert "1 run, 2 jobs, 6 attempts, 198 measurements, 10,830 samples" in done.stdout
    assert "note: of an older schema: 1" in done.stdout
    assert done.stdout.endswith("\nsound\n")
    assert path.read_bytes() == before
    connection = sqlite3.connect(path)
    with connection:
        connection.execute("UPDATE measurements SET samples = x'00', metric = '\x1b[31mred'")
    connection.close()
    done = benchharness("verify")
    assert (done.returncode, done.stderr) == (1, "")
    assert "trouble: samples that cannot be unpacked: 198" in done.stdout
    assert "  and 193 more" in done.stdout
    assert "\x1b" not in done.stdout


def test_verify_of_no_store_ends_with_2_and_makes_none(benchharness: CommandLine, store_url: str) -> None:
    done = benchharness("verify")
    assert done.returncode == 2
    assert "cannot be read" in done.stderr
    assert not Path(store_url.removeprefix("sqlite:///")).exists()


def test_the_python_api_has_them(golden: str, tmp_path: Path) -> None:
    into = f"sqlite:///{tmp_path / 'mine.db'}"
    (done,) = module.import_stores([Path(golden.removeprefix("sqlite:///"))], store=into)
    assert len(done.added) == 4
    assert module.verify(store=into).runs == 4
    assert module.prune(datetime.now(UTC) + timedelta(days=1), store=into).runs == 4
    assert module.verify is stores.verify
