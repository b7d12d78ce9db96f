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
import sys
from pathlib import Path
from benchharness.errors import UsageError
from benchharness.telemetry.ledger import Question, ask
path, name, most = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
print("begun", flush=True)
for at in range(most):
    asked = Question.of(period=f"{1000 + at:04}-01", hardware=["pi"], histograms=["itl"], epsilon=f"1.{name:03}")
    try:
        entry, anew = ask(path, asked, lambda ledger: {"noise": [at] * 2000}, again=True)
    except UsageError:
        break
    print(entry.question.period, entry.question.epsilon, flush=True)
"""


def start(path: Path, name: int, most: int = 10_000) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", ASKS, str(path), str(name), str(most)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def told(process: subprocess.Popen[str]) -> list[tuple[str, Fraction]]:
    out, _ = process.communicate(timeout=120)
    lines = [line.split() for line in out.splitlines() if line.endswith(tuple("0123456789"))]
    return [(period, Fraction(epsilon)) for period, epsilon in (each for each in lines if len(each) == 2)]


def opened(folder: Path, budget: str) -> Path:
    Ledger.create(folder / "l", budget=budget, model="chat", hardware=["pi"], variants=["int4"])
    return folder / "l"


def kept(path: Path) -> set[tuple[str, Fraction]]:
    return {(entry.question.period, entry.question.epsilon) for entry in Ledger.read(path).entries}


@pytest.mark.parametrize("kills", [2, 25])
def test_what_was_told_before_a_kill_is_in_the_ledger(tmp_path: Path, kills: int) -> None:
    path, seen, random_ = opened(tmp_path, "20"), set[tuple[str, Fraction]](), random.Random(kills)
    for name in range(kills):
        process = start(path, name)
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        time.sleep(random_.uniform(0, 0.02))
        process.send_signal(signal.SIGKILL)
        seen |= set(told(process))
        assert seen <= kept(path)
        assert Ledger.read(path).spent <= 20


def test_programs_that_ask_at_once_share_one_budget(tmp_path: Path) -> None:
    path = opened(tmp_path, "10")
    processes = [start(path, name, 6) for name in range(3)]
    found = [each for process in processes for each in told(process)]
    assert set(found) == kept(path)
    assert len(found) == len(kept(path)) == len(Ledger.read(path).entries) <= 10
    assert 9 < Ledger.read(path).spent <= 10
