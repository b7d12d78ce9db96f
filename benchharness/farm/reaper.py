"""The reaper: hands on the jobs of agents that are silent, and ends those whose deadline passed.

Procrastinate says which jobs are stalled, by the heartbeat that every renewal of a lease is. Whether the lease lapsed,
and the device had its time to give up, is looked at again where the fence is (`sql/reaper.sql`).
"""

from __future__ import annotations

import logging

from procrastinate import App

log = logging.getLogger("benchharness.farm")

#: What our jobs are called in Procrastinate's queue.
TASK = "job of a farm"


async def reap(app: App, lease_s: float) -> int:
    """Hands on what can be handed on now; how many jobs."""
    stalled = await app.job_manager.get_stalled_jobs(task_name=TASK, seconds_since_heartbeat=lease_s)
    count = 0
    for job in stalled:
        told = await app.connector.execute_query_one_async("SELECT farm.reap(%(job)s) AS reaped", job=job.id)
        if told["reaped"]:
            log.warning("job %s was handed on: its lease lapsed", job.id)
            count += 1
    await app.connector.execute_query_one_async("SELECT farm.expire() AS expired")
    return count
