"""Scenario `sustained`: requests for a set time, described window by window; and requests after pauses.

Only what happens inside the worker is told here. What the device does meanwhile (waits, temperatures, clocks, quotas)
the supervisor reads from outside, with stamps of the same clock; the host joins the two.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from statistics import median
from typing import Any, Callable

import numpy as np

from benchharness.contract import LanguageSession, Session
from benchharness.device.inputs.requests import (
    LanguageRequest,
    check_logits,
    language_request,
)
from benchharness.device.measured import raw_rows
from benchharness.device.scenarios.stage import Stage
from benchharness.device.self_timed import SelfTimed
from benchharness.device.timed_inferences import TimedInferences
from benchharness.device.timing import quiet_collector
from benchharness.errors import Unsupported
from benchharness.records import SUSTAINED_WINDOW, WindowRow

#: However fast the model, a window is no shorter: a scheduler's slice would fill it.
_SHORTEST_WINDOW_NS = 100_000_000


class Windows:
    """Inferences as they come, cut into windows: `wall` and `cpu` are appended to by whoever makes a request."""

    def __init__(self, origin_ns: int, *, longest_ns: int, inferences: int) -> None:
        self.wall: list[int] = []
        self.cpu: list[int] = []
        self.rows: list[float] = []
        self._origin_ns = origin_ns
        self._longest_ns = longest_ns
        self._inferences = inferences
        self._first_tokens: list[int] = []
        self._begin()

    def _begin(self) -> None:
        self.wall.clear()
        self.cpu.clear()
        self._first_tokens.clear()
        self._requests = 0
        self._start_ns, self._process_cpu_ns = time.perf_counter_ns(), time.process_time_ns()

    def end(self) -> None:
        """The course is over: what has begun is a window, too, unless it is no more than a rest."""
        lasted_ns = time.perf_counter_ns() - self._start_ns
        if self.wall and (lasted_ns >= _SHORTEST_WINDOW_NS or not self.rows):
            self._close()

    def request_ended(self, first_token_ns: int) -> None:
        """A whole request is over (`first_token_ns`: 0 where there is none); the window may be, too."""
        self._requests += 1
        if first_token_ns:
            self._first_tokens.append(first_token_ns)
        lasted_ns = time.perf_counter_ns() - self._start_ns
        enough = len(self.wall) >= self._inferences and lasted_ns >= _SHORTEST_WINDOW_NS
        if enough or lasted_ns >= self._longest_ns:
            self._close()

    def _close(self) -> None:
        end_ns, process_cpu_ns = time.perf_counter_ns(), time.process_time_ns()
        wall = np.array(self.wall)
        middle, high, highest = np.percentile(wall, (50, 90, 99))
        self.rows += WindowRow(
            start=self._start_ns - self._origin_ns,
            end=end_ns - self._origin_ns,
            inferences=len(wall),
            busy=int(wall.sum()),
            process_cpu=process_cpu_ns - self._process_cpu_ns,
            least_wall=int(wall.min()),
            p50_wall=float(middle),
            p90_wall=float(high),
            p99_wall=float(highest),
            most_wall=int(wall.max()),
            least_cpu=min(self.cpu),
            requests=self._requests,
            ttft=median(self._first_tokens) if self._first_tokens else 0,
        )
        self._begin()


def measure(stage: Stage) -> list[dict[str, Any]]:
    """One row a window, for as long as the settings' `duration_ns` says."""
    settings = stage.settings
    request, unit, check = _workload(stage)
    if not settings.get("duration_ns"):
        check()  # a session whose times mean nothing is only shown to answer
        return []
    stage.warm_up(lambda _: request([], []))
    check()
    windows = Windows(
        stage.phases.spawned_ns, longest_ns=settings["window_ns"], inferences=settings["window_inferences"]
    )
    with quiet_collector():
        _work(stage, windows, request)
    check()
    return [raw_rows(SUSTAINED_WINDOW, {"unit": unit}, median(windows.rows), windows.rows)]


def _workload(stage: Stage) -> tuple[Callable[[list[int], list[int]], int], str, Callable[[], None]]:
    """One request, the unit of its rate, and a look at what is answered."""
    if isinstance(stage.session, LanguageSession):
        return _language(stage, stage.session)
    if isinstance(stage.session, SelfTimed):
        return _self_timed(stage, stage.session)
    return _other(stage)


