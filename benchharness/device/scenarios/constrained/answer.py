"""Scenario `answer`, private to `constrained`: load, answer the whole request some times, end.

What the conductor of the trial reads of it: when each answer was there, and how much was mapped at most.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchharness.contract import LanguageSession
from benchharness.device.inputs.requests import check_logits, language_request
from benchharness.device.measured import measurement
from benchharness.device.scenarios.stage import Stage
from benchharness.device.scenarios.steady import answer
from benchharness.device.self_timed import SelfTimed


def measure(stage: Stage) -> list[dict[str, Any]]:
    """`answered_at`: stamps in ns (`time.perf_counter_ns`) of the first answer's start and of every answer's end.

    An answer is checked when all stamps are taken: one that cannot be is a failure and no answer.
    """
    session = stage.session
    if isinstance(session, LanguageSession):
        request = language_request(session, stage.workload, stage.tokenizer)
        stamps = _stamps(stage, lambda: answer(session, request, request.output_tokens))
        check_logits(session.decode(request.prompt[0]), session.vocabulary_size)
    elif isinstance(session, SelfTimed):
        asked = session.request(stage.workload, stage.tokenizer)
        stamps = _stamps(stage, lambda: session.write(asked, asked.output_tokens))
    else:
        inputs = stage.inputs
        stamps = _stamps(stage, lambda: session.run(inputs))
        stage.outputs.check(session.run(inputs))
    return [
        measurement("answered_at", {}, 0, samples=stamps),
        measurement("address_space_peak", {}, _address_space_peak()),
    ]


def _stamps(stage: Stage, once: Callable[[], object]) -> list[float]:
    count = stage.settings["answers"]
    stamps: list[float] = [time.perf_counter_ns()]
    for done in range(count):
        stage.progress("answer", done, count)
        once()
        stamps.append(time.perf_counter_ns())
        if not done:
            stage.phases.end("first_request", int(stamps[-1]))
    return stamps


def _address_space_peak() -> int:
    """The most that this process had mapped, in bytes; 0 where the system does not tell."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmPeak:")), 0)
