"""One process with three sessions of one model: the harness's, a bare loop's, and the same bare loop's again.

Argument: {"case", "folder", "threads", "prompt_tokens", "output_tokens", "turns", "seed"}. Answer: for each side what
its turns measured, {"decode_rate": [tokens/s], "model_ttft": [ns]}.
Loaded in random order; in each turn the sides follow in random order.
"""

from __future__ import annotations

import contextlib
import json
import random
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchharness.contract import Configuration
from benchharness.device import adapters
from benchharness.device.self_timed import SelfTimed, StreamRequest
from benchharness.device.timing import quiet_collector
from benchmarks import harness_path
from benchmarks.pairs import in_random_order
from benchmarks.raw_runtime_loops import RAW_LOOPS

#: Turns before those that count: OpenVINO makes kernels for lengths that it has not seen.
_WARMUP_TURNS = 2
#: By case, the adapter and its options.
_CONFIGURATIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "genai logits": ("onnxruntime-genai", {}),
    "genai stream": ("onnxruntime-genai", {"loop": "runtime"}),
    "web": ("onnxruntime-web", {}),
    "openvino": ("openvino", {"INFERENCE_PRECISION_HINT": "f32"}),
    "litert-lm": ("litert-lm", {}),
}

#: What is asked of a runtime that takes a text only: about as many tokens as the others get.
_TEXT = "And it came to pass in those days, that there went out a decree from the king of Israel, saying, Go forth"

Turn = Callable[[], dict[str, float]]


def main() -> None:
    """Measures, and prints the answer."""
    asked = json.loads(sys.argv[1])
    order = random.Random(asked["seed"])
    case, folder, threads = asked["case"], Path(asked["folder"]), asked["threads"]
    runtime, options = _CONFIGURATIONS[case]
    configuration = Configuration(runtime=runtime, threads=threads, options=options)
    with contextlib.ExitStack() as stack:
        loaded: dict[str, Any] = in_random_order(
            {
                "harness": lambda: stack.enter_context(adapters.load(runtime).open(folder, configuration)),
                "raw": lambda: RAW_LOOPS[case](folder, threads),
                "raw again": lambda: RAW_LOOPS[case](folder, threads),
            },
            order,
        )
        make = _stream_sides if SelfTimed.of(loaded["harness"]) is not None else _logits_sides
        sides = make(loaded, asked["prompt_tokens"], asked["output_tokens"])
        for _ in range(_WARMUP_TURNS):
            in_random_order(sides, order)
        turns = [in_random_order(sides, order) for _ in range(asked["turns"])]
    metrics = ("decode_rate", "model_ttft")
    print(json.dumps({side: {metric: [turn[side][metric] for turn in turns] for metric in metrics} for side in sides}))


def _logits_sides(loaded: dict[str, Any], prompt_tokens: int, output_tokens: int) -> dict[str, Turn]:
    session = loaded["harness"]
    request = harness_path.request(session, {"length": prompt_tokens}, output_tokens=output_tokens, greedy=True)
    expected = harness_path.greedy_tokens(session, request.prompt, output_tokens)
    _check_same_work(loaded["raw"], request.prompt, expected, output_tokens)
    return {
        "harness": lambda: {
            "decode_rate": harness_path.decode_rate(session, request),
            "model_ttft": harness_path.model_ttft_ns(session, request),
        },
        **_raw_sides(loaded, request.prompt, output_tokens),
    }


def _stream_sides(loaded: dict[str, Any], prompt_tokens: int, output_tokens: int) -> dict[str, Turn]:
    session = loaded["harness"]
    timed = SelfTimed(session)
    prompt: Sequence[int] | str = _TEXT
    if session.vocabulary_size is not None:
        prompt = [(7 * index + 3) % session.vocabulary_size for index in range(prompt_tokens)]
    stream = session.generate(prompt, output_tokens)
    written = stream.text.encode() if stream.tokens is None else stream.tokens
    _check_same_work(loaded["raw"], prompt, written, output_tokens)

    def harness() -> dict[str, float]:
        with quiet_collector():
            whole = timed.write(StreamRequest(prompt, output_tokens), output_tokens)
        with quiet_collector():
            first = timed.write(StreamRequest(prompt, 1), 1)
        return {"decode_rate": whole.after_first * 1e9 / whole.span_ns, "model_ttft": first.first_ns}

    return {"harness": harness, **_raw_sides(loaded, prompt, output_tokens)}


def _raw_sides(loaded: dict[str, Any], prompt: Sequence[int] | str, output_tokens: int) -> dict[str, Turn]:
    def turn(side: str) -> dict[str, float]:
        with quiet_collector():
            answer = loaded[side].answer(prompt, None, output_tokens)
        with quiet_collector():
            first = loaded[side].answer(prompt, None, 1)
        rate = (output_tokens - 1) * 1e9 / (answer.chosen[-1] - answer.chosen[0])
        return {"decode_rate": rate, "model_ttft": first.prefilled - first.handed}

    return {side: lambda side=side: turn(side) for side in ("raw", "raw again")}  # type: ignore[misc]


def _check_same_work(raw: Any, prompt: Sequence[int] | str, expected: Sequence[int], output_tokens: int) -> None:
    """Both choose the same tokens, or write the same text, or the comparison means nothing."""
    assert list(raw.answer(prompt, None, output_tokens).tokens) == list(expected)


if __name__ == "__main__":
    main()
