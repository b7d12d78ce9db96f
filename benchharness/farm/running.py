"""How an agent and a scheduler run as programs: what they log, and how they end."""

from __future__ import annotations

import asyncio
import logging
import signal
from pathlib import Path

from benchharness.errors import UsageError
from benchharness.farm import scheduler
from benchharness.farm.agent import Agent
from benchharness.farm.allowed import Allowed
from benchharness.farm.passes import Pass
from benchharness.farm.units import units_in

_ENDS = (signal.SIGINT, signal.SIGTERM)


def log_lines() -> None:
    """One line on standard error for each thing that happens."""
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.WARNING)
    logging.getLogger("benchharness.farm").setLevel(logging.INFO)


def run_agent(member: Pass, devices: Path, work: Path | None) -> None:
    """Works until a signal. Raises `UsageError`."""
    rules = member.folder / "agent.toml"
    units = units_in(devices)
    if not units:
        raise UsageError(f"{devices}: no device has a profile there; see: benchharness device add")
    made = Agent(member, units, work or member.folder / "work", allowed=lambda: Allowed.load(rules))
    for each in _ENDS:
        signal.signal(each, lambda *_: made.stop())
    made.run()


def run_scheduler(member: Pass) -> None:
    """Works until a signal."""

    async def work() -> None:
        stopped = asyncio.Event()
        for each in _ENDS:
            asyncio.get_running_loop().add_signal_handler(each, stopped.set)
        await scheduler.work(member, stopped)

    asyncio.run(work())
