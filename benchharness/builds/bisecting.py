"""Which of many builds got worse first: pairs between a good and a bad one until the step is confirmed or gone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchharness import api, measure
from benchharness.builds.comparing import Found, Watch, measured, stored_suite, suite_of
from benchharness.errors import UsageError
from benchharness.judge.pairs import Change
from benchharness.suite.artefact import DigestCache
from benchharness.suite.fields import THIS_MACHINE
from benchharness.suite.materials import gather, verify
from benchharness.suite.overrides import Overrides
from benchharness.suite.tables import Suite

#: Hears of each comparison before it begins: the build that is tried, and how many may follow.
Hear = Callable[[str, int], None]


@dataclass(frozen=True, kw_only=True)
class Bisected:
    """What a search found. `ends` compares the last build with the first; without a step there nothing else is made."""

    ends: Found
    first_worse: str | None  # None: there is no step, or it could not be confirmed
    last_good: str | None
    made: Sequence[Found]  # every comparison, in the order in which they were made
    reason: str


def bisect(
    builds: Sequence[str | Path],
    *,
    on: str = THIS_MACHINE,
    gate: Mapping[str, Any] | None = None,
    overrides: Overrides | None = None,
    store: str | None = None,
    watching: Watch | None = None,
    hear: Hear = lambda _, __: None,
) -> Bisected:
    """Searches builds, oldest first: suites, models, `REVISION:SUITE`, or stored runs whose artefacts are still there.

    Each is compared with the first in interleaved pairs; a build that is undecided is taken for good, as nothing shows
    that it is worse. Raises `BenchharnessError`.
    """
    if len(builds) < 2:
        raise UsageError("name two builds or more, oldest first")
    target = measure.target_of(on)
    suites = {at: _suite(each, overrides, store) for at, each in ((0, builds[0]), (len(builds) - 1, builds[-1]))}
    made: list[Found] = []

    def is_worse(at: int, left: int) -> bool:
        hear(str(builds[at]), left)
        suite = suites.get(at) or _suite(builds[at], overrides, store)
        told = [str(builds[0]), str(builds[at])]
        found = measured([suites[0], suite], told, target=target, gate=gate or {}, store=store, watching=watching)
        made.append(found)
        return bool(found.changed(Change.WORSE))

    good, bad = 0, len(builds) - 1
    steps = max(1, (len(builds) - 1).bit_length())
    if not is_worse(bad, steps):
        open_ = made[0].changed(Change.UNDECIDED)
        reason = "the step could not be confirmed: undecided" if open_ else "the step is gone: the last is no worse"
        return Bisected(ends=made[0], first_worse=None, last_good=None, made=made, reason=reason)
    while bad - good > 1:
        middle = (good + bad) // 2
        if is_worse(middle, (bad - good).bit_length()):
            bad = middle
        else:
            good = middle
    reason = f"confirmed in {len(made)} comparisons"
    return Bisected(ends=made[0], first_worse=str(builds[bad]), last_good=str(builds[good]), made=made, reason=reason)


def _suite(what: str | Path, overrides: Overrides | None, store: str | None) -> Suite:
    """A build as somebody named it; of a stored run its suite, where its artefacts are what they were."""
    if isinstance(what, Path) or Path(what).exists() or ":" in what:
        return suite_of(what, None, overrides, store)
    with closing(api.open_store(store)) as opened:
        run = opened.find(what)
        jobs = [job for job, _ in opened.jobs(run)]
    suite = stored_suite(run, store)
    verify(gather(suite, DigestCache(None)).manifests, jobs)
    return suite.model_copy(update={"compared": None})
