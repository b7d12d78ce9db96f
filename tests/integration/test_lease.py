"""A supervisor that hears nothing from its host ends by itself, whatever it is at; one that is asked to wait waits."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchharness.device.line.holding import Holding, is_held, lock
from benchharness.device.line.protocol import encode

pytestmark = pytest.mark.skipif(os.name != "posix", reason="locks and signals are POSIX's")
ID = "0195a3c2-7b1e-7c44-9d0f-3f6f2f5e8a11"


class Started:
    """A supervisor with a lease, and when it was started."""

    def __init__(self, work: Path, lease_s: float) -> None:
        command = [sys.executable, "-m", "benchharness.device.supervisor", "--work", str(work), "--bundle", "none"]
        self.process = subprocess.Popen(
            [*command, "--lease", str(lease_s)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            assert stream is not None
            stream.close()


@pytest.fixture
def started(tmp_path: Path) -> Iterator[list[Started]]:
    made: list[Started] = []
    yield made
    for each in made:
        each.close()


def test_a_silent_host_is_waited_for_as_long_as_the_lease_and_no_longer(started: list[Started], tmp_path: Path) -> None:
    started.append(each := Started(tmp_path, 1.0))
    assert each.process.wait(120) == 0


def test_a_sign_of_life_renews_the_lease(started: list[Started], tmp_path: Path) -> None:
    started.append(each := Started(tmp_path, 4.0))
    assert each.process.stdin is not None
    for _ in range(14):  # in all, longer than the lease
        each.process.stdin.write(encode({"type": "alive"}))
        each.process.stdin.flush()
        time.sleep(0.4)
        assert each.process.poll() is None
    assert each.process.wait(120) == 0


def test_a_line_that_takes_no_more_keeps_no_supervisor_beyond_its_lease(started: list[Started], tmp_path: Path) -> None:
    """A finished attempt of a megabyte waits, and nobody reads."""
    (tmp_path / "spool").mkdir()
    (tmp_path / "spool" / f"{ID}.json").write_bytes(encode({"type": "finished", "id": ID, "told": "x" * (1 << 20)}))
    started.append(each := Started(tmp_path, 1.0))
    assert each.process.wait(120) == 0
    assert (tmp_path / "spool" / f"{ID}.json").is_file(), "it was not acknowledged"


def test_the_signal_of_a_host_that_dies_does_not_cut_the_clearing_away_short(tmp_path: Path) -> None:
    """Its line closes first; the signal comes a moment later."""
    late = (
        "import os, signal, sys\n"
        "from benchharness.device import supervisor\n"
        "end = supervisor.leftovers.end_orphans\n"
        "def ends(**how):\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
        "    end(**how)\n"
        "    os.write(2, b'all ended')\n"
        "supervisor.leftovers.end_orphans = ends\n"
        "supervisor.main(['--work', sys.argv[1], '--bundle', 'none'])\n"
    )
    command = [sys.executable, "-c", late, str(tmp_path)]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=120, check=True)
    assert done.stderr == b"all ended"


def test_a_mistake_of_the_supervisors_is_told_and_cuts_no_clearing_away_short(tmp_path: Path) -> None:
    mistaken = (
        "import os, sys\n"
        "from benchharness.device import supervisor\n"
        "def hears(self, message):\n"
        "    raise ValueError('no such sensor')\n"
        "supervisor.Supervisor._on_host = hears\n"
        "supervisor.leftovers.end_orphans = lambda **how: os.write(2, b'all ended')\n"
        "supervisor.main(['--work', sys.argv[1], '--bundle', 'none'])\n"
    )
    command = [sys.executable, "-c", mistaken, str(tmp_path)]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=120, check=False)
    assert done.returncode == 1
    assert b"ValueError: no such sensor" in done.stderr
    assert done.stderr.endswith(b"all ended")


def test_who_only_asks_whether_a_device_is_held_keeps_nobody_out(tmp_path: Path) -> None:
    asking = lock(tmp_path / "held")
    assert isinstance(asking, int)
    assert is_held(tmp_path / "held")
    taken = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys; from pathlib import Path; from benchharness.device.line.holding import Holding\n"
            "sys.exit(Holding(Path(sys.argv[1])).take('ann') is not None)",
            str(tmp_path),
        ]
    )
    time.sleep(0.3)
    os.close(asking)
    assert taken.wait(120) == 0
    assert Holding(tmp_path).told()["holder"] == "ann"
