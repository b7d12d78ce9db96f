"""How a farm stands: jobs, devices, submissions, and what was refused. What members called things is not trusted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from benchharness.units import duration_text
from reports.model.foot import Foot, moment
from reports.model.visible import name_text, value_text
from reports.pages.environment import environment

#: How jobs stand, in the order in which they come to stand so, and in words.
_WORDS = {
    "todo": "queued",
    "doing": "running",
    "succeeded": "done",
    "failed": "failed",
    "cancelled": "cancelled",
    "aborted": "ended on request",
}


@dataclass(frozen=True, kw_only=True)
class DeviceLine:
    """A device: whose it is, how it is, and what it does."""

    name: str
    hardware: str
    host: str
    state: str
    why: str
    does: str
    out: bool  # nothing runs on it


@dataclass(frozen=True, kw_only=True)
class SubmissionLine:
    """A submission and how its jobs stand."""

    id: str
    name: str
    by: str
    at: str
    jobs: str
    nightly: str
    why: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class FarmPage:
    """Everything of a farm, in lines."""

    title: str
    finding: str
    devices: tuple[DeviceLine, ...]
    submissions: tuple[SubmissionLine, ...]
    refused: tuple[tuple[str, str], ...]  # when, and what in words
    foot: Foot


def render_farm(status: Mapping[str, Any], now: datetime) -> str:
    """The page as HTML."""
    return environment().get_template("pages/farm.html.j2").render(page=farm_page(status, now), links=())


def farm_page(status: Mapping[str, Any], now: datetime) -> FarmPage:
    """The page as plain data."""
    devices = tuple(_device(each) for each in status["devices"])
    out = sum(each.out for each in devices)
    told = f"{len(devices)} devices" + (f", {out} of them taken out" if out else "")
    return FarmPage(
        title="Farm",
        finding=f"{told}. Jobs: {_counts(status['jobs']) or 'none yet'}.",
        devices=tuple(sorted(devices, key=lambda each: (not each.out, each.name))),
        submissions=tuple(_submission(each) for each in status["submissions"]),
        refused=tuple((_at(each["at"]), _refused(each)) for each in status["refused"]),
        foot=Foot(runs=(), written=moment(now)),
    )


def _device(told: Mapping[str, Any]) -> DeviceLine:
    if told["job"] is None:
        does = f"idle, seen {_time(told['seen_s'])} ago"
    else:
        does = f"{name_text(told['submission'])}, job {told['job']}, for {_time(told['at_it_s'])}"
    return DeviceLine(
        name=name_text(told["name"]),
        hardware=name_text(told["labels"].get("hardware", "")),
        host=name_text(told["host"]),
        state=name_text(told["state"]),
        why=value_text(told["why"]),
        does=does,
        out=told["state"] != "ready",
    )


def _submission(told: Mapping[str, Any]) -> SubmissionLine:
    return SubmissionLine(
        id=name_text(told["id"]),
        name=name_text(told["name"]),
        by=name_text(told["by"]),
        at=_at(told["at"]),
        jobs=_counts(told["jobs"]),
        nightly=name_text(told["nightly"] or ""),
        why=tuple(value_text(each) for each in told["why"]),
    )


def _refused(told: Mapping[str, Any]) -> str:
    return value_text(f"{told['what']} of {told['about']} to {told['who']}: {told['told']}")


def _counts(jobs: Mapping[str, int]) -> str:
    return ", ".join(f"{jobs[status]:,} {word}" for status, word in _WORDS.items() if jobs.get(status))


def _at(told: str) -> str:
    return moment(datetime.fromisoformat(told))


def _time(seconds: float) -> str:
    return duration_text(max(0.0, round(seconds)))
