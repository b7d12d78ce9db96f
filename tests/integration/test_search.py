"""The oracle on real artefacts: what was measured is not measured again, and what is hopeless ends early."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

import benchharness
from benchharness.judge.hopeless import HOPELESS
from benchharness.results.result import VerdictKind
from benchharness.search import Measured, measure
from tests.conftest import ARTEFACTS, DEMO, ROOT
from tests.contract.tiny_models import Variant, build_language_model
from tests.unit.search_samples import example


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    build_language_model(tmp_path / "model", Variant())
    return tmp_path


def asked(folder: Path, budgets: dict[str, Any], *, attempts: int = 2, **changes: Any) -> Measured:
    table = {
        "models": {"m": {"variants": {"a": {"artefact": str(folder / "model")}}}},
        "workloads": [{"prompt": {"tokens": 4}, "output_tokens": 4}],
        "scenarios": {"steady": {"min_time": "10 ms"}},
        "attempts": {"at_least": attempts},
    }
    return measure(table, budgets, store=f"sqlite:///{folder / 'store.db'}", **changes)


def runs(folder: Path) -> int:
    return len(benchharness.runs(store=f"sqlite:///{folder / 'store.db'}"))


def test_an_artefact_that_is_too_large_is_not_run(folder: Path) -> None:
    told = asked(folder, {"size": "10 B", "tpot": "1 s"})
    assert told.stopped.startswith(f"{HOPELESS}artefact_size")
    assert told.constraints["artefact_size"] > 1
    assert told.constraints["tpot"] == float("inf"), "nobody knows"
    assert told.findings is None
    assert (told.attempts, told.failure, runs(folder)) == (0, "", 0)


def test_what_was_measured_is_not_measured_again(folder: Path) -> None:
    first = asked(folder, {"tpot": "1 s"})
    assert not first.cached
    assert first.why_measured == "it was not measured before"
    assert first.keeps
    assert first.attempts == 2
    second = asked(folder, {"tpot": "1 ns", "peak_memory": "1000 GiB"})
    assert second.cached
    assert second.figure("tpot") == first.figure("tpot")
    assert [margin.kind for margin in second.margins] == [VerdictKind.MISS, VerdictKind.PASS], "by today's budgets"
    assert runs(folder) == 1


def test_it_is_measured_again_where_somebody_asks_or_something_is_another(folder: Path) -> None:
    first = asked(folder, {"tpot": "1 s"})
    again = asked(folder, {"tpot": "1 s"}, again=True)
    assert (again.cached, again.why_measured) == (False, "it was asked for again")
    assert first.findings is not None
    assert again.findings is not None
    assert again.findings.run.id != first.findings.run.id
    newest = asked(folder, {"tpot": "1 s"})
    assert newest.cached
    assert newest.findings is not None
    assert newest.findings.run.id == again.findings.run.id, "the newest answers"
    assert asked(folder, {"tpot": "1 s"}, attempts=3).why_measured == "other attempts were asked for"
    assert not asked(folder, {"tpot": "1 s"}, no_older_than=timedelta(0)).cached
    build_language_model(folder / "model", Variant(position_ids=False))
    changed = asked(folder, {"tpot": "1 s"})
    assert changed.digest != first.digest
    assert changed.why_measured == "it was not measured before"


def test_what_is_hopeless_ends_early_and_says_so(folder: Path) -> None:
    told = asked(folder, {"tpot": "1 ns"}, attempts=6)
    assert told.stopped.startswith(f"{HOPELESS}tpot")
    assert "of 6 attempts, all of it beyond tpot 1 ns" in told.stopped
    assert 3 <= told.attempts < 6
    assert told.false_stops == 0.01
    assert told.margins[0].kind is VerdictKind.MISS
    assert told.findings is not None
    assert told.findings.run.state == "finished"
    assert asked(folder, {"tpot": "1 ns"}, attempts=6).cached, "it would end so again"
    whole = asked(folder, {"tpot": "1 s"}, attempts=6)
    assert whole.why_measured == "its measuring ended early, for other budgets"
    assert whole.attempts == 6


def test_quality_is_held_against_a_reference_that_is_not_timed(folder: Path) -> None:
    (folder / "text.txt").write_text((DEMO / "heldout.txt").read_text()[:10_000])
    told = measure(
        ARTEFACTS / "onnx-int4",
        {"kld": "0.000001 nats", "peak_memory": "1000 GiB"},
        reference=ARTEFACTS / "onnx-fp32",
        evaluate=folder / "text.txt",
        scenarios=["steady", "quality"],
        attempts=2,
        store=f"sqlite:///{folder / 'store.db'}",
    )
    assert told.findings is not None
    assert {(each.job.variant, each.job.scenario) for each in told.findings.results} == {
        ("onnx-int4", "steady"),
        ("onnx-int4", "quality"),
    }
    assert told.margins[0].kind is VerdictKind.MISS
    assert told.stopped.startswith(f"{HOPELESS}kld")


def test_a_file_that_is_no_model_fails_and_is_told(folder: Path) -> None:
    (folder / "model" / "model.onnx").write_bytes(b"no model at all")
    told = asked(folder, {"tpot": "1 s"})
    assert told.failure
    assert not told.keeps
    assert told.constraints == {"tpot": float("inf")}


def test_the_example_finds_a_variant_and_measures_it_again(tmp_path: Path) -> None:
    pytest.importorskip("optuna", reason="Optuna is not installed (pip install 'benchharness[search]')")
    pytest.importorskip("onnx_ir", reason="the tools of the extra `compress` are not installed")
    done = subprocess.run(
        [
            *(sys.executable, str(ROOT / "examples" / "search" / "search.py")),
            *("--trials", "6", "--attempts", "3", "--tpot", "1 s", "--out", str(tmp_path / "variants")),
            *("--store", f"sqlite:///{tmp_path / 'store.db'}"),
        ],
        capture_output=True,
        text=True,
        timeout=1200,
        check=False,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "NO_COLOR": "1"},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert "first: tpot" in done.stdout
    assert "again: tpot" in done.stdout
    assert "it keeps every limit again" in done.stdout
    assert "6 trials" in done.stdout


@pytest.mark.parametrize(("block", "left"), [(64, "nothing"), (16, "model.layers.1")])
def test_a_recipe_of_the_example_does_what_it_is_called(tmp_path: Path, block: int, left: str) -> None:
    pytest.importorskip("optuna", reason="Optuna is not installed (pip install 'benchharness[search]')")
    onnx = pytest.importorskip("onnx", reason="the tools of the extra `compress` are not installed")
    from benchharness.compress.making import open_workshop
    from benchharness.compress.parts import By, parts_of

    workshop = open_workshop(ARTEFACTS / "onnx-fp32", tmp_path / "out")
    parts = {part.name: part for part in parts_of(workshop.weights, By.BLOCK)}
    choice = example().Choice(4, block, left)
    (made,) = workshop.make_all([example().recipe_of(choice, parts.get(left))])
    assert made.path is not None, made.failure
    nodes = onnx.load(made.path / "model.onnx").graph.node
    quantized = [node for node in nodes if node.op_type == "MatMulNBits"]
    sizes = {each.i for node in quantized for each in node.attribute if each.name == "block_size"}
    assert sizes == {block}
    of_block = [node for node in quantized if "layers.1" in " ".join(node.input)]
    assert bool(of_block) is (left == "nothing")
