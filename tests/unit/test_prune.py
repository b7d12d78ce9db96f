"""Pruning: samples of old runs go, and every figure that was told of them stays as it was."""

from __future__ import annotations

import difflib
import io
import json
import math
import os
import re
import shutil
import signal
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rich.console import Console

from benchharness import api, stores
from benchharness.errors import StoreError
from benchharness.judge.derive import derive
from benchharness.judge.percentiles import percentile_of
from benchharness.records import MEMORY_TIMELINE, TABLES
from benchharness.results import prune as pruning
from benchharness.results.result import AttemptValue, Measurement
from benchharness.results.samples import mean, pruned, told_of
from benchharness.results.store import Store
from benchharness.scenarios import SCENARIOS
from benchharness.scenarios.sustained.course import retention_of_steady
from benchharness.terminal.details import details
from benchharness.terminal.job import show_job
from tests.unit.made_up import attempt, job, measured
from tests.unit.report_course_samples import course as seen_course
from tests.unit.report_course_samples import sustained as session

GOLDEN = Path(__file__).parent.parent / "golden"
#: Runs of every scenario there is.
EVERY_SCENARIO = GOLDEN / "earlier.sqlite"
NOW = datetime.now(UTC)
SOON = NOW + timedelta(days=1)
SAMPLES = np.random.default_rng(5).lognormal(13, 0.3, 700).tolist()


def opened(path: Path) -> Store:
    return Store(f"sqlite:///{path}")


def stored(store: Store, *measurements: Measurement, state: str = "finished", scenario: str = "steady") -> str:
    """A run with one attempt."""
    planned = [job(scenario=scenario)]
    hardware = '{"name": "this-machine"}'
    run = store.create_run(suite="s", digest="", suite_json="{}", hardware_json=hardware, planned=planned)
    store.save_attempt(run, attempt(0, *measurements, id=f"{run[:-1]}f"))
    store.set_state(run, state)
    return run


def latency(samples: list[float] = SAMPLES) -> Measurement:
    return measured("steady_inference", float(np.median(samples)), samples)


def samples_of(store: Store, run: str) -> Any:
    return store.attempts(run)[0].measurements[0].samples


def everything_said(url: str) -> list[str]:
    """What tables, exports and lines say of every run, without samples."""
    said = []
    for run in api.runs(store=url):
        found = api.load(run.id, store=url)
        said += [found.to_json(samples=False), found.to_csv(), str(found), found.frame().to_csv()]
        said += [str(found.choices()), str(found.compare().to_csv())]
        console = Console(width=200, record=True, file=io.StringIO())
        details(found.answers(), found.results, [], console)
        for result in found.results:
            show_job(result, console)
        said.append(re.sub(r"  samples were pruned on \S+", "", console.export_text()))
    return said


def pages_of(url: str, folder: Path) -> list[list[str]]:
    for run in api.runs(store=url):
        api.load(run.id, store=url).render(folder / run.id)
    return [page.read_text().splitlines() for page in sorted(folder.rglob("*.html"))]


