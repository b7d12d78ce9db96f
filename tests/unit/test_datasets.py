"""Datasets of a suite's own: cards, documents, and each measure against what it must be."""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchharness.device.scenarios.task.asked import GENERATE, LIKELIHOOD, Request
from benchharness.errors import SuiteError
from benchharness.scenarios import SCENARIOS
from benchharness.scenarios.task import Task
from benchharness.scenarios.task.answers import answers_of, arrays_of
from benchharness.scenarios.task.datasets import Dataset, datasets_of
from benchharness.scenarios.task.datasets.card import PACKAGES
from benchharness.scenarios.task.sets import Scores, TaskFailed


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchharness.scenarios.task.sets.task_cache", lambda: tmp_path / "cache")


def written(folder: Path, documents: Sequence[Any], *, inputs: Any = None, after: str = "", **card: Any) -> Path:
    """A dataset as somebody would write it; `after` is a function called `after`."""
    folder.mkdir(exist_ok=True)
    columns = card.pop("columns", {})
    said = {"name": "some", "licence": "CC0", **({"after": "post.py:after"} if after else {}), **card}
    lines = [f"{key} = {json.dumps(value)}" for key, value in said.items()]
    lines += ["[columns]", *(f'{key} = "{value}"' for key, value in columns.items())]
    (folder / "dataset.toml").write_text("\n".join(lines))
    (folder / "documents.jsonl").write_text("\n".join(map(json.dumps, documents)))
    if inputs is not None:
        np.savez(folder / "inputs.npz", **inputs)
    if after:
        (folder / "post.py").write_text(after)
    return folder


def read(folder: Path, **settings: Any) -> Dataset:
    (found,) = datasets_of(Task(datasets=(folder,), trust_code=True, **settings))
    return found


def told(array: Any) -> list[Any]:
    made = np.asarray(array, order="C")
    return [made.dtype.str, list(made.shape), base64.b64encode(made.tobytes()).decode()]


def scored(dataset: Dataset, outputs: Sequence[Mapping[str, Any]]) -> Scores:
    return dataset.scores({"outputs": [{name: told(value) for name, value in each.items()} for each in outputs]}, ())


def wrote(dataset: Dataset, texts: Sequence[str]) -> Scores:
    return dataset.scores({"answers": {str(number): {"text": text} for number, text in enumerate(texts)}}, ())


def figures(scores: Scores) -> dict[str, float]:
    return {
        each.name: each.value if each.value is not None else sum(each.totals) / sum(each.weights)
        for each in scores.measures
    }


def test_a_classifier_is_right_where_its_largest_score_is_the_label(tmp_path: Path) -> None:
    documents = [{"label": label} for label in (2, 0, 1, 1)]
    dataset = read(written(tmp_path / "d", documents, inputs={"x": np.zeros((4, 3))}, measure="accuracy"))
    outputs = [{"scores": np.eye(3)[[chosen]]} for chosen in (2, 0, 2, 1)]
    found = scored(dataset, outputs)
    assert figures(found) == {"accuracy": 0.75}
    assert [each.answer for each in found.documents] == ["2", "0", "2", "1"]
    with pytest.raises(TaskFailed, match="which class the answer means"):
        scored(dataset, [{"scores": np.zeros(3), "boxes": np.zeros(4)}] * 4)


def test_a_function_of_the_suites_own_file_makes_the_answer(tmp_path: Path) -> None:
    after = "def after(given, document):\n    return document['words'][int(given['logit'] > 0)]\n"
    documents = [{"label": "yes", "words": ["no", "yes"]}, {"label": "no", "words": ["no", "yes"]}]
    folder = written(tmp_path / "d", documents, inputs={"x": np.zeros(2)}, after=after, measure="accuracy")
    assert figures(scored(read(folder), [{"logit": 1.5}, {"logit": -0.5}])) == {"accuracy": 1.0}
    with pytest.raises(SuiteError, match="trust_code = true"):
        datasets_of(Task(datasets=(folder,)))
    with pytest.raises(TaskFailed, match=r"post.py:after failed on document 0: KeyError: 'logit'") as error:
        scored(read(folder), [{"other": 1.5}] * 2)
    assert "post.py" in error.value.evidence


SAID = ["The cat sat on the mat.", "It\u2019s nine o'clock", "yes"]
HEARD = ["the cat sat  on mat", "IT\u2019S NINE o'clock!", "yes yes"]
AFTER_TEXT = "def after(given, document):\n    return bytes(given['codes'].tolist()).decode()\n"


