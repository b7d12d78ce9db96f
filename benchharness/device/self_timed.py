"""Sessions that write by a loop of their own and stamp their tokens themselves (`GeneratesTokens`).

Only differences of their stamps are kept, and each answer is held against the harness's own clock around the call: what
does not fit inside it, goes backwards, or is more or less than was asked for is no measurement.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchharness.contract import (
    HARNESS_CLOCK,
    GeneratesTokens,
    TensorSpec,
    TokenStream,
)
from benchharness.device.inputs.requests import check_tokens, prompt_tokens
from benchharness.device.inputs.tokenizer import Tokenizer
from benchharness.device.own_clock import OwnClock, is_count, is_whole
from benchharness.errors import InvalidOutput, Unsupported

#: Why there is no quality of such a session.
NO_LOGITS = (
    "this runtime writes by its own loop and gives no logits, so its quality cannot be measured; measure the same "
    "weights with an adapter that gives them"
)


@dataclass(frozen=True)
class StreamRequest:
    """One prompt, as text where the runtime takes it so, and how many tokens shall follow."""

    prompt: Sequence[int] | str
    output_tokens: int

    @property
    def first_token_metric(self) -> str:
        """What the time to its first token is: with the runtime's own tokenisation, or of tokens handed over."""
        return "request_ttft" if isinstance(self.prompt, str) else "model_ttft"


@dataclass(frozen=True)
class Written:
    """One answer in ns, by the runtime's own stamps but for `cpu_ns`."""

    prompt_tokens: int
    first_ns: int  # prompt handed over until the first stamp
    gaps_ns: Sequence[int]  # between stamps
    tokens: Sequence[int]  # that each stamp covers, the first one's included
    cpu_ns: int  # of the calling thread, for the whole call

    @property
    def span_ns(self) -> int:
        """From the first stamp to the last."""
        return sum(self.gaps_ns)

    @property
    def after_first(self) -> int:
        """Tokens that came after the first stamp."""
        return sum(self.tokens[1:])

    def by_token(self) -> list[int]:
        """A time for each token after the first stamp, which add up to the span: each its chunk's mean.

        Where gaps are below the clock's resolution each is the answer's mean.
        """
        if min(self.gaps_ns) > 0:
            return [part for gap, count in zip(self.gaps_ns, self.tokens[1:]) for part in _parts(gap, count)]
        return _parts(self.span_ns, self.after_first)


