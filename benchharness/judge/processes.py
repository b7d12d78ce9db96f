"""Whose process a figure is of: a worker's, which has Python in it, or that of a program of its own, which has not."""

from __future__ import annotations

from benchharness.results.result import Result

#: What the whole process takes, and not the model in it: metrics by the beginning of their names.
OF_THE_PROCESS = ("cold_start", "peak_memory", "phase_peak_memory")


def is_program(result: Result) -> bool:
    """Whether a program computed that the worker started: it tells what that was."""
    return "program_sha256" in result.effective.facts


def other_process(metric: str, these: Result, those: Result) -> str:
    """Why two figures of a metric say nothing of their runtimes; "" where they are of processes alike."""
    if not metric.startswith(OF_THE_PROCESS) or is_program(these) == is_program(those):
        return ""
    return "one is of a program, the other of a worker with Python in it"
