"""Scenario `quality` when something goes wrong: killed processes, other interpreters, slow variants, data of no use."""

from __future__ import annotations

import os
import signal
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

import benchharness
from benchharness.errors import SuiteError
from benchharness.results.result import Result
from tests.command_line import STARTER, Process
from tests.conftest import ROOT
from tests.integration.awkward_run import living
from tests.integration.conftest import ADAPTERS

DEMO = ROOT / "examples" / "demo_model" / "artefacts"
DIGITS = ROOT / "examples" / "digits" / "artefacts"
OTHER_PYTHON = ROOT / ".venv-tflite-runtime" / "bin" / "python"
CHUNK, CHUNKS = 128, 24
TOKENS = " ".join(str((37 * index * index + 11 * index) % 1000) for index in range(CHUNK * CHUNKS))
VARIANTS = ("fp32", "int8", "int4")
SUITE = f"""
[models.m]
task = "causal-lm"
evaluation = "text.tokens"
[models.m.variants]
{"".join(f'{name} = {{ artefact = "{DEMO}/onnx-{name}" }}{chr(10)}' for name in VARIANTS)}
[[configurations]]
runtime = "onnxruntime"
threads = 1
[scenarios.quality]
chunk_tokens = {CHUNK}
most_chunks = {CHUNKS}
continuation_tokens = 8
"""


class Harness:
    """A `benchharness run` of our own, recognisable by a mark in its environment, children included."""

    def __init__(self, folder: Path) -> None:
        self._mark = uuid.uuid4().hex
        self._folder = folder
        self._started: list[Process] = []
        self.url = f"sqlite:///{folder}/store.db"
        (folder / "text.tokens").write_text(TOKENS)
        (folder / "suite.toml").write_text(SUITE)

    def start(self, *arguments: str) -> Process:
        environment = {**os.environ, "BENCHHARNESS_STORE": self.url, "BENCHHARNESS_TEST_MARK": self._mark}
        words, log = ["run", "--no-report", *arguments], self._folder / "log"
        self._started.append(STARTER.start(words, cwd=self._folder, env=environment, out=log, err=log))
        return self._started[-1]

    def end(self) -> None:
        """Whatever became of the test."""
        for process in self.living():
            process.kill()
        for started in self._started:
            started.wait()

    def log(self) -> str:
        return (self._folder / "log").read_text()

    def living(self) -> list[psutil.Process]:
        """Every process of it that is not a zombie."""
        return living(self._mark, self._started[-1] if self._started else None)

    def of_role(self, role: str) -> list[psutil.Process]:
        """The harness, its supervisor, the pass's conductor, or its scorers, the reference's first."""
        found = []
        for process in sorted(self.living(), key=lambda each: each.pid):
            try:
                words = " ".join(process.cmdline())
            except psutil.Error:
                continue
            theirs = {"supervisor": "device.supervisor", "conductor": "device.worker", "scorer": "quality.scorer"}
            if next((name for name, module in theirs.items() if module in words), "harness") == role:
                found.append(process)
        return found

    def wait_for_the_pass(self) -> None:
        """Until every scorer computes."""
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            scorers = self.of_role("scorer")
            if len(scorers) == len(VARIANTS) and all(each.cpu_times().user > 0.7 for each in scorers):
                return
            time.sleep(0.02)
        raise AssertionError(f"the pass did not begin: {self.log()}")

    def results(self) -> dict[str, Result]:
        return {each.job.variant: each for each in benchharness.load("latest", store=self.url).results}


@pytest.fixture
def harness(tmp_path: Path) -> Iterator[Harness]:
    made = Harness(tmp_path)
    yield made
    made.end()


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[float]]:
    """All figures by variant of a run that nobody disturbs."""
    quiet = Harness(tmp_path_factory.mktemp("undisturbed"))
    assert quiet.start("suite.toml").wait(120) == 0, quiet.log()
    return figures(quiet.results())


def figures(results: Mapping[str, Result]) -> dict[str, list[float]]:
    assert {str(each.outcome) for each in results.values()} == {"ok"}, [each.outcome for each in results.values()]
    return {
        name: [each.estimate.value for each in result.metrics if each.estimate.value is not None]
        for name, result in results.items()
    }


def gone_within_a_second(living: Callable[[], object]) -> bool:
    deadline = time.monotonic() + 1
    while (left := living()) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not left


def kill(process: psutil.Process) -> None:
    process.send_signal(signal.SIGKILL)