@pytest.mark.parametrize("measure", ["wer", "cer"])
def test_errors_of_speech_are_jiwers_own_and_the_normaliser_is_told(tmp_path: Path, measure: str) -> None:
    import jiwer

    documents = [{"said": each} for each in SAID]
    columns = {"text": "said"}
    inputs = {"x": np.zeros(3)}
    folder = written(tmp_path / "d", documents, inputs=inputs, after=AFTER_TEXT, measure=measure, columns=columns)
    found = scored(read(folder), [{"codes": np.frombuffer(each.encode(), np.uint8)} for each in HEARD])
    steps = jiwer.Compose([jiwer.ToLowerCase(), jiwer.RemovePunctuation(), jiwer.RemoveMultipleSpaces(), jiwer.Strip()])
    whole = getattr(jiwer, measure)
    assert figures(found)[measure] == pytest.approx(
        whole([steps(each) for each in SAID], [steps(each) for each in HEARD])
    )
    assert figures(found)[measure] != pytest.approx(whole(SAID, HEARD))
    assert found.told["normaliser"] == "lower, punctuation, spaces"


BOXES: list[dict[str, Any]] = [
    {"boxes": [[10, 10, 40, 40], [60, 20, 20, 30]], "labels": ["cat", "dog"]},
    {"boxes": [[5, 5, 50, 50]], "labels": ["dog"]},
    {"boxes": [], "labels": []},
]
FOUND: list[dict[str, Any]] = [
    {
        "boxes": [[11, 10, 40, 41], [62, 24, 20, 30], [0, 0, 9, 9]],
        "scores": [0.9, 0.8, 0.4],
        "labels": ["cat", "dog", "cat"],
    },
    {"boxes": [[25, 25, 50, 50], [5, 6, 49, 50]], "scores": [0.7, 0.6], "labels": ["dog", "dog"]},
    {"boxes": [[1, 1, 9, 9]], "scores": [0.5], "labels": ["cat"]},
]
AFTER_BOXES = (
    "def after(given, document):\n"
    "    rows = given['rows']\n"
    "    labels = [['cat', 'dog'][int(each)] for each in rows[:, 5]]\n"
    "    return {'boxes': rows[:, :4], 'scores': rows[:, 4], 'labels': labels}\n"
)


def rows_of(found: Mapping[str, Any]) -> Any:
    parts = zip(found["boxes"], found["scores"], found["labels"], strict=True)
    return np.array([[*box, score, ["cat", "dog"].index(label)] for box, score, label in parts]).reshape(-1, 6)


def detected(folder: Path, found: Sequence[Mapping[str, Any]]) -> Scores:
    documents = [{"picture": f"{number}.png", **each} for number, each in enumerate(BOXES)]
    inputs = {"x": np.zeros(len(documents))}
    written(folder, documents, inputs=inputs, after=AFTER_BOXES, measure="detection", columns={"id": "picture"})
    return scored(read(folder), [{"rows": rows_of(each)} for each in found])


def test_the_precision_of_a_detector_is_the_librarys_on_the_same_boxes(tmp_path: Path) -> None:
    from faster_coco_eval import COCO, COCOeval_faster

    truth: dict[str, Any] = {
        "images": [{"id": number + 1} for number in range(3)],
        "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}],
        "annotations": [],
    }
    results = []
    number = {"cat": 1, "dog": 2}
    for picture, (true, given) in enumerate(zip(BOXES, FOUND, strict=True), 1):
        for box, label in zip(true["boxes"], true["labels"], strict=True):
            one = {"id": len(truth["annotations"]) + 1, "image_id": picture, "category_id": number[label]}
            truth["annotations"].append({**one, "bbox": box, "area": box[2] * box[3], "iscrowd": 0})
        for box, score, label in zip(given["boxes"], given["scores"], given["labels"], strict=True):
            results.append({"image_id": picture, "category_id": number[label], "bbox": box, "score": score})
    (tmp_path / "truth.json").write_text(json.dumps(truth))
    (tmp_path / "results.json").write_text(json.dumps(results))
    known = COCO(str(tmp_path / "truth.json"))
    evaluation = COCOeval_faster(known, known.loadRes(str(tmp_path / "results.json")), "bbox")
    evaluation.run()
    found = figures(detected(tmp_path / "d", FOUND))
    assert found == {"map": evaluation.stats[0], "map_50": evaluation.stats[1]}
    assert 0 < found["map"] < found["map_50"] <= 1


def test_a_detector_that_finds_exactly_what_is_there_is_right_and_one_that_finds_nothing_is_not(tmp_path: Path) -> None:
    perfect = [{**each, "scores": [1.0] * len(each["boxes"])} for each in BOXES]
    found = detected(tmp_path / "perfect", perfect)
    assert figures(found) == pytest.approx({"map": 1.0, "map_50": 1.0})
    nothing: dict[str, Any] = {"boxes": [], "scores": [], "labels": []}
    assert figures(detected(tmp_path / "none", [nothing] * 3)) == {"map": 0.0, "map_50": 0.0}