class SelfTimed:
    """Such a session, whose stamps are looked at as they come."""

    language = True

    def __init__(self, session: GeneratesTokens) -> None:
        self.inputs: Sequence[TensorSpec] = ()
        self.outputs: Sequence[TensorSpec] = ()
        self.effective, self.takes_text = session.effective, session.takes_text
        self.vocabulary_size, self.context_length = session.vocabulary_size, session.context_length
        self._own = OwnClock(session.clock)
        self._session, self._clock = session, session.clock
        self._most_tokens = 0
        self._told: dict[str, Any] = {}

    @classmethod
    def of(cls, session: object) -> SelfTimed | None:
        """A session that writes and stamps by itself, whether or not it gives logits too; None for any other."""
        return cls(session) if isinstance(session, GeneratesTokens) else None

    def run(self, inputs: Mapping[str, Any]) -> Mapping[str, Any]:
        """Refused."""
        raise Unsupported(NO_LOGITS)

    def request(self, workload: Mapping[str, Any], tokenizer: Tokenizer | None, *, at_least: int = 1) -> StreamRequest:
        """The workload's request. Raises `Unsupported` where it does not fit this runtime, or asks for too few."""
        session, source, count = self._session, workload["prompt"], workload["output_tokens"]
        if workload["context_depth"]:
            raise Unsupported("context_depth: this runtime's own loop begins with an empty context; ask for depth 0")
        if count < at_least:
            raise Unsupported(f"output_tokens = {count}: gaps between tokens are measured here; ask for {at_least}")
        if workload["continuation"] != "greedy":
            self._told["continuation"] = "greedy"
        if source.get("text") is not None and session.takes_text:
            return StreamRequest(source["text"], count)
        if session.vocabulary_size is None:
            raise Unsupported(
                "this runtime takes a prompt as text only; give the workload's prompt as text or as a file"
            )
        prompt = prompt_tokens(source, session.vocabulary_size, tokenizer)
        check_tokens("prompt", prompt, session.vocabulary_size)
        if len(prompt) + count > session.context_length:
            raise Unsupported(
                f"{len(prompt)} tokens of prompt + {count} of output = {len(prompt) + count}, more than the model's "
                f"context of {session.context_length}; ask for fewer"
            )
        return StreamRequest(prompt, count)

    def write(self, request: StreamRequest, count: int) -> Written:
        """One answer of so many tokens. Raises `InvalidOutput` for stamps that cannot be."""
        cpu_ns, called_ns = time.thread_time_ns(), time.perf_counter_ns()
        stream = self._session.generate(request.prompt, count)
        returned_ns = time.perf_counter_ns()
        cpu_ns = time.thread_time_ns() - cpu_ns
        check_counts(stream, count, self._session.vocabulary_size)
        self._check_stamps(stream, called_ns, returned_ns)
        self._most_tokens = max(self._most_tokens, *stream.tokens_per_stamp)
        stamps = stream.stamps_ns
        return Written(
            prompt_tokens=stream.prompt_tokens,
            first_ns=stamps[0] - stream.began_ns,
            gaps_ns=[later - sooner for sooner, later in zip(stamps, stamps[1:])],
            tokens=stream.tokens_per_stamp,
            cpu_ns=cpu_ns,
        )

    def _check_stamps(self, stream: TokenStream, called_ns: int, returned_ns: int) -> None:
        moments = check_order(stream)
        took_ns, lasted_ns = moments[-1] - moments[0], returned_ns - called_ns
        self._own.check_span(took_ns, lasted_ns)
        if self._clock.timed_by == HARNESS_CLOCK and not called_ns <= moments[0] <= moments[-1] <= returned_ns:
            raise InvalidOutput("the stamps are of the harness's clock, and lie outside the call")

    def timed(self, taken: Sequence[int], what: str) -> Sequence[int]:
        """The times as they are. Raises `Unsupported` where one is no time at all by the runtime's clock."""
        return self._own.timed(taken, what)

    def no_itl(self, answers: Sequence[Written]) -> str:
        """Why the gaps between single tokens are not known, which the facts tell too; empty where they are."""
        most = max(max(each.tokens) for each in answers)
        if most > 1:
            reason = f"a stamp covers up to {most} tokens"
        elif min(min(each.gaps_ns) for each in answers) <= 0:
            reason = f"gaps between tokens are below the stamps' resolution of {self._clock.resolution_ns} ns"
        else:
            return ""
        self._told["itl_unknown"] = reason
        return reason

    def elsewhere(self) -> dict[str, Any]:
        """Nothing: it runs in the worker."""
        return {}

    def facts(self) -> dict[str, Any]:
        """Whose stamps these are, for the result; where it wrote nothing there are none."""
        return {**(self._own.facts(self._most_tokens) if self._most_tokens else {}), **self._told}


def check_counts(stream: TokenStream, count: int, vocabulary_size: int | None) -> None:
    """Raises `InvalidOutput` for an answer that is not of so many tokens, or has one that the model does not know."""
    counts, ids = stream.tokens_per_stamp, stream.tokens
    if not counts or len(counts) != len(stream.stamps_ns) or not all(map(is_count, (*counts, stream.prompt_tokens))):
        raise InvalidOutput(
            f"{len(stream.stamps_ns)} stamps of {len(counts)} chunks of tokens, after {stream.prompt_tokens!r} "
            "tokens of prompt: each stamp has to cover a token, and a prompt has one"
        )
    if sum(counts) != count or (ids is not None and len(ids) != count):
        given = sum(counts) if ids is None else f"{sum(counts)} stamped, {len(ids)} given"
        raise InvalidOutput(f"{count} tokens were asked for, and there are {given}")
    size = vocabulary_size
    wrong = next((each for each in ids or () if size is not None and not 0 <= each < size), None)
    if wrong is not None:
        raise InvalidOutput(f"the answer has token {wrong}, and the vocabulary has {size}")


def check_order(stream: TokenStream) -> list[int]:
    """When the prompt was handed over, and all stamps. Raises `InvalidOutput` where they do not go forward."""
    moments = [stream.began_ns, *stream.stamps_ns]
    wrong = next((each for each in moments if not is_whole(each)), None)
    if wrong is not None:
        raise InvalidOutput(f"a stamp is {str(wrong)[:40]!r}, no whole number of ns")
    back = next((place for place, (a, b) in enumerate(zip(moments, moments[1:])) if b < a), None)
    if back is not None:
        raise InvalidOutput(
            f"stamp {back + 1} of {len(stream.stamps_ns)} lies {moments[back] - moments[back + 1]} ns before the "
            "one that goes before it"
        )
    return moments


def _parts(whole: int, count: int) -> list[int]:
    """`count` whole numbers, as alike as can be, that add up to `whole`."""
    least, more = divmod(whole, count)
    return [least + (place < more) for place in range(count)]
