"""The scheduler: periodic tasks of Procrastinate's, in a role of its own. One is enough; a second does no harm.

It reaps, takes results into the store, begins and reports nights, and prunes the farm's tables. It signs nothing: what
runs again each night is what somebody signed once.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Annotated

from procrastinate import App, PsycopgConnector
from pydantic import Field, ValidationError

from benchharness import stores
from benchharness.errors import BenchharnessError, SuiteError
from benchharness.farm import nights
from benchharness.farm.passes import Pass
from benchharness.farm.pruning import prune
from benchharness.farm.reaper import reap
from benchharness.suite.errors import explain
from benchharness.suite.fields import Table
from benchharness.suite.tables import read_toml

log = logging.getLogger("benchharness.farm")

QUEUE = "scheduler"
#: By croniter, whose sixth field is seconds.
_OFTEN, _EACH_MINUTE, _EACH_HOUR = "* * * * * */5", "* * * * *", "17 * * * *"
#: So many results are taken into the store at a time.
_AT_A_TIME = 20
_WAITING = "SELECT job, host, device, parcel FROM farm.results WHERE taken IS NULL ORDER BY handed_in LIMIT %(most)s"


class Duties(Table):
    """What a scheduler does beside: `scheduler.toml` in its pass. A webhook's URL may be a secret."""

    pages: Annotated[str, Field(max_length=1000)] | None = None  # the folder where pages are written after each night
    webhook: Annotated[str, Field(max_length=2000, pattern="^https?://")] | None = None

    @classmethod
    def of(cls, member: Pass) -> Duties:
        """What a pass says. Raises `SuiteError`."""
        path = member.folder / "scheduler.toml"
        try:
            return cls.model_validate(read_toml(path) if path.is_file() else {})
        except ValidationError as error:
            raise SuiteError(explain(error, cls, str(path))) from error


def application(member: Pass) -> App:
    """Procrastinate's application with the farm's periodic tasks."""
    duties = Duties.of(member)
    app = App(connector=PsycopgConnector(kwargs=member.conninfo(), min_size=1, max_size=4))

    @app.periodic(cron=_OFTEN)
    @app.task(name="reap", queue=QUEUE, queueing_lock="reap", lock="reap")
    async def _reap(timestamp: int) -> None:
        await reap(app, (await _settings(app))["lease_s"])

    @app.periodic(cron=_OFTEN)
    @app.task(name="take in", queue=QUEUE, queueing_lock="take in", lock="take in")
    async def _take_in(timestamp: int) -> None:
        while await take_in(app, member.store):
            pass
        await nights.report(app, member.store, duties.pages, duties.webhook)

    @app.periodic(cron=_EACH_MINUTE)
    @app.task(name="begin nights", queue=QUEUE, queueing_lock="begin nights", lock="begin nights")
    async def _begin(timestamp: int) -> None:
        await nights.begin(app)

    @app.periodic(cron=_EACH_HOUR)
    @app.task(name="prune", queue=QUEUE, queueing_lock="prune", lock="prune")
    async def _prune(timestamp: int) -> None:
        await prune(app)

    return app


async def take_in(app: App, store: str) -> int:
    """Takes some results into the store, or says why they cannot be believed; how many there were."""
    waiting = await app.connector.execute_query_all_async(_WAITING, most=_AT_A_TIME)
    given = [(f"farm: {row['host']}/{row['device']}", row["parcel"]) for row in waiting]
    devices = [row["device"] for row in waiting]
    found = await asyncio.to_thread(stores.take_in, given, devices=devices, store=store) if given else []
    for row, (run, trouble) in zip(waiting, found, strict=True):
        if trouble:
            log.error("refused the result of job %s from %s: %s", row["job"], row["host"], trouble)
        await app.connector.execute_query_one_async(
            "SELECT farm.taken(%(job)s, %(run)s, %(trouble)s)", job=row["job"], run=run, trouble=trouble
        )
    return len(waiting)


async def _settings(app: App) -> dict[str, float]:
    return dict(await app.connector.execute_query_one_async("SELECT lease_s, device_s FROM farm.settings"))


async def work(member: Pass, stopped: asyncio.Event) -> None:
    """Works until it is stopped, and comes back where the server was away."""
    while not stopped.is_set():
        app = application(member)
        try:
            async with app.open_async():
                settings = await _settings(app)
                worker = asyncio.create_task(
                    app.run_worker_async(
                        queues=[QUEUE],
                        concurrency=3,
                        fetch_job_polling_interval=2.0,
                        delete_jobs="always",
                        # A device's heartbeat is its lease: who has a right to it says when it is too old.
                        stalled_worker_timeout=sum(settings.values()) * 2,
                        install_signal_handlers=False,
                    )
                )
                halt = asyncio.create_task(stopped.wait())
                await asyncio.wait({worker, halt}, return_when=asyncio.FIRST_COMPLETED)
                halt.cancel()
                if worker.done():
                    worker.result()  # raises what it broke off by
                worker.cancel()
                await asyncio.gather(worker, return_exceptions=True)
        except BenchharnessError:
            raise
        except Exception as error:  # the server is away, or a fault of ours: both are told, and nights go on
            words = " ".join(str(error).split())[:300]
            log.warning("the scheduler's work broke off, and begins again: %s: %s", type(error).__name__, words)
        if not stopped.is_set():
            await asyncio.sleep(1)
