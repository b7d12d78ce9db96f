"""A child process: its stream ends with it, what it started ends too, and nothing waits for ever."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from benchharness.device import attempt
from benchharness.device.line import protocol
from benchharness.device.line.protocol import read_message
from benchharness.device.processes import child, leftovers
from benchharness.device.processes.child import Child, ask
from benchharness.errors import ProtocolError
from tests.conftest import ROOT

#: On a machine that does much else; what would wait for the children below waits for ten minutes.
SOON_S = 120.0
FORK = "import os, signal, sys, time\nif os.fork() == 0:\n    {then}\n    time.sleep(600)\n    os._exit(0)\n"


@pytest.fixture(params=["told of ends", "asks for ends"], autouse=True)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Kernels that tell of a process's end, and those that do not."""
    leftovers.told()  # of tests before
    if request.param == "asks for ends":
        monkeypatch.setattr(child, "_open_pidfd", lambda _: None)


class Heard:
    """What a child says, and when it has said all."""

    def __init__(self, code: str, receive: Callable[[Any], Any] | None = None, **how: Any) -> None:
        self.heard: queue.SimpleQueue[Any] = queue.SimpleQueue()
        receive = receive or (lambda stream: stream.readline() or None)
        self.child = Child([sys.executable, "-S", "-c", code], receive, self.heard.put, **how)

    def all(self) -> list[Any]:
        found = []
        while (message := self.heard.get(timeout=SOON_S)) is not None:
            found.append(message)
        return found


@pytest.fixture
def start() -> Iterator[Callable[..., Heard]]:
    started: list[Heard] = []

    def make(code: str, *arguments: Any, **how: Any) -> Heard:
        started.append(Heard(code, *arguments, **how))
        return started[-1]

    yield make
    for each in started:
        each.child.end()


def test_a_child_is_heard_to_its_end(start: Callable[..., Heard]) -> None:
    heard = start("import sys\nprint(input())\nprint('x' * 300_000)\nsys.exit(3)")
    heard.child.write(b"hello\n")
    assert [len(line) for line in heard.all()] == [6, 300_001]
    assert heard.child.ends_within(SOON_S)
    heard.child.end()
    assert heard.child.code == 3


def test_a_stream_ends_with_its_process_though_another_holds_it_open(start: Callable[..., Heard]) -> None:
    """All that was in the pipe is heard, also where the listener was busy meanwhile."""
    heard = start(FORK.format(then="pass") + "os.write(1, b'last words\\n' * 5000)")
    assert heard.all() == [b"last words\n"] * 5000
    assert heard.child.ends_within(SOON_S)


def test_what_others_go_on_to_write_is_not_listened_to_for_ever(start: Callable[..., Heard]) -> None:
    heard = start(FORK.format(then="while True: os.write(1, b'more\\n' * 100)") + "time.sleep(0.2)")
    began = time.monotonic()
    heard.all()
    assert time.monotonic() - began < SOON_S


def test_a_message_that_breaks_the_protocol_is_handed_on(start: Callable[..., Heard]) -> None:
    heard = start("print('no JSON')", read_message)
    found = heard.all()
    assert [type(each) for each in found] == [ProtocolError]


def test_nobody_waits_for_a_child_to_read(start: Callable[..., Heard]) -> None:
    began = time.monotonic()
    heard = start("import time\ntime.sleep(600)")
    heard.child.write(b"x" * 10_000_000)
    heard.child.write(b"y" * 10_000_000)
    assert not heard.child.ends_within(0.1)
    heard.child.end()
    assert heard.child.code == -9
    assert time.monotonic() - began < SOON_S


def test_a_long_order_arrives_whole_and_in_order(start: Callable[..., Heard]) -> None:
    heard = start("import hashlib, sys, time\ntime.sleep(0.2)\nprint(len(sys.stdin.buffer.read()))")
    for _ in range(20):
        heard.child.write(b"x" * 100_000)
    heard.child.close_input()
    assert heard.all() == [b"2000000\n"]


def test_the_end_of_standard_error_is_kept(start: Callable[..., Heard]) -> None:
    heard = start("import os\nfor i in range(2000): os.write(2, b'%06d ' % i * 100)", stderr=subprocess.PIPE)
    heard.all()
    heard.child.ends_within(SOON_S)
    heard.child.end()
    assert heard.child.words().endswith(b"001999 001999 ")
    assert len(heard.child.words()) <= 8 * 8192


