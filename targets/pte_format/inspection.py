"""Describes a `.pte` file without ExecuTorch: methods, operators and delegates, stored numbers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchharness.contract import ModelDescription
from targets.pte_format.files import find_weights
from targets.pte_format.program import Method, Program, read_program
from targets.pte_format.signature import FORWARD, read_signature, why_no_language_model
from targets.stored_numbers import WEIGHTS, add_up

#: Where what no delegate takes is computed. Which of the kernels linked in does it, a file cannot say.
KERNELS = "CPU kernels"


def describe(model: Path) -> ModelDescription:
    """Describes a program by the method that is run. Raises `ModelFailure`."""
    program = read_program(model)
    method = program.methods[run_method(program)]
    weights = find_weights(model)
    reason = why_no_language_model(program)
    return ModelDescription(
        format="executorch",
        task="tensor" if reason else "causal-lm",
        inputs=[spec for spec in method.inputs if spec is not None],
        outputs=[spec for spec in method.outputs if spec is not None],
        operators=placed(method),
        parameters=add_up((WEIGHTS, each.dtype, 1, each.numbers, each.bytes) for each in method.stored),
        quantization=[],
        external_files={weights.name: weights.stat().st_size} if weights else {},
        facts={"file": model.name, **facts_of(program), **_language(program, reason)},
    )


def run_method(program: Program) -> str:
    """The method that is run: `forward`, else the first."""
    return FORWARD if FORWARD in program.methods else next(iter(program.methods))


def placed(method: Method) -> dict[str, dict[str, int]]:
    """Instructions by place: a delegate counts as one, whatever it has taken; the rest are operators."""
    found = {backend: {"delegate": count} for backend, count in method.delegates.items()}
    return {**found, **({KERNELS: dict(method.operators)} if method.operators else {})}


def facts_of(program: Program) -> dict[str, Any]:
    """What a program says beside its signature."""
    return {
        "schema_version": program.version,
        "methods": sorted(program.methods),
        "weights_in_delegates": "not read: each delegate has a format of its own",
    }


def _language(program: Program, reason: str) -> Mapping[str, Any]:
    if reason:
        return {"no_language_model": reason}
    signature = read_signature(program)
    return {
        "vocabulary_size": signature.vocabulary_size,
        "context_length": signature.context_length,
        "longest_call": signature.longest,
    }