@pytest.mark.parametrize("role", ["conductor", "supervisor"])
def test_what_is_killed_on_the_device_is_made_again(
    harness: Harness, undisturbed: dict[str, list[float]], role: str
) -> None:
    running = harness.start("suite.toml")
    harness.wait_for_the_pass()
    before = {each.pid for each in harness.of_role("scorer")}
    kill(harness.of_role(role)[0])
    assert gone_within_a_second(lambda: before & {each.pid for each in harness.living()})
    assert running.wait(120) == 0, harness.log()
    assert figures(harness.results()) == undisturbed
    assert "Traceback" not in harness.log()
    assert not harness.living()
    expected = {"killed": 1, "ok": 1} if role == "conductor" else {"ok": 1}
    assert [result.outcomes for result in harness.results().values()] == [expected, expected]


def test_a_killed_harness_leaves_no_scorer_and_resumes(harness: Harness, undisturbed: dict[str, list[float]]) -> None:
    running = harness.start("suite.toml")
    harness.wait_for_the_pass()
    kill(harness.of_role("harness")[0])
    running.wait(10)
    assert gone_within_a_second(harness.living)
    assert harness.start("--resume").wait(120) == 0, harness.log()
    assert figures(harness.results()) == undisturbed
    assert not harness.living()


def test_a_killed_variant_leaves_the_pass_and_is_made_again(
    harness: Harness, undisturbed: dict[str, list[float]]
) -> None:
    running = harness.start("suite.toml")
    harness.wait_for_the_pass()
    kill(harness.of_role("scorer")[1])  # the reference was started first
    assert running.wait(120) == 0, harness.log()
    results = harness.results()
    assert sorted(sorted(result.outcomes.items()) for result in results.values()) == [
        [("killed", 1), ("ok", 1)],
        [("ok", 1)],
    ]
    assert "ended by SIGKILL" in harness.log()
    assert figures(results) == undisturbed


def test_a_killed_reference_fails_the_pass_and_it_is_made_again(
    harness: Harness, undisturbed: dict[str, list[float]]
) -> None:
    running = harness.start("suite.toml")
    harness.wait_for_the_pass()
    kill(harness.of_role("scorer")[0])
    assert running.wait(120) == 0, harness.log()
    assert "killed(the reference failed, and there is nothing to compare with: ended by SIGKILL)" in harness.log()
    assert [result.outcomes for result in harness.results().values()] == [{"killed": 1, "ok": 1}] * 2
    assert figures(harness.results()) == undisturbed


def test_ctrl_c_ends_a_pass_and_says_how_to_resume(harness: Harness, undisturbed: dict[str, list[float]]) -> None:
    running = harness.start("suite.toml")
    harness.wait_for_the_pass()
    running.send_signal(signal.SIGINT)
    assert running.wait(30) == 130
    assert "--resume" in harness.log()
    assert "Traceback" not in harness.log()
    assert gone_within_a_second(harness.living)
    assert harness.start("--resume").wait(120) == 0, harness.log()
    assert figures(harness.results()) == undisturbed


Quality = Callable[..., dict[tuple[str, str], Result]]


