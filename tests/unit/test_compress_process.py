"""Whatever becomes of the process that makes an artefact is told in words."""

from __future__ import annotations

import time
from pathlib import Path

import psutil
import pytest

from benchharness.compress import process
from benchharness.compress.process import Failed, carry_out

WORKER = """
import json, os, signal, sys, time
order = json.loads(sys.stdin.readline())
print("Loading the model ...", file=sys.stderr)
{body}
"""


@pytest.fixture
def worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A module that stands in for the real worker; tests write its body."""
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(process, "_WORKER", "stand_in")
    return tmp_path / "stand_in.py"


def why(worker: Path, body: str, timeout_s: float = 120) -> str:
    worker.write_text(WORKER.format(body=body))
    with pytest.raises(Failed) as told:
        carry_out({}, timeout_s)
    return str(told.value)


def test_an_answer_is_handed_on(worker: Path) -> None:
    worker.write_text(WORKER.format(body="print(json.dumps({'made': {'bytes': order['x'] + 1}}))"))
    assert carry_out({"x": 1}, 120) == {"bytes": 2}


def test_what_the_worker_says_of_a_failure_is_the_reason(worker: Path) -> None:
    assert why(worker, "print(json.dumps({'failed': 'no weights'}))") == "no weights"


def test_a_crash_is_told_with_the_last_words(worker: Path) -> None:
    told = why(worker, "os.kill(os.getpid(), signal.SIGSEGV)")
    assert "crashed with signal 11" in told
    assert told.endswith("it last printed: Loading the model ...")


def test_a_kill_is_taken_for_want_of_memory(worker: Path) -> None:
    assert "takes too much memory" in why(worker, "os.kill(os.getpid(), signal.SIGKILL)")


def test_want_of_memory_that_was_only_printed_is_told(worker: Path) -> None:
    body = "print('std::bad_alloc', file=sys.stderr); print(json.dumps({'failed': 'error 6'}))"
    assert why(worker, body) == "error 6 (it printed: std::bad_alloc)"


@pytest.mark.parametrize("body", ["sys.exit(3)", "print('hello')", "print('[1]')", "print(json.dumps({'other': 1}))"])
def test_an_answer_that_is_none_is_told(worker: Path, body: str) -> None:
    assert "ended with code" in why(worker, body)


def test_a_tool_that_prints_much_does_not_hang(worker: Path) -> None:
    body = "sys.stderr.write('x' * 5_000_000); print(json.dumps({'failed': 'done'}))"
    assert why(worker, body) == "done"


def test_a_hang_ends_with_all_it_started(worker: Path, tmp_path: Path) -> None:
    note = tmp_path / "child"
    body = f"""
import subprocess
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
open({str(note)!r}, "w").write(str(child.pid))
time.sleep(600)
"""
    began = time.monotonic()
    assert why(worker, body, timeout_s=4) == "stopped after 4.0 s; give it longer with --timeout"
    assert time.monotonic() - began < 200
    for _ in range(600):
        child = int(note.read_text())
        if not psutil.pid_exists(child) or psutil.Process(child).status() == psutil.STATUS_ZOMBIE:
            return
        time.sleep(0.1)
    pytest.fail("what the tool started is still there")


def test_a_tool_that_fails_shows_its_own_log(worker: Path) -> None:
    body = """
for number in range(40):
    print(f"line {number}", file=sys.stderr)
print("line 39", file=sys.stderr)
print(json.dumps({'failed': 'the tool failed: ValueError', 'by_tool': True}))
"""
    worker.write_text(WORKER.format(body=body))
    with pytest.raises(Failed) as told:
        carry_out({}, 120)
    assert told.value.log.splitlines() == [f"line {number}" for number in range(28, 40)]


def test_a_refusal_needs_no_log(worker: Path) -> None:
    worker.write_text(WORKER.format(body="print(json.dumps({'failed': 'nothing to compress'}))"))
    with pytest.raises(Failed) as told:
        carry_out({}, 120)
    assert told.value.log == ""


@pytest.mark.parametrize(
    ("body", "timeout_s"),
    [("os.kill(os.getpid(), signal.SIGSEGV)", 120), ("sys.exit(3)", 120), ("time.sleep(600)", 4)],
)
def test_a_process_that_gives_no_answer_leaves_its_log(worker: Path, body: str, timeout_s: float) -> None:
    worker.write_text(WORKER.format(body=body))
    with pytest.raises(Failed) as told:
        carry_out({}, timeout_s)
    assert told.value.log == "Loading the model ..."


def test_tools_work_in_a_folder_that_goes_away(worker: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    body = """
import tempfile
open("left", "w").write("x")
tempfile.NamedTemporaryFile(delete=False).write(b"x")
print(json.dumps({'made': {'place': os.getcwd(), 'scratch': tempfile.gettempdir()}}))
"""
    worker.write_text(WORKER.format(body=body))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    made = carry_out({}, 120)
    assert Path(made["place"]) != tmp_path / "here"
    assert made["scratch"] == made["place"]
    assert not Path(made["place"]).exists()
    assert list((tmp_path / "here").iterdir()) == []
