"""Who is asked: the variants that answer on the device, each with the endpoint that is asked before it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchharness.errors import SuiteError
from benchharness.results.requested import Workload
from benchharness.results.result import Job

if TYPE_CHECKING:
    from benchharness.suite.planning import Planning
    from benchharness.suite.tables import Model


def check(cloud: str, models: Mapping[str, Model]) -> None:
    """Raises `SuiteError` where no model has the cloud, or it would be taken for something that ships."""
    found = {name: model.variants[cloud] for name, model in models.items() if cloud in model.variants}
    if not found:
        raise SuiteError(f"scenarios.hybrid.cloud: no model has a variant {cloud!r}; give one an .endpoint file")
    for name, variant in found.items():
        if variant.ships:
            raise SuiteError(
                f"models.{name}.variants.{cloud}: an endpoint is nothing that is shipped, and its file would be the "
                "smallest variant; say ships = false of it"
            )
        if len(models[name].variants) < 2:
            raise SuiteError(f"models.{name}: beside {cloud!r} it has no variant that could answer on the device")


def jobs(planning: Planning, cloud: str, prompts: Path, settings: dict[str, Any]) -> Iterator[Job]:
    """The jobs of a model that has the cloud."""
    if cloud not in planning.model.variants:
        return
    theirs = next(configuration for variant, configuration in planning.pairs if variant == cloud)
    workload = _workload(planning, prompts, settings)
    for variant, configuration in planning.pairs:
        if variant != cloud:
            parts = (variant, variant, configuration, workload, "hybrid", settings)
            yield planning.job(
                *parts, adds={"chain": [planning.opened(cloud, theirs), planning.opened(variant, configuration)]}
            )


def _workload(planning: Planning, prompts: Path, settings: dict[str, Any]) -> Workload:
    """The prompts by their file's digest: their texts are neither stored nor told."""
    data = planning.materials.of_scenarios["hybrid"][prompts]
    return Workload.from_json(
        {
            "name": prompts.name,
            "asks": "language",
            "prompt": {"length": 1, "seed": 0},
            "output_tokens": settings["answer_tokens"],
            "context_depth": 0,
            "continuation": "greedy",
            "dimensions": {},
            "values": {},
            "seed": settings["seed"],
            "data": {"path": str(prompts), "kind": data.kind, "sha256": data.sha256},
        }
    )
