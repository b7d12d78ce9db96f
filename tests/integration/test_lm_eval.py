"""lm-eval through our class, held against lm-eval through a loop of its own on plain onnxruntime logits.

lm-eval takes 760 MB and is no part of what CI installs: `pip install 'benchharness[tasks]'` to run these.
"""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import tokenizers

import benchharness
from benchharness.errors import SuiteError
from benchharness.results.result import OutcomeKind, Result
from tests.conftest import ROOT

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("HF_DATASETS_OFFLINE", "1")
lm_eval = pytest.importorskip("lm_eval", reason="lm-eval, 760 MB, is not installed: ITS TASKS ARE NOT TESTED")
pytestmark = pytest.mark.filterwarnings("ignore")  # of lm-eval and what it imports

DEMO = ROOT / "examples" / "demo_model"
TASKS = DEMO / "tasks"
VERSES = 24


class Plain:
    """The demo model's logits, all at once, by onnxruntime alone."""

    def __init__(self, artefact: Path) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(str(artefact / "model.onnx"), options)
        self._past = {
            each.name: np.zeros([1, *[size if isinstance(size, int) else 0 for size in each.shape[1:]]], np.float32)
            for each in self._session.get_inputs()
            if each.name.startswith("past")
        }
        self._inputs = {each.name for each in self._session.get_inputs()}

    def after(self, tokens: list[int]) -> Any:
        """Log-probabilities after each token."""
        fed = {
            "input_ids": np.array([tokens]),
            "attention_mask": np.ones((1, len(tokens)), np.int64),
            "position_ids": np.arange(len(tokens))[None],
        }
        fed = {name: value for name, value in fed.items() if name in self._inputs}
        (logits,) = self._session.run(["logits"], {**fed, **self._past})
        logits = logits[0].astype(np.float64)
        logits -= logits.max(-1, keepdims=True)
        return logits - np.log(np.exp(logits).sum(-1, keepdims=True))


def independent(artefact: Path) -> Any:
    """lm-eval's own template of a model: its tokenizing, its splitting, its windows."""
    from lm_eval.api.model import TemplateLM
    from lm_eval.utils import get_rolling_token_windows, make_disjoint_window

    tokenizer = tokenizers.Tokenizer.from_file(str(artefact / "tokenizer.json"))
    model = Plain(artefact)

    class Independent(TemplateLM):  # type: ignore[misc]  # lm-eval is not typed
        eot_token_id = 0

        def tok_encode(self, string: str, add_special_tokens: bool | None = None, **_: Any) -> list[int]:
            return list(tokenizer.encode(string, add_special_tokens=False).ids)

        def _loglikelihood_tokens(self, requests: Any, **_: Any) -> list[tuple[float, bool]]:
            found = []
            for _texts, context, continuation in requests:
                rows = model.after(context + continuation)[len(context) - 1 : -1]
                greedy = rows.argmax(-1).tolist() == continuation
                found.append((float(sum(row[token] for row, token in zip(rows, continuation, strict=True))), greedy))
            return found

        def loglikelihood_rolling(self, requests: Any, disable_tqdm: bool = False) -> list[float]:
            found = []
            for each in requests:
                windows = get_rolling_token_windows(self.tok_encode(each.args[0]), 0, 512, 1)
                asked = [(None, *make_disjoint_window(window)) for window in windows]
                found.append(sum(nats for nats, _ in self._loglikelihood_tokens(asked)))
            return found

        def generate_until(self, requests: Any, disable_tqdm: bool = False) -> list[str]:
            found = []
            for each in requests:
                context, said = each.args
                tokens, start = self.tok_encode(context), len(self.tok_encode(context))
                text = ""
                for _ in range(said["max_gen_toks"]):
                    token = int(model.after(tokens)[-1].argmax())
                    if token == 0:
                        break
                    tokens.append(token)
                    text = tokenizer.decode(tokens[start:])
                    if any(stop in text for stop in said["until"]):
                        break
                for stop in said["until"]:
                    text = text.split(stop)[0]
                found.append(text)
            return found

    return Independent()


