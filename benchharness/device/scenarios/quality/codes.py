"""What codes mean: the real values of data that the suite calls codes of a quantized input."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from benchharness.contract import TensorSpec
from benchharness.device.inputs.conversion import CODES
from benchharness.device.scenarios.quality.evaluation_data import read_arrays
from benchharness.device.scenarios.quality.inputs import paired_with
from benchharness.errors import AttemptError, Unsupported

if TYPE_CHECKING:
    from pathlib import Path

    from benchharness.device.scenarios.quality.conductor import Pass
    from benchharness.device.scenarios.quality.scorer_process import ScorerProcess


def meant_by(made: Pass, path: Path, values: str | None) -> dict[str, Mapping[str, Any]]:
    """By array: scale and zero point of the quantized inputs that it is fed to; nothing where data are real values.

    The same data must mean the same to everybody. The reference's word holds where it is quantized, and a variant of
    another scale leaves the pass; else the variants must agree. Raises `Unsupported` where they do not.
    """
    if values != CODES:
        return {}
    arrays = read_arrays(path)
    meant: dict[str, Mapping[str, Any]] = dict(_told(made.reference, arrays))
    fixed = set(meant)
    for attempt, scorer in list(made.variants.items()):
        try:
            told = dict(_told(scorer, arrays))
        except AttemptError as error:
            made.leave(attempt, error)
            continue
        differing = [
            name for name, quantization in told.items() if meant.setdefault(name, quantization) != quantization
        ]
        if differing and set(differing) <= fixed:
            made.leave(attempt, Unsupported(f"{_differ(differing[0])} of the reference's input"))
        elif differing:
            raise Unsupported(f"{_differ(differing[0])} of another variant's input, and the reference's takes no codes")
    return meant


def _differ(array: str) -> str:
    return (
        f'values = "codes": the codes of {array!r} would mean other numbers than by the scale and zero point (give '
        "real values, as float32, instead)"
    )


def _told(scorer: ScorerProcess, arrays: Mapping[str, Any]) -> Sequence[tuple[str, Mapping[str, Any]]]:
    inputs = [TensorSpec(*each) for each in scorer.opened["inputs"]]
    quantized = scorer.opened["effective"]["facts"].get("quantization") or {}
    pairing = paired_with(inputs, arrays, scorer.tensors)
    return [(each.given, quantized[each.wanted]) for each in pairing.pairs if each.wanted in quantized]