@pytest.mark.parametrize("then", ["pass", "signal.signal(signal.SIGTERM, signal.SIG_IGN)"])
@pytest.mark.parametrize("parent", ["time.sleep(600)", "pass"], ids=["hangs", "ends"])
def test_a_group_ends_with_its_child(start: Callable[..., Heard], then: str, parent: str) -> None:
    told_first = f"{then}; print(os.getpid(), flush=True); os.write(said, b'.')"  # else it may end before it spoke
    heard = start(f"import os\nheard, said = os.pipe()\n{FORK.format(then=told_first)}os.read(heard, 1)\n{parent}")
    other = int(heard.heard.get(timeout=SOON_S))
    heard.child.ends_within(0 if "sleep" in parent else SOON_S)
    heard.child.end()
    assert not lives(other)
    told = leftovers.told()
    assert list(told.values()) == ([] if "sleep" in parent else [1])  # a part of what we ended is not left over


def test_descendants_in_other_sessions_end_with_a_child_that_is_ended(start: Callable[..., Heard]) -> None:
    heard = start(FORK.format(then="os.setsid(); print(os.getpid(), flush=True)") + "\ntime.sleep(600)")
    other = int(heard.heard.get(timeout=SOON_S))
    heard.child.end()
    assert not lives(other)


def lives(process: int) -> bool:
    """Whether it still does a moment later; who adopts it may take his time to reap it."""
    deadline = time.monotonic() + SOON_S
    while psutil.pid_exists(process) and psutil.Process(process).status() != psutil.STATUS_ZOMBIE:
        if time.monotonic() > deadline:
            return True
        time.sleep(0.01)
    return False


def test_a_question_is_answered_though_a_helper_holds_the_streams() -> None:
    code = FORK.format(then="pass") + "print(input().upper()); print('complaint', file=sys.stderr)"
    began = time.monotonic()
    done = ask([sys.executable, "-c", code], 300, told=b"hello\n")
    assert (done.out, done.words, done.code) == (b"HELLO\n", "complaint\n", 0)
    assert time.monotonic() - began < SOON_S


def test_a_question_without_an_answer_ends_with_patience() -> None:
    began = time.monotonic()
    assert ask([sys.executable, "-c", "import time; time.sleep(600)"], 0.5).code is None
    assert time.monotonic() - began < SOON_S


def test_an_answer_is_not_kept_beyond_its_bound() -> None:
    done = ask([sys.executable, "-c", "print('x' * 1_000_000)"], SOON_S, most_bytes=100_000)
    assert 100_000 < len(done.out) < 200_000
    assert done.code == 0


#: Adopts orphans beside a child from before and another of its own; ends one child; tells what it saw.
ADOPTS = """
import json, subprocess, sys, time
before = subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(600)"])
from benchharness.device.processes import child, leftovers
if sys.argv[2] == "asks for ends":
    child._open_pidfd = lambda _: None
leftovers.OWN_END_S = float(sys.argv[3])
assert leftovers.adopt_orphans()
def start(code):
    return child.Child([sys.executable, "-S", "-c", code], lambda stream: stream.readline() or None, lambda _: None)
other = start("import time; time.sleep(600)")
one = start(sys.argv[1])
began = time.monotonic()
one.ends_within(120)
one.end()
print(json.dumps({"s": time.monotonic() - began, "told": leftovers.told(), "before": before.poll(),
                  "other": other.ends_within(0), "code": one.code}))
before.kill()
other.end()
"""
DAEMON = """
import os, sys, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        {then}
    os._exit(0)
"""


def adopting(code: str, way: str, own_end_s: float = leftovers.OWN_END_S) -> dict[str, Any]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", ADOPTS, code, way, str(own_end_s)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    assert found["before"] is None, "a child from before was ended"
    assert found["other"] is False, "another child was ended"
    return found


needs_linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux hands orphans to us")


@needs_linux
def test_orphans_that_left_the_group_are_ended_and_told(request: pytest.FixtureRequest) -> None:
    code = DAEMON.format(then='os.execlp("sleep", "/usr/bin/sleep", "600")')
    found = adopting(code, request.node.callspec.params["way"])
    assert found["told"] == {"sleep 600": 1}
    assert found["s"] < SOON_S


@pytest.mark.parametrize(
    ("command", "shown"),
    [
        (["/opt/bin/python3", "-m", "helper.main", "--token=x"], "python3 -m helper.main"),
        (["/opt/bin/curl", "-H", "Authorization: x"], "curl"),
        (["/bin/upload", "/home/me/data", "--key", "x"], "upload data"),
        (["a\x1b[31m"], "a?[31m"),
        (["x" * 500], "x" * 60),
    ],
)
def test_a_leftover_is_named_without_its_options_and_folders(command: list[str], shown: str) -> None:
    assert leftovers._printable(leftovers._without_options(command)) == shown


