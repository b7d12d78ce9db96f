"""Conversations: the file, what a turn reads, when the context is full, and what is told of it."""

from __future__ import annotations

import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from benchharness.device.measured import raw_rows
from benchharness.device.phases import Phases
from benchharness.device.scenarios.conversation import talk
from benchharness.device.scenarios.conversation.kept import DROP_OLDEST, STOP, Context
from benchharness.device.scenarios.conversation.turns import Turn, TurnTokens, read_turns, tokens_of
from benchharness.device.scenarios.stage import Stage
from benchharness.errors import SuiteError, Unsupported
from benchharness.records import CONVERSATION_TURNS, TurnEnd, TurnRow
from benchharness.scenarios.conversation.planned import turns_of
from targets.null import NullSession
from tests.unit.product_samples import conversation, job_of, result_of

FIVE = TurnTokens([1, 2, 3], [4, 5])


def test_the_cache_stays_and_the_last_token_is_fed_with_the_next_turn() -> None:
    context = Context(100, STOP)
    first = context.next(FIVE)
    assert first is not None
    assert (list(first.tokens), first.anew) == ([1, 2, 3], False)
    context.took(FIVE)
    second = context.next(TurnTokens([7, 8], [9]))
    assert second is not None
    assert (list(second.tokens), second.anew) == ([5, 7, 8], False)


def test_a_runtime_that_keeps_nothing_reads_everything_again() -> None:
    context = Context(100, STOP, keeps=False)
    context.took(FIVE)
    found = context.next(TurnTokens([7], [9]))
    assert found is not None
    assert (list(found.tokens), found.anew, found.dropped) == ([1, 2, 3, 4, 5, 7], True, False)


def test_a_full_context_stops_or_drops_the_oldest() -> None:
    stops, drops = Context(12, STOP), Context(12, DROP_OLDEST)
    for each in (stops, drops):
        each.took(FIVE)
        each.took(TurnTokens([10, 11], [12]))
        assert each.next(TurnTokens([13], [14, 15, 16])) is not None  # exactly full
    assert stops.next(TurnTokens([13, 13], [14, 15, 16])) is None
    found = drops.next(TurnTokens([13, 13], [14, 15, 16]))
    assert found is not None
    assert (list(found.tokens), found.anew, found.dropped) == ([10, 11, 12, 13, 13], True, True)
    assert drops.next(TurnTokens([0] * 10, [0] * 3)) is None  # not even alone


class Recorder(NullSession):
    """Notes what it is fed, and has a short context."""

    context_length = 12

    def __init__(self) -> None:
        self.fed: list[Any] = []

    def reset(self) -> None:
        self.fed.append("reset")

    def extend(self, tokens: Any) -> Any:
        self.fed.append(list(tokens))
        return super().extend(tokens)

    def decode(self, token: int) -> Any:
        self.fed.append(token)
        return super().decode(token)


def replayed(tmp_path: Path, text: str, **settings: Any) -> tuple[list[TurnRow], list[Any], dict[str, Any]]:
    file = tmp_path / "talk.jsonl"
    file.write_text(text, encoding="utf-8")
    session = Recorder()
    asked = {"file": str(file), "when_full": STOP, "thinks": True, **settings}
    stage = Stage(
        session=session, workload={}, settings=asked, tokenizer=None, phases=Phases(0), progress=lambda *_: None
    )
    found = {each["metric"]: each for each in talk.measure(stage)}
    rows = CONVERSATION_TURNS.rows(found["conversation_turns"]["samples"])
    return rows, session.fed, found


THREE = '{"tokens": 2, "answer_tokens": 3}\n' * 3


def test_turns_are_fed_one_after_another(tmp_path: Path) -> None:
    rows, fed, found = replayed(tmp_path, THREE)
    assert [(row.end, row.new, row.read, row.written, row.context) for row in rows] == [
        (TurnEnd.ANSWERED, 2, 2, 3, 5),
        (TurnEnd.ANSWERED, 2, 3, 3, 10),
        (TurnEnd.CONTEXT_FULL, 2, 0, 0, 10),
    ]
    first, second = tokens_of([Turn(None, 2, None, 3, 0)] * 2, 32, None)
    assert fed == [
        *(list(first.said), *first.answer[:2]),
        *([first.answer[2], *second.said], *second.answer[:2]),
    ]
    assert found["turns_answered"]["value"] == 2
    assert all(row.ttft > 0 and row.rate > 0 for row in rows[:2])