def test_boxes_that_cannot_be_are_refused(tmp_path: Path) -> None:
    wrong = [{"boxes": [[0, 0, -1, 5]], "scores": [1.0], "labels": ["cat"]}, *FOUND[1:]]
    with pytest.raises(TaskFailed, match="a box is left, top, width and height"):
        detected(tmp_path / "d", wrong)


def test_search_finds_what_a_query_wants_where_its_embedding_says(tmp_path: Path) -> None:
    """By hand: query 1 wants a and b, which are first and third; query 2 wants c, which is last of three."""
    documents: list[dict[str, Any]] = [{"id": each} for each in "abc"]
    documents += [{"id": "q1", "relevant": {"a": 2, "b": 1}}, {"id": "q2", "relevant": ["c"]}]
    vectors = np.array([[1.0, 0, 0], [0.2, 1, 0], [0.5, 0, 1], [2.0, 0.1, 0.3], [-0.1, 0.9, -2.0]])
    folder = written(tmp_path / "d", documents, inputs={"x": np.zeros(5)}, measure="retrieval", k=[1, 2, 3])
    found = figures(scored(read(folder), [{"embedding": each[None]} for each in vectors]))
    assert found["recall@1"] == pytest.approx((1 / 2 + 0) / 2)
    assert found["recall@2"] == pytest.approx((1 / 2 + 0) / 2)
    assert found["recall@3"] == 1.0
    first = 3 + 1 / np.log2(4)
    best = 3 + 1 / np.log2(3)
    assert found["ndcg@3"] == pytest.approx((first / best + 1 / np.log2(4)) / 2)
    with pytest.raises(TaskFailed, match="no direction"):
        scored(read(folder), [{"embedding": np.zeros(3)}] * 5)
    with pytest.raises(SuiteError, match="a search"):
        read(folder, most_documents=3)


PERSON = {
    "type": "object",
    "properties": {"age": {"type": "integer"}},
    "required": ["age"],
    "additionalProperties": False,
}


def test_an_answer_fits_a_schema_as_a_whole_or_not_at_all(tmp_path: Path) -> None:
    documents = [{"prompt": f"person {number}", "target": {"age": number}} for number in range(5)]
    folder = written(tmp_path / "d", documents, measure="schema", schema="person.json")
    (folder / "person.json").write_text(json.dumps(PERSON))
    texts = ['{"age": 0}', ' {"age": 1.0}\n', '{"age": 7}', 'Sure! {"age": 3}', '{"age": NaN}']
    assert figures(wrote(read(folder), texts)) == {"valid": 0.6, "exact": 0.4}
    bad = written(tmp_path / "bad", [{"prompt": "p", "schema": {"type": "nothing"}}], measure="schema")
    with pytest.raises(TaskFailed, match="the schema is none"):
        wrote(read(bad), ["{}"])


def test_nothing_that_a_schema_refers_to_is_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fetched: list[Any] = []
    monkeypatch.setattr("urllib.request.urlopen", lambda *asked, **_: fetched.append(asked))
    documents = [{"prompt": "p", "schema": {"$ref": "http://127.0.0.1:9/person.json"}}]
    with pytest.raises(TaskFailed, match="Unresolvable"):
        wrote(read(written(tmp_path / "d", documents, measure="schema")), ["{}"])
    assert fetched == []


def test_calls_of_tools_are_exact_or_are_not(tmp_path: Path) -> None:
    call = {"name": "light", "arguments": {"room": "kitchen", "on": True}}
    documents = [{"prompt": f"p{number}", "calls": [call]} for number in range(5)]
    texts = [
        json.dumps(call),
        json.dumps([{"arguments": {"on": True, "room": "kitchen"}, "name": "light"}]),
        json.dumps({**call, "arguments": {"room": "kitchen", "on": 1}}),
        json.dumps({**call, "name": "lamp"}),
        "light(kitchen)",
    ]
    assert figures(wrote(read(written(tmp_path / "d", documents, measure="calls")), texts)) == {
        "exact": 0.4,
        "names": 0.6,
    }


def test_fewer_documents_are_spread_over_all_of_them(tmp_path: Path) -> None:
    documents = [{"label": number % 3} for number in range(11)]
    dataset = read(written(tmp_path / "d", documents, inputs={"x": np.zeros(11)}, measure="accuracy"), most_documents=3)
    assert dataset.settings["rows"] == [0, 5, 10]
    assert [each["label"] for each in dataset.documents] == [0, 2, 1]
    assert (dataset.used, dataset.total) == (3, 11)