@pytest.fixture
def quality(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Quality:
    """Runs a model's variants against the first of them; results by variant and configuration."""
    monkeypatch.syspath_prepend(str(ADAPTERS))
    monkeypatch.setenv("PYTHONPATH", f"{ADAPTERS}:{ROOT}")

    def run(
        variants: Mapping[str, Path],
        data: Path,
        configurations: list[dict[str, Any]],
        *,
        task: str | None = None,
        timeout: str = "60 s",
        **settings: Any,
    ) -> dict[tuple[str, str], Result]:
        small = {"chunk_tokens": 16, "most_chunks": 2, "continuation_tokens": 2, "continuation_prompts": 1}
        suite = {
            "models": {
                "m": {
                    "task": task,
                    "evaluation": str(data),
                    "variants": {name: {"artefact": str(path)} for name, path in variants.items()},
                }
            },
            "configurations": configurations,
            "scenarios": {"quality": {**small, **settings}},
            "attempts": {"timeout": timeout, "at_least": 1},
        }
        found = benchharness.run(suite, store=f"sqlite:///{tmp_path}/store.db")
        return {(each.job.variant, each.job.configuration.name): each for each in found.results}

    return run


@pytest.fixture
def tokens(tmp_path: Path) -> Path:
    path = tmp_path / "text.tokens"
    path.write_text(" ".join(str(index % 32) for index in range(64)))
    return path


@pytest.fixture
def fine(tmp_path: Path) -> Path:
    path = tmp_path / "fine.awkward"
    path.write_text("fine")
    return path


def value(result: Result, metric: str) -> float:
    (found,) = [each.estimate.value for each in result.metrics if each.name == metric]
    assert found is not None
    return found


@pytest.mark.skipif(not OTHER_PYTHON.exists(), reason="NOT TESTED: no .venv-tflite-runtime, which `make test` makes")
def test_a_scorer_under_another_interpreter(quality: Quality, tmp_path: Path) -> None:
    pictures = np.random.default_rng(0).uniform(0, 1, (20, 1, 8, 8)).astype(np.float32)
    np.savez(tmp_path / "pictures.npz", image=pictures)
    configurations = [
        {"runtime": "onnxruntime", "threads": 1},
        {"runtime": "tflite", "name": "here", "threads": 1},
        {"runtime": "tflite", "name": "there", "threads": 1, "python": str(OTHER_PYTHON)},
    ]
    models = {"onnx": DIGITS / "fp32.onnx", "tflite": DIGITS / "fp32.tflite", "onnx-int8": DIGITS / "int8.onnx"}
    results = quality(models, tmp_path / "pictures.npz", configurations, task="classifier")
    there = results["tflite", "there"]
    assert there.outcome.ok, there.outcome
    assert there.effective.facts["package"] == "tflite-runtime"
    assert results["tflite", "here"].effective.facts["package"] == "ai-edge-litert"
    assert there.job.comparison_pass == results["tflite", "here"].job.comparison_pass
    assert value(there, "agreement") == 1.0
    assert value(there, "kld") == pytest.approx(value(results["tflite", "here"], "kld"), abs=1e-9)
    assert results["onnx-int8", "onnxruntime 1 thread"].outcome.ok


def test_an_interpreter_that_cannot_run_the_scorer_is_one_variants_trouble(
    quality: Quality, tokens: Path, fine: Path, tmp_path: Path
) -> None:
    empty = tmp_path / "python"
    empty.write_text("#!/bin/sh\nexit 7\n")
    empty.chmod(0o755)
    configurations = [
        {"runtime": "awkward"},
        {"runtime": "awkward", "name": "other", "options": {"delay_s": 0.0}},
        {"runtime": "awkward", "name": "broken", "python": str(empty)},
    ]
    results = quality({"fine": fine}, tokens, configurations)
    assert results["fine", "other"].outcome.ok, results["fine", "other"].outcome
    assert results["fine", "broken"].outcome.kind == "crashed"
    assert "exit code 7" in results["fine", "broken"].outcome.reason


def test_a_slow_variant_is_waited_for(quality: Quality, tokens: Path, fine: Path) -> None:
    configurations = [
        {"runtime": "awkward"},
        {"runtime": "awkward", "name": "slow", "options": {"delay_s": 0.05}},
        {"runtime": "awkward", "name": "quick", "options": {"delay_s": 0.0}},
    ]
    results = quality({"fine": fine}, tokens, configurations)
    assert {str(each.outcome) for each in results.values()} == {"ok"}
    assert {value(each, "kld") for each in results.values()} == {0.0}


def test_a_variant_too_slow_ends_the_pass_with_its_limit(quality: Quality, tokens: Path, fine: Path) -> None:
    configurations = [
        {"runtime": "awkward"},
        {"runtime": "awkward", "name": "slow", "options": {"delay_s": 20.0}},
        {"runtime": "awkward", "name": "quick", "options": {"delay_s": 0.0}},
    ]
    began = time.monotonic()
    results = quality({"fine": fine}, tokens, configurations, timeout="4 s")
    assert time.monotonic() - began < 40
    assert {str(each.outcome.kind) for each in results.values()} == {"timeout"}
    for each in results.values():
        assert each.outcome.reason == "no result within 12 s, last phase waiting for fine.awkward (awkward)"


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("empty.txt", b"", "is empty; quality needs at least one chunk of text or one sample"),
        ("blank.txt", b" \n\n ", "is empty"),
        ("data.csv", b"1,2", "data is read from .txt, .jsonl, .tokens"),
        ("missing.txt", None, "there is no such file"),
    ],
)
def test_data_of_no_use_is_told_before_anything_runs(
    quality: Quality, fine: Path, tmp_path: Path, name: str, content: bytes | None, told: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(SuiteError, match=told) as raised:
        quality({"fine": fine}, tmp_path / name, [{"runtime": "awkward"}])
    assert name in str(raised.value)


def test_vocabularies_that_differ_are_one_variants_trouble(
    quality: Quality, tokens: Path, fine: Path, tmp_path: Path
) -> None:
    models = {"fine": fine, "other": DEMO / "onnx-fp32", "same": tmp_path / "same.awkward"}
    models["same"].write_text("fine ")
    results = quality(models, tokens, [{"runtime": "awkward"}, {"runtime": "onnxruntime", "threads": 1}])
    other = results["other", "onnxruntime 1 thread"]
    assert other.outcome.kind == "unsupported"
    assert "the vocabularies differ: the reference has 32 tokens, this variant 1024" in other.outcome.reason
    assert results["same", "awkward"].outcome.ok


BAD_ARRAYS: Mapping[str, tuple[Mapping[str, Any], str]] = {
    "none.npz": ({"labels": np.zeros(4, np.int64)}, "one row for each sample"),
    "shape.npz": ({"image": np.zeros((4, 3, 8, 9), np.float32)}, "input 'image' has the shape"),
    "names.npz": (
        {"picture": np.zeros((4, 1, 8, 8), np.float32), "mask": np.zeros((4, 1), np.float32)},
        "which is meant for image is not known: the model's inputs are image",
    ),
    "words.npz": ({"image": np.full((4, 1, 8, 8), "ink")}, "takes float32, and the data holds"),
    "objects.npz": ({"image": np.array([{}, {}], dtype=object)}, "not an .npz file of plain arrays"),
    "nan.npz": ({"image": np.full((4, 1, 8, 8), np.nan, np.float32)}, "NaN"),
    "lengths.npz": (
        {"image": np.zeros((4, 1, 8, 8), np.float32), "labels": np.zeros(3, np.int64)},
        "one row for each sample",
    ),
    "missing-labels.npz": (
        {"image": np.zeros((4, 1, 8, 8), np.float32), "labels": np.full(4, -1)},
        "label -1",
    ),
}


@pytest.mark.parametrize("name", BAD_ARRAYS)
def test_arrays_that_do_not_fit(quality: Quality, tmp_path: Path, name: str) -> None:
    arrays, told = BAD_ARRAYS[name]
    np.savez(tmp_path / name, **arrays)
    models = {"fp32": DIGITS / "fp32.onnx", "int8": DIGITS / "int8.onnx"}
    results = quality(models, tmp_path / name, [{"runtime": "onnxruntime", "threads": 1}], task="classifier")
    (result,) = results.values()
    assert result.outcome.kind in ("unsupported", "invalid")
    assert told in result.outcome.reason


def test_a_broken_archive_is_told(quality: Quality, tmp_path: Path) -> None:
    (tmp_path / "broken.npz").write_bytes(b"PK\x03\x04 and no more")
    models = {"fp32": DIGITS / "fp32.onnx", "int8": DIGITS / "int8.onnx"}
    (result,) = quality(models, tmp_path / "broken.npz", [{"runtime": "onnxruntime", "threads": 1}]).values()
    assert result.outcome.kind == "unsupported"
    assert "broken.npz" in result.outcome.reason or "not an .npz file" in result.outcome.reason


def test_a_classifier_without_labels_is_compared_without_accuracy(quality: Quality, tmp_path: Path) -> None:
    np.savez(tmp_path / "plain.npz", image=np.random.default_rng(1).uniform(0, 1, (8, 1, 8, 8)).astype(np.float32))
    models = {"fp32": DIGITS / "fp32.onnx", "int8": DIGITS / "int8.onnx"}
    results = quality(models, tmp_path / "plain.npz", [{"runtime": "onnxruntime", "threads": 1}], task="classifier")
    (result,) = results.values()
    names = {each.name for each in result.metrics}
    assert "agreement" in names
    assert "accuracy" not in names


def test_text_for_a_model_of_pictures_and_pictures_for_a_language_model(
    quality: Quality, tokens: Path, fine: Path, tmp_path: Path
) -> None:
    models = {"fp32": DIGITS / "fp32.onnx", "int8": DIGITS / "int8.onnx"}
    (result,) = quality(models, tokens, [{"runtime": "onnxruntime"}]).values()
    assert result.outcome.kind == "unsupported"
    assert "give an .npz file" in result.outcome.reason
    np.savez(tmp_path / "pictures.npz", image=np.zeros((4, 1, 8, 8), np.float32))
    other = tmp_path / "other.awkward"
    other.write_text("fine ")
    (result,) = quality({"fine": fine, "other": other}, tmp_path / "pictures.npz", [{"runtime": "awkward"}]).values()
    assert result.outcome.kind == "unsupported"
    assert "arrays are no text" in result.outcome.reason
