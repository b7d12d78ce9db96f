"""One process with three sessions of one model: the harness's, a raw loop's, and the same raw loop's again.

Argument: {"folder", "threads", "spinning", "prompt_tokens", "output_tokens", "turns", "seed"}. Answer: for each side
what its turns measured, {"decode_rate": [tokens/s], "model_ttft": [ns]}.
Loaded in random order; in each turn the sides follow in random order.
"""

from __future__ import annotations

import contextlib
import json
import random
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchharness.contract import LanguageSession
from benchharness.device.inputs.requests import LanguageRequest
from benchharness.device.timing import quiet_collector
from benchmarks import harness_path
from benchmarks.pairs import in_random_order
from benchmarks.raw_loop import RawLoop

#: Turns before those that count: the first inferences of a session are slower.
_WARMUP_TURNS = 1


def main() -> None:
    """Measures, and prints the answer."""
    asked = json.loads(sys.argv[1])
    order = random.Random(asked["seed"])
    lengths = {"prompt_tokens": asked["prompt_tokens"], "output_tokens": asked["output_tokens"]}
    folder, threads, spinning = Path(asked["folder"]), asked["threads"], asked["spinning"]

    def load_raw() -> RawLoop:
        return RawLoop(folder, threads=threads, spinning=spinning, **lengths)

    with contextlib.ExitStack() as stack:
        loaded: dict[str, Any] = in_random_order(
            {
                "harness": lambda: stack.enter_context(harness_path.opened(folder, threads=threads, spinning=spinning)),
                "raw": load_raw,
                "raw again": load_raw,
            },
            order,
        )
        session = loaded["harness"]
        prompt = {"length": asked["prompt_tokens"]}
        request = harness_path.request(session, prompt, output_tokens=asked["output_tokens"], greedy=False)
        _check_same_work(session, loaded["raw"], request)
        sides: dict[str, Callable[[], dict[str, float]]] = {
            "harness": lambda: _harness_turn(session, request),
            "raw": lambda: _raw_turn(loaded["raw"], request),
            "raw again": lambda: _raw_turn(loaded["raw again"], request),
        }
        for _ in range(_WARMUP_TURNS):
            in_random_order(sides, order)
        turns = [in_random_order(sides, order) for _ in range(asked["turns"])]
    answer = {
        side: {metric: [turn[side][metric] for turn in turns] for metric in ("decode_rate", "model_ttft")}
        for side in sides
    }
    print(json.dumps(answer))


def _check_same_work(session: LanguageSession, raw: RawLoop, request: LanguageRequest) -> None:
    """Both give the same logits for the prompt and choose the same tokens, or the comparison means nothing."""
    session.reset()
    logits = np.array(session.extend(request.prompt))
    np.testing.assert_allclose(raw.prefill(request.prompt), logits, rtol=1e-4, atol=1e-3)
    fed = request.continuation
    assert fed is not None
    chosen = [int(logits.argmax())]
    chosen += [int(session.decode(token).argmax()) for token in fed[: request.output_tokens - 1]]
    assert list(raw.answer(request.prompt, fed, request.output_tokens).tokens) == chosen


def _harness_turn(session: LanguageSession, request: LanguageRequest) -> dict[str, float]:
    rate = harness_path.decode_rate(session, request)
    return {"decode_rate": rate, "model_ttft": harness_path.model_ttft_ns(session, request)}


def _raw_turn(raw: RawLoop, request: LanguageRequest) -> dict[str, float]:
    """The same requests as the harness makes in its turn, the collector kept as quiet as there."""
    with quiet_collector():
        answer = raw.answer(request.prompt, request.continuation, request.output_tokens)
    with quiet_collector():
        first = raw.answer(request.prompt, request.continuation, 1)
    rate = (request.output_tokens - 1) * 1e9 / (answer.chosen[-1] - answer.chosen[0])
    return {"decode_rate": rate, "model_ttft": first.prefilled - first.handed}


if __name__ == "__main__":
    main()
