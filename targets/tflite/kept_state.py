"""Whether a `.tflite` model keeps a state of its own from one inference to the next.

Such a state lives in resource variables or in variable tensors. The runtime's `reset_all_variables` leaves the former
as they are (tried with ai-edge-litert 2.3.0 on four wake-word models), so nothing but loading it again begins afresh.
"""

from __future__ import annotations

from pathlib import Path

from targets.tflite.contents import read_contents
from targets.wire.flatbuffers import mapped


def keeps_state(model: Path) -> bool:
    """Whether an inference leaves something behind for the next. False where the file cannot be read."""
    try:
        with mapped(model) as wire:
            graphs = read_contents(wire).graphs
    except (OSError, ValueError, RecursionError):
        return False
    return any(
        any(operator.name == "ASSIGN_VARIABLE" for operator in graph.operators)
        or any(tensor.variable for tensor in graph.tensors)
        for graph in graphs
    )
