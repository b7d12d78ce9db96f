"""Scenario `quality` when its processes are killed: nothing is left, and the pass is made again."""

from __future__ import annotations

import os
import signal
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import psutil
import pytest

import benchharness
from benchharness.results.result import Result
from tests.command_line import STARTER, Process
from tests.conftest import ROOT
from tests.integration.awkward_run import PATIENCE_S, living
from tests.looks import so_within

DEMO = ROOT / "examples" / "demo_model" / "artefacts"
CHUNK, CHUNKS = 128, 28  # a pass goes on for long enough after every scorer is seen at work
TOKENS = " ".join(str((37 * index * index + 11 * index) % 1000) for index in range(CHUNK * CHUNKS))
VARIANTS = ("fp32", "int8", "int4")
SUITE = f"""
[models.m]
task = "causal-lm"
evaluation = "text.tokens"
[models.m.variants]
{"".join(f'{name} = {{ artefact = "{DEMO}/onnx-{name}" }}{chr(10)}' for name in VARIANTS)}
[[configurations]]
runtime = "onnxruntime"
threads = 1
[scenarios.quality]
chunk_tokens = {CHUNK}
most_chunks = {CHUNKS}
continuation_tokens = 8
"""


class Harness:
    """A `benchharness run` of our own, recognisable by a mark in its environment, children included."""

    def __init__(self, folder: Path) -> None:
        self._mark = uuid.uuid4().hex
        self._folder = folder
        self._started: list[Process] = []
        self.url = f"sqlite:///{folder}/store.db"
        (folder / "text.tokens").write_text(TOKENS)
        (folder / "suite.toml").write_text(SUITE)

    def start(self, *arguments: str) -> Process:
        environment = {**os.environ, "BENCHHARNESS_STORE": self.url, "BENCHHARNESS_TEST_MARK": self._mark}
        words, log = ["run", "--no-report", *arguments], self._folder / "log"
        self._started.append(STARTER.start(words, cwd=self._folder, env=environment, out=log, err=log))
        return self._started[-1]

    def end(self) -> None:
        """Whatever became of the test."""
        for process in self.living():
            process.kill()
        for started in self._started:
            started.wait()

    def log(self) -> str:
        return (self._folder / "log").read_text()

    def living(self) -> list[psutil.Process]:
        """Every process of it that is not a zombie."""
        return living(self._mark, self._started[-1] if self._started else None)

    def of_role(self, role: str) -> list[psutil.Process]:
        """The harness, its supervisor, the pass's conductor, or its scorers, the reference's first."""
        found = []
        for process in sorted(self.living(), key=lambda each: each.pid):
            try:
                words = " ".join(process.cmdline())
            except psutil.Error:
                continue
            theirs = {"supervisor": "device.supervisor", "conductor": "device.worker", "scorer": "quality.scorer"}
            if next((name for name, module in theirs.items() if module in words), "harness") == role:
                found.append(process)
        return found

    def wait_for_the_pass(self) -> None:
        """Until every scorer computes."""
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            scorers = self.of_role("scorer")
            if len(scorers) == len(VARIANTS) and all(each.cpu_times().user > 0.45 for each in scorers):
                return
            time.sleep(0.02)
        raise AssertionError(f"the pass did not begin: {self.log()}")

    def results(self) -> dict[str, Result]:
        return {each.job.variant: each for each in benchharness.load("latest", store=self.url).results}


@pytest.fixture
def harness(tmp_path: Path) -> Iterator[Harness]:
    made = Harness(tmp_path)
    yield made
    made.end()


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[float]]:
    """All figures by variant of a run that nobody disturbs."""
    quiet = Harness(tmp_path_factory.mktemp("undisturbed"))
    assert quiet.start("suite.toml").wait(PATIENCE_S) == 0, quiet.log()
    return figures(quiet.results())


def figures(results: Mapping[str, Result]) -> dict[str, list[float]]:
    assert {str(each.outcome) for each in results.values()} == {"ok"}, [each.outcome for each in results.values()]
    return {
        name: [each.estimate.value for each in result.metrics if each.estimate.value is not None]
        for name, result in results.items()
    }


def gone_within_a_second(living: Callable[[], object]) -> bool:
    return so_within(1, lambda: not living())


def kill(process: psutil.Process) -> None:
    process.send_signal(signal.SIGKILL)


@pytest.mark.parametrize("role", ["conductor", "supervisor"])
def test_what_is_killed_on_the_device_is_made_again(
    harness: Harness, undisturbed: dict[str, list[float]], role: str
) -> None:
    running = harness.start("suite.toml")
    harness.wait_for_the_pass()
    before = {each.pid for each in harness.of_role("scorer")}
    kill(harness.of_role(role)[0])
    assert gone_within_a_second(lambda: before & {each.pid for each in harness.living()})
    assert running.wait(PATIENCE_S) == 0, harness.log()
    assert figures(harness.results()) == undisturbed
    assert "Traceback" not in harness.log()
    assert not harness.living()
    expected = {"killed": 1, "ok": 1} if role == "conductor" else {"ok": 1}
    assert [result.outcomes for result in harness.results().values()] == [expected, expected]


def test_a_killed_harness_leaves_no_scorer_and_resumes(harness: Harness, undisturbed: dict[str, list[float]]) -> None:
    running = harness.start("suite.toml")
    harness.wait_for_the_pass()
    kill(harness.of_role("harness")[0])
    running.wait(PATIENCE_S)
    assert gone_within_a_second(harness.living)
    assert harness.start("--resume").wait(PATIENCE_S) == 0, harness.log()
    assert figures(harness.results()) == undisturbed
    assert not harness.living()


def test_a_killed_variant_leaves_the_pass_and_is_made_again(
    harness: Harness, undisturbed: dict[str, list[float]]
) -> None:
    running = harness.start("suite.toml")
    harness.wait_for_the_pass()
    kill(harness.of_role("scorer")[1])  # the reference was started first
    assert running.wait(PATIENCE_S) == 0, harness.log()
    results = harness.results()
    assert sorted(sorted(result.outcomes.items()) for result in results.values()) == [
        [("killed", 1), ("ok", 1)],
        [("ok", 1)],
    ]
    assert "ended by SIGKILL" in harness.log()
    assert figures(results) == undisturbed


def test_a_killed_reference_fails_the_pass_and_it_is_made_again(
    harness: Harness, undisturbed: dict[str, list[float]]
) -> None:
    running = harness.start("suite.toml")
    harness.wait_for_the_pass()
    kill(harness.of_role("scorer")[0])
    assert running.wait(PATIENCE_S) == 0, harness.log()
    assert "killed: the reference failed, and there is nothing to compare with: ended by SIGKILL" in harness.log()
    assert [result.outcomes for result in harness.results().values()] == [{"killed": 1, "ok": 1}] * 2
    assert figures(harness.results()) == undisturbed


def test_ctrl_c_ends_a_pass_and_says_how_to_resume(harness: Harness, undisturbed: dict[str, list[float]]) -> None:
    running = harness.start("suite.toml")
    harness.wait_for_the_pass()
    running.send_signal(signal.SIGINT)
    assert running.wait(PATIENCE_S) == 130
    assert "--resume" in harness.log()
    assert "Traceback" not in harness.log()
    assert gone_within_a_second(harness.living)
    assert harness.start("--resume").wait(PATIENCE_S) == 0, harness.log()
    assert figures(harness.results()) == undisturbed
