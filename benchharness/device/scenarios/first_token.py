"""Scenario `first-token`: what a user waits for before anything appears, cold and warm."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from benchharness.contract import LanguageSession
from benchharness.device.inputs.requests import (
    LanguageRequest,
    check_logits,
    language_request,
)
from benchharness.device.measured import measurement
from benchharness.device.own_report import OwnReporter
from benchharness.device.scenarios.stage import Stage
from benchharness.device.self_timed import SelfTimed
from benchharness.device.timed_inferences import TimedInferences

if TYPE_CHECKING:
    from benchharness.contract import Array

#: What programs that measure themselves are asked for here; a cold start begins with an empty context.
_OWN, _OWN_COLD = ("model_ttft", "first_inference"), ("cold_start_ttft", "cold_start_inference")


def measure(stage: Stage) -> list[dict[str, Any]]:
    """Cold start by phase; then, for language models, warm `model_ttft` and `request_ttft`."""
    if isinstance(stage.session, LanguageSession):
        return _measure_language(stage, stage.session)
    if isinstance(stage.session, SelfTimed):
        return _measure_self_timed(stage, stage.session)
    if isinstance(stage.session, OwnReporter):
        own = _OWN if stage.workload["context_depth"] else (*_OWN, *_OWN_COLD)
        return stage.session.told(stage.workload, stage.settings["repeats"], own)
    return _measure_other(stage)


def _measure_language(stage: Stage, session: LanguageSession) -> list[dict[str, Any]]:
    # Making the request tokenises a text prompt: from here to the phase's end is an application's first request.
    request = language_request(session, stage.workload, stage.tokenizer)
    logits = _answer(session, request)
    logits.argmax()
    stage.phases.end("first_request")
    check_logits(logits, session.vocabulary_size)
    depth = len(request.prefix)
    # A cold start begins with an empty context, so at depth there is none to report.
    measurements = [] if depth else stage.phases.cold_start("cold_start_ttft")

    stage.warm_up(lambda _: timed_request(session, request))
    wanted = max(stage.wanted("model_ttft"), stage.wanted("request_ttft"))
    timed = stage.repeat(lambda: timed_request(session, request), wanted)
    parameters = {"prompt_tokens": len(request.prompt), "context_depth": depth}
    measurements.append(measurement("model_ttft", parameters, samples=[model for model, _ in timed]))
    if request.text is not None and not depth:
        measurements.append(measurement("request_ttft", parameters, samples=[whole for _, whole in timed]))
    return measurements


def _answer(session: LanguageSession, request: LanguageRequest) -> Array:
    session.reset()
    if request.prefix:
        session.extend(request.prefix)
    return session.extend(request.prompt)


def timed_request(session: LanguageSession, request: LanguageRequest) -> tuple[int, int]:
    """One request to the first token: (model_ttft, request_ttft) in ns. At depth the prefix is fed untimed."""
    clock = time.perf_counter_ns
    started = clock()
    tokens = request.prompt
    if request.text is not None and request.tokenizer is not None:
        tokens = request.tokenizer.encode(request.text)
    session.reset()
    if request.prefix:
        session.extend(request.prefix)
    handed = clock()
    logits = session.extend(tokens)
    on_host = clock()
    logits.argmax()
    return on_host - handed, clock() - started


def _measure_self_timed(stage: Stage, session: SelfTimed) -> list[dict[str, Any]]:
    """As for language models, by the runtime's stamps; the cold start ends when the call has returned one token."""
    request = session.request(stage.workload, stage.tokenizer)
    session.write(request, 1)
    stage.phases.end("first_request")
    measurements = stage.phases.cold_start("cold_start_ttft")
    stage.warm_up(lambda _: session.write(request, 1))
    answers = stage.repeat(lambda: session.write(request, 1), stage.wanted(request.first_token_metric))
    first = session.timed([each.first_ns for each in answers], "a first token")
    parameters = {"prompt_tokens": answers[-1].prompt_tokens, "context_depth": 0}
    return [*measurements, measurement(request.first_token_metric, parameters, samples=first)]


def _measure_other(stage: Stage) -> list[dict[str, Any]]:
    inputs = stage.inputs
    handed = time.perf_counter_ns()
    if isinstance(stage.session, TimedInferences):
        taken_ns, outputs = stage.session.one(inputs)
        end_ns = time.perf_counter_ns()
    else:
        outputs = stage.session.run(inputs)
        end_ns = time.perf_counter_ns()
        taken_ns = end_ns - handed
    stage.phases.end("first_request", end_ns)
    stage.outputs.check(outputs)
    return [
        measurement("first_inference", {}, taken_ns),
        *stage.phases.cold_start("cold_start_inference"),
    ]
