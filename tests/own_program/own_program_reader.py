"""A reader of another package, with a parser of its own: its program tells laps in words."""

from __future__ import annotations

import re

READER = """
formats = [".onnx"]
version = { arguments = ["--version"], pattern = 'stopwatch (\\S+)' }

[[commands]]
arguments = ["{model}", "{repeats}"]
figures = [{ metric = "steady_inference", times = "laps", unit = "us" }]

[unknown]
inference_rate = "stopwatch does not look at the whole"
"""


def rows(output: str) -> list[dict[str, list[float]]]:
    """`lap 3: 120 microseconds`."""
    return [{"laps": [float(each) for each in re.findall(r"^lap \d+: (\S+) microseconds$", output, re.MULTILINE)]}]
