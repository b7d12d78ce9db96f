"""Ctrl-C once and twice, the polite signals, and a reader who leaves: never a traceback, and the run can go on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from benchharness.results.store import Store
from tests.conftest import CommandLine, command_line
from tests.integration.awkward_run import Background, awkward_suite, python_path

ATTEMPTS = 5
ONCE: list[Sequence[signal.Signals]] = [(signal.SIGINT,), (signal.SIGTERM,), (signal.SIGHUP,)]
OFTEN: list[Sequence[signal.Signals]] = [
    (signal.SIGINT, signal.SIGINT),
    (signal.SIGTERM, signal.SIGINT, signal.SIGINT, signal.SIGTERM),
]
#: A key held down, and an impatient second time. The clean-up takes a third of a second.
GAPS_S = (0.0, 0.05)


@pytest.fixture(autouse=True)
def awkward(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", python_path())


@pytest.fixture
def run(tmp_path: Path, store_url: str) -> Iterator[Background]:
    suite = awkward_suite(
        tmp_path, attempts=ATTEMPTS, min_time="200 ms", configuration="options = { delay_s = 0.0005 }"
    )
    made = Background(tmp_path, store_url, suite)
    yield made
    made.end()


def state(store_url: str) -> str:
    store = Store(store_url)
    try:
        return store.list_runs()[0].state
    finally:
        store.close()


def check_interrupted(run: Background, store_url: str) -> None:
    assert run.wait() == 130
    assert "Traceback" not in run.complained
    assert "attempts are kept. Go on with: benchharness run --resume" in run.complained
    assert len(run.complained.strip().splitlines()) == 1
    assert run.leaves_nothing_running()
    assert state(store_url) == "interrupted"


@pytest.mark.parametrize("signals", ONCE, ids=lambda signals: signals[0].name)
def test_a_polite_signal_stops_and_the_run_can_go_on(
    benchharness: CommandLine, run: Background, store_url: str, signals: Sequence[signal.Signals]
) -> None:
    run.wait_for_attempts(2)
    run.send(*signals)
    check_interrupted(run, store_url)
    done = benchharness("run", "--resume")
    assert done.returncode == 0, done.stderr
    assert state(store_url) == "finished"


def test_an_interrupted_self_test_is_begun_anew(tmp_path: Path, store_url: str) -> None:
    """Its pairs are to follow each other: no other command goes on with it."""
    run = Background(tmp_path, store_url, command="selftest")
    try:
        run.wait_for_attempts(1)
        run.send(signal.SIGINT)
        assert run.wait() == 130
        assert "Traceback" not in run.complained
        assert run.complained.strip().splitlines()[-1].endswith("begin it anew with: benchharness selftest")
        assert "--resume" not in run.complained
    finally:
        run.end()


def test_an_interrupted_bisection_is_begun_anew(tmp_path: Path, store_url: str) -> None:
    """`compare --resume` would end the pair that was being compared, and say nothing of the builds between."""
    for name in ("old", "new"):
        (tmp_path / name).mkdir()
        awkward_suite(tmp_path / name, min_time="200 ms", configuration="options = { delay_s = 0.0005 }")
    run = Background(tmp_path, store_url, "old/suite.toml", "new/suite.toml", command="bisect")
    try:
        run.wait_for_attempts(2)
        run.send(signal.SIGINT)
        assert run.wait() == 130
        assert "Traceback" not in run.complained
        assert run.complained.strip().splitlines()[-1].endswith("begin it anew with: benchharness bisect")
        assert "--resume" not in run.complained
    finally:
        run.end()


@pytest.mark.parametrize("gap_s", GAPS_S)
@pytest.mark.parametrize("signals", OFTEN, ids=lambda signals: " ".join(each.name for each in signals))
def test_impatience_changes_nothing(
    run: Background, store_url: str, signals: Sequence[signal.Signals], gap_s: float
) -> None:
    run.wait_for_attempts(2)
    run.send(*signals, gap_s=gap_s)
    check_interrupted(run, store_url)


def _as_nohup_does() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)


def test_a_run_that_shall_outlive_its_terminal_does(tmp_path: Path, store_url: str) -> None:
    """`nohup` has a process ignore the hang-up; the harness must leave it at that."""
    environment = {**os.environ, "BENCHHARNESS_STORE": store_url}
    suite = awkward_suite(tmp_path, dict.fromkeys("abc", "fine"), attempts=2, min_time="100 ms")
    process = subprocess.Popen(
        [sys.executable, "-m", "benchharness", "run", "--no-report", suite],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=tmp_path,
        env=environment,
        preexec_fn=_as_nohup_does,  # noqa: PLW1509 - a signal handler only
    )
    assert process.stdout is not None
    first = process.stdout.readline()  # one of three jobs is done
    process.send_signal(signal.SIGHUP)
    rest, _ = process.communicate(timeout=300)
    assert process.returncode == 0, first + rest
    assert state(store_url) == "finished"


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A store with a run in it."""
    folder = tmp_path_factory.mktemp("measured")
    store = f"sqlite:///{folder / 'store.db'}"
    benchharness = command_line(folder, store, PYTHONPATH=python_path())
    assert benchharness("run", awkward_suite(folder, {"a": "fine", "b": "fine"})).returncode == 0
    return store