def test_every_figure_of_every_scenario_stays_as_it_was_and_samples_of_tables_stay(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    shutil.copy(EVERY_SCENARIO, path)
    url = f"sqlite:///{path}"
    before = everything_said(url)
    done = stores.prune(SOON, store=url)
    assert (done.runs, done.measurements, done.damaged) == (4, 34, 0)
    assert everything_said(url) == before
    found = api.load("latest", store=url)
    store = opened(path)
    left = [(one.metric, one.samples) for run in store.list_runs() for each in store.attempts(run.id)
            for one in each.measurements if len(one.samples)]  # fmt: skip
    store.close()
    assert {result.job.scenario for result in found.results} >= {"steady", "sustained", "quality"}
    kept = {metric for metric, samples in left if pruned(samples) is None}
    assert {"sustained_window", "sensor_reading", "token_divergence", "constrained_trials"} <= kept
    assert kept <= {*TABLES} - {MEMORY_TIMELINE.metric}
    assert {metric for metric, samples in left if pruned(samples)} == {metric for metric, _ in left} - kept


@pytest.mark.slow
def test_pages_are_as_they_were_but_for_samples_that_are_drawn_and_say_why(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    shutil.copy(EVERY_SCENARIO, path)
    url = f"sqlite:///{path}"
    before = pages_of(url, tmp_path / "before")
    stores.prune(SOON, store=url)
    after = pages_of(url, tmp_path / "after")
    drawn = ("steady inference", "Memory over time", "ITL, ", "Time by token")
    told = 0
    for old, new in zip(before, after, strict=True):
        gone, come = [], []
        for tag, start, end, low, high in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
            if tag != "equal":
                gone.append("\n".join(old[start:end]))
                come += [line for line in new[low:high] if line.strip()]
        assert all(any(name in block for name in drawn) for block in gone if block.strip())
        assert {re.sub(r"\d{4}-\d\d-\d\d", "DATE", line) for line in come} <= {
            "<p><small>Not drawn here: samples were pruned on DATE.</small></p>"
        }
        told += len(come)
    assert told == 8  # once for latencies and once for memory wherever there were any


def test_a_tail_a_mean_and_everything_a_warning_asks_is_kept(tmp_path: Path) -> None:
    store = opened(tmp_path / "store.db")
    slow = [SAMPLES[0] * 1e3, *SAMPLES[1:]]
    run = stored(store, latency(slow), measured("tpot", 3.0, SAMPLES), measured("itl", 3.0, SAMPLES, row_length=7))
    before = derive([(job(), "")], store.attempts(run))
    averages = [mean(each.samples) for each in store.attempts(run)[0].measurements]
    pruning.prune(store, SOON, ["steady"])
    after = store.attempts(run)
    assert (
        [mean(each.samples) for each in after[0].measurements] == averages == [np.mean(slow), *2 * [np.mean(SAMPLES)]]
    )
    (one,), (other,) = before, derive([(job(), "")], after)
    assert [str(each) for each in one.warnings] == [str(each) for each in other.warnings] != []
    assert [(each.name, each.parameters, each.estimate) for each in one.metrics] == [
        (each.name, each.parameters, each.estimate) for each in other.metrics
    ]
    assert any(each.parameters.get("percentile") == 99 for each in other.metrics)
    store.close()


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.floats(min_value=1e-3, max_value=1e12), min_size=1, max_size=80), st.integers(0, 8))
def test_whatever_was_measured_its_results_are_those_of_before(
    tmp_path_factory: pytest.TempPathFactory, samples: list[float], row_length: int
) -> None:
    store = opened(tmp_path_factory.mktemp("store") / "store.db")
    run = stored(store, latency(samples), measured("itl", samples[0], samples, row_length=row_length))
    before = derive([(job(), "")], store.attempts(run))
    assert pruning.prune(store, SOON, ["steady"]).measurements == 2
    after = derive([(job(), "")], store.attempts(run))
    store.close()
    assert [[metric.estimate for metric in each.metrics] for each in before] == [
        [metric.estimate for metric in each.metrics] for each in after
    ]
    assert before[0].warnings == after[0].warnings


def test_a_session_is_held_against_the_mean_of_a_cool_device(tmp_path: Path) -> None:
    store = opened(tmp_path / "store.db")
    run = stored(store, latency())
    course = session("int8", [seen_course(unit="inferences/s")])
    told = []
    for _ in range(2):
        (steady,) = derive([(job(), "")], store.attempts(run))
        cool = replace(steady, job=replace(course.job, scenario="steady"))
        told.append(retention_of_steady(course, [cool]))
        pruning.prune(store, SOON, ["steady"])
    store.close()
    assert told[0] == told[1]
    assert told[1] is not None
    assert told[1].estimate.value is not None


def test_a_percentile_that_was_not_kept_is_unknown_with_the_day(tmp_path: Path) -> None:
    store = opened(tmp_path / "store.db")
    run = stored(store, latency())
    pruning.prune(store, SOON, ["steady"])
    value = AttemptValue(attempt="a", device="d", round=0, value=1.0, samples=samples_of(store, run))
    store.close()
    found = percentile_of("steady_inference", {}, [value], 42).estimate
    assert (found.value, found.reason) == (None, told_of(datetime.now(UTC)))
    assert percentile_of("steady_inference", {}, [value], 50).estimate.value == pytest.approx(np.median(SAMPLES))


