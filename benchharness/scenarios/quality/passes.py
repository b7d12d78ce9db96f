"""Who is compared with whom: the jobs of one model that its evaluation data is for."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from benchharness.results.result import THREADS_BY, Job

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
    against = {**planning.opened(reference), "configuration": theirs, **planning.told_of_tensors(reference)}
    workload = _workload(planning)
    seen: set[str] = {_apart_from_threads(reference, theirs)}
    for variant, configuration in planning.pairs:
        what = _apart_from_threads(variant, configuration)
        if what not in seen:
            seen.add(what)
            parts = (variant, reference, configuration, workload, "quality", settings)
            yield planning.job(*parts, adds={"against": against})


def _workload(planning: Planning) -> dict[str, Any]:
    model = planning.model
    assert model.evaluation is not None
    data = planning.materials.data[model.evaluation]
    return {
        "name": model.evaluation.name,
        "models": None,
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
            **planning.told_of_data(),
            **({"scores": model.scores} if model.scores else {}),
            **({"threshold": model.threshold} if model.threshold is not None else {}),
        },
    }


def _apart_from_threads(variant: str, configuration: Mapping[str, Any]) -> str:
    rest = {key: value for key, value in configuration.items() if key not in ("name", "threads", THREADS_BY)}
    return json.dumps([variant, rest], sort_keys=True)
