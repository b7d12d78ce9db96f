"""One process with three sessions of one model: the harness's, a raw loop's on its runtime, and the same one's again.

Argument: {"runtime", "folder", "threads", "prompt_tokens", "output_tokens", "turns", "seed"}. Answer: for each side
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

from benchharness.contract import Configuration, LanguageSession
from benchharness.device import adapters
from benchharness.device.inputs.requests import LanguageRequest
from benchharness.device.timing import quiet_collector
from benchmarks import harness_path
from benchmarks.pairs import in_random_order

#: Turns before those that count: the first inferences of a session pack its weights.
_WARMUP_TURNS = 1


def main() -> None:
    """Measures, and prints the answer."""
    asked = json.loads(sys.argv[1])
    order = random.Random(asked["seed"])
    lengths = {"prompt_tokens": asked["prompt_tokens"], "output_tokens": asked["output_tokens"]}
    folder, threads = Path(asked["folder"]), asked["threads"]

    raw_loop = _raw_loop(asked["runtime"])

    def load_raw() -> Any:
        return raw_loop(folder, threads=threads, **lengths)

    configuration = Configuration(runtime=asked["runtime"], threads=threads)
    with contextlib.ExitStack() as stack:
        loaded: dict[str, Any] = in_random_order(
            {
                "harness": lambda: stack.enter_context(adapters.load(asked["runtime"]).open(folder, configuration)),
                "raw": load_raw,
                "raw again": load_raw,
            },
            order,
        )
        session = loaded["harness"]
        assert isinstance(session, LanguageSession), f"{folder}: the adapter does not take it for a language model"
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


def _raw_loop(runtime: str) -> Any:
    """The class of the raw loop on a runtime; no other runtime is loaded."""
    if runtime == "tflite":
        from benchmarks.raw_litert_loop import RawLitertLoop

        return RawLitertLoop
    from benchmarks.raw_llama_loop import RawLlamaLoop

    return RawLlamaLoop


def _check_same_work(session: LanguageSession, raw: Any, request: LanguageRequest) -> None:
    """Both give the same logits for the prompt and choose the same tokens, or the comparison means nothing."""
    session.reset()
    logits = np.array(session.extend(request.prompt))
    np.testing.assert_array_equal(raw.prefill(request.prompt), logits)
    fed = request.continuation
    assert fed is not None
    chosen = [int(logits.argmax())]
    chosen += [int(session.decode(token).argmax()) for token in fed[: request.output_tokens - 1]]
    assert list(raw.answer(request.prompt, fed, request.output_tokens).tokens) == chosen


def _harness_turn(session: LanguageSession, request: LanguageRequest) -> dict[str, float]:
    rate = harness_path.decode_rate(session, request)
    return {"decode_rate": rate, "model_ttft": harness_path.model_ttft_ns(session, request)}


def _raw_turn(raw: Any, request: LanguageRequest) -> dict[str, float]:
    """The same requests as the harness makes in its turn, the collector kept as quiet as there."""
    with quiet_collector():
        answer = raw.answer(request.prompt, request.continuation, request.output_tokens)
    with quiet_collector():
        first = raw.answer(request.prompt, request.continuation, 1)
    rate = (request.output_tokens - 1) * 1e9 / (answer.chosen[-1] - answer.chosen[0])
    return {"decode_rate": rate, "model_ttft": first.prefilled - first.handed}


if __name__ == "__main__":
    main()