@needs_linux
def test_an_orphan_that_ends_by_itself_soon_is_not_told() -> None:
    assert adopting(DAEMON.format(then="time.sleep(0.02)"), "", own_end_s=60.0)["told"] == {}


@needs_linux
def test_orphans_of_orphans_are_ended() -> None:
    code = DAEMON.format(then="[os.fork() for _ in range(3)] and time.sleep(600)")
    assert sum(adopting(code, "")["told"].values()) == 8


def test_the_systems_own_list_of_processes_will_do() -> None:
    """Where there is no /proc."""
    rows = dict(leftovers._of_ps())
    if not rows:
        pytest.skip("no `ps` here")
    assert rows[os.getpid()].parent == os.getppid()
    assert rows[os.getpid()].group == os.getpgrp()
    assert rows[os.getpid()].runs


def test_messages_to_a_child_are_those_of_the_protocol(start: Callable[..., Heard]) -> None:
    heard = start("print(input())", read_message)
    heard.child.write(protocol.encode({"type": "order", "id": "1"}))
    assert heard.all() == [{"type": "order", "id": "1"}]


@pytest.mark.parametrize(
    ("told", "kept"),
    [
        ({}, {}),
        ({"left_running": {"telemetry": 2}}, {"telemetry": 2}),
        ({"left_running": {"x" * 500: 1}}, {"x" * 80: 1}),
        ({"left_running": {"a": -1, "b": 0, "c": True, "d": "1", "e": 1 << 40, "f": 1.5}}, {}),
        ({"left_running": [1]}, {}),
        ({"left_running": {str(number): 1 for number in range(1000)}}, {str(number): 1 for number in range(10)}),
    ],
)
def test_what_a_conductor_tells_is_kept_within_bounds(
    monkeypatch: pytest.MonkeyPatch, told: dict[str, Any], kept: dict[str, int]
) -> None:
    monkeypatch.setattr(leftovers, "adopts", lambda: True)
    assert attempt._left_running(told) == ({"left_running": kept} if kept else {})


def test_where_no_orphans_come_to_us_that_is_said() -> None:
    assert "orphans are not handed to us" in attempt._left_running({})["left_running"]["unknown"]


#: Marks what it starts, as a supervisor does, and leaves a process that outlives it.
MARKS = """
import subprocess, sys
from benchharness.device.processes import leftovers
leftovers.mark_what_is_started()
left = subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(600)"], start_new_session=True,
                        stdout=subprocess.DEVNULL)
print(left.pid, flush=True)
{then}
"""
#: The next supervisor, which may itself have been started by one that is gone.
ENDS = "from benchharness.device.processes import leftovers\nleftovers.end_strays()\nprint('went on', leftovers.told())"


def python(code: str, **changes: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **changes}
    return subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    )


def left_by(maker: subprocess.Popen[str]) -> int:
    assert maker.stdout is not None
    return int(maker.stdout.readline())


@needs_linux
def test_what_a_killed_supervisor_has_left_is_ended_by_the_next() -> None:
    gone = python(MARKS.format(then=""))
    stray = left_by(gone)
    gone.communicate()
    mark = dict(each.split("=", 1) for each in _environ(stray))["BENCHHARNESS_SUPERVISOR"]
    there = python(MARKS.format(then="input()"))
    others = left_by(there)
    elsewhere = python("print(0, flush=True); input()", BENCHHARNESS_SUPERVISOR=mark.rpartition(" ")[0] + " pid:[1]")
    left_by(elsewhere)
    told, _ = python(ENDS, BENCHHARNESS_SUPERVISOR=mark).communicate(timeout=300)
    assert told == "went on {}\n"
    assert not lives(stray)
    assert elsewhere.poll() is None, "a process id of another namespace means another process"
    assert there.poll() is None
    psutil.Process(others).kill()  # it was there to be killed: its supervisor lives
    for each in (there, elsewhere):
        each.communicate("\n")


def _environ(process: int) -> list[str]:
    return [each.decode() for each in Path(f"/proc/{process}/environ").read_bytes().split(b"\0") if each]


def test_sigterm_ends_a_worker_whatever_a_shell_made_it_ignore() -> None:
    def ignoring() -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)

    command = [sys.executable, "-m", "benchharness.device.worker"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, preexec_fn=ignoring) as worker:  # noqa: PLW1509
        deadline = time.monotonic() + SOON_S
        while worker.poll() is None and time.monotonic() < deadline:
            worker.terminate()
            time.sleep(0.05)
        alive = worker.poll() is None
        worker.kill()
    assert not alive
    assert worker.returncode == -signal.SIGTERM
