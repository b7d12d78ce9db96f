"""When a cloud's answer is given up, against traces computed by hand; and what a row tells of it."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from pathlib import Path

import pytest

from benchharness.contract import StreamEnd, TextPiece
from benchharness.device.network.simulated import Passed
from benchharness.device.scenarios.hybrid.asking import Asked, followed
from benchharness.device.scenarios.hybrid.policy import CONTINUE, Patience, Policy
from benchharness.device.scenarios.hybrid.prompts import Prompt, read_prompts
from benchharness.device.scenarios.hybrid.requests import _agreement, _row
from benchharness.errors import Unsupported
from benchharness.records import AnsweredBy, CloudEnd

MS = 1_000_000
ASKED = 5_000 * MS
GIVE_UP = 10_000 * MS


class Trace:
    """A stream whose events come at moments of its own clock, which waiting moves."""

    def __init__(self, pieces_ms: Sequence[float], end_ms: float | None = None, why: str = "complete") -> None:
        self.now_ns = ASKED
        self.closed = False
        moments = [(ASKED + round(each * MS), None) for each in pieces_ms]
        self._events = deque([*moments, *([] if end_ms is None else [(ASKED + round(end_ms * MS), why)])])

    def clock(self) -> int:
        return self.now_ns

    def next(self, patience_s: float) -> TextPiece | StreamEnd | None:
        until = self.now_ns + round(patience_s * 1e9)
        if not self._events or self._events[0][0] > until:
            self.now_ns = until
            return None
        moment, why = self._events.popleft()
        self.now_ns = max(self.now_ns, moment)
        return TextPiece(moment, "x") if why is None else StreamEnd(why, moment)

    def close(self) -> None:
        self.closed = True


def follow(trace: Trace, policy: Policy) -> Asked:
    asked = followed(trace, Patience(policy, ASKED, GIVE_UP), trace.clock)
    assert trace.closed
    return asked


EAGER = Policy("eager", first_token_ns=800 * MS, gap_ns=300 * MS)
PATIENT = Policy("patient", first_token_ns=2_000 * MS)
WAITS = Policy("waits")
TOO_PATIENT = Policy("too patient", first_token_ns=20_000 * MS, gap_ns=20_000 * MS)
#: (pieces in ms, end in ms or None, how it ends, policy, pieces taken, the cloud's end, when it was given up in ms)
BY_HAND = {
    "whole": ([100, 200, 300], 310, "complete", EAGER, 3, CloudEnd.COMPLETE, 310),
    "first token a moment too late": ([801], 900, "complete", EAGER, 0, CloudEnd.LATE_FIRST_TOKEN, 800),
    "first token just in time": ([799, 900], 950, "complete", EAGER, 2, CloudEnd.COMPLETE, 950),
    "first token at the moment itself": ([800], 900, "complete", EAGER, 0, CloudEnd.LATE_FIRST_TOKEN, 800),
    "a gap": ([100, 200, 501], 600, "complete", EAGER, 2, CloudEnd.SILENCE, 500),
    "a gap that is none": ([100, 200, 499], 700, "complete", EAGER, 3, CloudEnd.COMPLETE, 700),
    "silence before the end": ([100], 401, "complete", EAGER, 1, CloudEnd.SILENCE, 400),
    "no gap is too long for the patient": ([1_900, 9_000], 9_001, "complete", PATIENT, 2, CloudEnd.COMPLETE, 9_001),
    "the patient waits for the first": ([2_100], 2_200, "complete", PATIENT, 0, CloudEnd.LATE_FIRST_TOKEN, 2_000),
    "nobody waits for ever": ([100], None, "", WAITS, 1, CloudEnd.GIVEN_UP, 10_000),
    "nor longer than anybody": ([], 15_000, "complete", TOO_PATIENT, 0, CloudEnd.GIVEN_UP, 10_000),
    "nor after a first token": ([9_000], 12_000, "complete", TOO_PATIENT, 1, CloudEnd.GIVEN_UP, 10_000),
    "nothing at all": ([], None, "", WAITS, 0, CloudEnd.GIVEN_UP, 10_000),
    "cut": ([100, 150], 160, "cut", EAGER, 2, CloudEnd.CUT, 160),
    "refused at once": ([], 3, "unreachable", PATIENT, 0, CloudEnd.UNREACHABLE, 3),
    "too many": ([], 50, "too many requests", EAGER, 0, CloudEnd.TOO_MANY_REQUESTS, 50),
}


@pytest.mark.parametrize("name", BY_HAND)
def test_a_policy_decides_as_computed_by_hand(name: str) -> None:
    pieces, end, why, policy, taken, expected, at_ms = BY_HAND[name]
    asked = follow(Trace(pieces, end, why), policy)
    assert (len(asked.stamps_ns), asked.end) == (taken, expected)
    assert asked.ended_ns == ASKED + at_ms * MS


def test_what_came_in_time_counts_though_it_is_looked_at_late() -> None:
    """The thread that waits was held up: what it missed meanwhile was there."""
    trace = Trace([700, 900], 950)
    trace.now_ns += 5_000 * MS
    asked = follow(trace, EAGER)
    assert (len(asked.stamps_ns), asked.end) == (2, CloudEnd.COMPLETE)
    late = Trace([801], 950)
    late.now_ns += 5_000 * MS
    assert follow(late, EAGER).end is CloudEnd.LATE_FIRST_TOKEN


# Rows


def row(asked: Asked | None, written_ms: Sequence[float] = (), *, kept: bool = False, ended_ms: float = 0):  # type: ignore[no-untyped-def]
    written = [ASKED + round(each * MS) for each in written_ms]
    came = asked.stamps_ns if asked else ()
    passed = Passed(1, sent=100, received=500)
    ended = written[-1] if written else ASKED + round(ended_ms * MS)
    return _row(0, came, written, asked, kept=kept, asked_ns=ASKED, ended_ns=ended, passed=passed)


def asked(pieces_ms: Sequence[float], end: CloudEnd, at_ms: float) -> Asked:
    return Asked([ASKED + round(each * MS) for each in pieces_ms], "x", end, ASKED + round(at_ms * MS))


def test_the_cloud_alone() -> None:
    found = row(asked([100, 400, 450], CloudEnd.COMPLETE, 460), ended_ms=460)
    assert (found.answered_by, found.first_token, found.silence) == (AnsweredBy.CLOUD, 100 * MS, 300 * MS)
    assert (found.cloud_tokens, found.device_tokens, found.wasted_tokens, found.wasted) == (3, 0, 0, 0)
    assert (found.whole, found.sent, found.received) == (460 * MS, 100, 500)


def test_a_restart_wastes_what_came() -> None:
    found = row(asked([100, 200], CloudEnd.SILENCE, 500), [620, 640, 660])
    assert (found.answered_by, found.first_token, found.silence) == (AnsweredBy.DEVICE, 100 * MS, 420 * MS)
    assert (found.cloud_tokens, found.device_tokens, found.wasted_tokens, found.wasted) == (0, 3, 2, 600)


def test_going_on_keeps_what_came() -> None:
    found = row(asked([100, 200], CloudEnd.CUT, 210), [700, 720], kept=True)
    assert (found.answered_by, found.silence) == (AnsweredBy.BOTH, 500 * MS)
    assert (found.cloud_tokens, found.device_tokens, found.wasted_tokens, found.wasted) == (2, 2, 0, 0)


def test_nobody_answers() -> None:
    found = row(asked([100], CloudEnd.GIVEN_UP, 10_000), ended_ms=10_000)
    assert (found.answered_by, found.first_token, found.silence) == (AnsweredBy.NOBODY, 100 * MS, 9_900 * MS)
    assert (found.cloud_tokens, found.wasted_tokens, found.wasted) == (0, 1, 600)
    silent = row(asked([], CloudEnd.UNREACHABLE, 3), ended_ms=3)
    assert (silent.answered_by, silent.first_token, silent.silence) == (AnsweredBy.NOBODY, 0, 3 * MS)


def test_the_device_alone_asks_nobody() -> None:
    found = row(None, [50, 70])
    assert (found.answered_by, found.cloud) == (AnsweredBy.DEVICE, CloudEnd.NOT_ASKED)
    assert (found.first_token, found.silence, found.whole) == (50 * MS, 50 * MS, 70 * MS)


def test_agreement_counts_words_in_order() -> None:
    assert _agreement("a b c d", "a b c d") == 1
    assert _agreement("a b x y", "a b c d") == 0.5
    assert _agreement("", "a") == 0


def test_a_policy_as_settings_have_it() -> None:
    told = {"name": "p", "first_token_ns": 5, "gap_ns": None, "on_failure": CONTINUE}
    assert Policy.from_json(told) == Policy("p", 5, None, CONTINUE)


# Prompts


def test_prompts_and_what_is_right(tmp_path: Path) -> None:
    file = tmp_path / "p.jsonl"
    file.write_text('{"prompt": "What?", "expected": "Forty  Two"}\n\n{"prompt": "\\ud800 half"}\n', encoding="utf-8")
    first, second = read_prompts(file)
    assert [first.right("it is forty\ntwo."), first.right("41"), second.right("x")] == [1, 0, -1]
    assert second == Prompt("? half")


@pytest.mark.parametrize(
    "line",
    [
        "",
        "secret",
        "[]",
        '{"prompt": ""}',
        '{"prompt": 3}',
        '{"prompt": "a", "expected": 1}',
        '{"prompt": "a", "expected": " "}',
        '{"prompt": "a", "secret": "b"}',
        "[" * 100_000,
    ],
)
def test_what_is_no_prompt_is_refused_and_not_quoted(tmp_path: Path, line: str) -> None:
    file = tmp_path / "p.jsonl"
    file.write_text(line, encoding="utf-8")
    with pytest.raises(Unsupported) as refused:
        read_prompts(file)
    assert "secret" not in str(refused.value)
    assert "line 1" in str(refused.value) or not line
