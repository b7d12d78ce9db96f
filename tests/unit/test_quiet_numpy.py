"""numpy's threads do nothing beside what a worker measures; where numpy itself is measured it is left alone."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchharness.device import adapters, worker
from benchharness.device.quiet_numpy import AS_THEY_ARE, ASLEEP, VARIABLE

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


def fake(folder: Path, code: str, libraries: str = "numpy.libs/libscipy_openblas64_-1.so") -> Path:
    """A numpy that says what it is told, and brings libraries along."""
    (folder / "numpy").mkdir()
    (folder / "numpy" / "__init__.py").write_text(code)
    if libraries:
        (folder / libraries).parent.mkdir()
        (folder / libraries).touch()
    return folder


SAYS = f"import os; print(os.environ.get({VARIABLE!r}))"
LOAD_AND_TELL = f"from benchharness.device.quiet_numpy import VARIABLE, load_numpy; print('/', load_numpy()); {SAYS}"


@pytest.mark.parametrize(("asked", "seen"), [({}, f"4 / {ASLEEP} None"), ({VARIABLE: "20"}, f"20 / {AS_THEY_ARE} 20")])
def test_what_is_set_for_numpy_is_gone_behind_it_and_a_users_word_holds(
    tmp_path: Path, asked: dict[str, str], seen: str
) -> None:
    assert " ".join(said(LOAD_AND_TELL, path=fake(tmp_path, SAYS), **asked)) == seen


@pytest.mark.parametrize("libraries", ["", "numpy.libs/libgfortran.so"])
def test_an_openblas_of_the_systems_may_be_the_runtimes_and_is_left_alone(tmp_path: Path, libraries: str) -> None:
    found = " ".join(said(LOAD_AND_TELL, path=fake(tmp_path, SAYS, libraries)))
    assert found == f"None / {AS_THEY_ARE} None"


def test_libraries_lie_inside_on_macos(tmp_path: Path) -> None:
    path = fake(tmp_path, SAYS, "numpy/.dylibs/libscipy_openblas64_.dylib")
    assert " ".join(said(LOAD_AND_TELL, path=path)) == f"4 / {ASLEEP} None"


def test_one_that_is_there_already_is_not_told_to_have_been_changed(tmp_path: Path) -> None:
    found = " ".join(said(f"import numpy; {LOAD_AND_TELL}", path=fake(tmp_path, SAYS)))
    assert found == f"None / {AS_THEY_ARE} None"


@pytest.mark.parametrize("error", ["ImportError", "RuntimeError"])
def test_a_numpy_that_cannot_be_imported_is_told_by_who_needs_it(tmp_path: Path, error: str) -> None:
    """numpy's own check of itself raises a `RuntimeError`."""
    path = fake(tmp_path, f"raise {error}('it is broken')")
    assert said(f"{LOAD}; import os; print(VARIABLE in os.environ)", path=path) == ["False"]


def test_numpy_is_left_alone_where_it_may_be_what_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "load_numpy", lambda: ASLEEP)
    monkeypatch.setattr(adapters, "load", lambda name: name)
    told = {name: worker._adapter(name)[1] for name in ("python", "of-another-package", "llama-cpp")}
    assert told == {"python": AS_THEY_ARE, "of-another-package": AS_THEY_ARE, "llama-cpp": ASLEEP}
