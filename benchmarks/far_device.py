"""Whether a device measures alike however it is reached: the same model here, and on this machine over SSH.

`python -m benchmarks.far_device MODEL --on loopback --rounds 20`, where `devices/loopback.toml` leads back to this
machine. A round is one fresh process each, in random order; a line says the geometric mean over rounds of there / here
with its 95 % interval, for every metric that both have. Of twenty lines one is expected beside 1.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

from benchharness import api
from benchharness.judge.intervals import paired_ratio
from benchharness.results.result import EXACT
from benchharness.suite.fields import THIS_MACHINE
from benchmarks.options import ending_in_words

_SEED = 1
Values = dict[str, float]


def measured(model: Path, on: str, store: str, scenarios: list[str]) -> Values:
    """One attempt's figures by metric and parameters; counts, which are exact, left out."""
    found = api.run([model], on=on, attempts=1, scenarios=scenarios, store=store)
    values: Values = {}
    for result in found.results:
        for metric in result.metrics:
            if metric.estimate.statistic != EXACT and metric.attempts:
                name = f"{result.job.scenario} {metric.name} {json.dumps(dict(metric.parameters), sort_keys=True)}"
                values[name] = metric.attempts[0].value
    return values


def main() -> int:
    """Prints the ratios; exit code 0 whatever they are."""
    options = argparse.ArgumentParser(prog="python -m benchmarks.far_device", description=__doc__)
    options.add_argument("model", type=Path)
    options.add_argument("--on", required=True, metavar="DEVICE", help="this machine, over SSH")
    options.add_argument("--rounds", type=int, default=20)
    options.add_argument("--scenario", action="append", help="else first-token and steady, as for any model")
    given = options.parse_args()
    pairs: dict[str, list[tuple[float, float]]] = defaultdict(list)
    order = random.Random(_SEED)
    with ending_in_words(), tempfile.TemporaryDirectory() as folder:
        store = f"sqlite:///{folder}/store.db"
        for _ in range(given.rounds):
            sides = [THIS_MACHINE, given.on]
            order.shuffle(sides)
            found = {on: measured(given.model, on, store, given.scenario or ["steady"]) for on in sides}
            for name in found[THIS_MACHINE].keys() & found[given.on].keys():
                pairs[name].append((found[given.on][name], found[THIS_MACHINE][name]))
    for name, both in sorted(pairs.items()):
        ratio = paired_ratio(both, statistic="geometric mean over rounds")
        shown = (
            "unknown"
            if ratio.value is None or ratio.low is None or ratio.high is None
            else (f"{ratio.value:.3f} [{ratio.low:.3f}, {ratio.high:.3f}]")
        )
        sys.stdout.write(f"{shown}  {len(both)} rounds  {name}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
