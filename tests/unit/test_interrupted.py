"""Who is interrupted is told how to go on with his own run: a store may be many people's."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from benchharness import measure
from benchharness.builds import several
from benchharness.commands import ending
from benchharness.errors import INTERRUPTED, Interrupted
from benchharness.results.store import Store
from benchharness.suite.hardware import load_hardware
from benchharness.suite.tables import check_suite
from tests.unit.made_up import attempt, job, measured


def a_run(store: Store, attempts: int) -> str:
    run = store.create_run(suite="s", digest="", suite_json="{}", hardware_json='{"name": "m"}', planned=[job()])
    for number in range(attempts):
        store.save_attempt(run, attempt(number, measured("model_ttft", 2e6), id=f"{run[:-1]}{number}"))
    return run


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(f"sqlite:///{tmp_path / 'store.db'}")


def ended(error: BaseException, store: Store, capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as left:
        ending.say_how_to_resume(error, store.url, "gate")
    assert left.value.code == INTERRUPTED
    return " ".join(capsys.readouterr().err.split())


def test_a_newer_run_of_somebody_elses_is_not_named(
    store: Store, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("benchharness.commands.signals.ignore", lambda: None)
    mine = a_run(store, 2)
    theirs = a_run(store, 5)
    told = ended(Interrupted(mine), store, capsys)
    assert told.endswith(f"2 attempts are kept. Go on with: benchharness gate --resume {mine}")
    assert theirs not in told
    assert ended(KeyboardInterrupt(), store, capsys).endswith("interrupted before anything was measured")


@pytest.mark.parametrize("left", [KeyboardInterrupt, BrokenPipeError])
def test_a_run_that_is_interrupted_says_which_it_was(
    store: Store, monkeypatch: pytest.MonkeyPatch, left: type[BaseException]
) -> None:
    def reached(*_: Any) -> Any:
        raise left

    monkeypatch.setattr(measure, "reached", reached)
    suite = check_suite({"name": "s", "models": {"m": {"variants": {"v": {"artefact": "/m.onnx"}}}}}, where="test")
    run = a_run(store, 0)
    with pytest.raises(Interrupted) as interrupted:
        measure._execute(store, run, suite, load_hardware("this-machine"), {}, nullcontext(SimpleNamespace(phase=None)))
    assert interrupted.value.run == run


def test_between_two_devices_a_gate_goes_on_with_the_one_that_was_told(monkeypatch: pytest.MonkeyPatch) -> None:
    class Told:
        """What stands where a run's id is."""

        first = type("Found", (), {"findings": type("Findings", (), {"run": type("Run", (), {"id": "r1"})})})

    def gated(place: str) -> Any:
        if place == "second":
            raise KeyboardInterrupt
        return Told()

    monkeypatch.setattr(several, "replace", lambda found, **_: found)
    with pytest.raises(Interrupted) as interrupted:
        several._each(["first", "second"], gated)
    assert interrupted.value.run == "r1"
    with pytest.raises(KeyboardInterrupt) as plain:
        several._each(["second"], gated)
    assert not isinstance(plain.value, Interrupted)
