"""Who talks: every variant in every configuration that opens it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from benchharness.device.scenarios.conversation.turns import Turn, read_turns
from benchharness.errors import SuiteError, Unsupported
from benchharness.results.requested import Workload
from benchharness.results.result import Job
from benchharness.scenarios.definition import nanoseconds

if TYPE_CHECKING:
    from benchharness.scenarios.conversation import Conversation
    from benchharness.suite.planning import Planning


def turns_of(file: Path) -> Sequence[Turn]:
    """The turns of a file. Raises `SuiteError`."""
    try:
        return read_turns(file)
    except OSError as error:
        raise SuiteError(f"scenarios.conversation.file: {file}: cannot be read ({error.strerror})") from error
    except Unsupported as error:
        raise SuiteError(f"scenarios.conversation.file: {file.name}: {error}") from error


def jobs(planning: Planning, settings: Conversation) -> Iterator[Job]:
    """The jobs of one model, where it may be a language model."""
    if planning.model.task not in (None, "causal-lm"):
        return
    thought_s = sum(turn.think_s for turn in turns_of(settings.file)) if settings.thinks else 0.0
    told = {
        "when_full": settings.when_full,
        "thinks": settings.thinks,
        "come_back": settings.come_back,
        "background": list(settings.background),
        "longest_ns": nanoseconds(thought_s),  # an attempt's limit is beside it
    }
    workload = _workload(planning, settings.file)
    for variant, configuration in planning.pairs:
        reference = planning.reference(variant, configuration)
        yield planning.job(variant, reference, configuration, workload, "conversation", told, adds={})


def _workload(planning: Planning, file: Path) -> Workload:
    """The conversation by its file's digest: its texts are neither stored nor told."""
    data = planning.materials.of_scenarios["conversation"][file]
    return Workload.from_json(
        {
            "name": file.name,
            "asks": "language",
            "prompt": {"length": 1, "seed": 0},
            "output_tokens": 1,
            "context_depth": 0,
            "continuation": "fixed",
            "dimensions": {},
            "values": {},
            "seed": 0,
            "data": {"path": str(file), "kind": data.kind, "sha256": data.sha256},
        }
    )
