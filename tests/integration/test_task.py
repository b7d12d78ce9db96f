"""Scenario `task` through the whole harness on datasets of a suite's own: planted answers are read exactly."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import tokenizers

import benchharness
from benchharness.judge.paired import difference_of_shares
from benchharness.results.result import OutcomeKind, Result, VerdictKind
from tests.conftest import ROOT

DEMO = ROOT / "examples" / "demo_model" / "artefacts" / "onnx-fp32"
CLASSES, DOCUMENTS = 4, 40

Run = Callable[..., list[Result]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a dataset on variants of a model, the first of which is the reference."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def made(
        dataset: Path, variants: Mapping[str, Path], *, budgets: Mapping[str, str] | None = None, **settings: Any
    ) -> list[Result]:
        suite = {
            "models": {"m": {"variants": {name: {"artefact": str(path)} for name, path in variants.items()}}},
            "configurations": [{"runtime": "onnxruntime", "threads": 1}],
            "scenarios": {"task": {"datasets": [str(dataset)], "trust_code": True, **settings}},
            "budgets": dict(budgets or {}),
            "attempts": {"timeout": "60 s"},
        }
        return list(benchharness.run(suite, store=f"sqlite:///{tmp_path}/store.db").results)

    return made


def classifier(path: Path, swapped: bool) -> Path:
    """Gives what it is fed, as scores; swapped, it takes class 0 for class 1 and the other way round."""
    weights = np.eye(CLASSES, dtype=np.float32)
    if swapped:
        weights[[0, 1]] = weights[[1, 0]]
    helper = onnx.helper
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["scores"])],
        "planted",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1, CLASSES])],
        [helper.make_tensor_value_info("scores", onnx.TensorProto.FLOAT, [1, CLASSES])],
        [onnx.numpy_helper.from_array(weights, "w")],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    return path


def write(folder: Path, documents: Sequence[Mapping[str, Any]], card: str, **files: str) -> Path:
    folder.mkdir()
    (folder / "dataset.toml").write_text(f'name = "planted"\nlicence = "CC0"\n{card}\n')
    (folder / "documents.jsonl").write_text("\n".join(map(json.dumps, documents)))
    for name, text in files.items():
        (folder / f"{name}.py").write_text(text)
    return folder


def value(result: Result, name: str) -> Any:
    (found,) = (metric for metric in result.metrics if metric.name == name)
    return found.estimate


def test_a_classifier_that_is_right_on_known_documents_reads_exactly_that(run: Run, tmp_path: Path) -> None:
    """The model says 0, 1, 2, 3, 0 …; every fifth label is another. The variant takes 0 for 1."""
    said = [number % CLASSES for number in range(DOCUMENTS)]
    labels = [(each + 1) % CLASSES if number % 5 == 0 else each for number, each in enumerate(said)]
    dataset = write(tmp_path / "d", [{"label": each} for each in labels], 'measure = "accuracy"')
    np.savez(dataset / "inputs.npz", x=np.eye(CLASSES, dtype=np.float32)[said])
    models = {name: classifier(tmp_path / f"{name}.onnx", name == "b") for name in "ab"}
    a, b = run(dataset, models, budgets={"accuracy_loss": "10 points"})
    right = np.array(said) == labels
    swapped = np.array([{0: 1, 1: 0}.get(each, each) for each in said]) == labels
    assert value(a, "task_accuracy").value == right.mean() == 0.8
    assert value(b, "task_accuracy").value == swapped.mean()
    lost, gained = int((right & ~swapped).sum()), int((swapped & ~right).sum())
    loss = value(b, "accuracy_loss")
    assert loss.value == (lost - gained) / DOCUMENTS
    assert (loss.low, loss.high) == difference_of_shares(lost, gained, DOCUMENTS)
    assert [each.kind for each in b.verdicts] == [VerdictKind.MISS]
    wrong = [each["scores"]["accuracy"] == 0 for each in a.effective.others["documents"]]
    assert wrong == (~right).tolist()
    assert a.effective.of_scenario("scored")["licence"] == "CC0"


@pytest.fixture(scope="module")
def continuations() -> tuple[list[str], list[str]]:
    """Prompts, and what the demo model writes after them, by onnxruntime alone."""
    session = onnxruntime.InferenceSession(str(DEMO / "model.onnx"))
    tokenizer = tokenizers.Tokenizer.from_file(str(DEMO / "tokenizer.json"))
    names = {each.name for each in session.get_inputs()}
    past = {
        each.name: np.zeros([1, *[size if isinstance(size, int) else 0 for size in each.shape[1:]]], np.float32)
        for each in session.get_inputs()
        if each.name.startswith("past")
    }
    lines = (ROOT / "examples" / "demo_model" / "heldout.txt").read_text().splitlines()
    prompts = [" ".join(line.split()[:8]) for line in lines if len(line.split()) > 10][:12]
    texts = []
    for prompt in prompts:
        tokens = list(tokenizer.encode(prompt, add_special_tokens=False).ids)
        start = len(tokens)
        while len(tokens) < start + 6:
            fed = {
                "input_ids": np.array([tokens]),
                "attention_mask": np.ones((1, len(tokens)), np.int64),
                "position_ids": np.arange(len(tokens))[None],
            }
            (logits,) = session.run(["logits"], {**{key: fed[key] for key in fed if key in names}, **past})
            tokens.append(int(logits[0, -1].argmax()))
        texts.append(tokenizer.decode(tokens[start:]))
    return prompts, texts


AFTER = "import json\n\ndef after(text, document):\n    return json.dumps({'said': text})\n"


def test_what_a_language_model_writes_is_held_against_what_is_planted(
    run: Run, tmp_path: Path, continuations: tuple[list[str], list[str]]
) -> None:
    documents = [
        {"prompt": prompt, "target": {"said": text if number % 4 else text + "!"}}
        for number, (prompt, text) in enumerate(zip(*continuations, strict=True))
    ]
    card = 'measure = "schema"\nschema = "schema.json"\nafter = "post.py:after"\nmost_tokens = 6'
    dataset = write(tmp_path / "d", documents, card, post=AFTER)
    (dataset / "schema.json").write_text(json.dumps({"type": "object", "required": ["said"]}))
    (result,) = run(dataset, {"fp32": DEMO}, end_tokens=[])
    found = {
        metric.parameters["measure"]: metric.estimate.value
        for metric in result.metrics
        if metric.name == "task_accuracy"
    }
    assert found == {"valid": 1.0, "exact": 0.75}


def test_a_function_that_fails_on_an_answer_is_an_outcome_and_the_run_goes_on(run: Run, tmp_path: Path) -> None:
    after = "def after(given, document):\n    return {'a': 1}[float(given['scores'].max())]\n"
    dataset = write(tmp_path / "d", [{"label": 0}], 'measure = "accuracy"\nafter = "post.py:after"', post=after)
    np.savez(dataset / "inputs.npz", x=np.zeros((1, CLASSES), np.float32))
    (result,) = run(dataset, {"a": classifier(tmp_path / "a.onnx", False)})
    assert result.outcome.kind is OutcomeKind.INVALID
    assert "post.py:after failed on document 0: KeyError: 0.0" in result.outcome.reason


def test_outputs_that_would_not_cross_the_line_are_refused_with_what_to_do(run: Run, tmp_path: Path) -> None:
    helper = onnx.helper
    graph = helper.make_graph(
        [helper.make_node("Expand", ["x", "shape"], ["wide"])],
        "wide",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1])],
        [helper.make_tensor_value_info("wide", onnx.TensorProto.FLOAT, [3 << 20])],
        [onnx.numpy_helper.from_array(np.array([3 << 20]), "shape")],
    )
    path = tmp_path / "wide.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    dataset = write(tmp_path / "d", [{"label": 0, "id": number} for number in range(6)], 'measure = "accuracy"')
    np.savez(dataset / "inputs.npz", x=np.ones((6, 1), np.float32))
    (result,) = run(dataset, {"a": path})
    assert result.outcome.kind is OutcomeKind.UNSUPPORTED
    assert "name the outputs that are needed" in result.outcome.reason


def test_a_language_task_is_nothing_for_another_model(run: Run, tmp_path: Path) -> None:
    dataset = write(tmp_path / "d", [{"prompt": "p", "calls": []}], 'measure = "calls"')
    (result,) = run(dataset, {"a": classifier(tmp_path / "a.onnx", False)})
    assert result.outcome.kind is OutcomeKind.UNSUPPORTED
