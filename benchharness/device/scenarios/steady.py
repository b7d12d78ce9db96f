"""Scenario `steady`: a warm model at work. Prefill and decode rates, ITL and TPOT; or one inference after another."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from benchharness.contract import LanguageSession
from benchharness.device.inputs.requests import (
    LanguageRequest,
    check_logits,
    language_request,
)
from benchharness.device.measured import measurement
from benchharness.device.own_report import OwnReporter
from benchharness.device.scenarios.pauses import measure_pauses
from benchharness.device.scenarios.stage import Stage, inference_timer, timed_inference
from benchharness.device.self_timed import SelfTimed, Written
from benchharness.device.timed_inferences import TimedInferences
from benchharness.device.timing import goes_on, quiet_collector, warm_up
from benchharness.errors import Unsupported

#: What programs that measure themselves are asked for here.
_OWN = ("prefill_rate", "decode_rate", "tpot", "itl", "steady_inference", "inference_rate")
#: By whether the model is a language model: what is measured after a pause.
_PAUSED = {True: ("ttft_after_pause", "decode_rate_after_pause"), False: ("inference_after_pause",)}
#: Tokens that a warm-up request but the last decodes; the full output would only make the attempt longer.
_WARMUP_TOKENS = 8


@dataclass(frozen=True)
class Answer:
    """The stamps of one answer, in ns of one clock."""

    handed: int  # the prompt's tokens were handed to the runtime
    prefilled: int  # the first token's logits were on the host
    chosen: Sequence[int]  # each output token was chosen


def measure(stage: Stage) -> list[dict[str, Any]]:
    """Rates and latencies of a warm session."""
    if isinstance(stage.session, LanguageSession):
        return _measure_language(stage, stage.session)
    if isinstance(stage.session, SelfTimed):
        return _measure_self_timed(stage, stage.session)
    if isinstance(stage.session, OwnReporter):
        # An inference is one sample, and an answer has many tokens.
        repeats = stage.settings["repeats" if stage.session.language else "most_repeats"]
        paused = _PAUSED[stage.session.language] if stage.settings.get("pauses_ns") else ()
        return stage.session.told(stage.workload, max(repeats, stage.wanted("steady_inference")), _OWN, paused)
    return _measure_other(stage)


def _measure_language(stage: Stage, session: LanguageSession) -> list[dict[str, Any]]:
    request = language_request(session, stage.workload, stage.tokenizer)
    if request.output_tokens < 2:
        raise Unsupported(f"output_tokens = {request.output_tokens}: 'steady' measures gaps between tokens; ask for 2")
    stage.warm_up(lambda left: answer(session, request, _warmup_tokens(request.output_tokens, left)))
    check_logits(session.decode(request.prompt[0]), session.vocabulary_size)
    gaps = request.output_tokens - 1
    wanted = max(stage.wanted("tpot"), -(-stage.wanted("itl") // gaps))
    answers = stage.repeat(lambda: answer(session, request, request.output_tokens), wanted)
    check_logits(session.decode(request.prompt[0]), session.vocabulary_size)
    paused = measure_pauses(stage, lambda: _figures(answer(session, request, request.output_tokens)))
    return [*_language_measurements(request, answers), *paused]


def _warmup_tokens(output_tokens: int, left: int) -> int:
    """Short answers, and a last one of full length: a graph that grows its cache has then met every length once."""
    return min(_WARMUP_TOKENS, output_tokens) if left else output_tokens


def answer(session: LanguageSession, request: LanguageRequest, output_tokens: int) -> Answer:
    """Prefills the prompt and decodes `output_tokens` tokens, each chosen greedily.

    With a fixed continuation the choice is made and timed all the same, and then the given token is fed, so that
    every variant sees the same tokens. The last token is chosen and not fed: nobody asks for what follows it.
    """
    clock = time.perf_counter_ns
    decode = session.decode
    chosen = [0] * output_tokens
    fed = request.continuation
    session.reset()
    if request.prefix:
        session.extend(request.prefix)
    handed = clock()
    logits = session.extend(request.prompt)
    prefilled = clock()
    token = int(logits.argmax())
    chosen[0] = clock()
    for index in range(1, output_tokens):
        logits = decode(token if fed is None else fed[index - 1])
        token = int(logits.argmax())
        chosen[index] = clock()
    return Answer(handed=handed, prefilled=prefilled, chosen=chosen)


def _figures(given: Answer) -> dict[str, float]:
    """One answer's time to the first token in ns, and its decode rate in tokens/s."""
    span = given.chosen[-1] - given.chosen[0]
    return {
        "ttft_after_pause": given.prefilled - given.handed,
        "decode_rate_after_pause": (len(given.chosen) - 1) * 1e9 / span,
    }


