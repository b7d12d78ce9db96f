"""Suites whose scenarios read files, from who submits through the farm to a real run on its host."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from tests.postgres import MISSING, missing

pytest.importorskip("procrastinate", reason=MISSING)
pytest.importorskip("onnxruntime", reason="NOT TESTED: onnxruntime is not installed")
pytest.importorskip("tokenizers", reason="NOT TESTED: tokenizers is not installed")

from benchharness import api
from benchharness.farm.agent import Agent
from benchharness.farm.allowed import Allowed
from benchharness.farm.asking import jobs_of, submit
from benchharness.farm.units import units_in
from benchharness.results.result import Result
from tests.conftest import ARTEFACTS, CommandLine
from tests.farm import SUBMITTERS, Testbed, until
from tests.integration.test_hybrid import KEY, suite_of
from tests.integration.test_task import classifier
from tests.loopback_endpoint import serving

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing() or "-")
AFTER = "def label(given, document):\n    return given\n"


@contextmanager
def host(testbed: Testbed, work: Path, **rules: object) -> Iterator[None]:
    """An agent whose one device is this machine."""
    (work / "devices").mkdir(parents=True)
    (work / "devices" / "pi-1.toml").write_text('name = "board"\n')
    keys = {name: (testbed.farm.pass_of(name) / "signing.pub").read_text().strip() for name in SUBMITTERS}
    allowed = Allowed.model_validate({"keys": keys, **rules})
    agent = Agent(testbed.member("desk"), units_in(work / "devices"), work / "agent", allowed=lambda: allowed)
    thread = threading.Thread(target=agent.run)
    thread.start()
    try:
        until(lambda: testbed.rows("SELECT count(*) FROM farm.devices") == [(1,)])
        yield
    finally:
        agent.stop()
        thread.join()


def made(testbed: Testbed, suite: Path) -> list[Result]:
    """What became of a suite that ann submits: its results, as they stand in the farm's store."""
    ann = testbed.member("ann")
    done = submit(ann, suite, on="board")
    until(lambda: testbed.states()[-1] not in ("todo", "doing"))
    testbed.take_in()
    (job,) = jobs_of(ann, done.id)
    assert job.status == "succeeded", job.why
    return list(api.load(job.run, store=ann.store).results)


def talking(folder: Path) -> Path:
    lines = [{"text": "zephyrs vex the bold", "answer_tokens": 4}, {"text": "and again", "answer_tokens": 4}]
    (folder / "talk.jsonl").write_text("\n".join(map(json.dumps, lines)))
    suite = folder / "talk.toml"
    suite.write_text(
        f'[models.demo.variants.int8]\nartefact = "{ARTEFACTS / "onnx-int8"}"\n'
        '[[configurations]]\nruntime = "onnxruntime"\nthreads = 1\n'
        '[scenarios.conversation]\nfile = "talk.jsonl"\ncome_back = false\n[attempts]\nat_least = 1\nat_most = 1\n'
    )
    return suite


def asking(folder: Path) -> Path:
    """Forty labels of which the model has thirty right, scored by the suite's own Python."""
    dataset = folder / "planted"
    dataset.mkdir()
    said = [number % 4 for number in range(40)]
    labels = [(each + 1) % 4 if number % 4 == 0 else each for number, each in enumerate(said)]
    (dataset / "documents.jsonl").write_text("\n".join(json.dumps({"label": each}) for each in labels))
    np.savez(dataset / "inputs.npz", x=np.eye(4, dtype=np.float32)[said])
    (dataset / "after.py").write_text(AFTER)
    card = 'name = "planted"\nlicence = "CC0"\nmeasure = "accuracy"\nafter = "after.py:label"\n'
    (dataset / "dataset.toml").write_text(card)
    classifier(folder / "model.onnx", swapped=False)
    suite = folder / "task.toml"
    suite.write_text(
        '[models.m.variants.v]\nartefact = "model.onnx"\n'
        '[scenarios.task]\ndatasets = "planted"\ntrust_code = true\n[attempts]\nat_least = 1\n'
    )
    return suite


def test_a_conversation_goes_to_a_farm_and_its_host_takes_it_unasked(testbed: Testbed, tmp_path: Path) -> None:
    with host(testbed, tmp_path / "host"):
        (result,) = made(testbed, talking(tmp_path))
    assert result.outcome.ok, result.outcome
    assert {metric.name for metric in result.metrics} >= {"conversation_ttft", "turn_ttft"}


def test_a_task_with_a_function_of_its_own_goes_where_a_host_lists_it(
    testbed: Testbed, benchharness: CommandLine, tmp_path: Path
) -> None:
    suite, digest = asking(tmp_path), hashlib.sha256(AFTER.encode()).hexdigest()
    with host(testbed, tmp_path / "host", scenarios=["task"]):
        ann = testbed.farm.pass_of("ann")
        told = benchharness("farm", "submit", suite, "--on", "board", "--farm", ann)
        assert (told.returncode, told.stderr) == (0, "")
        assert f'after.py is code: a host makes it where its agent.toml has it: code = ["{digest}"]' in told.stdout
        until(lambda: testbed.states() == ["failed"])
    ((why,),) = testbed.rows("SELECT why FROM farm.jobs")
    assert why.startswith("pi-1 refused it: files/")
    assert why.endswith(f"after.py is code, and its SHA-256 is not in this host's code: {digest}")
    with host(testbed, tmp_path / "other", scenarios=["task"], code=[digest]):
        (result,) = made(testbed, suite)
    assert result.outcome.ok, result.outcome
    (found,) = (metric for metric in result.metrics if metric.name == "task_accuracy")
    assert found.estimate.value == 0.75


def test_a_cloud_and_a_device_go_to_a_farm_whose_host_lists_them(
    testbed: Testbed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAR_KEY", KEY)
    with serving() as endpoint:
        endpoint.key = KEY
        networks = [{"name": "near", "delay": "1 ms"}]
        suite = suite_of(tmp_path, endpoint, networks=networks)
        rules = {"runtimes": ["cloud"], "scenarios": ["hybrid"], "key_sources": ["env:FAR_KEY"]}
        with host(testbed, tmp_path / "host", **rules):
            (result,) = made(testbed, suite)
    assert result.outcome.ok, result.outcome
    assert any(metric.name == "hybrid_first_token" for metric in result.metrics)
    dump = testbed.rows("SELECT string_agg(told, '') FROM farm.submissions")[0][0]
    assert KEY not in dump
