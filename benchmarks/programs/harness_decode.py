"""Decode rates of the harness on one model, in one process.

Argument: {"folder", "threads", "prompt", "output_tokens", "warmup", "repeats"}. Answer: {"decode_rate": [tokens/s],
"tokens": what greedy decoding chose}.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from benchmarks import harness_path


def main() -> None:
    """Measures, and prints the answer."""
    asked = json.loads(sys.argv[1])
    with harness_path.opened(Path(asked["folder"]), threads=asked["threads"], spinning=None) as session:
        prompt, output_tokens = {"tokens": asked["prompt"]}, asked["output_tokens"]
        request = harness_path.request(session, prompt, output_tokens=output_tokens, greedy=True)
        rates = [harness_path.decode_rate(session, request) for _ in range(asked["warmup"] + asked["repeats"])]
        chosen = harness_path.greedy_tokens(session, asked["prompt"], output_tokens)
    print(json.dumps({"decode_rate": rates[asked["warmup"] :], "tokens": chosen}))


if __name__ == "__main__":
    main()