@pytest.fixture(scope="module")
def tasks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo model's tasks with fewer verses, one of them longer than the context."""
    folder = tmp_path_factory.mktemp("tasks")
    for path in TASKS.glob("*.yaml"):
        (folder / path.name).write_text(path.read_text())
    lines = (TASKS / "verses.jsonl").read_text().splitlines()[:VERSES]
    (folder / "verses.jsonl").write_text("\n".join(lines))
    text = " ".join((DEMO / "heldout.txt").read_text().split()[:700])
    (folder / "long.jsonl").write_text(json.dumps({"text": text}) + "\n" + json.dumps({"text": text[:900]}))
    (folder / "long.yaml").write_text(
        "task: long\ndataset_path: json\ndataset_kwargs: {data_files: long.jsonl}\ntest_split: train\n"
        'output_type: loglikelihood_rolling\ndoc_to_text: ""\ndoc_to_target: "{{text}}"\n'
        "metric_list: [{metric: bits_per_byte}]\n"
    )
    return folder


def suite(tasks: Path, names: list[str], artefacts: list[str], **settings: Any) -> dict[str, Any]:
    return {
        "models": {
            "demo": {
                "task": "causal-lm",
                "variants": {name: {"artefact": str(DEMO / "artefacts" / name)} for name in artefacts},
            }
        },
        "configurations": [{"runtime": "onnxruntime", "threads": 1}],
        "scenarios": {"task": {"tasks": names, "task_folder": str(tasks), "trust_code": True, **settings}},
    }


def run(store_url: str, *asked: Any, **settings: Any) -> list[Result]:
    return list(benchharness.run(suite(*asked, **settings), store=store_url).results)


def values(result: Result) -> dict[str, float]:
    names = ("task_accuracy", "task_error", "task_score")
    return {
        str(metric.parameters["measure"]): metric.estimate.value
        for metric in result.metrics
        if metric.name in names and metric.estimate.value is not None
    }


@pytest.fixture(scope="module")
def by_itself(tasks: Path) -> dict[str, dict[str, float]]:
    """lm-eval's figures by its own loop."""
    from lm_eval.tasks import TaskManager

    names = ["verse_endings", "verse_bits", "verse_next_word", "long"]
    before = Path.cwd()
    os.chdir(tasks)
    try:
        manager = TaskManager(include_path=str(tasks), include_defaults=False)
        model = independent(DEMO / "artefacts" / "onnx-fp32")
        found = lm_eval.simple_evaluate(model=model, tasks=names, task_manager=manager, bootstrap_iters=0)
    finally:
        os.chdir(before)
    return {name: found["results"][name] for name in names}


@pytest.mark.parametrize("evaluation", ["prefill", "decode"])
def test_figures_are_those_of_lm_evals_own_loop(
    tasks: Path, by_itself: dict[str, dict[str, float]], store_url: str, evaluation: str
) -> None:
    names = list(by_itself)
    for result in run(store_url, tasks, names, ["onnx-fp32"], evaluation=evaluation):
        assert result.outcome.ok, result.outcome
        found = values(result)
        assert found
        for measure, value in found.items():
            name, _, which = measure.partition(" (")
            theirs = by_itself[result.job.workload.name][f"{name},{which.rstrip(')') or 'none'}"]
            assert math.isclose(value, theirs, rel_tol=1e-6), (result.job.workload.name, measure)


def test_a_question_takes_one_prefill_where_the_session_rewinds(tasks: Path, store_url: str) -> None:
    (result,) = run(store_url, tasks, ["verse_endings"], ["onnx-gqa-fp32"])
    asked = result.effective.of_scenario("asked")
    assert (asked["requests"], asked["prefills"]) == (4 * VERSES, VERSES)