def _work(stage: Stage, windows: Windows, request: Callable[[list[int], list[int]], int]) -> None:
    """Requests until the time is over, back to back or paced."""
    settings, clock = stage.settings, time.perf_counter_ns
    total_s = round(settings["duration_ns"] / 1e9)
    started_ns = begins_ns = clock()
    end_ns = started_ns + settings["duration_ns"]
    while begins_ns < end_ns:
        stage.progress("session (s)", round((begins_ns - started_ns) / 1e9), total_s)
        windows.request_ended(request(windows.wall, windows.cpu))
        ended_ns = clock()
        next_ns = _next_ns(settings, begins_ns, ended_ns)
        if next_ns >= end_ns:
            break  # not a pause that no request follows
        if next_ns > ended_ns:
            time.sleep(max(0, next_ns - clock()) / 1e9)
        begins_ns = clock()
    windows.end()


def _next_ns(settings: Mapping[str, Any], begun_ns: int, ended_ns: int) -> int:
    """When the next request is due. One that took longer than the pace delays the next; none is left out."""
    if settings.get("every_ns"):
        return max(ended_ns, begun_ns + int(settings["every_ns"]))
    if settings.get("duty"):
        return ended_ns + round((ended_ns - begun_ns) * (1 / float(settings["duty"]) - 1))
    return ended_ns


def _language(
    stage: Stage, session: LanguageSession
) -> tuple[Callable[[list[int], list[int]], int], str, Callable[[], None]]:
    asked = language_request(session, stage.workload, stage.tokenizer)
    if asked.output_tokens < 2:
        raise Unsupported(f"output_tokens = {asked.output_tokens}: 'sustained' measures decoding; ask for 2 or more")

    def check() -> None:
        check_logits(session.decode(asked.prompt[0]), session.vocabulary_size)

    answer_in_steps(session, asked, [], [])
    stage.phases.end("first_request")
    return lambda wall, cpu: answer_in_steps(session, asked, wall, cpu), "tokens/s", check


def answer_in_steps(session: LanguageSession, request: LanguageRequest, wall: list[int], cpu: list[int]) -> int:
    """One answer; appends every decode step's wall time and calling thread's CPU time, in ns. Its model TTFT in ns."""
    clock, cpu_clock = time.perf_counter_ns, time.thread_time_ns
    decode, fed = session.decode, request.continuation
    session.reset()
    if request.prefix:
        session.extend(request.prefix)
    handed = clock()
    logits = session.extend(request.prompt)
    prefilled = clock()
    token = int(logits.argmax())
    before, cpu_before = clock(), cpu_clock()
    for index in range(1, request.output_tokens):
        token = int(decode(token if fed is None else fed[index - 1]).argmax())
        now, cpu_now = clock(), cpu_clock()
        wall.append(now - before)
        cpu.append(cpu_now - cpu_before)
        before, cpu_before = now, cpu_now
    return prefilled - handed


def _self_timed(
    stage: Stage, session: SelfTimed
) -> tuple[Callable[[list[int], list[int]], int], str, Callable[[], None]]:
    """By the runtime's stamps. Its loop is in other threads or elsewhere: of CPU time the call's share is told."""
    asked = session.request(stage.workload, stage.tokenizer, at_least=2)

    def request(wall: list[int], cpu: list[int]) -> int:
        given = session.write(asked, asked.output_tokens)
        session.timed([given.span_ns], "what followed the first stamp")
        wall += given.by_token()
        cpu += [given.cpu_ns // asked.output_tokens] * given.after_first
        return given.first_ns

    request([], [])
    stage.phases.end("first_request")
    return request, "tokens/s", lambda: None  # each answer is looked at as it comes


def _other(stage: Stage) -> tuple[Callable[[list[int], list[int]], int], str, Callable[[], None]]:
    session = stage.session
    inputs = stage.inputs

    def check() -> None:
        stage.outputs.check(session.run(inputs))

    check()
    stage.phases.end("first_request")
    if isinstance(session, TimedInferences):
        paced = stage.settings.get("every_ns") or stage.settings.get("duty")
        most = 1 if paced else stage.settings["window_inferences"]
        return lambda wall, cpu: _by_its_own_clock(session, inputs, most, wall, cpu), "inferences/s", check
    return lambda wall, cpu: _one_inference(session, inputs, wall, cpu), "inferences/s", check


def _by_its_own_clock(session: TimedInferences, inputs: Any, most: int, wall: list[int], cpu: list[int]) -> int:
    """Some inferences in one call, whose CPU time of this thread they share."""
    cpu_before = time.thread_time_ns()
    taken = session.several(inputs, most)
    cpu += [(time.thread_time_ns() - cpu_before) // len(taken)] * len(taken)
    wall += taken
    return 0


def _one_inference(session: Session, inputs: Any, wall: list[int], cpu: list[int]) -> int:
    before, cpu_before = time.perf_counter_ns(), time.thread_time_ns()
    session.run(inputs)
    cpu.append(time.thread_time_ns() - cpu_before)
    wall.append(time.perf_counter_ns() - before)
    return 0
