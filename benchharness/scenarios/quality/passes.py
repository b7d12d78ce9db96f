"""Who is compared with whom: the jobs of one model that its evaluation data is for."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from benchharness.results.requested import Configuration, Workload
from benchharness.results.result import Job

if TYPE_CHECKING:
    from benchharness.suite.planning import Planning


def compared(planning: Planning, settings: dict[str, Any]) -> Iterator[Job]:
    """The model's variants, each against the model's first reference, wherever they run; threads change no answer.

    The reference runs in the first configuration that opens it, and is not compared with itself.
    """
    model = planning.model
    if model.evaluation is None:
        return
    reference = (model.reference or tuple(model.variants))[0]
    theirs = next(configuration for variant, configuration in planning.pairs if variant == reference)
    against = planning.opened(reference, theirs, tensors=planning.told_of_tensors(reference))
    workload = _workload(planning)
    seen: set[str] = {_apart_from_threads(reference, theirs)}
    for variant, configuration in planning.pairs:
        what = _apart_from_threads(variant, configuration)
        if what not in seen:
            seen.add(what)
            parts = (variant, reference, configuration, workload, "quality", settings)
            yield planning.job(*parts, adds={"against": against})


def _workload(planning: Planning) -> Workload:
    model = planning.model
    assert model.evaluation is not None
    data = planning.materials.data[model.evaluation]
    said = {
        "name": model.evaluation.name,
        "asks": "any",
        "prompt": {"length": 1, "seed": 0},
        "output_tokens": 1,
        "context_depth": 0,
        "continuation": "greedy",
        "dimensions": {},
        "values": {},
        "seed": 0,
        "data": {
            "path": str(model.evaluation),
            "kind": data.kind,
            "sha256": data.sha256,
            "calibration": model.calibration.name if model.calibration else None,
            "shared_samples": data.shared_samples,
            **({"scores": model.scores} if model.scores else {}),
            **({"threshold": model.threshold} if model.threshold is not None else {}),
        },
    }
    return Workload.from_json(said)


def _apart_from_threads(variant: str, configuration: Configuration) -> str:
    return json.dumps([variant, configuration.apart_from_threads], sort_keys=True)
