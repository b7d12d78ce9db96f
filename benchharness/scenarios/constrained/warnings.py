"""What makes the floors of constrained attempts less sure."""

from __future__ import annotations

from collections.abc import Iterator

from benchharness.results.result import Result, ResultWarning, WarningKind

#: Share of a memory floor that may go uncounted.
NOT_CHARGED_SHARE = 0.05


def not_charged(result: Result) -> Iterator[ResultWarning]:
    """A memory floor that would be higher where the device does nothing else."""
    charged = result.effective.of_scenario("constrained").get("not_charged_bytes")
    most = charged[-1] if isinstance(charged, list) and charged else 0
    floors = [ladder.floor_bytes for ladder in result.ladders if ladder.floor_bytes is not None]
    if floors and isinstance(most, int | float) and most > NOT_CHARGED_SHARE * floors[-1]:
        yield ResultWarning(
            kind=WarningKind.NOT_CHARGED,
            message=f"up to {most / 2**20:.0f} MiB of the model's and the runtime's files were held by other processes,"
            " and no limit counted them: the memory floor is that much too low at most",
            hint="stop what else uses the runtime, or measure as a user who may make mounts",
        )
