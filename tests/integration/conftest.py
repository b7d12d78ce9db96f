"""Runs jobs on the awkward adapter through the real supervisor and worker."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from benchharness.device.adapters import formats
from benchharness.execute.jobs import Execution
from benchharness.judge.derive import derive
from benchharness.launch import Launcher
from benchharness.launch.local import LocalLauncher
from benchharness.results.result import Attempt, Job, Result
from benchharness.results.store import Store
from benchharness.suite.artefact import DigestCache, Listing, whole
from benchharness.suite.hardware import HardwareTarget
from benchharness.suite.listing import list_files
from benchharness.suite.materials import gather
from benchharness.suite.plan import plan
from benchharness.suite.tables import Suite, check_suite
from tests import postgres
from tests.command_line import Starter, started_behind
from tests.conftest import ROOT, CommandLine, command_line

if TYPE_CHECKING:
    from tests.farm import Member, Testbed

ADAPTERS = Path(__file__).parent.parent / "awkward"


def _list_files(asked: Mapping[Path, Sequence[str]]) -> Mapping[Path, Listing]:
    """As the harness does, which starts a process; for models of the awkward adapter, which lists no files, without."""
    awkward = {path for path in asked if path.suffix == ".awkward"}
    other = {path: names for path, names in asked.items() if path not in awkward}
    return {**{path: whole(path) for path in awkward}, **(list_files(other) if other else {})}


class Silence:
    """An observer that remembers the attempts it was told of."""

    def __init__(self) -> None:
        self.attempts: list[Attempt] = []
        self.phases: list[str] = []

    def begins(self, jobs: Sequence[Job], attempt: int, of: int, left: int, left_s: float | None) -> None:
        pass

    def phase(self, phase: str, done: int, total: int) -> None:
        self.phases.append(phase)

    def ended(self, job: Job, attempt: Attempt) -> None:
        self.attempts.append(attempt)

    def done(self, result: Result) -> None:
        pass


class Bench:
    """Makes awkward models and runs suites of them."""

    def __init__(self, folder: Path, store_url: str) -> None:
        self._folder = folder
        self.store = Store(store_url)
        self.observer = Silence()
        self.run_id = ""

    def model(self, words: str, name: str = "model") -> Path:
        path = self._folder / f"{name}.awkward"
        path.write_text(words)
        return path

    def suite(
        self,
        artefacts: Sequence[Path],
        *,
        attempts: int = 2,
        timeout: str = "120 s",
        accelerator: str | None = None,
        prompt_tokens: int = 64,
        scenario: str | None = None,
        delay_s: float = 0.0,
    ) -> Suite:
        configuration: dict[str, Any] = {"runtime": "awkward", "accelerator": accelerator}
        configuration["options"] = {"delay_s": delay_s}
        quick = {"min_time": "1 ms"}
        table: dict[str, Any] = {
            "name": "awkward",
            "models": {"m": {"variants": {path.stem: {"artefact": path} for path in artefacts}}},
            "configurations": [configuration],
            "workloads": [{"prompt": {"tokens": prompt_tokens}}],
            "attempts": {"at_least": attempts, "timeout": timeout},
            "scenarios": {scenario: quick} if scenario else {"first-token": quick, "steady": quick},
        }
        return check_suite(table, where="test")

    def run(self, artefacts: Sequence[Path], *, launcher: Launcher | None = None, **settings: Any) -> list[Result]:
        suite = self.suite(artefacts, **settings)
        materials = gather(suite, DigestCache(None), lister=_list_files)
        hardware = HardwareTarget(name="this-machine")
        self.run_id = self.store.create_run(
            suite=suite.name,
            digest=suite.digest,
            suite_json=suite.model_dump_json(by_alias=True),
            hardware_json=hardware.model_dump_json(),
            planned=plan(suite, hardware, materials, formats),
        )
        execution = Execution(
            self.store, self.run_id, rules=suite.attempts, manifests=materials.manifests, observer=self.observer
        )
        execution.walk(launcher or LocalLauncher(self._folder / "state"), self._folder / "state")
        return derive(self.store.jobs(self.run_id), self.store.attempts(self.run_id))

    def one(self, artefact: Path, *, scenario: str = "first-token", **settings: Any) -> Result:
        (result,) = self.run([artefact], scenario=scenario, **settings)
        return result


@pytest.fixture
def bench(tmp_path: Path, store_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    monkeypatch.syspath_prepend(str(ADAPTERS))
    monkeypatch.setenv("PYTHONPATH", f"{ADAPTERS}{os.pathsep}{ROOT}")
    made = Bench(tmp_path, store_url)
    yield made
    made.store.close()


@pytest.fixture(scope="session")
def _unprivileged_starter() -> Iterator[Starter]:
    if os.geteuid() == 0 and shutil.which("setpriv") is None:
        pytest.skip("root can read and write everywhere, and there is no setpriv to give that up")
    before = ("setpriv", "--bounding-set=-dac_override,-dac_read_search") if os.geteuid() == 0 else ()
    yield from started_behind(before)


@pytest.fixture
def unprivileged(_unprivileged_starter: Starter, tmp_path: Path, store_url: str) -> CommandLine:
    """The command line as somebody for whom file permissions hold."""
    return command_line(tmp_path, store_url, _unprivileged_starter)


# A farm. Who tries none of it loads none of its libraries.


@pytest.fixture(scope="session")
def _testbed() -> Iterator[Testbed]:
    if why := postgres.missing():
        pytest.skip(why)
    from tests.farm import made_farm

    with made_farm() as made:
        yield made


@pytest.fixture
def testbed(_testbed: Testbed) -> Testbed:
    """The session's farm, as if it were new."""
    _testbed.reset()
    return _testbed


@pytest.fixture
def member(testbed: Testbed) -> Iterator[Callable[[str], Member]]:
    """Makes members' lines, and closes them."""
    from tests.farm import Member

    made: list[Member] = []

    def line(role: str) -> Member:
        made.append(Member(testbed.member(role)))
        return made[-1]

    yield line
    for each in made:
        each.line.close()
