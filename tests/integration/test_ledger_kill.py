"""A ledger whose programs are killed, and that several ask at once: what was told is in it, and never too much."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path

import pytest

from benchharness.telemetry.ledger import Ledger

#: Asks for ever, each time for something else, and says what it was told once it was.
ASKS = """
import filelock
import sys
from pathlib import Path
from benchharness.errors import UsageError
from benchharness.telemetry.ledger import Question, ask
path, name, most = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
print("begun", flush=True)
for at in range(most):
    epsilon = f"{sys.argv[4]}{name:03}"
    asked = Question.of(period=f"{1000 + at:04}-01", hardware=["pi"], histograms=["itl"], epsilon=epsilon)
    try:
        entry, anew = ask(path, asked, lambda ledger: {"noise": [at] * 2000}, again=True)
    except UsageError:
        break
    print(entry.question.period, entry.question.epsilon, flush=True)
"""


def start(path: Path, name: int, most: int = 10_000, epsilon: str = "0.01") -> subprocess.Popen[str]:
    command = [sys.executable, "-c", ASKS, str(path), str(name), str(most), epsilon]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def said(out: str) -> set[tuple[str, Fraction]]:
    """The questions whose answers a program has told."""
    lines = [line.split() for line in out.splitlines() if line != "begun"]
    return {(period, Fraction(epsilon)) for period, epsilon in lines}


def opened(folder: Path, budget: str) -> Path:
    Ledger.create(folder / "l", budget=budget, model="chat", hardware=["pi"], variants=["int4"])
    return folder / "l"


def kept(path: Path) -> set[tuple[str, Fraction]]:
    return {(entry.question.period, entry.question.epsilon) for entry in Ledger.read(path).entries}


@pytest.mark.parametrize("kills", [2, 25])
def test_what_was_told_before_a_kill_is_in_the_ledger(tmp_path: Path, kills: int) -> None:
    path, seen, random_ = opened(tmp_path, "20"), set[tuple[str, Fraction]](), random.Random(kills)
    for name in range(kills):
        with start(path, name) as process:
            assert process.stdout is not None
            lines = [process.stdout.readline() for _ in range(random_.randint(1, 6))]
            time.sleep(random_.uniform(0, 0.02))
            process.send_signal(signal.SIGKILL)
            # Not communicate(), which reads past what readline() has already taken in.
            seen |= said("".join([*lines, process.stdout.read()]))
        assert seen <= kept(path)
        assert Ledger.read(path).spent <= 20
    assert len(seen) >= kills, "most were told something before they were killed"


def test_programs_that_ask_at_once_share_one_budget(tmp_path: Path) -> None:
    path = opened(tmp_path, "10")
    processes = [start(path, name, 6, "1.") for name in range(3)]
    found = [said(process.communicate(timeout=300)[0]) for process in processes]
    assert set().union(*found) == kept(path)
    assert sum(map(len, found)) == len(kept(path)) == len(Ledger.read(path).entries)
    assert 9 < Ledger.read(path).spent <= 10
