"""Whether a device measures alike however it is reached: the same model here, and on this machine over SSH.

`python -m benchmarks.here_and_there --rounds 20`, as root on Linux with OpenSSH: the device is this machine over SSH,
as another user in another root. Both sides have the system's Python for supervisor and worker, each in an environment
of its own, and the same files of the runtime. A round is a fresh process here, another here, and one there, in random
order. A line says the geometric mean over rounds of there / here with its 95 % interval, then that of here / here,
which is how far equal sides differ. Of twenty intervals one is expected beside 1, and figures of one process hang
together.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from benchharness import api
from benchharness.judge.intervals import paired_ratio
from benchharness.locations import DEVICES_VARIABLE
from benchharness.results.result import EXACT, Estimate
from benchharness.suite.device import written
from benchmarks.options import ending_in_words
from tests.ssh_server import Server, install_python, missing, serving

_SEED = 1
_DEMO = Path(__file__).parent.parent / "examples" / "demo_model" / "artefacts" / "onnx-fp32"
_HERE, _AGAIN, _THERE = "here", "here again", "there"

#: One attempt's figures by scenario, metric and parameters.
Values = Mapping[str, float]
#: By side.
Round = Mapping[str, Values]


def measured(model: Path, on: str, store: str, scenarios: Sequence[str]) -> Values:
    """One attempt's figures; counts, which are exact, left out. Raises `SystemExit` where it measures nothing."""
    found = api.run([model], on=on, attempts=1, scenarios=scenarios, threads=1, store=store)
    if trouble := [str(each.outcome) for each in found.results if not each.outcome.ok]:
        raise SystemExit("\n".join(trouble))
    return {
        f"{result.job.scenario} {metric.name} {json.dumps(dict(metric.parameters), sort_keys=True)}": value
        for result in found.results
        for metric in result.metrics
        if metric.estimate.statistic != EXACT and metric.attempts
        for value in [metric.attempts[0].value]
    }


def sides(folder: Path, server: Server) -> dict[str, str]:
    """What `--on` is told for each: here by the same Python as there, which this harness's own need not be."""
    here = folder / "here"
    here.mkdir()
    install_python(here, "root")
    (here / "site").rmdir()
    (here / "site").symlink_to(Path(np.__file__).parent.parent)
    profile = folder / "here.toml"
    profile.write_text(f"python = '{here / 'env/bin/python'}'\n", encoding="utf-8")
    os.environ[DEVICES_VARIABLE] = str(folder / "devices")
    (folder / "devices").mkdir()
    (folder / "devices" / "loopback.toml").write_text(written(server.device()), encoding="utf-8")
    return {_HERE: str(profile), _AGAIN: str(profile), _THERE: "loopback"}


def rounds_of(model: Path, scenarios: Sequence[str], count: int) -> list[Round]:
    """So many rounds, after one that finds every file where it will be from then on."""
    order = random.Random(_SEED)
    with tempfile.TemporaryDirectory() as made, serving(Path(made)) as server:
        on = sides(Path(made), server)
        store = f"sqlite:///{made}/store.db"
        found: list[Round] = []
        for _ in range(count + 1):
            names = order.sample(sorted(on), len(on))
            found.append({name: measured(model, on[name], store, scenarios) for name in names})
    return found[1:]


def ratio(rounds: Sequence[Round], name: str, side: str) -> Estimate:
    """This side's figure over that from here, over the rounds that have both."""
    both = [(each[side][name], each[_HERE][name]) for each in rounds if name in each[side] and name in each[_HERE]]
    return paired_ratio(both, statistic="geometric mean over rounds")


def main() -> int:
    """Prints the ratios; exit code 0 whatever they are."""
    options = argparse.ArgumentParser(prog="python -m benchmarks.here_and_there", description=__doc__)
    options.add_argument("model", type=Path, nargs="?", default=_DEMO, help="else the demo model in ONNX Runtime")
    options.add_argument("--rounds", type=int, default=20)
    options.add_argument("--scenario", action="append", help="else steady and first-token; may be repeated")
    given = options.parse_args()
    if trouble := missing():
        sys.stderr.write(f"benchmarks.here_and_there {trouble}\n")
        return 2
    with ending_in_words():
        rounds = rounds_of(given.model, given.scenario or ["steady", "first-token"], given.rounds)
    names = sorted({name for each in rounds for name in each[_HERE]})
    beside = {_THERE: 0, _AGAIN: 0}
    for name in names:
        told = []
        for side in beside:
            found = ratio(rounds, name, side)
            beside[side] += found.low is not None and found.high is not None and not found.low <= 1 <= found.high
            told.append(_in_words(found))
        sys.stdout.write(f"{told[0]}  here / here {told[1]}  {name}\n")
    sys.stdout.write(
        f"of {len(names)} intervals over {given.rounds} rounds beside 1: {beside[_THERE]} there / here, "
        f"{beside[_AGAIN]} here / here\n"
    )
    return 0


def _in_words(found: Estimate) -> str:
    if found.value is None or found.low is None or found.high is None:
        return "unknown"
    return f"{found.value:.3f} [{found.low:.3f}, {found.high:.3f}]"


if __name__ == "__main__":
    raise SystemExit(main())