def test_exports_of_samples_say_why_there_are_none_and_never_nothing(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'store.db'}"
    store = Store(url)
    run = stored(store, latency(), measured("peak_memory", 5e6))
    before = json.loads(api.load(run, store=url).to_json())
    assert stores.prune(SOON, store=url).measurements == 1
    after = json.loads(api.load(run, store=url).to_json())
    why = told_of(datetime.now(UTC))
    changed = 0
    for old, new in zip(before["results"][0]["metrics"], after["results"][0]["metrics"], strict=True):
        for one, other in zip(old["attempts"], new["attempts"], strict=True):
            if one["samples"]:
                assert (other.pop("samples"), other.pop("reason")) == (None, why)
                one.pop("samples")
                changed += 1
    assert before == after
    assert changed == 4  # four percentiles
    frame = api.load(run, store=url).attempts_frame()
    gone = frame[frame.metric == "steady_inference"]
    assert (list(gone.samples), set(gone.samples_reason)) == ([None] * len(gone), {why})
    assert set(frame[frame.metric == "peak_memory"].samples_reason) == {""}
    with pytest.raises(StoreError, match="samples were pruned on"):
        list(samples_of(store, run))
    store.close()


@pytest.mark.parametrize("state", ["running", "interrupted"])
def test_a_run_that_somebody_may_go_on_with_is_left_alone(tmp_path: Path, state: str) -> None:
    store = opened(tmp_path / "store.db")
    run = stored(store, latency(), state=state)
    assert pruning.prune(store, SOON, ["steady"]).measurements == 0
    assert samples_of(store, run) == SAMPLES
    store.close()


