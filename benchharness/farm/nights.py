"""Nights: a submission with a schedule is queued again when it is time; when all of it has ended, somebody is told."""

from __future__ import annotations

import asyncio
import json
import logging
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from croniter import croniter
from procrastinate import App

from benchharness import api, builds
from benchharness.errors import BenchharnessError, UsageError

log = logging.getLogger("benchharness.farm")

_PATIENCE_S = 20.0
_STANDING = """
SELECT submissions.id::text AS id, nightly, max(night) AS night, max(queued) AS queued
FROM farm.submissions JOIN farm.nights ON nights.submission = submissions.id
WHERE nightly IS NOT NULL GROUP BY submissions.id
"""


def check(schedule: str) -> str:
    """A schedule as cron writes it, in UTC: "0 2 * * *". Raises `UsageError`."""
    if len(schedule.split()) != 5 or not croniter.is_valid(schedule):
        raise UsageError(f'{schedule!r} is no schedule; write it as cron does, in UTC: "0 2 * * *" is two at night')
    return schedule


def is_due(schedule: str, queued: datetime, now: datetime) -> bool:
    """Whether a schedule's next time after it was last queued has come."""
    due: datetime = croniter(schedule, queued.astimezone(UTC)).get_next(datetime)
    return due <= now


async def begin(app: App) -> None:
    """Queues what is due."""
    now = datetime.now(UTC)
    for each in await app.connector.execute_query_all_async(_STANDING):
        try:
            due = is_due(check(each["nightly"]), each["queued"], now)
        except (UsageError, ValueError) as error:  # not written by our command; the others' nights begin all the same
            log.error("submission %s never runs again: %s", each["id"], error)
            continue
        if due:
            # The number of the night lets in only one of two schedulers.
            await app.connector.execute_query_one_async(
                "SELECT farm.repeat(%(id)s, %(night)s) AS jobs", id=each["id"], night=each["night"] + 1
            )
            log.info("submission %s runs again", each["id"])


async def report(app: App, store: str, pages: str | None, webhook: str | None) -> None:
    """Tells of every night that is over: gates, pages over the whole store, and the webhook."""
    ended = await app.connector.execute_query_all_async("SELECT *, submission::text AS id FROM farm.ended_nights()")
    for each in ended:
        if each["nightly"]:
            told = await asyncio.to_thread(_told, each, store)
            await _quarantine(app, told["jobs"])
            log.info("night %s of %s: %s", each["night"], each["name"], told["verdict"])
            if pages:
                await asyncio.to_thread(_write_pages, Path(pages), store)
            if webhook:
                await asyncio.to_thread(_call, webhook, told)
        await app.connector.execute_query_one_async(
            "SELECT farm.reported(%(id)s, %(night)s)", id=each["id"], night=each["night"]
        )


async def _quarantine(app: App, jobs: Sequence[Mapping[str, Any]]) -> None:
    """Takes out devices that measure otherwise than they used to."""
    for job in jobs:
        if why := job.get("unsteady"):
            log.error("%s is quarantined: %s", job["device"], why)
            await app.connector.execute_query_one_async(
                "SELECT farm.set_state(%(device)s, 'quarantined', %(why)s) AS changed", device=job["device"], why=why
            )


def _told(night: Mapping[str, Any], store: str) -> dict[str, Any]:
    """What became of a night, for programs: `verdict` is `green` where every job has a result and no gate failed."""
    jobs = [{**job, **_gated(job, store)} for job in night["jobs"] or []]
    good = all(job["status"] == "succeeded" and job["run"] for job in jobs)
    colours = {job["gate"] for job in jobs if "gate" in job}
    verdict = "red" if "red" in colours or not good else "undecided" if "undecided" in colours else "green"
    return {
        "schema": 1,
        "submission": night["id"],
        "name": night["name"],
        "night": night["night"],
        "verdict": verdict,
        "jobs": jobs,
        "devices": _together(jobs, store),
    }


def _together(jobs: Sequence[Mapping[str, Any]], store: str) -> list[dict[str, Any]]:
    """What several devices of a hardware target say together: headline figures alone; the store has all."""
    found = []
    for job in jobs if sum(bool(job["run"]) for job in jobs) > 1 else ():
        if job["run"]:
            try:
                found.append(api.load(job["run"], store=store))
            except BenchharnessError as error:
                log.error("run %s is not told with the other devices': %s", job["run"], error)
    return [each for each in api.fleets_told(found, headlines=True) if len(each["devices"]) > 1]


def _gated(job: Mapping[str, Any], store: str) -> dict[str, str]:
    """The gate's colour, of a job that compared two builds."""
    if not job["run"]:
        return {}
    try:
        if api.load(job["run"], store=store).since is None:
            return {}
        gating = builds.judged(job["run"], store=store)
        told = {"gate": str(gating.verdict.colour), "gate_why": gating.ended()[1]}
        why = builds.unsteady(job["run"], store=store)
        return {**told, "unsteady": why} if why else told
    except BenchharnessError as error:
        return {"gate": "undecided", "gate_why": str(error)[:400]}


def _write_pages(folder: Path, store: str) -> None:
    try:
        written = api.site(folder, store=store)
        log.info("%s pages written: %s", len(written), folder)
    except (BenchharnessError, OSError) as error:
        log.error("no pages: %s", error)


def _call(webhook: str, told: Mapping[str, Any]) -> None:
    """Posts what became of a night. Its URL may be a secret, and is never told."""
    request = urllib.request.Request(  # noqa: S310 - http or https: `Duties`
        webhook, json.dumps(told).encode(), {"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=_PATIENCE_S) as answer:  # noqa: S310
            log.info("the webhook answered %s", answer.status)
    except (urllib.error.URLError, TimeoutError, OSError) as error:
        log.error("the webhook was not reached: %s", getattr(error, "reason", type(error).__name__))
