"""Whatever a runtime leaves running is ended with its attempt and told, and nobody waits for it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import psutil
import pytest

import benchharness
from benchharness.results.result import Result, WarningKind
from tests.conftest import ROOT
from tests.integration.awkward_run import Background, awkward_suite, wait_until
from tests.integration.conftest import ADAPTERS, Bench
from tests.integration.test_protocol_conformance import Conversation, instructions

#: What is allowed beyond a limit, on a machine that does other things too; what was left behind lives for 300 s.
SPARE_S = 200.0


@pytest.fixture
def mark(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """What every process started here has in its environment, whatever became of it."""
    made = uuid.uuid4().hex
    monkeypatch.setenv("BENCHHARNESS_TEST_MARK", made)
    yield made
    for process in living(made):
        process.kill()


def living(mark: str) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        try:
            marked = process.environ().get("BENCHHARNESS_TEST_MARK") == mark
            if marked and process.pid != os.getpid() and process.status() != "zombie":
                found.append(process)
        except psutil.Error:
            continue
    return found


def warned(result: Result) -> str:
    """What the result says about leftovers."""
    return "; ".join(each.message for each in result.warnings if each.kind is WarningKind.LEFT_RUNNING)


WORKER = "python -m benchharness.device.worker"
LEFT = [
    ("fork", f"1 of 1 attempts left processes running, which were ended: 1 × {WORKER}"),
    ("session", f"1 × {WORKER}"),
    ("daemon", f"1 × {WORKER}"),
    ("family", f"5 × {WORKER}"),
    ("chatter", f"1 × {WORKER}"),
    ("mover", f"× {WORKER}"),
    ("thread", ""),
]


@pytest.mark.parametrize(("kind", "told"), LEFT)
def test_what_a_worker_leaves_is_ended_and_told(bench: Bench, mark: str, kind: str, told: str) -> None:
    result = bench.one(bench.model(f"run leave {kind}"), attempts=1)
    assert not living(mark)
    assert result.outcome.ok, result.outcome
    assert result.metrics
    assert told in warned(result)
    assert bool(told) == bool(warned(result))


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        ("load leave daemon then raise", "runtime-error"),
        ("run leave fork then segfault", "crashed"),
        ("run leave family then exit 3", "crashed"),
        ("load leave session then hang-holding-the-lock", "timeout"),
    ],
)
def test_an_attempt_that_fails_leaves_nothing_either(bench: Bench, mark: str, words: str, kind: str) -> None:
    began = time.monotonic()
    result = bench.one(bench.model(words), attempts=1, timeout="3 s" if kind == "timeout" else "600 s")
    assert time.monotonic() - began < SPARE_S
    assert not living(mark)
    assert result.outcome.kind == kind
    assert bool(warned(result)) == (kind != "timeout")  # what is ended with its living parent was not left behind


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGHUP])
def test_a_supervisor_whose_host_or_line_ends_takes_along_what_its_worker_has_forked(
    bench: Bench, mark: str, tmp_path: Path, end: signal.Signals
) -> None:
    command = [sys.executable, "-m", "benchharness.device.supervisor", "--work", str(tmp_path / "work")]
    supervisor = Conversation([*command, "--bundle", "none"])
    supervisor.say({"type": "attempt", **instructions(bench.model("load leave session then hang"))})
    wait_until(lambda: len(living(mark)) == 3)
    os.kill(supervisor.pid, end)
    supervisor.wait(SPARE_S)
    supervisor.close()
    assert not living(mark)


def test_a_worker_that_leaves_nothing_is_not_warned_of(bench: Bench, mark: str) -> None:
    assert warned(bench.one(bench.model("fine"), attempts=1)) == ""


def quality(
    folder: Path, variants: Mapping[str, str], configurations: Sequence[Mapping[str, object]], timeout: str = "120 s"
) -> dict[str, Result]:
    """One pass; results by variant and accelerator."""
    (folder / "text.tokens").write_text(" ".join(str(index % 32) for index in range(64)))
    for name, words in variants.items():
        (folder / f"{name}.awkward").write_text(words)
    suite = {
        "models": {
            "m": {
                "evaluation": str(folder / "text.tokens"),
                "variants": {name: {"artefact": str(folder / f"{name}.awkward")} for name in variants},
            }
        },
        "configurations": list(configurations),
        "scenarios": {
            "quality": {"chunk_tokens": 16, "most_chunks": 2, "continuation_tokens": 2, "continuation_prompts": 1}
        },
        "attempts": {"timeout": timeout, "at_least": 1},
    }
    found = benchharness.run(suite, store=f"sqlite:///{folder}/store.db")
    return {f"{each.job.variant} {each.job.configuration.accelerator or ''}".strip(): each for each in found.results}


@pytest.fixture
def adapters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ADAPTERS))
    monkeypatch.setenv("PYTHONPATH", f"{ADAPTERS}:{ROOT}")


@pytest.mark.usefixtures("adapters")
def test_a_failed_scorer_whose_child_holds_its_pipe_does_not_hold_up_the_pass(tmp_path: Path, mark: str) -> None:
    variants = {
        "reference": "fine",
        "good": "fine ",
        "telemetry": "load leave fork then raise",
        "daemon": "run leave daemon then segfault",
    }
    began = time.monotonic()
    results = quality(tmp_path, variants, [{"runtime": "awkward"}], timeout="600 s")
    assert time.monotonic() - began < SPARE_S
    assert not living(mark)
    assert results["good"].outcome.ok, results["good"].outcome
    assert results["telemetry"].outcome.kind == "runtime-error"
    assert results["daemon"].outcome.kind == "crashed"
    assert "python -m benchharness.device.scenarios.quality.scorer" in warned(results["good"])


@pytest.mark.usefixtures("adapters")
def test_the_sessions_of_a_pass_are_closed(tmp_path: Path, mark: str) -> None:
    """What a session has open elsewhere, as a page in a phone's browser, would be left there."""
    results = quality(tmp_path, {"reference": "close", "good": "close "}, [{"runtime": "awkward"}])
    assert results["good"].outcome.ok, results["good"].outcome
    assert sorted(path.stem for path in tmp_path.glob("*.closed")) == ["good", "reference"]
    assert not living(mark)