def piped(folder: Path, store_url: str, command: str) -> tuple[list[int], str]:
    """Runs a pipeline in bash; the exit code of each part, and standard error."""
    environment = {**os.environ, "BENCHHARNESS_STORE": store_url, "BENCH": sys.executable, "COLUMNS": "200"}
    script = command.replace("benchharness", '"$BENCH" -m benchharness') + '; echo "${PIPESTATUS[@]}" >codes'
    done = subprocess.run(
        ["bash", "-c", script], cwd=folder, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    return [int(code) for code in (folder / "codes").read_text().split()], done.stderr


LEAVERS = [("show", "head -n 1"), ("show", "true"), ("export", "true"), ("adapters", "true"), ("--help", "true")]


@pytest.mark.parametrize(("words", "reader"), LEAVERS)
def test_a_reader_who_leaves_is_no_error_of_ours(tmp_path: Path, measured: str, words: str, reader: str) -> None:
    codes, complained = piped(tmp_path, measured, f"benchharness {words} | {reader} >/dev/null")
    assert "Traceback" not in complained
    assert "Exception ignored" not in complained
    assert codes[0] != 1, "1 says that a budget was missed"


@pytest.mark.parametrize("words", ["show", "export", "runs"])
def test_output_that_cannot_be_written_is_a_sentence(tmp_path: Path, measured: str, words: str) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    codes, complained = piped(tmp_path, measured, f"benchharness {words} >/dev/full")
    assert "Traceback" not in complained
    assert "No space left" in complained
    assert codes == [2]


@pytest.mark.parametrize("words", ["show", "export", "runs"])
def test_closed_standard_output_is_no_traceback(tmp_path: Path, measured: str, words: str) -> None:
    codes, complained = piped(tmp_path, measured, f"benchharness {words} >&-")
    assert "Traceback" not in complained
    assert codes[0] != 1


def test_a_terminal_that_knows_ascii_only_is_no_traceback(tmp_path: Path, measured: str) -> None:
    codes, complained = piped(tmp_path, measured, "PYTHONIOENCODING=ascii benchharness show")
    assert "Traceback" not in complained
    assert codes == [0]


def test_a_run_whose_reader_leaves_says_how_to_go_on(tmp_path: Path, store_url: str) -> None:
    """A run that is finished needs no going on: what it found is in the store."""
    awkward_suite(tmp_path, {"a": "fine", "b": "fine"}, attempts=3)
    codes, complained = piped(tmp_path, store_url, "benchharness run suite.toml | head -n 1 >/dev/null")
    assert "Traceback" not in complained
    assert codes[0] != 1, "1 says that a budget was missed"
    store = Store(store_url)
    (run,) = store.list_runs()
    store.close()
    assert run.state == "finished" or f"--resume {run.id}" in complained
