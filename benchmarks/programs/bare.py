"""What a user without the harness would run: imports onnxruntime, loads a model, generates.

Argument: {"folder", "threads", "prompt", "fed", "answers": [output tokens of each request]}. Answer: seconds since
this file was entered, by phase.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

_ENTERED_S = time.perf_counter()


def main() -> None:
    """Generates, and prints what took how long."""
    asked = json.loads(sys.argv[1])
    from benchmarks.raw_loop import RawLoop

    imported_s = time.perf_counter()
    loop = RawLoop(
        Path(asked["folder"]),
        threads=asked["threads"],
        spinning=None,
        prompt_tokens=len(asked["prompt"]),
        output_tokens=max(asked["answers"]),
    )
    loaded_s = time.perf_counter()
    for output_tokens in asked["answers"]:
        loop.answer(asked["prompt"], asked["fed"], output_tokens)
    ended_s = time.perf_counter()
    phases = {"import": imported_s - _ENTERED_S, "load": loaded_s - imported_s, "requests": ended_s - loaded_s}
    print(json.dumps(phases))


if __name__ == "__main__":
    main()