def test_only_runs_that_ended_before_the_moment_are_pruned(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    store = opened(path)
    old, young = stored(store, latency()), stored(store, latency())
    connection = sqlite3.connect(path)
    with connection:  # it began long ago, and ended when it did
        connection.execute("UPDATE runs SET started = '2020-01-01 00:00:00.000000'")
        connection.execute("UPDATE runs SET finished = '2020-01-02 00:00:00.000000' WHERE id = ?", (old,))
    connection.close()
    found = pruning.prunable(store, NOW - timedelta(days=90), ["steady"])
    done = pruning.prune(store, NOW - timedelta(days=90), ["steady"])
    assert (found.runs, found.measurements) == (done.runs, done.measurements) == (1, 1)
    assert found.bytes == done.bytes > 0
    assert samples_of(store, young) == SAMPLES
    assert pruned(samples_of(store, old)) is not None
    assert {run.id: run.pruned is not None for run in store.list_runs()} == {young: False, old: True}
    store.close()


def test_a_scenario_that_does_not_say_it_is_summed_up_keeps_its_samples(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    store = opened(path)
    run = stored(store, latency(), scenario="their-own")
    assert not SCENARIOS.of_stored("their-own").summed_up
    assert all(scenario.summed_up for scenario in SCENARIOS.usable())
    assert stores.prune(SOON, store=store.url).measurements == 0
    assert samples_of(store, run) == SAMPLES
    store.close()


@pytest.mark.parametrize("what", ["damaged", "another count", "no number"])
def test_samples_that_cannot_be_summed_up_are_left_alone_and_counted(tmp_path: Path, what: str) -> None:
    path = tmp_path / "store.db"
    store = opened(path)
    run = stored(store, latency([*SAMPLES, math.inf] if what == "no number" else SAMPLES))
    connection = sqlite3.connect(path)
    with connection:
        if what == "damaged":
            connection.execute("UPDATE measurements SET samples = x'00'")
        elif what == "another count":
            connection.execute("UPDATE measurements SET samples_count = 3")
    ((blob,),) = connection.execute("SELECT samples FROM measurements").fetchall()
    done = pruning.prune(store, SOON, ["steady"])
    assert (done.measurements, done.damaged, done.runs) == (0, 1, 0)
    assert connection.execute("SELECT samples FROM measurements").fetchall() == [(blob,)]
    connection.close()
    assert store.run(run).pruned is None
    store.close()


def test_an_attempt_that_is_made_later_keeps_its_samples(tmp_path: Path) -> None:
    store = opened(tmp_path / "store.db")
    run = stored(store, latency())
    pruning.prune(store, SOON, ["steady"])
    later = attempt(1, latency())
    store.save_attempt(run, later)
    (gone,), (there,) = (each.measurements for each in store.attempts(run))
    assert pruned(gone.samples) is not None
    assert there.samples == SAMPLES
    assert gone.samples == there.samples  # as far as anybody can tell
    store.close()


def test_the_file_shrinks_and_what_was_cut_short_is_made_up_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "store.db"
    store = opened(path)
    for _ in range(20):
        stored(store, latency(np.random.default_rng().random(5000).tolist()))
    with monkeypatch.context() as patched:
        patched.setattr(Store, "shrink", lambda _: "cut short")
        first = pruning.prune(store, SOON, ["steady"])
    assert first.not_freed == "cut short"
    assert store.empty_share() > 0.5
    again = pruning.prune(store, SOON, ["steady"])
    assert (again.measurements, again.not_freed) == (0, "")
    assert again.file_bytes is not None
    before, after = again.file_bytes
    assert after == path.stat().st_size < before / 3
    assert store.empty_share() == 0.0
    store.close()


def test_a_reader_delays_only_that_the_file_shrinks(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    store = opened(path)
    stored(store, latency(np.random.default_rng().random(5000).tolist()))
    reader = sqlite3.connect(path)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM runs").fetchall()
    with store._engine.connect() as connection:  # it would be waited for, as every writer is
        connection.exec_driver_sql("PRAGMA busy_timeout=100")
    done = pruning.prune(store, SOON, ["steady"])
    assert (done.measurements, done.not_freed) == (1, "another program has the store open")
    reader.rollback()
    reader.close()
    store.close()


class Ending(Store):
    """A store that has a moment before it shrinks."""

    moment: Callable[[], None]

    def shrink(self) -> str:
        self.moment()
        return super().shrink()


def killed_when(moment: int, url: str) -> None:
    """Prunes in a process that is ended as `kill -9` does, at the moment of that number."""
    passed = 0

    def may_end(*_: object) -> None:
        nonlocal passed
        passed += 1
        if passed == moment:
            os.kill(os.getpid(), signal.SIGKILL)

    child = os.fork()
    if child == 0:
        try:
            store = Ending(url)
            store.moment = may_end
            pruning.prune(store, SOON, ["steady"], may_end)
        finally:
            os._exit(0)
    os.waitpid(child, 0)


def test_killed_at_any_moment_nothing_is_half_pruned_and_the_rest_is_done_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pruning, "_AT_A_TIME", 2)
    path, url = tmp_path / "store.db", f"sqlite:///{tmp_path / 'store.db'}"
    store = opened(path)
    runs = [stored(store, latency(), *(measured("tpot", 2.0, SAMPLES, parameters={"n": n}) for n in range(4)))
            for _ in range(3)]  # fmt: skip
    store.close()
    full = shutil.copy(path, tmp_path / "full.db")
    left = []
    for moment in (1, 3, 4, 8, 10):
        for name in ("store.db", "store.db-wal", "store.db-shm"):
            (tmp_path / name).unlink(missing_ok=True)
        shutil.copy(full, path)
        killed_when(moment, url)
        store = opened(path)
        gone = [[pruned(each.samples) is not None for each in store.attempts(run)[0].measurements] for run in runs]
        assert all(len(set(each)) == 1 for each in gone), "a run is pruned whole or not at all"
        assert [all(each) for each in gone] == [store.run(run).pruned is not None for run in runs]
        left.append(sum(not each[0] for each in gone))
        assert pruning.prune(store, SOON, ["steady"]).runs == left[-1]
        assert all(pruned(each.samples) for run in runs for each in store.attempts(run)[0].measurements)
        store.close()
    assert left == [3, 3, 2, 1, 0]
