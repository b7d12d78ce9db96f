"""The last lines of the demo: what somebody can do who has seen it for the first time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from benchharness.judge.trust import noisy, trust
from benchharness.results.result import Result


def what_next(results: Sequence[Result], paths: Sequence[Path]) -> Iterator[str]:
    """Three things to do; and before them, once, that the machine disturbed the run if it did."""
    if noisy(trust(results)):
        yield "This machine was noisy: the next demo will show other times."
    for path in paths[:1]:
        yield f"Open the report:     {path}"
    yield "Try your own model:  benchharness run model.onnx model-int8.onnx"
    yield 'Set a budget:        benchharness run model.onnx --budget "peak_memory=200 MiB"'
