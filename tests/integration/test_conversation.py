"""A whole conversation with the demo model, through the whole harness."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchharness import run
from benchharness.records import TurnEnd
from benchharness.results.result import OutcomeKind, Result
from benchharness.scenarios.conversation.turns import by_turn, turns_of
from tests.conftest import ARTEFACTS, CommandLine

pytest.importorskip("onnxruntime", reason="NOT TESTED: onnxruntime is not installed")
pytest.importorskip("tokenizers", reason="NOT TESTED: tokenizers is not installed")

SAID = "zephyrs vex the bold quixotic jockey"
TURNS = f"""
{{"text": "{SAID}", "answer_tokens": 8}}
{{"text": "and again", "answer": "no more of it", "answer_tokens": 4, "think_s": 0.05}}
{{"tokens": 200, "answer_tokens": 50}}
{{"tokens": 200, "answer_tokens": 50}}
{{"tokens": 100, "answer_tokens": 50}}
"""


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Result]:
    folder = tmp_path_factory.mktemp("talk")
    (folder / "talk.jsonl").write_text(TURNS, encoding="utf-8")
    found = {}
    for when_full in ("stop", "drop-oldest"):
        suite = {
            "models": {"demo": {"variants": {"int8": {"artefact": str(ARTEFACTS / "onnx-int8")}}}},
            "configurations": [{"runtime": "onnxruntime", "threads": 1}],
            "scenarios": {
                "conversation": {
                    "file": str(folder / "talk.jsonl"),
                    "when_full": when_full,
                    "come_back": when_full == "stop",
                    "background": ["busy-core"],
                }
            },
            "attempts": {"at_least": 1, "at_most": 1},
        }
        (found[when_full],) = run(suite, store=f"sqlite:///{folder}/store.db").results
    return found


def test_every_turn_is_told_and_the_full_context_is_one_of_its_outcomes(results: dict[str, Result]) -> None:
    result = results["stop"]
    assert result.outcome.kind is OutcomeKind.OK, result.outcome
    turns = turns_of(result)
    assert [TurnEnd(int(turn.end)) for turn in turns] == [TurnEnd.ANSWERED] * 3 + [TurnEnd.CONTEXT_FULL] * 2
    assert [turn.read - turn.new for turn in turns[:3]] == [0, 1, 1]
    assert turns[2].context == sum(turn.new + turn.written for turn in turns[:3]) > 250
    assert turns[3].context == turns[2].context
    assert set(by_turn(result, "turn_ttft")) == set(by_turn(result, "turn_decode_rate")) == {1, 2, 3}
    assert "the context was full in turn 4 of 5" in result.told[-1]


def test_or_the_oldest_are_dropped(results: dict[str, Result]) -> None:
    turns = turns_of(results["drop-oldest"])
    ends = [TurnEnd(int(turn.end)) for turn in turns]
    assert ends == [TurnEnd.ANSWERED] * 3 + [TurnEnd.ANSWERED_ANEW] + [TurnEnd.ANSWERED_ANEW]
    assert turns[3].read > 200
    assert turns[3].context <= 512
    assert set(by_turn(results["drop-oldest"], "turn_ttft")) == {1, 2, 3, 4, 5}


def test_unloading_and_coming_back(results: dict[str, Result]) -> None:
    figures = {
        (metric.name, metric.parameters.get("beside")): metric.estimate.value for metric in results["stop"].metrics
    }
    for beside in ("nothing", "busy-core"):
        load, whole = figures["return_load", beside], figures["return_ttft", beside]
        assert load is not None
        assert whole is not None
        assert 0 < load < whole
    assert (figures["loaded_memory", None] or 0) > 0
    assert (figures["unloaded_memory", None] or 0) > 0
    assert "return_ttft" not in {metric.name for metric in results["drop-oldest"].metrics}


def test_what_is_said_is_written_nowhere(tmp_path: Path, benchharness: CommandLine) -> None:
    given = tmp_path / "given"
    given.mkdir()
    (given / "talk.jsonl").write_text(TURNS.splitlines()[1], encoding="utf-8")
    suite = given / "suite.toml"
    suite.write_text(
        f'[models.demo.variants]\nint8 = {{ artefact = "{ARTEFACTS / "onnx-int8"}" }}\n'
        "[[configurations]]\nruntime = 'onnxruntime'\n"
        "[scenarios.conversation]\nfile = 'talk.jsonl'\ncome_back = false\n[attempts]\nat_least = 1\nat_most = 1\n"
    )
    done = benchharness("run", suite, report=True)
    assert done.returncode == 0, done.stderr
    for file in (each for each in tmp_path.rglob("*") if each.is_file() and given not in each.parents):
        assert SAID.encode() not in file.read_bytes(), file
    assert SAID not in done.stdout + done.stderr


def test_a_file_that_is_no_conversation_is_refused_before_anything_runs(
    tmp_path: Path, benchharness: CommandLine
) -> None:
    (tmp_path / "talk.jsonl").write_text('{"text": "a"}\nnonsense\n')
    suite = tmp_path / "suite.toml"
    suite.write_text(
        f'[models.demo.variants]\nint8 = {{ artefact = "{ARTEFACTS / "onnx-int8"}" }}\n'
        "[[configurations]]\nruntime = 'onnxruntime'\n[scenarios.conversation]\nfile = 'talk.jsonl'\n"
    )
    done = benchharness("run", suite)
    assert done.returncode == 2
    assert "line 2 of the conversation is not such as" in done.stderr
