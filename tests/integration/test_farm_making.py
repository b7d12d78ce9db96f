"""A job's own process, with a real suite on this machine: it ends with its lease and with its agent, and all of it."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.postgres import MISSING

pytest.importorskip("procrastinate", reason=MISSING)

from benchharness import api, builds, stores
from benchharness.farm.lease import now_s
from benchharness.farm.making import Making, Order
from benchharness.judge.gate import Colour
from benchharness.results.store import Store
from benchharness.suite.tables import suite_from_table
from tests.conftest import ROOT
from tests.farm import until

DIGITS = ROOT / "examples" / "digits" / "artefacts" / "fp32.onnx"


def order(folder: Path, until_s: float, **suite: Any) -> Order:
    (folder / "device.toml").write_text('name = "board"\n')
    (folder / "job").mkdir()
    table = {
        "name": "digits",
        "models": {"digits": {"variants": {"fp32": {"artefact": str(DIGITS)}}}},
        "attempts": {"at_least": 1},
        "scenarios": {"steady": {}},
        **suite,
    }
    return Order(
        folder=str(folder / "job"),
        profile=str(folder / "device.toml"),
        device_s=5.0,
        suites=[suite_from_table(table).model_dump(mode="json", by_alias=True)],
        until_s=until_s,
        conditions={"device": "pi-1"},
    )


LONG = {"scenarios": {"sustained": {"duration": "5 min"}}}


@contextmanager
def making(wanted: Order) -> Iterator[Making]:
    """The job's process, which ends with the test however that ends."""
    made = Making(wanted)
    try:
        yield made
    finally:
        made.end()


def at_work(made: Making) -> list[psutil.Process]:
    """The process with all that it started, once something is measured."""
    own = psutil.Process(made._process.pid)

    def processes() -> list[psutil.Process]:
        return [own, *own.children(recursive=True)]

    until(lambda: len(processes()) >= 3 or made.ended, 120)  # it, a supervisor, a worker
    assert not made.ended, made.told()
    return processes()


def all_gone(processes: list[psutil.Process]) -> bool:
    return not any(each.is_running() and each.status() != psutil.STATUS_ZOMBIE for each in processes)


def test_what_was_measured_is_a_parcel_with_the_devices_state_before_and_after(tmp_path: Path) -> None:
    into = f"sqlite:///{tmp_path / 'central.db'}"
    with making(order(tmp_path, now_s() + 300)) as made:
        until(lambda: made.ended, 280)
        assert made.told() == {"parcel": True, "unfit": ""}
        ((run, trouble),) = stores.take_in([("farm: desk/pi-1", made.parcel)], store=into)
    assert trouble == ""
    found = api.load(run, store=into)
    assert [result.outcome.ok for result in found.results] == [True]
    with closing(Store(into)) as store:
        (attempt,) = store.attempts(run)
    told = attempt.conditions.others["farm"]
    assert told["device"] == "pi-1"
    assert told["before"].keys() == told["after"].keys() >= {"left_over", "free_bytes", "battery_percent"}
    assert told["before"]["free_bytes"] > 0


def test_it_ends_with_its_lease_and_all_of_it(tmp_path: Path) -> None:
    with making(order(tmp_path, now_s() + 300, **LONG)) as made:
        processes = at_work(made)
        end_s = now_s() + 3
        made.renewed(end_s)
        until(lambda: made.ended, 30)
        assert 0 <= now_s() - end_s < 5
        until(lambda: all_gone(processes))
        assert made.told()["why"].endswith("the lease lapsed")


def test_a_lease_that_is_renewed_goes_on(tmp_path: Path) -> None:
    with making(order(tmp_path, now_s() + 300, **LONG)) as made:
        processes = at_work(made)
        end_s = now_s() + 10
        made.renewed(end_s)
        made.renewed(now_s() + 300)
        time.sleep(max(0.0, end_s - now_s()) + 1)
        assert not made.ended
    until(lambda: all_gone(processes))


def test_it_ends_with_its_agent(tmp_path: Path) -> None:
    with making(order(tmp_path, now_s() + 300, **LONG)) as made:
        processes = at_work(made)
        assert made._process.stdin is not None
        made._process.stdin.close()  # as the system does for an agent that was killed
        until(lambda: all_gone(processes))


def test_who_is_frozen_finds_its_lease_over(tmp_path: Path) -> None:
    with making(order(tmp_path, now_s() + 300, **LONG)) as made:
        processes = at_work(made)
        end_s = now_s() + 6
        made.renewed(end_s)
        time.sleep(2)  # it hears of that
        os.kill(made._process.pid, signal.SIGSTOP)
        time.sleep(max(0.0, end_s - now_s()) + 1)
        os.kill(made._process.pid, signal.SIGCONT)
        until(lambda: all_gone(processes))
        assert made.told()["why"].endswith("the lease lapsed")


@pytest.mark.parametrize(
    ("change", "how", "words"),
    [
        ({"models": {"m": {"variants": {"v": {"artefact": "/nowhere.onnx"}}}}}, "failed", "no such file or folder"),
        ({"configurations": [{"only_on": "macos"}]}, "failed", "for other systems than linux"),
    ],
)
def test_what_cannot_be_made_says_why(tmp_path: Path, change: dict[str, Any], how: str, words: str) -> None:
    with making(order(tmp_path, now_s() + 120, **change)) as made:
        until(lambda: made.ended, 120)
        assert made.told()["how"] == how
        assert words in json.dumps(made.told())


def test_a_comparison_that_came_as_a_parcel_is_gated_from_the_store(tmp_path: Path) -> None:
    """A limit on the artefact's size, which no noise moves: the candidate is another file, four times as large."""
    small = DIGITS.parent / "int8.onnx"
    table = {"models": {"digits": {"variants": {"fp32": {"artefact": str(small)}}}}}
    wanted = {"gate": {"primary": ["steady_inference"], "looks": [8], "limits": {"artefact_size": "1 %"}}}
    made = order(tmp_path, now_s() + 600, **wanted)
    base = suite_from_table({"name": "digits", **table, "scenarios": {"steady": {}}}).model_dump(
        mode="json", by_alias=True
    )
    into = f"sqlite:///{tmp_path / 'central.db'}"
    with making(replace(made, suites=[*made.suites, base])) as running:
        until(lambda: running.ended, 580)
        assert running.told() == {"parcel": True, "unfit": ""}
        ((run, trouble),) = stores.take_in([("farm: desk/pi-1", running.parcel)], store=into)
    assert trouble == ""
    gating = builds.judged(run, store=into)
    assert gating.verdict.colour is Colour.RED
    assert len(api.runs(store=into)) == (1 if gating.repeated is None else 2)
    assert gating.first.base == "digits as submitted"
