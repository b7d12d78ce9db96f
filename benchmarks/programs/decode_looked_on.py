"""Decode rates of one session in short windows, in some of which another process looks on as the supervisor does.

Argument: {"folder", "threads", "prompt_tokens", "output_tokens", "window_s", "max_time_s", "within", "seed"}. Answer:
{"rounds": [{"on", "off", "off again": tokens/s}], "looks", "cpu_ns": the looker's CPU time while on, "on_s"}.
"""

from __future__ import annotations

import functools
import json
import math
import os
import random
import subprocess
import sys
import time
from pathlib import Path

from benchharness.contract import LanguageSession
from benchharness.device.inputs.requests import LanguageRequest
from benchmarks import harness_path
from benchmarks.pairs import Round, collect, in_random_order

#: Answers before those that count.
_WARMUP = 3


def main() -> None:
    """Measures, and prints the answer."""
    asked = json.loads(sys.argv[1])
    order = random.Random(asked["seed"])
    with harness_path.opened(Path(asked["folder"]), threads=asked["threads"], spinning=None) as session:
        prompt, output_tokens = {"length": asked["prompt_tokens"]}, asked["output_tokens"]
        request = harness_path.request(session, prompt, output_tokens=output_tokens, greedy=False)
        answers = _answers_in(asked["window_s"], session, request)
        looker = _Looker(order.randrange(2**32))
        windows = _Windows(session, request, answers, looker)
        rounds = collect(
            functools.partial(windows.round, order),
            max_time_s=asked["max_time_s"],
            names=["slowdown"],
            within=asked["within"],
        )
    told = {"rounds": [dict(found.values) for found in rounds], "on_s": windows.on_s, **looker.end()}
    print(json.dumps(told))


def _answers_in(window_s: float, session: LanguageSession, request: LanguageRequest) -> int:
    """How many answers fill a window, from the last of those that warm the session up."""
    took_s = 0.0
    for _ in range(_WARMUP):
        began_s = time.perf_counter()
        harness_path.decode_rate(session, request)
        took_s = time.perf_counter() - began_s
    return max(1, math.ceil(window_s / took_s))


class _Windows:
    """Windows of equal work. `on_s`: seconds with somebody looking on."""

    def __init__(self, session: LanguageSession, request: LanguageRequest, answers: int, looker: _Looker) -> None:
        self._session = session
        self._request = request
        self._answers = answers
        self._looker = looker
        self.on_s = 0.0

    def round(self, order: random.Random) -> Round:
        """One window on and two off, in random order. `slowdown`: rate of both off windows over that of the other."""
        off = functools.partial(self._window, False)
        rates = in_random_order({"on": functools.partial(self._window, True), "off": off, "off again": off}, order)
        return Round(
            ratios={"slowdown": math.sqrt(rates["off"] * rates["off again"]) / rates["on"]},
            values=rates,
        )

    def _window(self, on: bool) -> float:
        """Tokens/s over the window's answers, prefill not counted."""
        self._looker.switch(on)
        began_s = time.perf_counter()
        rates = [harness_path.decode_rate(self._session, self._request) for _ in range(self._answers)]
        self.on_s += (time.perf_counter() - began_s) * on
        return len(rates) / sum(1 / rate for rate in rates)


class _Looker:
    """The other process. A switch returns when it has happened, so that switching is part of no window."""

    def __init__(self, seed: int) -> None:
        asked = json.dumps({"process": os.getpid(), "seed": seed})
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.programs.looks_on", asked],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._on = False
        self._tell("off")

    def switch(self, on: bool) -> None:
        """Begins or ends looking."""
        if on != self._on:
            self._tell("on" if on else "off")
            self._on = on

    def end(self) -> dict[str, int]:
        """Ends the process; how often it looked, and its CPU time in ns while it did."""
        self.switch(False)
        told, _ = self._process.communicate("end\n")
        counted: dict[str, int] = json.loads(told.splitlines()[-1])
        return counted

    def _tell(self, what: str) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(what, file=self._process.stdin, flush=True)
        self._process.stdout.readline()


if __name__ == "__main__":
    main()