def test_a_full_context_is_emptied_and_read_again(tmp_path: Path) -> None:
    rows, fed, found = replayed(tmp_path, THREE, when_full=DROP_OLDEST)
    assert [(row.end, row.read, row.context) for row in rows][2] == (TurnEnd.ANSWERED_ANEW, 7, 10)
    assert fed.count("reset") == 1
    assert len(fed[fed.index("reset") + 1]) == 7
    assert found["turns_answered"]["value"] == 3
    assert "cache_growth" not in found  # an emptied cache tells nothing of its growth


def test_a_first_turn_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Unsupported, match="the first turn has 23 tokens, more than the model's context of 12"):
        replayed(tmp_path, '{"tokens": 20, "answer_tokens": 3}')


def test_pauses_are_kept_or_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr(talk, "time", SimpleNamespace(sleep=slept.append, perf_counter_ns=time.perf_counter_ns))
    text = '{"tokens": 1, "answer_tokens": 2, "think_s": 2.5}'
    replayed(tmp_path, text)
    replayed(tmp_path, text, thinks=False)
    assert slept == [2.5]


# The file


def test_a_file_of_turns(tmp_path: Path) -> None:
    file = tmp_path / "t.jsonl"
    file.write_text('{"text": "Hi", "answer": "Yes?", "answer_tokens": 9, "think_s": 1}\n\n{"tokens": 4}\n')
    assert read_turns(file) == [Turn("Hi", 0, "Yes?", 9, 1.0), Turn(None, 4, None, 32, 0.0)]
    with pytest.raises(Unsupported, match=r"no tokenizer\.json"):
        tokens_of(read_turns(file), 100, None)
    seeded = tokens_of([Turn(None, 4, None, 3, 0)], 100, None)
    assert seeded == tokens_of([Turn(None, 4, None, 3, 0)], 100, None)
    assert (len(seeded[0].said), len(seeded[0].answer)) == (4, 3)


@pytest.mark.parametrize(
    "line",
    [
        "secret",
        "[]",
        "{}",
        '{"text": "secret", "tokens": 3}',
        '{"text": " "}',
        '{"text": 5}',
        '{"tokens": 0}',
        '{"tokens": true}',
        '{"tokens": 99999999}',
        '{"tokens": 2, "answer_tokens": 1}',
        '{"tokens": 2, "think_s": -1}',
        '{"tokens": 2, "think_s": 1e9}',
        '{"tokens": 2, "think_s": NaN}',
        '{"tokens": 2, "role": "secret"}',
        "[" * 100_000,
    ],
)
def test_what_is_no_turn_is_refused_and_not_quoted(tmp_path: Path, line: str) -> None:
    file = tmp_path / "t.jsonl"
    file.write_text(f'{{"tokens": 3}}\n{line}\n', encoding="utf-8")
    with pytest.raises(Unsupported, match="line 2") as refused:
        read_turns(file)
    assert "secret" not in str(refused.value)
    with pytest.raises(SuiteError, match="line 2"):
        turns_of(file)


def test_a_file_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(SuiteError, match="cannot be read"):
        turns_of(tmp_path / "nothing.jsonl")
    (tmp_path / "b.jsonl").write_bytes(b"\xff\xfe")
    with pytest.raises(SuiteError, match="UTF-8"):
        turns_of(tmp_path / "b.jsonl")
    (tmp_path / "e.jsonl").write_text("\n")
    with pytest.raises(SuiteError, match="0 turns"):
        turns_of(tmp_path / "e.jsonl")


def test_what_is_told_of_it() -> None:
    assert list(conversation().told) == [
        "TTFT 10.0 ms in turn 1, 50.0 ms in turn 5 at 250 tokens of context",
        "the context was full in turn 6 of 6, after 250 tokens",
    ]
    assert len(conversation(full=None).told) == 1
    rows = [
        TurnRow(0, TurnEnd.ANSWERED, 20, 20, 30, 50, 1e7, 9, 0),
        TurnRow(1, TurnEnd.ANSWERED, 20, 70, 30, 100, 2e7, 9, 0),
        TurnRow(2, TurnEnd.ANSWERED_ANEW, 20, 70, 30, 100, 2e7, 9, 0),
    ]
    measured = [raw_rows(CONVERSATION_TURNS, {}, 3, CONVERSATION_TURNS.flat(rows))]
    assert result_of(job_of("conversation", {}, "talk"), measured, {}).told == [
        "the context was full in 1 of 3 turns, which left the oldest out",
        "98 tokens were read again that could not stay in the cache",
    ]
