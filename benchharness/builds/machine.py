"""A machine's test of itself: the bundled demo model against itself, and what makes the machine noisy."""

from __future__ import annotations

from dataclasses import replace

from benchharness import api, measure
from benchharness.builds.comparing import Watch, measured
from benchharness.errors import UsageError
from benchharness.judge.disturbances import disturbances
from benchharness.judge.selftest import NAME, USUAL, SelfTested, tested_in
from benchharness.locations import demo_suite
from benchharness.suite.fields import THIS_MACHINE
from benchharness.suite.overrides import Overrides
from benchharness.suite.tables import Suite

#: What a machine is tested with: the demo model's smallest process that decodes.
_VARIANT = "onnx-int8"
PAIRS, PROBE_S = 30, 5.0


def selftest(
    *,
    pairs: int = PAIRS,
    probe_s: float = PROBE_S,
    on: str = THIS_MACHINE,
    store: str | None = None,
    watching: Watch | None = None,
) -> SelfTested:
    """Compares the demo model with itself in so many pairs, and looks at the machine. Raises `BenchharnessError`."""
    if pairs < USUAL.looks[-1]:
        raise UsageError(f"{pairs} pairs; a self-test takes {USUAL.looks[-1]} at least, as the usual design does")
    suite = _suite()
    found = measured(
        [suite, suite],
        ["the demo model", "the demo model again"],
        target=measure.target_of(on),
        gate={"primary": list(USUAL.primary), "looks": [pairs]},
        store=store,
        watching=watching,
    )
    description = api.hardware(probe_s, on)
    tested = tested_in(found.findings.run, found.findings.results)
    noise = description.get("noise")
    return replace(
        tested,
        noise=str(noise.get("verdict", "")) if isinstance(noise, dict) else "",
        disturbances=disturbances(description),
    )


def _suite() -> Suite:
    whole = measure.requested(demo_suite(), None, None, None, Overrides(scenarios=["steady"]), {})
    name, model = next((name, model) for name, model in whole.models.items() if _VARIANT in model.variants)
    alone = model.model_copy(update={"variants": {_VARIANT: model.variants[_VARIANT]}, "reference": (_VARIANT,)})
    return whole.model_copy(update={"name": NAME, "models": {name: alone}, "budgets": {}})