def test_fewer_documents_are_spread_over_all_and_figures_are_of_them_alone(tasks: Path, store_url: str) -> None:
    (every,) = run(store_url, tasks, ["verse_endings"], ["onnx-fp32"])
    (some,) = run(store_url, tasks, ["verse_endings"], ["onnx-fp32"], most_documents=6)
    picked = [round(place * (VERSES - 1) / 5) for place in range(6)]
    right = [each["scores"]["acc"] for each in every.effective.others["documents"]]
    assert values(some)["acc"] == sum(right[place] for place in picked) / 6
    assert {metric.parameters["used"] for metric in some.metrics if metric.name == "task_accuracy"} == {
        f"6 of {VERSES} documents"
    }


def test_a_measure_of_the_whole_is_lm_evals_own_and_drawn_again_in_pairs(tmp_path: Path, store_url: str) -> None:
    text = (TASKS / "verse_endings.yaml").read_text().split("metric_list")[0].replace("verse_endings", "whole")
    (tmp_path / "verses.jsonl").write_text("\n".join((TASKS / "verses.jsonl").read_text().splitlines()[:40]))
    (tmp_path / "whole.yaml").write_text(f"{text}metric_list: [{{metric: acc}}, {{metric: mcc}}]\n")
    fp32, int4 = run(store_url, tmp_path, ["whole"], ["onnx-fp32", "onnx-int4"])

    documents = fp32.effective.others["documents"]
    lines = [json.loads(line) for line in (tmp_path / "verses.jsonl").read_text().splitlines()]
    chosen = [
        line["endings"].index(next(end for end in line["endings"] if end[:120] == each["answer"]))
        for line, each in zip(lines, documents, strict=True)
    ]
    right = [line["right"] for line in lines]
    counts, said = np.bincount(right, minlength=4), np.bincount(chosen, minlength=4)
    hits = int(np.equal(right, chosen).sum())
    below = np.sqrt((40**2 - (said**2).sum()) * (40**2 - (counts**2).sum()))
    assert values(fp32)["mcc"] == pytest.approx((hits * 40 - (counts * said).sum()) / below)
    (loss,) = (
        each.estimate for each in int4.metrics if each.name == "score_loss" and each.parameters["measure"] == "mcc"
    )
    assert loss.value == pytest.approx(values(fp32)["mcc"] - values(int4)["mcc"])
    assert loss.low is not None
    assert loss.value is not None
    assert loss.high is not None
    assert loss.low <= loss.value <= loss.high


def test_a_planted_answer_is_read_exactly(tmp_path: Path, store_url: str) -> None:
    """Of each text the likelier continuation is known from plain logits; a third of the documents say the other."""
    plain = Plain(DEMO / "artefacts" / "onnx-fp32")
    tokenizer = tokenizers.Tokenizer.from_file(str(DEMO / "artefacts" / "onnx-fp32" / "tokenizer.json"))
    lines = []
    verses = [line for line in (DEMO / "heldout.txt").read_text().splitlines() if len(line.split()) > 8][:30]
    for number, verse in enumerate(verses):
        before = " ".join(verse.split()[:6])
        row = plain.after(list(tokenizer.encode(before).ids))[-1]
        choices = [" the", " of"]
        first, second = (row[tokenizer.encode(each).ids[0]] for each in choices)
        likelier = 0 if first > second else 1
        lines.append({"text": before, "choices": choices, "right": likelier if number % 3 else 1 - likelier})
    (tmp_path / "planted.jsonl").write_text("\n".join(map(json.dumps, lines)))
    (tmp_path / "planted.yaml").write_text(
        "task: planted\ndataset_path: json\ndataset_kwargs: {data_files: planted.jsonl}\ntest_split: train\n"
        'output_type: multiple_choice\ndoc_to_text: "{{text}}"\ndoc_to_choice: "{{choices}}"\ndoc_to_target: right\n'
        'target_delimiter: ""\nmetric_list: [{metric: acc}]\n'
    )
    (result,) = run(store_url, tmp_path, ["planted"], ["onnx-fp32"])
    assert values(result) == {"acc": 20 / 30}
    shown = result.effective.others["documents"]
    assert [each["scores"]["acc"] for each in shown] == [float(bool(number % 3)) for number in range(30)]


