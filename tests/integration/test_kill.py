"""`kill -9` at any moment loses nothing that was finished and leaves no process behind."""

from __future__ import annotations

import os
import random
import re
import signal
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from benchharness.results.store import Store
from tests.command_line import STARTER, Process
from tests.conftest import ROOT
from tests.integration.awkward_run import PATIENCE_S, living
from tests.integration.conftest import ADAPTERS
from tests.looks import so_within

ATTEMPTS = 3
JOBS = 2
MOMENTS = 10
#: What is killed dies within so long after the first attempt has begun, which is about how long the attempts take.
WITHIN_S = 2.0


class Harness:
    """A `benchharness run` of our own, recognisable by a mark in its environment, children included."""

    def __init__(self, folder: Path, store_url: str) -> None:
        self._mark = uuid.uuid4().hex
        self._url = store_url
        self._log = folder / "log"
        self._environment = {
            **os.environ,
            "BENCHHARNESS_STORE": store_url,
            "PYTHONPATH": f"{ADAPTERS}{os.pathsep}{ROOT}",
            "COLUMNS": "300",
            "BENCHHARNESS_TEST_MARK": self._mark,
        }
        self._folder = folder
        (folder / "m.awkward").write_text("fine")
        (folder / "suite.toml").write_text(
            f"""
            [models.m.variants]
            only = {{artefact = "m.awkward"}}
            [[configurations]]
            runtime = "awkward"
            options = {{delay_s = 0.001}}
            [scenarios]
            first-token = {{min_time = "50 ms"}}
            steady = {{min_time = "50 ms"}}
            [attempts]
            at_least = {ATTEMPTS}
            """
        )
        self.process: Process | None = None

    def start(self, *arguments: str) -> None:
        words = ["run", "--no-report", *arguments]
        self.process = STARTER.start(words, cwd=self._folder, env=self._environment, out=self._log, err=self._log)

    def find(self, role: str) -> psutil.Process | None:
        """The harness, its supervisor or its worker."""
        for process in self.living():
            try:
                command = " ".join(process.cmdline())
            except psutil.Error:
                continue
            found = "harness"
            for name in ("supervisor", "worker"):
                if f"benchharness.device.{name}" in command:
                    found = name
            if found == role:
                return process
        return None

    def living(self) -> list[psutil.Process]:
        """Every process of it that is not a zombie."""
        return living(self._mark, self.process)

    def finished_as_told(self) -> int:
        """Attempts of the jobs that the harness has told its user are done."""
        return sum(map(int, re.findall(r": ok, .* (\d+) attempts?, as asked", self._log.read_text())))

    def stored(self) -> int:
        store = Store(self._url)
        try:
            runs = store.list_runs()
            return runs[0].attempts if runs else 0
        finally:
            store.close()

    def wait(self) -> int:
        assert self.process is not None
        return self.process.wait(PATIENCE_S)


@pytest.fixture
def harness(tmp_path: Path, store_url: str) -> Iterator[Harness]:
    made = Harness(tmp_path, store_url)
    yield made
    for process in made.living():
        process.kill()


def kill_at_a_random_moment(harness: Harness, role: str, moment: int) -> None:
    """`moment` seeds how long after the first attempt began the process dies, within the run's length."""
    deadline = time.monotonic() + PATIENCE_S
    while (victim := harness.find("worker")) is None and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(random.Random(f"{role} {moment}").uniform(0, WITHIN_S))
    while (victim := harness.find(role)) is None and time.monotonic() < deadline and harness.find("harness"):
        time.sleep(0.01)
    if victim is not None:
        victim.send_signal(signal.SIGKILL)


def nothing_lives_a_second_later(harness: Harness) -> bool:
    return so_within(1, lambda: not harness.living())


@pytest.mark.parametrize("moment", range(MOMENTS))
def test_killed_harness(harness: Harness, moment: int) -> None:
    harness.start("suite.toml")
    kill_at_a_random_moment(harness, "harness", moment)
    harness.wait()
    assert nothing_lives_a_second_later(harness)
    kept = harness.stored()
    assert harness.finished_as_told() <= kept <= JOBS * ATTEMPTS
    harness.start("--resume")
    assert harness.wait() == 0
    assert harness.stored() == JOBS * ATTEMPTS
    assert nothing_lives_a_second_later(harness)


@pytest.mark.parametrize("moment", range(MOMENTS))
def test_killed_supervisor(harness: Harness, moment: int) -> None:
    harness.start("suite.toml")
    kill_at_a_random_moment(harness, "supervisor", moment)
    assert harness.wait() == 0
    assert harness.stored() == JOBS * ATTEMPTS
    assert nothing_lives_a_second_later(harness)


@pytest.mark.parametrize("moment", range(MOMENTS))
def test_killed_worker(harness: Harness, moment: int) -> None:
    harness.start("suite.toml")
    kill_at_a_random_moment(harness, "worker", moment)
    assert harness.wait() == 0
    assert harness.stored() == JOBS * ATTEMPTS
    assert nothing_lives_a_second_later(harness)


def test_a_killed_worker_is_a_recorded_outcome(harness: Harness, store_url: str) -> None:
    harness.start("suite.toml")
    kill_at_a_random_moment(harness, "worker", 0)
    harness.wait()
    store = Store(store_url)
    outcomes = [attempt.outcome for attempt in store.attempts(store.find("latest"))]
    store.close()
    (killed,) = [outcome for outcome in outcomes if not outcome.ok]
    assert killed.kind == "killed"
    assert "SIGKILL" in killed.reason


def test_ctrl_c_keeps_results_and_says_how_to_resume(harness: Harness) -> None:
    attempts = 5  # enough that the run still goes on when the first attempt is seen
    harness.start("suite.toml", "--attempts", str(attempts))
    deadline = time.monotonic() + PATIENCE_S
    while harness.stored() < 1 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert harness.process is not None
    harness.process.send_signal(signal.SIGINT)
    assert harness.wait() == 130
    told = (harness._log).read_text()
    assert "attempts are kept" in told
    run = re.search(r"benchharness run --resume (\S+)", told)
    assert run is not None
    assert "Traceback" not in told
    assert nothing_lives_a_second_later(harness)
    harness.start("--resume", run[1])
    assert harness.wait() == 0
    assert harness.stored() == JOBS * attempts
