"""A store on a full disk, one that cannot be written, one that two commands use: a sentence, and nothing lost."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from benchharness.results.store import Store
from tests.conftest import CommandLine, command_line
from tests.integration.awkward_run import Background, awkward_suite, python_path

Start = Callable[..., Background]


@pytest.fixture(autouse=True)
def awkward(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", python_path())


@pytest.fixture
def start(tmp_path: Path, store_url: str) -> Iterator[Start]:
    started: list[Background] = []

    def go(*arguments: str | Path, name: str = "run", store: str = store_url) -> Background:
        started.append(Background(tmp_path, store, *arguments, name=name))
        return started[-1]

    yield go
    for each in started:
        each.end()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    try:
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=2m", "benchharness-test", folder],
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError:
        pytest.skip("there is no mount command here")
    if mounted.returncode:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def fill_up(folder: Path) -> Path:
    """A file that takes all the space that is left."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as stream:
        try:
            while True:
                stream.write(bytes(4096))
        except OSError:
            return filler


def states(store_url: str) -> list[tuple[str, int]]:
    """State and number of attempts of every run, newest first."""
    store = Store(store_url)
    try:
        return [(run.state, run.attempts) for run in store.list_runs()]
    finally:
        store.close()


def test_a_disk_that_fills_up_during_a_run_loses_no_stored_attempt(
    benchharness: CommandLine, start: Start, small_disk: Path, tmp_path: Path
) -> None:
    store = f"sqlite:///{small_disk / 'store.db'}"
    run = start(awkward_suite(tmp_path, attempts=30, min_time="100 ms"), store=store)
    run.wait_for_attempts(3)
    before = run.stored()
    filler = fill_up(small_disk)
    assert run.wait() == 2
    assert run.leaves_nothing_running()
    assert "Traceback" not in run.complained
    assert "store.db" in run.complained
    assert "disk is full" in run.complained
    for arguments in (("run", tmp_path / "suite.toml"), ("run", "--resume")):
        done = benchharness(*arguments, "--store", store)
        assert done.returncode == 2, done.stdout
        assert "disk is full" in done.stderr
        assert "Traceback" not in done.stderr
    filler.unlink()
    ((_, kept),) = states(store)
    assert kept >= before >= 3
    assert benchharness("show", "--store", store).returncode == 0
    done = benchharness("run", "--resume", "--attempts", str(kept + 2), "--store", store)
    assert done.returncode == 0, done.stderr
    assert states(store) == [("finished", kept + 2)]


def test_a_folder_for_spools_that_cannot_be_made_is_a_sentence(
    benchharness: CommandLine, store_url: str, tmp_path: Path
) -> None:
    """Left there by another user, or the disk became full just now."""
    (tmp_path / "store.db.state").write_text("no folder")
    done = benchharness("run", awkward_suite(tmp_path))
    assert done.returncode in (2, 4), done.stderr
    assert "Traceback" not in done.stderr
    assert "store.db.state" in done.stderr


@pytest.fixture(scope="module")
def archived(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the store of one run, and what lies beside it."""
    folder = tmp_path_factory.mktemp("archived")
    benchharness = command_line(folder, f"sqlite:///{folder / 'store.db'}", PYTHONPATH=python_path())
    done = benchharness("run", awkward_suite(tmp_path_factory.mktemp("suite")))
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def archive(archived: Path, tmp_path: Path) -> Iterator[Path]:
    """That store, nobody's to write; its folder neither."""
    folder = shutil.copytree(archived, tmp_path / "archive")
    store = folder / "store.db"
    store.chmod(0o444)
    folder.chmod(0o555)
    yield store
    folder.chmod(0o755)


@pytest.mark.parametrize("arguments", [("run", "suite.toml"), ("run", "--resume")], ids=" ".join)
def test_writing_a_read_only_store_is_a_sentence(
    unprivileged: CommandLine, archive: Path, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    awkward_suite(tmp_path)
    done = unprivileged(*arguments, "--store", f"sqlite:///{archive}")
    assert done.returncode == 2, done.stdout + done.stderr
    assert "readonly" in done.stderr
    assert str(archive) in done.stderr
    assert "Traceback" not in done.stderr


READING = [("runs",), ("show",), ("export", "--format", "csv"), ("export",), ("report", "--out", "again")]


@pytest.mark.parametrize("arguments", READING, ids=" ".join)
def test_a_read_only_store_can_be_read(unprivileged: CommandLine, archive: Path, arguments: tuple[str, ...]) -> None:
    """What a nightly job leaves for others to look at."""
    done = unprivileged(*arguments, "--store", f"sqlite:///{archive}")
    assert done.returncode == 0, done.stderr
    assert not list(archive.parent.glob("store.db-*"))


def test_a_store_is_readable_to_others_while_its_owner_runs(
    unprivileged: CommandLine, start: Start, archive: Path, tmp_path: Path
) -> None:
    """The permissions hold for the reader alone: the other process writes what the reader must see."""
    archive.parent.chmod(0o755)
    archive.chmod(0o644)
    store = f"sqlite:///{archive}"
    run = start(awkward_suite(tmp_path, attempts=30, min_time="100 ms"), store=store)
    run.wait_for_attempts(2)
    for path in (archive, *archive.parent.glob("store.db-*")):
        path.chmod(0o444)
    archive.parent.chmod(0o555)
    done = unprivileged("runs", "--store", store)
    archive.parent.chmod(0o755)
    assert done.returncode == 0, done.stderr
    assert "running" in done.stdout


def test_two_runs_share_a_store(start: Start, store_url: str, tmp_path: Path) -> None:
    suite = awkward_suite(tmp_path, {"a": "fine", "b": "fine"}, attempts=2)
    runs = [start(suite, "--out", f"out{number}", name=f"run{number}") for number in range(2)]
    assert [run.wait() for run in runs] == [0, 0], [run.complained for run in runs]
    assert states(store_url) == [("finished", 4), ("finished", 4)]
    assert all(run.leaves_nothing_running() for run in runs)


def test_a_run_that_is_going_on_is_not_resumed_and_not_disturbed(
    benchharness: CommandLine, start: Start, store_url: str, tmp_path: Path
) -> None:
    run = start(awkward_suite(tmp_path, attempts=8, min_time="200 ms"))
    run.wait_for_attempts(2)
    done = benchharness("run", "--resume")
    during = states(store_url)
    assert done.returncode not in (0, 1, 3)
    assert "Traceback" not in done.stderr
    assert "still going on" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert run.process.poll() is None
    assert during[0][0] == "running", "the refused command must not change the run's state"
    assert run.wait() == 0
    assert "crashed" not in run.said
    assert states(store_url) == [("finished", 8)]


def test_reading_does_not_disturb_a_run(benchharness: CommandLine, start: Start, tmp_path: Path) -> None:
    run = start(awkward_suite(tmp_path, attempts=6, min_time="100 ms"))
    run.wait_for_attempts(2)
    done = benchharness("export")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["results"][0]["outcomes"]["ok"] >= 1
    assert benchharness("report", "--out", "half").returncode == 0
    assert run.wait() == 0