LABELLED = [{"id": "a", "label": 1}, {"id": "b", "label": 0}]
WRONG: dict[str, tuple[Callable[[Path], Any], str]] = {
    "no card": (lambda folder: (folder / "dataset.toml").unlink(), "has no dataset.toml"),
    "no measure": (lambda folder: (folder / "dataset.toml").write_text('name = "n"\nlicence = "l"'), "measure"),
    "unknown measure": (
        lambda folder: (folder / "dataset.toml").write_text('name = "n"\nlicence = "l"\nmeasure = "luck"'),
        "accuracy, detection",
    ),
    "empty": (lambda folder: (folder / "documents.jsonl").write_text("\n\n"), "holds no document"),
    "same ids": (
        lambda folder: (folder / "documents.jsonl").write_text("\n".join([json.dumps(LABELLED[0])] * 2)),
        r"lines 1 and 2 have the same id 'a'",
    ),
    "no label": (lambda folder: (folder / "documents.jsonl").write_text('{"id": 1}\n{"id": 2}'), "has no 'label'"),
    "no JSON": (lambda folder: (folder / "documents.jsonl").write_text("label"), "line 1 is not JSON"),
    "fewer inputs": (lambda folder: np.savez(folder / "inputs.npz", x=np.zeros(1)), "a row is wanted for each of 2"),
    "objects": (
        lambda folder: np.savez(folder / "inputs.npz", x=np.array([{}, {}], dtype=object)),
        "not an .npz of plain arrays",
    ),
    "outside": (
        lambda folder: (folder / "dataset.toml").write_text(
            'name = "n"\nlicence = "l"\nmeasure = "accuracy"\ndocuments = "../secret.jsonl"'
        ),
        "outside of the dataset's folder",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_dataset_that_is_not_whole_is_refused_with_what_to_mend(tmp_path: Path, name: str) -> None:
    folder = written(tmp_path / "d", LABELLED, inputs={"x": np.zeros(2)}, measure="accuracy")
    break_, words = WRONG[name]
    break_(folder)
    with pytest.raises(SuiteError, match=words):
        read(folder)


@pytest.mark.parametrize("measure", PACKAGES)
def test_a_measure_whose_package_is_missing_is_refused_before_anything_runs(
    tmp_path: Path, measure: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("benchharness.scenarios.task.datasets.card.find_spec", lambda name: None)
    with pytest.raises(SuiteError, match=rf"needs the package {PACKAGES[measure]}; install benchharness\[datasets\]"):
        read(written(tmp_path / "d", LABELLED, measure=measure))


def test_tasks_of_lm_eval_without_lm_eval_say_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lm_eval", None)
    monkeypatch.setitem(sys.modules, "lm_eval.tasks", None)
    with pytest.raises(SuiteError, match=r"install benchharness\[tasks\]"):
        SCENARIOS["task"].gathered(Task(tasks=("hellaswag",), trust_code=True))


# What a device answered


REQUESTS = [Request(LIKELIHOOD, "a", "b"), Request(GENERATE, "a", "", (), 3)]
ROW = [0.0, -1.5, 1.0, 2.0]
TEXT = {"answers": {"1": {"text": "x"}}}


def test_answers_are_there_once_each(tmp_path: Path) -> None:
    found = answers_of(REQUESTS, TEXT, ROW)
    assert (found[0].log_likelihood, found[0].greedy, found[1].text) == (-1.5, True, "x")


@pytest.mark.parametrize(
    ("told_", "rows", "words"),
    [
        ({}, ROW, "did not answer request 1"),
        ({"answers": {"1": {"text": 5}}}, ROW, "did not answer request 1"),
        (TEXT, [], "did not answer request 0"),
        (TEXT, [7.0, -1.5, 1.0, 2.0], "did not answer request 0"),
        (TEXT, ROW + ROW, "more answers"),
        ({"answers": {"1": {"text": "x"}, "2": {"text": "y"}}}, ROW, "more answers"),
    ],
)
def test_answers_that_are_missing_or_too_many_are_none(told_: Any, rows: list[float], words: str) -> None:
    with pytest.raises(TaskFailed, match=words):
        answers_of(REQUESTS, told_, rows)


@pytest.mark.parametrize(
    "lie",
    [
        None,
        [{}],
        [{"x": ["<f4", [2], "AAAA"]}],
        [{"x": ["|O", [1], "AAAAAAAA"]}],
        [{"x": ["<f4", [-1], ""]}],
        [{"x": ["<f4", [1 << 40], ""]}],
        [{"x": ["<f4", [1], "not base 64"]}],
        [{"x": 5}],
        [{"x": ["<f4", [0], ""]}] * 2,
    ],
)
def test_arrays_that_are_none_are_refused(lie: Any) -> None:
    with pytest.raises(TaskFailed):
        arrays_of(lie, 1)
