"""Stamps that a runtime gives itself: what cannot be is refused, and what is kept are differences."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from benchharness.contract import HARNESS_CLOCK, EffectiveConfiguration, StampClock, TensorSpec, TokenStream
from benchharness.device.self_timed import SelfTimed, StreamRequest, Written
from benchharness.errors import InvalidOutput, Unsupported

OWN = StampClock("its own", stamped_at="browser", resolution_ns=100)
WORKLOAD: Mapping[str, Any] = {
    "prompt": {"length": 5, "seed": 0},
    "context_depth": 0,
    "output_tokens": 4,
    "continuation": "greedy",
}
#: 2 ms to the first token, then 1, 2 and 3 ms: the call itself takes 10 ms.
STREAM = TokenStream(5, 0, [2_000_000, 3_000_000, 5_000_000, 8_000_000], [1, 1, 1, 1], [1, 2, 3, 4])
CALL_S = 0.01


class Session:
    inputs: Sequence[TensorSpec] = ()
    outputs: Sequence[TensorSpec] = ()
    effective = EffectiveConfiguration(accelerators=("engine",), threads=None)
    context_length = 20
    takes_text = False
    vocabulary_size: int | None = 30

    def __init__(self, stream: TokenStream = STREAM, clock: StampClock = OWN, **members: Any) -> None:
        self.stream, self.clock = stream, clock
        self.asked: list[tuple[Any, int]] = []
        for name, value in members.items():
            setattr(self, name, value)

    def run(self, inputs: Mapping[str, Any]) -> Mapping[str, Any]:
        raise Unsupported("no tensors")

    def generate(self, prompt: Sequence[int] | str, count: int) -> TokenStream:
        self.asked.append((prompt, count))
        time.sleep(CALL_S)
        return self.stream


def written(stream: TokenStream = STREAM, **members: Any) -> Written:
    return SelfTimed(Session(stream, **members)).write(StreamRequest([1, 2, 3, 4, 5], 4), 4)


def test_differences_are_kept() -> None:
    found = written(replace(STREAM, began_ns=7, stamps_ns=[stamp + 7 for stamp in STREAM.stamps_ns]))
    assert (found.first_ns, found.gaps_ns) == (2_000_000, [1_000_000, 2_000_000, 3_000_000])
    assert (found.span_ns, found.after_first, found.prompt_tokens) == (6_000_000, 3, 5)
    assert found.by_token() == [1_000_000, 2_000_000, 3_000_000]


def test_a_chunks_tokens_share_its_time() -> None:
    found = written(replace(STREAM, stamps_ns=[2_000_000, 5_000_001], tokens_per_stamp=[2, 2]))
    assert found.by_token() == [1_500_001, 1_500_000]
    assert (found.after_first, found.span_ns) == (2, 3_000_001)


def test_gaps_below_the_clock_are_an_answers_mean() -> None:
    found = written(replace(STREAM, stamps_ns=[2_000_000, 2_000_000, 2_000_000, 5_000_000]))
    assert found.by_token() == [1_000_000] * 3


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"stamps_ns": [2, 3, 5]}, "3 stamps of 4 chunks"),
        ({"stamps_ns": [], "tokens_per_stamp": []}, "0 stamps of 0 chunks"),
        ({"tokens_per_stamp": [1, 1, 2, 0]}, "each stamp has to cover a token"),
        ({"prompt_tokens": 0}, "a prompt has one"),
        ({"tokens_per_stamp": [1, 1, 1, 2]}, "4 tokens were asked for, and there are 5 stamped, 4 given"),
        ({"tokens": [1, 2, 3]}, "4 tokens were asked for, and there are 4 stamped, 3 given"),
        ({"tokens": None, "tokens_per_stamp": [2, 1, 1, 1]}, "4 tokens were asked for, and there are 5"),
        ({"tokens": [1, 2, 3, 30]}, "the answer has token 30, and the vocabulary has 30"),
        ({"began_ns": 2_000_001}, "stamp 1 of 4 lies 1 ns before"),
        ({"stamps_ns": [2, 5, 3, 8]}, "stamp 3 of 4 lies 2 ns before"),
        ({"stamps_ns": [2, 3, float("nan"), 8]}, "a stamp is 'nan', no whole number"),
        ({"began_ns": 0.5}, "a stamp is '0.5', no whole number"),
        ({"began_ns": -(10**9)}, "the stamps span 1008000000 ns, and the whole call took"),
    ],
)
def test_stamps_that_cannot_be(change: dict[str, Any], told: str) -> None:
    with pytest.raises(InvalidOutput, match=told):
        written(replace(STREAM, **change))


def test_stamps_of_the_harnesss_clock_lie_within_the_call() -> None:
    with pytest.raises(InvalidOutput, match="lie outside the call"):
        written(clock=StampClock(HARNESS_CLOCK, "host", 1))


@pytest.mark.parametrize(
    "clock", [StampClock("", "host", 1), StampClock("its own", "elsewhere", 1), StampClock("its own", "host", 0)]
)
def test_a_clock_that_nothing_is_known_of(clock: StampClock) -> None:
    with pytest.raises(InvalidOutput, match="the adapter says that it stamps"):
        SelfTimed(Session(clock=clock))


@pytest.mark.parametrize(
    ("workload", "members", "told"),
    [
        ({"context_depth": 3}, {}, "begins with an empty context"),
        ({"output_tokens": 1}, {}, "output_tokens = 1: gaps between tokens"),
        ({"output_tokens": 16}, {}, "5 tokens of prompt .* = 21, more than the model's context of 20"),
        ({}, {"vocabulary_size": None, "takes_text": True}, "takes a prompt as text only"),
        ({"prompt": {"text": "a", "seed": 0}}, {}, "no tokenizer.json"),
        ({"prompt": {"tokens": [30], "seed": 0}}, {}, "the prompt has token 30"),
        ({"prompt": {"tokens": [], "seed": 0}}, {}, "the prompt has no tokens"),
    ],
)
def test_a_request_that_does_not_fit(workload: dict[str, Any], members: dict[str, Any], told: str) -> None:
    with pytest.raises(Unsupported, match=told):
        SelfTimed(Session(**members)).request({**WORKLOAD, **workload}, None, at_least=2)


def test_a_text_goes_as_it_is_and_is_another_metric() -> None:
    session = Session(takes_text=True)
    request = SelfTimed(session).request({**WORKLOAD, "prompt": {"text": "a b", "seed": 0}}, None)
    assert (request.prompt, request.first_token_metric) == ("a b", "request_ttft")
    tokens = SelfTimed(session).request(WORKLOAD, None)
    assert (len(tokens.prompt), tokens.first_token_metric) == (5, "model_ttft")


def test_whose_stamps_they_are_is_told() -> None:
    timed = SelfTimed(Session(replace(STREAM, stamps_ns=[2, 5], tokens_per_stamp=[1, 3])))
    request = timed.request({**WORKLOAD, "continuation": "fixed"}, None)
    answers = [timed.write(request, 4)]
    assert timed.no_itl(answers) == "a stamp covers up to 3 tokens"
    assert timed.facts() == {
        "timed_by": "its own",
        "stamped_at": "browser",
        "clock_resolution_ns": 100,
        "tokens_per_stamp": 3,
        "continuation": "greedy",
        "itl_unknown": "a stamp covers up to 3 tokens",
    }


def test_what_is_no_time_at_all_is_not_measured() -> None:
    timed = SelfTimed(Session())
    assert timed.timed([1, 2], "a first token") == [1, 2]
    with pytest.raises(Unsupported, match=r"a first token took less than a step of the clock .*its own, 100 ns"):
        timed.timed([1, 0], "a first token")


def test_a_session_that_gives_logits_too_is_timed_by_its_stamps() -> None:
    class Both(Session):
        def reset(self) -> None: ...
        def extend(self, tokens: Sequence[int]) -> Any: ...
        def decode(self, token: int) -> Any: ...

    assert SelfTimed.of(Session()) is not None
    assert SelfTimed.of(Both()) is not None
    assert SelfTimed.of(object()) is None
