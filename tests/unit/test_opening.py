"""What a runtime writes on standard error while a model is opened stands in the reason of a failure."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

pytestmark = pytest.mark.skipif(not hasattr(os, "pread"), reason="standard error is read back where POSIX has pread")

PROGRAM = """
import os, sys
from contextlib import contextmanager
from benchharness.device.failures import failure
from benchharness.device.opening import opened
from benchharness.errors import ModelFailure, Unsupported

class Runtime:
    @contextmanager
    def open(self, artefact, configuration):
        for line in {written!r}:
            os.write(2, line.encode())  # as a library in C does
        if {fails!r}:
            raise {fails}("it cannot be loaded: error 35")
        yield "session"

os.write(2, b"said before\\n")
try:
    with opened(Runtime(), dict(artefact="m"), None) as session:
        {inside}
except Exception as error:
    told = failure(error)
    print(told["outcome"], told["reason"], sep="|")
else:
    print("opened", session, sep="|")
"""


def ask(
    tmp_path: Path, written: list[str], fails: str = "ModelFailure", inside: str = "pass", mode: str = "a+b"
) -> str:
    program = PROGRAM.format(written=written, fails=fails, inside=inside)
    with (tmp_path / "stderr").open(mode) as stderr:
        done = subprocess.run(
            [sys.executable, "-c", program],
            stdout=subprocess.PIPE,
            stderr=stderr,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            check=True,
            timeout=300,
        )
    return done.stdout.decode().strip()


@pytest.mark.parametrize(("kind", "outcome"), [("ModelFailure", "runtime-error"), ("Unsupported", "unsupported")])
def test_a_failure_has_what_was_written_meanwhile(kind: str, outcome: str, tmp_path: Path) -> None:
    told = ask(tmp_path, ["\x1b[31mE0000 engine.cc:9] no adapters ", "found\x1b[0m\n", "\n", "second\nsecond\n"], kind)
    assert (
        told
        == f"{outcome}|it cannot be loaded: error 35; on standard error: E0000 engine.cc:9] no adapters found; second"
    )


def test_what_was_written_makes_no_failure_another_one(tmp_path: Path) -> None:
    """A library may speak of memory by the way, and the model is damaged."""
    assert ask(tmp_path, ["arena: memory allocation of 12 MB\n"]).startswith(
        "runtime-error|it cannot be loaded: error 35;"
    )


def test_what_the_message_says_already_is_not_said_again(tmp_path: Path) -> None:
    assert (
        ask(tmp_path, ["12:03:09 [E] it cannot be loaded: error 35\n"][:0])
        == "runtime-error|it cannot be loaded: error 35"
    )
    same = "it cannot be loaded: error 35"
    assert ask(tmp_path, [f"{same}\n"]) == f"runtime-error|{same}"


def test_much_of_it_is_cut_to_its_end(tmp_path: Path) -> None:
    told = ask(tmp_path, [f"a graph: {'x' * 90_000}\n", "the end"])
    assert told.endswith("xxx; the end")
    assert "on standard error: …xxx" in told
    assert len(told) < 1200


def test_what_goes_well_or_wrong_inside_keeps_its_own_words(tmp_path: Path) -> None:
    assert ask(tmp_path, ["chatter\n"], fails="") == "opened|session"
    assert ask(tmp_path, ["chatter\n"], fails="", inside="raise ModelFailure('later')") == "runtime-error|later"


def test_standard_error_that_cannot_be_read_back_costs_nothing(tmp_path: Path) -> None:
    assert ask(tmp_path, ["reason\n"], mode="ab") == "runtime-error|it cannot be loaded: error 35"


def test_it_stands_in_the_reason_of_an_attempt(tmp_path: Path) -> None:
    """Through the whole harness, in a runtime of the user's own whose engine says only on standard error why."""
    import benchharness

    package = tmp_path / "package"
    (package / "mute-1.0.dist-info").mkdir(parents=True)
    (package / "mute-1.0.dist-info" / "METADATA").write_text("Name: mute\nVersion: 1.0\n")
    entry = "[benchharness.targets]\nmute = mute:Mute\n"
    (package / "mute-1.0.dist-info" / "entry_points.txt").write_text(entry)
    (package / "mute.py").write_text(
        "import os\n"
        "from contextlib import contextmanager\n"
        "from benchharness.contract import Availability\n"
        "from benchharness.errors import ModelFailure\n"
        "class Mute:\n"
        "    name, formats = 'mute', ('.mute',)\n"
        "    def availability(self):\n"
        "        return Availability(available=True, version='1', accelerators=('cpu',))\n"
        "    @contextmanager\n"
        "    def open(self, artefact, configuration):\n"
        "        os.write(2, b'tensor blk.0 is of an unknown type\\n')\n"
        "        raise ModelFailure('the engine gave no session')\n"
        "        yield\n"
    )
    (tmp_path / "m.mute").write_text("x")
    suite = {
        "configurations": [{"runtime": "mute"}],
        "models": {"m": {"variants": {"m": {"artefact": str(tmp_path / "m.mute")}}}},
        "scenarios": {"first-token": {}},
        "attempts": {"at_least": 1, "at_most": 1},
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(package))
        patch.setenv("PYTHONPATH", f"{package}:{ROOT}")
        (result,) = benchharness.run(suite, store=f"sqlite:///{tmp_path}/store.db").results
    assert result.outcome.reason == (
        "the engine gave no session; on standard error: tensor blk.0 is of an unknown type"
    )
