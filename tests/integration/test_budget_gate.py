"""Budgets: bad ones are refused with file and key, and the exit code says whether good ones were kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import CommandLine
from tests.integration.awkward_run import awkward_suite, python_path


@pytest.fixture(autouse=True)
def awkward(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", python_path())


BAD = [
    ('model_ttft = "250 MiB"', "model_ttft: '250 MiB' is not a duration"),
    ('peak_memory = "250 ms"', "peak_memory: '250 ms' is not a size"),
    ('model_tft = "250 ms"', "did you mean 'model_ttft'?"),
    ('itl = { p96 = "50 ms" }', "itl has no 'p96' (there are: p50, p90, p95, p99)"),
    ('itl = "50 ms"', "say which one, such as itl = { p95"),
    ('model_ttft = { p50 = "250 ms" }', "model_ttft has no 'p50' (there are: p90, p95, p99)"),
    ('model_ttft = "-250 ms"', "'-250 ms' is not a duration"),
    ('model_ttft = "nan ms"', "'nan ms' is not a duration"),
    ('model_ttft = "250"', "'250' is not a duration"),
    ("model_ttft = 250", "model_ttft: 250 has no unit"),
    ("itl = { p95 = -5 }", "itl.p95: -5 has no unit"),
]


@pytest.mark.parametrize(("budget", "sentence"), BAD, ids=[budget for budget, _ in BAD])
@pytest.mark.parametrize("where", ["suite.toml", "phone.toml"])
def test_a_bad_budget_says_file_and_key(
    benchharness: CommandLine, tmp_path: Path, budget: str, sentence: str, where: str
) -> None:
    table = f"[budgets]\n{budget}\n"
    (tmp_path / "phone.toml").write_text(table if where == "phone.toml" else "")
    suite = awkward_suite(tmp_path, more=table if where == "suite.toml" else "")
    done = benchharness("run", suite, "--on", "phone.toml")
    assert done.returncode == 2, done.stdout + done.stderr
    assert f"{where}: budgets" in done.stderr
    assert sentence in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert done.stdout == ""


GOOD = [
    ('download_size = "1 GiB"', (), 0, "keeps"),
    ('download_size = "1 B"', (), 1, "misses"),
    ('itl = { p95 = "1 ns" }', (), 0, "one attempt has no interval"),
    ('itl = { p95 = "1 ns" }', ("--undecided", "fail"), 1, "and that may count as missed"),
    ('model_ttft = "1 s"', (), 0, "nothing measured it"),
    ('model_ttft = "1 s"', ("--undecided", "fail"), 1, "and that may count as missed"),
]


@pytest.mark.parametrize(("budget", "options", "code", "_why"), GOOD)
def test_the_exit_code_says_whether_budgets_are_kept(
    benchharness: CommandLine, tmp_path: Path, budget: str, options: tuple[str, ...], code: int, _why: str
) -> None:
    done = benchharness("run", awkward_suite(tmp_path, more=f"[budgets]\n{budget}\n"), *options)
    assert done.returncode == code, done.stdout + done.stderr
    last = done.stderr.splitlines()[-1] if done.stderr else ""
    if budget.startswith("model_ttft"):
        assert "Nothing measured model_ttft 1 s." in done.stdout
    if code:
        told = "1 of 1 budget missed: download_size " if "download" in budget else "1 of 1 budget undecided, "
        assert last.startswith(f"benchharness: {told}")
    else:
        assert not last.startswith("benchharness: ")


def test_a_measured_budget_is_decided_by_its_interval(benchharness: CommandLine, tmp_path: Path) -> None:
    suite = awkward_suite(tmp_path, attempts=5, more='[budgets]\npeak_memory = "1 B"\n')
    assert benchharness("run", suite).returncode == 1
    assert benchharness("run", "--resume").returncode == 1, "looking again does not make it pass"


def test_a_missed_budget_outweighs_a_failed_job(benchharness: CommandLine, tmp_path: Path) -> None:
    variants = {"good": "fine", "bad": "load refuse"}
    suite = awkward_suite(tmp_path, variants, more='[budgets]\ndownload_size = "1 B"\n')
    assert benchharness("run", suite).returncode == 1
