"""Decode rates of onnxruntime-genai's own generator on one model. Runs in an environment that has onnxruntime-genai.

Argument: {"folder", "threads", "prompt", "output_tokens", "warmup", "repeats"}. Answer: {"decode_rate": [tokens/s],
"tokens": what it chose, "version", "runtime_version"}. Needs the standard library and onnxruntime-genai only.
"""

from __future__ import annotations

import gc
import importlib.metadata
import json
import sys
import time
from collections.abc import Sequence
from typing import Any

import onnxruntime_genai


def main() -> None:
    """Measures, and prints the answer."""
    asked = json.loads(sys.argv[1])
    model = _load(asked["folder"], asked["threads"])
    prompt, output_tokens = asked["prompt"], asked["output_tokens"]
    for _ in range(asked["warmup"]):
        _generate(model, prompt, output_tokens)
    rates: list[float] = []
    tokens: list[int] = []
    for _ in range(asked["repeats"]):
        gc.collect()
        gc.disable()
        rate, tokens = _generate(model, prompt, output_tokens)
        gc.enable()
        rates.append(rate)
    versions = {
        "version": importlib.metadata.version("onnxruntime-genai"),
        "runtime_version": importlib.metadata.version("onnxruntime"),
    }
    print(json.dumps({"decode_rate": rates, "tokens": tokens, **versions}))


def _load(folder: str, threads: int) -> Any:
    config = onnxruntime_genai.Config(folder)
    config.overlay(json.dumps({"model": {"decoder": {"session_options": {"intra_op_num_threads": threads}}}}))
    return onnxruntime_genai.Model(config)


def _generate(model: Any, prompt: Sequence[int], output_tokens: int) -> tuple[float, list[int]]:
    """One greedy generation: tokens/s after the first one, and the tokens.

    `append_tokens` runs the prompt. The first `generate_next_token` only chooses; each later one runs the model once
    and chooses. The clock starts behind the first token: a decode rate never counts it.
    """
    clock = time.perf_counter_ns
    parameters = onnxruntime_genai.GeneratorParams(model)
    parameters.set_search_options(max_length=len(prompt) + output_tokens, do_sample=False)
    generator = onnxruntime_genai.Generator(model, parameters)
    generator.append_tokens(list(prompt))
    step = generator.generate_next_token
    step()
    started = clock()
    for _ in range(output_tokens - 1):
        step()
    span_ns = clock() - started
    tokens = [int(token) for token in generator.get_sequence(0)[len(prompt) :]]
    assert len(tokens) == output_tokens, f"ended after {len(tokens)} tokens; take another prompt"
    return (output_tokens - 1) * 1e9 / span_ns, tokens


if __name__ == "__main__":
    main()