@pytest.mark.usefixtures("adapters")
def test_an_accelerator_refused_inside_a_pass_does_not_hold_it_up(tmp_path: Path, mark: str) -> None:
    refused = {"runtime": "awkward", "accelerator": "npu", "fallback": "fail"}
    variants = {"reference": "fine", "good": "fine ", "shy": "run refused"}
    results = quality(tmp_path, variants, [{"runtime": "awkward"}, refused])
    assert not living(mark)
    assert results["shy npu"].outcome.kind == "unsupported"
    assert results["good"].outcome.ok


@pytest.mark.usefixtures("adapters")
def test_the_limit_of_a_pass_ends_its_scorers_and_what_they_started(tmp_path: Path, mark: str) -> None:
    variants = {"reference": "fine", "stuck": "run leave session then hang-holding-the-lock"}
    began = time.monotonic()
    results = quality(tmp_path, variants, [{"runtime": "awkward"}], timeout="2 s")
    assert time.monotonic() - began < SPARE_S  # the limit is one session's, and there is a second try
    assert not living(mark)
    assert results["stuck"].outcome.kind == "timeout"


@pytest.mark.usefixtures("adapters")
def test_no_trial_runs_beside_what_the_one_before_left(tmp_path: Path, mark: str) -> None:
    """Each is looked for when its trial has ended, also while a background load of ours runs."""
    (tmp_path / "m.awkward").write_text("run leave daemon")
    settings = {"memory": False, "quotas": [], "cores": [], "trials": 2, "needed": 2, "background": ["busy-core"]}
    suite = {
        "models": {"m": {"variants": {"a": {"artefact": str(tmp_path / "m.awkward")}}}},
        "configurations": [{"runtime": "awkward"}],
        "scenarios": {"constrained": settings},
        "attempts": {"timeout": "60 s", "at_least": 1},
    }
    (result,) = benchharness.run(suite, store=f"sqlite:///{tmp_path}/store.db").results
    assert not living(mark)
    assert result.outcome.ok, result.outcome
    trials = sum(step.trials for step in result.ladders[0].steps)
    assert f"{trials + 1} × {WORKER}" in warned(result)  # one more finds the libraries
    assert [step.constraint for step in result.ladders[0].steps] == ["none", "busy core"]


@pytest.fixture
def run(tmp_path: Path, store_url: str) -> Iterator[Background]:
    words = {"a": "run leave daemon then leave fork then leave session"}
    suite = awkward_suite(tmp_path, words, attempts=4, min_time="2 s", configuration="options = { delay_s = 0.001 }")
    made = Background(tmp_path, store_url, suite)
    yield made
    made.end()


def worker_that_has_forked(run: Background) -> psutil.Process:
    """The oldest of the worker's command, once there are four."""

    def workers() -> list[psutil.Process]:
        found = []
        for process in run.living():
            with contextlib.suppress(psutil.Error):
                if "benchharness.device.worker" in " ".join(process.cmdline()):
                    found.append(process)
        return found

    wait_until(lambda: len(workers()) >= 4)
    return min(workers(), key=lambda each: each.create_time())


def test_a_killed_harness_leaves_nothing_of_its_worker(run: Background) -> None:
    worker_that_has_forked(run)
    run.process.send_signal(signal.SIGKILL)
    run.process.wait()
    assert run.leaves_nothing_running()


def test_what_a_killed_supervisor_could_not_end_its_successor_does(run: Background) -> None:
    supervisor = worker_that_has_forked(run).parent()
    assert supervisor is not None
    supervisor.kill()
    assert run.wait() == 0, run.complained
    assert run.leaves_nothing_running()


def test_a_dozen_of_seeded_attempts_leaves_nothing() -> None:
    """What `python -m benchmarks.leftovers` does a thousand times."""
    command = [sys.executable, "-m", "benchmarks.leftovers", "--attempts", "12", "--seed", "3"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=600, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
