"""The pytest plugin, as a team's own test run uses it: in a process of its own, with and without xdist."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

import benchharness
from tests.conftest import ROOT

PLUGIN = "benchharness.testing.plugin"
FUNCTIONS = """
import time

def quick():
    time.sleep(0.001)
    return 1.0

def slow():
    time.sleep(0.05)

def broken():
    raise RuntimeError("no")
"""
TESTS = """
import functions

ONCE = {"attempts": 2, "scenarios": ["steady"]}

def test_quick(bench):
    found = bench(functions.quick, budgets={"steady_inference": {"p50": "40 ms"}}, **ONCE)
    assert found.results[0].outcome.ok

def test_slow(bench):
    bench(functions.slow, budgets={"steady_inference": {"p50": "10 ms"}}, **ONCE)

def test_broken(bench):
    bench(functions.broken, **ONCE)

def test_nowhere(bench):
    bench(lambda: 1)

def test_unknown(bench):
    bench("model.loop", budgets={"speed": "1 s"}, **ONCE)

def test_model(bench):
    bench("model.loop", budgets={"tpot": "100 ms"}, **ONCE)

def test_not_slower(bench):
    bench.compare("v1/suite.toml", "suite.toml", looks=[7])

def test_slower(bench):
    bench.compare("suite.toml", "v1/suite.toml", primary=["tpot"], looks=[7])
"""
SUITE = """
models.chat.variants.engine.artefact = "model.loop"
configurations = [{ runtime = "own-loop" }]
workloads = [{ prompt = { tokens = 8 }, output_tokens = 4 }]
scenarios.steady.min_time = "1 ms"
gate.primary = ["tpot"]
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "functions.py").write_text(FUNCTIONS)
    (tmp_path / "test_theirs.py").write_text(TESTS)
    (tmp_path / "v1").mkdir()
    for path, gap_ns in (("v1/model.loop", 4_000_000), ("model.loop", 3_000_000)):
        (tmp_path / path).write_text(json.dumps({"ttft_ns": 1_000_000, "gap_ns": gap_ns}))
        (tmp_path / path).with_name("suite.toml").write_text(SUITE)
    return tmp_path


def theirs(folder: Path, *words: str) -> tuple[dict[str, str], str]:
    """Outcome by test of a run of theirs, and what it printed."""
    path = os.pathsep.join((str(folder), str(ROOT / "tests" / "own_loop"), str(ROOT)))
    environment = {**os.environ, "PYTHONPATH": path, "COLUMNS": "200"}
    installed = any(each.module == PLUGIN for each in entry_points(group="pytest11"))  # pytest loads it by itself then
    loading = () if installed else ("-p", PLUGIN)
    options = (*loading, "-rA", "--bench-store", f"sqlite:///{folder}/store.db")
    command = [sys.executable, "-m", "pytest", "--rootdir", str(folder), *options, *words]
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=900
    )
    lines = [line.split() for line in done.stdout.splitlines() if line.startswith(("PASSED ", "FAILED ", "ERROR "))]
    return {words[1].rpartition("::")[2]: words[0] for words in lines}, done.stdout


def test_budgets_and_comparisons_decide_tests(folder: Path) -> None:
    found, printed = theirs(folder)
    failing = {"test_slow", "test_broken", "test_nowhere", "test_unknown", "test_slower"}
    passing = {"test_quick", "test_model", "test_not_slower"}
    assert found == {**dict.fromkeys(failing, "FAILED"), **dict.fromkeys(passing, "PASSED")}, printed
    assert "miss steady_inference p50 10 ms, measured 5" in printed
    assert "the function raised RuntimeError: no" in printed
    assert "in no file's top level" in printed
    assert "'speed' is no metric" in printed
    assert "pydantic" not in printed
    assert "TPOT · v1" in printed or "slower: +33" in printed
    assert len(benchharness.runs(store=f"sqlite:///{folder}/store.db")) == 6


@pytest.mark.slow
def test_workers_of_xdist_measure_one_at_a_time(folder: Path) -> None:
    found, printed = theirs(folder, "-n", "2", "-k", "quick or model")
    assert found == {"test_quick": "PASSED", "test_model": "PASSED"}, printed
    runs = sorted(benchharness.runs(store=f"sqlite:///{folder}/store.db"), key=lambda each: each.started)
    assert len(runs) == 2
    assert runs[0].finished is not None
    assert runs[0].finished <= runs[1].started


def test_what_cannot_be_decided_passes_where_that_is_asked_for(folder: Path) -> None:
    (folder / "test_theirs.py").write_text(
        "def test_one(bench):\n    bench('model.loop', budgets={'tpot': '3 ms'}, attempts=1, scenarios=['steady'])\n"
    )
    assert theirs(folder)[0] == {"test_one": "FAILED"}
    assert theirs(folder, "--bench-undecided", "pass")[0] == {"test_one": "PASSED"}
