"""Scenario `concurrent`: several requests at once, and what each of them and all together get.

The session answers them, by whatever way its runtime has (`AnswersSeveral`), and stamps their tokens by the harness's
clock; each answer is held against the call. Requests have seeded prompts of their own, or all the same text where the
workload is one.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from benchharness.contract import AnswersSeveral, TokenStream
from benchharness.device.inputs.requests import check_tokens, prompt_tokens
from benchharness.device.measured import measurement
from benchharness.device.scenarios.stage import Stage
from benchharness.device.self_timed import check_counts, check_order
from benchharness.device.timing import quiet_collector
from benchharness.errors import InvalidOutput, Unsupported

#: Seeds of prompts lie so far apart: a workload's own are its seed, and the two after it.
_SEEDS_APART = 3

Prompt = Any  # token ids, or a text


def measure(stage: Stage) -> list[dict[str, Any]]:
    """Figures by number at once. Raises `Unsupported` where the session answers one request at a time."""
    session, settings = stage.plain, stage.settings
    if not isinstance(session, AnswersSeveral):
        raise Unsupported("this adapter's sessions answer one request at a time")
    numbers: Sequence[int] = settings["at_once"]
    count = stage.workload["output_tokens"]
    if max(numbers) > session.most_at_once:
        raise Unsupported(f"{max(numbers)} requests at once: this adapter takes {session.most_at_once} at most")
    if count < 2:
        raise Unsupported(f"output_tokens = {count}: gaps between tokens are measured here; ask for 2")
    size = getattr(session, "vocabulary_size", None)
    prompts = _prompts(stage, max(numbers), size)

    def once(number: int) -> list[TokenStream]:
        return _answered(session, prompts[:number], count, size)

    once(numbers[0])
    stage.phases.end("first_request")
    for number in sorted(numbers, reverse=True):  # the most first: what they need, fewer are warmed up and measured in
        stage.warm_up(lambda _, number=number: once(number))
    taken: dict[int, list[list[TokenStream]]] = {number: [] for number in numbers}
    for repeat in range(settings["repeats"]):
        stage.progress("measure", repeat, settings["repeats"])
        for number in numbers:  # in turn: a device that slows down does so for all of them
            with quiet_collector():
                taken[number].append(once(number))
    source = stage.workload["prompt"]
    given = source.get("text") is not None or source.get("tokens") is not None
    stage.told["concurrent"] = {
        "answers_by": session.answers_by,
        "prompts": "the same in each" if given else "one of its own in each",
    }
    if stage.workload["continuation"] != "greedy":
        stage.told["continuation"] = "greedy"  # whatever was asked for
    found = [each for number in numbers for each in _figures(number, taken[number], count)]
    return [*found, _whole(max(numbers), taken[max(numbers)], count, "full_throughput")]


def _prompts(stage: Stage, number: int, size: int | None) -> list[Prompt]:
    """A prompt for each request."""
    source = stage.workload["prompt"]
    if stage.workload["context_depth"]:
        raise Unsupported("context_depth: each of several requests begins with an empty context; ask for depth 0")
    if source.get("text") is not None and getattr(stage.session, "takes_text", False):
        return [source["text"]] * number
    if size is None:
        raise Unsupported("this runtime takes a prompt as text only; give the workload's prompt as text or as a file")
    made: list[Prompt] = []
    for place in range(number):
        one = source.copy()
        one["seed"] = source["seed"] + _SEEDS_APART * place
        made.append(prompt_tokens(one, size, stage.tokenizer))
        check_tokens("prompt", made[-1], size)
    return made


def _answered(session: AnswersSeveral, prompts: Sequence[Prompt], count: int, size: int | None) -> list[TokenStream]:
    """The answers, the first to begin first. Raises `InvalidOutput` for stamps that cannot be."""
    called_ns = time.perf_counter_ns()
    streams = session.answer_several(prompts, count)
    returned_ns = time.perf_counter_ns()
    if len(streams) != len(prompts):
        raise InvalidOutput(f"{len(prompts)} requests were made, and there are {len(streams)} answers")
    for stream in streams:
        check_counts(stream, count, size)
        moments = check_order(stream)
        if not called_ns <= moments[0] <= moments[-1] <= returned_ns:
            raise InvalidOutput("the stamps are of the harness's clock, and lie outside the call")
        if moments[1] <= moments[0] or moments[-1] <= moments[1]:
            raise Unsupported("a whole answer came at one moment: neither its first token nor its rate has a time")
    return sorted(streams, key=lambda stream: stream.stamps_ns[0])


def _figures(number: int, taken: Sequence[Sequence[TokenStream]], count: int) -> list[dict[str, Any]]:
    """Of each place, in the order of first tokens, its TTFT and rate; and what all get together."""
    found = [_whole(number, taken, count, "throughput")]
    for place in range(number):
        streams = [answers[place] for answers in taken]
        of = {"at_once": number, "place": place + 1, "output_tokens": count}
        first = [answers[place].stamps_ns[0] - _handed_over(answers) for answers in taken]
        rates = [
            (count - stream.tokens_per_stamp[0]) * 1e9 / (stream.stamps_ns[-1] - stream.stamps_ns[0])
            for stream in streams
        ]
        found.append(measurement("concurrent_ttft", of, samples=first))
        found.append(measurement("concurrent_decode_rate", of, samples=rates))
    return found


def _whole(number: int, taken: Sequence[Sequence[TokenStream]], count: int, metric: str) -> dict[str, Any]:
    """Tokens of all answers over the time from the first prompt handed over to the last token."""
    rates = []
    for answers in taken:
        ended = max(stream.stamps_ns[-1] for stream in answers)
        rates.append(number * count * 1e9 / (ended - _handed_over(answers)))
    return measurement(metric, {"at_once": number, "output_tokens": count}, samples=rates)


def _handed_over(answers: Sequence[TokenStream]) -> int:
    """When all of a round were: a thread or connection that began later had to wait for the others."""
    return min(stream.began_ns for stream in answers)
