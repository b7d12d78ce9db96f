"""A machine's test of itself: the bundled demo model against itself, and what makes the machine noisy."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from benchharness import api, measure
from benchharness.builds.comparing import Found, Watch, found_in, measured, stored_suite
from benchharness.errors import BenchharnessError, NothingRan, UsageError
from benchharness.judge.builds import twins
from benchharness.judge.design import Design
from benchharness.judge.disturbances import Disturbance, disturbances
from benchharness.judge.pairs import rounds_of
from benchharness.judge.selftest import SelfTest, examined, least_visible
from benchharness.locations import demo_suite
from benchharness.results.result import Run
from benchharness.suite.fields import THIS_MACHINE
from benchharness.suite.overrides import Overrides
from benchharness.suite.tables import Suite

#: The name of its runs in a store.
NAME = "selftest"
#: What a machine is tested with: the demo model's smallest process that decodes, and what it decides on.
_VARIANT, _PRIMARY = "onnx-int8", ("tpot", "peak_memory")
PAIRS, PROBE_S = 30, 5.0
#: A machine changes: what was found longer ago is told as old.
FRESH = timedelta(days=30)


@dataclass(frozen=True, kw_only=True)
class SelfTested:
    """What a self-test found, and when. `noise` is the verdict of the noise probe; empty where it was not made now."""

    run: Run
    device: str
    design: Design
    tests: Sequence[SelfTest]
    noise: str = ""
    disturbances: Sequence[Disturbance] = ()

    @property
    def visible(self) -> float | None:
        """The smallest change that the usual design sees on this machine, in every metric."""
        return least_visible(self.tests)

    def age(self, now: datetime) -> timedelta:
        """How long ago it was."""
        return now - self.run.started


def selftest(
    *,
    pairs: int = PAIRS,
    probe_s: float = PROBE_S,
    on: str = THIS_MACHINE,
    store: str | None = None,
    watching: Watch | None = None,
) -> SelfTested:
    """Compares the demo model with itself in so many pairs, and looks at the machine. Raises `BenchharnessError`."""
    usual = Design(primary=_PRIMARY)
    if pairs < usual.looks[-1]:
        raise UsageError(f"{pairs} pairs; a self-test takes {usual.looks[-1]} at least, as the usual design does")
    suite = _suite()
    found = measured(
        [suite, suite],
        ["the demo model", "the demo model again"],
        target=measure.target_of(on),
        gate={"primary": list(_PRIMARY), "looks": [pairs]},
        store=store,
        watching=watching,
    )
    description = api.hardware(probe_s, on)
    return _examined(found, usual, description)


def latest(device: str, *, store: str | None = None) -> SelfTested | None:
    """The newest self-test of a device that a store has; None where it has none that can be read."""
    with closing(api.open_store(store)) as opened:
        runs = [each for each in opened.list_runs() if each.suite == NAME and each.state == "finished"]
    for run in runs:
        try:
            found = found_in(api.load(run.id, store=store), stored_suite(run.id, store))
            tested = _examined(found, Design(primary=_PRIMARY), {})
        except BenchharnessError:
            continue
        if tested.device == device:
            return tested
    return None


def told(tested: SelfTested | None, now: datetime | None = None) -> str:
    """A sentence for a gate: what this machine sees, and how old that knowledge is."""
    if tested is None:
        return "what this machine can see is not known: benchharness selftest tells, in a minute"
    days = tested.age(now or datetime.now(UTC)).days
    age = "today" if not days else f"{days} day{'s' if days > 1 else ''} ago"
    old = "; that is long ago: repeat it" if timedelta(days=days) > FRESH else ""
    alarms = sum(each.false_alarms for each in tested.tests)
    designs = sum(each.designs for each in tested.tests)
    seen = f"changes from {tested.visible:.1%} on" if tested.visible is not None else "no change, in so few pairs"
    return f"selftest {age}: this machine sees {seen}; {alarms} of {designs} overlapping designs were false alarms{old}"


def _suite() -> Suite:
    whole = measure.requested(demo_suite(), None, None, None, Overrides(scenarios=["steady"]), {})
    name, model = next((name, model) for name, model in whole.models.items() if _VARIANT in model.variants)
    alone = model.model_copy(update={"variants": {_VARIANT: model.variants[_VARIANT]}, "reference": (_VARIANT,)})
    return whole.model_copy(update={"name": NAME, "models": {name: alone}, "budgets": {}})


def _examined(found: Found, design: Design, description: dict[str, Any]) -> SelfTested:
    tests, (pair, *_) = [], [*twins(found.findings.results), None]
    if pair is None or not pair.candidate.outcome.ok:
        outcome = pair.candidate.outcome if pair else "no pair was made"
        raise NothingRan(f"the demo model does not run here: {outcome}")
    theirs = {metric.name: metric for metric in pair.base.metrics if "percentile" not in metric.parameters}
    for metric in pair.candidate.metrics:
        if metric.name in _PRIMARY and "percentile" not in metric.parameters and metric.name in theirs:
            tests.append(examined(rounds_of(theirs[metric.name], metric), metric.name, design, len(_PRIMARY)))
    noise = description.get("noise")
    return SelfTested(
        run=found.findings.run,
        device=", ".join(pair.candidate.devices),
        design=design,
        tests=tests,
        noise=str(noise.get("verdict", "")) if isinstance(noise, dict) else "",
        disturbances=disturbances(description),
    )
