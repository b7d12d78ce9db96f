"""Whether the device of a run that compared a build with itself still measures as in the runs before."""

from __future__ import annotations

from contextlib import closing, suppress

from benchharness import api
from benchharness.builds.comparing import stored_suite
from benchharness.errors import BenchharnessError
from benchharness.judge import steadiness
from benchharness.suite.gating import Gate

#: So many runs of before are looked at, the newest.
_MOST_RUNS = 30


def unsteady(run: str, *, store: str | None = None) -> str:
    """Why a device should be looked at, in words; nothing where it is as it was, or nobody can tell.

    Raises `BenchharnessError` where the run cannot be read.
    """
    found = api.load(run, store=store)
    devices = sorted({device for result in found.results for device in result.devices})
    primary = (stored_suite(run, store).gate or Gate()).design().primary
    now = steadiness.spreads_in(found.results, primary)
    if len(devices) != 1 or not now:
        return ""
    with closing(api.open_store(store)) as opened:
        before = [
            each.id for each, _ in opened.finished_on(found.run.suite, devices) if each.started < found.run.started
        ]
    earlier = []
    for each in before[:_MOST_RUNS]:
        with suppress(BenchharnessError):  # one that cannot be read tells nothing
            earlier.append(steadiness.spreads_in(api.load(each, store=store).results, primary))
    return steadiness.told(earlier, now)