def _language_measurements(request: LanguageRequest, answers: Sequence[Answer]) -> list[dict[str, Any]]:
    prompt, depth = len(request.prompt), len(request.prefix)
    after_first = request.output_tokens - 1
    spans = [given.chosen[-1] - given.chosen[0] for given in answers]
    gaps = [later - sooner for given in answers for sooner, later in zip(given.chosen, given.chosen[1:])]
    prefill = {"prompt_tokens": prompt, "context_depth": depth}
    decode = {"output_tokens": request.output_tokens, "context_depth": depth + prompt}
    return [
        measurement(
            "prefill_rate", prefill, samples=[prompt * 1e9 / (given.prefilled - given.handed) for given in answers]
        ),
        measurement("decode_rate", decode, samples=[after_first * 1e9 / span for span in spans]),
        measurement("tpot", decode, samples=[span / after_first for span in spans]),
        measurement("itl", decode, samples=gaps, row_length=after_first),
    ]


def _measure_self_timed(stage: Stage, session: SelfTimed) -> list[dict[str, Any]]:
    """As for language models, by the runtime's own stamps."""
    request = session.request(stage.workload, stage.tokenizer, at_least=2)
    count = request.output_tokens
    stage.warm_up(lambda left: session.write(request, _warmup_tokens(count, left)))
    wanted = max(stage.wanted("tpot"), -(-stage.wanted("itl") // (count - 1)))
    answers = stage.repeat(lambda: session.write(request, count), wanted)
    paused = measure_pauses(stage, lambda: _self_timed_figures(session, session.write(request, count)))
    return [*_self_timed_measurements(session, answers), *paused]


def _self_timed_figures(session: SelfTimed, given: Written) -> dict[str, float]:
    (first,) = session.timed([given.first_ns], "a first token")
    (span,) = session.timed([given.span_ns], "what followed the first stamp")
    return {"ttft_after_pause": first, "decode_rate_after_pause": given.after_first * 1e9 / span}


def _self_timed_measurements(session: SelfTimed, answers: Sequence[Written]) -> list[dict[str, Any]]:
    """Rates and TPOT, of tokens after the first stamp; gaps of tokens where a stamp covers one, else of chunks."""
    spans = session.timed([given.span_ns for given in answers], "what followed the first stamp")
    after = [given.after_first for given in answers]
    prompt, count = answers[-1].prompt_tokens, sum(answers[-1].tokens)
    decode = {"output_tokens": count, "context_depth": prompt}
    found = [
        measurement("decode_rate", decode, samples=[tokens * 1e9 / span for tokens, span in zip(after, spans)]),
        measurement("tpot", decode, samples=[span / tokens for tokens, span in zip(after, spans)]),
    ]
    if all(given.tokens[0] == 1 and given.first_ns > 0 for given in answers):
        rates = [prompt * 1e9 / given.first_ns for given in answers]
        found.append(measurement("prefill_rate", {"prompt_tokens": prompt, "context_depth": 0}, samples=rates))
    gaps = [gap for given in answers for gap in given.gaps_ns]
    if not session.no_itl(answers):
        found.append(measurement("itl", decode, samples=gaps, row_length=count - 1))
    elif min(gaps) > 0:
        found.append(measurement("chunk_gap", decode, samples=gaps))
    return found


def _measure_other(stage: Stage) -> list[dict[str, Any]]:
    session, settings = stage.session, stage.settings
    inputs = stage.inputs
    stage.outputs.check(session.run(inputs))
    stage.progress("warm-up", 0, 1)
    with quiet_collector():
        warm_up(
            inference_timer(session, inputs, settings["most_inferences"]),
            at_least=settings["warmup"],
            longest_ns=settings["min_time_ns"],
        )
        stage.progress("measure", 0, 1)
        once = inference_timer(session, inputs, settings["most_inferences"])
        started_ns = time.perf_counter_ns()
        samples: list[float] = []
        while goes_on(
            len(samples),
            started_ns,
            at_least=settings["repeats"],
            at_most=settings["most_inferences"],
            min_time_ns=settings["min_time_ns"],
            wanted=stage.wanted("steady_inference"),
            longest_ns=settings.get("samples_time_ns", 0),
        ):
            samples.append(once())
        elapsed_ns: float = time.perf_counter_ns() - started_ns
    if isinstance(session, TimedInferences):
        elapsed_ns = sum(samples)  # between its calls nothing is inferred
    paused = measure_pauses(stage, lambda: {"inference_after_pause": timed_inference(session, inputs)})
    stage.outputs.check(session.run(inputs))
    return [
        measurement("steady_inference", {}, samples=samples),
        measurement("inference_rate", {}, len(samples) * 1e9 / elapsed_ns),
        *paused,
    ]
