"""Showing a stored run asks the store a few things, unpacks no samples, and loads nothing that measures."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import Engine, event

from benchharness import api
from benchharness.commands.ending import conclude
from benchharness.commands.options import Shown
from benchharness.errors import SuiteError, UsageError
from benchharness.judge.budgets import judged
from benchharness.metrics.limits import parse
from benchharness.results import samples as samples_module
from benchharness.results.store import Store
from benchharness.scenarios import SCENARIOS, Registry
from benchharness.scenarios.definition import Scenario
from benchharness.suite.fields import THIS_MACHINE
from benchharness.suite.hardware import load_hardware
from benchharness.suite.judging import stored_rules
from benchharness.suite.tables import check_suite, restore_suite
from benchharness.terminal.answer import show_answers
from benchharness.terminal.details import details
from tests.unit.made_up import TWO_VARIANTS, attempt, jobs_of, loaded, measured
from tests.unit.screens import console

SUITE = f"""{TWO_VARIANTS}
[[workloads]]
prompt = {{ tokens = [8, 16] }}
output_tokens = 8
[scenarios.first-token]
[scenarios.steady]
[budgets]
model_ttft = {{ p90 = "250 ms" }}
itl = {{ p95 = "40 ms" }}
"""
#: What measuring takes and a table does not; half a second of imports.
NOT_SHOWN = ("scipy", "pandas", "matplotlib", "jinja2", "alembic", "benchharness.execute", "benchharness.launch")


def filled(url: str, folder: Path, attempts: int) -> str:
    """A store with a run of so many attempts a job; its id."""
    store = Store(url)
    suite = loaded(folder, SUITE)
    jobs = jobs_of(suite)
    run = store.create_run(
        suite="phones",
        digest=suite.digest,
        suite_json=suite.model_dump_json(by_alias=True),
        hardware_json=load_hardware(THIS_MACHINE).model_dump_json(),
        planned=jobs,
    )
    random = np.random.default_rng(0)
    for each in jobs:
        for round_ in range(attempts):
            drawn = random.lognormal(18, 0.1, 200).tolist()
            values = [measured("model_ttft", 7e7, drawn), measured("peak_memory", 75e6 + round_)]
            if each.scenario == "steady":
                values = [measured("itl", 7e7, drawn, row_length=7), measured("decode_rate", 14.0, drawn[:3])]
            store.save_attempt(run, attempt(round_, *values, job=each.key, id=f"{each.key}-{round_:04d}"))
    store.close()
    return run


@pytest.fixture
def url(tmp_path: Path) -> str:
    url = f"sqlite:///{tmp_path / 'store.db'}"
    filled(url, tmp_path, 5)
    return url


def shown(found: api.Findings) -> str:
    made, screen = console(200)
    show_answers(found.answers(), found.results, made)
    details(found.answers(), found.results, (), made)
    return f"{screen.getvalue()}\n{found}\n{found.to_csv()}\n{found.to_json(samples=False)}"


def test_no_sample_is_unpacked_for_what_needs_none(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    unpack, unpacked = samples_module.unpack, []

    def counted(blob: bytes) -> Any:
        unpacked.append(blob)
        return unpack(blob)

    monkeypatch.setattr(samples_module, "unpack", counted)
    found = api.load(store=url)
    assert "itl p95" in shown(found)
    assert unpacked == []
    assert len(json.loads(found.to_json())["results"]) == len(found.results)
    # Every attempt once: metrics, percentiles and budgets of one attempt share its samples.
    assert len(unpacked) == 8 * 5 * 2


def test_a_run_whose_samples_are_unreadable_is_shown_as_before(url: str) -> None:
    before = shown(api.load(store=url))
    connection = sqlite3.connect(url.removeprefix("sqlite:///"))
    with connection:
        connection.execute("UPDATE measurements SET samples = ?", (b"not zlib",))
    connection.close()
    assert shown(api.load(store=url)) == before
    index, *pages = api.site(Path(url.removeprefix("sqlite:///")).parent / "site", store=url)
    assert "it cannot be read: the store sqlite" in index.read_text(encoding="utf-8")
    assert pages == []


@contextmanager
def statements() -> Iterator[list[str]]:
    """What is asked of any database meanwhile."""
    told: list[str] = []

    def hear(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if statement.startswith("SELECT"):
            told.append(statement)

    event.listen(Engine, "before_cursor_execute", hear)
    yield told
    event.remove(Engine, "before_cursor_execute", hear)


def test_as_few_questions_are_asked_of_a_large_run_as_of_a_small_one(tmp_path: Path) -> None:
    asked = []
    for attempts in (1, 12):
        (folder := tmp_path / str(attempts)).mkdir()
        url = f"sqlite:///{folder / 'store.db'}"
        run = filled(url, folder, attempts)
        with statements() as told:
            api.load(run, store=url)
        asked.append(len(told))
    assert asked[0] == asked[1] <= 8  # revision, run by name, suite, jobs, pruned, measurements, attempts, run


def test_showing_loads_nothing_that_measures(url: str) -> None:
    code = "\n".join(
        (
            "import sys",
            f"sys.argv = ['benchharness', 'show', '--store', {url!r}]",
            "from benchharness.commands.entry import main",
            "try:",
            "    main()",
            "finally:",
            "    print(*sorted(sys.modules), file=sys.stderr)",
        )
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "chat" in done.stdout
    assert {name for name in NOT_SHOWN if name in done.stderr.split()} == set()


# What a run is judged by is read without the rest of its suite.


def rules_and_suite(**tables: Any) -> tuple[Any, Any]:
    models = {"m": {"variants": {"a": {"artefact": "m.onnx"}}}}
    suite = check_suite({"name": "s", "models": models, **tables}, where="a test")
    text = suite.model_dump_json(by_alias=True)
    hardware = load_hardware(THIS_MACHINE).model_copy(update={"budgets": {"peak_memory": "90 MiB"}})
    return stored_rules(text, hardware.model_dump_json()), restore_suite(text)


def test_a_stored_suite_is_judged_by_what_it_says() -> None:
    budgets = {"model_ttft": "250 ms", "itl": {"p95": "40 ms"}, "size": "2 MiB"}
    rules, suite = rules_and_suite(budgets=budgets, attempts={"tells_apart": "3 %"})
    assert rules.hardware == THIS_MACHINE
    assert rules.tells_apart == suite.attempts.tells_apart == 0.03
    whole = [*parse(suite.budgets, "suite"), *parse({"peak_memory": "90 MiB"}, "hardware target")]
    assert list(rules.budgets) == whole
    rules, suite = rules_and_suite()
    assert rules.tells_apart == suite.attempts.tells_apart
    assert judged([], rules.budgets) == []


@pytest.mark.parametrize(
    ("suite", "hardware", "told"),
    [
        ("{", "{}", "the stored suite: "),
        ('{"attempts": {"tells_apart": 7}}', '{"name": "x"}', "the stored suite: attempts.tells_apart"),
        ('{"budgets": []}', '{"name": "x"}', "the stored suite: budgets"),
        ("{}", "{}", "the stored hardware target: 'name' is missing"),
    ],
)
def test_damaged_rules_are_told_in_words(suite: str, hardware: str, told: str) -> None:
    with pytest.raises(SuiteError) as refused:
        stored_rules(suite, hardware)
    assert str(refused.value).startswith(told)


def test_a_metric_of_another_package_is_known_when_its_scenario_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Registry] = []

    def usable(registry: Registry) -> list[Scenario]:
        asked.append(registry)
        return []

    monkeypatch.setattr(Registry, "usable", usable)
    stored_rules('{"budgets": {"size": "2 MiB"}}', '{"name": "x"}')
    assert asked == []
    with pytest.raises(UsageError, match="'reset_time' is no metric"):
        stored_rules('{"budgets": {"reset_time": "2 ms"}}', '{"name": "x"}')
    assert asked == [SCENARIOS]


@pytest.mark.parametrize("out", ["notes.txt", "notes.txt/report"])
def test_a_report_that_cannot_be_written_is_refused_before_anything_is_measured(tmp_path: Path, out: str) -> None:
    (tmp_path / "notes.txt").write_text("notes")
    with pytest.raises(UsageError, match=r"notes\.txt is a file\); choose another --out"):
        conclude(lambda _: pytest.fail("it was measured"), out=tmp_path / out, store=None, shown=Shown())
