"""numpy's threads do nothing beside what a worker measures; where numpy itself is measured it is left alone."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchharness.device import adapters, worker
from benchharness.device.quiet_numpy import VARIABLE

ROOT = Path(__file__).parent.parent.parent
LOAD = "from benchharness.device.quiet_numpy import VARIABLE, load_numpy; load_numpy()"
#: Run time of all threads but the first, in ns, when they have had time to spin.
OF_OTHERS = (
    "import time; from pathlib import Path; time.sleep(0.2); tasks = sorted(Path('/proc/self/task').iterdir()); "
    "print(sum(int((task / 'schedstat').read_text().split()[0]) for task in tasks[1:]))"
)
#: A tenth of a second is what they spin where nobody else wants the core, 16 ms on a very busy one.
SPINS_NS = 5_000_000


def said(code: str, *, path: Path = ROOT, **environment: str) -> list[str]:
    """The words of a process that looks for modules in `path` first."""
    told = {name: value for name, value in os.environ.items() if name != VARIABLE}
    told["PYTHONPATH"] = os.pathsep.join((str(path), str(ROOT)))
    command = [sys.executable, "-c", code]
    return subprocess.run(
        command, env={**told, **environment}, capture_output=True, text=True, check=True
    ).stdout.split()


@pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="of Linux's /proc; other systems' numpy may have no OpenBLAS"
)
def test_no_thread_of_numpys_spins() -> None:
    (others_ns,) = said(f"{LOAD}; {OF_OTHERS}")
    assert int(others_ns) < SPINS_NS


@pytest.mark.parametrize(("asked", "seen"), [({}, ["4", "None"]), ({VARIABLE: "20"}, ["20", "20"])])
def test_what_is_set_for_numpy_is_gone_behind_it_and_a_users_word_holds(
    tmp_path: Path, asked: dict[str, str], seen: list[str]
) -> None:
    (tmp_path / "numpy.py").write_text(f"import os; print(os.environ.get({VARIABLE!r}))")
    assert said(f"{LOAD}; import os; print(os.environ.get(VARIABLE))", path=tmp_path, **asked) == seen


def test_a_device_without_numpy_is_told_by_who_needs_it(tmp_path: Path) -> None:
    (tmp_path / "numpy.py").write_text("raise ImportError('there is none')")
    assert said(f"{LOAD}; import os; print(VARIABLE in os.environ)", path=tmp_path) == ["False"]


def test_numpy_is_left_alone_where_it_may_be_what_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[str] = []
    monkeypatch.setattr(worker, "load_numpy", lambda: loaded.append("numpy"))
    monkeypatch.setattr(adapters, "load", loaded.append)
    for name in ("python", "of-another-package", "llama-cpp"):
        worker._adapter(name)
    assert loaded == ["python", "of-another-package", "numpy", "llama-cpp"]
