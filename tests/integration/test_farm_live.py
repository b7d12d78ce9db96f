"""`farm status --live` in a terminal: drawn anew, through a farm that goes away, until Ctrl-C."""

from __future__ import annotations

import fcntl
import io
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest

from tests.postgres import MISSING, missing

pytest.importorskip("procrastinate", reason=MISSING)

from rich.console import Console

from benchharness.farm import asking
from benchharness.terminal.farm import draw_live
from tests.conftest import ROOT
from tests.farm import Member, Testbed, submit, text

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing() or "-")
ROWS, COLUMNS = 40, 120


class Terminal:
    """A program in a window of its own, and what it writes there."""

    def __init__(self, *words: str) -> None:
        self._ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        self.process = subprocess.Popen(
            [sys.executable, "-m", "benchharness", *words],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env={**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm-256color"},
        )
        os.close(theirs)
        self.written = ""

    def until(self, words: str, patience_s: float = 180.0) -> None:
        """Reads until something is written that was not before."""
        seen, end = len(self.written), time.monotonic() + patience_s
        while words not in self.written[seen:]:
            assert time.monotonic() < end, self.written[seen:]
            if not select.select([self._ours], [], [], 0.1)[0]:
                continue
            try:
                got = os.read(self._ours, 65536)
            except OSError:  # the other end is closed
                got = b""
            assert got, self.written[seen:]
            # Moves and colours are no words.
            self.written += re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", got.decode(errors="replace"))

    def end(self) -> int:
        self.process.send_signal(signal.SIGINT)
        with suppress(OSError):
            while os.read(self._ours, 65536):
                pass
        return self.process.wait(180)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._ours)


@pytest.fixture
def terminal(testbed: Testbed) -> Iterator[Callable[..., Terminal]]:
    made: list[Terminal] = []

    def begin(*words: str) -> Terminal:
        made.append(Terminal(*words, "--farm", str(testbed.member("ann").folder)))
        return made[-1]

    yield begin
    for each in made:
        each.close()


def test_it_is_drawn_anew_while_the_farm_changes_goes_and_comes_back(
    testbed: Testbed, member: Callable[[str], Member], terminal: Callable[..., Terminal]
) -> None:
    desk, ann = member("desk"), member("ann")
    desk.call("present", json.dumps([{"name": "pi-1", "labels": {"hardware": "raspberry-pi-5"}}]))
    assert desk.one("hold", "pi-1")
    shown = terminal("farm", "status", "--live")
    shown.until("no job yet")
    shown.until("raspberry-pi-5")
    submit(testbed, ann, text(wanted=[{"device": "pi-1"}]))
    shown.until("1 queued")
    desk.claims("pi-1")
    shown.until("1 running")
    ann.one("set_state", "pi-1", "quarantined", "its battery swells")
    shown.until("battery swells")  # the state may be on two lines
    testbed.farm.server.stop("immediate")
    try:
        shown.until("as it stood before: the farm at localhost")
        shown.until("raspberry-pi-5")
    finally:
        testbed.farm.server.start()
    shown.until("1 running")
    assert shown.end() == 0
    assert "Traceback" not in shown.written


def test_what_is_drawn_is_how_the_farm_stands_then(testbed: Testbed, member: Callable[[str], Member]) -> None:
    """The same, drawn by this process, each time after something happened."""
    desk, ann = member("desk"), member("ann")
    desk.holds("pi-1")
    happens: Iterator[Callable[[], object]] = iter([lambda: submit(testbed, ann, text()), lambda: desk.claims("pi-1")])

    def wait(_: float) -> None:
        something = next(happens, None)
        if something is None:
            raise KeyboardInterrupt
        something()

    console = Console(width=COLUMNS, record=True, force_terminal=True, file=io.StringIO())
    member_ = testbed.member("ann")
    draw_live(lambda: asking.status(member_), asking.status(member_), console, wait)
    drawn = console.export_text()
    assert drawn.index("no job yet") < drawn.index("1 queued") < drawn.index("1 running") < drawn.rindex("pi-1")