CHOICE = "output_type: multiple_choice\ndoc_to_choice: [a, b]\ndoc_to_target: 0\n"
BROKEN = {
    "missing": (None, "no task is called 'missing'"),
    "empty": (f"{CHOICE}doc_to_text: text\n", "cannot be read"),
    "raises": (f'{CHOICE}doc_to_text: "{{{{1/0}}}}"\n', "ZeroDivision"),
    "sampled": (
        "output_type: generate_until\ndoc_to_text: text\ndoc_to_target: text\n"
        'generation_kwargs: {until: ["x"], do_sample: true, temperature: 0.7}\n',
        "sampled answers",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_task_that_cannot_be_asked_is_refused_before_anything_runs(tmp_path: Path, name: str, store_url: str) -> None:
    text, told = BROKEN[name]
    (tmp_path / "some.jsonl").write_text("" if name == "empty" else json.dumps({"text": "In the beginning"}))
    head = f"task: {name}\ndataset_path: json\ndataset_kwargs: {{data_files: some.jsonl}}\ntest_split: train\n"
    if text is not None:
        (tmp_path / f"{name}.yaml").write_text(head + text + "metric_list: [{metric: exact_match}]\n")
    with pytest.raises(SuiteError, match=told):
        run(store_url, tmp_path, [name], ["onnx-fp32"])


def test_a_task_whose_code_fails_on_answers_is_invalid_and_says_where(tmp_path: Path, store_url: str) -> None:
    (tmp_path / "scores.py").write_text("def results(doc, results):\n    raise KeyError('the key that is missing')\n")
    (tmp_path / "some.jsonl").write_text(json.dumps({"text": "In the beginning"}))
    (tmp_path / "failing.yaml").write_text(
        "task: failing\ndataset_path: json\ndataset_kwargs: {data_files: some.jsonl}\ntest_split: train\n"
        "output_type: generate_until\ndoc_to_text: text\ndoc_to_target: text\n"
        "process_results: !function scores.results\n"
        'generation_kwargs: {until: ["x"], max_gen_toks: 2}\nmetric_list: [{metric: acc}]\n'
    )
    (result,) = run(store_url, tmp_path, ["failing"], ["onnx-fp32"])
    assert result.outcome.kind is OutcomeKind.INVALID
    assert "the key that is missing" in result.outcome.reason
    assert "scores.py" in result.outcome.evidence


def test_task_files_run_only_where_the_suite_says_so(tasks: Path, store_url: str) -> None:
    with pytest.raises(SuiteError, match="trust_code = true"):
        run(store_url, tasks, ["verse_bits"], ["onnx-fp32"], trust_code=False)


@pytest.fixture
def _as_lm_eval_does(tasks: Path, monkeypatch: pytest.MonkeyPatch, store_url: str) -> None:
    monkeypatch.chdir(tasks)
    monkeypatch.setenv("BENCHHARNESS_STORE", store_url)


@pytest.mark.usefixtures("_as_lm_eval_does")
def test_lm_eval_drives_a_session_of_ours(tasks: Path, by_itself: dict[str, dict[str, float]]) -> None:
    from lm_eval.tasks import TaskManager

    from benchharness.lmeval import BenchharnessLM

    found = lm_eval.simple_evaluate(
        model=BenchharnessLM(artefact=str(DEMO / "artefacts" / "onnx-fp32"), threads=1),
        tasks=["verse_endings", "verse_bits", "verse_next_word"],
        task_manager=TaskManager(include_path=str(tasks), include_defaults=False),
        bootstrap_iters=0,
    )
    for name, figures in found["results"].items():
        for key, value in figures.items():
            if isinstance(value, float):
                assert math.isclose(value, by_itself[name][key], rel_tol=1e-6), (name, key)
