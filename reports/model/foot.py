"""What stands at the foot of every page: ids and digests in full, versions, and when it was written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from reports.model.found import Found
from reports.model.visible import name_text


@dataclass(frozen=True, kw_only=True)
class RunFoot:
    """A run, whole enough to find it again."""

    id: str
    suite: str
    digest: str
    started: str
    state: str
    version: str
    devices: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Foot:
    """The foot of a page."""

    runs: tuple[RunFoot, ...]
    written: str


def foot_of(found: Sequence[Found], written: str) -> Foot:
    """The foot of a page on these runs."""
    return Foot(runs=tuple(_run(each) for each in found), written=written)


def moment(when: datetime) -> str:
    """A moment as pages say it."""
    return when.strftime("%Y-%m-%d %H:%M %Z").strip()


def _run(found: Found) -> RunFoot:
    run = found.run
    devices = dict.fromkeys(name_text(device) for result in found.results for device in result.devices)
    return RunFoot(
        id=name_text(run.id),
        suite=name_text(run.suite),
        digest=name_text(run.suite_digest),
        started=moment(run.started),
        state=name_text(run.state),
        version=name_text(run.version),
        devices=tuple(devices),
    )
